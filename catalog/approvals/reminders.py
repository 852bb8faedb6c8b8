"""Reminding those who decide, each time once; after 48 hours the administrators of their side may decide as well."""

from datetime import datetime

from django.db import transaction

from catalog.approvals import deciders, letters
from catalog.approvals.models import Request
from catalog.approvals.terms import DECIDE_WITHIN, ESCALATE_AFTER, REMIND_AFTER
from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.tenancy.policy import Actor


def remind(now: datetime, *, actor: Actor, limit: int = 500) -> dict[str, int]:
    """Send every reminder that is due; after a silence only one. Returns how many were reminded of and escalated.

    Safe at any time, twice, and at once.
    """
    done = {"reminded": 0, "escalated": 0}
    due = Request.objects.filter(closed_at__isnull=True, remind_at__lte=now).order_by("remind_at", "pk")
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            what = _remind(lock_one(Request, pk), actor=actor, now=now)
            if what:
                done[what] += 1
    return done


def _remind(request: Request, *, actor: Actor, now: datetime) -> str:
    if request.closed_at is not None or request.remind_at is None or request.remind_at > now:
        return ""
    request.remind_at = next((at for after in REMIND_AFTER if (at := request.opened_at + after) > now), None)
    escalates = now >= request.opened_at + ESCALATE_AFTER
    over = now > request.opened_at + DECIDE_WITHIN
    if escalates and not over and request.escalated_at is None:
        request.escalated_at = now
    request.save(update_fields=["remind_at", "escalated_at"])
    if over:
        return ""
    told = letters.tell(request, letters.REMINDER, now=now, whos=[request.who])
    if not escalates:
        return "reminded"
    to = deciders.escalated_to(request.who)
    if to != request.who:
        # Some have both roles, and have their letter already.
        more = letters.tell(request, letters.ESCALATED, now=now, whos=[to], but=told)
        told = [*told, *more]
    record(
        actor, "approval.escalated", subject_type=request.subject_type, subject_id=str(request.subject_id), now=now,
        tenant_id=request.tenant_id, after={"level": request.level, "to": str(to), "told": told},
    )  # fmt: skip
    return "escalated"
