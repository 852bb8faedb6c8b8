"""How much of the pool an affiliate may hold at once, who lends it to whom, and who waits for what is its own."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from catalog.common.models import UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.pool.models import RESOURCE_CLASS, Zone
from catalog.quotas.shares import MOST
from catalog.tenancy.models import Tenant

_AT_MOST = (MaxValueValidator(MOST),)


class Quota(models.Model):
    """What a tenant may hold of one resource class: ``guaranteed`` of its own, ``borrow_limit`` more of what others leave idle.

    In a zone that has a row of its own, that row alone counts; the row without a zone counts for all other zones together.
    No row means none at all. Changed only through :mod:`catalog.quotas.agreements`, which keeps the loans true.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="quotas")
    resource_class = models.CharField(max_length=40, validators=[RESOURCE_CLASS])
    zone = models.ForeignKey(
        Zone, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text=_("Empty: wherever.")
    )
    guaranteed = models.PositiveIntegerField(
        default=0, validators=_AT_MOST, help_text=_("What the affiliate paid for or brought.")
    )
    borrow_limit = models.PositiveIntegerField(
        default=0, validators=_AT_MOST, help_text=_("How much more it may use while others leave it idle.")
    )
    lend_limit = models.PositiveIntegerField(
        default=0, validators=_AT_MOST, help_text=_("How much of its idle guaranteed amount others may use.")
    )

    class Meta:
        verbose_name = _("quota")
        verbose_name_plural = _("quotas")
        ordering = ("tenant", "resource_class", "zone")
        constraints = [
            models.UniqueConstraint(
                fields=("tenant", "resource_class", "zone"),
                condition=Q(zone__isnull=False),
                name="quota_once_per_class_and_zone",
                violation_error_message=_(
                    "This affiliate already has a quota of this class for this zone. Change that one."
                ),
            ),
            models.UniqueConstraint(
                fields=("tenant", "resource_class"),
                condition=Q(zone__isnull=True),
                name="quota_once_per_class",
                violation_error_message=_("This affiliate already has a quota of this class. Change that one."),
            ),
        ]

    def __str__(self) -> str:
        where = f" in {self.zone.slug}" if self.zone else ""
        return f"{self.tenant.slug} {self.resource_class}{where} {self.guaranteed} + {self.borrow_limit}"


class Loan(models.Model):
    """An amount of one class, used by ``borrower`` beyond what it is guaranteed; ``lender`` empty: nobody is guaranteed it.

    What a tenant's open loans of a class add up to is what it uses beyond its guaranteed amount (``manage.py books`` proves it).
    ``instance`` is what it was borrowed for. A loan given back in part becomes two: one that ended, one that goes on.
    With ``recalled_at`` its owner wants it back: the lease of ``instance`` ends at ``due_at``.
    """

    lender = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="lent")
    borrower = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="borrowed")
    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="loans")
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="+")
    resource_class = models.CharField(max_length=40)
    amount = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    recalled_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    recall = models.ForeignKey("Recall", null=True, blank=True, on_delete=models.PROTECT, related_name="loans")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("loan")
        verbose_name_plural = _("loans")
        ordering = ("-began_at", "-id")
        indexes = [
            models.Index(fields=("borrower",), condition=Q(ended_at__isnull=True), name="loan_open_by_borrower"),
            models.Index(
                fields=("resource_class", "lender"), condition=Q(ended_at__isnull=True), name="loan_open_by_class"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="loan_positive"),
            models.CheckConstraint(
                condition=Q(lender__isnull=True) | ~Q(lender=F("borrower")),
                name="loan_not_to_oneself",
                violation_error_message=_("Nobody lends to themselves."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.resource_class} to {self.borrower_id} since {self.began_at:%F %T}"


class Recall(UUIDModel):
    """A tenant that wants back what it is guaranteed, for one waiting order. While it is open nobody else borrows that amount.

    ``wanted`` is resource class → amount; ``room_at`` is when the last lease it shortened ends.
    """

    owner = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="recalls")
    order_id = models.UUIDField()
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="+")
    wanted = models.JSONField()
    asked_at = models.DateTimeField()
    room_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("recall")
        verbose_name_plural = _("recalls")
        ordering = ("-asked_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("order_id",), condition=Q(ended_at__isnull=True), name="recall_open_once_per_order"
            )
        ]

    def __str__(self) -> str:
        return f"{self.owner_id} for {self.order_id}"


class Capacity(models.Model):
    """What a zone has of one resource class, as last counted."""

    zone = models.ForeignKey(Zone, on_delete=models.CASCADE, related_name="+")
    resource_class = models.CharField(max_length=40)
    amount = models.PositiveBigIntegerField(default=0)
    counted_at = models.DateTimeField()

    class Meta:
        verbose_name = _("capacity")
        verbose_name_plural = _("capacities")
        constraints = [models.UniqueConstraint(fields=("zone", "resource_class"), name="capacity_once_per_class")]

    def __str__(self) -> str:
        return f"{self.zone_id} {self.amount} {self.resource_class}"


class Memory(models.Model):
    """What is remembered of a tenant's use of one class: see :func:`catalog.quotas.shares.remembered`."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    resource_class = models.CharField(max_length=40)
    amount = models.FloatField(default=0)
    written_at = models.DateTimeField()

    class Meta:
        verbose_name = _("remembered use")
        verbose_name_plural = _("remembered use")
        constraints = [models.UniqueConstraint(fields=("tenant", "resource_class"), name="memory_once_per_class")]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.amount:.1f} {self.resource_class}"
