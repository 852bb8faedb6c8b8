"""Refusals of the dispatcher."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class Superseded(DomainError):
    """A run writes for an attempt that is no longer the current one. Its work is over; nothing was written."""

    code = "superseded"
    title = _("A newer attempt has taken over; this one may not write any more.")


class PrefectUnavailable(DomainError):
    """Prefect did not answer, or answered with a failure of its own. Trying again later is right."""

    code = "prefect-unavailable"
    status = 503
    title = _("The workflow engine does not answer. Orders are kept and go on when it is back.")


class DeploymentMissing(DomainError):
    """Prefect knows no deployment of that name: the zone was never deployed."""

    code = "deployment-missing"
    status = 503
    title = _("The zone has no deployment of this flow. An operator must run the deploy command for it.")
