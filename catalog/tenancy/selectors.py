"""Affiliates and projects, as far as the one who asks may see them."""

from django.db.models import QuerySet

from catalog.common.errors import NotFound
from catalog.tenancy.models import Project, Tenant
from catalog.tenancy.policy import Actor, visible_tenants


def tenants_for(actor: Actor) -> QuerySet[Tenant]:
    """The affiliates whose things the actor may see."""
    visible = visible_tenants(actor)
    return Tenant.objects.all() if visible is None else Tenant.objects.filter(pk__in=visible)


def tenant_for(actor: Actor, slug: str) -> Tenant:
    """One affiliate by its name. Raises NotFound."""
    tenant = tenants_for(actor).filter(slug=slug).first()
    if tenant is None:
        raise NotFound()
    return tenant


def projects_for(actor: Actor) -> QuerySet[Project]:
    """The projects of those affiliates, with their affiliates."""
    visible = visible_tenants(actor)
    projects = Project.objects.select_related("tenant")
    return projects if visible is None else projects.filter(tenant__in=visible)


def project_for(actor: Actor, name: str) -> Project:
    """One project by its full name, ``affiliate/project``. Raises NotFound."""
    tenant, slash, slug = name.partition("/")
    project = projects_for(actor).filter(tenant__slug=tenant, slug=slug).first() if slash else None
    if project is None:
        raise NotFound()
    return project
