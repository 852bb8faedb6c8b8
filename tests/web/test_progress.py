"""What a reader sees of a run: each task once for each machine that has a part in it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from catalog.common.models import AbstractEvent
from catalog.orders.models import OrderEvent
from catalog.web.progress import steps
from tests.factories import NOW

IN_KOREAN = {"Start": "시작"}


def told(*tasks: tuple[str, str, str]) -> Iterable[AbstractEvent]:
    """Events of one step: host, task, status; a second between two."""
    yield OrderEvent(kind="phase", data={"phase": "provision"}, at=NOW)
    for number, (host, task, status) in enumerate(tasks, start=1):
        at: datetime = NOW + timedelta(seconds=number)
        data: dict[str, Any] = {"step": "provision", "task": task, "host": host, "status": status}
        if status != "started":
            data["seconds"] = 0.5
        yield OrderEvent(kind="task", data=data, at=at)


def seen(*tasks: tuple[str, str, str]) -> list[tuple[str, str, str, float | None]]:
    (step,) = steps(told(*tasks), IN_KOREAN)
    return [(task.host, task.name, task.status, task.seconds) for task in step.shown]


def test_tasks_of_one_machine() -> None:
    (step,) = steps(told(("a", "Start", "started"), ("a", "Start", "changed"), ("a", "Look", "skipped")), IN_KOREAN)
    assert not step.on_several
    assert [(task.name, task.status) for task in step.shown] == [("Start", "changed"), ("Look", "skipped")]


def test_several_machines_at_once_each_have_their_own_line() -> None:
    assert seen(
        ("a", "Start", "started"), ("b", "Start", "started"), ("b", "Start", "ok"), ("a", "Start", "changed"),
        ("a", "Copy", "skipped"), ("b", "Copy", "started"), ("b", "Copy", "failed"),
    ) == [
        ("a", "Start", "changed", 0.5), ("b", "Start", "ok", 0.5), ("b", "Copy", "failed", 0.5),
    ]  # fmt: skip


def test_a_task_that_says_nothing_at_its_end_ends_with_the_next_of_its_machine() -> None:
    assert seen(("a", "Include", "started"), ("b", "Wait", "started"), ("a", "Start", "started")) == [
        ("a", "Include", "ok", 2.0), ("b", "Wait", "started", None), ("a", "Start", "started", None),
    ]  # fmt: skip


def test_this_machine_beside_one_host_makes_not_several() -> None:
    (step,) = steps(told(("a", "Start", "ok"), ("localhost", "Try", "skipped")), IN_KOREAN)
    assert not step.on_several
    assert len(step.shown) == 2
