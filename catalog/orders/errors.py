"""Refusals about orders."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


class ProjectUnknown(InvalidInput):
    """No such project, or it belongs to an affiliate the actor has nothing to do with."""

    code = "project-unknown"
    status = 404
    title = _("There is no such project among yours. Choose one of your own projects.")


class ProjectEnded(DomainError):
    """The project's end date has passed."""

    code = "project-ended"
    title = _("The project has ended; nothing new can be ordered for it. Ask its owner to move the end date.")


class ZoneUnknown(InvalidInput):
    """No such zone, or it is local to another affiliate."""

    code = "zone-unknown"
    title = _("There is no such zone open to you. Leave the zone out, or choose one from the list.")


class IdempotencyKeyReused(DomainError):
    """The same key came with a different request."""

    code = "idempotency-key-reused"
    status = 422
    title = _("This Idempotency-Key was used for a different request. Use a new key for a new request.")


class OrderEnded(DomainError):
    """The order is over."""

    code = "order-ended"
    title = _("This order has ended; it cannot be cancelled any more. Give the service back instead.")


class GiveBackNotCancellable(DomainError):
    """A give-back that has begun goes on to its end."""

    code = "give-back-not-cancellable"
    title = _("A give-back that has begun cannot be cancelled: what it has taken down is gone.")


class AlreadyCancelling(DomainError):
    """The order is being cancelled."""

    code = "already-cancelling"
    title = _("This order is being cancelled already. Wait until what was built is taken down.")


class NotRetryable(DomainError):
    """Only a failed order can be retried."""

    code = "not-retryable"
    title = _("Only an order that failed can be tried again.")


class AlreadyGivingBack(DomainError):
    """A give-back of this instance is under way or done."""

    code = "already-giving-back"
    title = _("This service is being given back already, or is gone.")


class OrderUnderWay(DomainError):
    """Another order of this instance is not finished."""

    code = "order-under-way"
    title = _("Another order for this service is under way. Cancel it, or wait until it has ended.")


class OperationUnknown(InvalidInput):
    """The manifest the service was built from has no such operation."""

    code = "operation-unknown"
    title = _("This service has no such operation. Choose one of those listed for it.")


class OperationNotPossible(DomainError):
    """The instance is in a state in which the operation makes no sense, or nothing may be done to it."""

    code = "operation-not-possible"
    title = _("The service is in a state in which this cannot be done. Reload it to see what can.")


class NothingToChange(InvalidInput):
    """Every value that was given is the present one."""

    code = "nothing-to-change"
    title = _("The service has these settings already. Give at least one another value.")


class InGrace(DomainError):
    """Whatever would make the service run again has to wait for an extension of its lease."""

    code = "in-grace"
    title = _("The lease has ended, so the service is stopped. Extend the lease: the service is started again then.")


class CancelRequested(DomainError):
    """The run wants to finish an order that is being cancelled; it has to undo what it built instead."""

    code = "cancel-requested"
    title = _("The order is being cancelled.")
