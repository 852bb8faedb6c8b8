"""What Celery does for approvals: remind."""

import structlog
from celery import shared_task

from catalog.approvals.reminders import remind
from catalog.common.clock import now
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

REMINDERS = system("reminders")


@shared_task(name="approvals.remind")
def reminders() -> dict[str, int]:
    """Remind those who decide, and escalate what waits too long."""
    report = remind(now(), actor=REMINDERS)
    if any(report.values()):
        log.info("approval_reminders", **report)
    return report
