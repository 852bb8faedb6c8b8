"""Take a service back: off its host, and proven gone."""

from typing import Any
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.schemas.objects import State

from catalog.orders import fulfilment
from catalog.orders.assignments import Assignment
from flows.tasks.taking_down import take_down
from flows.tasks.work import Work, conduct


@flow(name="decommission")
def decommission(order_id: UUID, attempt: int) -> State[Any]:
    """One attempt of a give-back order."""
    structlog.contextvars.bind_contextvars(order_id=str(order_id))
    return conduct(fulfilment, order_id, attempt, fulfilment.begin, _decommission)


def _decommission(work: Work, order: Assignment) -> str:
    residue = take_down(work, order, undoing=False)
    work.report(fulfilment.succeed_decommission, residue=residue)
    return "given back"
