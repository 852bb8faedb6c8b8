"""The worker of one zone: ``python -m flows.worker --zone zone-a [--limit N]``.

It takes runs from the work pool named like the zone and forks each from a process that has imported everything already.

Fallback without Prefect's private modules: deploy with ``python -m flows.deploy --zone zone-a --type process`` and start
``prefect worker start --pool zone-a --type process`` with the same environment and PYTHONPATH naming the directory that holds
``flows``. It does the same, about four seconds later per run.

SIGTERM and SIGINT end it in order: runs under way are told to stop, report that they were interrupted, and are taken up again by
the next worker. What has not stopped after ``STOP_SECONDS`` is ended by force: with Prefect away, a run would try for over a
minute to tell it. After a kill -9 the runs go on; what is left of runs that died as well is ended when a worker starts.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading

import structlog
from django.conf import settings
from prefect.context import AsyncClientContext

from flows.forked import ForkWorker, fork_server
from flows.runner.leftovers import reap_orphans
from flows.runner.workspace import root

log = structlog.get_logger(__name__)

STOP_SECONDS = 12.0
"""Less than what starts a worker waits before it ends it by force (``catalog.stack.parts``)."""


def main(arguments: list[str] | None = None) -> int:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m flows.worker", description="Runs the flows of one zone.")
    parser.add_argument("--zone", required=True, help="the zone, which is also the name of its work pool")
    parser.add_argument("--limit", type=int, default=None, help="how many runs at once (default: no limit)")
    given = parser.parse_args(arguments)
    if given.limit is not None and given.limit < 1:
        parser.error("--limit must be at least 1")
    # A shell's `&` and some supervisors start processes with SIGINT ignored, and Prefect turns SIGTERM into SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(settings.BASE_DIR)
    fork_server()
    reap_orphans(root=root())
    structlog.contextvars.bind_contextvars(zone=given.zone)
    log.info("worker starts", limit=given.limit)
    try:
        asyncio.run(_work(given.zone, given.limit))
    except KeyboardInterrupt:
        log.info("worker stops")
    return 0


async def _work(zone: str, limit: int | None) -> None:
    """Serve the pool. A signal cancels this task, so that Prefect's own order of shutting down is kept."""
    task = asyncio.current_task()
    assert task is not None  # called by asyncio.run

    def stop() -> None:
        force = threading.Timer(STOP_SECONDS, end_runs)
        force.daemon = True
        force.start()
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    worker = ForkWorker(
        work_pool_name=zone,
        name=f"{socket.gethostname()}-{os.getpid()}",
        limit=limit,
        heartbeat_interval_seconds=max(1, settings.WORKER_SILENT_SECONDS // 3),
    )
    try:
        # One client for the worker and all it watches over: each new one would hold the others up for 70 ms.
        async with AsyncClientContext():
            await worker.start(
                printer=lambda said: log.info("worker ready" if "started" in said else "worker gone", said=said)
            )
    except asyncio.CancelledError:
        log.info("worker stops")


def end_runs() -> None:
    """End every run of this worker by force, each with what it started in its process group."""
    for process in multiprocessing.active_children():
        log.warning("run ended by force", pid=process.pid)
        assert process.pid is not None  # they have started
        with contextlib.suppress(ProcessLookupError):  # it has no group of its own before its first line
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
