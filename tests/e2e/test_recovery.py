"""The plug is pulled in the middle of an order; it still ends as it should, without anyone's help."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.acts import Acts, redis_cli

pytestmark = [pytest.mark.stack, pytest.mark.rack]


def delivered_after(acts: Acts, order: dict[str, str]) -> None:
    """The order is fulfilled, what it delivered works, and the books balance."""
    service = acts.delivered("minji", order)
    assert redis_cli(service.access, "SET k 1\nGET k\n").stdout.split() == ["OK", "1"]
    acts.stack.books()
    acts.give_back("minji", service)


@pytest.mark.parametrize("part", ["web", "celery", "redis", "prefect", "worker-zone-a"])
def test_a_killed_part_does_not_lose_the_order(busy: Acts, part: str) -> None:
    order = busy.order("minji", "redis")
    busy.first_task("minji", order)
    busy.stack.kill(part)
    delivered_after(busy, order)


@pytest.mark.long
def test_a_worker_killed_together_with_its_run_is_followed_by_another_attempt(acts: Acts) -> None:
    order = acts.order("minji", "redis")
    acts.first_task("minji", order)
    runs = runs_of(order["id"])
    assert runs
    acts.stack.kill("worker-zone-a")
    for pid in runs:
        with contextlib.suppress(ProcessLookupError):  # a child may go with its parent
            os.kill(pid, signal.SIGKILL)
    delivered_after(acts, order)
    assert acts.stack.a.get(f"/orders/{order['id']}")["attempt"] >= 2


@pytest.mark.long
def test_an_order_placed_while_redis_is_down_is_accepted_at_once(acts: Acts) -> None:
    os.kill(acts.stack.pid("redis"), signal.SIGSTOP)
    os.kill(acts.stack.pid("redis"), signal.SIGKILL)
    began = time.monotonic()
    order = acts.order("minji", "redis")
    assert time.monotonic() - began < 5
    delivered_after(acts, order)


def runs_of(order_id: str) -> list[int]:
    """The processes that carry out an order: those whose environment names it, and the flow's own that started them."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            if (
                f"PUMASI_RUN={order_id}:".encode() in environ
                and b"ansible-playbook" in (entry / "cmdline").read_bytes()
            ):
                found.add(int(entry.name))
                found.add(int((entry / "stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return sorted(pid for pid in found if pid > 1)
