"""What people ask for, what was decided, and what happened."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.data import DataClass
from catalog.common.models import AbstractEvent, Stateful, UUIDModel
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import OfferingVersion, Plan
from catalog.orders.states import OrderKind, OrderState
from catalog.pool.models import Zone
from catalog.tenancy.models import Project, Tenant, User


class Order(UUIDModel, Stateful):
    """One request to create, operate, change or give back an instance.

    One run at a time touches an instance; at most one more order, which outranks the one at work, waits approved for its turn.

    ``attempt`` is the newest run of its flow; a write that carries another is refused. While ``undoing`` an attempt takes down
    what earlier ones built; why is kept in ``failure_code`` and ``failure_detail``.
    """

    kind = models.CharField(max_length=20, choices=OrderKind.choices)
    state = models.CharField(max_length=20, choices=OrderState.choices, default=OrderState.DRAFT)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="orders")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="orders")
    requested_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="orders")
    instance = models.ForeignKey(
        ServiceInstance, null=True, blank=True, on_delete=models.PROTECT, related_name="orders"
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="orders")
    version = models.ForeignKey(OfferingVersion, on_delete=models.PROTECT, related_name="orders")
    zone = models.ForeignKey(Zone, null=True, blank=True, on_delete=models.PROTECT, related_name="orders")
    slug = models.CharField(max_length=40, help_text="of the manifest")
    manifest_version = models.CharField(max_length=40)
    git_revision = models.CharField(max_length=64)
    name = models.CharField(max_length=40)
    operation = models.CharField(
        max_length=40, blank=True, help_text="of the manifest, which an order of the kind operate runs"
    )
    parameters = models.JSONField(default=dict)
    data_class = models.CharField(
        max_length=20,
        choices=DataClass.choices,
        default=DataClass.INTERNAL,
        help_text="the most protected data it will hold",
    )
    allow_from = models.JSONField(
        default=list, help_text="networks that may connect; empty: the affiliate's and the zone's"
    )
    lease_seconds = models.PositiveBigIntegerField(default=0)
    price_krw_month = models.PositiveIntegerField(default=0)
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of what an approver sees")
    reason = models.CharField(max_length=300, blank=True)
    request_hash = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of what was asked, with the idempotency key"
    )
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)
    created_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="attempts at the present phase")
    undoing = models.BooleanField(default=False)
    not_before = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="a change freeze keeps it until then, approved and with its claim",
    )
    wait_for_capacity = models.BooleanField(default=False)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_detail = models.CharField(max_length=1000, blank=True)
    explanation = models.JSONField(default=dict, help_text="why it was placed where it was")

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ("-created_at",)
        indexes = [
            models.Index(fields=("tenant", "-created_at"), name="order_by_tenant"),
            models.Index(fields=("state", "created_at"), name="order_by_state"),
            models.Index(fields=("not_before",), condition=Q(not_before__isnull=False), name="order_kept"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("requested_by", "idempotency_key"),
                condition=Q(idempotency_key__isnull=False),
                name="order_idempotency_key",
            ),
            models.UniqueConstraint(
                fields=("instance",),
                condition=Q(state__in=("dispatched", "running", "cancelling"), instance__isnull=False),
                name="order_one_at_a_time",
                violation_error_message=_("Another order for this service is under way."),
            ),
            models.UniqueConstraint(
                fields=("instance",),
                condition=Q(state__in=("approved", "waiting_capacity"), instance__isnull=False),
                name="order_one_waits",
                violation_error_message=_("Another order for this service is under way."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.id})"


class OrderFinding(models.Model):
    """What an order handed back that only looked at its service. No secret is in it."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, primary_key=True, related_name="finding")
    at = models.DateTimeField()
    content = models.JSONField()

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")

    def __str__(self) -> str:
        return str(self.order_id)


class OrderEvent(AbstractEvent):
    """One thing that happened to an order: a change of state, a task of its playbook, a word of the platform."""

    subject_field = "order"
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")

    class Meta(AbstractEvent.Meta):
        verbose_name = _("order event")
        verbose_name_plural = _("order events")
        constraints = [models.UniqueConstraint(fields=("order", "seq"), name="orderevent_seq")]
