"""Starting, extending and ending the time a service may stay; and which are due."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from catalog.audit.gate import Happening, append_events
from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.instances.models import ServiceInstance
from catalog.leases.ends import LIVE, held, move_lease, set_end, set_grace_end
from catalog.leases.errors import (
    LeaseEnded,
    LeaseRecalled,
    LeaseStarted,
    LeaseTooShort,
    LegalHold,
    NotRecalled,
    RecallWithoutReason,
)
from catalog.leases.letters import GRACE_CUT, IN_GRACE, RECALL_CANCELLED, RECALLED, tell
from catalog.leases.limits import extended_from, grace_end, limits_for, outlives_project, too_long
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
            next_notice_at=next_notice(ends_at, after=now), grace_ends_at=grace_end(instance, ends_at),
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

    A lease that was expiring or in grace becomes active again; in grace its end is over, so the extension counts from now.

    :raises NotFound, Forbidden: the actor may not order for this tenant.
    :raises LeaseEnded: it is being given back.
    :raises LeaseRecalled: the lender wants it back.
    :raises LeaseTooShort: the new end would not lie in the future.
    :raises LeaseTooLong: it would stay longer from its start than its policy allows.
    :raises ExtensionTooLong, NoExtensionLeft: too far at once; too often.
    :raises LeaseOutlivesProject: its project ends before.
    """
    instance = lease.instance
    tenant_id = instance.tenant_id
    require(actor, Action.ORDER, tenant_id, instance.project_id)
    limits = limits_for(tenant_id, instance.plan.offering_id)
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        if locked.recalled_at is not None:
            raise LeaseRecalled()
        limits.check_extension(seconds, made=locked.extensions, field="seconds")
        ends_at = extended_from(locked, now) + timedelta(seconds=seconds)
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
    """End the lease of ``instance``, whenever it would have ended. None, or ended already: nothing.

    :raises LegalHold: it is held; nothing has changed.
    """
    with transaction.atomic():
        lease = Lease.objects.filter(instance=instance).first()
        if lease is None:
            return
        lease = lock_one(Lease, lease.pk)
        if lease.is_held(now):
            raise LegalHold()
        if lease.state != LeaseState.ENDED:
            move_lease(lease, LeaseState.ENDED, actor=actor, now=now)


def refuse_if_held(instance: ServiceInstance, *, now: datetime) -> None:
    """Raise LegalHold where the lease of ``instance`` is held."""
    lease = Lease.objects.filter(instance=instance).first()
    if lease is not None and lease.is_held(now):
        raise LegalHold()


def recall(lease: Lease, *, ends_at: datetime, reason: str, now: datetime, actor: Actor) -> Lease:
    """Bring the end of a lease forward because its lender wants the capacity back. The borrower gets a letter.

    Whether it may be recalled is the caller's decision. The new end leaves a notice of at least ``RECALL_NOTICE_SECONDS``, is
    never later than the present one, and cannot be extended. Recalled again, only an earlier end changes anything.

    A recalled lease has no grace: its end is when the capacity comes back. One that is in grace already keeps as much of it as
    the notice leaves.

    :param ends_at: the end that is wished for.
    :param reason: what the borrower is told; no longer than 300 characters.
    :raises RecallWithoutReason: it is blank.
    :raises LeaseEnded: it is being given back already.
    """
    reason = reason.strip()[:300]
    if not reason:
        raise RecallWithoutReason(fields={"reason": RecallWithoutReason.title})
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        soonest = now + timedelta(seconds=settings.RECALL_NOTICE_SECONDS)
        end = min(locked.ends_at, max(ends_at, soonest))
        if locked.recalled_at is None or end < locked.ends_at:
            set_end(
                locked, end, kind="recalled", actor=actor, now=now, data={"reason": reason}, recalled_at=now,
                recalled_by=actor.name, recall_reason=reason, recalled_from=locked.recalled_from or locked.ends_at,
            )  # fmt: skip
            if locked.state != LeaseState.GRACE:
                tell(locked, RECALLED, now=now, reason=reason)
            elif (sooner := max(ends_at, soonest)) < locked.erased_at:
                set_grace_end(locked, sooner, kind="grace-cut", actor=actor, now=now)
                tell(locked, GRACE_CUT, now=now, reason=reason)
    lease.refresh_from_db()
    return lease


def cancel_recall(lease: Lease, *, now: datetime, actor: Actor) -> Lease:
    """Give a recalled lease the end back that it had before, as far as its project still lasts. The borrower gets a letter.

    :raises LeaseEnded: it is being given back already.
    :raises NotRecalled: it is not recalled.
    """
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        if locked.recalled_from is None:
            raise NotRecalled()
        until = use_until(Project.objects.get(pk=locked.instance.project_id))
        before = locked.recalled_from if until is None else min(locked.recalled_from, until)
        set_end(
            locked, max(before, locked.ends_at), kind="recall-cancelled", actor=actor, now=now, recalled_at=None,
            recalled_by="", recall_reason="", recalled_from=None,
        )  # fmt: skip
        tell(locked, RECALL_CANCELLED, now=now)
    lease.refresh_from_db()
    return lease


def recallable(now: datetime, *, ends_at: datetime) -> "QuerySet[Lease]":
    """Leases of which a recall to ``ends_at`` gets back what they stand on: nothing holds them, and nobody else recalled them to
    a later end, whose recall it would replace.
    """
    return Lease.objects.filter(Q(recalled_at__isnull=True) | Q(ends_at__lte=ends_at), state__in=LIVE).exclude(
        held(now)
    )


def due(now: datetime, zone: str | None) -> "QuerySet[Lease]":
    """Leases of which something is to be done: their end has come, or that of their grace, and nothing holds them.

    The longest overdue first; of one zone (its slug) or of all.
    """
    over = Q(ends_at__lte=now, state__in=(LeaseState.ACTIVE, LeaseState.EXPIRING))
    leases = Lease.objects.filter(over | Q(grace_ends_at__lte=now, state=LeaseState.GRACE)).exclude(held(now))
    if zone is not None:
        leases = leases.filter(instance__zone__slug=zone)
    return leases.select_related("instance").order_by("ends_at", "pk")


def is_due(lease: Lease, now: datetime) -> bool:
    """Whether :func:`due` would find it."""
    return lease.state in LIVE and lease.turns_at <= now and not lease.is_held(now)


def enter_grace(lease: Lease, *, now: datetime, actor: Actor) -> bool:
    """Put a lease that is due, locked, into grace, where it has one. Its people get a letter; the caller stops the service.

    Grace is given in full from now on, also where nobody acted at the lease's end (the platform was down, or a legal hold kept
    the service): nothing is erased before its people had the time that was announced. Only the end of the project cuts it.

    :returns: False: there is no grace, or it is over; it is to be given back.
    """
    if lease.state == LeaseState.GRACE or lease.grace_ends_at is None:
        return False
    until = use_until(Project.objects.get(pk=lease.instance.project_id))
    grace_ends_at = now + (lease.grace_ends_at - lease.ends_at)
    if until is not None:
        grace_ends_at = min(grace_ends_at, until)
    if grace_ends_at <= now:
        return False
    move_lease(
        lease, LeaseState.GRACE, actor=actor, now=now, data={"grace_ends_at": grace_ends_at.isoformat()},
        grace_ends_at=grace_ends_at, next_notice_at=next_notice(grace_ends_at, after=now),
    )  # fmt: skip
    told = tell(lease, IN_GRACE, now=now)
    append_events(lease, LeaseEvent, [Happening("grace", {"told": told})], actor=actor.name, now=now)
    return True


def in_grace(zone: str | None, *, now: datetime) -> "QuerySet[Lease]":
    """Leases in grace that are not due yet; of one zone (its slug) or of all."""
    leases = Lease.objects.filter(state=LeaseState.GRACE, grace_ends_at__gt=now)
    return leases if zone is None else leases.filter(instance__zone__slug=zone)


def frees_at(path: str = "") -> Coalesce:
    """When a lease lets go of what it holds, as a database expression: the end of its grace, or where it has none its own.

    :param path: how to get from the queried model to the lease, ending in two underscores.
    """
    return Coalesce(f"{path}grace_ends_at", f"{path}ends_at")
