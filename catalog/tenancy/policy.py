"""Who may do what. The one matrix; every service asks :func:`require`, every list asks :func:`visible_tenants`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db.models import Q, QuerySet

from catalog.common.errors import Forbidden, NotFound
from catalog.tenancy.models import Membership, Role, User


class Action(StrEnum):
    """Things a person may do."""

    VIEW = "view"
    ORDER = "order"
    APPROVE = "approve"
    REVEAL_SECRET = "reveal-secret"  # noqa: S105  # an action, not a password
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


@dataclass(frozen=True)
class Actor:
    """Who acts, as services see it: a person with the grants in force now, or the platform itself.

    :param grants: pairs of role and tenant id (None for a role of the group).
    :param source: where it came from: an IP address, or the name of the flow or task.
    """

    name: str
    user_id: int | None = None
    grants: frozenset[tuple[str, uuid.UUID | None]] = field(default_factory=frozenset)
    source: str = ""
    is_system: bool = False


def system(source: str) -> Actor:
    """The platform acting on its own, for example the reclaim sweep. May do everything; every deed is recorded."""
    return Actor(name=f"system:{source}", source=source, is_system=True)


def actor_for(user: User, *, now: datetime, source: str = "") -> Actor:
    """The actor of a person with the memberships that have not ended at ``now``."""
    rows = Membership.objects.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now), user=user)
    grants = frozenset((role, tenant_id) for role, tenant_id in rows.values_list("role", "tenant_id"))
    return Actor(name=user.get_username(), user_id=user.pk, grants=grants, source=source)


_OF_TENANT: Mapping[Action, frozenset[str]] = {
    Action.VIEW: frozenset({Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN}),
    Action.ORDER: frozenset({Role.DEVELOPER, Role.TENANT_ADMIN}),
    Action.APPROVE: frozenset({Role.APPROVER, Role.TENANT_ADMIN}),
    Action.REVEAL_SECRET: frozenset({Role.DEVELOPER, Role.TENANT_ADMIN}),
    Action.APPROVE_AS_ADMIN: frozenset({Role.TENANT_ADMIN}),
}
_OF_GROUP: Mapping[Action, frozenset[str]] = {
    Action.VIEW: frozenset({Role.OPERATOR, Role.FINANCE, Role.AUDITOR, Role.GROUP_ADMIN}),
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


def can(actor: Actor, action: Action, tenant_id: uuid.UUID | None = None) -> bool:
    """Whether ``actor`` may do ``action`` for this tenant (None: for the group)."""
    if actor.is_system:
        return True
    if any((role, None) in actor.grants for role in _OF_GROUP.get(action, ())):
        return True
    return tenant_id is not None and any((role, tenant_id) in actor.grants for role in _OF_TENANT.get(action, ()))


def require(actor: Actor, action: Action, tenant_id: uuid.UUID | None = None) -> None:
    """Let the actor pass or raise.

    :raises NotFound: they may not even see this tenant's things.
    :raises Forbidden: they see them, but may not do this.
    """
    if can(actor, action, tenant_id):
        return
    if tenant_id is not None and not can(actor, Action.VIEW, tenant_id):
        raise NotFound()
    raise Forbidden()


def holders(action: Action, tenant_id: uuid.UUID | None, *, now: datetime) -> QuerySet[User]:
    """The people who may do ``action`` for this tenant (None: for the group) at ``now``, by name; inactive ones left out."""
    of_group = Q(memberships__tenant__isnull=True, memberships__role__in=_OF_GROUP.get(action, ()))
    of_tenant = Q(memberships__tenant=tenant_id, memberships__role__in=_OF_TENANT.get(action, ()))
    in_force = Q(memberships__ends_at__isnull=True) | Q(memberships__ends_at__gt=now)
    wanted = of_group if tenant_id is None else of_group | of_tenant
    return User.objects.filter(wanted & in_force, is_active=True).distinct().order_by("username")


def visible_tenants(actor: Actor) -> frozenset[uuid.UUID] | None:
    """The tenants whose things the actor may see; None means all."""
    if can(actor, Action.VIEW):
        return None
    roles = _OF_TENANT[Action.VIEW]
    return frozenset(tenant_id for role, tenant_id in actor.grants if tenant_id is not None and role in roles)
