"""Which instance holds how much of which host."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.data import DataClass
from catalog.common.isolation import Isolation
from catalog.instances.models import ServiceInstance
from catalog.placement.members import MAIN
from catalog.pool.models import RESOURCE_CLASS, Host, Zone
from catalog.tenancy.models import Tenant


class Allocation(models.Model):
    """An amount of one resource class of one host held by one member of an instance. Closed with ``released_at``, never deleted.

    ``isolation`` and ``data_class`` are what the plan promised and the order said when it was claimed.
    """

    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="allocations")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="allocations")
    member = models.CharField(max_length=44, default=MAIN, help_text="which part of the service")
    resource_class = models.CharField(max_length=40)
    amount = models.PositiveIntegerField()
    isolation = models.CharField(max_length=10, choices=Isolation.choices, default=Isolation.AFFILIATE)
    data_class = models.CharField(max_length=20, choices=DataClass.choices, default=DataClass.INTERNAL)
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
                fields=("instance", "member", "resource_class"),
                condition=Q(released_at__isnull=True),
                name="allocation_open_once",
            ),
            models.CheckConstraint(
                condition=~Q(isolation="group") | Q(data_class__in=("public", "internal")),
                name="allocation_shared_holds_no_personal_data",
                violation_error_message=_("Personal data never stands on a host that affiliates share."),
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


class PriceList(models.Model):
    """What room in the pool is worth at present: one row, made anew every few minutes by :mod:`catalog.placement.market`."""

    edition = models.UUIDField(help_text="another with every change")
    made_at = models.DateTimeField()
    document = models.JSONField(help_text="shapes, and the price of a slot of each by zone and traits")

    class Meta:
        verbose_name = _("price list of room")
        verbose_name_plural = _("price lists of room")

    def __str__(self) -> str:
        return f"{self.made_at:%F %T}"
