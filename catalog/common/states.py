"""State tables: pure data and the check. What moves a row, and records it, is :func:`catalog.audit.gate.move`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class StateTable:
    """Which state may follow which.

    :param moves: every state, with the states that may follow it (empty for a final one).
    :param deadlines: transitional states and how long a thing may stay in each.
    """

    name: str
    moves: Mapping[str, frozenset[str]]
    deadlines: Mapping[str, timedelta] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = set(self.moves)
        stray = {to for targets in self.moves.values() for to in targets} - known | set(self.deadlines) - known
        if stray:
            raise ValueError(f"{self.name}: states named but not in the table: {sorted(stray)}")

    def allows(self, frm: str, to: str) -> bool:
        """Whether ``to`` may follow ``frm``. Raises KeyError for a state the table does not know."""
        return to in self.moves[frm]

    @property
    def final(self) -> frozenset[str]:
        """States nothing follows."""
        return frozenset(state for state, targets in self.moves.items() if not targets)

    def deadline(self, state: str, now: datetime) -> datetime | None:
        """When a thing that enters ``state`` at ``now`` must have left it; None for a stable state."""
        limit = self.deadlines.get(state)
        return now + limit if limit is not None else None
