"""Why quotas refuse. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class QuotaExceeded(DomainError):
    """``fields`` names each class that does not suffice; ``context["classes"]`` has limit, used and wanted as numbers."""

    code = "quota-exceeded"
    title = _("Your affiliate's quota does not suffice. Give something back, or ask the group for more quota.")


class NothingToBorrow(DomainError):
    """``fields`` names each class; ``context["classes"]`` has how much would have to be borrowed."""

    code = "nothing-to-borrow"
    title = _(
        "This goes beyond what your affiliate is guaranteed, and the others leave too little idle now. "
        "Give something back, choose a smaller plan, or let the order wait for room."
    )


class QuotaInvalid(DomainError):
    """``fields`` names each amount that no quota can have."""

    code = "quota-invalid"
    status = 422
    title = _("These amounts are not possible. Correct the named fields.")


class QuotaBelowUse(DomainError):
    """``context["classes"]`` has used and limit as they would be."""

    code = "quota-below-use"
    title = _("The affiliate uses more than that now. Have it give something back first, or set at least what is used.")
