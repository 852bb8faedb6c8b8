"""What a slot of room is worth: prices from what is asked for and what is left. Pure rules, no database.

A slot is room for one more member of some shape. Where many are left one is worth nothing; the fewer are left, the more likely
somebody who needs one will be refused for want of it. That likelihood is the price, so traits, sizes and zones are
protected as far as they are scarce in the pool as it is now, and no further.
"""

import math
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

NAMED = 0.3
"""The share of orders that is taken to name their zone."""

SWING = 0.2
"""How far demand swings, in square roots of what stands: where so many slots are left, one more or less matters."""

SOON = 1 / 3
"""A host that a lease still holds counts for e^−t: t is what is left of the lease, in units of so much of the usual stay."""

LEAST = 1e-9
"""Prices below this are nothing."""


@dataclass(frozen=True)
class Shape:
    """What one member takes of its host: so much of each class, or the ``whole`` of one that has at least so much."""

    amounts: tuple[tuple[str, int], ...]
    whole: bool = False

    def slots(self, free: Mapping[str, int], *, empty: bool) -> int:
        """How many of this shape the host still takes."""
        if self.whole and not empty:
            return 0
        most = sys.maxsize
        for name, amount in self.amounts:
            room = free.get(name, 0) // amount
            if room < most:
                most = room
                if most <= 0:
                    return 0
        return 1 if self.whole else most


@dataclass(frozen=True)
class Demand:
    """How often members of a shape that need these traits were asked for. Only ratios of ``weight`` matter."""

    shape: Shape
    traits: frozenset[str]
    weight: float


@dataclass(frozen=True)
class Room:
    """What ``hosts`` hosts that are alike have left, each.

    :param ends_in: all of it is held, and is left in so many seconds: its ``free`` is what will be.
    """

    zone_id: uuid.UUID | None
    traits: frozenset[str]
    free: Mapping[str, int]
    total: Mapping[str, int]
    hosts: int = 1
    ends_in: float | None = None

    @property
    def empty(self) -> bool:
        return self.free == self.total


@dataclass(frozen=True)
class Prices:
    """What a slot is worth, by zone and by what a host must have to serve those who would need it.

    :param by_zone: zone → (traits, the price for each of ``shapes``), only of what is worth anything.
    :param slack: how much of the pool is free, of the class of which the least is: 0 to 1.
    :param stay: the seconds for which members usually stay, above 0.
    """

    shapes: tuple[Shape, ...] = ()
    by_zone: Mapping[uuid.UUID | None, Sequence[tuple[frozenset[str], tuple[float, ...]]]] | None = None
    slack: float = 0.5
    stay: float = 30 * 86_400.0

    def worth(self, zone_id: uuid.UUID | None, traits: frozenset[str]) -> tuple[float, ...]:
        """What a slot for each shape is worth on a host of this zone with these traits: to all whom it could serve."""
        found = [prices for needed, prices in (self.by_zone or {}).get(zone_id, ()) if needed <= traits]
        return tuple(map(sum, zip(*found, strict=True))) if found else (0.0,) * len(self.shapes)


NO_PRICES = Prices()
"""Where nothing is known yet: no slot is worth more than another."""


def priced(demands: Sequence[Demand], rooms: Iterable[Room], *, standing: int, stay: float) -> Prices:
    """Prices for a pool.

    The price of a slot of shape f on hosts with traits m is the share of members that are of f and need exactly m, times
    exp(−S/s): S slots of f are left on hosts with at least m, and s is the usual swing of demand.

    :param standing: members that stand in the pool now; demand swings with its square root.
    :param stay: how long members usually stay, in seconds above 0.
    """
    by_shape: dict[Shape, float] = defaultdict(float)
    by_traits: dict[frozenset[str], float] = defaultdict(float)
    for demand in demands:
        by_shape[demand.shape] += demand.weight
        by_traits[demand.traits] += demand.weight
    shapes, needs = list(by_shape), list(by_traits)
    left: dict[uuid.UUID | None, list[list[float]]] = {}
    free: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for room in rooms:
        for name, amount in room.total.items():
            total[name] += amount * room.hosts
            if room.ends_in is None:
                free[name] += room.free.get(name, 0) * room.hosts
        here = left.setdefault(room.zone_id, [[0.0] * len(shapes) for _ in needs])
        counts = room.hosts * (1.0 if room.ends_in is None else math.exp(-room.ends_in / (stay * SOON)))
        slots = [counts * shape.slots(room.free, empty=room.empty) for shape in shapes]
        if any(slots):
            for row, needed in zip(here, needs, strict=True):
                if needed <= room.traits:
                    row[:] = map(float.__add__, row, slots)
    slack = min((free[name] / most for name, most in total.items() if most), default=0.5)
    swing = SWING * math.sqrt(standing + 20)
    everywhere = [[sum(column) for column in zip(*rows, strict=True)] for rows in zip(*left.values(), strict=True)]
    weight = sum(by_shape.values())
    by_zone: dict[uuid.UUID | None, list[tuple[frozenset[str], tuple[float, ...]]]] = {}
    for zone, rows in left.items():
        by_zone[zone] = []
        for needed, near, far in zip(needs, rows, everywhere, strict=True):
            need = by_traits[needed] / weight
            prices = tuple(
                need * by_shape[shape] / weight
                * ((1 - NAMED) * math.exp(-far[n] / swing) + NAMED / len(left) * math.exp(-near[n] / swing))
                for n, shape in enumerate(shapes)
            )  # fmt: skip
            if any(price >= LEAST for price in prices):
                by_zone[zone].append((needed, prices))
    return Prices(tuple(shapes), by_zone, slack, stay)
