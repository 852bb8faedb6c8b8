"""Look for what is stuck: deadlines that passed, hosts left behind."""

import structlog
from prefect import flow

from catalog.common.clock import now
from catalog.orders.sweeps import stuck
from flows.tasks.outage import patiently

log = structlog.get_logger(__name__)


@flow(name="sweep")
def sweep(zone: str) -> dict[str, int]:
    """One look at everything; ``zone`` says which zone's worker does it. Returns how many of what were put right."""
    report = patiently(lambda: stuck(now()))
    log.info("swept", zone=zone, **report.counts)
    return report.counts
