"""Tell Prefect what there is to run: ``python -m flows.deploy --zone zone-a --zone zone-b``. Running it again changes nothing.

Each zone gets a work pool of its name, and each flow a deployment ``<flow>/<zone>``; the sweeps also get their schedules. A
sweep that is still running when the next is due makes that one unnecessary: the worker takes up one at a time.
"""

import argparse
import re
import sys

import structlog
from django.conf import settings
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.forked import FLOWS, ForkWorker, flow_of

ZONE = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")

log = structlog.get_logger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Create or update pools and deployments of the named zones."""
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description="Makes Prefect know our flows.")
    parser.add_argument("--zone", action="append", required=True, help="a zone; may be given several times")
    parser.add_argument("--type", choices=("pumasi-fork", "process"), default="pumasi-fork", help="the kind of worker")
    given = parser.parse_args(arguments)
    for zone in given.zone:
        if not ZONE.match(zone):
            parser.error(f"{zone!r} is not the name of a zone")
    with get_client(sync_client=True) as client:
        for zone in given.zone:
            _pool(client, zone, given.type)
            _deployments(zone)
            log.info("zone deployed", zone=zone, flows=len(FLOWS))
    return 0


def _pool(client: SyncPrefectClient, zone: str, kind: str) -> None:
    template = (ForkWorker if kind == "pumasi-fork" else ProcessWorker).get_default_base_job_template()
    try:
        client.create_work_pool(WorkPoolCreate(name=zone, type=kind, base_job_template=template))
    except ObjectAlreadyExists:
        client.update_work_pool(zone, WorkPoolUpdate(base_job_template=template))


def _deployments(zone: str) -> None:
    # Every zone's workers sweep everything: one zone without a worker must not leave the others unswept.
    every = {
        "reclaim": settings.RECLAIM_SECONDS,
        "host_check": settings.HOST_CHECK_SECONDS,
        "sweep": settings.SWEEP_SECONDS,
        "health_check": settings.HEALTH_LOOK_SECONDS,
    }
    for name in FLOWS:
        deployment = RunnerDeployment.from_flow(
            flow_of(f"flows.{name}.{name}"),
            name=zone,
            work_pool_name=zone,
            parameters={"zone": zone} if name in every else {},
            interval=every.get(name),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment.apply()


if __name__ == "__main__":
    sys.exit(main())
