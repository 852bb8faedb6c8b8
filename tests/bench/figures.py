"""Samples and what is said of them: medians, percentiles, and ratios that machine drift cancels out of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest sample that at least ``percent`` % of all samples do not exceed (nearest rank).

    :raises ValueError: there are no samples, or ``percent`` is not within 0 to 100 (0 excluded).
    """
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile needs samples, and a percentage above 0 and up to 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of ours ÷ theirs, pair by pair as they were taken in turn. Raises ValueError unless they pair up."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of ours − theirs, pair by pair as they were taken in turn. Raises ValueError unless they pair up."""
    return median(mine - other for mine, other in zip(ours, theirs, strict=True))


@dataclass
class Comparison:
    """Samples of one thing in seconds, and of the yardstick that was measured in turn with it.

    :param bar: what DESIGN asks for, in words; empty where it asks for nothing.
    """

    what: str
    yardstick: str = ""
    bar: str = ""
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def add(self, ours: float, theirs: float | None = None) -> None:
        """One sample, with its yardstick's where there is one."""
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    def cells(self) -> list[str]:
        """Its row of the table that :data:`COMPARED` heads."""
        if not self.ours:
            return [self.what, "0", *[""] * 8, self.bar]
        own = [f"{value:.2f} s" for value in (median(self.ours), percentile(self.ours, 95), max(self.ours))]
        if not self.theirs:
            return [self.what, str(len(self.ours)), *own, self.yardstick, "", "", "", "", self.bar]
        other = [f"{value:.2f} s" for value in (median(self.theirs), percentile(self.theirs, 95))]
        against = [f"{ratio(self.ours, self.theirs):.2f} ×", f"{difference(self.ours, self.theirs):+.2f} s"]
        return [self.what, str(len(self.ours)), *own, self.yardstick, *other, *against, self.bar]


COMPARED = ["what", "n", "median", "p95", "max", "yardstick", "median", "p95", "ratio", "difference", "bar"]
