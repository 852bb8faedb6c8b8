"""Which instance holds how much of which host."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.instances.models import ServiceInstance
from catalog.pool.models import RESOURCE_CLASS, Host, Zone
from catalog.tenancy.models import Tenant


class Allocation(models.Model):
    """An amount of one resource class of one host held by one instance. Closed with ``released_at``, never deleted."""

    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="allocations")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="allocations")
    resource_class = models.CharField(max_length=40)
    amount = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("allocation")
        verbose_name_plural = _("allocations")
        indexes = [
            models.Index(fields=("host",), condition=Q(released_at__isnull=True), name="allocation_open_by_host")
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="allocation_positive"),
            models.UniqueConstraint(
                fields=("instance", "host", "resource_class"),
                condition=Q(released_at__isnull=True),
                name="allocation_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id} {self.amount} {self.resource_class} of {self.host_id}"


class Holding(models.Model):
    """What a tenant's open allocations of one resource class in one zone add up to.

    Kept with every claim and release, so that the check of a quota costs the same for ten services and for a hundred
    thousand; ``manage.py books`` proves that it equals the sum.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="holdings")
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="+")
    resource_class = models.CharField(max_length=40, validators=[RESOURCE_CLASS])
    used = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("holding")
        verbose_name_plural = _("holdings")
        constraints = [
            models.UniqueConstraint(fields=("tenant", "resource_class", "zone"), name="holding_once_per_class")
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.used} {self.resource_class}"
