"""Zones and hosts, as far as the one who asks may see them."""

import uuid
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from catalog.common.errors import NotFound
from catalog.pool.models import Host, HostEvent, Inventory, WipeCertificate, Zone
from catalog.tenancy.policy import Action, Actor, can, require, scope


def admitting(tenants: Iterable[uuid.UUID]) -> QuerySet[Zone]:
    """The zones that admit one of these affiliates, closed ones among them. The one place that says who is admitted."""
    ids = list(tenants)
    guest = Zone.admitted.through.objects.filter(zone=OuterRef("pk"), tenant__in=ids)
    everybody = ~Q(kind=Zone.Kind.LOCAL) & Q(admission=Zone.Admission.ALL)
    return Zone.objects.select_related("tenant").filter(everybody | Q(tenant__in=ids) | Exists(guest))


def zones_for(actor: Actor) -> QuerySet[Zone]:
    """The zones the actor could order in, with their affiliates; all of them for those who look after the pool."""
    seen = scope(actor)
    if seen.everything or can(actor, Action.VIEW_POOL):
        return Zone.objects.select_related("tenant")
    return admitting(seen.touched)


def zone_for(actor: Actor, slug: str) -> Zone:
    """One zone by its name. Raises NotFound."""
    zone = zones_for(actor).filter(slug=slug).first()
    if zone is None:
        raise NotFound()
    return zone


def hosts_for(actor: Actor) -> QuerySet[Host]:
    """All hosts with what lists show of them, for those who look after the pool.

    :raises Forbidden: the actor has no role in the pool; what hardware there is, is no affiliate's business.
    """
    require(actor, Action.VIEW_POOL)
    return Host.objects.select_related("zone", "owner", "holder").prefetch_related(
        "traits", Prefetch("inventories", Inventory.objects.order_by("resource_class"))
    )


def host_for(actor: Actor, host_id: uuid.UUID) -> Host:
    """One host. Raises Forbidden or NotFound."""
    host = hosts_for(actor).filter(pk=host_id).first()
    if host is None:
        raise NotFound()
    return host


def events_after(host: Host, after: int, limit: int = 500) -> list[HostEvent]:
    """The host's events with numbers above ``after``, in order, at most ``limit``."""
    return list(HostEvent.objects.filter(host=host, seq__gt=after).order_by("seq")[:limit])


def certificates_of(host: Host) -> QuerySet[WipeCertificate]:
    """The host's certificates, one for each of its lives, newest first."""
    return WipeCertificate.objects.filter(host=host).select_related("previous_holder").order_by("-issued_at", "-id")
