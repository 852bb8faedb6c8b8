"""Every page of the admin opens, and only what is meant to be changed by hand can be."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db import connection, models
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from catalog.approvals.models import ApprovalRule, Decision, Delegation, FreezeWindow, Holiday, Request
from catalog.audit.models import AuditEntry
from catalog.common import clock
from catalog.health.models import Health
from catalog.instances.models import ServiceBinding, ServiceInstance, ServiceLink
from catalog.ipam import networks
from catalog.ipam.models import IPAddress, ZoneNetwork
from catalog.leases.models import LeasePolicy
from catalog.mail.services import write
from catalog.offerings.models import Offering, OfferingFolder, Plan
from catalog.orders.models import Order, OrderFinding
from catalog.placement.market import reprice
from catalog.placement.models import Allocation
from catalog.pool.models import Host, Inventory
from catalog.quotas.counts import measure
from catalog.quotas.models import Loan, Quota, Recall
from catalog.tenancy.admin import MOST_COUNTED
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from tests.api.conftest import Caller, build, wanted
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, UserFactory
from tests.ipam.test_networks import SECRET, SERVER

MOST_QUERIES = 12
BY_HAND = {
    "user", "tenant", "project", "membership", "zone", "trait", "inventory", "offering", "plan", "quota", "leasepolicy",
    "zonenetwork", "approvalrule", "freezewindow", "holiday",
}  # fmt: skip
DELETABLE = {"quota", "leasepolicy", "approvalrule", "freezewindow", "holiday"}
ADDABLE = {
    "user", "tenant", "project", "membership", "zone", "trait", "quota", "leasepolicy", "vlan", "prefix", "zonenetwork",
    "approvalrule", "freezewindow", "holiday",
}  # fmt: skip

OURS = [model for model in admin.site._registry if model.__module__.startswith("catalog.")]


@pytest.fixture
def data(developer: User, approver: User, loan: Project, zone_a: Any) -> Order:
    """A row in every table."""
    HostFactory(zone=zone_a, traits=["ssd"])
    PlanFactory()
    networks.register_vlan(TESTER, zone=zone_a, vid=7, name="services", now=NOW)
    networks.set_zone_network(TESTER, zone_a, open_to_anyone=False, names=SERVER, now=NOW)
    order = Order.objects.get(pk=Caller(developer).post("/orders", wanted()).json()["id"])
    build(order.pk)
    asked = Request.objects.create(
        subject_type="order", subject_id=order.pk, tenant=order.tenant, title="x", deed="create", content_hash="0" * 64,
        steps=[{"who": "approver", "people": 1}], who="approver", opened_at=NOW, closed_at=NOW, outcome="approved",
    )  # fmt: skip
    said = {"level": 1, "verdict": "approved", "content_hash": "0" * 64, "decided_at": NOW}
    Decision.objects.create(request=asked, decided_by=approver, **said)
    ApprovalRule.objects.create(name="rule", tenant=order.tenant, steps=[{"who": "approver", "people": 2}])
    FreezeWindow.objects.create(
        reason="Closing", deeds=["create"], recurrence="month_end", working_days=3, starts_at=NOW
    )
    Holiday.objects.create(day=NOW.date(), name="Day off")
    Delegation.objects.create(
        person=approver, delegate=developer, tenant=order.tenant, starts_at=NOW, ends_at=NOW, created_at=NOW
    )
    instance = ServiceInstance.objects.get()
    consumer = InstanceFactory(project=loan, plan=order.plan)
    ServiceLink.objects.create(consumer=consumer, provider=instance, alias="DB", created_at=NOW)
    measure(NOW)
    reprice(NOW)
    recall = Recall.objects.create(
        owner=order.tenant, order_id=order.pk, zone=zone_a, wanted={"VCPU": 1}, asked_at=NOW, room_at=NOW, ended_at=NOW
    )
    Loan.objects.create(
        borrower=order.tenant, instance=instance, zone=zone_a, resource_class="VCPU", amount=1, began_at=NOW,
        recall=recall, ended_at=NOW,
    )  # fmt: skip
    LeasePolicy.objects.create(most_extensions=12)
    write(developer, subject="News", body="Text.", subject_type="test", subject_id="1", now=NOW)
    Health.objects.create(instance=instance, next_at=NOW)
    OrderFinding.objects.create(order=order, at=NOW, content={"diagnosis": {}})
    lease = instance.lease
    lease.events.create(seq=1000, at=NOW, kind="note", actor="x")
    return order


@pytest.fixture
def boss(db: None) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def signed_in(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def url(model: type[models.Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_of_ours_has_a_page() -> None:
    ours = {model for model in apps.get_models() if model.__module__.startswith("catalog.")}
    assert ours - {OfferingFolder} == set(OURS), "what is in a folder stands on the page of its version"


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_models_have_names_in_both_languages(model: type[models.Model]) -> None:
    names = {}
    for language in ("en", "ko"):
        with translation.override(language):
            meta = model._meta
            names[language] = (str(meta.verbose_name), str(meta.verbose_name_plural), str(meta.app_config.verbose_name))
    assert all(name.isascii() for name in names["en"])
    assert all(re.search("[가-힣]", name) for name in names["ko"]), names["ko"]


def test_pages_open(data: Order, boss: Client) -> None:
    """One test, because to make a row in every table costs as much as to open all pages of five of them."""
    for model in OURS:
        name = str(model._meta.model_name)
        row = model._default_manager.order_by("-pk").first()
        assert row is not None, f"the fixture makes one of each, and no {name}"
        with CaptureQueriesContext(connection) as queries:
            assert boss.get(url(model, "changelist")).status_code == 200, name
        assert len(queries) <= 15, name
        if model._default_manager and admin.site._registry[model].search_fields:
            assert boss.get(url(model, "changelist"), {"q": "a"}).status_code == 200, name
        page = boss.get(url(model, "change", row.pk))
        assert page.status_code == 200, name
        assert (b'name="_save"' in page.content) is (name in BY_HAND), name
        assert boss.get(url(model, "add")).status_code == (200 if name in ADDABLE else 403), name
        assert boss.get(url(model, "delete", row.pk)).status_code == (200 if name in DELETABLE else 403), name
        if name not in BY_HAND:
            assert boss.post(url(model, "change", row.pk), {"state": "available"}).status_code == 403, name


def test_lists_ask_the_database_as_often_whatever_the_data(data: Order, boss: Client, zone_a: Any) -> None:
    """And never how many rows there are in all, nor which values a column has: both look at every row."""
    lists = [Host, Inventory, Allocation, Order, ServiceInstance, AuditEntry, Membership, IPAddress]

    def costs() -> dict[str, int]:
        counted = {}
        for model in lists:
            boss.get(url(model, "changelist"))
            with CaptureQueriesContext(connection) as queries:
                assert boss.get(url(model, "changelist")).status_code == 200
            counted[str(model._meta.model_name)] = len(queries)
            for query in queries.captured_queries:
                sql = query["sql"].upper()
                assert "COUNT(*)" not in sql or f"LIMIT {MOST_COUNTED}" in sql, sql
                assert "DISTINCT" not in sql, sql
        return counted

    few = costs()
    for number in range(6):
        HostFactory(zone=zone_a, traits=["ssd"])
        caller = Caller(UserFactory(username=f"worker-{number}", roles=[(Role.DEVELOPER, data.tenant)]))
        assert caller.post("/orders", wanted(name=f"more-{number}")).status_code == 201
    assert costs() == few
    assert max(few.values()) <= MOST_QUERIES, few


@pytest.mark.parametrize(
    ("model", "term", "found"),
    [
        (Host, "zone-a-0", True), (Host, "10.0.0.11", True), (Host, "10.0.0.1x", False), (Host, "capital", True),
        (Host, "one-a", False), (Inventory, "zone-a-001", True), (Inventory, "nowhere", False),
        (Allocation, "zone-a-001", True), (Allocation, "loan-db", True), (Order, "loan-", True), (Order, "dana", True),
        (ServiceInstance, "loan-db", True), (ServiceInstance, "capital", True), (AuditEntry, "dana", True),
        (AuditEntry, "order.fulfilled", True), (AuditEntry, "dan", False), (IPAddress, "10.0.0.11", True),
    ],
)  # fmt: skip
def test_searches_find_what_begins_so(
    model: type[models.Model], term: str, found: bool, data: Order, boss: Client
) -> None:
    changelist = boss.get(url(model, "changelist"), {"q": term}).context["cl"]
    assert bool(changelist.result_count) is found
    assert len(changelist.result_list) == changelist.result_count


def test_filters_offer_what_one_looks_for_and_the_rest(data: Order, boss: Client) -> None:
    def classes(value: str) -> set[str]:
        page = boss.get(url(Inventory, "changelist"), {"resource_class": value})
        return {row.resource_class for row in page.context["cl"].result_list}

    Inventory.objects.create(host=Host.objects.get(), zone=Host.objects.get().zone, resource_class="GPU", total=1)
    assert (classes("VCPU"), classes("others"), len(classes("nonsense"))) == ({"VCPU"}, {"GPU"}, 4)


def test_a_list_counts_no_further_than_it_can_be_paged_through(data: Order, boss: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("catalog.tenancy.admin.MOST_COUNTED", 2)
    changelist = boss.get(url(AuditEntry, "changelist")).context["cl"]
    assert AuditEntry.objects.count() > 2
    assert changelist.result_count == 2


def test_no_page_shows_a_secret(data: Order, boss: Client) -> None:
    binding = ServiceBinding.objects.get()
    page = boss.get(url(ServiceBinding, "change", binding.pk)).content.decode()
    assert binding.secret not in page
    assert binding.public["username"] in page
    network = ZoneNetwork.objects.get()
    page = boss.get(url(ZoneNetwork, "change", network.pk)).content.decode()
    assert network.dns_key not in page
    assert SECRET not in page


def test_index_and_sign_in_wear_our_skin(boss: Client) -> None:
    assert "pumasi/admin.css" in boss.get("/admin/").content.decode()
    page = Client().get("/admin/login/").content.decode()
    assert "Pumasi" in page
    assert "style=" not in page
    assert "<script>" not in page


def test_membership_opens_pages_and_staff_alone_does_not(data: Order, catalog_admin: User, operator: User) -> None:
    clerk = signed_in(UserFactory(username="clerk", is_staff=True))
    cate, otto = signed_in(catalog_admin), signed_in(operator)

    def opens(client: Client) -> set[str]:
        return {
            str(model._meta.model_name) for model in OURS if client.get(url(model, "changelist")).status_code == 200
        }

    assert opens(clerk) == set()
    assert opens(cate) == {"approvalrule", "freezewindow", "holiday", "leasepolicy", "offering", "plan"}
    assert {"host", "job", "order", "zone", "vlan", "prefix", "zonenetwork"} <= opens(otto)
    assert "auditentry" not in opens(otto)
    person = User.objects.get(username="dana")
    assert otto.post(url(User, "change", person.pk), {"is_superuser": "on"}).status_code == 403


def test_curator_publishes_hides_and_it_is_recorded(data: Order, catalog_admin: User) -> None:
    cate, plan = signed_in(catalog_admin), Plan.objects.get()
    cate.post(url(Plan, "changelist"), {"action": "hide", "_selected_action": [str(plan.pk)]})
    plan.refresh_from_db()
    assert plan.publication == "hidden"
    entry = AuditEntry.objects.get(action="curation.change", subject_id=str(plan.pk))
    assert (entry.actor, entry.before, entry.after) == ("cate", {"publication": "published"}, {"publication": "hidden"})
    cate.post(url(Offering, "changelist"), {"action": "publish", "_selected_action": [str(plan.offering_id)]})
    assert AuditEntry.objects.filter(action="curation.change").count() == 1, "it was published already"


def _edit(client: Client, plan: Plan, **changes: Any) -> HttpResponse:
    form = {
        "name_en": plan.name_en, "name_ko": plan.name_ko, "publication": plan.publication,
        "price_krw_month": plan.price_krw_month, "narrowing": "{}", "display_order": plan.display_order,
        "data_classes": ["public", "internal"],
    }  # fmt: skip
    return client.post(url(Plan, "change", plan.pk), form | changes)


def test_curator_narrows_but_never_widens(data: Order, catalog_admin: User) -> None:
    cate, plan = signed_in(catalog_admin), Plan.objects.get()
    for wrong in (
        '{"fsync": {"maximum": 1}}',
        '{"max_connections": {"pattern": "x"}}',
        "[]",
        '{"max_connections": {"maximum": 1}}',
    ):
        answer = _edit(cate, plan, narrowing=wrong)
        assert answer.status_code == 200, wrong
        assert "narrowing" in answer.context["adminform"].form.errors
    assert (
        _edit(cate, plan, narrowing='{"max_connections": {"maximum": 30}}', price_krw_month=50_000).status_code == 302
    )
    plan.refresh_from_db()
    assert (plan.narrowing, plan.price_krw_month) == ({"max_connections": {"maximum": 30}}, 50_000)
    entry = AuditEntry.objects.get(action="curation.change")
    assert (entry.before["price_krw_month"], entry.after["price_krw_month"]) == (42_000, 50_000)


def test_only_what_was_changed_is_written(data: Order, boss: Client) -> None:
    inventory = Inventory.objects.get(resource_class="VCPU")
    assert inventory.used == 1
    answer = boss.post(url(Inventory, "change", inventory.pk), {"reserved": 2, "allocation_ratio": 100})
    assert answer.status_code == 302
    inventory.refresh_from_db()
    assert (inventory.reserved, inventory.used, inventory.free) == (2, 1, 5)
    assert (
        boss.post(url(Inventory, "change", inventory.pk), {"reserved": 8, "allocation_ratio": 100}).status_code == 200
    )
    assert (
        boss.post(url(Inventory, "change", inventory.pk), {"reserved": 9, "allocation_ratio": 100}).status_code == 200
    )
    inventory.refresh_from_db()
    assert inventory.reserved == 2


def _act(client: Client, host: Host, action: str) -> str:
    form = {"action": action, "_selected_action": [str(host.pk)]}
    host.refresh_from_db()
    before = (host.state, AuditEntry.objects.count())
    asked = client.post(url(Host, "changelist"), form)
    if asked.status_code == 200:
        assert host.name in asked.content.decode(), "what it is going to be done to is shown first"
    host.refresh_from_db()
    assert (host.state, AuditEntry.objects.count()) == before, "and nothing is done before it is confirmed"
    answer = client.post(url(Host, "changelist"), form | {"confirmed": "yes"})
    return str(list(get_messages(answer.wsgi_request))[-1])


def test_operator_acts_on_hosts_and_hears_why_not(
    zone_a: Any, operator: User, second_operator: User, data: Order, boss: Client
) -> None:
    used, free = Host.objects.get(), HostFactory(zone=zone_a)
    otto, olga = signed_in(operator), signed_in(second_operator)
    assert "still on this host" in _act(otto, used, "wipe")
    assert "maintenance" in _act(otto, free, "maintenance")
    assert "wiping" in _act(otto, free, "resume")
    assert "quarantined" in _act(otto, used, "quarantine")
    assert "second operator" in _act(otto, used, "wipe")
    assert "second operator" in _act(otto, used, "wipe")
    used.refresh_from_db()
    assert used.state == "quarantined"
    assert "wiping" in _act(olga, used, "wipe")
    assert "You may not do this" in _act(boss, free, "retire")


def test_roles_are_granted_recorded_and_fit_their_scope(data: Order, boss: Client, capital: Tenant) -> None:
    person = UserFactory(username="newcomer")
    add = {"username": "newcomer", "role": Role.OPERATOR, "tenant": str(capital.pk), "project": ""}
    wrong = boss.post(url(Membership, "add"), add)
    assert wrong.status_code == 200
    assert "group role must have none" in wrong.content.decode()
    stranger = boss.post(url(Membership, "add"), add | {"username": "nobody", "role": Role.DEVELOPER})
    assert "no active person of that name" in stranger.content.decode()
    assert not AuditEntry.objects.filter(action="membership.grant").exists()
    ends = clock.now() + timedelta(days=1)
    form = add | {
        "role": Role.DEVELOPER,
        "ends_at_0": ends.strftime("%Y-%m-%d"),
        "ends_at_1": ends.strftime("%H:%M:%S"),
    }
    assert boss.post(url(Membership, "add"), form).status_code == 302
    granted = Membership.objects.get(user=person)
    entry = AuditEntry.objects.get(action="membership.grant")
    assert (entry.actor, entry.after["role"], entry.tenant_id) == ("boss", "developer", capital.pk)
    form = {"action": "end_now", "_selected_action": [str(granted.pk)]}
    assert "newcomer developer @ capital" in boss.post(url(Membership, "changelist"), form).content.decode()
    boss.post(url(Membership, "changelist"), form | {"confirmed": "yes"})
    granted.refresh_from_db()
    assert granted.ends_at is not None
    assert granted.ends_at <= clock.now()
    assert AuditEntry.objects.filter(action="membership.end", subject_id=str(granted.pk)).count() == 1
    assert LogEntry.objects.exists()


def test_new_person_and_password_are_recorded_without_the_password(db: None, boss: Client) -> None:
    secret = "seven-geese-in-a-row"
    form = {"username": "nora", "language": "ko", "usable_password": "true", "password1": secret, "password2": secret}
    assert boss.post(url(User, "add"), form).status_code == 302
    nora = User.objects.get(username="nora")
    assert nora.check_password(secret)
    other = "eight-owls-on-a-log"
    where = reverse("admin:auth_user_password_change", args=[nora.pk])
    assert boss.post(where, {"usable_password": "true", "password1": other, "password2": other}).status_code == 302
    nora.refresh_from_db()
    assert nora.check_password(other)
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["curation.add", "curation.password"]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_quota_is_set_by_operators(capital: Tenant, operator: User) -> None:
    quota = Quota.objects.get(tenant=capital, resource_class="VCPU")
    form = {"tenant": str(capital.pk), "resource_class": "VCPU", "guaranteed": 7, "borrow_limit": 3, "lend_limit": 2}
    assert signed_in(operator).post(url(Quota, "change", quota.pk), form).status_code == 302
    quota.refresh_from_db()
    assert (quota.guaranteed, quota.borrow_limit, quota.lend_limit) == (7, 3, 2)
    entry = AuditEntry.objects.get(action="quota.set", subject_id=str(quota.pk))
    assert (entry.actor, entry.before["guaranteed"], entry.after["guaranteed"]) == (operator.username, 1000, 7)


def test_a_quota_in_use_is_neither_lowered_nor_deleted(data: Order, operator: User) -> None:
    quota = Quota.objects.get(tenant=data.tenant, resource_class="VCPU")
    otto = signed_in(operator)
    page = otto.post(
        url(Quota, "change", quota.pk), {"guaranteed": 0, "borrow_limit": 0, "lend_limit": 0}, follow=True
    ).content.decode()
    assert "uses more than that now" in page
    answer = otto.post(url(Quota, "delete", quota.pk), {"post": "yes"}, follow=True)
    assert "uses more than that now" in answer.content.decode()
    quota.refresh_from_db()
    assert quota.guaranteed == 1000
    assert not AuditEntry.objects.filter(action__startswith="quota.").exists()
