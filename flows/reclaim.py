"""Stop or give back every service whose lease has ended. The catalog decides which; this only looks often enough."""

import structlog
from prefect import flow

from catalog.common.clock import now
from catalog.orders.sweeps import reclaim_due
from flows.tasks.outage import patiently

log = structlog.get_logger(__name__)


@flow(name="reclaim")
def reclaim(zone: str) -> int:
    """One look at the leases of ``zone``; returns how many were acted on."""
    placed = patiently(lambda: reclaim_due(zone, now()))
    if placed:
        log.info("leases ended", zone=zone, acted_on=placed)
    return placed
