"""Why a member stands where it does, as data that an order keeps. Only from what was compared; nothing is counted for it."""

from typing import Any

from catalog.common.isolation import Isolation
from catalog.placement.choice import Outlook, contributions
from catalog.placement.filters import Apart, Isolated, OpenToAffiliate, Reachable, Rule, Sound, described, room_rules
from catalog.placement.search import Choice
from catalog.placement.weighers import WEIGHERS
from catalog.pool.models import ANYONE, GROUP
from catalog.tenancy.models import Tenant


def why_here(
    choice: Choice, *, tenant: Tenant, zone: str, isolation: str, tried: int, outlook: Outlook
) -> dict[str, Any]:
    """The rules the chosen host met, how many hosts were left by those that compare, and every weigher against the runner-up.

    Scores are rounded to four places; the lower, the better. ``left`` counts within the shortlist.

    :param zone: the slug of the host's zone.
    :param tried: how many hosts others held, or had just used up, before this one.
    """
    candidate, wanted, other = choice.candidate, choice.bundle.wanted, choice.runner_up
    rules: list[Rule] = [
        OpenToAffiliate(),
        Isolated(isolation, tenant.pk),
        Reachable(tenant.pk),
        *room_rules(dict(wanted.amounts), sorted(wanted.traits), whole=wanted.whole),
    ]
    mine = contributions(candidate, wanted, outlook, WEIGHERS)
    theirs = contributions(other, wanted, outlook, WEIGHERS) if other else {}
    return {
        "member": ", ".join(member.name for member in choice.bundle.members),
        "host": candidate.name,
        "zone": zone,
        "where": _where(choice),
        "isolation": Isolation(isolation).value,
        "traits": sorted(wanted.traits),
        "wanted": dict(wanted.amounts),
        "whole_host": wanted.whole,
        "free_before": dict(candidate.free),
        "filters": [
            *(described(rule) for rule in rules),
            *(
                {"code": code, "left": choice.left[code]}
                for code in ("shortlist", Apart.code, Sound.code)
                if code in choice.left
            ),
        ],
        "weighers": [
            {"code": code, "chosen": _short(value), "runner_up": _short(theirs[code]) if code in theirs else None}
            for code, value in mine.items()
        ],
        "runner_up": other.name if other else None,
        "passed_over": tried,
    }


def _short(value: Any) -> float:
    return round(float(value), 4)


def _where(choice: Choice) -> str:
    if choice.candidate.open_to == ANYONE:
        return "clean-host"
    return "beside-the-group" if choice.candidate.open_to == GROUP else "beside-own-services"
