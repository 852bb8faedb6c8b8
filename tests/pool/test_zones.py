"""Zones as operators make and change them, and what is known of the workers in them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from catalog.audit.models import AuditEntry
from catalog.common.data import DataClass, in_order
from catalog.common.errors import DomainError
from catalog.pool import zones
from catalog.pool.models import WorkerState, Zone
from catalog.pool.selectors import zones_for
from catalog.pool.workers import note_workers, silence
from catalog.tenancy.models import Tenant, User
from tests.factories import NOW, TESTER, HostFactory, ZoneFactory, acting

NAMES = {"name_ko": "부산 존", "name_en": "Busan"}
ORDINARY = ["public", "internal"]


def entries() -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    rows = AuditEntry.objects.filter(subject_type="zone").order_by("id")
    return list(rows.values_list("actor", "action", "before", "after"))


def test_an_operator_makes_a_zone_and_it_is_recorded(operator: User, capital: Tenant, card: Tenant) -> None:
    zone = zones.create_zone(
        acting(operator), slug="busan", now=NOW, **NAMES, kind=Zone.Kind.LOCAL, tenant=capital, admitted=[card],
        data_classes=["unique-id", "internal"], driver_options={"token": "t0p-secret"},
    )  # fmt: skip
    zone.refresh_from_db()
    assert (zone.slug, zone.kind, zone.tenant, zone.data_classes) == (
        "busan",
        "local",
        capital,
        ["internal", "unique-id"],
    )
    assert list(zone.admitted.all()) == [card]
    ((actor, action, before, after),) = entries()
    assert (actor, action, before) == ("otto", "zone.created", {})
    assert (after["tenant"], after["admitted"], after["driver_options"]) == ("capital", ["card"], ["token"])
    assert "t0p-secret" not in str(after)


@pytest.mark.parametrize(
    ("terms", "code", "field"),
    [
        ({"slug": "zone-a"}, "zone-slug-taken", "slug"),
        ({"slug": "Not a name"}, "invalid-input", "slug"),
        ({"name_ko": ""}, "invalid-input", "name_ko"),
        ({"kind": "cloudy"}, "invalid-input", "kind"),
        ({"kind": "local"}, "invalid-input", "tenant"),
        ({"admission": "some"}, "invalid-input", "admission"),
        ({"data_classes": []}, "invalid-input", "data_classes"),
        ({"data_classes": "public"}, "invalid-input", "data_classes"),
        ({"data_classes": ["public", "secret"]}, "invalid-input", "data_classes"),
        ({"data_classes": [["public"]]}, "invalid-input", "data_classes"),
        ({"driver_options": ["a"]}, "invalid-input", "driver_options"),
        ({"kind": "external", "data_classes": ["public", "unique-id"]}, "protected-data-outside", "data_classes"),
    ],
)
def test_a_wrong_zone_is_refused(zone_a: Zone, terms: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(DomainError) as refused, transaction.atomic():
        zones.create_zone(TESTER, now=NOW, **({"slug": "busan"} | NAMES | terms))
    assert (refused.value.code, list(refused.value.fields)) == (code, [field])
    assert (Zone.objects.count(), entries()) == (1, [])


def test_a_shared_zone_has_no_affiliate(capital: Tenant) -> None:
    with pytest.raises(DomainError) as refused:
        zones.create_zone(TESTER, slug="busan", now=NOW, **NAMES, tenant=capital)
    assert (refused.value.code, list(refused.value.fields)) == ("invalid-input", ["tenant"])


def test_protected_data_leaves_the_group_only_by_an_express_word(db: None) -> None:
    everything = list(DataClass.values)
    zone = zones.create_zone(
        TESTER, slug="cloud", now=NOW, **NAMES, kind="external", data_classes=everything, protected_outside=True
    )
    assert [each for each in everything if zone.holds(each)] == everything
    with pytest.raises(DomainError) as refused:
        zones.change_zone(TESTER, zone, now=NOW, protected_outside=False)
    assert refused.value.code == "protected-data-outside"
    # Even a row that somebody wrote by other means holds none without the word.
    Zone.objects.update(protected_outside=False)
    zone.refresh_from_db()
    assert [each for each in everything if zone.holds(each)] == ORDINARY


def test_a_change_is_recorded_with_what_changed_and_touches_nothing_else(zone_a: Zone, operator: User) -> None:
    Zone.objects.update(worker_seen_at=NOW, worker_state=WorkerState.LIVE)
    actor = acting(operator)
    zones.change_zone(actor, zone_a, now=NOW, data_classes=["internal"], name_en="A")
    zones.change_zone(actor, zone_a, now=NOW, name_en="A")
    zone_a.refresh_from_db()
    assert (zone_a.data_classes, zone_a.name_en, zone_a.worker_seen_at) == (["internal"], "A", NOW)
    assert entries() == [
        (
            "otto", "zone.changed", {"data_classes": ORDINARY, "name_en": "Zone-A"},
            {"data_classes": ["internal"], "name_en": "A"},
        )
    ]  # fmt: skip


def test_guests_alone_can_be_changed(zone_a: Zone, card: Tenant) -> None:
    zones.change_zone(TESTER, zone_a, now=NOW, admitted=[card], admission="chosen")
    zones.change_zone(TESTER, zone_a, now=NOW, admitted=[])
    assert [(before.get("admitted"), after.get("admitted")) for _a, _b, before, after in entries()] == [
        ([], ["card"]), (["card"], []),
    ]  # fmt: skip


def test_kind_and_affiliate_stay_while_hosts_stand_there(zone_a: Zone, capital: Tenant) -> None:
    HostFactory(zone=zone_a)
    with pytest.raises(DomainError) as refused:
        zones.change_zone(TESTER, zone_a, now=NOW, kind="local", tenant=capital)
    assert refused.value.code == "zone-in-use"
    zone_a.refresh_from_db()
    assert (zone_a.kind, entries()) == ("shared", [])


def test_closed_for_a_reason_and_opened_again(zone_a: Zone, operator: User) -> None:
    actor = acting(operator)
    for wrong in ("", "  ", "x" * 301):
        with pytest.raises(DomainError) as refused:
            zones.close_zone(actor, zone_a, reason=wrong, now=NOW)
        assert refused.value.code == "zone-reason-missing"
    with pytest.raises(DomainError) as refused:
        zones.open_zone(actor, zone_a, now=NOW)
    assert refused.value.code == "zone-already-open"
    assert entries() == []
    closed = zones.close_zone(actor, zone_a, reason=" new switches ", now=NOW)
    assert (closed.closed_at, closed.closed_reason) == (NOW, "new switches")
    with pytest.raises(DomainError) as refused:
        zones.close_zone(actor, zone_a, reason="again", now=NOW)
    assert refused.value.code == "zone-already-closed"
    zones.open_zone(actor, zone_a, now=NOW + timedelta(hours=1))
    zone_a.refresh_from_db()
    assert (zone_a.closed_at, zone_a.closed_reason) == (None, "")
    assert [(row[0], row[1]) for row in entries()] == [("otto", "zone.closed"), ("otto", "zone.opened")]


def test_only_operators_touch_zones(zone_a: Zone, developer: User, catalog_admin: User, auditor: User) -> None:
    for person in (developer, catalog_admin, auditor):
        actor = acting(person)
        for deed in (
            lambda by: zones.create_zone(by, slug="busan", now=NOW, **NAMES),
            lambda by: zones.change_zone(by, zone_a, now=NOW, name_en="mine"),
            lambda by: zones.close_zone(by, zone_a, reason="x", now=NOW),
            lambda by: zones.open_zone(by, zone_a, now=NOW),
        ):
            with pytest.raises(DomainError) as refused:
                deed(actor)
            assert refused.value.code == "forbidden"
    assert (Zone.objects.get().name_en, entries()) == ("Zone-A", [])


def test_the_database_itself_wants_a_reason(zone_a: Zone) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Zone.objects.update(closed_at=NOW)


def test_people_see_the_zones_that_admit_their_affiliate(
    developer: User, operator: User, capital: Tenant, card: Tenant
) -> None:
    ZoneFactory(slug="everybody")
    chosen = ZoneFactory(slug="chosen-us", admission="chosen")
    chosen.admitted.set([capital])
    ZoneFactory(slug="chosen-them", admission="chosen").admitted.set([card])
    ZoneFactory(slug="own", kind="local", tenant=capital)
    ZoneFactory(slug="theirs", kind="local", tenant=card)
    ZoneFactory(slug="guests", kind="local", tenant=card).admitted.set([capital, card])
    seen = [zone.slug for zone in zones_for(acting(developer))]
    assert seen == ["chosen-us", "everybody", "guests", "own"]
    assert zones_for(acting(operator)).count() == 6


def test_kinds_of_data_are_ordered_and_known() -> None:
    assert in_order(["unique-id", "public", "public"]) == ["public", "unique-id"]
    with pytest.raises(ValueError, match="secret"):
        in_order(["secret"])


def test_a_zone_is_silent_when_its_workers_are_and_only_then(zone_a: Zone, settings: Any) -> None:
    settings.WORKER_SILENT_SECONDS = 90
    never = ZoneFactory(slug="zone-never")
    assert silence(zone_a) is None, "nobody has looked"
    assert note_workers({"zone-a": NOW, "elsewhere": NOW}, now=NOW) == {"zone-a": "live", "zone-never": "silent"}
    later = NOW + timedelta(seconds=90)
    assert note_workers({"zone-a": NOW}, now=later) == {}
    assert note_workers({"zone-a": NOW}, now=later + timedelta(seconds=1)) == {"zone-a": "silent"}
    # Prefect forgot the worker; we have not.
    assert note_workers({}, now=later + timedelta(seconds=2)) == {}
    zone_a.refresh_from_db()
    never.refresh_from_db()
    assert (zone_a.worker_state, zone_a.worker_seen_at) == ("silent", NOW)
    assert silence(zone_a) == "The zone's worker has been silent since 2 Nov 2026, 18:00."
    assert silence(never) == "No worker has served this zone yet."
    assert note_workers({"zone-a": later}, now=later) == {"zone-a": "live"}
    zone_a.refresh_from_db()
    assert silence(zone_a) is None
