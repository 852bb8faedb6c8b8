"""The record of every decision, chained by hashes so that a change of the past shows."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """Who did what to what, from where, before and after.

    Written in the transaction of the deed. ``chain_seq``, ``previous`` and ``digest`` are set within seconds by the sealer
    (:func:`catalog.audit.services.seal`), so that writers do not wait for each other at the end of one chain.
    """

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    source = models.CharField(max_length=100, blank=True)
    action = models.CharField(max_length=60)
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    tenant_id = models.UUIDField(null=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    chain_day = models.DateField(null=True)
    chain_seq = models.PositiveBigIntegerField(null=True)
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ("id",)
        indexes = [
            models.Index(fields=("subject_id", "subject_type", "at"), name="audit_by_subject"),
            models.Index(fields=("actor", "-id"), name="audit_by_actor"),
            models.Index(fields=("action", "-id"), name="audit_by_action"),
            models.Index(fields=("tenant_id", "-id"), name="audit_by_tenant"),
            models.Index(fields=("id",), condition=models.Q(chain_seq__isnull=True), name="audit_unsealed"),
        ]
        constraints = [
            models.UniqueConstraint(fields=("chain_day", "chain_seq"), name="audit_chain_position"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor} {self.action} {self.subject_type} {self.subject_id}"
