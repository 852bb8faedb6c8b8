"""Why the pool refuses. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class HostNameInvalid(DomainError):
    code = "bad-host-name"
    status = 422
    title = _("This is no host name. Use 1 to 63 of a–z, 0–9 and -, not starting or ending with -.")


class HostNameTaken(DomainError):
    code = "host-name-taken"
    title = _("Another host has this name. Choose a name that is not in the pool yet.")


class AddressInvalid(DomainError):
    code = "bad-address"
    status = 422
    title = _("This is no IP address of one machine. Write the address the host answers on, such as 10.77.0.11.")


class HostAddressTaken(DomainError):
    code = "host-address-taken"
    title = _("Another host has this address. Check which of the two is really there, and correct it.")


class InspectionIncomplete(DomainError):
    code = "inspection-incomplete"
    status = 422
    title = _("The host did not say what it has. Look at its facts, and enrol it again.")


class InventoryBelowClaims(DomainError):
    code = "inventory-below-claims"
    title = _("The host has less than what is claimed of it. Move services away from it first.")


class BaselineMissing(DomainError):
    code = "baseline-missing"
    title = _("No baseline was taken of this host, so nothing can prove it clean. Enrol it again from a fresh install.")


class HostKeyMalformed(DomainError):
    code = "host-key-malformed"
    status = 422
    title = _("This is no ssh public key. It reads like: ssh-ed25519 AAAA….")


class HostKeyUnknown(DomainError):
    code = "host-key-unknown"
    title = _("The ssh key of this host was not learnt yet. Enrol it first.")


class HostKeyChanged(DomainError):
    code = "host-key-changed"
    title = _(
        "The host shows another ssh key than the one learnt. Somebody else may be answering; look at the machine."
    )


class HostKeyReused(DomainError):
    code = "host-key-reused"
    title = _("After its wipe the host shows an ssh key of an earlier life, so it was not wiped. Look at the machine.")
