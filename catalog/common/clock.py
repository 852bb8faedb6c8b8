"""The one seam through which time enters. Services take ``now`` as a parameter; faces and flows read it here."""

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """The current instant, timezone-aware, in UTC."""
    return timezone.now()
