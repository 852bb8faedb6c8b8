"""Everything claimed, compared over all floors: allocations, ports and quotas. Read-only."""

from django.db.models import Exists, F, OuterRef

from catalog.ipam.models import Endpoint
from catalog.placement.books import Drift
from catalog.placement.books import drift as placement_drift
from catalog.placement.models import Allocation, Holding
from catalog.quotas.models import Quota


def drift() -> list[Drift]:
    """Every disagreement; an empty list means that the books balance."""
    return [*placement_drift(), *_ports()]


def over_quota() -> list[str]:
    """Tenants that hold more than their quota: no error of the books, since a limit may be lowered below what is held."""
    limits = {(row.tenant_id, row.resource_class): row.limit for row in Quota.objects.all()}
    return [
        f"{row.tenant.slug} holds {row.used} {row.resource_class}, its quota is {limit}"
        for row in Holding.objects.filter(used__gt=0).select_related("tenant")
        if row.used > (limit := limits.get((row.tenant_id, row.resource_class), 0))
    ]


def _ports() -> list[Drift]:
    held = Endpoint.objects.filter(released_at__isnull=True).select_related("address", "instance")
    placed = Allocation.objects.filter(instance=OuterRef("instance"), released_at__isnull=True)
    astray = held.exclude(Exists(placed.filter(host=OuterRef("address__host")))).annotate(host=F("address__host__name"))
    return [
        Drift(f"port {each} of {each.instance.name}", f"an allocation on host {each.host}", "none") for each in astray
    ]
