"""A request for approval as the pages show it."""

from datetime import datetime
from typing import Any

from catalog.approvals import services as approvals
from catalog.approvals.explanations import because, levels, levels_of, reasons_of
from catalog.approvals.models import Request
from catalog.approvals.terms import DECIDE_WITHIN
from catalog.common import clock
from catalog.offerings.models import Plan
from catalog.orders.preview import preview
from catalog.pool.models import Zone
from catalog.tenancy.models import Project
from catalog.web.words import full_name

FEW = 6


def in_words(request: Request, *, now: datetime, names: bool = True) -> dict[str, Any]:
    """Why it must be approved, its levels with what was decided, until when; and who may decide now, by name.

    :param names: leave the names out where many are shown: they cost queries.
    """
    waits = request.closed_at is None
    who = [full_name(person) for person in approvals.remaining(request, now=now)] if waits and names else []
    return {
        "why": because(request.reasons),
        "levels": levels(request),
        "waits": waits,
        "named": names,
        "can": who[:FEW],
        "more": max(len(who) - FEW, 0),
        "until": request.opened_at + DECIDE_WITHIN,
        "escalated": waits and request.escalated_at is not None,
    }


def in_advance(project: Project, plan: Plan, *, deed: str, zone: Zone | None) -> dict[str, Any]:
    """Whose approval an order would need now, why, and what freeze would keep it."""
    found = preview(project, plan, deed=deed, zone=zone.slug if zone is not None else None, now=clock.now())
    return {
        "levels": levels_of(found.demand),
        "why": because(reasons_of(found.demand)) if found.demand.steps else "",
        "freeze": found.freeze,
    }
