"""Starting, extending and ending the time a service may stay; and which are due."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events, move
from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.instances.models import ServiceInstance
from catalog.leases.errors import LeaseEnded, LeaseStarted, LeaseTooLong, LeaseTooShort
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.states import LEASE, LeaseState
from catalog.tenancy.policy import Action, Actor, require


def check_seconds(seconds: int) -> None:
    """Refuse a time no lease may have: below 1 second or above ``LEASE_MAX_SECONDS``.

    :raises LeaseTooShort, LeaseTooLong: with the field ``lease_seconds``.
    """
    if seconds < 1:
        raise LeaseTooShort(fields={"lease_seconds": LeaseTooShort.title})
    if seconds > settings.LEASE_MAX_SECONDS:
        raise LeaseTooLong(_too_long(), fields={"lease_seconds": _too_long()})


def _too_long() -> str:
    days, seconds = divmod(settings.LEASE_MAX_SECONDS, 86_400)
    most = _("%d days") % days if days and not seconds else _("%d seconds") % settings.LEASE_MAX_SECONDS
    return _("A service may stay %s from its start. Choose an earlier end.") % most


def start(instance: ServiceInstance, *, seconds: int, now: datetime, actor: Actor) -> Lease:
    """Begin the lease of a service that has just become active.

    :raises LeaseTooShort, LeaseTooLong: the time.
    :raises LeaseStarted: it has one.
    """
    check_seconds(seconds)
    with transaction.atomic():
        if Lease.objects.filter(instance=instance).exists():
            raise LeaseStarted(instance=str(instance.pk))
        lease = Lease.objects.create(
            instance=instance, starts_at=now, ends_at=now + timedelta(seconds=seconds), state_since=now
        )
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
    :raises LeaseTooLong: it would stay longer than ``LEASE_MAX_SECONDS`` from its start.
    """
    tenant_id = lease.instance.tenant_id
    require(actor, Action.ORDER, tenant_id)
    if seconds < 1:
        raise LeaseTooShort(fields={"seconds": LeaseTooShort.title})
    if seconds > settings.LEASE_MAX_SECONDS:
        raise LeaseTooLong(_too_long(), fields={"seconds": _too_long()})
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        ends_at = locked.ends_at + timedelta(seconds=seconds)
        if ends_at <= now:
            raise LeaseTooShort(fields={"seconds": LeaseTooShort.title})
        if ends_at > locked.starts_at + timedelta(seconds=settings.LEASE_MAX_SECONDS):
            raise LeaseTooLong(_too_long(), fields={"seconds": _too_long()})
        said = {"from": locked.ends_at.isoformat(), "to": ends_at.isoformat()}
        Lease.objects.filter(pk=locked.pk).update(ends_at=ends_at)
        append_events(locked, LeaseEvent, [Happening("extended", said)], actor=actor.name, now=now)
        record(
            actor, "lease.extended", subject_type="lease", subject_id=str(lease.pk), now=now, tenant_id=tenant_id,
            before={"ends_at": said["from"]}, after={"ends_at": said["to"]},
        )  # fmt: skip
        if locked.state != LeaseState.ACTIVE:
            _move(locked, LeaseState.ACTIVE, actor=actor, now=now)
    lease.refresh_from_db()
    return lease


def recall(lease: Lease, *, ends_at: datetime, reason: str, now: datetime, actor: Actor) -> Lease:
    """Let a lease end at ``ends_at`` because the lender wants back what it stands on. One that ends sooner stays as it is.

    :raises LeaseEnded: it is being given back already.
    :raises LeaseTooShort: ``ends_at`` does not lie in the future, so nobody could see it coming.
    """
    if ends_at <= now:
        raise LeaseTooShort(fields={"ends_at": LeaseTooShort.title})
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        ends_at = min(ends_at, locked.ends_at)
        said = {"from": locked.ends_at.isoformat(), "to": ends_at.isoformat(), "reason": reason}
        Lease.objects.filter(pk=locked.pk).update(ends_at=ends_at)
        append_events(locked, LeaseEvent, [Happening("recalled", said)], actor=actor.name, now=now)
        record(
            actor, "lease.recalled", subject_type="lease", subject_id=str(lease.pk), now=now,
            tenant_id=locked.instance.tenant_id, before={"ends_at": said["from"]},
            after={"ends_at": said["to"], "reason": reason},
        )  # fmt: skip
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
            _move(lease, LeaseState.ENDED, actor=actor, now=now)


def due(now: datetime, zone: str | None) -> "QuerySet[Lease]":
    """Leases whose time is over and that nothing holds, the longest overdue first; of one zone (its slug) or of all."""
    leases = Lease.objects.filter(
        Q(held_until__isnull=True) | Q(held_until__lte=now),
        ends_at__lte=now,
        state__in=(LeaseState.ACTIVE, LeaseState.EXPIRING, LeaseState.GRACE),
    )
    if zone is not None:
        leases = leases.filter(instance__zone__slug=zone)
    return leases.select_related("instance").order_by("ends_at", "pk")


def _move(lease: Lease, to: str, *, actor: Actor, now: datetime) -> None:
    move(
        lease, to, table=LEASE, event_model=LeaseEvent, actor=actor, now=now, tenant_id=lease.instance.tenant_id
    )  # fmt: skip
