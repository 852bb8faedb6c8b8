"""What orders built, and the credentials to it."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.data import DataClass
from catalog.common.models import AbstractEvent, Stateful, UUIDModel
from catalog.instances.states import InstanceState
from catalog.offerings.models import OfferingVersion, Plan
from catalog.pool.models import Zone
from catalog.tenancy.models import Project, Tenant, User

INSTANCE_NAME = RegexValidator(
    r"\A[a-z][a-z0-9-]{1,38}[a-z0-9]\Z", _("3 to 40 of a–z, 0–9 and -, starting with a letter.")
)


class ServiceInstance(UUIDModel, Stateful):
    """A service of a project.

    ``unit`` names it on hosts: unique for ever, ``s`` and eleven of ``[a-z0-9]``. Where it runs is said by its allocations.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="instances")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="instances")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="instances")
    version = models.ForeignKey(OfferingVersion, on_delete=models.PROTECT, related_name="instances")
    zone = models.ForeignKey(Zone, null=True, blank=True, on_delete=models.PROTECT, related_name="instances")
    name = models.CharField(max_length=40, validators=[INSTANCE_NAME])
    unit = models.CharField(max_length=12, unique=True)
    state = models.CharField(max_length=20, choices=InstanceState.choices, default=InstanceState.PENDING)
    parameters = models.JSONField(default=dict)
    data_class = models.CharField(
        max_length=20,
        choices=DataClass.choices,
        default=DataClass.INTERNAL,
        help_text="the most protected data it holds",
    )
    allow_from = models.JSONField(
        default=list, help_text="networks that may connect; empty: the affiliate's and the zone's"
    )
    outputs = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    responsible = models.ForeignKey(
        User,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="services",
        help_text="who answers for it now",
    )
    created_at = models.DateTimeField()
    active_at = models.DateTimeField(null=True, blank=True)
    decommissioned_at = models.DateTimeField(null=True, blank=True)
    state_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("service instance")
        verbose_name_plural = _("service instances")
        ordering = ("-created_at",)
        indexes = [models.Index(fields=("tenant", "-created_at"), name="instance_by_tenant")]
        constraints = [
            models.UniqueConstraint(
                fields=("tenant", "name"),
                condition=~Q(state__in=("decommissioned", "failed")),
                name="instance_name_in_use_once",
                violation_error_message=_("Your affiliate already has a service of that name."),
            )
        ]

    def __str__(self) -> str:
        return self.name


class ServiceBinding(UUIDModel):
    """One set of credentials to an instance. ``secret`` is encrypted for the context ``binding:<id>``."""

    instance = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="bindings")
    public = models.JSONField(default=dict, help_text="what is no secret: name, address, port, username, database")
    secret = models.TextField(help_text="encrypted JSON: every generated credential")
    created_at = models.DateTimeField()
    shown_at = models.DateTimeField(null=True, blank=True)
    shown_to = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("service binding")
        verbose_name_plural = _("service bindings")

    def __str__(self) -> str:
        return f"{self.instance_id} {self.id}"


class ServiceLink(models.Model):
    """One service uses another one of its project, which it knows by ``alias``. Stands as long as the row of its consumer."""

    consumer = models.ForeignKey(ServiceInstance, on_delete=models.CASCADE, related_name="links")
    provider = models.ForeignKey(ServiceInstance, on_delete=models.PROTECT, related_name="dependents")
    alias = models.CharField(max_length=40)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("link between services")
        verbose_name_plural = _("links between services")
        constraints = [
            models.UniqueConstraint(fields=("consumer", "alias"), name="servicelink_alias_once"),
            models.CheckConstraint(condition=~Q(consumer=models.F("provider")), name="servicelink_to_another"),
        ]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.alias}"


class InstanceEvent(AbstractEvent):
    """One thing that happened to an instance."""

    subject_field = "instance"
    instance = models.ForeignKey(ServiceInstance, on_delete=models.CASCADE, related_name="events")

    class Meta(AbstractEvent.Meta):
        verbose_name = _("service event")
        verbose_name_plural = _("service events")
        constraints = [models.UniqueConstraint(fields=("instance", "seq"), name="instanceevent_seq")]
