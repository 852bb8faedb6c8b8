"""Letters to people: the outbox, and what became of each."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.common.models import UUIDModel
from catalog.tenancy.models import User


class MailState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    SENT = "sent", _("sent")
    DROPPED = "dropped", _("dropped")


class Mail(UUIDModel):
    """One letter to one person, in their language; written in the transaction that it tells of (outbox).

    Whoever sends it claims it first: ``tries`` counts the claims, and until ``next_at`` nobody else takes it.
    """

    person = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    address = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    subject_type = models.CharField(max_length=40, help_text="what it is about")
    subject_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="afterwards it says nothing new")
    state = models.CharField(max_length=10, choices=MailState.choices, default=MailState.WAITING)
    next_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        ordering = ("created_at",)
        indexes = [
            models.Index(fields=("next_at",), condition=Q(state="waiting"), name="mail_waiting"),
            models.Index(fields=("subject_type", "subject_id"), name="mail_by_subject"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(sent_at__isnull=True) ^ Q(state="sent"), name="mail_sent_at_when_sent")
        ]

    def __str__(self) -> str:
        return f"{self.address}: {self.subject}"
