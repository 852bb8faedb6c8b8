"""What an actor may see of requests and delegations; what waits for them."""

import uuid
from datetime import datetime

from django.db.models import Q, QuerySet

from catalog.approvals import deciders
from catalog.approvals.models import Delegation, Request
from catalog.approvals.rules import CONSUMER, Who
from catalog.approvals.terms import DECIDE_WITHIN
from catalog.common.errors import NotFound
from catalog.tenancy.policy import Action, Actor, can, may_anywhere, scope


def _open_to(voice: deciders.Voice) -> Q:
    """Requests whose present level this voice may decide; an empty one matches nothing."""
    found = Q(pk__in=[])
    for who in Who:
        mine = Q(who=who) | Q(
            escalated_at__isnull=False, who__in=[each for each in Who if deciders.escalated_to(each) == who]
        )
        if who in CONSUMER:
            speaks = scope(voice.actor, deciders.ACTION_OF[who])
            if not speaks.empty:
                of_delegation = Q(tenant=voice.tenant_id) if voice.absent is not None else Q()
                found |= mine & speaks.where() & of_delegation
        elif (voice.absent is None or voice.tenant_id is None) and can(voice.actor, deciders.ACTION_OF[who]):
            found |= mine
    return found


def inbox(actor: Actor, *, now: datetime) -> QuerySet[Request]:
    """The requests that wait for the actor's decision, for themselves or for others: not their own, and not decided on yet."""
    if actor.user_id is None:
        return Request.objects.none()
    mine = Q(pk__in=[])
    for voice in deciders.voices(actor, now=now):
        mine |= _open_to(voice)
    others = deciders.linked(actor.user_id, since=now - DECIDE_WITHIN, now=now)
    return (
        Request.objects.filter(mine, closed_at__isnull=True, opened_at__gte=now - DECIDE_WITHIN)
        .exclude(requested_by__in=[actor.user_id, *others])
        .exclude(decisions__decided_by=actor.user_id)
        .exclude(decisions__on_behalf_of=actor.user_id)
        .select_related("tenant", "requested_by")
        .order_by("opened_at", "pk")
    )


def decides(actor: Actor, *, now: datetime) -> bool:
    """Whether the actor decides on anything at all, for themselves or for somebody who is away."""
    if any(may_anywhere(actor, deciders.ACTION_OF[who]) for who in Who):
        return True
    return (
        actor.user_id is not None and Delegation.objects.filter(deciders.in_force(now), delegate=actor.user_id).exists()
    )


def request_for(actor: Actor, request_id: uuid.UUID, *, now: datetime) -> Request:
    """One request: of an affiliate the actor sees, that waits for them, or that they decided on. Raises NotFound."""
    rows = Request.objects.select_related("tenant", "requested_by").prefetch_related(
        "decisions__decided_by", "decisions__on_behalf_of"
    )
    found = rows.filter(pk=request_id).first()
    if found is None:
        raise NotFound()
    if scope(actor).holds(found.tenant_id, found.project_id):
        return found
    if any(each.decided_by_id == actor.user_id for each in found.decisions.all()):
        return found
    if not inbox(actor, now=now).filter(pk=found.pk).exists():
        raise NotFound()
    return found


def newest_request(subject_type: str, subject_id: uuid.UUID) -> Request | None:
    """The newest request of a thing, with what was decided."""
    return (
        Request.objects.filter(subject_type=subject_type, subject_id=subject_id)
        .select_related("tenant", "requested_by")
        .prefetch_related("decisions__decided_by", "decisions__on_behalf_of")
        .order_by("-opened_at")
        .first()
    )


def delegations_for(actor: Actor) -> QuerySet[Delegation]:
    """The delegations the actor gave or holds, and those of affiliates they administer; of all for the group's administrators."""
    rows = Delegation.objects.select_related("person", "delegate", "tenant")
    if can(actor, Action.APPROVE_GROUP):
        return rows
    mine = scope(actor, Action.APPROVE_AS_ADMIN)
    return rows.filter(Q(person=actor.user_id) | Q(delegate=actor.user_id) | mine.where(project=None))


def delegation_for(actor: Actor, delegation_id: uuid.UUID) -> Delegation:
    """One of those. Raises NotFound."""
    found = delegations_for(actor).filter(pk=delegation_id).first()
    if found is None:
        raise NotFound()
    return found
