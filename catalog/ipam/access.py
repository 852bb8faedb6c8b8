"""Who may connect to a service: what an order may say, and what counts where it says nothing."""

import ipaddress
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db.models import Q

from catalog.ipam.cidr import Network, inside, merged, network
from catalog.ipam.errors import AccessInvalid, AccessOpenToAnyone, AccessUnknown
from catalog.ipam.models import Prefix, ZoneNetwork
from catalog.pool.models import Zone
from catalog.tenancy.models import Tenant

MOST = 50
"""Networks an order may name."""


def known_networks(tenant: Tenant, zones: Iterable[Zone]) -> list[str]:
    """The affiliate's own networks, wherever they are, and those of these zones that are everybody's; sorted by address."""
    rows = Prefix.objects.filter(
        Q(tenant=tenant) | Q(tenant__isnull=True, zone__in=list(zones)), retired_at__isnull=True
    )
    return merged(ipaddress.ip_network(cidr) for cidr in rows.values_list("cidr", flat=True))


def check(asked: Sequence[str], *, tenant: Tenant, zones: Sequence[Zone]) -> list[str]:
    """What an order says about who may connect, in as few networks as possible. Nothing asked stays nothing: the usual.

    :param asked: networks in CIDR notation, or single addresses.
    :param zones: where the service may come to stand.
    :raises AccessInvalid: one is no network, or there are more than :data:`MOST`.
    :raises AccessOpenToAnyone: it would let in everyone, and not every one of the zones allows that.
    :raises AccessUnknown: one is not among :func:`known_networks`, and not every one of the zones allows that.
    """
    if len(asked) > MOST:
        raise AccessInvalid(fields={"allow_from": AccessInvalid.title})
    wanted: list[Network] = []
    for text in asked:
        parsed = network(text.strip())
        if parsed is None or parsed.is_multicast:
            raise AccessInvalid(fields={"allow_from": AccessInvalid.title}, network=text)
        wanted.append(parsed)
    if not wanted:
        return []
    allowing = ZoneNetwork.objects.filter(zone__in=zones, open_to_anyone=True).count()
    if not zones or allowing < len(zones):
        if any(each.prefixlen == 0 for each in wanted):
            raise AccessOpenToAnyone(fields={"allow_from": AccessOpenToAnyone.title})
        ours = [ipaddress.ip_network(cidr) for cidr in (*known_networks(tenant, zones), *settings.CLIENT_NETWORKS)]
        if any(not inside(each, ours) for each in wanted):
            raise AccessUnknown(fields={"allow_from": AccessUnknown.title})
    return merged(wanted)


def allowed(asked: Sequence[str], *, tenant: Tenant, zone: Zone) -> list[str]:
    """The networks to let in to a service that stands in ``zone``: what its order says, else :func:`known_networks`.

    Always with ``PUMASI_CLIENT_NETWORKS``, from which the platform itself tries what it delivers.
    """
    return sorted({*(asked or known_networks(tenant, [zone])), *settings.CLIENT_NETWORKS})
