"""Erase a host as a whole, learn its new key, and prove that it is clean."""

from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.reclaim import fulfilment
from catalog.reclaim.fulfilment import HostAssignment
from flows.tasks.work import GivenUp, Work, code_of, conduct, detail_of, hosts_step


@flow(name="wipe")
def wipe(host_id: UUID, attempt: int) -> State[Any]:
    """One attempt to wipe a host and check it; goes on with the check where an earlier attempt had wiped already."""
    structlog.contextvars.bind_contextvars(host_id=str(host_id))
    return conduct(fulfilment, host_id, attempt, fulfilment.begin_wipe, _wipe)


def _wipe(work: Work, host: HostAssignment) -> str:
    if host.step == "wipe":
        host = _erase(work, host)
    checked = _play(work, "verify", host)
    clean = work.report(fulfilment.verified, verify=checked["verify"])
    return "clean" if clean else "quarantined"


def _erase(work: Work, host: HostAssignment) -> HostAssignment:
    """Let the driver of the hardware reinstall it; returns what to check. Its report names the key, learnt out of band."""
    report = _play(work, "wipe", host)["wipe"]
    following: HostAssignment = work.report(fulfilment.wiped, new_key=report["new_host_key"], evidence=report)
    return following


def _play(work: Work, step: str, host: HostAssignment) -> dict[str, Any]:
    result = work.play([hosts_step(step)], host, on_host=step != "wipe")
    if not result.ok:
        raise GivenUp(code_of(result), detail_of(result))
    return result.outputs
