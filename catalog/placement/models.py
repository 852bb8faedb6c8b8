"""Which instance holds how much of which host."""

from django.db import models
from django.db.models import Q

from catalog.instances.models import ServiceInstance
from catalog.pool.models import Host


class Allocation(models.Model):
    """An amount of one resource class of one host held by one instance. Closed with ``released_at``, never deleted."""

    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="allocations")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="allocations")
    resource_class = models.CharField(max_length=40)
    amount = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
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
