"""Leases in the admin: what is written by hand there, and what follows from it."""

from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils.timezone import get_default_timezone, localdate

from catalog.audit.models import AuditEntry
from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.leases.models import Lease, LeasePolicy
from catalog.offerings.models import Offering
from catalog.tenancy.models import Project, Tenant, User
from catalog.tenancy.projects import use_until


def signed_in(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def boss(db: None) -> Client:
    return signed_in(User.objects.create_superuser("boss", password="x"))


def test_a_curator_writes_a_policy_and_hears_what_is_wrong_with_it(
    running: ServiceInstance, capital: Tenant, catalog_admin: User
) -> None:
    cate, add = signed_in(catalog_admin), reverse("admin:leases_leasepolicy_add")
    form = {"tenant": str(capital.pk), "offering": str(Offering.objects.get().pk), "longest_seconds": 86_400}
    wrong = cate.post(add, form | {"default_seconds": 86_401})
    assert "may not be longer than the longest lease" in wrong.content.decode()
    assert cate.post(add, form).status_code == 302
    assert "There is a policy for this affiliate" in cate.post(add, form).content.decode()
    assert LeasePolicy.objects.get().longest_seconds == 86_400
    assert "1 day" in cate.get(reverse("admin:leases_leasepolicy_changelist")).content.decode()
    entry = AuditEntry.objects.get(action="curation.add")
    assert (entry.actor, entry.tenant_id, entry.after["longest_seconds"]) == ("cate", capital.pk, 86_400)


def _end(client: Client, project: Project, day: str) -> str:
    where = reverse("admin:tenancy_project_change", args=[project.pk])
    form = {"name": project.name, "environment": project.environment, "ends_on": day}
    answer = client.post(where, form)
    return answer.content.decode() + " ".join(str(said) for said in get_messages(answer.wsgi_request))


def test_bringing_a_project_forward_brings_its_leases_forward(
    running: ServiceInstance, loan: Project, boss: Client
) -> None:
    before, today = running.lease.ends_at, localdate(clock.now(), get_default_timezone())
    assert "This day is over" in _end(boss, loan, (today - timedelta(days=1)).isoformat())
    loan.refresh_from_db()
    running.lease.refresh_from_db()
    assert (loan.ends_on, running.lease.ends_at) == (None, before)
    assert "1 lease now ends with the project." in _end(boss, loan, today.isoformat())
    loan.refresh_from_db()
    running.lease.refresh_from_db()
    assert running.lease.ends_at == use_until(loan) < before
    assert AuditEntry.objects.get(action="lease.brought-forward").actor == "boss"
    later = _end(boss, loan, (today + timedelta(days=400)).isoformat())
    assert later.count("now ends with the project") == 1, "the one it said before"


def _act(client: Client, action: str, **more: str) -> str:
    lease = Lease.objects.get()
    body = {"action": action, "_selected_action": [str(lease.pk)], "reason": "", "until": "", "confirmed": "yes"} | more
    answer = client.post(reverse("admin:leases_lease_changelist"), body)
    return " ".join(str(said) for said in get_messages(answer.wsgi_request)).rpartition("  ")[-1]


def test_holds_and_recalls_are_set_where_leases_are_listed(
    running: ServiceInstance, auditor: User, operator: User, boss: Client
) -> None:
    User.objects.filter(pk=auditor.pk).update(is_staff=True)
    auditor.refresh_from_db()
    audrey, otto, lease = signed_in(auditor), signed_in(operator), running.lease
    assert "Say why, for the record" in _act(audrey, "hold")
    assert "Enter a valid date/time" in _act(audrey, "hold", reason="Case 17", until="soon")
    assert "must lie in the future" in _act(audrey, "hold", reason="Case 17", until="2001-01-01 10:00")
    assert "loan-db: done" in _act(audrey, "hold", reason="Case 17")
    lease.refresh_from_db()
    assert (lease.held_by, lease.held_until) == ("audrey", None)
    assert "loan-db: done" in _act(audrey, "lift_hold", reason="closed")
    assert "There is no legal hold" in _act(audrey, "lift_hold", reason="closed")

    assert "Say why the lease is recalled" in _act(otto, "recall")
    assert "loan-db: done" in _act(otto, "recall", reason="Card needs it.")
    lease.refresh_from_db()
    assert (lease.recalled_by, lease.recall_reason) == ("otto", "Card needs it.")
    assert "loan-db: done" in _act(otto, "cancel_recall")
    assert "not recalled" in _act(otto, "cancel_recall")

    before = AuditEntry.objects.count()
    for client, action in ((otto, "hold"), (audrey, "recall"), (boss, "hold"), (boss, "recall")):
        _act(client, action, reason="not mine to do")
    assert AuditEntry.objects.count() == before
