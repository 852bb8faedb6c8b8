"""Do something to a service that stands, as its manifest describes it, and prove that it came out as promised."""

from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.orders import fulfilment
from catalog.orders.assignments import Assignment
from flows.tasks.taking_down import steps
from flows.tasks.work import GivenUp, Work, code_of, conduct, detail_of


@flow(name="operate")
def operate(order_id: UUID, attempt: int) -> State[Any]:
    """One attempt of an order that operates a service."""
    structlog.contextvars.bind_contextvars(order_id=str(order_id))
    return conduct(fulfilment, order_id, attempt, fulfilment.begin, _operate)


def _operate(work: Work, order: Assignment) -> str:
    result = work.play(steps(order, *order.operation), order)
    if not result.ok:
        raise GivenUp(
            code_of(result, failed="verify-failed" if result.step == "verify" else "operation-failed"),
            detail_of(result),
        )
    work.report(fulfilment.succeed_operate, outputs=result.outputs)
    return "operated"
