"""Registering networks and addresses; giving out ports and letting them rest."""

import ipaddress
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from catalog.audit.services import record
from catalog.common.locks import lock
from catalog.instances.models import ServiceInstance
from catalog.ipam.cidr import contains, network
from catalog.ipam.errors import (
    AddressOutsideZone,
    AddressTaken,
    AddressUnknown,
    PortsExhausted,
    PrefixInvalid,
    PrefixOverlaps,
)
from catalog.ipam.models import Endpoint, IPAddress, Prefix
from catalog.pool.models import Host, Zone
from catalog.tenancy.policy import Action, Actor, require


def register_prefix(actor: Actor, *, zone: Zone, cidr: str, now: datetime) -> Prefix:
    """Enter a network of a zone. The same one of the same zone again changes nothing.

    :raises Forbidden: the actor is no pool operator.
    :raises PrefixInvalid, PrefixOverlaps: the network.
    """
    require(actor, Action.OPERATE_POOL)
    wanted = network(cidr)
    if wanted is None:
        raise PrefixInvalid(fields={"cidr": PrefixInvalid.title})
    with transaction.atomic():
        for present in Prefix.objects.all():
            other = ipaddress.ip_network(present.cidr)
            if other == wanted and present.zone_id == zone.pk:
                return present
            if other.version == wanted.version and other.overlaps(wanted):
                raise PrefixOverlaps(fields={"cidr": PrefixOverlaps.title})
        prefix = Prefix.objects.create(zone=zone, cidr=str(wanted))
        record(
            actor, "prefix.registered", subject_type="prefix", subject_id=str(prefix.pk), now=now,
            after={"zone": zone.slug, "cidr": prefix.cidr},
        )  # fmt: skip
    return prefix


def register_address(host: Host, *, now: datetime, actor: Actor) -> IPAddress:
    """Enter the address the host answers on. Again: nothing.

    :raises AddressOutsideZone: no prefix of the host's zone has it.
    :raises AddressTaken: it is another host's.
    """
    require(actor, Action.OPERATE_POOL)
    prefix = next((each for each in host.zone.prefixes.all() if contains(each.cidr, host.address)), None)
    if prefix is None:
        raise AddressOutsideZone(fields={"address": AddressOutsideZone.title})
    with transaction.atomic():
        present = IPAddress.objects.filter(address=host.address).first()
        if present is not None and present.host_id == host.pk:
            return present
        if present is not None and present.host_id is not None:
            raise AddressTaken(fields={"address": AddressTaken.title})
        if present is not None:
            IPAddress.objects.filter(pk=present.pk).update(host=host)
            present.host = host
        else:
            present = IPAddress.objects.create(prefix=prefix, address=host.address, host=host)
        record(
            actor, "address.registered", subject_type="host", subject_id=str(host.pk), now=now,
            after={"address": host.address, "prefix": prefix.cidr},
        )  # fmt: skip
    return present


def claim_endpoint(instance: ServiceInstance, host: Host, *, port_range: tuple[int, int], now: datetime) -> Endpoint:
    """A port for an instance of one member; see :func:`claim_endpoints`."""
    (endpoint,) = claim_endpoints(instance, {"main": host}, port_range=port_range, now=now).values()
    return endpoint


def claim_endpoints(
    instance: ServiceInstance, hosts: Mapping[str, Host], *, port_range: tuple[int, int], now: datetime
) -> dict[str, Endpoint]:
    """Give every member of ``instance`` the lowest port of its host that nobody holds and that does not rest.

    All or none, in the caller's transaction.

    :param hosts: member → where it stands.
    :param port_range: first and last port, both included, within 1–65535.
    :raises AddressUnknown: a host's address was not registered.
    :raises PortsExhausted: none is left.
    """
    first, last = port_range
    there = {host.pk: host for host in hosts.values()}
    # The lock on an address lasts until the caller's transaction ends, so nobody else can choose the same port.
    known = {row.host_id: row for row in lock(IPAddress.objects.filter(host__in=there, address=F("host__address")))}
    for pk, host in there.items():
        if pk not in known:
            raise AddressUnknown(host=host.name)
    busy: dict[uuid.UUID, set[int]] = {row.pk: set() for row in known.values()}
    taken = Endpoint.objects.filter(
        Q(released_at__isnull=True) | Q(rests_until__gt=now), address__in=busy, port__gte=first, port__lte=last
    )
    for pk, port in taken.values_list("address", "port"):
        busy[pk].add(port)
    endpoints = {}
    for member, host in hosts.items():
        address = known[host.pk]
        free = next((port for port in range(first, last + 1) if port not in busy[address.pk]), None)
        if free is None:
            raise PortsExhausted(host=host.name)
        busy[address.pk].add(free)
        endpoints[member] = Endpoint(address=address, port=free, instance=instance, member=member, claimed_at=now)
    Endpoint.objects.bulk_create(endpoints.values())
    return endpoints


def release_endpoints(instance: ServiceInstance, *, now: datetime) -> int:
    """Give back every port of ``instance``; each rests for ``PORT_REST_SECONDS``. Returns how many; again: 0."""
    rests_until = now + timedelta(seconds=settings.PORT_REST_SECONDS)
    return Endpoint.objects.filter(instance=instance, released_at__isnull=True).update(
        released_at=now, rests_until=rests_until
    )


def allow_from(zone: Zone) -> list[str]:
    """The networks whose clients may reach the services of ``zone``, sorted."""
    return sorted(zone.prefixes.values_list("cidr", flat=True))
