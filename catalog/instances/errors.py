"""Refusals about service instances."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


class NameTaken(DomainError):
    """The affiliate already has a service of that name."""

    code = "name-taken"
    title = _("Your affiliate already has a service of that name. Choose another name.")


class NameInvalid(InvalidInput):
    """The name cannot be part of a host name or a file name."""

    code = "name-invalid"
    title = _("The name must have 3 to 40 of a–z, 0–9 and -, starting with a letter and not ending with -.")


class AlreadyShown(DomainError):
    """The credentials were shown before."""

    code = "already-shown"
    status = 410
    title = _("These credentials were shown once already and cannot be shown again.")


class NotReady(DomainError):
    """The instance has no credentials to show: it is not active, or is being given back."""

    code = "instance-not-ready"
    title = _("The service is not ready. Its credentials can be shown while it is active.")


class LinksNotTaken(InvalidInput):
    code = "links-not-taken"
    title = _("A service of this kind uses no others, or not so many. Leave some out.")


class LinkInvalid(InvalidInput):
    code = "link-invalid"
    title = _("Name it with up to 40 of A–Z, 0–9 and _, starting with a letter.")


class LinkUnknown(InvalidInput):
    code = "link-unknown"
    title = _("This project has no service of that name that could be used now.")


class StillUsed(DomainError):
    """Other services use this one."""

    code = "still-used"
    title = _("Other services use this one. Give them back first.")
