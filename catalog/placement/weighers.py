"""The reasons against a host that placement weighs; see the decision on what room is worth."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from catalog.placement.choice import Candidate, Outlook, Wanted, Weigher, share_of


@dataclass(frozen=True)
class Scarcity:
    """What others lose: the slots that would be gone, each at its price.

    Rare traits are kept for those who need them, large rooms for large members, whole hosts for those who take
    whole ones; and room is not left in pieces that nobody can use.
    """

    code: ClassVar[str] = "scarcity"
    weight: float = 333.0

    def weigh(self, candidate: Candidate, wanted: Wanted, outlook: Outlook) -> float:
        worths = outlook.worth(candidate)
        free, empty = candidate.free, candidate.empty
        rest = {} if wanted.whole else {name: amount - wanted.amounts.get(name, 0) for name, amount in free.items()}
        lost = 0.0
        for shape, worth in zip(outlook.prices.shapes, worths, strict=True):
            if worth and (before := shape.slots(free, empty=empty)):
                lost += worth * (before - shape.slots(rest, empty=False) if rest else before)
        return lost


@dataclass(frozen=True)
class HostHours:
    """The host-hours a slice is answerable for, as 1 − 1 / (1 + hours / (4 × the usual stay)); 0 to 1.

    Those who stand on a host at a time answer for it by what each takes of it. A slice beside others that stay as long answers
    for little, one that keeps a host in use when the others have left for all of it: leases that end together stand
    together, and hosts fall empty. Counts the less, the less of the pool is free.
    """

    code: ClassVar[str] = "host-hours"
    weight: float = 3.0

    def weigh(self, candidate: Candidate, wanted: Wanted, outlook: Outlook) -> float:
        if wanted.whole:
            return 0.0
        usual = outlook.prices.stay
        length = _seconds(outlook.now, wanted.until, usual)
        hours = answerable(
            share_of(candidate, wanted), length,
            [(_seconds(outlook.now, each.until, length), each.share) for each in candidate.stays],
        )  # fmt: skip
        return hours / (hours + 4 * usual) * _ease(outlook)


@dataclass(frozen=True)
class HostsInUse:
    """Beside others before a clean host is begun: whole hosts stay whole. Counts the less, the less of the pool is free."""

    code: ClassVar[str] = "hosts-in-use"
    weight: float = 1.0

    def weigh(self, candidate: Candidate, wanted: Wanted, outlook: Outlook) -> float:
        return 0.0 if wanted.whole or not candidate.empty else _ease(outlook)


@dataclass(frozen=True)
class BestFit:
    """The mean over the classes of (free − wanted) / free, from 0 to 1: decides where nothing else does."""

    code: ClassVar[str] = "best-fit"
    weight: float = 0.001

    def weigh(self, candidate: Candidate, wanted: Wanted, outlook: Outlook) -> float:
        shares = [1 - amount / candidate.free[name] for name, amount in wanted.amounts.items()]
        return sum(shares) / len(shares)


WEIGHERS: tuple[Weigher, ...] = (Scarcity(), HostHours(), HostsInUse(), BestFit())


def answerable(share: float, length: float, others: list[tuple[float, float]]) -> float:
    """The host-seconds that one who takes ``share`` of a host for ``length`` seconds is answerable for, at most ``length``.

    :param others: how long each of the others stays, in seconds, and the share they take.
    """
    taken, since, sum_ = sum(each for _, each in others), 0.0, 0.0
    for until, theirs in sorted(others):
        if until > since:
            end = min(until, length)
            sum_ += (end - since) * share / (share + taken)
            since = end
            if end == length:
                return sum_
        taken = max(0.0, taken - theirs)
    return sum_ + length - since


def _seconds(now: datetime, until: datetime | None, unknown: float) -> float:
    return unknown if until is None else max(0.0, (until - now).total_seconds())


def _ease(outlook: Outlook) -> float:
    return (2 * outlook.prices.slack) ** 3
