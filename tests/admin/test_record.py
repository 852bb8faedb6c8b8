"""Whatever is saved or done in the admin leaves an entry; whoever looks there at what is not theirs, too."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client

from catalog.approvals.models import Decision, Delegation
from catalog.audit.models import AuditEntry
from catalog.audit.site import affiliate_of, of_affiliates
from catalog.instances.models import ServiceInstance
from catalog.ipam import networks
from catalog.leases.models import Lease
from catalog.offerings.models import Offering, Plan
from catalog.orders.models import Order
from catalog.pool import zones
from catalog.pool.models import Host
from catalog.quotas.models import Quota
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from tests.admin.test_pages import ADDABLE, BY_HAND, DELETABLE, OURS, boss, data, signed_in, url
from tests.factories import NOW, TESTER, HostFactory, UserFactory, ZoneFactory

__all__ = ["boss", "data"]

NEW: dict[str, dict[str, Any]] = {
    "user": {"username": "nora", "language": "ko", "usable_password": "true", "password1": "seven-geese-in-a-row",
             "password2": "seven-geese-in-a-row"},
    "tenant": {"slug": "insurance", "name_ko": "보험", "name_en": "Insurance"},
    "project": {"tenant": "capital", "slug": "second", "name": "Second", "environment": "other"},
    "membership": {"username": "cho", "role": "approver", "tenant": "capital", "project": ""},
    "zone": {"slug": "zone-z", "name_ko": "존", "name_en": "Zone", "kind": "shared", "tenant": "", "admission": "all",
             "data_classes": ["public", "internal"], "wipe_driver": "rack", "driver_options": "{}"},
    "trait": {"name": "gpu"},
    "quota": {"tenant": "card", "resource_class": "GPU", "zone": "", "guaranteed": 1, "borrow_limit": 0, "lend_limit": 0},
    "leasepolicy": {"tenant": "card", "longest_seconds": 86_400},
    "vlan": {"zone": "zone-b", "vid": 7, "name": "backup", "tenant": "card"},
    "prefix": {"zone": "zone-b", "cidr": "10.99.0.0/24", "vlan": "", "tenant": "card"},
    "zonenetwork": {"zone": "zone-b", "open_to_anyone": "on", "domain": "", "dns_server": "", "dns_port": 53,
                    "dns_key_name": "", "dns_key_algorithm": "hmac-sha256", "dns_key": ""},
    "approvalrule": {"name": "operators", "active": "on", "priority": 10, "production": "unknown", "who_1": "approver",
                     "people_1": 1},
    "freezewindow": {"reason": "Audit", "active": "on", "deeds": ["create"], "recurrence": "month_end",
                     "working_days": 2, "starts_at_0": "2026-11-01", "starts_at_1": "00:00"},
    "holiday": {"day": "2027-01-01", "name": "New Year"},
}  # fmt: skip
"""Forms of a new row; ``capital``, ``card`` and ``zone-b`` stand for their ids."""
CHANGED: dict[str, dict[str, Any]] = {
    "user": {"first_name": "Dana"}, "tenant": {"name_en": "Other"}, "project": {"name": "Other"},
    "membership": {"ends_at_0": "2099-01-01", "ends_at_1": "00:00:00"}, "zone": {"name_en": "Other"},
    "trait": {"name": "nvme"}, "inventory": {"reserved": 1}, "offering": {"name_en": "Other"},
    "plan": {"price_krw_month": 1}, "quota": {"guaranteed": 999}, "leasepolicy": {"most_extensions": 11},
    "zonenetwork": {"open_to_anyone": "on", "dns_key": ""}, "approvalrule": {"priority": 9, "people_1": 1},
    "freezewindow": {"working_days": 4}, "holiday": {"name": "Other"},
}  # fmt: skip
"""What is changed of a row."""


def test_every_page_that_saves_is_in_the_tables() -> None:
    assert set(NEW) == ADDABLE, "a new page with a form needs one here"
    assert set(CHANGED) == BY_HAND


def entries_after(last: int, actor: str) -> int:
    changes = AuditEntry.objects.filter(pk__gt=last, actor=actor).exclude(action__in=("look", "audit.read"))
    return changes.count()


def last_entry() -> int:
    return AuditEntry.objects.latest("id").pk


def page_of(name: str) -> type[models.Model]:
    return next(model for model in OURS if model._meta.model_name == name)


def _form(page: Any, changed: dict[str, Any]) -> dict[str, Any]:
    """What a browser would send back of an opened page, with ``changed`` filled in."""
    sent: dict[str, Any] = {}
    form = page.context["adminform"].form
    for bound in form:
        widget, value = bound.field.widget, bound.value()
        if hasattr(widget, "widgets"):
            for number, part in enumerate(widget.decompress(value)):
                sent[f"{bound.html_name}_{number}"] = "" if part is None else part
        elif isinstance(value, bool):
            sent |= {bound.html_name: "on"} if value else {}
        elif value is not None:
            sent[bound.html_name] = value
    for inline in page.context["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        sent |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return sent | changed


@pytest.mark.parametrize("name", sorted(NEW))
def test_whatever_is_added_leaves_an_entry(
    name: str, data: Order, boss: Client, card_developer: User, card: Tenant
) -> None:
    zone = ZoneFactory(slug="zone-b")
    ids = {"capital": str(data.tenant_id), "card": str(card.pk), "zone-b": str(zone.pk)}
    form = {key: ids.get(str(value), value) for key, value in NEW[name].items()}
    last = last_entry()
    answer = boss.post(url(page_of(name), "add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    assert "add" not in answer.headers["Location"].rpartition("?")[2]
    assert entries_after(last, "boss") == 1


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_whatever_is_changed_leaves_an_entry(name: str, data: Order, boss: Client) -> None:
    row = page_of(name)._default_manager.order_by("pk").first()
    assert row is not None
    where, last = url(page_of(name), "change", row.pk), last_entry()
    answer = boss.post(where, _form(boss.get(where), CHANGED[name]))
    assert answer.status_code == 302, answer.context["errors"]
    assert entries_after(last, "boss") == 1, name


@pytest.mark.parametrize("name", sorted(DELETABLE))
def test_whatever_is_deleted_leaves_an_entry(name: str, data: Order, boss: Client, card: Tenant) -> None:
    row = page_of(name)._default_manager.order_by("-pk").first()
    assert row is not None
    last = last_entry()
    assert boss.post(url(page_of(name), "delete", row.pk), {"post": "yes"}).status_code == 302
    assert entries_after(last, "boss") == 1


def actions() -> Iterator[tuple[str, str]]:
    """Every action of every page of ours, as somebody with all roles is offered them."""
    for model in OURS:
        page = admin.site._registry[model]
        for name in page.actions or ():
            yield str(model._meta.model_name), str(name if isinstance(name, str) else name.__name__)


def _rows(data: Order) -> dict[tuple[str, str], Any]:
    """For each action a row it succeeds with."""
    zone, lease = Host.objects.get().zone, Lease.objects.get()
    away = Delegation.objects.create(
        person=UserFactory(), delegate=UserFactory(), starts_at=NOW, ends_at=NOW.replace(year=2999), created_at=NOW
    )
    plan, offering = Plan.objects.get(), Offering.objects.get()
    return {
        ("user", "hand_over"): UserFactory(username="lena"),
        ("membership", "end_now"): UserFactory(roles=[(Role.DEVELOPER, data.tenant)]).memberships.get(),
        ("membership", "hand_over"): UserFactory(roles=[(Role.DEVELOPER, data.tenant)]).memberships.get(),
        ("offering", "hide"): offering, ("offering", "publish"): offering,
        ("plan", "hide"): plan, ("plan", "publish"): plan,
        ("lease", "hold"): lease, ("lease", "lift_hold"): lease, ("lease", "recall"): lease,
        ("lease", "cancel_recall"): lease,
        ("host", "enrol"): HostFactory(zone=zone, to=None), ("host", "wipe"): HostFactory(zone=zone),
        ("host", "quarantine"): HostFactory(zone=zone), ("host", "maintenance"): HostFactory(zone=zone),
        ("host", "resume"): HostFactory(zone=zone, to="maintenance"), ("host", "retire"): HostFactory(zone=zone),
        ("zone", "close"): ZoneFactory(),
        ("zone", "open"): zones.close_zone(TESTER, ZoneFactory(), reason="new switches", now=NOW),
        ("vlan", "retire"): networks.register_vlan(TESTER, zone=zone, vid=9, name="old", now=NOW),
        ("prefix", "retire"): networks.register_prefix(TESTER, zone=zone, cidr="10.99.0.0/24", now=NOW),
        ("delegation", "end"): away,
    }  # fmt: skip


def test_every_action_leaves_an_entry(data: Order) -> None:
    roles = [(role, None) for role in (Role.OPERATOR, Role.CATALOG_ADMIN, Role.AUDITOR, Role.GROUP_ADMIN)]
    omni = signed_in(UserFactory(username="omni", is_staff=True, roles=roles))
    rows = _rows(data)
    assert set(actions()) == set(rows), "a new action needs a row it succeeds with"
    for (name, action), row in rows.items():
        last = last_entry()
        form = {
            "action": action, "_selected_action": [str(row.pk)], "confirmed": "yes", "reason": "why", "until": "",
            "successor": "dana", "give_roles": "on",
        }  # fmt: skip
        omni.post(url(page_of(name), "changelist"), form)
        assert entries_after(last, "omni") >= 1, (name, action)


def test_looks_in_the_admin_are_recorded(data: Order, boss: Client) -> None:
    for model in OURS:
        row, name, last = model._default_manager.order_by("-pk").first(), str(model._meta.model_name), last_entry()
        assert row is not None, name
        boss.get(url(model, "changelist"))
        boss.get(url(model, "change", row.pk))
        entries = AuditEntry.objects.filter(actor="boss", id__gt=last)
        if model is AuditEntry:
            assert {entry.action for entry in entries} == {"audit.read"}
            continue
        looked = [(entry.subject_type, entry.subject_id, entry.tenant_id) for entry in entries.order_by("id")]
        expected = [(name, "*", None), (name, str(row.pk), affiliate_of(row))]
        assert looked == (expected if of_affiliates(model) else []), name


def test_rows_of_affiliates_are_told_from_those_of_the_pool(data: Order) -> None:
    own = {str(model._meta.model_name) for model in OURS if of_affiliates(model)}
    assert {"order", "orderevent", "request", "decision", "delegation", "serviceinstance", "servicebinding", "lease",
            "quota", "loan", "user", "membership", "mail", "project", "vlan", "prefix"} <= own  # fmt: skip
    assert own.isdisjoint({"trait", "hostkey", "baseline", "holiday", "zonenetwork", "capacity", "offering", "plan"})
    assert affiliate_of(Decision.objects.get()) == data.tenant_id
    assert affiliate_of(Order.objects.first()) == data.tenant_id  # type: ignore[arg-type]
    assert affiliate_of(Lease.objects.get()) == data.tenant_id
    assert affiliate_of(Project.objects.get()) == data.tenant_id


def test_an_affiliate_admin_looking_at_their_own_is_not_recorded(data: Order, tenant_admin: User) -> None:
    User.objects.filter(pk=tenant_admin.pk).update(is_staff=True)
    tenant_admin.refresh_from_db()
    tara, last = signed_in(tenant_admin), last_entry()
    for model, row in ((Quota, Quota.objects.first()), (Membership, tenant_admin.memberships.get()),
                       (ServiceInstance, ServiceInstance.objects.get(name="loan-db"))):  # fmt: skip
        assert row is not None
        assert tara.get(url(model, "changelist")).status_code == 200
        assert tara.get(url(model, "change", row.pk)).status_code == 200
    assert last_entry() == last
