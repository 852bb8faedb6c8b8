"""From an accepted order to the first task of its playbook: one order on an idle system, and many at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import median

from tests.bench.figures import COMPARED, Comparison, percentile
from tests.bench.stage import Placed, Stage, empty_play
from tests.bench.table import render

ZONES = ("zone-a", "zone-b")
PLACERS = 8
"""Connections that place a burst of orders side by side."""

LEGS = (
    "accepted (201 returned) → relay takes the job up",
    "→ Prefect has scheduled the run",
    "→ the zone's worker has seen it",
    "→ the forked process has told Prefect that it runs",
    "→ the attempt has begun (host dirty, heartbeat on)",
    "→ ansible-runner is about to start",
    "→ first task has started",
)


def first_task(stage: Stage, *, orders: int, say: Callable[[str], None]) -> None:
    """One order after the other on an idle system, an empty ``ansible-playbook`` after each."""
    stage.ended(_placed(stage, 0))  # the first one of a fresh stack opens connections that later ones find open
    empty_play()
    seen = Comparison("order accepted → first task", "empty playbook", "p95 ≤ 2 s, aim: floor + 1 s")
    legs: list[list[float]] = []
    for number in range(orders):
        placed = _placed(stage, number)
        stage.ended(placed)
        at = stage.first_task(placed)
        seen.add(at - placed.accepted, empty_play())
        legs.append(_legs(stage, placed, at))
    say(render(COMPARED, [seen.cells()]))
    say("\nWhere it goes, median of the legs (stamps of the parts themselves; the first may lie before the answer):")
    whole = list(zip(*legs, strict=True))
    say(
        render(
            ["leg", "median", "p95"],
            [
                [name, f"{median(one):.2f} s", f"{percentile(one, 95):.2f} s"]
                for name, one in zip(LEGS, whole, strict=True)
            ],
        )
    )


def queued(stage: Stage, *, orders: int, say: Callable[[str], None]) -> None:
    """Many orders at once: how long until each one's first task, and until all are delivered."""
    began = time.time()
    with ThreadPoolExecutor(max_workers=PLACERS) as threads:
        placed = list(threads.map(lambda number: _placed(stage, number), range(orders)))
    accepted = time.time() - began
    for one in placed:
        stage.ended(one, within=60 + 20 * orders)
    waited = Comparison(f"order accepted → first task, {orders} at once", bar="none starves: see max")
    for one in placed:
        waited.add(stage.first_task(one) - one.accepted)
    delivered = max(stage.active(one) for one in placed) - began
    again = sum(
        attempts - 1
        for (attempts,) in stage.stack.rows(
            "SELECT attempt FROM orders_order WHERE id = ANY(%s)", [one.order for one in placed]
        )
    )
    say(render(COMPARED, [waited.cells()]))
    say(
        f"\n{orders} orders were accepted within {accepted:.1f} s and delivered within {delivered:.1f} s"
        f" ({60 * orders / delivered:.0f} a minute); {again} attempts had to be repeated."
    )


def _placed(stage: Stage, number: int) -> Placed:
    return stage.place("bench", "tiny", zone=ZONES[number % len(ZONES)])


def _legs(stage: Stage, placed: Placed, first: float) -> list[float]:
    """Seconds between the stamps that the parts left on the way."""
    [(sent, started)] = stage.stack.rows(
        "SELECT sent_at, started_at FROM dispatch_job WHERE subject_id = %s", placed.order
    )
    phase = stage.moment("SELECT min(at) FROM orders_orderevent WHERE order_id = %s AND kind = 'phase'", placed.order)
    run = stage.prefect_states(placed)
    stamps = [
        placed.accepted, sent.timestamp(), run["SCHEDULED"], run["PENDING"], run["RUNNING"], started.timestamp(), phase,
        first,
    ]  # fmt: skip
    return [later - earlier for earlier, later in pairwise(stamps)]
