"""What people do, in a process of its own against the engine's database: ``python -m tests.flows.scenes``.

It reads a line with the name of a scene and what it is given, as JSON, and answers with a line that begins with ``ANSWER``.
"""

import json
import os
import sys
import uuid
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
django.setup()

from catalog.common.clock import now  # noqa: E402  # Django must be set up before
from catalog.dispatch.services import relay  # noqa: E402
from catalog.health import selectors  # noqa: E402
from catalog.health.models import Health  # noqa: E402
from catalog.instances.services import current_binding, secret_of  # noqa: E402
from catalog.leases.models import Lease  # noqa: E402
from catalog.mail.models import Mail  # noqa: E402
from catalog.offerings.services import load_manifests  # noqa: E402
from catalog.orders import operations, recovery, services, silence, waiting  # noqa: E402
from catalog.orders.models import Order  # noqa: E402
from catalog.orders.sweeps import reclaim_due  # noqa: E402
from catalog.pool.models import Host, Zone  # noqa: E402
from catalog.pool.services import register_host  # noqa: E402
from catalog.pool.workers import silence as zone_silence  # noqa: E402
from catalog.reclaim.services import enrol  # noqa: E402
from catalog.tenancy.models import Project, Role, User  # noqa: E402
from catalog.tenancy.policy import actor_for, system  # noqa: E402
from tests.factories import SERVICES, HostFactory, ProjectFactory, TenantFactory, UserFactory, ZoneFactory  # noqa: E402
from tests.flows import ANSWER  # noqa: E402

OPERATOR = system("test")


def found(subnet: str, rack: str) -> dict[str, Any]:
    """A zone, an affiliate with a project and a developer, and what is on sale."""
    ZoneFactory(slug="zone-a", cidr=f"{subnet}.0/24", driver_options={"state": rack})
    tenant = TenantFactory(slug="capital")
    ProjectFactory(tenant=tenant, slug="loan")
    UserFactory(username="dana", roles=[(Role.DEVELOPER, tenant)])
    load_manifests(SERVICES, git_revision="0" * 40, now=now(), actor=OPERATOR, publish=True)
    return {}


def add_host(name: str, address: str, port: int = 22) -> dict[str, Any]:
    """An operator registers a host and has it enrolled."""
    zone = Zone.objects.get(slug="zone-a")
    host = register_host(OPERATOR, name=name, zone=zone, address=address, ssh_port=port, now=now())
    enrol(OPERATOR, host, now=now())
    relay(now())
    return {"host": str(host.pk)}


def order(name: str) -> dict[str, Any]:
    """The developer orders a PostgreSQL; answers with the order and the secrets it will deliver."""
    placed = services.place(
        actor_for(User.objects.get(username="dana"), now=now()),
        project=Project.objects.get(slug="loan"),
        offering="postgresql",
        plan="shared-small",
        name=name,
        parameters={"comment": "{{ lookup('pipe', 'touch /tmp/pwned-order') }}"},
        zone="zone-a",
        lease_seconds=3600,
        idempotency_key=None,
        now=now(),
    )
    relay(now())
    assert placed.instance is not None
    binding = current_binding(placed.instance)
    assert binding is not None
    return {"order": str(placed.pk), "instance": str(placed.instance.pk), "secrets": list(secret_of(binding).values())}


def cancel(order: str) -> dict[str, Any]:
    """The developer cancels."""
    actor = actor_for(User.objects.get(username="dana"), now=now())
    services.cancel(actor, Order.objects.get(pk=uuid.UUID(order)), now=now())
    return {}


def give_back(order: str) -> dict[str, Any]:
    """The developer gives back what the order built."""
    actor = actor_for(User.objects.get(username="dana"), now=now())
    instance = Order.objects.get(pk=uuid.UUID(order)).instance
    assert instance is not None
    placed = services.give_back(actor, instance, now=now())
    relay(now())
    return {"order": str(placed.pk)}


def operate(order: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """The developer stops, starts or changes what the order built."""
    actor = actor_for(User.objects.get(username="dana"), now=now())
    instance = Order.objects.get(pk=uuid.UUID(order)).instance
    assert instance is not None
    placed = operations.operate(actor, instance, operation=operation, parameters=parameters, now=now())
    relay(now())
    return {"order": str(placed.pk)}


def end_lease(order: str) -> dict[str, Any]:
    """The lease of what the order built ends now, with an hour of grace, and the reclaim flow's look comes by."""
    instance = Order.objects.get(pk=uuid.UUID(order)).instance
    assert instance is not None
    at = now()
    Lease.objects.filter(instance=instance).update(ends_at=at, grace_ends_at=at + timedelta(hours=1))
    acted = reclaim_due("zone-a", now())
    relay(now())
    stop = Order.objects.get(instance=instance, operation="stop", requested_by=None)
    return {"acted": acted, "order": str(stop.pk)}


def extend(order: str) -> dict[str, Any]:
    """The developer extends its lease by an hour; answers with the order that starts it."""
    actor = actor_for(User.objects.get(username="dana"), now=now())
    instance = Order.objects.get(pk=uuid.UUID(order)).instance
    assert instance is not None
    operations.extend_lease(actor, instance, seconds=3600, now=now())
    relay(now())
    return {"order": str(Order.objects.filter(instance=instance, operation="start").latest("created_at").pk)}


def overdue() -> dict[str, Any]:
    """A host stays in a transitional state longer than it may."""
    host = HostFactory(zone=ZoneFactory(slug="zone-a"))
    Host.objects.filter(pk=host.pk).update(deadline=now() - timedelta(hours=1))
    return {}


def repair() -> dict[str, Any]:
    """What Celery's beat does."""
    report = recovery.reconcile(now())
    relay(now())
    return report.counts


def look(order: str | None = None) -> dict[str, Any]:
    """What Celery's beat looks up of the workers; answers with what everybody is shown of the zone and of an order."""
    silence.look(now())
    found = Order.objects.get(pk=uuid.UUID(order)) if order else None
    zone = Zone.objects.get(slug="zone-a")
    return {
        "worker": zone.worker_state,
        "zone_says": zone_silence(zone),
        "waiting": waiting.shown(found) if found else None,
        "events": list(found.events.filter(kind__startswith="worker-").values_list("kind", flat=True)) if found else [],
    }


def check_health(order: str) -> dict[str, Any]:
    """The health of what the order built is due to be checked; answers with how often it was, and what people are shown."""
    services_due = Health.objects.filter(instance__orders=uuid.UUID(order), taken=None)
    services_due.update(next_at=now())
    return health(order)


def health(order: str) -> dict[str, Any]:
    """What people are shown of the health of what the order built."""
    instance = Order.objects.select_related("instance__zone", "instance__version").get(pk=uuid.UUID(order)).instance
    assert instance is not None
    shown, spells = selectors.shown(instance), selectors.history(instance)
    return {
        "checks": sum(spell.checks for spell in spells),
        "outcome": shown.outcome if shown else "",
        "reason": shown.reason if shown else "",
        "unknown": shown.unknown_reason if shown else "",
        "state": instance.state,
        "state_reason": instance.state_reason,
        "letters": list(Mail.objects.filter(subject_id=str(instance.pk)).values_list("subject", flat=True)),
    }


SCENES = {
    scene.__name__: scene
    for scene in (
        found,
        add_host,
        order,
        cancel,
        give_back,
        operate,
        end_lease,
        extend,
        overdue,
        repair,
        look,
        check_health,
        health,
    )
}

if __name__ == "__main__":
    for asked in sys.stdin:
        scene, given = json.loads(asked)
        print(ANSWER + json.dumps(SCENES[scene](**given)), flush=True)
