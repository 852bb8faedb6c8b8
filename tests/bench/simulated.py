"""The simulator asks the code that places orders in production: ``placesim.py --plug tests.bench.simulated:allocate``.

The simulator's state is put into the words of placement, host by host; who stands where until when, and what was asked for, is
remembered, as the database does. Prices are made anew after so many orders, not for each, as in production.
"""

import os
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
django.setup()

from catalog.placement.choice import Candidate, Outlook, Stay, fits  # noqa: E402  # only after setup
from catalog.placement.filters import Sound  # noqa: E402
from catalog.placement.members import Bundle, Member, Spread, bundles  # noqa: E402
from catalog.placement.prices import NO_PRICES, Demand, Prices, Room, Shape, priced  # noqa: E402
from catalog.placement.search import NoneLeft, assign  # noqa: E402

CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TRAITS = ("nvme", "gpu", "nic100g", "licensed")

ORDERS_A_PRICE = 8
"""Prices are made anew after so many orders."""


class Books:
    """What the database would know: of the hosts, of those who stand on them, and of what was asked for."""

    def __init__(self, state: Any) -> None:
        self.total = [_amounts(row) for row in state.cap]
        self.traits = [_traits(int(mask)) for mask in state.traits]
        self.ids = [uuid.UUID(int=1 + host) for host in range(len(self.total))]
        zones = [uuid.UUID(int=1000 + zone) for zone in range(state.nz)]
        self.zones = [zones[zone] for zone in state.zone]
        self.stays: list[list[tuple[float, Stay]]] = [[] for _ in self.total]
        self.asked: Counter[tuple[Shape, frozenset[str]]] = Counter()
        self.hours = 0.0
        self.seen: list[list[float]] = [[] for _ in self.total]
        self.known: list[dict[str, int]] = list(self.total)
        self.left: list[dict[str, int]] = list(self.total)
        self.orders = 0
        self.prices: Prices = NO_PRICES

    def note(self, order: Any, state: Any) -> None:
        """An order came: remember what it wants, and make prices anew when it is time."""
        shape = Shape(tuple(_amounts(order.dem).items()), order.mode == "host")
        self.asked[shape, _traits(order.traits)] += order.n
        self.hours += order.t1 - order.t0
        self.orders += 1
        self.look(state)
        if self.orders % ORDERS_A_PRICE == 1:
            for host in range(len(self.total)):
                self.stays[host] = [(until, stay) for until, stay in self.stays[host] if until > state.now]
            self.prices = priced(
                [Demand(*kind, float(weight)) for kind, weight in self.asked.items()],
                (self.room(state, host) for host in range(len(self.total))),
                standing=sum(map(len, self.stays)),
                stay=3600 * self.hours / self.orders,
            )

    def room(self, state: Any, host: int) -> Room:
        """What a host has left; of one that is held as a whole, what it will have."""
        if state.host_free[host]:
            return Room(self.zones[host], self.traits[host], self.free(state, host), self.total[host])
        ends_in = 3600 * max(until - state.now for until, _ in self.stays[host])
        return Room(self.zones[host], self.traits[host], self.total[host], self.total[host], ends_in=ends_in)

    def free(self, state: Any, host: int) -> dict[str, int]:
        """What is left of a host."""
        return self.left[host]

    def look(self, state: Any) -> None:
        """See what is left of every host now."""
        taken = dict.fromkeys(CLASSES, 0)
        rows = zip(state.free.tolist(), state.host_free.tolist(), strict=True)
        for host, (row, whole) in enumerate(rows):
            if row != self.seen[host]:
                self.seen[host], self.known[host] = row, _amounts(row)
            self.left[host] = self.known[host] if whole else taken

    def candidate(self, state: Any, host: int) -> Candidate:
        """A host as the rules see it."""
        free = self.free(state, host)
        standing = tuple(stay for until, stay in self.stays[host] if until > state.now)
        return Candidate(
            self.ids[host], free, self.total[host], zone_id=self.zones[host], traits=self.traits[host],
            empty=free == self.total[host], stays=standing,
        )  # fmt: skip


_open: list[tuple[Any, Books]] = []


def allocate(state: Any, order: Any) -> list[int] | None:
    """The simulator's contract: a host for each member, or None."""
    if not _open or _open[0][0] is not state:
        _open[:] = [(state, Books(state))]
    books = _open[0][1]
    books.note(order, state)
    now, until = BEGAN + timedelta(hours=state.now), BEGAN + timedelta(hours=order.t1)
    spread = {"none": Spread.NONE, "host": Spread.HOST, "zone": Spread.ZONE}[order.spread]
    whole, traits = order.mode == "host", _traits(order.traits)
    members = [
        Member(_amounts(order.dem), traits, name=f"member-{number}", number=number, spread=spread)
        for number in range(1, order.n + 1)
    ]
    wanted = bundles(members, whole=whole, until=until)
    shortlist = [
        books.candidate(state, host)
        for host in range(len(books.total))
        if (order.zone < 0 or state.zone[host] == order.zone)
        and traits <= books.traits[host]
        and fits(books.free(state, host), members[0].amounts)
    ]
    try:
        chosen = assign(wanted, lambda _: shortlist, sound=Sound(now), outlook=Outlook(now, books.prices))
    except NoneLeft:
        return None
    for choice in chosen:
        books.stays[choice.candidate.host_id.int - 1].append((order.t1, _stay(choice.candidate, choice.bundle)))
    return [choice.candidate.host_id.int - 1 for choice in chosen]


def _stay(candidate: Candidate, bundle: Bundle) -> Stay:
    return candidate.after(bundle.wanted).stays[-1]


def _amounts(row: Sequence[float]) -> dict[str, int]:
    return {name: int(amount) for name, amount in zip(CLASSES, row, strict=True)}


def _traits(mask: int) -> frozenset[str]:
    return frozenset(name for place, name in enumerate(TRAITS) if mask >> place & 1)
