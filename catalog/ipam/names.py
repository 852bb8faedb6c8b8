"""The DNS names of services: given out with the claim, and resting after their release.

The catalog only says which name is whose; the playbooks change the zone's name server.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from catalog.common.statements import Statement
from catalog.instances.models import ServiceInstance
from catalog.ipam.errors import NameResting
from catalog.ipam.models import DnsName, ZoneNetwork
from catalog.ipam.networks import key_of
from catalog.pool.models import Host, Zone


def full_name(instance: ServiceInstance, domain: str) -> str:
    """``<name>.<project>.<affiliate>.<domain>``, without a dot at its end."""
    return f"{instance.name}.{instance.project.slug}.{instance.tenant.slug}.{domain}"


def claim_name(instance: ServiceInstance, zone_id: uuid.UUID, *, now: datetime) -> DnsName | None:
    """Give ``instance`` its name in the domain of a zone, in the caller's transaction. None: the zone gives no names.

    :raises NameResting: another affiliate holds that very name, or held it a short while ago.
    """
    found = _DOMAIN.ask(zone_id)
    if not found or not found[0][1]:
        return None
    name = full_name(instance, found[0][1])
    resting = DnsName.objects.filter(name=name, rests_until__gt=now)
    if resting.exclude(instance__tenant=instance.tenant_id).exists():
        raise NameResting(fields={"name": NameResting.title})
    try:
        with transaction.atomic():
            return DnsName.objects.create(name=name, instance=instance, claimed_at=now)
    except IntegrityError as error:
        raise NameResting(fields={"name": NameResting.title}) from error


_DOMAIN = Statement(lambda zone: ZoneNetwork.objects.filter(zone=zone).values_list("zone", "domain"))


def release_names(instance: ServiceInstance, *, now: datetime) -> int:
    """Give back the names of ``instance``; each rests for ``NAME_REST_SECONDS``. Returns how many; again: 0."""
    rests_until = now + timedelta(seconds=settings.NAME_REST_SECONDS)
    return DnsName.objects.filter(instance=instance, released_at__isnull=True).update(
        released_at=now, rests_until=rests_until
    )


def names_at(host: Host) -> list[str]:
    """The names that services still hold and that lead to ``host``, sorted."""
    held = DnsName.objects.filter(
        released_at__isnull=True, endpoints__address__host=host, endpoints__released_at__isnull=True
    )
    return sorted(set(held.values_list("name", flat=True)))


def name_server(zone: Zone) -> Mapping[str, Any] | None:
    """What a playbook needs to change names of the zone: a document with the key's secret in it. None: it gives no names."""
    found = ZoneNetwork.objects.filter(zone=zone, dns_server__isnull=False).first()
    if found is None:
        return None
    return {
        "domain": found.domain,
        "address": str(found.dns_server),
        "port": found.dns_port,
        "key": {"name": found.dns_key_name, "algorithm": found.dns_key_algorithm, "secret": key_of(found)},
    }
