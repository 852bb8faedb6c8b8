"""Take a machine into the pool: learn its key, then read what it really is."""

from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.reclaim import fulfilment
from catalog.reclaim.fulfilment import HostAssignment
from flows.tasks.host_keys import scan
from flows.tasks.work import GivenUp, Work, code_of, conduct, detail_of, hosts_step


@flow(name="enrol")
def enrol(host_id: UUID, attempt: int) -> State[Any]:
    """One attempt to enrol a host."""
    structlog.contextvars.bind_contextvars(host_id=str(host_id))
    return conduct(fulfilment, host_id, attempt, fulfilment.begin_enrol, _enrol)


def _enrol(work: Work, host: HostAssignment) -> str:
    work.phase("learn-key")
    key = scan(host.target)
    if key is None:
        raise GivenUp("host-unreachable", f"No ssh server answers at {host.target.address}:{host.target.ssh_port}.")
    target = work.report(fulfilment.learn_key, public_key=key)
    if target.known_key != key:
        raise GivenUp("host-key-changed", "The host shows another key than the one learnt for it.")
    seen = work.play([hosts_step("inspect")], host, target=target)
    if not seen.ok:
        raise GivenUp(code_of(seen), detail_of(seen))
    what = {name: seen.outputs[name] for name in ("facts", "traits", "baseline")}
    work.report(fulfilment.finish_enrol, **what)
    return "enrolled"
