"""Granting roles and ending them. Nobody changes their own, and nobody grants beyond what they manage."""

from datetime import datetime
from typing import Any

from django.db import transaction

from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.people.errors import (
    MembershipEnded,
    MembershipEndInvalid,
    MembershipExists,
    OwnMembership,
    PersonUnknown,
    RoleScopeMismatch,
)
from catalog.tenancy.models import GROUP_ROLES, TENANT_ROLES, Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import Action, Actor, require


def active_person(username: str, *, field: str = "user") -> User:
    """The person of that user name. Raises PersonUnknown, also for one whose account is not active."""
    person = User.objects.filter(username=username, is_active=True).first() if "\x00" not in username else None
    if person is None:
        raise PersonUnknown(fields={field: PersonUnknown.title})
    return person


def grant(
    actor: Actor,
    person: User,
    role: str,
    *,
    tenant: Tenant | None,
    project: Project | None = None,
    ends_at: datetime | None = None,
    now: datetime,
) -> Membership:
    """Give ``person`` a role: of an affiliate, of one of its projects, or (no tenant) of the group. One that ended is revived.

    :param ends_at: the first instant at which it counts no more; None: until it is ended.
    :raises RoleScopeMismatch, MembershipEndInvalid: the role does not fit its place; it would end at once.
    :raises NotFound, Forbidden: the actor does not manage the members there.
    :raises OwnMembership: it is for the actor.
    :raises PersonUnknown: the account is not active (any more).
    :raises MembershipExists: it is in force. Nothing has changed after any of these.
    """
    fits = role in GROUP_ROLES if tenant is None else role in TENANT_ROLES
    if not fits or (project is not None and (tenant is None or project.tenant_id != tenant.pk)):
        raise RoleScopeMismatch(fields={"role": RoleScopeMismatch.title})
    require(actor, Action.MANAGE_MEMBERS, tenant.pk if tenant else None, project.pk if project else None)
    if person.pk == actor.user_id:
        raise OwnMembership()
    if ends_at is not None and ends_at <= now:
        raise MembershipEndInvalid(fields={"ends_at": MembershipEndInvalid.title})
    with transaction.atomic():
        # Who hands this person's work over meanwhile goes first or last, never in between.
        if not lock_one(User, person.pk).is_active:
            raise PersonUnknown(fields={"user": PersonUnknown.title})
        row = Membership.objects.filter(user=person, role=role, tenant=tenant, project=project).first()
        if row is not None and (row.ends_at is None or row.ends_at > now):
            raise MembershipExists()
        before = {"ends_at": _said(row.ends_at)} if row else {}
        row = row or Membership(user=person, role=role, tenant=tenant, project=project)
        row.ends_at = ends_at
        row.save()
        _record(actor, row, "membership.grant", before=before, after=_described(row), now=now)
    return row


def set_end(actor: Actor, membership: Membership, ends_at: datetime | None, *, now: datetime) -> Membership:
    """Let a role that is in force count until ``ends_at``; None: until it is ended. Raises as :func:`end`."""
    require(actor, Action.MANAGE_MEMBERS, membership.tenant_id, membership.project_id)
    if membership.user_id == actor.user_id:
        raise OwnMembership()
    if ends_at is not None and ends_at < now:
        raise MembershipEndInvalid(fields={"ends_at": MembershipEndInvalid.title})
    with transaction.atomic():
        lock_one(User, membership.user_id)
        return end_locked(actor, membership, ends_at=ends_at, now=now)


def end(actor: Actor, membership: Membership, *, now: datetime) -> Membership:
    """End a role now; the row stays, and says until when it counted.

    :raises NotFound, Forbidden: the actor does not manage the members there.
    :raises OwnMembership, MembershipEnded: nothing has changed.
    """
    return set_end(actor, membership, now, now=now)


def end_locked(actor: Actor, membership: Membership, *, ends_at: datetime | None, now: datetime) -> Membership:
    """The same, in the caller's transaction, with the person's row locked and everything checked. Raises MembershipEnded."""
    row = Membership.objects.select_related("user", "tenant", "project__tenant").get(pk=membership.pk)
    if row.ends_at is not None and row.ends_at <= now:
        raise MembershipEnded()
    before = _described(row)
    row.ends_at = ends_at
    row.save(update_fields=["ends_at"])
    _record(actor, row, "membership.end", before=before, after=_described(row), now=now)
    return row


def _said(when: datetime | None) -> str | None:
    return when.isoformat() if when is not None else None


def _described(row: Membership) -> dict[str, Any]:
    return {
        "user": row.user.get_username(),
        "role": Role(row.role).value,
        "tenant": row.tenant.slug if row.tenant else None,
        "project": str(row.project) if row.project else None,
        "ends_at": _said(row.ends_at),
    }


def _record(
    actor: Actor, row: Membership, action: str, *, before: dict[str, Any], after: dict[str, Any], now: datetime
) -> None:
    record(
        actor, action, subject_type="membership", subject_id=str(row.pk), tenant_id=row.tenant_id, before=before,
        after=after, now=now,
    )  # fmt: skip
