"""What Celery does for orders: repair, look after the workers, and seal the record."""

import structlog
from celery import shared_task

from catalog.audit import services as audit
from catalog.common.clock import now
from catalog.orders import recovery, silence

log = structlog.get_logger(__name__)


@shared_task(name="orders.reconcile")
def reconcile() -> dict[str, int]:
    """Go on with what a crash interrupted."""
    report = recovery.reconcile(now())
    if report.counts:
        log.info("reconciled", **report.counts)
    return report.counts


@shared_task(name="orders.workers")
def workers() -> int:
    """Look up who works in which zone, and tell the orders that wait for somebody."""
    return silence.look(now())


@shared_task(name="audit.seal")
def seal() -> int:
    """Chain the newest audit entries."""
    return audit.seal(now())
