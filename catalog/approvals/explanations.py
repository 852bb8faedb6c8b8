"""Approvals in words, in the reader's language: why one is needed, and who gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext

from catalog.approvals.models import Decision, Request
from catalog.approvals.rules import CONSUMER, Demand, Step, Who, condition


def reasons_of(demand: Demand) -> list[dict[str, Any]]:
    """The rules of a demand, as a request keeps them."""
    return [
        {"rule": rule.name, "conditions": [[each.kind, each.value] for each in rule.conditions]}
        for rule in demand.rules
    ]


def because(reasons: Sequence[dict[str, Any]]) -> str:
    """Why it must be approved, as sentences; a rule without conditions always holds."""
    return " ".join(_because(each) for each in reasons)


def _because(reason: dict[str, Any]) -> str:
    held = ", ".join(condition(kind, value).words() for kind, value in reason["conditions"])
    if not reason["rule"]:
        return gettext("It must be approved because %s.") % (held or "–")
    if not held:
        return gettext("It must be approved by the rule “%s”, which always holds.") % reason["rule"]
    return gettext("It must be approved by the rule “%(rule)s” because %(held)s.") % {
        "rule": reason["rule"],
        "held": held,
    }


def by_whom(step: Step) -> str:
    """Who decides on a level, and how many of them."""
    said = Who(step.who).label
    if step.people == 1:
        return str(said)
    return ngettext("%(who)s (%(people)d person)", "%(who)s (%(people)d people)", step.people) % {
        "who": said,
        "people": step.people,
    }


@dataclass(frozen=True)
class Level:
    """One level as people see it.

    :param side: ``consumer`` or ``provider``.
    :param state: ``done``, ``now``, ``later``, or ``over`` where the request ended before it was its turn or through.
    """

    number: int
    who: str
    people: int
    side: str
    words: str
    state: str
    decisions: tuple[Decision, ...] = ()


def levels(request: Request) -> list[Level]:
    """The levels of a request with what was decided on each. Its decisions had better be prefetched."""
    decided = list(request.decisions.all())
    found = []
    for number, step in enumerate(request.demanded, start=1):
        mine = tuple(each for each in decided if each.level == number)
        agreed = sum(each.verdict == Decision.Verdict.APPROVED for each in mine)
        if agreed >= step.people:
            state = "done"
        elif request.closed_at is not None:
            state = "over"
        else:
            state = "now" if number == request.level else "later"
        found.append(_level(number, step, state, mine))
    return found


def levels_of(demand: Demand) -> list[Level]:
    """The levels of what would be demanded."""
    return [_level(number, step, "later") for number, step in enumerate(demand.steps, start=1)]


def _level(number: int, step: Step, state: str, decisions: tuple[Decision, ...] = ()) -> Level:
    side = "consumer" if step.who in CONSUMER else "provider"
    return Level(number, step.who, step.people, side, by_whom(step), state, decisions)
