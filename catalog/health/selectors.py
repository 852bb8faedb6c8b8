"""Questions about the health of services: which are due, and what people are shown."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from catalog.health import words
from catalog.health.models import Health, Outcome
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.orders.models import Order
from catalog.orders.turns import AT_WORK
from catalog.pool.models import WorkerState
from catalog.pool.workers import silence

CHECKED = Q(instance__state=InstanceState.ACTIVE) | Q(
    instance__state=InstanceState.TAINTED, instance__state_since=F("tainted_at")
)
"""Which services are checked: those that are active, and those that a check has tainted and nothing has touched since."""


def due(zone: str, now: datetime) -> "QuerySet[Health]":
    """The services of a zone whose check is due. One that an order works on, or is about to, is left alone."""
    at_work = Order.objects.filter(instance=OuterRef("instance"), state__in=AT_WORK)
    rows = Health.objects.filter(CHECKED, instance__zone__slug=zone, next_at__lte=now)
    return rows.filter(~Exists(at_work)).order_by("next_at", "pk")


def unscheduled(zone: str) -> "QuerySet[ServiceInstance]":
    """Services of a zone that are active and that no check has been planned for yet."""
    return ServiceInstance.objects.filter(state=InstanceState.ACTIVE, zone__slug=zone, health__isnull=True)


def anything_due(zone: str, now: datetime) -> bool:
    """Whether a run of the health check would find something to do in a zone."""
    return due(zone, now).exists() or unscheduled(zone).exists()


@dataclass(frozen=True)
class Shown:
    """What people are shown of a service's health.

    :param outcome: of the last check; empty: there was none yet.
    :param checked_at: when that was.
    :param failures: how many failed in a row.
    :param reason: why the last one failed; empty where it did not.
    :param unknown_since: since when it could not be checked, where that is so now; None also where nobody knows since when.
    :param unknown_reason: why it cannot be checked now; empty where it can.
    :param next_at: when it is checked next; None where it is not.
    """

    outcome: str
    checked_at: datetime | None
    failures: int
    reason: str
    unknown_since: datetime | None
    unknown_reason: str
    next_at: datetime | None

    @property
    def outcome_in_words(self) -> str:
        """In the reader's language."""
        return str(Outcome(self.outcome).label) if self.outcome else ""


def shown(instance: ServiceInstance) -> Shown | None:
    """The health of a service, in the reader's language; None where it was never checked and will not be as it is now.

    :param instance: with its zone and version.
    """
    health: Health | None = getattr(instance, "health", None)
    tainted_here = health is not None and health.tainted_at == instance.state_since
    checked = instance.state == InstanceState.ACTIVE or (instance.state == InstanceState.TAINTED and tainted_here)
    if health is None:
        return Shown("", None, 0, "", None, _without_worker(instance), None) if checked else None
    failed = health.outcome == Outcome.FAILED
    without_worker = _without_worker(instance) if checked else ""
    return Shown(
        outcome=health.outcome,
        checked_at=health.checked_at,
        failures=health.failures if failed else 0,
        reason=words.cause(health.task, health.message, instance.version.manifest) if failed else "",
        unknown_since=health.unknown_at if checked else None,
        unknown_reason=without_worker or (words.why_unknown(health.unknown_code) if checked else ""),
        next_at=health.next_at if checked and not without_worker else None,
    )


@dataclass(frozen=True)
class Spell:
    """A stretch of checks of one service that came to the same.

    :param reason: why, in the reader's language; empty where all was well.
    """

    outcome: str
    since: datetime
    until: datetime
    checks: int
    reason: str

    @property
    def outcome_in_words(self) -> str:
        """In the reader's language."""
        return str(Outcome(self.outcome).label)


def history(instance: ServiceInstance) -> list[Spell]:
    """What the checks of a service came to, the newest last, in the reader's language."""
    found: Health | None = getattr(instance, "health", None)
    return [
        Spell(
            outcome=each["outcome"],
            since=datetime.fromisoformat(each["since"]),
            until=datetime.fromisoformat(each["until"]),
            checks=each["checks"],
            reason=words.why_unknown(each.get("code", ""))
            or words.cause(each.get("task", ""), each.get("message", ""), instance.version.manifest),
        )
        for each in (found.spells if found else ())
    ]


def _without_worker(instance: ServiceInstance) -> str:
    zone = instance.zone
    return (silence(zone) or "") if zone is not None and zone.worker_state == WorkerState.SILENT else ""
