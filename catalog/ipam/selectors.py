"""Networks, for those who look after the pool."""

import uuid

from django.db.models import QuerySet

from catalog.common.errors import NotFound
from catalog.ipam.models import Prefix, Vlan
from catalog.tenancy.policy import Action, Actor, require


def vlans_for(actor: Actor) -> QuerySet[Vlan]:
    """All VLANs with what lists show of them. Raises Forbidden."""
    require(actor, Action.VIEW_POOL)
    return Vlan.objects.select_related("zone", "tenant")


def vlan_for(actor: Actor, vlan_id: uuid.UUID) -> Vlan:
    """One VLAN. Raises Forbidden or NotFound."""
    vlan = vlans_for(actor).filter(pk=vlan_id).first()
    if vlan is None:
        raise NotFound()
    return vlan


def prefixes_for(actor: Actor) -> QuerySet[Prefix]:
    """All prefixes with what lists show of them. Raises Forbidden."""
    require(actor, Action.VIEW_POOL)
    return Prefix.objects.select_related("zone", "vlan", "tenant")


def prefix_for(actor: Actor, prefix_id: uuid.UUID) -> Prefix:
    """One prefix. Raises Forbidden or NotFound."""
    prefix = prefixes_for(actor).filter(pk=prefix_id).first()
    if prefix is None:
        raise NotFound()
    return prefix
