"""What a manifest says of a plan's isolation and members, beyond what its schema can check. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from catalog.common.isolation import Isolation

WHOLE_HOST = "dedicated"


def isolation_of(plan: Mapping[str, Any]) -> str:
    """What a plan of a manifest promises; where it says nothing, what its topology implies."""
    implied = Isolation.DEDICATED if plan["topology"] == WHOLE_HOST else Isolation.AFFILIATE
    return str(plan.get("isolation", implied.value))


def wrong_isolation(plan: Mapping[str, Any]) -> dict[str, str]:
    """What contradicts itself, as place → what."""
    if (isolation_of(plan) == Isolation.DEDICATED) != (plan["topology"] == WHOLE_HOST):
        return {"isolation": _("A whole host is dedicated, and a slice is not.")}
    return {}


def wrong_roles(plan: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the roles of a plan, as place → what."""
    roles: Sequence[Mapping[str, Any]] = plan.get("roles", ())
    if not roles:
        return {}
    wrong: dict[str, str] = {}
    by_name = {role["name"]: role for role in roles}
    if len(by_name) < len(roles):
        wrong["roles"] = _("Two roles have the same name.")
        return wrong
    for number, role in enumerate(roles):
        for name in role.get("apart_from", ()):
            if name not in by_name or name == role["name"]:
                wrong[f"roles.{number}.apart_from"] = _("There is no other role %s.") % name
        if role.get("apart_from") and role.get("spread", "none") == "none":
            wrong[f"roles.{number}.spread"] = _("Say how far apart: host or zone.")
        if "together_with" in role and (problem := _cannot_stand_together(role, by_name, plan)):
            wrong[f"roles.{number}.together_with"] = problem
    total = Counter[str]()
    for role in roles:
        total.update({name: amount * role["count"] for name, amount in role["resources"].items()})
    if total != Counter(plan["resources"]):
        wrong["resources"] = _("Must be the sum of its members: %s.") % ", ".join(
            f"{name} {amount}" for name, amount in sorted(total.items())
        )
    return wrong


def _cannot_stand_together(
    role: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]], plan: Mapping[str, Any]
) -> str:
    if plan["topology"] == WHOLE_HOST:
        return _("Members that take whole hosts cannot share one.")
    seen, other = {role["name"]}, role
    while "together_with" in other:
        name = other["together_with"]
        if name not in by_name or name in seen:
            return _("There is no other role %s.") % name
        seen.add(name)
        other = by_name[name]
        if other["count"] != role["count"]:
            return _("Both roles must have as many members.")
        if name in role.get("apart_from", ()) or role["name"] in other.get("apart_from", ()):
            return _("The same roles are to stand apart.")
    return ""
