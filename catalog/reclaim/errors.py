"""Refusals about the life of hosts."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class HostInUse(DomainError):
    """Somebody holds something on the host."""

    code = "host-in-use"
    title = _("Services are still on this host. Give them back first, or wait until their leases end.")


class SecondPersonNeeded(DomainError):
    """A quarantined host leaves by the decision of two people."""

    code = "second-person-needed"
    title = _("You asked for this host's release already; a second operator has to confirm it.")
