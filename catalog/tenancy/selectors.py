"""Affiliates, projects and people, as far as the one who asks may see them."""

import uuid
from datetime import datetime

from django.db.models import Q, QuerySet

from catalog.common.errors import NotFound
from catalog.tenancy.models import Membership, Project, Tenant, User
from catalog.tenancy.policy import Action, Actor, in_force, roles_for, scope


def tenants_for(actor: Actor) -> QuerySet[Tenant]:
    """The affiliates of which the actor may see at least one project."""
    seen = scope(actor)
    return Tenant.objects.all() if seen.everything else Tenant.objects.filter(pk__in=seen.touched)


def tenant_for(actor: Actor, slug: str) -> Tenant:
    """One affiliate by its name. Raises NotFound."""
    tenant = tenants_for(actor).filter(slug=slug).first()
    if tenant is None:
        raise NotFound()
    return tenant


def projects_for(actor: Actor) -> QuerySet[Project]:
    """The projects the actor may see, with their affiliates."""
    return scope(actor).rows(Project.objects.select_related("tenant"), project="pk")


def project_for(actor: Actor, name: str) -> Project:
    """One project by its full name, ``affiliate/project``. Raises NotFound."""
    tenant, slash, slug = name.partition("/")
    project = projects_for(actor).filter(tenant__slug=tenant, slug=slug).first() if slash else None
    if project is None:
        raise NotFound()
    return project


def memberships_for(actor: Actor) -> QuerySet[Membership]:
    """The memberships that the actor manages, and for those who see everything: all. Those that ended included."""
    seen = scope(actor)
    seen = seen if seen.everything else scope(actor, Action.MANAGE_MEMBERS)
    return seen.rows(Membership.objects.select_related("user", "tenant", "project__tenant"))


def people_who(
    action: Action, tenant_id: uuid.UUID, project_id: uuid.UUID | None = None, *, now: datetime
) -> QuerySet[User]:
    """Active people whose role in the affiliate, or in this project of it, lets them do ``action`` there."""
    here = Q(project__isnull=True) if project_id is None else Q(project__isnull=True) | Q(project=project_id)
    rows = Membership.objects.filter(in_force(now), here, tenant=tenant_id, role__in=roles_for(action))
    return User.objects.filter(pk__in=rows.values("user"), is_active=True)
