"""Starting, extending and ending the time a service may stay; and which are due."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from catalog.audit.gate import Happening, append_events
from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.instances.models import ServiceInstance
from catalog.leases.ends import LIVE, move_lease, set_end
from catalog.leases.errors import LeaseEnded, LeaseStarted, LeaseTooShort
from catalog.leases.limits import limits_for, outlives_project, too_long
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.schedule import next_notice
from catalog.leases.states import LeaseState
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action, Actor, require
from catalog.tenancy.projects import use_until


def start(instance: ServiceInstance, *, seconds: int, now: datetime, actor: Actor) -> Lease:
    """Begin the lease of a service that has just become active.

    How long it may be was judged when it was ordered and is not judged again: what was approved is built. Only the end of the
    project cuts it; a project that ended meanwhile leaves it one second.

    :raises LeaseTooShort: below one second.
    :raises LeaseStarted: it has one.
    """
    if seconds < 1:
        raise LeaseTooShort(fields={"lease_seconds": LeaseTooShort.title})
    with transaction.atomic():
        if Lease.objects.filter(instance=instance).exists():
            raise LeaseStarted(instance=str(instance.pk))
        until = use_until(Project.objects.get(pk=instance.project_id))
        ends_at = now + timedelta(seconds=seconds)
        if until is not None and until < ends_at:
            ends_at = max(until, now + timedelta(seconds=1))
        lease = Lease.objects.create(
            instance=instance, starts_at=now, ends_at=ends_at, state_since=now,
            next_notice_at=next_notice(ends_at, after=now),
        )  # fmt: skip
        said = {"ends_at": lease.ends_at.isoformat()}
        append_events(lease, LeaseEvent, [Happening("started", said)], actor=actor.name, now=now)
        record(
            actor, "lease.started", subject_type="lease", subject_id=str(lease.pk), now=now,
            tenant_id=instance.tenant_id, after=said,
        )  # fmt: skip
    return lease


def extend(actor: Actor, lease: Lease, *, seconds: int, now: datetime) -> Lease:
    """Let a service stay ``seconds`` longer than its lease says now.

    A lease that was expiring or in grace becomes active again.

    :raises NotFound, Forbidden: the actor may not order for this tenant.
    :raises LeaseEnded: it is being given back.
    :raises LeaseTooShort: the new end would not lie in the future.
    :raises LeaseTooLong: it would stay longer from its start than its policy allows.
    :raises ExtensionTooLong, NoExtensionLeft: too far at once; too often.
    :raises LeaseOutlivesProject: its project ends before.
    """
    instance = lease.instance
    tenant_id = instance.tenant_id
    require(actor, Action.ORDER, tenant_id)
    limits = limits_for(tenant_id, instance.plan.offering_id)
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        limits.check_extension(seconds, made=locked.extensions, field="seconds")
        ends_at = locked.ends_at + timedelta(seconds=seconds)
        if ends_at <= now:
            raise LeaseTooShort(fields={"seconds": LeaseTooShort.title})
        if ends_at > locked.starts_at + timedelta(seconds=limits.longest_seconds):
            raise too_long(limits, field="seconds")
        # Read behind the lock: whoever brings the project's end forward looks at this lease after us, or we at that end.
        project = Project.objects.select_related("tenant").get(pk=instance.project_id)
        until = use_until(project)
        if until is not None and ends_at > until:
            raise outlives_project(project, field="seconds")
        set_end(locked, ends_at, kind="extended", actor=actor, now=now, extensions=locked.extensions + 1)
    lease.refresh_from_db()
    return lease


def end(instance: ServiceInstance, *, now: datetime, actor: Actor) -> None:
    """End the lease of ``instance``, whenever it would have ended. None, or ended already: nothing."""
    with transaction.atomic():
        lease = Lease.objects.filter(instance=instance).first()
        if lease is None:
            return
        lease = lock_one(Lease, lease.pk)
        if lease.state != LeaseState.ENDED:
            move_lease(lease, LeaseState.ENDED, actor=actor, now=now)


def due(now: datetime, zone: str | None) -> "QuerySet[Lease]":
    """Leases whose time is over and that nothing holds, the longest overdue first; of one zone (its slug) or of all."""
    leases = Lease.objects.filter(
        Q(held_until__isnull=True) | Q(held_until__lte=now),
        ends_at__lte=now,
        state__in=LIVE,
    )
    if zone is not None:
        leases = leases.filter(instance__zone__slug=zone)
    return leases.select_related("instance").order_by("ends_at", "pk")
