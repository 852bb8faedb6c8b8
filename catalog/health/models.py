"""How services are: what the regular check of each saw last, and when it is looked at again."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.instances.models import ServiceInstance

MOST_SPELLS = 30
"""So many stretches of one outcome are kept of each service; older ones are forgotten."""


class Outcome(models.TextChoices):
    HEALTHY = "healthy", _("healthy")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("could not be checked")


class Health(models.Model):
    """The health of one service, as a client sees it.

    ``outcome`` is the last that a check came to, and stays while the service cannot be checked: why not stands in
    ``unknown_code`` then. A row is claimed by one run at a time (``taken``), until ``next_at``: what a killed run never
    reported is due again by then.
    """

    instance = models.OneToOneField(ServiceInstance, on_delete=models.CASCADE, primary_key=True, related_name="health")
    next_at = models.DateTimeField(db_index=True, help_text="when it is checked again, or its claim ends")
    taken = models.UUIDField(null=True, blank=True, help_text="the run that checks it now")
    outcome = models.CharField(max_length=10, blank=True, choices=Outcome.choices, help_text="of the last check")
    checked_at = models.DateTimeField(null=True, blank=True)
    of_state_since = models.DateTimeField(
        null=True, blank=True, help_text="state_since of the service that was checked last"
    )
    failures = models.PositiveIntegerField(default=0, help_text="failed checks in a row, of the service as it is")
    task = models.CharField(max_length=200, blank=True, help_text="which failed")
    message = models.CharField(max_length=1000, blank=True, help_text="why it failed, redacted")
    unknown_at = models.DateTimeField(null=True, blank=True, help_text="when it could not be checked since")
    unknown_code = models.CharField(max_length=40, blank=True, help_text="why it could not be checked")
    tainted_at = models.DateTimeField(
        null=True, blank=True, help_text="state_since of the service, where a check has tainted it"
    )
    spells = models.JSONField(
        default=list,
        help_text="stretches of one outcome, the newest last: outcome, since, until, checks, task, message",
    )

    class Meta:
        verbose_name = _("health of a service")
        verbose_name_plural = _("health of services")

    def __str__(self) -> str:
        return f"{self.instance_id} {self.outcome}"
