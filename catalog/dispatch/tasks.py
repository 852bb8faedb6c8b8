"""What Celery carries for the dispatcher."""

from celery import shared_task

from catalog.common.clock import now
from catalog.dispatch import services
from catalog.dispatch.wake import RELAY


@shared_task(name=RELAY)
def relay() -> int:
    """Send waiting jobs to Prefect; returns how many."""
    return services.relay(now())
