"""Do the books agree with themselves? Read-only."""

from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet, Sum

from catalog.common.isolation import Isolation
from catalog.placement.models import Allocation, Holding
from catalog.pool.models import Host, Inventory
from catalog.pool.services import open_to
from catalog.pool.states import HostState


@dataclass(frozen=True)
class Drift:
    """Something the books say in two places, differently."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


def drift() -> list[Drift]:
    """Every difference between open allocations and what inventories, holdings and hosts say."""
    return [*_inventories(), *_holdings(), *_hosts(), *_hints()]


def _inventories() -> list[Drift]:
    claimed = {
        (row["host_id"], row["resource_class"]): row["amount"]
        for row in Allocation.objects.filter(released_at__isnull=True)
        .values("host_id", "resource_class")
        .annotate(amount=Sum("amount"))
    }
    found = []
    for row in Inventory.objects.filter(Q(used__gt=0) | Q(host_id__in={host for host, _ in claimed})).select_related(
        "host"
    ):
        expected = claimed.pop((row.host_id, row.resource_class), 0)
        if row.used != expected:
            found.append(Drift(f"{row.resource_class} used of host {row.host.name}", str(expected), str(row.used)))
    found += [
        Drift(f"{resource_class} used of host {host_id}", str(amount), "no inventory")
        for (host_id, resource_class), amount in claimed.items()
    ]
    return found


def _holdings() -> list[Drift]:
    held = {
        (row["instance__tenant"], row["resource_class"], row["host__zone"]): row["amount"]
        for row in Allocation.objects.filter(released_at__isnull=True)
        .values("instance__tenant", "resource_class", "host__zone")
        .annotate(amount=Sum("amount"))
    }
    found = []
    for row in Holding.objects.select_related("tenant", "zone"):
        expected = held.pop((row.tenant_id, row.resource_class, row.zone_id), 0)
        if row.used != expected:
            what = f"{row.resource_class} held by {row.tenant.slug} in {row.zone.slug}"
            found.append(Drift(what, str(expected), str(row.used)))
    found += [
        Drift(f"{name} held by {tenant} in {zone}", str(amount), "no row")
        for (tenant, name, zone), amount in held.items()
    ]
    return found


def _hosts() -> list[Drift]:
    open_ = Allocation.objects.filter(released_at__isnull=True)
    alone = open_.exclude(host__sharing=Isolation.GROUP)
    strangers = alone.exclude(instance__tenant=F("host__holder")).values_list("host__name", flat=True).distinct()
    found = [Drift(f"holder of host {name}", "the tenant of its allocations", "another") for name in strangers]
    shared = (
        open_.filter(host__exclusive=True)
        .values("host__name")
        .annotate(instances=Count("instance", distinct=True))
        .filter(instances__gt=1)
    )
    found += [Drift(f"instances on whole host {row['host__name']}", "1", str(row["instances"])) for row in shared]
    unheld = alone.filter(host__holder__isnull=True).values_list("host__name", flat=True).distinct()
    found += [Drift(f"holder of host {name}", "the tenant of its allocations", "nobody") for name in unheld]
    found += _shared_by_affiliates(open_)
    idle = Host.objects.filter(state=HostState.RESERVED).exclude(allocations__in=open_).values_list("name", flat=True)
    found += [Drift(f"host {name} is reserved", "an open allocation", "none") for name in idle]
    return found


def _shared_by_affiliates(open_: "QuerySet[Allocation]") -> list[Drift]:
    """Only what was sold so stands on a host that affiliates share, and nothing that was sold so stands anywhere else."""
    group = Isolation.GROUP
    astray = open_.filter(Q(host__sharing=group) & ~Q(isolation=group) | ~Q(host__sharing=group) & Q(isolation=group))
    found = [
        Drift(f"sharing of host {name} under {instance}", promised, sharing)
        for name, instance, promised, sharing in astray.values_list(
            "host__name", "instance__name", "isolation", "host__sharing"
        ).distinct()
    ]
    whole = open_.filter(
        Q(host__exclusive=True) & ~Q(isolation="dedicated") | Q(host__exclusive=False, isolation="dedicated")
    )
    found += [
        Drift(f"host {name} held as a whole", str(isolation == Isolation.DEDICATED), str(exclusive))
        for name, isolation, exclusive in whole.values_list("host__name", "isolation", "host__exclusive").distinct()
    ]
    return found


def _hints() -> list[Drift]:
    found = []
    rows = Inventory.objects.select_related("host").only(
        "resource_class",
        "open_to",
        "zone",
        "host__name",
        "host__state",
        "host__holder",
        "host__exclusive",
        "host__sharing",
        "host__zone",
    )
    for row in rows.iterator(chunk_size=2000):
        expected = open_to(row.host)
        if row.open_to != expected:
            found.append(
                Drift(f"{row.resource_class} of host {row.host.name} open to", str(expected), str(row.open_to))
            )
        if row.zone_id != row.host.zone_id:
            found.append(Drift(f"zone of {row.resource_class} of host {row.host.name}", "its host's", "another"))
    return found
