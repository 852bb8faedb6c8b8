"""Questions to the outbox: what was sent where, and how long runs take."""

from datetime import timedelta
from statistics import median

from catalog.dispatch.models import Job, JobState

USUAL_WIPE = timedelta(minutes=15)
"""How long a wipe with its check takes where nobody has measured one yet."""

LAST_WIPES = 20
"""So many of a zone's latest wipes are looked at."""


def sent_to(zone: str) -> bool:
    """Whether something was sent to the workers of a zone that no run has begun yet."""
    return Job.objects.filter(state=JobState.SENT, zone=zone).exists()


def usual_wipe(zone: str) -> timedelta:
    """How long it takes in a zone from asking for a wipe to a clean host: the median of its latest wipes."""
    done = Job.objects.filter(flow="wipe", zone=zone, state=JobState.DONE, outcome="clean", ended_at__isnull=False)
    latest = done.order_by("-ended_at").values_list("created_at", "ended_at")[:LAST_WIPES]
    took = [(ended - began).total_seconds() for began, ended in latest if ended is not None]
    return timedelta(seconds=median(took)) if took else USUAL_WIPE
