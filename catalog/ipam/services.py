"""Registering addresses; giving out ports and names, and letting them rest."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from catalog.audit.services import record
from catalog.common.locks import lock
from catalog.common.statements import Statement
from catalog.instances.models import ServiceInstance
from catalog.ipam.cidr import contains
from catalog.ipam.errors import AddressOutsideZone, AddressTaken, AddressUnknown, MemberUnknown, PortsExhausted
from catalog.ipam.models import Endpoint, IPAddress
from catalog.ipam.names import claim_name, release_names
from catalog.pool.models import Host
from catalog.tenancy.policy import Action, Actor, require


def register_address(host: Host, *, now: datetime, actor: Actor) -> IPAddress:
    """Enter the address the host answers on. Again: nothing.

    :raises AddressOutsideZone: no prefix of the host's zone has it.
    :raises AddressTaken: it is another host's.
    """
    require(actor, Action.OPERATE_POOL)
    standing = host.zone.prefixes.filter(retired_at__isnull=True)
    prefix = next((each for each in standing if contains(each.cidr, host.address)), None)
    if prefix is None:
        raise AddressOutsideZone(fields={"address": AddressOutsideZone.title})
    with transaction.atomic():
        present = IPAddress.objects.filter(address=host.address).first()
        if present is not None and present.host_id == host.pk and present.prefix_id == prefix.pk:
            return present
        if present is not None and present.host_id not in {None, host.pk}:
            raise AddressTaken(fields={"address": AddressTaken.title})
        if present is not None:
            IPAddress.objects.filter(pk=present.pk).update(host=host, prefix=prefix)
            present.host, present.prefix = host, prefix
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

    All or none, in the caller's transaction. Where the zone of the first member gives names, that one gets one.

    :param hosts: member → where it stands.
    :param port_range: first and last port, both included, within 1–65535.
    :raises AddressUnknown: a host's address was not registered, or is for another affiliate's services.
    :raises PortsExhausted: none is left.
    :raises NameResting: see :func:`catalog.ipam.names.claim_name`.
    """
    first, last = port_range
    there = {host.pk: host for host in hosts.values()}
    # The lock on an address lasts until the caller's transaction ends, so nobody else can choose the same port.
    ours = Q(prefix__tenant__isnull=True) | Q(prefix__tenant=instance.tenant_id)
    own = IPAddress.objects.filter(ours, host__in=there, address=F("host__address"))
    known = {row.host_id: row for row in lock(own)}
    for pk, host in there.items():
        if pk not in known:
            raise AddressUnknown(host=host.name)
    busy: dict[uuid.UUID, set[int]] = {row.pk: set() for row in known.values()}
    for pk, port in _TAKEN.ask(now, busy, first, last):
        busy[pk].add(port)
    endpoints: dict[str, Endpoint] = {}
    name = claim_name(instance, next(iter(hosts.values())).zone_id, now=now)
    for member, host in hosts.items():
        address = known[host.pk]
        free = next((port for port in range(first, last + 1) if port not in busy[address.pk]), None)
        if free is None:
            raise PortsExhausted(host=host.name, host_id=host.pk)
        busy[address.pk].add(free)
        endpoints[member] = Endpoint(
            address=address,
            port=free,
            name=None if endpoints else name,
            instance=instance,
            member=member,
            claimed_at=now,
        )
    Endpoint.objects.bulk_create(endpoints.values())
    return endpoints


_TAKEN = Statement(
    lambda now, addresses, first, last: Endpoint.objects.filter(
        Q(released_at__isnull=True) | Q(rests_until__gt=now), address__in=addresses, port__gte=first, port__lte=last
    ).values_list("address", "port")
)


def endpoints_of(instance: ServiceInstance) -> dict[str, Endpoint]:
    """Member → the endpoint it holds, in the order of their claiming."""
    held = Endpoint.objects.filter(instance=instance, released_at__isnull=True).select_related("address", "name")
    return {each.member: each for each in held.order_by("claimed_at", "member")}


def lead_to(instance: ServiceInstance, member: str) -> Endpoint:
    """From now on the name of ``instance``, where it has one, is that of this member's endpoint; in the caller's transaction.

    :raises MemberUnknown: it has no such member.
    """
    held = endpoints_of(instance)
    if member not in held:
        raise MemberUnknown(instance=str(instance.pk), member=member)
    named = next((each.name for each in held.values() if each.name is not None), None)
    Endpoint.objects.filter(instance=instance, released_at__isnull=True).update(name=None)
    Endpoint.objects.filter(pk=held[member].pk).update(name=named)
    held[member].name = named
    return held[member]


def release_endpoints(instance: ServiceInstance, *, now: datetime) -> int:
    """Give back every port of ``instance``, and its name. Each port rests for ``PORT_REST_SECONDS``.

    Returns how many ports; again: 0.
    """
    release_names(instance, now=now)
    rests_until = now + timedelta(seconds=settings.PORT_REST_SECONDS)
    return Endpoint.objects.filter(instance=instance, released_at__isnull=True).update(
        released_at=now, rests_until=rests_until
    )
