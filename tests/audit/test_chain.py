"""The chain shows every change of the past."""

import json
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from catalog.audit.models import AuditEntry
from catalog.audit.services import digest_of, export_head, head, read_head, record, seal, verify, verify_head
from catalog.tenancy.models import Tenant
from tests.factories import NOW, TESTER

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(capital: Tenant) -> list[AuditEntry]:
    """Ten sealed entries, five of them a day later."""
    for number in range(10):
        at = NOW + timedelta(days=number // 5, seconds=number)
        record(
            TESTER, "thing.done", subject_type="thing", subject_id=str(number), now=at, tenant_id=capital.pk,
            after={"number": number, "이름": "값"},
        )  # fmt: skip
        if number in {4, 9}:
            assert seal(at) == 5
    return list(AuditEntry.objects.all())


def said() -> list[tuple[date, int, str]]:
    return [(breach.day, breach.seq, breach.what) for breach in verify()]


def test_an_untouched_chain_holds(chain: list[AuditEntry]) -> None:
    assert said() == []
    assert [(entry.chain_day, entry.chain_seq) for entry in chain] == [
        (NOW.date() + timedelta(days=day), seq) for day in (0, 1) for seq in range(1, 6)
    ]
    assert chain[5].previous == chain[4].digest
    assert head() == (chain[9].chain_day, 5, chain[9].digest)
    assert seal(NOW) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "somebody else"},
        {"source": "10.0.0.9"},
        {"action": "thing.undone"},
        {"subject_id": "99"},
        {"tenant_id": None},
        {"at": NOW + timedelta(seconds=1)},
        {"before": {"number": 1}},
        {"after": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_entry_shows(chain: list[AuditEntry], change: dict[str, object]) -> None:
    AuditEntry.objects.filter(pk=chain[2].pk).update(**change)
    assert said() == [(NOW.date(), 3, "was changed after it was sealed")]


def test_a_changed_entry_with_its_digest_made_to_fit_shows_at_the_next(chain: list[AuditEntry]) -> None:
    AuditEntry.objects.filter(pk=chain[2].pk).update(actor="somebody else")
    AuditEntry.objects.filter(pk=chain[2].pk).update(digest=digest_of(AuditEntry.objects.get(pk=chain[2].pk)))
    assert said() == [(NOW.date(), 4, "does not continue the entry before it")]


def test_a_removed_entry_shows(chain: list[AuditEntry]) -> None:
    chain[2].delete()
    assert said() == [
        (NOW.date(), 3, "1 entries are missing before 4"),
        (NOW.date(), 4, "does not continue the entry before it"),
    ]


def test_a_removed_and_closed_gap_shows(chain: list[AuditEntry]) -> None:
    chain[2].delete()
    for seq in (4, 5):
        AuditEntry.objects.filter(chain_day=NOW.date(), chain_seq=seq).update(chain_seq=F("chain_seq") - 1)
    assert (NOW.date(), 3, "does not continue the entry before it") in said()


def test_the_end_of_a_day_cannot_be_cut_off(chain: list[AuditEntry]) -> None:
    chain[4].delete()
    assert said() == [(NOW.date() + timedelta(days=1), 1, "does not continue the entry before it")]


def test_the_beginning_cannot_be_cut_off(chain: list[AuditEntry]) -> None:
    AuditEntry.objects.filter(chain_day=NOW.date()).delete()
    assert said() == [(NOW.date() + timedelta(days=1), 1, "does not continue the entry before it")]


def test_an_inserted_entry_shows(chain: list[AuditEntry]) -> None:
    for seq in (5, 4, 3):
        AuditEntry.objects.filter(chain_day=NOW.date(), chain_seq=seq).update(chain_seq=seq + 1)
    forged = AuditEntry(
        at=NOW, actor="mallory", action="thing.done", subject_type="thing", subject_id="2b",
        chain_day=NOW.date(), chain_seq=3, previous=chain[1].digest,
    )  # fmt: skip
    forged.save()
    AuditEntry.objects.filter(pk=forged.pk).update(digest=digest_of(AuditEntry.objects.get(pk=forged.pk)))
    assert (NOW.date(), 4, "does not continue the entry before it") in said()


def test_a_cut_end_shows_against_a_head_that_was_kept(chain: list[AuditEntry]) -> None:
    kept = head()
    assert kept is not None
    chain[9].delete()
    assert said() == []
    assert [breach.what for breach in verify_head(*kept)] == ["was the head of the chain once, and is there no more"]


@pytest.fixture
def three_days(chain: list[AuditEntry]) -> list[AuditEntry]:
    """The same, and a third day."""
    at = NOW + timedelta(days=2)
    for number in range(3):
        record(TESTER, "thing.done", subject_type="thing", subject_id=f"third {number}", now=at)
    assert seal(at) == 3
    return list(AuditEntry.objects.all())


def test_each_day_continues_the_day_before(three_days: list[AuditEntry]) -> None:
    assert said() == []
    firsts = [entry for entry in three_days if entry.chain_seq == 1]
    assert [entry.previous for entry in firsts] == ["", three_days[4].digest, three_days[9].digest]


@pytest.mark.parametrize("day", [0, 1])
def test_a_removed_day_shows(three_days: list[AuditEntry], day: int) -> None:
    AuditEntry.objects.filter(chain_day=NOW.date() + timedelta(days=day)).delete()
    assert said() == [(NOW.date() + timedelta(days=day + 1), 1, "does not continue the entry before it")]


def test_a_removed_last_day_shows_against_a_head_that_was_kept(three_days: list[AuditEntry]) -> None:
    kept = head()
    assert kept is not None
    AuditEntry.objects.filter(chain_day=NOW.date() + timedelta(days=2)).delete()
    assert said() == []
    assert [breach.what for breach in verify_head(*kept)] == ["was the head of the chain once, and is there no more"]


def test_an_inserted_day_shows(three_days: list[AuditEntry]) -> None:
    """A whole day that holds in itself and continues the day before, put where there was none."""
    AuditEntry.objects.filter(chain_day=NOW.date() + timedelta(days=2)).update(chain_day=NOW.date() + timedelta(days=3))
    forged = AuditEntry.objects.create(
        at=NOW, actor="mallory", action="thing.done", subject_type="thing", subject_id="x",
        chain_day=NOW.date() + timedelta(days=2), chain_seq=1, previous=three_days[9].digest,
    )  # fmt: skip
    AuditEntry.objects.filter(pk=forged.pk).update(digest=digest_of(AuditEntry.objects.get(pk=forged.pk)))
    assert (NOW.date() + timedelta(days=3), 1, "does not continue the entry before it") in said()


def test_a_day_moved_to_another_date_shows(three_days: list[AuditEntry]) -> None:
    AuditEntry.objects.filter(chain_day=NOW.date()).update(chain_day=NOW.date() - timedelta(days=1))
    assert {what for _day, _seq, what in said()} == {"was changed after it was sealed"}


def test_a_chain_rewritten_from_end_to_end_shows_against_a_head_that_was_kept(three_days: list[AuditEntry]) -> None:
    """Who can write to the database can make every digest fit; not the link that lies elsewhere."""
    kept, previous = head(), ""
    assert kept is not None
    for entry in AuditEntry.objects.order_by("chain_day", "chain_seq"):
        entry.actor, entry.previous = "somebody else", previous
        entry.digest = previous = digest_of(entry)
        entry.save()
    assert said() == []
    assert len(verify_head(*kept)) == 1


def test_entries_torn_out_of_the_chain_and_sealed_again_show(three_days: list[AuditEntry]) -> None:
    """The last two, made unsealed, changed, and left to the sealer."""
    kept = head()
    assert kept is not None
    for entry in three_days[-2:]:
        AuditEntry.objects.filter(pk=entry.pk).update(
            chain_day=None, chain_seq=None, previous="", digest="", actor="somebody else"
        )
    assert seal(NOW + timedelta(days=2)) == 2
    assert said() == []
    assert len(verify_head(*kept)) == 1


def test_an_exported_link_is_signed_and_a_changed_one_refused(chain: list[AuditEntry]) -> None:
    document = export_head(NOW)
    assert document is not None
    assert set(document) == {"day", "number", "digest", "exported_at", "signature"}
    assert read_head(json.dumps(document)) == head()
    for name, value in (
        ("number", 4),
        ("digest", "0" * 64),
        ("day", "2026-11-02"),
        ("signature", "0" * 64),
        ("signature", 7),
    ):
        with pytest.raises(ValueError, match="signature is not ours"):
            read_head(json.dumps(document | {name: value}))
    for wrong in ("{", "yesterday", "{}", '{"day": "2026-11-02"}'):
        with pytest.raises(ValueError, match=r".+"):
            read_head(wrong)


def test_a_clock_that_steps_back_continues_the_later_day(chain: list[AuditEntry]) -> None:
    record(TESTER, "thing.done", subject_type="thing", subject_id="late", now=NOW)
    assert seal(NOW) == 1
    assert head() is not None
    assert head()[:2] == (NOW.date() + timedelta(days=1), 6)  # type: ignore[index]
    assert said() == []


def test_the_command_seals_says_the_head_and_verifies(capital: Tenant, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        out = StringIO()
        call_command("audit", *words, stdout=out)
        return out.getvalue().strip()

    assert run("head") == "The chain is empty."
    with pytest.raises(CommandError, match="no link to export yet"):
        call_command("audit", "export")
    record(TESTER, "thing.done", subject_type="thing", subject_id="1", now=NOW)
    assert run("seal") == "1 entries sealed."
    link = run("head")
    assert run("verify", "--head", link) == "The chain holds."
    with pytest.raises(CommandError, match="day:number:digest"):
        call_command("audit", "verify", "--head", "yesterday")
    file = tmp_path / "head.json"
    file.write_text(run("export"), encoding="utf-8")
    assert run("verify", "--head-file", str(file)) == "The chain holds."
    file.write_text(file.read_text(encoding="utf-8").replace('"number": 1', '"number": 2'), encoding="utf-8")
    with pytest.raises(CommandError, match="no link that this installation exported"):
        call_command("audit", "verify", "--head-file", str(file))
    AuditEntry.objects.update(actor="somebody else")
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "verify", stdout=out)
    assert ended.value.code == 1
    assert "no. 1: was changed after it was sealed\nThe chain does not hold: 1 breaches." in out.getvalue()


def test_what_is_recorded_survives_the_database_unchanged(chain: list[AuditEntry]) -> None:
    assert json.loads(json.dumps(chain[3].after)) == {"number": 3, "이름": "값"}
