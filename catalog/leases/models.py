"""How long an instance may stay, and the policies that say how long."""

import uuid
from datetime import datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from catalog.common.models import AbstractEvent, Stateful, UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.leases.states import LeaseState
from catalog.offerings.models import Offering
from catalog.tenancy.models import Tenant

_NOBODY = models.Value(uuid.UUID(int=0), models.UUIDField())
_A_CENTURY = 100 * 365 * 86_400


def _seconds(text: str) -> "models.PositiveBigIntegerField[int | None, int | None]":
    limits = [MinValueValidator(1), MaxValueValidator(_A_CENTURY)]
    return models.PositiveBigIntegerField(null=True, blank=True, validators=limits, help_text=text)


class LeasePolicy(models.Model):
    """Lengths of leases, for one affiliate or all, and one offering or all. What is left empty the next wider policy says.

    Which is the more specific, and what holds in the end, says :func:`catalog.leases.limits.merged`.
    """

    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="lease_policies")
    offering = models.ForeignKey(
        Offering, null=True, blank=True, on_delete=models.CASCADE, related_name="lease_policies"
    )
    default_seconds = _seconds("lease of an order that names none, in seconds")
    longest_seconds = _seconds("from the start of a lease to its end with all extensions, in seconds")
    longest_extension_seconds = _seconds("of one extension, in seconds")
    most_extensions = models.PositiveIntegerField(null=True, blank=True, help_text="of one lease; 0: none")

    class Meta:
        verbose_name = _("lease policy")
        verbose_name_plural = _("lease policies")
        ordering = ("tenant", "offering")
        constraints = [
            models.UniqueConstraint(
                Coalesce("tenant", _NOBODY),
                Coalesce("offering", _NOBODY),
                name="leasepolicy_once",
                violation_error_message=_("There is a policy for this affiliate and this offering. Change that one."),
            ),
            models.CheckConstraint(
                condition=Q(default_seconds__isnull=True)
                | Q(longest_seconds__isnull=True)
                | Q(default_seconds__lte=F("longest_seconds")),
                name="leasepolicy_default_fits",
                violation_error_message=_("The default may not be longer than the longest lease."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant.slug if self.tenant else '*'} {self.offering.slug if self.offering else '*'}"


class Lease(UUIDModel, Stateful):
    """The time an instance may stay; its end is a reclaim.

    A legal hold begins at ``held_at`` and ends at ``held_until`` (empty: when it is lifted); while it lasts nothing is reclaimed.
    A recalled lease remembers in ``recalled_from`` the end it had before its first recall.
    """

    instance = models.OneToOneField(ServiceInstance, on_delete=models.PROTECT, related_name="lease")
    state = models.CharField(max_length=10, choices=LeaseState.choices, default=LeaseState.ACTIVE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    next_notice_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="of its end")
    extensions = models.PositiveIntegerField(default=0, help_text="how often it was extended")
    held_at = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    held_by = models.CharField(max_length=150, blank=True)
    hold_reason = models.CharField(max_length=300, blank=True)
    recalled_at = models.DateTimeField(null=True, blank=True)
    recalled_from = models.DateTimeField(null=True, blank=True)
    recalled_by = models.CharField(max_length=150, blank=True)
    recall_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="lease_ends_after_start"),
            models.CheckConstraint(
                condition=Q(held_at__isnull=False) | Q(held_until__isnull=True), name="lease_hold_has_a_beginning"
            ),
            models.CheckConstraint(
                condition=Q(recalled_at__isnull=True, recalled_from__isnull=True)
                | Q(recalled_at__isnull=False, recalled_from__gte=F("ends_at")),
                name="lease_recall_brings_forward",
            ),
        ]

    def is_held(self, now: datetime) -> bool:
        """Whether a legal hold keeps it at ``now``."""
        return self.held_at is not None and (self.held_until is None or self.held_until > now)

    def __str__(self) -> str:
        return f"{self.instance_id} until {self.ends_at:%F %T}"


class LeaseEvent(AbstractEvent):
    """One thing that happened to a lease."""

    subject_field = "lease"
    lease = models.ForeignKey(Lease, on_delete=models.CASCADE, related_name="events")

    class Meta(AbstractEvent.Meta):
        verbose_name = _("lease event")
        verbose_name_plural = _("lease events")
        constraints = [models.UniqueConstraint(fields=("lease", "seq"), name="leaseevent_seq")]
