"""How much of the pool an affiliate may hold at once."""

from django.db import models

from catalog.pool.models import RESOURCE_CLASS
from catalog.tenancy.models import Tenant


class Quota(models.Model):
    """The most of one resource class that a tenant's open allocations may add up to. No row means none at all."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="quotas")
    resource_class = models.CharField(max_length=40, validators=[RESOURCE_CLASS])
    limit = models.PositiveIntegerField()

    class Meta:
        ordering = ("tenant", "resource_class")
        constraints = [models.UniqueConstraint(fields=("tenant", "resource_class"), name="quota_once_per_class")]

    def __str__(self) -> str:
        return f"{self.tenant.slug} {self.resource_class} ≤ {self.limit}"
