"""A person leaves: what they answered for goes to a successor, in one transaction, or not at all.

:func:`plan` says what would happen and why it could not; :func:`handover` does it. What is handed over is a list of steps
(:data:`STEPS`): another part of the product that keeps something of a person adds its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from knox.models import get_token_model

from catalog.approvals import services as approvals
from catalog.approvals.models import Request
from catalog.audit.gate import Happening, append_events
from catalog.audit.services import record
from catalog.common.errors import Forbidden
from catalog.common.locks import lock, lock_all
from catalog.instances.models import InstanceEvent, ServiceInstance
from catalog.instances.states import InstanceState
from catalog.mail import services as mail
from catalog.orders.content import SUBJECT
from catalog.orders.models import Order
from catalog.people import letters, memberships
from catalog.people.errors import (
    HandoverToSelf,
    OwnMembership,
    PersonBeyondAffiliate,
    PersonUnknown,
    SuccessorApprovesOwn,
    SuccessorLacksRoles,
)
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import Action, Actor, Grant, actor_for, can, covers, in_force, scope

_GONE = (InstanceState.DECOMMISSIONED, InstanceState.FAILED)


@dataclass(frozen=True)
class Plan:
    """What a handover moves. ``roles`` are the leaver's, ``missing`` those the successor needs and does not have."""

    leaver: User
    successor: User
    instances: Sequence[ServiceInstance]
    roles: Sequence[Membership]
    missing: Sequence[Grant]
    decisions: Sequence[Order]
    """Orders that only the leaver could have decided on."""
    tokens: int
    now: datetime

    @property
    def missing_codes(self) -> list[str]:
        """As ``role @ place``."""
        return letters.coded(self.missing)


def people(actor: Actor, leaver: str, successor: str) -> tuple[User, User]:
    """Both by user name. The leaver may be inactive already; the successor may not.

    :raises PersonUnknown: there is no such person, or (of the leaver) none that the actor has anything to do with.
    """
    going = User.objects.filter(username=leaver).first() if "\x00" not in leaver else None
    if going is None or not _known(actor, going):
        raise PersonUnknown(fields={"leaver": PersonUnknown.title})
    return going, memberships.active_person(successor, field="successor")


def _known(actor: Actor, person: User) -> bool:
    managed = scope(actor, Action.MANAGE_MEMBERS)
    if managed.everything:
        return True
    rows = managed.rows(person.memberships.all()).exists()
    return rows or managed.rows(person.services.all()).exists()


def plan(actor: Actor, leaver: User, successor: User, *, now: datetime) -> Plan:
    """What would be handed over.

    :raises Forbidden: the actor manages nobody.
    :raises OwnMembership: the actor is the leaver.
    :raises HandoverToSelf, PersonUnknown: the successor is the leaver, or not active.
    :raises PersonBeyondAffiliate: the leaver has roles or services that the actor does not look after.
    :raises SuccessorApprovesOwn: an order would wait for a decision that nobody could make but whose own it is.
    """
    if scope(actor, Action.MANAGE_MEMBERS).empty:
        raise Forbidden()
    if leaver.pk == actor.user_id:
        raise OwnMembership()
    if leaver.pk == successor.pk:
        raise HandoverToSelf(fields={"successor": HandoverToSelf.title})
    if not successor.is_active:
        raise PersonUnknown(fields={"successor": PersonUnknown.title})
    roles = list(
        Membership.objects.filter(in_force(now), user=leaver).select_related("user", "tenant", "project__tenant")
    )
    instances = list(
        leaver.services.exclude(state__in=_GONE).select_related("tenant", "project__tenant", "plan__offering")
    )
    places = {(row.tenant_id, row.project_id) for row in roles} | {(row.tenant_id, row.project_id) for row in instances}
    if leaver.is_superuser or not places:
        places.add((None, None))
    if not all(can(actor, Action.MANAGE_MEMBERS, *place) for place in places):
        raise PersonBeyondAffiliate()
    made = Plan(
        leaver=leaver,
        successor=successor,
        instances=instances,
        roles=roles,
        missing=_missing(successor, roles, instances, now),
        decisions=_only_theirs(leaver, now),
        tokens=get_token_model().objects.filter(user=leaver).count(),
        now=now,
    )
    _check_own(made)
    return made


def _missing(
    successor: User, roles: Sequence[Membership], instances: Sequence[ServiceInstance], now: datetime
) -> list[Grant]:
    """What the successor has to be given: the leaver's roles, and a developer's where only services are left of one."""
    has = actor_for(successor, now=now)
    missing: list[Grant] = []
    wanted = [Grant(row.role, row.tenant_id, row.project_id) for row in roles]
    # The widest first: what an affiliate as a whole gives need not be given for its projects once more.
    wanted.sort(key=lambda grant: (grant.project_id is not None, str(grant)))
    wanted += [Grant(Role.DEVELOPER, row.tenant_id, row.project_id) for row in instances]
    for grant in wanted:
        then = Actor(name=has.name, user_id=has.user_id, grants=has.grants | frozenset(missing))
        if not covers(then, grant):
            missing.append(grant)
    return missing


def _only_theirs(leaver: User, now: datetime) -> list[Order]:
    """Orders that wait for a decision, now or on a later level, which the leaver could make and nobody else."""
    has = actor_for(leaver, now=now)
    theirs = [
        request.subject_id
        for request in _waiting()
        if approvals.could_decide(has, request) and approvals.left_to_nobody(request, leaver.pk, now=now)
    ]
    return list(Order.objects.filter(pk__in=theirs).order_by("created_at"))


def _waiting() -> "QuerySet[Request]":
    return Request.objects.filter(closed_at__isnull=True, subject_type=SUBJECT).select_related("instance")


def _check_own(made: Plan) -> None:
    """No order may be left that only the successor could decide on, and whose own it would be."""
    has = actor_for(made.successor, now=made.now)
    then = Actor(name=has.name, user_id=has.user_id, grants=has.grants | frozenset(made.missing))
    taken_over = {row.pk for row in made.instances}
    stuck = [
        request.title
        for request in _waiting()
        if (request.instance_id in taken_over or made.successor.pk in request.owners)
        and approvals.could_decide(then, request)
        and approvals.left_to_nobody(request, made.leaver.pk, made.successor.pk, now=made.now)
    ]
    if stuck:
        raise SuccessorApprovesOwn(fields={"successor": ", ".join(sorted(stuck))})


def handover(
    actor: Actor, leaver: User, successor: User, *, give_roles: bool = False, reason: str = "", now: datetime
) -> Plan:
    """Hand everything of ``leaver`` to ``successor`` and close the account: all of it in one transaction, recorded.

    Services get a new responsible person; decisions that only the leaver could make fall to the successor with the role; roles
    end, tokens are worth nothing, the account is not active any more, which ends its sessions too. Both get a letter. Done
    again it moves what appeared meanwhile.

    :param give_roles: give the successor the leaver's roles that they lack; else that is refused.
    :returns: what was handed over.
    :raises: as :func:`plan`; SuccessorLacksRoles; what :func:`catalog.people.memberships.grant` raises. Nothing has changed.
    """
    with transaction.atomic():
        # Both rows, in order: no role is granted and no other handover made meanwhile.
        rows = {row.pk: row for row in lock_all(User, [leaver.pk, successor.pk])}
        was_active = rows[leaver.pk].is_active
        made = plan(actor, rows[leaver.pk], rows[successor.pk], now=now)
        if made.missing and not give_roles:
            raise SuccessorLacksRoles(fields={"successor": "; ".join(letters.worded(made.missing))})
        for step in STEPS:
            step(actor, made)
        record(
            actor, "person.handover", subject_type="person", subject_id=str(leaver.pk), now=now,
            before={"user": leaver.get_username(), "active": was_active},
            after={
                "successor": successor.get_username(),
                "active": False,
                "reason": reason,
                "services": [str(row.pk) for row in made.instances],
                "roles": letters.coded(Grant(row.role, row.tenant_id, row.project_id) for row in made.roles),
                "given": letters.coded(made.missing),
                "decisions": [str(order.pk) for order in made.decisions],
                "tokens": made.tokens,
            },
        )  # fmt: skip
    return made


def _give_roles(actor: Actor, made: Plan) -> None:
    ends = {Grant(row.role, row.tenant_id, row.project_id): row.ends_at for row in made.roles}
    for each in made.missing:
        memberships.grant(
            actor, made.successor, each.role, now=made.now, ends_at=ends.get(each),
            tenant=Tenant.objects.get(pk=each.tenant_id) if each.tenant_id else None,
            project=Project.objects.get(pk=each.project_id) if each.project_id else None,
        )  # fmt: skip


def _move_services(actor: Actor, made: Plan) -> None:
    names = {"from": made.leaver.get_username(), "to": made.successor.get_username()}
    for row in lock(ServiceInstance.objects.filter(pk__in=[each.pk for each in made.instances])):
        ServiceInstance.objects.filter(pk=row.pk).update(responsible=made.successor)
        append_events(row, InstanceEvent, [Happening("handed-over", names)], actor=actor.name, now=made.now)
        record(
            actor, "instance.handed-over", subject_type="instance", subject_id=str(row.pk), tenant_id=row.tenant_id,
            before={"responsible": names["from"]}, after={"responsible": names["to"]}, now=made.now,
        )  # fmt: skip


def _end_roles(actor: Actor, made: Plan) -> None:
    for row in made.roles:
        memberships.end_locked(actor, row, ends_at=made.now, now=made.now)


def _close_account(actor: Actor, made: Plan) -> None:
    get_token_model().objects.filter(user=made.leaver).delete()
    User.objects.filter(pk=made.leaver.pk).update(is_active=False)
    made.leaver.is_active = False


def _write_letters(actor: Actor, made: Plan) -> None:
    for person, letter in ((made.leaver, letters.LEFT), (made.successor, letters.TAKEN_OVER)):
        subject, body = letters.written(
            letter, person, leaver=made.leaver, successor=made.successor, instances=made.instances,
            roles=made.missing if person == made.successor else (), decisions=made.decisions,
        )  # fmt: skip
        mail.write(
            person, subject=subject, body=body, subject_type="handover", subject_id=str(made.leaver.pk), now=made.now
        )


STEPS: tuple[Callable[[Actor, Plan], None], ...] = (
    _give_roles,
    _move_services,
    _end_roles,
    _close_account,
    _write_letters,
)
"""What is done, in this order. The order of locks (:mod:`catalog.common.locks`) is kept: people first, then services."""
