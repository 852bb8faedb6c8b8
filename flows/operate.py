"""Do something to a service that stands, as its manifest describes it, and prove that it came out as promised."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.orders import fulfilment
from catalog.orders.assignments import Assignment
from catalog.pool.targets import Part
from flows.runner.redact import Redactor
from flows.runner.run import Status
from flows.tasks.taking_down import steps
from flows.tasks.work import GivenUp, Work, code_of, conduct, detail_of


@flow(name="operate")
def operate(order_id: UUID, attempt: int) -> State[Any]:
    """One attempt of an order that operates a service."""
    structlog.contextvars.bind_contextvars(order_id=str(order_id))
    return conduct(fulfilment, order_id, attempt, fulfilment.begin, _operate)


def _operate(work: Work, order: Assignment) -> str:
    result = work.play(steps(order, *order.operation), order)
    if result.ok:
        # A host's journal may repeat what a client sent it.
        work.report(fulfilment.succeed_operate, outputs=Redactor(order.secrets).value(result.outputs))
        return "operated"
    code = code_of(result, failed="verify-failed" if result.step == "verify" else "operation-failed")
    if order.before is None or result.status is Status.UNREACHABLE:
        raise GivenUp(code, detail_of(result))
    return _put_back(work, order, order.before, code=code, detail=detail_of(result))


def _put_back(work: Work, order: Assignment, before: tuple[Part, ...], *, code: str, detail: str) -> str:
    """Do the same with the settings from before. GivenUp: another attempt is needed, which tries the new ones again."""
    work.phase("put-back")
    back = work.play(steps(order, *order.operation), replace(order, parts=before), undoing=True)
    if not back.ok:
        raise GivenUp(code, f"{detail} The former settings could not be put back: {detail_of(back)}")
    work.report(fulfilment.put_back, code=code, detail=detail)
    return "put back"
