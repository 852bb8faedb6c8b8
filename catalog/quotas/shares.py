"""Who may claim how much, who lends it, and what comes back: the arithmetic of lending, without a database.

Everything here is of one resource class, in its own unit. An **account** is what was agreed with one tenant for one zone, or
(zone None) for wherever no account of its own says otherwise. What it uses up to ``guaranteed`` is its own; what it uses beyond
that is borrowed, and each borrowed unit is a loan from another tenant's idle guaranteed capacity, or from capacity nobody is
guaranteed.

Let C be the capacity, and for each account G the guaranteed and U the used amount, idle = max(0, G − U). More is lent only while

    what is borrowed  ≤  (C − sum of G)  +  sum of min(idle, lend limit),

so what an owner may still claim, C − sum of min(U, G) ≥ G − U, is always there once what is borrowed has come back.
"""

import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

MOST = 1_000_000_000
"""The largest amount that can be agreed: more than any pool has, little enough for every sum to fit 64 bits."""


@dataclass(frozen=True)
class Account:
    """One tenant's agreement for a zone, and how it stands.

    :param zone: where it counts; None: in every zone the tenant has no other account for.
    :param borrow_limit: how much it may use beyond ``guaranteed``.
    :param lend_limit: how much of its idle guaranteed amount others may use.
    :param lent: how much others use of it now.
    :param awaited: how much of it the owner waits for to come back; not idle, though not yet used.
    """

    tenant: uuid.UUID
    guaranteed: int
    borrow_limit: int = 0
    lend_limit: int = 0
    zone: uuid.UUID | None = None
    used: int = 0
    lent: int = 0
    awaited: int = 0

    @property
    def most(self) -> int:
        """The most it may use at once."""
        return self.guaranteed + self.borrow_limit

    @property
    def borrowed(self) -> int:
        """How much of what it uses belongs to others."""
        return max(0, self.used - self.guaranteed)

    @property
    def idle(self) -> int:
        """How much of its own it neither uses nor waits for."""
        return max(0, self.guaranteed - self.used - self.awaited)

    @property
    def to_lend(self) -> int:
        """How much more it lends; negative where its owner has used meanwhile what was lent."""
        return min(self.idle, self.lend_limit) - self.lent


@dataclass(frozen=True)
class Pool:
    """The capacity of one zone, and how much of what nobody is guaranteed is borrowed there.

    :param local: only one tenant may stand there, so no agreement for wherever counts on it.
    """

    zone: uuid.UUID
    capacity: int
    unowned_lent: int = 0
    local: bool = False


@dataclass(frozen=True)
class Part:
    """An amount that one lender lends; ``lender`` None: capacity nobody is guaranteed."""

    lender: uuid.UUID | None
    amount: int


def unowned(zone: uuid.UUID, accounts: Iterable[Account], pools: Iterable[Pool]) -> int:
    """How much of a zone nobody is guaranteed and nobody has borrowed; negative where more is guaranteed than there is."""
    known = list(accounts)
    by_zone = {pool.zone: pool for pool in pools}
    here = by_zone.get(zone, Pool(zone, 0))
    left = here.capacity - here.unowned_lent - sum(each.guaranteed for each in known if each.zone == zone)
    if here.local:
        return left
    shared = [pool for pool in by_zone.values() if not pool.local]
    places = {pool.zone for pool in shared}
    everywhere = sum(pool.capacity - pool.unowned_lent for pool in shared)
    everywhere -= sum(each.guaranteed for each in known if each.zone is None or each.zone in places)
    return min(left, everywhere)


def lenders(
    amount: int, *, borrower: uuid.UUID, zone: uuid.UUID, accounts: Sequence[Account], pools: Sequence[Pool]
) -> list[Part]:
    """Who lends ``amount`` more to be used in ``zone``: what nobody is guaranteed first, then whoever has most to lend.

    :returns: parts that add up to ``amount``, or none at all where less can be lent.
    """
    local = any(pool.zone == zone and pool.local for pool in pools)
    places = {zone} if local else {zone, None}
    others = [each for each in accounts if each.tenant != borrower and each.zone in places]
    nobodys = unowned(zone, accounts, pools)
    if amount < 1 or nobodys + sum(each.to_lend for each in others) < amount:
        return []
    offers = [Part(None, nobodys)]
    offers += [
        Part(each.tenant, each.to_lend)
        for each in sorted(others, key=lambda each: (-each.to_lend, each.tenant, str(each.zone)))
    ]
    parts: list[Part] = []
    for offer in offers:
        taken = min(offer.amount, amount - sum(part.amount for part in parts))
        if taken > 0:
            parts.append(Part(offer.lender, taken))
    return parts


@dataclass(frozen=True)
class Piece:
    """Something borrowed that can only come back as a whole.

    :param since: when it was borrowed.
    :param amounts: resource class → what its return frees.
    """

    key: Any
    since: datetime
    amounts: Mapping[str, int]


def to_recall(pieces: Iterable[Piece], needed: Mapping[str, int]) -> list[Piece]:
    """What must come back so that ``needed`` is freed: last borrowed first, and nothing that could be left out.

    :returns: none at all where even everything would not do.
    """
    chosen: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.since, str(piece.key)), reverse=True):
        if _covered(chosen, needed):
            break
        chosen.append(piece)
    if not _covered(chosen, needed):
        return []
    for piece in reversed(list(chosen)):
        rest = [each for each in chosen if each is not piece]
        if _covered(rest, needed):
            chosen = rest
    return chosen


def _covered(pieces: Sequence[Piece], needed: Mapping[str, int]) -> bool:
    return all(sum(piece.amounts.get(name, 0) for piece in pieces) >= amount for name, amount in needed.items())


@dataclass(frozen=True)
class Debt:
    """An open loan as its return sees it."""

    key: int
    since: datetime
    amount: int
    instance: Hashable = None


def to_return(debts: Iterable[Debt], amount: int, *, instance: Hashable = None) -> list[tuple[int, int]]:
    """Which loans end when ``amount`` less is borrowed: those of the instance that went, then the last borrowed first.

    :returns: pairs of a loan's key and how much of it ends; only the last may be a part of a loan.
    """
    mine = list(debts)
    mine.sort(key=lambda debt: (debt.instance == instance and instance is not None, debt.since, debt.key), reverse=True)
    ended: list[tuple[int, int]] = []
    left = amount
    for debt in mine:
        if left <= 0:
            break
        ended.append((debt.key, min(debt.amount, left)))
        left -= debt.amount
    return ended


HALF_LIFE = timedelta(days=7)
"""After this time what a tenant used counts half."""

AGEING = timedelta(hours=12)
"""The wait that makes up for a dominant share of 1 (everything there is)."""

OWN_RIGHT = 2.0
"""What an order within the guaranteed amount is put ahead: as far as any share can lie apart."""


def remembered(before: float, used: int, elapsed: timedelta) -> float:
    """What is remembered of a use, ``elapsed`` after it was ``before``, when ``used`` was held all the while.

    An exponential moving average whose weights halve every :data:`HALF_LIFE`. Never above the most that was held.
    """
    kept = 0.5 ** (max(elapsed, timedelta(0)) / HALF_LIFE)
    return before * kept + used * (1 - kept)


@dataclass(frozen=True)
class Use:
    """What a tenant holds now and what is remembered of before, by resource class."""

    used: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)

    def plus(self, wanted: Mapping[str, int]) -> "Use":
        """The use after one more claim."""
        names = self.used.keys() | wanted.keys()
        return Use({name: self.used.get(name, 0) + wanted.get(name, 0) for name in names}, self.memory)

    def dominant_share(self, capacity: Mapping[str, int]) -> float:
        """The largest share of any class, half of it what is held now and half what is remembered; 0 to 1.

        The dominant resource of Ghodsi et al., "Dominant Resource Fairness" (NSDI 2011), with a memory.
        """
        shares = [
            (self.used.get(name, 0) + self.memory.get(name, 0)) / (2 * there)
            for name, there in capacity.items()
            if there > 0
        ]
        return min(1.0, max(shares, default=0.0))


@dataclass(frozen=True)
class Waiting:
    """An order that stands in line.

    :param own: it asks for nothing beyond what its tenant is guaranteed.
    """

    key: uuid.UUID
    tenant: uuid.UUID
    wanted: Mapping[str, int]
    since: datetime
    own: bool = False


def urgency(order: Waiting, use: Use, capacity: Mapping[str, int], now: datetime) -> float:
    """Who has the lowest figure is next: the share of its tenant, less what its wait makes up for.

    Two orders that wait cannot lie further apart in share and right than 1 + :data:`OWN_RIGHT`; so an order that has waited
    that many times :data:`AGEING` longer than another is before it, whatever either tenant holds: nobody starves.
    """
    right = OWN_RIGHT if order.own else 0.0
    return use.dominant_share(capacity) - right - (now - order.since) / AGEING


def in_line(
    orders: Iterable[Waiting], uses: Mapping[uuid.UUID, Use], capacity: Mapping[str, int], now: datetime
) -> list[Waiting]:
    """The order in which those that wait get what comes free. Each place counts as given before the next is decided."""
    left = list(orders)
    standing = dict(uses)
    line: list[Waiting] = []
    while left:
        chosen = min(
            left,
            key=lambda order: (
                urgency(order, standing.get(order.tenant, Use()), capacity, now), order.since, order.key,
            ),
        )  # fmt: skip
        left.remove(chosen)
        line.append(chosen)
        standing[chosen.tenant] = standing.get(chosen.tenant, Use()).plus(chosen.wanted)
    return line
