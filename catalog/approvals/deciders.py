"""Who may decide: by their own role, or for somebody who is away."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from catalog.approvals.models import Delegation, Request
from catalog.approvals.rules import CONSUMER, Step, Who
from catalog.tenancy.models import Tenant, User
from catalog.tenancy.policy import Action, Actor, actor_for, can, holders, scope

ACTION_OF: Mapping[str, Action] = {
    Who.APPROVER: Action.APPROVE,
    Who.TENANT_ADMIN: Action.APPROVE_AS_ADMIN,
    Who.OPERATOR: Action.APPROVE_POOL,
    Who.CATALOG_ADMIN: Action.APPROVE_CATALOG,
    Who.GROUP_ADMIN: Action.APPROVE_GROUP,
}


def escalated_to(who: str) -> Who:
    """Who decides as well once a level has waited too long: the administrators of its side."""
    return Who.TENANT_ADMIN if who in CONSUMER else Who.GROUP_ADMIN


def kinds(request: Request) -> list[str]:
    """The kinds of people who may decide on the present level now."""
    more = [escalated_to(request.who)] if request.escalated_at is not None else []
    return list(dict.fromkeys([request.who, *more]))


def may(actor: Actor, who: str, tenant_id: uuid.UUID, project_id: uuid.UUID | None) -> bool:
    """Whether the actor is such a decider, for things of this project (None: of the affiliate as a whole)."""
    return can(actor, ACTION_OF[who], *((tenant_id, project_id) if who in CONSUMER else ()))


def people(who: str, tenant_id: uuid.UUID, project_id: uuid.UUID | None, *, now: datetime) -> QuerySet[User]:
    """The people who are such deciders now."""
    return holders(ACTION_OF[who], *((tenant_id, project_id) if who in CONSUMER else (None,)), now=now)


@dataclass(frozen=True)
class Voice:
    """Whose decision it would be: one's own (``absent`` None), or that of somebody who is away.

    :param tenant_id: of ``absent``'s delegation; None: for the group.
    """

    actor: Actor
    absent: User | None = None
    tenant_id: uuid.UUID | None = None

    def speaks_for(self, who: str, tenant_id: uuid.UUID, project_id: uuid.UUID | None) -> bool:
        """Whether this voice counts as such a decider, for things of this project (None: of the affiliate as a whole)."""
        if self.absent is not None and self.tenant_id != (tenant_id if who in CONSUMER else None):
            return False
        return may(self.actor, who, tenant_id, project_id)


def in_force(now: datetime) -> Q:
    """Delegations that count at ``now``."""
    return Q(starts_at__lte=now, ends_at__gt=now)


def voices(actor: Actor, *, now: datetime) -> Iterator[Voice]:
    """The voices that the actor has: their own first. For others only where they may see what they would decide on."""
    if actor.user_id is None:
        return
    yield Voice(actor)
    held = Delegation.objects.filter(in_force(now), delegate=actor.user_id, person__is_active=True)
    for each in held.select_related("person").order_by("starts_at", "pk"):
        if each.tenant_id in scope(actor).touched or can(actor, Action.VIEW, each.tenant_id):
            yield Voice(actor_for(each.person, now=now, source=actor.source), each.person, each.tenant_id)


def linked(user_id: int, *, since: datetime, now: datetime) -> set[int]:
    """The people who decided for this one, or this one for them, at any time from ``since`` to ``now``."""
    pairs = Delegation.objects.filter(
        Q(person=user_id) | Q(delegate=user_id), starts_at__lte=now, ends_at__gt=since
    ).values_list("person", "delegate")
    return {each for pair in pairs for each in pair} - {user_id}


def enough(steps: Iterable[Step], tenant: Tenant | None, *, now: datetime) -> bool:
    """Whether so many people hold the roles that each place of each level has one of its own.

    Without an affiliate only the side that provides is counted.
    """
    places: list[list[int]] = []
    for step in steps:
        if step.who not in CONSUMER:
            found = holders(ACTION_OF[step.who], None, now=now)
        elif tenant is not None:
            found = holders(ACTION_OF[step.who], tenant.pk, now=now)
        else:
            continue
        places += [list(found.values_list("pk", flat=True)[:100])] * step.people
    taken: dict[int, int] = {}

    def seat(place: int, asked: set[int]) -> bool:
        for person in places[place]:
            if person not in asked:
                asked.add(person)
                if person not in taken or seat(taken[person], asked):
                    taken[person] = place
                    return True
        return False

    return all(seat(place, set()) for place in range(len(places)))
