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
