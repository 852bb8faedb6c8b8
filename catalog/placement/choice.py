"""Which of the hosts that have room is the best: pure rules, no database.

What they weigh is in :mod:`catalog.placement.weighers`; what room is worth at present, in :mod:`catalog.placement.prices`.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Protocol

from catalog.placement.prices import NO_PRICES, Prices


@dataclass(frozen=True)
class Stay:
    """Somebody who stands on a host: the share of it that is theirs, above 0 and at most 1, and when their lease ends.

    None for ``until``: that is not known, and counts as long as the lease that is weighed.
    """

    share: float
    until: datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """A host with room, as the rules see it.

    :param free: class → what can still be claimed, for every class the host has.
    :param total: class → what could be claimed if nothing were: (total − reserved) × allocation ratio.
    :param open_to: the value of ``Inventory.open_to`` it was found by.
    :param stays: who stands on it.
    :param failures: builds that failed on it one after the other, the last at ``failed_at``.
    :param unanswered: checks it left unanswered one after the other; it last answered at ``seen_at`` (None: it was never asked).
    """

    host_id: uuid.UUID
    free: Mapping[str, int]
    total: Mapping[str, int] = field(default_factory=dict)
    name: str = ""
    zone_id: uuid.UUID | None = None
    open_to: uuid.UUID | None = None
    traits: frozenset[str] = frozenset()
    empty: bool = True
    stays: tuple[Stay, ...] = ()
    failures: int = 0
    failed_at: datetime | None = None
    unanswered: int = 0
    seen_at: datetime | None = None

    def after(self, wanted: "Wanted") -> "Candidate":
        """The host as it will be once ``wanted`` stands on it."""
        return replace(
            self,
            empty=False,
            free={
                name: 0 if wanted.whole else amount - wanted.amounts.get(name, 0) for name, amount in self.free.items()
            },
            stays=(*self.stays, Stay(share_of(self, wanted), wanted.until)),
        )


@dataclass(frozen=True)
class Wanted:
    """What is to stand on one host.

    :param amounts: class → amount above 0.
    :param traits: what the host must be.
    :param whole: the host as a whole, with at least ``amounts``.
    :param until: when its lease will end, as far as that is known.
    """

    amounts: Mapping[str, int]
    traits: frozenset[str] = frozenset()
    whole: bool = False
    until: datetime | None = None


@dataclass(frozen=True)
class Outlook:
    """What weighers know beside the host: the time, and what room is worth."""

    now: datetime
    prices: Prices = NO_PRICES

    @cached_property
    def _worths(self) -> dict[tuple[uuid.UUID | None, frozenset[str]], tuple[float, ...]]:
        return {}

    def worth(self, candidate: Candidate) -> tuple[float, ...]:
        """What a slot for each of ``prices.shapes`` is worth on this host."""
        # Hosts of one zone with equal traits are asked for once.
        key = candidate.zone_id, candidate.traits
        if key not in self._worths:
            self._worths[key] = self.prices.worth(*key)
        return self._worths[key]


class Weigher(Protocol):
    """One reason against a host. ``code`` names it for ever; ``weight`` says how much it counts."""

    code: ClassVar[str]

    @property
    def weight(self) -> float: ...

    def weigh(self, candidate: Candidate, wanted: Wanted, outlook: Outlook) -> float:
        """0: nothing speaks against the host; the more, the more does."""
        ...  # pragma: no cover


def fits(free: Mapping[str, int], amounts: Mapping[str, int]) -> bool:
    """Whether there is at least the wanted amount of every class."""
    return all(free.get(name, 0) >= amount for name, amount in amounts.items())


def share_of(candidate: Candidate, wanted: Wanted) -> float:
    """The share of the whole host that ``wanted`` takes, of the class of which it takes the most: above 0, at most 1."""
    if wanted.whole:
        return 1.0
    return max(amount / max(amount, candidate.total.get(name, amount)) for name, amount in wanted.amounts.items())


def contributions(
    candidate: Candidate, wanted: Wanted, outlook: Outlook, weighers: Iterable[Weigher]
) -> dict[str, float]:
    """Weigher → what it adds to the candidate's score. The lowest sum is the best."""
    return {each.code: each.weight * each.weigh(candidate, wanted, outlook) for each in weighers}


def ranked(
    candidates: Iterable[Candidate], wanted: Wanted, outlook: Outlook, weighers: Iterable[Weigher]
) -> list[Candidate]:
    """The candidates that fit, the best first.

    Of equals the one with the fewest traits that nobody asked for, and then in the order of their ids, so it is repeatable.
    """
    rules = tuple(weighers)
    fitting = (candidate for candidate in candidates if fits(candidate.free, wanted.amounts))
    return sorted(
        fitting,
        key=lambda each: (
            sum(rule.weight * rule.weigh(each, wanted, outlook) for rule in rules),
            len(each.traits - wanted.traits),
            each.host_id,
        ),
    )
