"""How long an instance may stay."""

from django.db import models
from django.db.models import F, Q

from catalog.common.models import AbstractEvent, Stateful, UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.leases.states import LeaseState


class Lease(UUIDModel, Stateful):
    """The time an instance may stay; its end is a reclaim. While ``held_until`` lies ahead nothing is reclaimed."""

    instance = models.OneToOneField(ServiceInstance, on_delete=models.PROTECT, related_name="lease")
    state = models.CharField(max_length=10, choices=LeaseState.choices, default=LeaseState.ACTIVE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    held_until = models.DateTimeField(null=True, blank=True)
    hold_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="lease_ends_after_start")]

    def __str__(self) -> str:
        return f"{self.instance_id} until {self.ends_at:%F %T}"


class LeaseEvent(AbstractEvent):
    """One thing that happened to a lease."""

    subject_field = "lease"
    lease = models.ForeignKey(Lease, on_delete=models.CASCADE, related_name="events")

    class Meta(AbstractEvent.Meta):
        constraints = [models.UniqueConstraint(fields=("lease", "seq"), name="leaseevent_seq")]
