"""What rules and freezes may say: what could never hold, or nobody could satisfy, is refused."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from catalog.approvals import deciders
from catalog.approvals.calendar import Recurrence
from catalog.approvals.errors import FreezeInvalid, RuleInvalid, StepsImpossible, TooFewDeciders
from catalog.approvals.models import DEAREST, ApprovalRule, FreezeWindow
from catalog.approvals.rules import MOST_LEVELS, MOST_PEOPLE, Deed, Step, Who
from catalog.common.errors import Text


def read_steps(raw: Any) -> tuple[Step, ...]:
    """The levels that JSON says. Raises StepsImpossible for anything but 0 to 4 levels of 1 to 5 people of a known kind."""
    wrong = StepsImpossible(fields={"steps": StepsImpossible.title})
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > MOST_LEVELS:
        raise wrong
    found = []
    for each in raw:
        if not isinstance(each, Mapping) or set(each) != {"who", "people"} or each["who"] not in Who.values:
            raise wrong
        people = each["people"]
        if isinstance(people, bool) or not isinstance(people, int) or not 1 <= people <= MOST_PEOPLE:
            raise wrong
        found.append(Step(each["who"], people))
    return tuple(found)


def check_rule(rule: ApprovalRule, *, now: datetime) -> None:
    """Refuse a rule that can never hold, or that nobody could satisfy. It is not saved here.

    :raises StepsImpossible: its levels make no sense.
    :raises TooFewDeciders: it demands more people than hold the roles; of affiliates' roles only where it names one.
    :raises RuleInvalid: its price is absurd, or its plan, offering, zone and affiliate exclude each other.
    """
    steps = read_steps(rule.steps)
    wrong: dict[str, Text] = {}
    if rule.price_over_krw is not None and not 0 <= rule.price_over_krw <= DEAREST:
        wrong["price_over_krw"] = _("Choose a price from 0 to 1,000,000,000,000 KRW a month.")
    if rule.plan is not None and rule.offering is not None and rule.plan.offering_id != rule.offering_id:
        wrong["plan"] = _("This plan belongs to another offering.")
    if rule.zone is not None and rule.tenant is not None and rule.zone.tenant_id not in {None, rule.tenant_id}:
        wrong["zone"] = _("This zone is local to another affiliate.")
    if wrong:
        raise RuleInvalid(fields=wrong)
    if rule.active and not deciders.enough(steps, rule.tenant, now=now):
        raise TooFewDeciders(fields={"steps": TooFewDeciders.title})


def check_freeze(window: FreezeWindow) -> None:
    """Refuse a freeze in which nothing waits, or that has no time. Raises FreezeInvalid with the fields it is about."""
    wrong: dict[str, Text] = {}
    if not window.deeds or not set(window.deeds) <= set(Deed.values):
        wrong["deeds"] = _("Choose what waits.")
    if not window.reason.strip():
        wrong["reason"] = _("Say why, for those who wait.")
    if window.ends_at is not None and window.ends_at <= window.starts_at:
        wrong["ends_at"] = _("The end lies before the beginning.")
    if window.recurrence == Recurrence.ONCE and window.ends_at is None:
        wrong["ends_at"] = _("A freeze that does not recur has an end.")
    if window.recurrence == Recurrence.WEEKLY:
        for name in ("weekday", "time_from", "time_until"):
            if getattr(window, name) is None:
                wrong[name] = _("A weekly freeze needs this.")
    if window.recurrence == Recurrence.MONTH_END and not 1 <= (window.working_days or 0) <= 20:
        wrong["working_days"] = _("Choose 1 to 20 working days.")
    if wrong:
        raise FreezeInvalid(fields=wrong)
