"""An affiliate's administrator at the admin: what is theirs, and nothing else. And handing over there."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from catalog.audit.models import AuditEntry
from catalog.instances.models import ServiceInstance
from catalog.leases.models import LeasePolicy
from catalog.orders.models import Order
from catalog.quotas.models import Quota
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from tests.admin.test_pages import OURS, signed_in, url
from tests.factories import UserFactory

OPENED = {"project", "membership", "quota", "leasepolicy", "order", "serviceinstance"}


@pytest.fixture
def tara(tenant_admin: User) -> Client:
    User.objects.filter(pk=tenant_admin.pk).update(is_staff=True)
    tenant_admin.refresh_from_db()
    return signed_in(tenant_admin)


def said(answer: HttpResponse) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_the_pages_of_an_affiliate_show_what_is_its_own(
    running: ServiceInstance, tara: Client, points: Project, card: Tenant
) -> None:
    UserFactory(username="cardinal", roles=[(Role.DEVELOPER, card)])
    LeasePolicy.objects.create(tenant=card, most_extensions=3)
    theirs = (points, card.memberships.get(), Quota.objects.filter(tenant=card).first(), LeasePolicy.objects.get())
    opened = {str(model._meta.model_name) for model in OURS if tara.get(url(model, "changelist")).status_code == 200}
    assert opened == OPENED
    for model in (Project, Membership, Quota, LeasePolicy, Order, ServiceInstance):
        page = tara.get(url(model, "changelist"), headers={"accept-language": "en"}).content.decode()
        assert "card" not in page.split('id="content"')[1], model
        assert "points" not in page, model
    for row in theirs:
        assert row is not None
        answer = tara.get(url(type(row), "change", row.pk))
        assert answer.status_code == 302, "as one that does not exist"


def test_an_affiliate_admin_makes_projects_and_members_of_their_own(
    running: ServiceInstance, tara: Client, capital: Tenant, card: Tenant
) -> None:
    form = {"tenant": str(capital.pk), "slug": "second", "name": "Second", "environment": "other", "ends_on": ""}
    assert tara.post(url(Project, "add"), form).status_code == 302
    made = Project.objects.get(slug="second")
    assert AuditEntry.objects.get(action="project.create", subject_id=str(made.pk)).actor == "tara"
    assert "already has a project of that name" in tara.post(url(Project, "add"), form).content.decode()
    third = {"name": "Third", "environment": "production", "ends_on": ""}
    assert tara.post(url(Project, "change", made.pk), third).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.slug, made.environment) == ("Third", "second", "production")
    assert tara.post(url(Project, "add"), form | {"tenant": str(card.pk), "slug": "theirs"}).status_code == 200
    assert not Project.objects.filter(tenant=card).exists()
    UserFactory(username="ivy")
    add: dict[str, Any] = {"username": "ivy", "tenant": str(capital.pk), "project": str(made.pk), "role": "developer"}
    assert tara.post(url(Membership, "add"), add).status_code == 302
    row = Membership.objects.get(user__username="ivy")
    assert row.project == made
    for wrong in ({"tenant": str(card.pk), "project": ""}, {"tenant": "", "project": "", "role": "auditor"},
                  {"username": "tara", "role": "approver", "project": ""}):  # fmt: skip
        before = Membership.objects.count()
        answer = tara.post(url(Membership, "add"), add | wrong)
        assert answer.status_code == 200 or "add" in answer.headers["Location"], wrong
        assert Membership.objects.count() == before, wrong


def _hand_over(client: Client, model: type[models.Model], row: Any, **more: str) -> HttpResponse:
    form = {"action": "hand_over", "_selected_action": [str(row.pk)]} | more
    return client.post(url(model, "changelist"), form)


def test_handing_over_is_shown_and_then_confirmed(
    running: ServiceInstance, developer: User, tara: Client, capital: Tenant
) -> None:
    heir, row = UserFactory(username="hana"), developer.memberships.get()
    before = AuditEntry.objects.order_by("pk").last()
    assert before is not None
    assert "successor" in _hand_over(tara, Membership, row).content.decode()
    assert "no active person" in said(_hand_over(tara, Membership, row, successor="nobody"))
    page = _hand_over(tara, Membership, row, successor="hana").content.decode()
    assert "loan-db (capital/loan)" in page
    assert "developer – capital" in page
    refused = _hand_over(tara, Membership, row, successor="hana", confirmed="yes")
    assert "lacks roles" in said(refused)
    assert ServiceInstance.objects.get().responsible == developer
    assert not AuditEntry.objects.filter(pk__gt=before.pk).exclude(action__startswith="look.").exists()
    done = _hand_over(tara, Membership, row, successor="hana", confirmed="yes", give_roles="on", reason="left")
    assert done.status_code == 302
    developer.refresh_from_db()
    assert (ServiceInstance.objects.get().responsible, developer.is_active) == (heir, False)
    assert AuditEntry.objects.get(action="person.handover").after["reason"] == "left"


def test_a_superuser_hands_over_on_the_page_of_people(running: ServiceInstance, developer: User) -> None:
    boss = signed_in(User.objects.create_superuser("boss", password="x"))
    UserFactory(username="hana")
    two = {"action": "hand_over", "_selected_action": [str(each.pk) for each in User.objects.all()[:2]]}
    assert "Choose one person" in said(boss.post(url(User, "changelist"), two))
    _hand_over(boss, User, developer, successor="hana", confirmed="yes", give_roles="on")
    developer.refresh_from_db()
    assert not developer.is_active
    assert reverse("admin:tenancy_user_changelist")
