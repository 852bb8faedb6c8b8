"""The chain shows every change of the past."""

import json
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from catalog.audit.models import AuditEntry
from catalog.audit.services import digest_of, head, record, seal, verify, verify_head
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


def test_a_clock_that_steps_back_continues_the_later_day(chain: list[AuditEntry]) -> None:
    record(TESTER, "thing.done", subject_type="thing", subject_id="late", now=NOW)
    assert seal(NOW) == 1
    assert head() is not None
    assert head()[:2] == (NOW.date() + timedelta(days=1), 6)  # type: ignore[index]
    assert said() == []


def test_the_command_seals_says_the_head_and_verifies(capital: Tenant) -> None:
    def run(*words: str) -> str:
        out = StringIO()
        call_command("audit", *words, stdout=out)
        return out.getvalue().strip()

    assert run("head") == "The chain is empty."
    record(TESTER, "thing.done", subject_type="thing", subject_id="1", now=NOW)
    assert run("seal") == "1 entries sealed."
    link = run("head")
    assert run("verify", "--head", link) == "The chain holds."
    with pytest.raises(CommandError, match="day:number:digest"):
        call_command("audit", "verify", "--head", "yesterday")
    AuditEntry.objects.update(actor="somebody else")
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "verify", stdout=out)
    assert ended.value.code == 1
    assert "no. 1: was changed after it was sealed\nThe chain does not hold: 1 breaches." in out.getvalue()


def test_what_is_recorded_survives_the_database_unchanged(chain: list[AuditEntry]) -> None:
    assert json.loads(json.dumps(chain[3].after)) == {"number": 3, "이름": "값"}
