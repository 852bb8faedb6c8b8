"""Takes a service off its host and proves that nothing of it is left; giving back and undoing are the same work."""

from typing import Any

from django.conf import settings

from catalog.offerings.services import folder_of
from catalog.orders.assignments import Assignment
from flows.runner.run import Step
from flows.tasks.work import GivenUp, Work, code_of, detail_of


def take_down(work: Work, order: Assignment, *, undoing: bool) -> dict[str, Any]:
    """Run the decommission playbook, then look for residues; returns the evidence that there are none.

    :param undoing: a build is undone: it goes on although somebody wishes to cancel.
    :raises GivenUp: it could not be taken down, or not be proven clean. What it holds stays claimed.
    """
    result = work.play(steps(order, "decommission", "residue"), order, undoing=undoing)
    if not result.ok:
        raise GivenUp(code_of(result), detail_of(result))
    residue = result.outputs.get("residue")
    if not isinstance(residue, dict) or residue.get("clean") is not True or residue.get("findings"):
        raise GivenUp("residue-found", describe(residue))
    return residue


def steps(order: Assignment, *names: str) -> list[Step]:
    """The playbooks of these steps: those in the folder that built the service, or else the house's."""
    folder = folder_of(order.version_id, settings.STATE_DIR / "cache" / "offerings")
    house = settings.PLAYBOOKS_DIR / "slices"
    own = order.playbooks
    return [Step(name, folder / own[name] if name in own else house / f"{name}.yml") for name in names]


def describe(residue: Any) -> str:
    """What was found, for people: at most ten findings."""
    findings = residue.get("findings") if isinstance(residue, dict) else None
    if not findings:
        return "The check for residues handed nothing back, so nothing is proven."
    shown = "; ".join(f"{finding['kind']}: {finding['what']}" for finding in findings[:10])
    return shown if len(findings) <= 10 else f"{shown}; and {len(findings) - 10} more"
