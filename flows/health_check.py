"""Try services as their owners would, many at a time, and tell the catalog which answer as promised."""

import os
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import connection
from prefect import flow

from catalog.common.clock import now
from catalog.dispatch.selectors import sent_to
from catalog.health import services
from catalog.health.models import Outcome
from catalog.health.services import Check, Verdict
from catalog.health.words import BROKEN, HOST_SILENT, UNFINISHED
from catalog.offerings.services import folder_of
from flows.runner.events import Entry
from flows.runner.leftovers import reap_orphans
from flows.runner.run import Play, Status, Step, run
from flows.runner.workspace import root
from flows.tasks.host_keys import answering
from flows.tasks.outage import DOWN, patiently

AT_ONCE = 25
"""Services that share one start of Ansible. More would save little of that for each, and make all wait for the slowest."""

LONGEST_BATCH = timedelta(minutes=2)
"""Less than the claim lasts (``catalog.health.services.CLAIM``), with time to ask silent hosts."""

LONGEST_TASK = timedelta(seconds=60)
"""What a service's single task may take, tries included, before it is what holds the others up."""

LONGEST_RUN = timedelta(minutes=10)
"""After that the next scheduled run goes on."""

PATIENCE = 2.0
"""Seconds for which an order may wait for a worker before the checks give way to it."""

log = structlog.get_logger(__name__)


@flow(name="health_check")
def health_check(zone: str) -> dict[str, int]:
    """Check every service of ``zone`` whose time has come; returns how many were found how."""
    # Orders come first: a check takes what computing they leave.
    os.nice(10)
    reap_orphans(root=root())
    end, way, found = now() + LONGEST_RUN, Way(zone), dict.fromkeys(Outcome.values, 0)
    while now() < end and not way.asked and _some(zone, way, found):
        pass
    connection.close()
    log.info("services checked", zone=zone, gave_way=way.asked, **found)
    return found


def _some(zone: str, way: "Way", found: dict[str, int]) -> bool:
    """Check as many as share a run. False: none is due."""
    run_id = uuid4()
    checks = patiently(lambda: services.take(zone, run_id, now=now(), limit=AT_ONCE))
    try:
        for check, verdict in _tried(run_id, checks, way) if checks else ():
            seen = (run_id, check.instance_id, check.state_since, verdict)
            found[verdict.outcome.value] += patiently(partial(_report, *seen))
    finally:
        # What gave way, and everything left where this run is stopped in between.
        patiently(lambda: services.release(run_id, now=now()))
    return bool(checks)


def _report(run_id: UUID, instance_id: UUID, state_since: datetime, verdict: Verdict) -> bool:
    return services.report(run_id, instance_id, state_since, verdict, now=now())


class Way:
    """Whether an order waits for the worker of a zone and finds no place; a worker may be limited in how much it does at once."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._looked = self._free = time.monotonic()
        self.asked = False

    def __call__(self) -> bool:
        """Looks once a second, however often it is asked."""
        at = time.monotonic()
        if not self.asked and at - self._looked >= 1:
            self._looked = at
            try:
                waits = sent_to(self._zone)
            except DOWN:
                connection.close()
                waits = False
            if not waits:
                self._free = at
            self.asked = waits and at - self._free > PATIENCE
        return self.asked


class Watch:
    """What is seen of each service while its playbook is played: the task that failed, or that it is still at."""

    def __init__(self) -> None:
        self.failed: dict[str, Verdict] = {}
        self._at: dict[str, tuple[str, datetime]] = {}

    def __call__(self, entry: Entry) -> None:
        if entry.kind != "task":
            return
        host, task, status = (entry.data[name] for name in ("host", "task", "status"))
        self._at.pop(host, None)
        if status == "started":
            self._at[host] = (task, now())
        elif status in {"failed", "unreachable"}:
            self.failed[host] = Verdict(Outcome.FAILED, task, entry.data["message"] or "")

    def give_up(self, at: datetime) -> bool:
        """Those that are at one task for too long have failed; False: none is."""
        hanging = {host: task for host, (task, since) in self._at.items() if at - since >= LONGEST_TASK}
        said = f"It did not come to an end within {LONGEST_TASK.seconds} s."
        self.failed.update({host: Verdict(Outcome.FAILED, task, said) for host, task in hanging.items()})
        return bool(hanging)


def _tried(run_id: UUID, checks: Sequence[Check], way: Way) -> list[tuple[Check, Verdict]]:
    """The verdicts on these services, all of one version. There is none of what gave way, or was held up by another."""
    first, began, watch = checks[0], now(), Watch()
    folder = folder_of(first.version_id, settings.STATE_DIR / "cache" / "offerings")
    result = run(
        Play(
            run=f"{run_id}:1",
            steps=[Step("verify", folder / first.playbook)],
            roles=settings.PLAYBOOKS_DIR / "roles",
            values={},
            seats=[],
            ssh_key=Path(settings.SSH_PRIVATE_KEY),
            deadline=began + LONGEST_BATCH,
            secrets=[secret for check in checks for secret in check.secrets],
            modules=settings.STATE_DIR / "cache" / "modules",
            each={check.unit: check.values for check in checks},
        ),
        emit=watch,
        stop=way,
        now=began,
    )
    log.info("services tried", many=len(checks), status=result.status, seconds=result.seconds)
    held_up = result.status is Status.CANCELLED or (result.status is Status.TIMEOUT and watch.give_up(now()))
    failed = [check for check in checks if check.unit in watch.failed]
    # A service whose host is away has not failed: it cannot be seen.
    answers = answering({each for check in failed for each in check.targets})
    silent = {target for target, answered in answers.items() if not answered}
    verdicts: list[tuple[Check, Verdict]] = []
    for check in checks:
        if silent.intersection(check.targets):
            verdicts.append((check, Verdict(Outcome.UNKNOWN, code=HOST_SILENT)))
        elif check.unit in watch.failed:
            verdicts.append((check, watch.failed[check.unit]))
        elif check.unit in result.well:
            verdicts.append((check, Verdict(Outcome.HEALTHY)))
        elif not held_up:
            code = UNFINISHED if result.status is Status.TIMEOUT else BROKEN
            verdicts.append((check, Verdict(Outcome.UNKNOWN, code=code)))
    return services.doubted(verdicts)
