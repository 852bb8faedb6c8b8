"""Why quotas refuse. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class QuotaExceeded(DomainError):
    """``fields`` names each class that does not suffice; ``context["classes"]`` has limit, used and wanted as numbers."""

    code = "quota-exceeded"
    title = _("Your affiliate's quota does not suffice. Give something back, or ask the group for more quota.")
