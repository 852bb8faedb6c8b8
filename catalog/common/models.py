"""Abstract bases shared by every domain app."""

import uuid
from typing import ClassVar

from django.db import models


class UUIDModel(models.Model):
    """A row named by a random UUID, which is also its public name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True


class Stateful(models.Model):
    """A row whose ``state`` only :func:`catalog.audit.gate.move` changes.

    ``seq`` counts its events; ``deadline`` is set while the state is transitional.
    """

    state_since = models.DateTimeField(editable=False)
    deadline = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    seq = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        abstract = True


class AbstractEvent(models.Model):
    """One thing that happened to its subject, numbered without gaps from 1 in the order of commits."""

    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    actor = models.CharField(max_length=150, blank=True)
    data = models.JSONField(default=dict)

    subject_field: ClassVar[str]

    class Meta:
        abstract = True
        ordering = ("seq",)
