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


class PrefixInUse(DomainError):
    code = "prefix-in-use"
    title = _("Hosts of the pool still have addresses of this prefix. Retire those hosts first.")


class VlanInvalid(DomainError):
    code = "bad-vlan"
    status = 422
    title = _("A VLAN has a number from 1 to 4094 and a name of 1 to 100 characters.")


class VlanTaken(DomainError):
    code = "vlan-taken"
    title = _("The zone has a VLAN of this number already. Choose another number.")


class VlanUnknown(DomainError):
    """None of that number in that zone."""

    code = "vlan-unknown"
    status = 422
    title = _("The zone has no such VLAN. Register the VLAN first, or correct the zone or the number.")


class VlanInUse(DomainError):
    code = "vlan-in-use"
    title = _("Prefixes still belong to this VLAN. Retire those first.")


class NetworkOfAnother(DomainError):
    """A prefix, its VLAN and its zone must not belong to different affiliates."""

    code = "network-of-another-affiliate"
    status = 422
    title = _("The zone or the VLAN belongs to another affiliate. Leave the affiliate out, or choose its own.")


class NetworkRetired(DomainError):
    code = "network-retired"
    title = _("This network is retired already.")


class NameServerInvalid(DomainError):
    code = "bad-name-server"
    status = 422
    title = _("A name server needs a domain, an address, a port, and a key with name, algorithm and secret in Base64.")


class NameResting(DomainError):
    """Somebody else had it a moment ago, or has it."""

    code = "name-resting"
    title = _("Another affiliate had this DNS name a short while ago. Choose another name, or order again later.")


class AccessInvalid(DomainError):
    code = "bad-access-network"
    status = 422
    title = _("This is no network that could connect. Write up to 50 such as 10.20.0.0/16 or 10.20.3.4.")


class AccessOpenToAnyone(DomainError):
    code = "access-open-to-anyone"
    status = 422
    title = _("The zone does not allow a service that is open to everyone. Name the networks that may connect.")


class AccessUnknown(DomainError):
    code = "access-network-unknown"
    status = 422
    title = _("This network is neither your affiliate's nor the zone's. Choose among those, or have it registered.")


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


class MemberUnknown(DomainError):
    code = "member-unknown"
    title = _("The service has no such member.")
