"""Rules and freezes are curated in the admin; what makes no sense is refused there, and nothing is saved."""

from typing import Any

import pytest
from django.test import Client

from catalog.approvals.models import ApprovalRule, Delegation, FreezeWindow
from catalog.audit.models import AuditEntry
from catalog.tenancy.models import Role, Tenant, User
from tests.factories import NOW, UserFactory

ADD_RULE, ADD_FREEZE = "/admin/approvals/approvalrule/add/", "/admin/approvals/freezewindow/add/"


@pytest.fixture
def cate(catalog_admin: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(catalog_admin)
    return client


def rule(**more: Any) -> dict[str, Any]:
    return {"name": "Two levels", "active": "on", "priority": "10", "production": "unknown", **more}


def test_a_rule_with_levels(cate: Client, operator: User) -> None:
    levels = {"who_1": "approver", "people_1": "2", "who_2": "operator", "price_over_krw": "500000"}
    assert cate.post(ADD_RULE, rule(**levels)).status_code == 302
    row = ApprovalRule.objects.get()
    assert row.steps == [{"who": "approver", "people": 2}, {"who": "operator", "people": 1}]
    page = cate.get("/admin/approvals/approvalrule/").content.decode()
    assert "an approver of the affiliate (2 people) → a pool operator" in page
    assert "it costs more than ₩500,000 a month" in page
    where = f"/admin/approvals/approvalrule/{row.pk}/change/"
    assert cate.post(where, rule(who_1="operator", people_1="1")).status_code == 302
    row.refresh_from_db()
    assert (row.steps, row.price_over_krw) == ([{"who": "operator", "people": 1}], None)
    assert list(AuditEntry.objects.exclude(action="look").order_by("id").values_list("action", flat=True)) == [
        "curation.add",
        "curation.change",
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"who_1": "operator", "people_1": "2"}, "Fewer people hold these roles"),
        ({"who_1": "approver", "people_1": "6"}, "less than or equal to 5"),
        ({"who_1": "approver", "people_1": "0"}, "greater than or equal to 1"),
        ({"people_2": "1"}, "Choose who decides on this level."),
        ({"who_1": "king"}, "not one of the available choices"),
        ({"price_over_krw": "-1"}, "greater than or equal to 0"),
        ({"price_over_krw": "1000000000001"}, "Choose a price from 0 to 1,000,000,000,000 KRW"),
        ({"priority": "-5"}, "greater than or equal to 0"),
    ],
)
def test_a_rule_that_makes_no_sense(cate: Client, operator: User, values: dict[str, str], said: str) -> None:
    answer = cate.post(ADD_RULE, rule(**values))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert (ApprovalRule.objects.count(), AuditEntry.objects.count()) == (0, 0)


def freeze(**more: Any) -> dict[str, Any]:
    return {
        "reason": "Closing", "active": "on", "deeds": ["create"], "recurrence": "month_end", "working_days": "3",
        "starts_at_0": "2026-11-01", "starts_at_1": "00:00", **more,
    }  # fmt: skip


def test_a_freeze(cate: Client) -> None:
    assert cate.post(ADD_FREEZE, freeze()).status_code == 302
    row = FreezeWindow.objects.get()
    assert (row.deeds, row.recurrence, row.working_days) == (["create"], "month_end", 3)
    assert "the last working days of every month" in cate.get("/admin/approvals/freezewindow/").content.decode()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"deeds": []}, "Choose what waits."),
        ({"working_days": ""}, "Choose 1 to 20 working days."),
        ({"recurrence": "once"}, "A freeze that does not recur has an end."),
        ({"recurrence": "weekly"}, "A weekly freeze needs this."),
        ({"ends_at_0": "2026-10-01", "ends_at_1": "00:00"}, "The end lies before the beginning."),
    ],
)
def test_a_freeze_that_makes_no_sense(cate: Client, values: dict[str, Any], said: str) -> None:
    answer = cate.post(ADD_FREEZE, freeze(**values))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert (FreezeWindow.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_a_group_admin_ends_a_delegation(approver: User, developer: User, capital: Tenant) -> None:
    given = Delegation.objects.create(
        person=approver,
        delegate=developer,
        tenant=capital,
        starts_at=NOW,
        ends_at=NOW.replace(year=2999),
        created_at=NOW,
    )
    client = Client(headers={"accept-language": "en"})
    client.force_login(UserFactory(username="gina", is_staff=True, roles=[(Role.GROUP_ADMIN, None)]))
    body = {"action": "end", "_selected_action": [str(given.pk)]}
    assert client.post("/admin/approvals/delegation/", body).status_code == 302
    given.refresh_from_db()
    assert given.ends_at.year < 2999
    assert AuditEntry.objects.get(action="delegation.ended").actor == "gina"
