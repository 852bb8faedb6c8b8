"""Who may do what. The one matrix; every service asks :func:`require`, every list asks :func:`scope`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar

from django.db.models import Model, Q, QuerySet

from catalog.common.errors import Forbidden, NotFound
from catalog.tenancy.models import GROUP_ROLES, Membership, Role, User

M = TypeVar("M", bound=Model)


class Action(StrEnum):
    """Things a person may do."""

    VIEW = "view"
    ORDER = "order"
    APPROVE = "approve"
    REVEAL_SECRET = "reveal-secret"  # noqa: S105  # an action, not a password
    MANAGE_MEMBERS = "manage-members"
    MANAGE_PROJECTS = "manage-projects"
    MANAGE_TENANTS = "manage-tenants"
    VIEW_POOL = "view-pool"
    OPERATE_POOL = "operate-pool"
    CURATE = "curate"
    AUDIT = "audit"
    HOLD = "hold"
    APPROVE_AS_ADMIN = "approve-as-admin"
    APPROVE_POOL = "approve-pool"
    APPROVE_CATALOG = "approve-catalog"
    APPROVE_GROUP = "approve-group"
    OVERRIDE_FREEZE = "override-freeze"


class Grant(NamedTuple):
    """A role in force: for the group (no tenant), for an affiliate as a whole (no project), or for one of its projects."""

    role: str
    tenant_id: uuid.UUID | None = None
    project_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Actor:
    """Who acts, as services see it: a person with the grants in force now, or the platform itself.

    :param source: where it came from: an IP address, or the name of the flow or task.
    """

    name: str
    user_id: int | None = None
    grants: frozenset[Grant] = field(default_factory=frozenset)
    source: str = ""
    is_system: bool = False


def system(source: str) -> Actor:
    """The platform acting on its own, for example the reclaim sweep. May do everything; every deed is recorded."""
    return Actor(name=f"system:{source}", source=source, is_system=True)


def in_force(now: datetime) -> Q:
    """The memberships that have not ended at ``now``."""
    return Q(ends_at__isnull=True) | Q(ends_at__gt=now)


def actor_for(user: User, *, now: datetime, source: str = "") -> Actor:
    """The actor of a person with the memberships that have not ended at ``now``."""
    rows = Membership.objects.filter(in_force(now), user=user).values_list("role", "tenant_id", "project_id")
    return Actor(
        name=user.get_username(), user_id=user.pk, grants=frozenset(Grant(*row) for row in rows), source=source
    )


_OF_TENANT: Mapping[Action, frozenset[str]] = {
    Action.VIEW: frozenset({Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN}),
    Action.ORDER: frozenset({Role.DEVELOPER, Role.TENANT_ADMIN}),
    Action.APPROVE: frozenset({Role.APPROVER, Role.TENANT_ADMIN}),
    Action.REVEAL_SECRET: frozenset({Role.DEVELOPER, Role.TENANT_ADMIN}),
    Action.MANAGE_MEMBERS: frozenset({Role.TENANT_ADMIN}),
    Action.MANAGE_PROJECTS: frozenset({Role.TENANT_ADMIN}),
    Action.APPROVE_AS_ADMIN: frozenset({Role.TENANT_ADMIN}),
}
"""What a role allows within what it was granted for: an affiliate as a whole, or one project."""

_OF_GROUP: Mapping[Action, frozenset[str]] = {
    Action.VIEW: frozenset({Role.OPERATOR, Role.FINANCE, Role.AUDITOR, Role.GROUP_ADMIN}),
    Action.MANAGE_MEMBERS: frozenset({Role.GROUP_ADMIN}),
    Action.MANAGE_PROJECTS: frozenset({Role.GROUP_ADMIN}),
    Action.MANAGE_TENANTS: frozenset({Role.GROUP_ADMIN}),
    Action.VIEW_POOL: frozenset({Role.OPERATOR, Role.AUDITOR, Role.GROUP_ADMIN}),
    Action.OPERATE_POOL: frozenset({Role.OPERATOR}),
    Action.CURATE: frozenset({Role.CATALOG_ADMIN}),
    Action.AUDIT: frozenset({Role.AUDITOR}),
    Action.HOLD: frozenset({Role.AUDITOR, Role.GROUP_ADMIN}),
    Action.APPROVE_POOL: frozenset({Role.OPERATOR}),
    Action.APPROVE_CATALOG: frozenset({Role.CATALOG_ADMIN}),
    Action.APPROVE_GROUP: frozenset({Role.GROUP_ADMIN}),
    Action.OVERRIDE_FREEZE: frozenset({Role.GROUP_ADMIN}),
}
"""What a role of the group allows, everywhere."""


@dataclass(frozen=True)
class Scope:
    """What an actor may do one action with: everything, some affiliates as a whole, or single projects of others."""

    everything: bool = False
    tenants: frozenset[uuid.UUID] = frozenset()
    projects: Mapping[uuid.UUID, uuid.UUID] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing at all."""
        return not (self.everything or self.tenants or self.projects)

    @property
    def touched(self) -> frozenset[uuid.UUID]:
        """The affiliates of which it holds at least one project. Their names may be known, not what else they have."""
        return self.tenants | frozenset(self.projects.values())

    def holds(self, tenant_id: uuid.UUID | None, project_id: uuid.UUID | None = None) -> bool:
        """Whether it holds this project's things; without a project: the affiliate as a whole; without both: the group."""
        return self.everything or tenant_id in self.tenants or (project_id is not None and project_id in self.projects)

    def where(self, tenant: str = "tenant", project: str | None = "project") -> Q:
        """The condition on rows whose roads to affiliate and project are named so (no project: they belong to it as a whole)."""
        if self.everything:
            return Q()
        mine = Q(**{f"{tenant}__in": self.tenants})
        return mine | Q(**{f"{project}__in": list(self.projects)}) if self.projects and project else mine

    def rows(self, query: "QuerySet[M]", tenant: str = "tenant", project: str | None = "project") -> "QuerySet[M]":
        """The rows of ``query`` that it holds. Every list of an affiliate's things goes through here."""
        return query if self.everything else query.filter(self.where(tenant, project))


def scope(actor: Actor, action: Action = Action.VIEW) -> Scope:
    """What the actor may do ``action`` with. The one place where grants become rows."""
    if actor.is_system or any(grant.role in _OF_GROUP.get(action, ()) for grant in actor.grants if not grant.tenant_id):
        return Scope(everything=True)
    return own_scope(actor, action)


def own_scope(actor: Actor, action: Action = Action.VIEW) -> Scope:
    """The same, by roles in affiliates and projects only."""
    roles = _OF_TENANT.get(action, frozenset())
    mine = [grant for grant in actor.grants if grant.role in roles and grant.tenant_id is not None]
    return Scope(
        tenants=frozenset(grant.tenant_id for grant in mine if grant.tenant_id and grant.project_id is None),
        projects={grant.project_id: grant.tenant_id for grant in mine if grant.project_id and grant.tenant_id},
    )


def can(actor: Actor, action: Action, tenant_id: uuid.UUID | None = None, project_id: uuid.UUID | None = None) -> bool:
    """Whether ``actor`` may do ``action`` for this project (None: for the affiliate as a whole; both None: for the group)."""
    return scope(actor, action).holds(tenant_id, project_id)


def may_anywhere(actor: Actor, action: Action) -> bool:
    """Whether the actor may do this for the group, an affiliate, or a project."""
    return not scope(actor, action).empty


def require(
    actor: Actor, action: Action, tenant_id: uuid.UUID | None = None, project_id: uuid.UUID | None = None
) -> None:
    """Let the actor pass or raise.

    :raises NotFound: they may not even see these things.
    :raises Forbidden: they see them, but may not do this.
    """
    if can(actor, action, tenant_id, project_id):
        return
    if tenant_id is not None and not can(actor, Action.VIEW, tenant_id, project_id):
        raise NotFound()
    raise Forbidden()


def privileged(actor: Actor, tenant_id: uuid.UUID | None, project_id: uuid.UUID | None = None) -> bool:
    """Whether the actor looks at this affiliate's things only because of a role of the group (or none at all)."""
    return not actor.is_system and not own_scope(actor).holds(tenant_id, project_id)


def covers(actor: Actor, grant: Grant) -> bool:
    """Whether the actor may do, where ``grant`` counts, everything it allows."""
    matrix = _OF_GROUP if grant.role in GROUP_ROLES else _OF_TENANT
    allowed = [action for action, roles in matrix.items() if grant.role in roles]
    return all(can(actor, action, grant.tenant_id, grant.project_id) for action in allowed)


def roles_for(action: Action) -> frozenset[str]:
    """The roles in an affiliate or project that allow ``action`` there."""
    return _OF_TENANT.get(action, frozenset())


def holders(
    action: Action, tenant_id: uuid.UUID | None, project_id: uuid.UUID | None = None, *, now: datetime
) -> QuerySet[User]:
    """The people who may do ``action`` for this project at ``now``, by name; inactive ones left out.

    Without a project: for the affiliate as a whole; without both: for the group.
    """
    of_group = Q(memberships__tenant__isnull=True, memberships__role__in=_OF_GROUP.get(action, ()))
    where = Q(memberships__project__isnull=True)
    if project_id is not None:
        where |= Q(memberships__project=project_id)
    of_tenant = where & Q(memberships__tenant=tenant_id, memberships__role__in=_OF_TENANT.get(action, ()))
    in_force = Q(memberships__ends_at__isnull=True) | Q(memberships__ends_at__gt=now)
    wanted = of_group if tenant_id is None else of_group | of_tenant
    return User.objects.filter(wanted & in_force, is_active=True).distinct().order_by("username")


def visible_tenants(actor: Actor) -> frozenset[uuid.UUID] | None:
    """The affiliates whose own things (quotas, loans) the actor may see; None means all.

    Who has a role in single projects only is not among them: for what lies in projects ask :func:`scope`.
    """
    seen = scope(actor)
    return None if seen.everything else seen.tenants
