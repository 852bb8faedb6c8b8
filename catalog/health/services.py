"""The regular check of services: what is taken to be checked, and what follows from what a check has seen.

A check is no order: it takes no turn and holds nothing. It reads what a run is told about a service, and when it is back, it
counts only if the service is still what it was; an order that came meanwhile has made it worthless.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from catalog.common.errors import DomainError
from catalog.common.locks import lock, lock_one
from catalog.health import words
from catalog.health.letters import RECOVERED, TAINTED, tell
from catalog.health.models import MOST_SPELLS, Health, Outcome
from catalog.health.schedule import confirmation, next_slot
from catalog.health.selectors import due, unscheduled
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.orders.assignments import assignment_of
from catalog.orders.models import Order
from catalog.orders.states import OrderKind
from catalog.orders.turns import AT_WORK
from catalog.placement.selectors import locate_rows
from catalog.pool.states import HostState
from catalog.pool.targets import Target
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

HEALTH = system("health-check")
CLAIM = timedelta(minutes=5)
"""How long a run may take for what it has taken; longer than any check may take (``flows.health_check``)."""

MANY = 5
"""So many that fail together, and no other beside them, cast doubt on the check."""


@dataclass(frozen=True)
class Check:
    """One service to be checked.

    :param run: whose claim it is.
    :param state_since: of the service when it was taken.
    :param version_id: the offering version that built it, whose folder has the playbook.
    :param playbook: file name of the step ``verify`` in that folder.
    :param values: the document the playbook reads; holds secrets.
    :param secrets: values that must appear nowhere.
    :param targets: its hosts.
    """

    run: uuid.UUID
    instance_id: uuid.UUID
    unit: str
    state_since: datetime
    version_id: uuid.UUID
    playbook: str
    values: dict[str, Any]
    secrets: tuple[str, ...]
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Verdict:
    """What a check came to.

    :param task: which failed.
    :param message: why, redacted.
    :param code: why it could not be checked, one of :mod:`catalog.health.words`.
    """

    outcome: Outcome
    task: str = ""
    message: str = ""
    code: str = ""


def take(zone: str, run: uuid.UUID, *, now: datetime, limit: int) -> list[Check]:
    """Claim services of a zone whose check is due, the longest due first: one offering version at a time, for one run of its
    playbook. Any number of runs may take at once, and no service goes to two.

    Those whose host is not there to be asked get their verdict at once.
    """
    _plan(zone, now)
    rows = ServiceInstance.objects.select_related("tenant", "project", "plan__offering", "version", "zone")
    while held := _claim(zone, run, now, limit):
        checks = []
        for instance in rows.filter(pk__in=held).order_by("pk"):
            made = _check(instance, run, now)
            if isinstance(made, Check):
                checks.append(made)
            else:
                report(run, instance.pk, instance.state_since, made, now=now)
        if checks:
            return checks
    return []


def _claim(zone: str, run: uuid.UUID, now: datetime, limit: int) -> list[uuid.UUID]:
    with transaction.atomic():
        candidates = due(zone, now).values_list("pk", "instance__version")
        first = candidates.first()
        if first is None:
            return []
        same = [pk for pk, _version in candidates.filter(instance__version=first[1])[:limit]]
        # Another run may have been here since: what it took is not due any more, what it is taking is locked.
        held = [row.pk for row in lock(Health.objects.filter(pk__in=same, next_at__lte=now), skip_locked=True)]
        Health.objects.filter(pk__in=held).update(taken=run, next_at=now + CLAIM)
        return held


def _plan(zone: str, now: datetime) -> None:
    """Plan the first check of services that are new. What has just been built was tried a moment ago."""
    new = unscheduled(zone).values_list("pk", flat=True)[:1000]
    rows = [Health(instance_id=pk, next_at=next_slot(pk, after=now)) for pk in new]
    Health.objects.bulk_create(rows, ignore_conflicts=True)


def _check(instance: ServiceInstance, run: uuid.UUID, now: datetime) -> Check | Verdict:
    hosts = list(locate_rows(instance.pk))
    if not hosts or any(host.state != HostState.IN_USE for host in hosts):
        return Verdict(Outcome.UNKNOWN, code=words.HOST_AWAY)
    # What a run is told about a service is put together in one place, for orders; a check is told the same as one that
    # changes nothing, and nobody places.
    told_as = Order(
        kind=OrderKind.OPERATE, tenant=instance.tenant, project=instance.project, plan=instance.plan,
        version=instance.version, instance=instance, zone=instance.zone, slug=instance.plan.offering.slug,
        name=instance.name, attempt=1,
    )  # fmt: skip
    try:
        assignment = assignment_of(told_as, now + CLAIM)
    except DomainError as error:
        log.warning("check_impossible", instance=str(instance.pk), code=error.code)
        return Verdict(Outcome.UNKNOWN, code=words.BROKEN)
    # Every process of a run bears the mark of the run, so that none is left when it ends.
    mark = {"id": f"{run}:1", "subject": str(run), "attempt": 1, "outranked": []}
    return Check(
        run=run,
        instance_id=instance.pk,
        unit=instance.unit,
        state_since=instance.state_since,
        version_id=instance.version_id,
        playbook=assignment.playbooks["verify"],
        values={**assignment.values, "run": mark},
        secrets=assignment.secrets,
        targets=tuple(part.target for part in assignment.parts),
    )


def doubted(verdicts: Sequence[tuple[Check, Verdict]]) -> list[tuple[Check, Verdict]]:
    """The verdicts of services that were tried together, where nothing speaks against them.

    Where :data:`MANY` or more on several hosts fail all, and at one task, it is what they share that failed, such as the name
    server of their zone: none of them is called unwell for it.
    """
    failed = [(check, verdict) for check, verdict in verdicts if verdict.outcome == Outcome.FAILED]
    hosts = {target.host_id for check, _verdict in failed for target in check.targets}
    if len(failed) < MANY or len(failed) < len(verdicts) or len(hosts) < 2:
        return list(verdicts)
    if len({verdict.task for _check, verdict in failed}) > 1:
        return list(verdicts)
    log.error("all_failed_at_once", many=len(failed), task=failed[0][1].task)
    return [(check, Verdict(Outcome.UNKNOWN, code=words.ALL_AT_ONCE)) for check, _verdict in failed]


def release(run: uuid.UUID, *, now: datetime) -> int:
    """Give back what a run has taken and not reported: it is due again at once. Returns how many."""
    return Health.objects.filter(taken=run).update(taken=None, next_at=now)


def report(run: uuid.UUID, instance_id: uuid.UUID, state_since: datetime, verdict: Verdict, *, now: datetime) -> bool:
    """Write down what a check came to, and taint the service or take that back. False: it does not count any more.

    :param state_since: of the service when it was taken. If it has changed state since, or an order is at work on it, nothing
        is known of it as it is now.
    """
    with transaction.atomic():
        instance = lock_one(ServiceInstance, instance_id)
        health = lock(Health.objects.filter(pk=instance_id, taken=run)).first()
        if health is None:
            return False
        health.taken = None
        health.next_at = next_slot(instance_id, after=now)
        busy = Order.objects.filter(instance=instance_id, state__in=AT_WORK).exists()
        counts = instance.state_since == state_since and not busy
        if counts:
            _judge(instance, health, verdict, now)
        health.save()
        return counts


def _judge(instance: ServiceInstance, health: Health, verdict: Verdict, now: datetime) -> None:
    failed_since = _write_down(health, verdict, now)
    if verdict.outcome == Outcome.UNKNOWN:
        health.unknown_at, health.unknown_code = health.unknown_at or now, verdict.code
        return
    if health.of_state_since != instance.state_since:
        # Something was done to it since the last check; what failed before says nothing of it.
        health.failures = 0
    health.outcome, health.checked_at, health.of_state_since = verdict.outcome, now, instance.state_since
    health.task, health.message = verdict.task[:200], verdict.message[:1000]
    health.unknown_at, health.unknown_code = None, ""
    if verdict.outcome == Outcome.HEALTHY:
        _well(instance, health, failed_since, now)
    else:
        _unwell(instance, health, failed_since, now)


def _well(instance: ServiceInstance, health: Health, failed_since: datetime, now: datetime) -> None:
    health.failures = 0
    if instance.state == InstanceState.TAINTED and health.tainted_at == instance.state_since:
        told = tell(instance, health, RECOVERED, since=failed_since, now=now)
        instances.move_instance(
            instance, InstanceState.ACTIVE, actor=HEALTH, now=now, data={"why": "healthy", "told": told},
            state_reason="",
        )  # fmt: skip
        health.tainted_at, health.of_state_since = None, now


def _unwell(instance: ServiceInstance, health: Health, failed_since: datetime, now: datetime) -> None:
    health.failures += 1
    if instance.state != InstanceState.ACTIVE:
        return
    if health.failures < settings.HEALTH_FAILURES:
        health.next_at = confirmation(instance.pk, after=now)
        return
    said = {"times": health.failures, "cause": words.cause(health.task, health.message, instance.version.manifest)}
    reason = _("It failed its health check %(times)s times in a row. %(cause)s") % said
    told = tell(instance, health, TAINTED, since=failed_since, now=now)
    data: dict[str, Any] = {"why": "unhealthy", "task": health.task, "detail": health.message, "told": told}
    instances.move_instance(
        instance, InstanceState.TAINTED, actor=HEALTH, now=now, data=data, state_reason=reason[:500]
    )
    health.tainted_at, health.of_state_since = now, now


def _write_down(health: Health, verdict: Verdict, now: datetime) -> datetime:
    """Lengthen the last stretch, or begin a new one. Returns since when it failed, where it did up to now."""
    spells: list[dict[str, Any]] = health.spells
    failed_since = _failing_since(spells) or now
    if spells and _same(spells[-1], verdict):
        spells[-1] |= {"until": now.isoformat(), "checks": spells[-1]["checks"] + 1}
    else:
        said = {"task": verdict.task[:200], "message": verdict.message[:300], "code": verdict.code}
        begun = {"outcome": verdict.outcome.value, "since": now.isoformat(), "until": now.isoformat(), "checks": 1}
        spells.append(begun | {name: text for name, text in said.items() if text})
    health.spells = spells[-MOST_SPELLS:]
    return failed_since


def _same(spell: Mapping[str, Any], verdict: Verdict) -> bool:
    return (spell["outcome"], spell.get("task", ""), spell.get("code", "")) == (
        verdict.outcome.value, verdict.task[:200], verdict.code,
    )  # fmt: skip


def _failing_since(spells: list[dict[str, Any]]) -> datetime | None:
    """The beginning of the failures that the newest stretches consist of."""
    since = None
    for spell in reversed(spells):
        if spell["outcome"] == Outcome.HEALTHY.value:
            break
        if spell["outcome"] == Outcome.FAILED.value:
            since = datetime.fromisoformat(spell["since"])
    return since
