"""What Celery does for letters."""

import structlog
from celery import shared_task

from catalog.common.clock import now
from catalog.mail import services

log = structlog.get_logger(__name__)


@shared_task(name="mail.send")
def send() -> dict[str, int]:
    """Send what waits."""
    report = services.send_waiting(now())
    if report:
        log.info("mail", **report)
    return report
