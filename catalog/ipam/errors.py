"""Why ipam refuses. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class PrefixInvalid(DomainError):
    code = "bad-prefix"
    status = 422
    title = _("This is no network. Write it such as 10.77.0.0/24, with the host part zero.")


class PrefixOverlaps(DomainError):
    code = "prefix-overlaps"
    title = _("Another prefix covers some of these addresses. Choose a network of its own.")


class AddressOutsideZone(DomainError):
    code = "address-outside-zone"
    status = 422
    title = _("No prefix of the host's zone has this address. Register the prefix, or correct the zone or the address.")


class AddressTaken(DomainError):
    code = "address-taken"
    title = _("Another host is registered with this address.")


class AddressUnknown(DomainError):
    code = "address-unknown"
    title = _("The host has no registered address to open a port on. Register it first.")


class PortsExhausted(DomainError):
    code = "no-port"
    title = _("Every port for this service on the host is taken or resting. Try again later, or choose another plan.")
