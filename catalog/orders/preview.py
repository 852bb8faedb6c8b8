"""What an order would need before it is placed: whose approval, and whether a freeze would keep it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from catalog.approvals import freezes
from catalog.approvals import services as approvals
from catalog.approvals.calendar import Freeze
from catalog.approvals.rules import Deed, Demand, Facts
from catalog.common.data import DataClass
from catalog.offerings.models import Plan
from catalog.orders.content import facts
from catalog.tenancy.models import Environment, Project
from catalog.tenancy.policy import Action, Actor, can
from catalog.tenancy.selectors import projects_for


@dataclass(frozen=True)
class Preview:
    """What would be demanded, and what would keep it now."""

    demand: Demand
    freeze: Freeze | None


def preview(
    project: Project, plan: Plan, *, deed: str, zone: str | None, data_class: str = DataClass.INTERNAL, now: datetime
) -> Preview:
    """What an order with these facts would need if it were placed at ``now``."""
    known = facts(project=project, plan=plan, deed=deed, zone=zone, data_class=data_class)
    return Preview(
        approvals.rulebook().demand(known, project.tenant_id),
        freezes.calendar().freeze(deed, project.tenant.slug, now=now),
    )


def outlook(actor: Actor) -> Callable[[Plan], bool]:
    """Whether an order of a plan needs somebody's approval for at least one project the actor may order for.

    For somebody who may order for none: whether it would for an affiliate of which no rule speaks. Asked for many plans it
    costs no further query.
    """
    rules = approvals.rulebook()
    mine: dict[tuple[str, str], Project] = {}
    for project in projects_for(actor):
        if can(actor, Action.ORDER, project.tenant_id):
            mine.setdefault((project.tenant.slug, project.environment), project)

    def needed(plan: Plan) -> bool:
        nobodys = Facts(
            tenant="", offering=plan.offering.slug, plan=plan.slug, price_krw_month=plan.price_krw_month,
            data_class=DataClass.INTERNAL, zone=None, deed=Deed.CREATE, production=False,
        )  # fmt: skip
        asked: list[tuple[Facts, uuid.UUID | None]] = [
            (
                replace(nobodys, tenant=each.tenant.slug, production=each.environment == Environment.PRODUCTION),
                each.tenant_id,
            )
            for each in mine.values()
        ]
        return any(rules.demand(about, tenant).steps for about, tenant in asked or [(nobodys, None)])

    return needed
