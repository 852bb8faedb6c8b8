"""Registering and retiring VLANs and prefixes, and what a zone's network does beside having them."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from catalog.audit.services import record
from catalog.common import crypto
from catalog.common.errors import Text
from catalog.common.locks import lock_one, wait_for
from catalog.ipam.cidr import network, overlap
from catalog.ipam.errors import (
    NameServerInvalid,
    NetworkOfAnother,
    NetworkRetired,
    PrefixInUse,
    PrefixInvalid,
    PrefixOverlaps,
    VlanInUse,
    VlanInvalid,
    VlanTaken,
    VlanUnknown,
)
from catalog.ipam.models import Prefix, Vlan, ZoneNetwork
from catalog.pool.models import Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Action, Actor, require

VIDS = range(1, 4095)
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
_DOMAIN = re.compile(r"\A(?=.{3,100}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_KEY_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_SECRET = re.compile(r"\A[A-Za-z0-9+/]{20,200}={0,2}\Z")
# Who registers a network looks at all of them first: two at once must not look past each other.
_NETWORKS_LOCK = 0x6970616D


@dataclass(frozen=True)
class NameServer:
    """A DNS server that takes RFC 2136 updates for ``domain``, signed with a TSIG key.

    :param secret: the key in Base64; empty keeps the one that is known.
    """

    domain: str
    address: str
    key_name: str
    secret: str
    port: int = 53
    algorithm: str = ALGORITHMS[0]


def register_vlan(
    actor: Actor, *, zone: Zone, vid: int, name: str, tenant: Tenant | None = None, now: datetime
) -> Vlan:
    """Enter a VLAN of a zone.

    :param vid: 1–4094, once in the zone.
    :param tenant: whose it is alone; None: everybody's.
    :raises Forbidden: the actor is no pool operator.
    :raises VlanInvalid, VlanTaken, NetworkOfAnother: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    wrong: dict[str, Text] = {} if vid in VIDS else {"vid": VlanInvalid.title}
    if not 1 <= len(name.strip()) <= 100:
        wrong["name"] = VlanInvalid.title
    if wrong:
        raise VlanInvalid(fields=wrong)
    _same_affiliate(zone, None, tenant)
    try:
        with transaction.atomic():
            vlan = Vlan.objects.create(zone=zone, vid=vid, name=name.strip(), tenant=tenant)
            record(
                actor, "vlan.registered", subject_type="vlan", subject_id=str(vlan.pk), now=now,
                tenant_id=tenant.pk if tenant else None,
                after={"zone": zone.slug, "vid": vid, "name": vlan.name, "tenant": tenant.slug if tenant else None},
            )  # fmt: skip
    except IntegrityError as error:
        raise VlanTaken(fields={"vid": VlanTaken.title}) from error
    return vlan


def vlan_of(zone: Zone, vid: int) -> Vlan:
    """The VLAN of this number. Raises VlanUnknown."""
    vlan = Vlan.objects.filter(zone=zone, vid=vid, retired_at__isnull=True).first() if vid in VIDS else None
    if vlan is None:
        raise VlanUnknown(fields={"vlan": VlanUnknown.title})
    return vlan


def retire_vlan(actor: Actor, vlan: Vlan, *, now: datetime) -> Vlan:
    """End a VLAN's use; its number may be registered again. Raises Forbidden, NetworkRetired or VlanInUse."""
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        wait_for(_NETWORKS_LOCK)
        held = lock_one(Vlan, vlan.pk)
        if held.retired_at is not None:
            raise NetworkRetired()
        if held.prefixes.filter(retired_at__isnull=True).exists():
            raise VlanInUse()
        held.retired_at = now
        held.save(update_fields=["retired_at"])
        record(
            actor, "vlan.retired", subject_type="vlan", subject_id=str(held.pk), tenant_id=held.tenant_id, now=now,
            before={"zone": held.zone.slug, "vid": held.vid},
        )  # fmt: skip
    return held


def register_prefix(
    actor: Actor,
    *,
    zone: Zone,
    cidr: str,
    vlan: Vlan | None = None,
    tenant: Tenant | None = None,
    now: datetime,
) -> Prefix:
    """Enter a network of a zone. The same one again changes nothing.

    :param tenant: for whose services its addresses are; a VLAN's affiliate where the VLAN has one; None: everybody's.
    :raises Forbidden: the actor is no pool operator.
    :raises PrefixInvalid, PrefixOverlaps, VlanUnknown, NetworkOfAnother: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    wanted = network(cidr)
    if wanted is None or wanted.prefixlen == 0:
        raise PrefixInvalid(fields={"cidr": PrefixInvalid.title})
    _same_affiliate(zone, vlan, tenant)
    owner = tenant or (vlan.tenant if vlan is not None else None)
    with transaction.atomic():
        wait_for(_NETWORKS_LOCK)
        if vlan is not None and not zone.vlans.filter(pk=vlan.pk, retired_at__isnull=True).exists():
            raise VlanUnknown(fields={"vlan": VlanUnknown.title})
        for present in Prefix.objects.filter(retired_at__isnull=True):
            other = ipaddress.ip_network(present.cidr)
            same = (present.zone_id, present.vlan_id, present.tenant_id) == (
                zone.pk, vlan.pk if vlan else None, owner.pk if owner else None,
            )  # fmt: skip
            if other == wanted and same:
                return present
            if overlap(other, wanted):
                raise PrefixOverlaps(fields={"cidr": PrefixOverlaps.title})
        prefix = Prefix.objects.create(zone=zone, cidr=str(wanted), vlan=vlan, tenant=owner)
        record(
            actor, "prefix.registered", subject_type="prefix", subject_id=str(prefix.pk), now=now,
            tenant_id=owner.pk if owner else None,
            after={
                "zone": zone.slug, "cidr": prefix.cidr, "vlan": vlan.vid if vlan else None,
                "tenant": owner.slug if owner else None,
            },
        )  # fmt: skip
    return prefix


def retire_prefix(actor: Actor, prefix: Prefix, *, now: datetime) -> Prefix:
    """End a prefix's use: nothing of it is given out any more, and its clients are let in nowhere new.

    :raises Forbidden, NetworkRetired: as they say.
    :raises PrefixInUse: a host that is not retired has an address of it.
    """
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        wait_for(_NETWORKS_LOCK)
        held = lock_one(Prefix, prefix.pk)
        if held.retired_at is not None:
            raise NetworkRetired()
        if held.addresses.filter(host__isnull=False).exclude(host__state=HostState.RETIRED).exists():
            raise PrefixInUse()
        held.retired_at = now
        held.save(update_fields=["retired_at"])
        record(
            actor, "prefix.retired", subject_type="prefix", subject_id=str(held.pk), tenant_id=held.tenant_id, now=now,
            before={"zone": held.zone.slug, "cidr": held.cidr},
        )  # fmt: skip
    return held


def _same_affiliate(zone: Zone, vlan: Vlan | None, tenant: Tenant | None) -> None:
    wanted = tenant.pk if tenant is not None else None
    for owner in (zone.tenant_id, vlan.tenant_id if vlan is not None else None):
        if owner is not None and wanted not in {None, owner}:
            raise NetworkOfAnother(fields={"tenant": NetworkOfAnother.title})


def set_zone_network(
    actor: Actor, zone: Zone, *, open_to_anyone: bool, names: NameServer | None, now: datetime
) -> ZoneNetwork:
    """Say whether services of the zone may be open to anyone, and which server gives them names (None: none does).

    Services that have a name keep it; a change of the server counts for what is ordered from now on, and for giving back.

    :raises Forbidden: the actor is no pool operator.
    :raises NameServerInvalid: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        found = ZoneNetwork.objects.filter(zone=zone).first() or ZoneNetwork(zone=zone)
        if names is not None:
            judge(names, known=bool(found.dns_key))
        before = _told(found) if not found._state.adding else {}
        found.open_to_anyone = open_to_anyone
        found.domain = names.domain if names else ""
        found.dns_server = names.address if names else None
        found.dns_port = names.port if names else 53
        found.dns_key_name = names.key_name if names else ""
        found.dns_key_algorithm = names.algorithm if names else ""
        if names is None:
            found.dns_key = ""
        elif names.secret and names.secret != key_of(found):
            found.dns_key = crypto.encrypt(names.secret, context=f"zone-network:{found.pk}")
            before["key"] = "…"
        after = _told(found)
        if before != after:
            found.save()
            record(
                actor, "zone-network.set", subject_type="zone", subject_id=str(zone.pk), now=now, before=before, after=after
            )  # fmt: skip
    return found


def key_of(found: ZoneNetwork) -> str:
    """The secret of the key that may change names, in clear; empty where there is none."""
    return crypto.decrypt(found.dns_key, context=f"zone-network:{found.pk}") if found.dns_key else ""


def _told(found: ZoneNetwork) -> dict[str, object]:
    return {
        "open_to_anyone": found.open_to_anyone,
        "domain": found.domain,
        "server": f"{found.dns_server} {found.dns_port}" if found.dns_server else None,
        "key_name": found.dns_key_name,
        "algorithm": found.dns_key_algorithm,
    }


def judge(names: NameServer, *, known: bool) -> None:
    """Refuse a name server that cannot work.

    :param known: its key is known already, and may be left out.
    :raises NameServerInvalid: names the fields.
    """
    wrong: dict[str, Text] = {}
    if not _DOMAIN.match(names.domain):
        wrong["domain"] = NameServerInvalid.title
    try:
        ipaddress.ip_address(names.address)
    except ValueError:
        wrong["dns_server"] = NameServerInvalid.title
    if not 1 <= names.port <= 65535:
        wrong["dns_port"] = NameServerInvalid.title
    if not _KEY_NAME.match(names.key_name):
        wrong["dns_key_name"] = NameServerInvalid.title
    if names.algorithm not in ALGORITHMS:
        wrong["dns_key_algorithm"] = NameServerInvalid.title
    if not (_SECRET.match(names.secret) or (known and not names.secret)):
        wrong["dns_key"] = NameServerInvalid.title
    if wrong:
        raise NameServerInvalid(fields=wrong)
