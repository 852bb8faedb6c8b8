"""What a zone, an inventory or a candidate must be: small rules that leave some and drop the rest.

Each says its ``code``, which keeps its meaning for ever, and takes what it compares with; :mod:`catalog.placement.words` puts
them into words. Rules for zones and candidates judge one at a time, in memory. Rules for hosts narrow a query on the
inventories of one resource class, so that the same rules find room through an index and are counted for a refusal.
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from catalog.common.data import DataClass
from catalog.common.isolation import Isolation
from catalog.placement.choice import Candidate
from catalog.pool.models import ANYONE, GROUP, Host, Inventory, Zone

FAILURE_COUNTS = timedelta(hours=24)
"""So long after a build failed on a host others are taken before it."""

SILENCE = timedelta(minutes=10)
"""A host that last answered longer ago is taken only where no other has room."""


@dataclass(frozen=True)
class Place:
    """A zone, as rules see it."""

    zone_id: uuid.UUID
    slug: str
    kind: str
    data_classes: frozenset[str]
    closed: bool = False


def place_of(zone: Zone) -> Place:
    """What rules need to know of a zone."""
    holds = frozenset(each for each in DataClass.values if zone.holds(each))
    return Place(zone.pk, zone.slug, zone.kind, holds, closed=zone.closed_at is not None)


class ZoneRule(Protocol):
    """Leaves some zones."""

    code: ClassVar[str]

    def passes(self, place: Place) -> bool:
        """Whether the zone is left."""
        ...  # pragma: no cover


@dataclass(frozen=True)
class AskedFor:
    """The zone that was asked for; if none was, every zone of the group's own."""

    code: ClassVar[str] = "zone-asked-for"
    zone: str | None

    def passes(self, place: Place) -> bool:
        return place.kind != Zone.Kind.EXTERNAL if self.zone is None else place.slug == self.zone


@dataclass(frozen=True)
class OpenToAffiliate:
    """Zones that admit the affiliate."""

    code: ClassVar[str] = "zone-open"
    admitted: frozenset[uuid.UUID] = frozenset()

    def passes(self, place: Place) -> bool:
        return place.zone_id in self.admitted


@dataclass(frozen=True)
class TakesNew:
    """Zones that are not closed."""

    code: ClassVar[str] = "zone-takes-new"

    def passes(self, place: Place) -> bool:
        return not place.closed


@dataclass(frozen=True)
class MayHold:
    """Zones that may hold data of this class."""

    code: ClassVar[str] = "zone-data"
    data_class: str

    def passes(self, place: Place) -> bool:
        return self.data_class in place.data_classes


class HostRule(Protocol):
    """Leaves some hosts, by their inventories of one resource class."""

    code: ClassVar[str]

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        """The inventories of the hosts that are left."""
        ...  # pragma: no cover


@dataclass(frozen=True)
class Isolated:
    """Clean hosts, and those whose present use the plan's isolation allows to share."""

    code: ClassVar[str] = "isolation"
    isolation: str
    tenant_id: uuid.UUID

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        return rows.filter(open_to__in=opens(self.isolation, self.tenant_id))


@dataclass(frozen=True)
class Reachable:
    """Hosts whose addresses are not kept for the services of another affiliate."""

    code: ClassVar[str] = "reachable"
    tenant_id: uuid.UUID

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        kept = Host.objects.filter(pk=OuterRef("host_id"), addresses__prefix__tenant__isnull=False)
        return rows.exclude(Exists(kept.exclude(addresses__prefix__tenant=self.tenant_id)))


@dataclass(frozen=True)
class HasTraits:
    """Hosts that have every trait."""

    code: ClassVar[str] = "traits"
    traits: tuple[str, ...]

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        for name in self.traits:
            rows = rows.filter(
                Exists(Host.traits.through.objects.filter(host_id=OuterRef("host_id"), trait__name=name))
            )
        return rows


@dataclass(frozen=True)
class HasRoom:
    """Hosts with at least so much left of a resource class; total, reserved, ratio and claims are in ``free``."""

    code: ClassVar[str] = "room"
    resource_class: str
    amount: int

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        # A subquery for each row rather than a join: whatever the statistics say, it costs as many rows as are looked at.
        there = Inventory.objects.filter(host_id=OuterRef("host_id"), resource_class=self.resource_class)
        name = f"free_{self.resource_class.lower()}"
        return rows.annotate(**{name: Subquery(there.values("free")[:1])}).filter(**{f"{name}__gte": self.amount})


@dataclass(frozen=True)
class NothingClaimed:
    """Hosts of which nothing is claimed, for those who take them whole."""

    code: ClassVar[str] = "unclaimed"

    def narrow(self, rows: "QuerySet[Inventory]") -> "QuerySet[Inventory]":
        return rows.filter(used=0)


class CandidateRule(Protocol):
    """Leaves some of the hosts that were looked at more closely."""

    code: ClassVar[str]

    def passes(self, candidate: Candidate) -> bool:
        """Whether the host is left."""
        ...  # pragma: no cover


@dataclass(frozen=True)
class Apart:
    """Not the hosts, and not the zones, of members this one must stand apart from."""

    code: ClassVar[str] = "apart"
    hosts: frozenset[uuid.UUID] = frozenset()
    zones: frozenset[uuid.UUID] = frozenset()

    def passes(self, candidate: Candidate) -> bool:
        return candidate.host_id not in self.hosts and candidate.zone_id not in self.zones


@dataclass(frozen=True)
class Sound:
    """Hosts that answer, and on which no build failed lately. Where all that have room are doubtful, one of them is taken."""

    code: ClassVar[str] = "sound"
    now: datetime

    def passes(self, candidate: Candidate) -> bool:
        answers = candidate.unanswered == 0 and (candidate.seen_at is None or candidate.seen_at > self.now - SILENCE)
        failed = candidate.failed_at is not None and candidate.failed_at > self.now - FAILURE_COUNTS
        return answers and not (candidate.failures and failed)


def opens(isolation: str, tenant_id: uuid.UUID) -> tuple[uuid.UUID, ...]:
    """Values of ``Inventory.open_to`` that a claim of this isolation may take."""
    if isolation == Isolation.DEDICATED:
        return (ANYONE,)
    return (GROUP if isolation == Isolation.GROUP else tenant_id, ANYONE)


def room_rules(amounts: dict[str, int], traits: Sequence[str], *, whole: bool) -> list[HostRule]:
    """The rules about a host itself, the cheapest to ask first."""
    rules: list[HostRule] = [HasTraits(tuple(sorted(set(traits))))] if traits else []
    rules += [HasRoom(name, amount) for name, amount in sorted(amounts.items())]
    if whole:
        rules.append(NothingClaimed())
    return rules


Rule = ZoneRule | HostRule | CandidateRule


def described(rule: Rule) -> dict[str, Any]:
    """A rule as data: its code and what it compares with. Ids stay inside."""
    said = asdict(rule)  # type: ignore[call-overload]  # every rule is a dataclass
    return {"code": rule.code} | {
        name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, str) else value
        for name, value in said.items()
        if isinstance(value, str | int | tuple) and name != "tenant_id"
    }
