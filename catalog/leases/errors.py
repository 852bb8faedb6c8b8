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
