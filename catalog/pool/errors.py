"""Why the pool refuses. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


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


class ZoneRefused(DomainError):
    """Nothing new may be placed there, whatever room there is. The subclasses say why."""

    code = "zone-refused"
    title = _("This cannot stand in that zone. Choose another one.")


class ZoneNotOpen(ZoneRefused):
    """The affiliate is not among those that the zone admits; or no zone admits it."""

    code = "zone-not-open"
    title = _("This zone is not open to your affiliate. Choose another zone, or ask a pool operator to admit you.")


class ZoneClosed(ZoneRefused):
    """Every zone that would do is closed for now."""

    code = "zone-closed"
    title = _("This zone is closed for now. Choose another zone, or let the order wait until it is open again.")


class ZoneDataClass(ZoneRefused):
    """The zone, or every zone open to the affiliate, may not hold such data."""

    code = "zone-data-class"
    title = _("This zone may not hold such data. Choose another zone, or ask a pool operator which one may.")


class ZoneSlugTaken(InvalidInput):
    code = "zone-slug-taken"
    status = 409
    title = _("Another zone has this name. Choose a name that no zone has yet.")


class ZoneInUse(DomainError):
    """Its kind and its affiliate decide whose things stand there; they are fixed while hosts do."""

    code = "zone-in-use"
    title = _(
        "Hosts stand in this zone, so its kind and its affiliate stay. Retire the hosts first, or make a new zone."
    )


class ProtectedDataOutside(InvalidInput):
    """An external zone would hold protected data, and nobody said that it may."""

    code = "protected-data-outside"
    title = _(
        "An external zone holds no personal credit data and no unique identifiers unless you say so expressly."
        " Leave them out, or confirm it."
    )


class ZoneReasonMissing(InvalidInput):
    code = "zone-reason-missing"
    title = _("A zone is closed for a reason that people are shown. Write it in 1 to 300 characters.")


class ZoneAlreadyClosed(DomainError):
    code = "zone-already-closed"
    title = _("The zone is closed already. Open it first to close it for another reason.")


class ZoneAlreadyOpen(DomainError):
    code = "zone-already-open"
    title = _("The zone is open already.")
