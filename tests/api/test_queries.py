"""Lists ask the database as often for thirty rows as for ten."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.approvals.models import Decision, Delegation, Request
from catalog.audit.services import record
from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import DnsName, Endpoint, IPAddress, Prefix, Vlan
from catalog.orders.models import Order
from catalog.pool.models import WipeCertificate, Zone
from catalog.quotas.models import Loan, Quota
from catalog.tenancy.models import Project, Role, Tenant, User
from tests.api.conftest import Caller
from tests.factories import (
    NOW,
    TESTER,
    HostFactory,
    InstanceFactory,
    LeaseFactory,
    OfferingFactory,
    OfferingVersionFactory,
    PlanFactory,
    ProjectFactory,
    TenantFactory,
    UserFactory,
    ZoneFactory,
)

MOST = 12


@pytest.fixture
def everybody(capital: Tenant) -> User:
    """One person who sees all lists."""
    roles = [(Role.DEVELOPER, capital), (Role.OPERATOR, None), (Role.AUDITOR, None)]
    return UserFactory(username="polly", roles=roles)


class Rows:
    """Adds as many of everything as asked."""

    def __init__(self, project: Project, zone: Zone) -> None:
        self.project, self.zone = project, zone
        self.plan = PlanFactory()
        self.host = HostFactory(zone=zone, traits=["ssd"])
        self.made = 0

    def add(self, how_many: int) -> None:
        for number in range(self.made, self.made + how_many):
            self._one(number)
        self.made += how_many

    def _one(self, number: int) -> None:
        HostFactory(zone=self.zone, traits=["ssd", "gpu"])
        offering = OfferingFactory(slug=f"offering-{number}")
        version = OfferingVersionFactory(offering=offering)
        PlanFactory(version=version)
        PlanFactory(version=version, dedicated=True)
        ZoneFactory(slug=f"zone-{number}-x")
        UserFactory(roles=[(Role.DEVELOPER, ProjectFactory(tenant=TenantFactory()).tenant)])
        instance = InstanceFactory(
            project=self.project, plan=self.plan, zone=self.zone, created_at=NOW + timedelta(seconds=number)
        )
        LeaseFactory(instance=instance, ends_at=NOW + timedelta(days=1))
        Order.objects.create(
            kind="create", tenant=self.project.tenant, project=self.project, instance=instance, plan=self.plan,
            version=self.plan.version, zone=self.zone, slug="postgresql", manifest_version="1", git_revision="0",
            name=instance.name, content_hash="0" * 64, created_at=NOW + timedelta(seconds=number), state_since=NOW,
            requested_by=User.objects.get(username="polly"),
        )  # fmt: skip
        WipeCertificate.objects.create(
            host=self.host, generation=number + 2, previous_holder=self.project.tenant, method="rack", evidence={},
            issued_at=NOW + timedelta(seconds=number), signature="0" * 64,
        )  # fmt: skip
        vlan = Vlan.objects.create(zone=self.zone, vid=number + 1, name="x", tenant=self.project.tenant)
        Prefix.objects.create(zone=self.zone, cidr=f"172.16.{number}.0/24", vlan=vlan, tenant=self.project.tenant)
        name = DnsName.objects.create(name=f"name-{number}.pumasi.internal", instance=instance, claimed_at=NOW)
        address = IPAddress.objects.get(host=self.host)
        Endpoint.objects.create(address=address, port=20000 + number, name=name, instance=instance, claimed_at=NOW)
        record(TESTER, "test", subject_type="test", subject_id=str(number), now=NOW)
        asker = UserFactory()
        request = Request.objects.create(
            subject_type="order", subject_id=uuid.uuid4(), tenant=self.project.tenant, requested_by=asker, title="x",
            deed="create", content_hash="0" * 64, steps=[{"who": "operator", "people": 5}], who="operator",
            opened_at=clock.now(),
        )  # fmt: skip
        Decision.objects.create(
            request=request, level=1, verdict="approved", content_hash="0" * 64, decided_by=UserFactory(),
            on_behalf_of=UserFactory(), decided_at=clock.now(),
        )  # fmt: skip
        Delegation.objects.create(
            person=User.objects.get(username="polly"), delegate=UserFactory(), tenant=self.project.tenant,
            starts_at=NOW, ends_at=NOW, created_at=NOW,
        )  # fmt: skip
        Quota.objects.create(tenant=self.project.tenant, resource_class=f"CLASS_{number}", guaranteed=1)
        Loan.objects.create(
            borrower=self.project.tenant, instance=ServiceInstance.objects.order_by("-created_at")[0], zone=self.zone,
            resource_class="VCPU", amount=1, began_at=NOW,
        )  # fmt: skip


def test_lists_cost_the_same_however_long(
    everybody: User, loan: Project, zone_a: Zone, call: Callable[..., Caller]
) -> None:
    rows, polly = Rows(loan, zone_a), call(everybody)
    paths = [
        "/offerings", "/orders", "/instances", "/hosts", "/zones", "/tenants", "/projects", "/audit", "/quotas", "/loans",
        "/vlans", "/prefixes", "/memberships", "/approvals", "/delegations",
        f"/hosts/{rows.host.pk}/certificates",
    ]  # fmt: skip

    def costs(at_least: int) -> dict[str, int]:
        counted = {}
        for path in paths:
            with CaptureQueriesContext(connection) as queries:
                answer = polly.get(path, limit="200")
            assert len(answer.json()["results"]) >= at_least, path
            counted[path] = len(queries)
        return counted

    rows.add(3)
    costs(3)  # the first look of the hour is recorded
    few = costs(3)
    rows.add(6)
    assert costs(9) == few
    assert max(few.values()) <= MOST, few
