"""Networks of the zones: VLANs, prefixes, addresses, and the ports and names given out on them."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.models import UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.ipam.cidr import network
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Tenant


def validate_cidr(value: str) -> None:
    """Refuse what is not a network in CIDR notation with its host bits zero."""
    if network(value) is None:
        raise ValidationError(_("Write a network such as 10.77.0.0/24, with the host part zero."), code="bad-cidr")


class Vlan(UUIDModel):
    """A VLAN of a zone; with a ``tenant``, that affiliate's alone. Prefixes say which they belong to."""

    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="vlans")
    vid = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(4094)])
    name = models.CharField(max_length=100)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="vlans")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("VLAN")
        verbose_name_plural = _("VLANs")
        ordering = ("zone", "vid")
        constraints = [
            models.CheckConstraint(condition=Q(vid__gte=1, vid__lte=4094), name="vlan_vid_range"),
            models.UniqueConstraint(
                fields=("zone", "vid"), condition=Q(retired_at__isnull=True), name="vlan_vid_once_a_zone"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vid} {self.name}"


class Prefix(UUIDModel):
    """A network of a zone. Clients in it may reach the services of the zone unless an order says otherwise.

    With a ``tenant`` it is that affiliate's: its addresses are used for that affiliate's services only, and its clients may reach
    those services in every zone.
    """

    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="prefixes")
    cidr = models.CharField(max_length=43, validators=[validate_cidr])
    vlan = models.ForeignKey(Vlan, null=True, blank=True, on_delete=models.PROTECT, related_name="prefixes")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="prefixes")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("prefix")
        verbose_name_plural = _("prefixes")
        constraints = [
            models.UniqueConstraint(fields=("cidr",), condition=Q(retired_at__isnull=True), name="prefix_cidr_once")
        ]

    def __str__(self) -> str:
        return self.cidr


class ZoneNetwork(UUIDModel):
    """What a zone's network does beside having prefixes: whether services may be open to anyone, and the names it gives.

    Without a ``dns_server`` services of the zone have addresses only. ``dns_key`` is the TSIG key that may change names,
    encrypted for the context ``zone-network:<id>``.
    """

    zone = models.OneToOneField(Zone, on_delete=models.PROTECT, related_name="network")
    open_to_anyone = models.BooleanField(
        default=False, help_text="an order may let in clients from networks that nobody registered, even everyone"
    )
    domain = models.CharField(max_length=100, blank=True)
    dns_server = models.GenericIPAddressField(null=True, blank=True)
    dns_port = models.PositiveIntegerField(default=53)
    dns_key_name = models.CharField(max_length=100, blank=True)
    dns_key_algorithm = models.CharField(max_length=20, blank=True)
    dns_key = models.TextField(blank=True)

    class Meta:
        verbose_name = _("network of a zone")
        verbose_name_plural = _("networks of zones")
        constraints = [
            models.CheckConstraint(
                condition=Q(dns_server__isnull=True, domain="", dns_key="")
                | (Q(dns_server__isnull=False) & ~Q(domain="") & ~Q(dns_key="")),
                name="zone_network_names_whole",
            )
        ]

    def __str__(self) -> str:
        return f"{self.zone.slug} {self.domain}".strip()


class IPAddress(UUIDModel):
    """One address of a prefix; ``host`` says on which machine it is up."""

    prefix = models.ForeignKey(Prefix, on_delete=models.PROTECT, related_name="addresses")
    address = models.GenericIPAddressField(unique=True)
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.PROTECT, related_name="addresses")

    class Meta:
        verbose_name = _("IP address")
        verbose_name_plural = _("IP addresses")

    def __str__(self) -> str:
        return self.address


class DnsName(UUIDModel):
    """A full name in a zone's domain, held by one instance.

    After its release it rests until ``rests_until``: another affiliate does not get it before, so that a late client of the last
    holder is not led to a stranger. Its own affiliate may have it again at once.
    """

    name = models.CharField(max_length=253)
    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="dns_names")
    claimed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("DNS name")
        verbose_name_plural = _("DNS names")
        indexes = [models.Index(fields=("name", "rests_until"), name="dnsname_resting")]
        constraints = [
            models.UniqueConstraint(fields=("name",), condition=Q(released_at__isnull=True), name="dnsname_held_once")
        ]

    def __str__(self) -> str:
        return self.name


class Endpoint(UUIDModel):
    """A port of an address, held by one instance: what its client connects to, by the name where there is one.

    ``member`` says which part of the instance answers there.

    After its release the port rests until ``rests_until``, so that a late client of the last holder meets nobody.
    """

    address = models.ForeignKey(IPAddress, on_delete=models.PROTECT, related_name="endpoints")
    port = models.PositiveIntegerField()
    name = models.ForeignKey(DnsName, null=True, blank=True, on_delete=models.PROTECT, related_name="endpoints")
    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="endpoints")
    member = models.CharField(max_length=44, default="main")
    claimed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        indexes = [
            models.Index(
                fields=("address", "rests_until"), condition=Q(released_at__isnull=False), name="endpoint_resting"
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="endpoint_port_range"),
            models.UniqueConstraint(
                fields=("address", "port"), condition=Q(released_at__isnull=True), name="endpoint_held_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address.address}:{self.port}"
