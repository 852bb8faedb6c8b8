"""See whether the hosts of a zone still answer, with the keys we know them by."""

from functools import partial

import structlog
from prefect import flow

from catalog.common.clock import now
from catalog.reclaim.fulfilment import report_check
from catalog.reclaim.services import check_targets
from flows.tasks.host_keys import answering
from flows.tasks.outage import patiently

log = structlog.get_logger(__name__)


@flow(name="host_check")
def host_check(zone: str) -> int:
    """One look at every host of ``zone`` that ought to answer; returns how many do not."""
    silent = 0
    for target, answered in answering(patiently(lambda: check_targets(zone))).items():
        silent += not answered
        patiently(partial(report_check, target.host_id, answered=answered, now=now()))
    log.info("hosts checked", zone=zone, silent=silent)
    return silent
