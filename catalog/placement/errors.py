"""Why placement refuses. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class NoCapacity(DomainError):
    """No host can take the claim.

    ``context["filters"]`` lists each filter and how many hosts it left, ``context["wanted"]`` what was to stand on one host, and
    ``context["member"]`` names the member that found none; all are missing where nobody asked for a reason. ``explanation`` says
    the same as data for a reader, with what would make room, where that was looked for.
    """

    code = "no-capacity"
    title = _("The pool has no room for this now. Choose a smaller plan or another zone, or try again later.")


class NotPlaced(DomainError):
    code = "not-placed"
    title = _("This service holds no part of any host.")


class IsolationTooWeak(DomainError):
    """Protected data never stands on a host that affiliates share."""

    code = "isolation-too-weak"
    status = 422
    title = _(
        "Data of this kind may not stand beside other affiliates' services. Choose a plan with stricter isolation."
    )
