"""What Celery does for leases: follow projects, and give notice. What has ended is taken back by the reclaim flow."""

import structlog
from celery import shared_task

from catalog.common.clock import now
from catalog.leases.notices import give_notices
from catalog.leases.projects import follow_projects
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

NOTICES = system("notices")


@shared_task(name="leases.notices")
def notices() -> dict[str, int]:
    """Bring forward what would outlive its project, then give the notices that are due."""
    at = now()
    report = {"brought_forward": follow_projects(at, actor=NOTICES), "given": give_notices(at, actor=NOTICES)}
    if any(report.values()):
        log.info("lease_notices", **report)
    return report
