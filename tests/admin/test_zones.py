"""Zones in the admin: made, changed, closed and opened by operators, and each deed recorded."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from catalog.audit.models import AuditEntry
from catalog.offerings.models import Plan
from catalog.pool.models import Zone
from catalog.tenancy.models import Tenant, User
from tests.factories import NOW, HostFactory, PlanFactory, ZoneFactory

LIST, ADD = "admin:pool_zone_changelist", "admin:pool_zone_add"
FORM = {
    "slug": "busan", "name_ko": "부산 존", "name_en": "Busan", "kind": "shared", "tenant": "", "admission": "all",
    "data_classes": ["public", "internal"], "wipe_driver": "rack", "driver_options": "{}",
}  # fmt: skip


def signed_in(user: User, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def change(client: Client, zone: Zone, **changes: Any) -> HttpResponse:
    where = reverse("admin:pool_zone_change", args=[zone.pk])
    form = FORM | {"name_ko": zone.name_ko, "name_en": zone.name_en} | changes
    return client.post(where, form)


def test_an_operator_makes_and_changes_a_zone(operator: User, card: Tenant) -> None:
    otto = signed_in(operator)
    form = FORM | {"admission": "chosen", "admitted": [str(card.pk)], "data_classes": ["unique-id", "public"]}
    assert otto.post(reverse(ADD), form).status_code == 302
    zone = Zone.objects.get(slug="busan")
    assert (zone.data_classes, list(zone.admitted.all())) == (["public", "unique-id"], [card])
    Zone.objects.update(worker_seen_at=NOW)
    assert change(otto, zone, data_classes=["public"], admitted=[str(card.pk)], admission="chosen").status_code == 302
    zone.refresh_from_db()
    assert (zone.data_classes, list(zone.admitted.all()), zone.worker_seen_at) == (["public"], [card], NOW)
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "action", "after")) == [
        ("otto", "zone.created", AuditEntry.objects.order_by("id")[0].after),
        ("otto", "zone.changed", {"data_classes": ["public"]}),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_classes": []}, "This field is required."),
        ({"kind": "local"}, "A local zone needs its affiliate; any other zone must have none."),
        ({"kind": "external", "data_classes": ["unique-id"]}, "unless you say so expressly"),
        ({"slug": "zone-a"}, "Zone with this Slug already exists."),
        ({"driver_options": "[1]"}, "Write an object: option → value."),
    ],
)
def test_a_wrong_zone_stays_a_form(changes: dict[str, Any], words: str, zone_a: Zone, operator: User) -> None:
    answer = signed_in(operator).post(reverse(ADD), FORM | changes)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert (Zone.objects.count(), AuditEntry.objects.count()) == (1, 0)


def test_kind_stays_while_hosts_stand_there(zone_a: Zone, operator: User) -> None:
    HostFactory(zone=zone_a)
    entries = AuditEntry.objects.count()
    answer = change(signed_in(operator), zone_a, kind="external")
    assert "Hosts stand in this zone" in answer.content.decode()
    zone_a.refresh_from_db()
    assert (zone_a.kind, AuditEntry.objects.count()) == ("shared", entries)


def act(client: Client, zones: list[Zone], action: str, **more: str) -> HttpResponse:
    return client.post(
        reverse(LIST), {"action": action, "_selected_action": [str(zone.pk) for zone in zones], **more}
    )  # fmt: skip


def test_closing_asks_for_a_reason_first(zone_a: Zone, operator: User) -> None:
    otto, other = signed_in(operator), ZoneFactory(slug="zone-b")
    asked = act(otto, [zone_a, other], "close").content.decode()
    assert "Nothing new is placed in these zones" in asked
    assert 'name="reason"' in asked
    assert Zone.objects.filter(closed_at=None).count() == 2
    done = act(otto, [zone_a], "close", confirmed="yes", reason="")
    assert "Write it in 1 to 300 characters" in str(list(get_messages(done.wsgi_request))[-1])
    act(otto, [zone_a, other], "close", confirmed="yes", reason="new switches")
    assert set(Zone.objects.values_list("closed_reason", flat=True)) == {"new switches"}
    assert "new switches" in otto.get(reverse(LIST), {"closed_at__isempty": "0"}).content.decode()
    assert "Services are placed in these zones again" in act(otto, [zone_a], "open").content.decode()
    act(otto, [zone_a], "open", confirmed="yes")
    zone_a.refresh_from_db()
    assert (zone_a.closed_at, Zone.objects.filter(closed_at=None).count()) == (None, 1)
    assert list(AuditEntry.objects.exclude(action="look").order_by("id").values_list("action", flat=True)) == [
        "zone.closed", "zone.closed", "zone.opened",
    ]  # fmt: skip


def test_it_is_there_in_korean_and_for_superusers(zone_a: Zone) -> None:
    boss = signed_in(User.objects.create_superuser("boss", password="x"), "ko")
    page = boss.get(reverse("admin:pool_zone_change", args=[zone_a.pk])).content.decode()
    for words in ("배치할 수 있는 계열사", "둘 수 있는 데이터", "개인신용정보"):
        assert words in page
    assert "새 서비스에 닫기" in act(boss, [zone_a], "close").content.decode()
    act(boss, [zone_a], "close", confirmed="yes", reason="홍수")
    assert AuditEntry.objects.exclude(action="look").get().actor == "boss"


def test_auditors_only_read(zone_a: Zone, auditor: User) -> None:
    auditor.is_staff = True
    auditor.save()
    audrey = signed_in(auditor)
    assert audrey.get(reverse(LIST)).status_code == 200
    act(audrey, [zone_a], "close", confirmed="yes", reason="x")
    assert change(audrey, zone_a, name_en="mine").status_code == 403
    zone_a.refresh_from_db()
    assert (zone_a.closed_at, zone_a.name_en) == (None, "Zone-A")


def test_a_curator_narrows_the_data_of_a_plan_and_never_widens(catalog_admin: User) -> None:
    cate, plan = signed_in(catalog_admin), PlanFactory()
    where = reverse("admin:offerings_plan_change", args=[plan.pk])
    form = {
        "name_en": plan.name_en, "name_ko": plan.name_ko, "publication": plan.publication,
        "price_krw_month": plan.price_krw_month, "narrowing": "{}", "display_order": plan.display_order,
    }  # fmt: skip

    def kept(*chosen: str) -> tuple[int, list[str]]:
        status = cate.post(where, form | {"data_classes": chosen}).status_code
        return status, Plan.objects.get().data_classes

    assert kept("public", "unique-id") == (200, [])
    assert kept() == (200, [])
    assert kept("public") == (302, ["public"])
    assert AuditEntry.objects.get().after["data_classes"] == ["public"]
    # All of it is kept as nothing: it follows the manifest.
    assert kept("public", "internal") == (302, [])
