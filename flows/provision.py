"""Build what was ordered, prove that it works, and deliver it; or take away again what was built."""

from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.orders import fulfilment
from catalog.orders.assignments import Assignment
from catalog.orders.errors import CancelRequested
from flows.runner.run import Result, Status
from flows.tasks.taking_down import steps, take_down
from flows.tasks.work import GivenUp, Work, code_of, conduct, detail_of


@flow(name="provision")
def provision(order_id: UUID, attempt: int) -> State[Any]:
    """One attempt of a create order."""
    structlog.contextvars.bind_contextvars(order_id=str(order_id))
    return conduct(fulfilment, order_id, attempt, fulfilment.begin, _provision)


def _provision(work: Work, order: Assignment) -> str:
    if not order.undoing and _deliver(work, order):
        return "delivered"
    residue = take_down(work, order, undoing=True)
    work.report(fulfilment.undone, residue=residue)
    return "undone"


def _deliver(work: Work, order: Assignment) -> bool:
    """Build and verify. False: it must be undone, and the order knows why."""
    built = work.play(steps(order, "provision", "verify"), order)
    if not built.ok:
        return _undo(work, built, failed="verify-failed" if built.step == "verify" else "playbook-failed")
    try:
        work.report(fulfilment.succeed_create, outputs=built.outputs)
    except CancelRequested:
        work.report(fulfilment.enter_undo, code="cancelled", detail="Cancelled when the build had just ended.")
        return False
    return True


def _undo(work: Work, result: Result, *, failed: str) -> bool:
    code = code_of(result, failed=failed)
    if result.status is Status.UNREACHABLE:
        # Nothing can be undone there either; the host may be back for the next attempt.
        raise GivenUp(code, detail_of(result))
    work.report(fulfilment.enter_undo, code=code, detail=detail_of(result))
    return False
