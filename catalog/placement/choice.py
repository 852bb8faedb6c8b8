"""Which of the hosts that have room is the best: pure rules, no database."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Candidate:
    """A host with room, and how much it has free of each class that is wanted."""

    host_id: uuid.UUID
    free: Mapping[str, int]


def fits(candidate: Candidate, wanted: Mapping[str, int]) -> bool:
    """Whether the host has at least the wanted amount of every class."""
    return all(candidate.free.get(name, 0) >= amount for name, amount in wanted.items())


def left_over(candidate: Candidate, wanted: Mapping[str, int]) -> Fraction:
    """How much room would stay unused, as the mean over the classes of (free − wanted) / free; 0 is a perfect fit."""
    shares = [Fraction(candidate.free[name] - amount, candidate.free[name]) for name, amount in wanted.items()]
    return sum(shares, Fraction(0)) / len(shares)


def ranked(candidates: Iterable[Candidate], wanted: Mapping[str, int]) -> list[Candidate]:
    """The candidates that fit, the tightest first (best fit); equals in the order of their ids, so it is repeatable.

    Best fit keeps large rooms whole for those who need them.
    """
    fitting = (candidate for candidate in candidates if fits(candidate, wanted))
    return sorted(fitting, key=lambda candidate: (left_over(candidate, wanted), candidate.host_id))
