"""Standing in: while one is away, another decides. For one affiliate or for the group, for a while, and never passed on."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from catalog.approvals import deciders
from catalog.approvals.errors import (
    DelegateUnsuitable,
    DelegationChain,
    DelegationOver,
    DelegationOverlaps,
    DelegationPeriodInvalid,
    DelegationToSelf,
    NothingToDelegate,
)
from catalog.approvals.models import Delegation
from catalog.approvals.rules import CONSUMER, Who
from catalog.approvals.terms import LONGEST_ABSENCE
from catalog.audit.services import record
from catalog.common.errors import Forbidden, NotFound
from catalog.common.locks import lock_all, lock_one
from catalog.tenancy.models import Tenant, User
from catalog.tenancy.policy import Action, Actor, actor_for, can


def decides_something(actor: Actor, tenant: Tenant | None) -> bool:
    """Whether the actor is any kind of decider for this affiliate (None: on the side that provides)."""
    if tenant is None:
        return any(can(actor, deciders.ACTION_OF[who]) for who in Who if who not in CONSUMER)
    return any(can(actor, deciders.ACTION_OF[who], tenant.pk) for who in CONSUMER)


def delegate(
    actor: Actor, *, tenant: Tenant | None, to: str, starts_at: datetime | None, ends_at: datetime, now: datetime
) -> Delegation:
    """Let ``to`` (a user name) decide for the actor, from ``starts_at`` (None or past: from now on) until ``ends_at``.

    :raises NothingToDelegate: the actor decides nothing there.
    :raises DelegationToSelf, DelegateUnsuitable: to whom.
    :raises DelegationPeriodInvalid: for how long.
    :raises DelegationOverlaps: somebody stands in for the actor in that time already.
    :raises DelegationChain: one of the two is away, or stands in for somebody, in that time.
    """
    if actor.user_id is None or not decides_something(actor, tenant):
        raise NothingToDelegate()
    begins = max(starts_at or now, now)
    if not begins < ends_at <= begins + LONGEST_ABSENCE or begins > now + LONGEST_ABSENCE * 4:
        raise DelegationPeriodInvalid(fields={"ends_at": DelegationPeriodInvalid.title})
    other = User.objects.filter(username=to, is_active=True).first()
    if other is not None and other.pk == actor.user_id:
        raise DelegationToSelf(fields={"delegate": DelegationToSelf.title})
    if other is None or not can(actor_for(other, now=now), Action.VIEW, tenant.pk if tenant else None):
        raise DelegateUnsuitable(fields={"delegate": DelegateUnsuitable.title})
    with transaction.atomic():
        # Two who name each other at the same moment: the second sees what the first did.
        lock_all(User, [actor.user_id, other.pk])
        then = Delegation.objects.filter(tenant=tenant, starts_at__lt=ends_at, ends_at__gt=begins)
        if then.filter(person=actor.user_id).exists():
            raise DelegationOverlaps()
        if then.filter(Q(person=other) | Q(delegate=actor.user_id)).exists():
            raise DelegationChain()
        made = Delegation.objects.create(
            person_id=actor.user_id, delegate=other, tenant=tenant, starts_at=begins, ends_at=ends_at, created_at=now
        )
        _write_down(actor, made, "given", now)
    return made


def end(actor: Actor, delegation: Delegation, *, now: datetime) -> Delegation:
    """End a delegation before its time; one that has not begun never does. What was decided stays decided.

    By the one who gave it, or by an administrator of the affiliate or of the group.

    :raises NotFound, Forbidden: it is none of the actor's business, or not theirs to end.
    :raises DelegationOver: it has ended already.
    """
    with transaction.atomic():
        lock_one(User, delegation.person_id)
        held = Delegation.objects.filter(pk=delegation.pk).first()
        if held is None:
            raise NotFound()
        if actor.user_id != held.person_id and not _administers(actor, held):
            raise Forbidden() if actor.user_id == held.delegate_id else NotFound()
        if held.ends_at <= now:
            raise DelegationOver()
        held.ends_at = max(held.starts_at, now)
        held.save(update_fields=["ends_at"])
        _write_down(actor, held, "ended", now)
    return held


def _administers(actor: Actor, held: Delegation) -> bool:
    if held.tenant_id is not None and can(actor, Action.APPROVE_AS_ADMIN, held.tenant_id):
        return True
    return can(actor, Action.APPROVE_GROUP)


def _write_down(actor: Actor, held: Delegation, deed: str, now: datetime) -> None:
    record(
        actor, f"delegation.{deed}", subject_type="delegation", subject_id=str(held.pk), now=now, tenant_id=held.tenant_id,
        after={
            "person": held.person.get_username(), "delegate": held.delegate.get_username(),
            "starts_at": held.starts_at.isoformat(), "ends_at": held.ends_at.isoformat(),
        },
    )  # fmt: skip
