"""Does what is wanted fit the quota?"""

from collections.abc import Mapping
from datetime import datetime

from django.utils.translation import gettext as _

from catalog.common.locks import lock
from catalog.placement.models import Holding
from catalog.quotas.errors import QuotaExceeded
from catalog.quotas.models import Quota
from catalog.tenancy.models import Tenant


def check_and_lock(tenant: Tenant, wanted: Mapping[str, int], *, now: datetime) -> None:
    """Make sure that ``wanted`` more fits the quota, and that nobody else uses it up before the transaction ends.

    Claims of one tenant wait here for each other; releases do not.

    :param wanted: resource class → amount.
    :param now: when it is asked; quotas do not depend on time yet.
    :raises QuotaExceeded: for every class that does not suffice: limit, used and wanted.
    """
    limits = dict(lock(Quota.objects.filter(tenant=tenant)).values_list("resource_class", "limit"))
    used = dict(Holding.objects.filter(tenant=tenant).values_list("resource_class", "used"))
    short = {
        name: {"limit": limits.get(name, 0), "used": used.get(name, 0), "wanted": amount}
        for name, amount in sorted(wanted.items())
        if used.get(name, 0) + amount > limits.get(name, 0)
    }
    if short:
        raise QuotaExceeded(fields=_fields(short), classes=short)


def usage(tenant: Tenant) -> dict[str, tuple[int, int]]:
    """Resource class → (used, limit), for every class the tenant has a quota for or holds something of."""
    limits = dict(Quota.objects.filter(tenant=tenant).values_list("resource_class", "limit"))
    used = dict(Holding.objects.filter(tenant=tenant, used__gt=0).values_list("resource_class", "used"))
    return {name: (used.get(name, 0), limits.get(name, 0)) for name in sorted(limits.keys() | used.keys())}


def check_held(tenant: Tenant) -> None:
    """After a claim, in its transaction: what the tenant holds now fits its quota.

    A whole host holds all it has, which may be more than its plan asks for and :func:`check_and_lock` was told.

    :raises QuotaExceeded: for every class that does not suffice; the caller's transaction must not be committed.
    """
    limits = dict(Quota.objects.filter(tenant=tenant).values_list("resource_class", "limit"))
    used = dict(Holding.objects.filter(tenant=tenant).values_list("resource_class", "used"))
    short = {
        name: {"limit": limits.get(name, 0), "used": amount, "wanted": 0}
        for name, amount in sorted(used.items())
        if amount > limits.get(name, 0)
    }
    if short:
        raise QuotaExceeded(fields=_fields(short), classes=short)


def _fields(short: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    return {name: _("limit %(limit)d, used %(used)d, wanted %(wanted)d") % said for name, said in short.items()}
