"""What Celery does for placement."""

import structlog
from celery import shared_task

from catalog.common.clock import now
from catalog.placement.market import reprice

log = structlog.get_logger(__name__)


@shared_task(name="placement.prices")
def prices() -> float:
    """Make the prices of room anew; returns how much of the pool is free."""
    made = reprice(now())
    log.info("room_priced", shapes=len(made.shapes), slack=round(made.slack, 4))
    return made.slack
