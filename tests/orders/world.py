"""A small pool, two affiliates, and the steps of a flow, told as calls of the real services."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections

from catalog.common.errors import DomainError
from catalog.dispatch.models import OPEN, Job
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Endpoint
from catalog.orders import fulfilment, services
from catalog.orders.assignments import Assignment
from catalog.orders.models import Order
from catalog.placement.models import Allocation
from catalog.pool.models import Host, Inventory
from catalog.reclaim import fulfilment as host_fulfilment
from catalog.tenancy.models import Project, Role
from catalog.tenancy.policy import Actor, actor_for
from tests.factories import (
    NOW,
    HostFactory,
    OfferingVersionFactory,
    PlanFactory,
    ProjectFactory,
    TenantFactory,
    UserFactory,
    ZoneFactory,
    public_key,
)

CLEAN = {"clean": True, "checked": ["processes"], "findings": []}


@dataclass
class World:
    """Affiliate A with a developer and an approver, affiliate B with a developer, one zone with hosts, two plans."""

    project: Project
    other_project: Project
    developer: Actor
    colleague: Actor
    approver: Actor
    stranger: Actor
    operator: Actor
    second_operator: Actor
    hosts: list[Host]
    now: datetime = NOW

    def later(self, **by: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(**by)
        return self.now

    def place(self, name: str = "loan-db", *, plan: str = "shared-small", **kwargs: Any) -> Order:
        """The developer orders a PostgreSQL."""
        asked: dict[str, Any] = {
            "project": self.project,
            "offering": "postgresql",
            "plan": plan,
            "name": name,
            "parameters": {},
            "zone": None,
            "lease_seconds": 3600,
            "idempotency_key": None,
            "now": self.now,
        }
        return services.place(kwargs.pop("actor", self.developer), **(asked | kwargs))

    def begin(self, order: Order) -> Assignment:
        """The newest attempt of the order is taken up by a run."""
        order.refresh_from_db()
        return fulfilment.begin(order.pk, order.attempt, uuid.uuid4(), self.later(seconds=1))

    def built(self, name: str = "loan-db", **kwargs: Any) -> Order:
        """An order that went well."""
        order = self.place(name, **kwargs)
        self.begin(order)
        fulfilment.succeed_create(order.pk, order.attempt, outputs={}, now=self.later(seconds=20))
        order.refresh_from_db()
        return order

    def standing(self, name: str = "loan-db", **kwargs: Any) -> ServiceInstance:
        """A service that was built, as it stands."""
        return ServiceInstance.objects.get(pk=self.built(name, **kwargs).instance_id)

    def operated(self, order: Order, **outputs: Any) -> None:
        """The newest attempt of an operation goes well."""
        self.begin(order)
        fulfilment.succeed_operate(order.pk, order.attempt, outputs=outputs, now=self.later(seconds=4))
        order.refresh_from_db()

    def given_back(self, order: Order) -> None:
        """The newest attempt of a give-back goes well."""
        self.begin(order)
        fulfilment.succeed_decommission(order.pk, order.attempt, residue=CLEAN, now=self.later(seconds=4))
        order.refresh_from_db()

    def wipe(self, host: Host, *, findings: list[dict[str, str]] | None = None) -> None:
        """The wipe flow of a draining host, to its end."""
        host.refresh_from_db()
        host_fulfilment.begin_wipe(host.pk, host.attempt, uuid.uuid4(), self.later(seconds=1))
        key = public_key(f"{host.name} {host.generation + 1}")
        evidence = {"method": "reimage", "image": "sha256:0"}
        host_fulfilment.wiped(host.pk, host.attempt, new_key=key, evidence=evidence, now=self.later(seconds=2))
        found = findings or []
        verify = {"clean": not found, "checked": ["paths"], "findings": found, "digest": "d"}
        host_fulfilment.verified(host.pk, host.attempt, verify=verify, now=self.later(seconds=2))
        host.refresh_from_db()


def make_world(hosts: int = 2, **host: Any) -> World:
    """Everything the tests of orders need."""
    ours, theirs = TenantFactory(slug="capital"), TenantFactory(slug="card")
    version = OfferingVersionFactory()
    PlanFactory(version=version)
    PlanFactory(version=version, dedicated=True)
    zone = ZoneFactory(slug="zone-a")

    def person(*roles: tuple[str, Any]) -> Actor:
        return actor_for(UserFactory(roles=roles), now=NOW)

    return World(
        project=ProjectFactory(tenant=ours, slug="loan"),
        other_project=ProjectFactory(tenant=theirs, slug="points"),
        developer=person((Role.DEVELOPER, ours)),
        colleague=person((Role.DEVELOPER, ours)),
        approver=person((Role.APPROVER, ours), (Role.DEVELOPER, ours)),
        stranger=person((Role.DEVELOPER, theirs), (Role.APPROVER, theirs)),
        operator=person((Role.OPERATOR, None)),
        second_operator=person((Role.OPERATOR, None)),
        hosts=[HostFactory(zone=zone, **host) for _ in range(hosts)],
    )


def holdings() -> dict[str, int]:
    """How many of everything is claimed, for comparing before and after."""
    return {
        "orders": Order.objects.count(),
        "instances": ServiceInstance.objects.count(),
        "allocations": Allocation.objects.filter(released_at__isnull=True).count(),
        "used": sum(Inventory.objects.values_list("used", flat=True)),
        "endpoints": Endpoint.objects.filter(released_at__isnull=True).count(),
        "open jobs": Job.objects.filter(state__in=OPEN).count(),
    }


def together(*works: Callable[[], str]) -> Counter[str]:
    """Run all of ``works`` at once; what each said, counted."""
    gate = threading.Barrier(len(works), timeout=60)

    def run(work: Callable[[], str]) -> str:
        try:
            gate.wait()
            return work()
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return Counter(future.result(timeout=120) for future in [pool.submit(run, work) for work in works])
