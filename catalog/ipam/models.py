"""Networks of the zones: prefixes, addresses, and the ports given out on them."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.models import UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.ipam.cidr import network
from catalog.pool.models import Host, Zone


def validate_cidr(value: str) -> None:
    """Refuse what is not a network in CIDR notation with its host bits zero."""
    if network(value) is None:
        raise ValidationError(_("Write a network such as 10.77.0.0/24, with the host part zero."), code="bad-cidr")


class Prefix(UUIDModel):
    """A network of a zone. Clients in it may reach the services of the zone unless an order says otherwise."""

    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="prefixes")
    cidr = models.CharField(max_length=43, unique=True, validators=[validate_cidr])

    class Meta:
        verbose_name = _("prefix")
        verbose_name_plural = _("prefixes")

    def __str__(self) -> str:
        return self.cidr


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


class Endpoint(UUIDModel):
    """A port of an address, held by one instance: what its client connects to.

    After its release the port rests until ``rests_until``, so that a late client of the last holder meets nobody.
    """

    address = models.ForeignKey(IPAddress, on_delete=models.PROTECT, related_name="endpoints")
    port = models.PositiveIntegerField()
    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="endpoints")
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
