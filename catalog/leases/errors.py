"""Why leases refuse. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class LeaseTooLong(DomainError):
    code = "lease-too-long"
    status = 422
    title = _("A service may not stay that long. Choose an earlier end.")


class LeaseTooShort(DomainError):
    code = "lease-too-short"
    status = 422
    title = _("The time must be at least one second, and end in the future. Choose a later end.")


class LeaseEnded(DomainError):
    code = "lease-ended"
    title = _("This lease has ended and the service is being given back. Order a new one.")


class LeaseStarted(DomainError):
    code = "lease-started"
    title = _("This service already has a lease. Extend it instead.")


class LeaseOutlivesProject(DomainError):
    code = "lease-outlives-project"
    status = 422
    title = _("A service may not stay longer than its project. Choose an earlier end, or have the project extended.")


class ExtensionTooLong(DomainError):
    code = "extension-too-long"
    status = 422
    title = _("A lease may not be extended that far at once. Choose an earlier end.")


class NoExtensionLeft(DomainError):
    code = "no-extension-left"
    title = _("This lease was extended as often as it may be. Order a new service before this one ends.")


class LeaseRecalled(DomainError):
    code = "lease-recalled"
    title = _(
        "The lender needs this capacity back: the lease was recalled and cannot be extended. Order a new service."
    )


class NotRecalled(DomainError):
    code = "not-recalled"
    title = _("This lease is not recalled. Reload to see its end.")


class RecallWithoutReason(DomainError):
    code = "recall-without-reason"
    status = 422
    title = _("Say why the lease is recalled: the borrower is told.")


class LegalHold(DomainError):
    code = "legal-hold"
    title = _("A legal hold keeps this service; it is not given back. Ask the auditors of the group to lift it.")


class HoldWithoutReason(DomainError):
    code = "hold-without-reason"
    status = 422
    title = _("Say why, for the record: the number of the case, or who asked for it.")


class HoldEndInvalid(DomainError):
    code = "hold-end-invalid"
    status = 422
    title = _(
        "The end must lie in the future and within a hundred years. Leave it out for a hold that lasts until it is lifted."
    )


class NotHeld(DomainError):
    code = "not-held"
    title = _("There is no legal hold on this service, or it is over.")
