"""Which of the hosts that have room is the best: pure rules, no database."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class Candidate:
    """A host with room, as the rules see it.

    :param free: class → what can still be claimed, for every class the host has.
    :param total: class → what could be claimed if nothing were: (total − reserved) × allocation ratio.
    :param open_to: the value of ``Inventory.open_to`` it was found by.
    :param busy_until: the latest end of a lease of what stands on it; None: nothing does, or no lease of it has begun.
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
    busy_until: datetime | None = None
    failures: int = 0
    failed_at: datetime | None = None
    unanswered: int = 0
    seen_at: datetime | None = None


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


class Weigher(Protocol):
    """One reason to prefer a host. ``code`` names it for ever; ``weight`` says how much it counts."""

    code: ClassVar[str]

    @property
    def weight(self) -> Fraction: ...

    def weigh(self, candidate: Candidate, wanted: Wanted) -> Fraction:
        """From 0 (nothing speaks against the host) to 1."""
        ...  # pragma: no cover


@dataclass(frozen=True)
class HostsInUse:
    """Beside others before a clean host is begun: whole hosts stay whole."""

    code: ClassVar[str] = "hosts-in-use"
    weight: Fraction = Fraction(1)

    def weigh(self, candidate: Candidate, wanted: Wanted) -> Fraction:
        return Fraction(candidate.empty)


@dataclass(frozen=True)
class BestFit:
    """The mean over the classes of (free − wanted) / free: large rooms are kept for those who need them."""

    code: ClassVar[str] = "best-fit"
    weight: Fraction = Fraction(1)

    def weigh(self, candidate: Candidate, wanted: Wanted) -> Fraction:
        return left_over(candidate, wanted.amounts)


WEIGHERS: tuple[Weigher, ...] = (HostsInUse(), BestFit())


def fits(free: Mapping[str, int], amounts: Mapping[str, int]) -> bool:
    """Whether there is at least the wanted amount of every class."""
    return all(free.get(name, 0) >= amount for name, amount in amounts.items())


def left_over(candidate: Candidate, amounts: Mapping[str, int]) -> Fraction:
    """How much room would stay unused, as the mean over the classes of (free − wanted) / free; 0 is a perfect fit."""
    shares = [Fraction(candidate.free[name] - amount, candidate.free[name]) for name, amount in amounts.items()]
    return sum(shares, Fraction(0)) / len(shares)


def contributions(candidate: Candidate, wanted: Wanted) -> dict[str, Fraction]:
    """Weigher → what it adds to the candidate's score. The lowest sum is the best."""
    return {each.code: each.weight * each.weigh(candidate, wanted) for each in WEIGHERS}


def ranked(candidates: Iterable[Candidate], wanted: Wanted) -> list[Candidate]:
    """The candidates that fit, the best first; equals in the order of their ids, so it is repeatable."""
    fitting = (candidate for candidate in candidates if fits(candidate.free, wanted.amounts))
    return sorted(fitting, key=lambda each: (sum(contributions(each, wanted).values()), each.host_id))
