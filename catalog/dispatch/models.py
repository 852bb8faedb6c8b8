"""Runs asked of the workflow engine: the outbox, and what became of each."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class JobState(models.TextChoices):
    QUEUED = "queued", _("queued")
    SENT = "sent", _("sent")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    LOST = "lost", _("lost")


OPEN = (JobState.QUEUED, JobState.SENT, JobState.RUNNING)


class Job(models.Model):
    """One attempt of one flow for one subject; written in the transaction that decided it (outbox).

    ``key`` is the idempotency key at Prefect: ``<subject_type>:<subject_id>:<flow>:<attempt>``. At most one job of a subject is
    open; a subject's newer attempt closes the older first (fencing).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=120, unique=True)
    flow = models.CharField(max_length=40)
    zone = models.CharField(max_length=40)
    subject_type = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    attempt = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    not_before = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    flow_run_id = models.UUIDField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    send_failures = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("created_at",)
        indexes = [
            models.Index(fields=("state", "created_at"), name="job_by_state"),
            models.Index(fields=("subject_type", "subject_id"), name="job_by_subject"),
            models.Index(fields=("zone", "-ended_at"), condition=Q(flow="wipe", state="done"), name="job_wipes_done"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("subject_type", "subject_id"),
                condition=Q(state__in=("queued", "sent", "running")),
                name="job_open_once_per_subject",
            )
        ]

    def __str__(self) -> str:
        return self.key
