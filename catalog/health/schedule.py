"""When a service is checked: each at its own place in the interval, which follows from its id."""

import math
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings

CONFIRM_AFTER = timedelta(seconds=60)
"""A check that failed is followed by another so soon, until it is sure."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def next_slot(instance_id: uuid.UUID, *, after: datetime) -> datetime:
    """The next time that is this service's own.

    Services are spread evenly over the interval by their ids, which are random: nothing has to be remembered, and after an
    outage in which all became due each is back at its place.
    """
    every = settings.HEALTH_SECONDS
    place = instance_id.int % (every * 1000) / 1000
    rounds = math.floor(((after - _EPOCH).total_seconds() - place) / every) + 1
    return _EPOCH + timedelta(seconds=place + rounds * every)


def confirmation(instance_id: uuid.UUID, *, after: datetime) -> datetime:
    """When a failure is looked at again that has no consequence yet."""
    return min(after + CONFIRM_AFTER, next_slot(instance_id, after=after))
