"""What states an order may be in (DESIGN, section 4)."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.approvals.terms import DECIDE_WITHIN
from catalog.common.states import StateTable


class OrderState(models.TextChoices):
    DRAFT = "draft", _("draft")
    SUBMITTED = "submitted", _("submitted")
    PENDING_APPROVAL = "pending_approval", _("waiting for approval")
    APPROVED = "approved", _("approved")
    WAITING_CAPACITY = "waiting_capacity", _("waiting for capacity")
    DISPATCHED = "dispatched", _("dispatched")
    RUNNING = "running", _("running")
    FULFILLED = "fulfilled", _("fulfilled")
    REJECTED = "rejected", _("rejected")
    EXPIRED = "expired", _("expired")
    CANCELLING = "cancelling", _("cancelling")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("failed")
    FAILED_DIRTY = "failed_dirty", _("failed, not yet undone")


class OrderKind(models.TextChoices):
    CREATE = "create", _("create")
    UPDATE = "update", _("change")
    OPERATE = "operate", _("operate")
    DECOMMISSION = "decommission", _("give back")


S = OrderState

# An approved order that a freeze keeps stays approved, with its claim; one that got room during a freeze goes back to that.
# A give-back cannot be cancelled once dispatched: the table allows it for the kinds that can be undone, the service refuses it
# for decommission. Dispatched follows dispatched where a run died before it began.
# failed leaves by a retry; failed_dirty by a retry, or when a wipe of its host proves that all is gone.
ORDER = StateTable(
    name="order",
    moves={
        S.DRAFT: frozenset({S.SUBMITTED, S.CANCELLED}),
        S.SUBMITTED: frozenset({S.PENDING_APPROVAL, S.APPROVED, S.REJECTED, S.CANCELLED}),
        S.PENDING_APPROVAL: frozenset({S.APPROVED, S.REJECTED, S.EXPIRED, S.CANCELLED}),
        S.APPROVED: frozenset({S.WAITING_CAPACITY, S.DISPATCHED, S.CANCELLED, S.FAILED}),
        S.WAITING_CAPACITY: frozenset({S.APPROVED, S.DISPATCHED, S.CANCELLED, S.EXPIRED}),
        S.DISPATCHED: frozenset({S.DISPATCHED, S.RUNNING, S.CANCELLING, S.FAILED, S.FAILED_DIRTY}),
        S.RUNNING: frozenset({S.DISPATCHED, S.FULFILLED, S.CANCELLING, S.FAILED, S.FAILED_DIRTY}),
        S.CANCELLING: frozenset({S.CANCELLED, S.FAILED_DIRTY}),
        S.FULFILLED: frozenset(),
        S.REJECTED: frozenset(),
        S.EXPIRED: frozenset(),
        S.CANCELLED: frozenset(),
        S.FAILED: frozenset({S.SUBMITTED}),
        S.FAILED_DIRTY: frozenset({S.DISPATCHED, S.FULFILLED, S.FAILED, S.CANCELLED}),
    },
    deadlines={
        S.PENDING_APPROVAL: DECIDE_WITHIN,
        S.DISPATCHED: timedelta(minutes=30),
        S.RUNNING: timedelta(minutes=60),
        S.CANCELLING: timedelta(minutes=30),
    },
)

HOLDING = frozenset({S.APPROVED, S.DISPATCHED, S.RUNNING, S.CANCELLING, S.FAILED_DIRTY})
"""States in which a create order holds its claim."""

CANCELLABLE = frozenset(state for state, targets in ORDER.moves.items() if targets & {S.CANCELLED, S.CANCELLING}) - {
    S.FAILED_DIRTY,
    S.CANCELLING,
}
