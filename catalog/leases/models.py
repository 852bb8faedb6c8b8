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


def _seconds(text: str, *, least: int = 1) -> "models.PositiveBigIntegerField[int | None, int | None]":
    limits = [MinValueValidator(least), MaxValueValidator(_A_CENTURY)]
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
    grace_seconds = _seconds(
        "after the end of a lease: the service is stopped and its data kept, in seconds; 0: none", least=0
    )

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

    From ``ends_at`` to ``grace_ends_at`` the service is stopped and its data kept. Until grace begins that is what was
    announced with the end; empty: there is none, and the service is taken back at ``ends_at``.
    """

    instance = models.OneToOneField(ServiceInstance, on_delete=models.PROTECT, related_name="lease")
    state = models.CharField(max_length=10, choices=LeaseState.choices, default=LeaseState.ACTIVE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    grace_ends_at = models.DateTimeField(null=True, blank=True, db_index=True)
    next_notice_at = models.DateTimeField(
        null=True, blank=True, db_index=True, help_text="of its end, or of the end of grace"
    )
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
                condition=Q(grace_ends_at__isnull=True) | Q(grace_ends_at__gte=F("ends_at")),
                name="lease_grace_follows_end",
            ),
            models.CheckConstraint(
                condition=~Q(state="grace") | Q(grace_ends_at__isnull=False), name="lease_grace_has_an_end"
            ),
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

    @property
    def erased_at(self) -> datetime:
        """When the service is taken back, as things stand, and everything on it erased."""
        return self.grace_ends_at or self.ends_at

    @property
    def turns_at(self) -> datetime:
        """The next instant at which something happens to it: its end, or in grace the end of that."""
        return self.erased_at if self.state == LeaseState.GRACE else self.ends_at

    def ahead(self, now: datetime) -> list[tuple[datetime, str]]:
        """What happens when, if nobody does anything: ``stop``, where it has grace, and ``erase``."""
        if self.state == LeaseState.ENDED:
            return []
        stop = [] if self.state == LeaseState.GRACE or self.grace_ends_at is None else [(self.ends_at, "stop")]
        steps = [*stop, (self.erased_at, "erase")]
        if not self.is_held(now):
            return steps
        # Nothing happens while it is held; afterwards what has become due, and a grace that has not begun is given in full.
        until = self.held_until
        grace = self.erased_at - self.ends_at
        if until is None:
            return []
        if not stop:
            return [(max(self.erased_at, until), "erase")]
        stopped = max(self.ends_at, until)
        return [(stopped, "stop"), (stopped + grace, "erase")]

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
