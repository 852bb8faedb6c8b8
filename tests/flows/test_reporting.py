"""What a run tells the catalog: heartbeats and entries, through outages, and no further once it is superseded."""

import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from catalog.audit.gate import Happening
from catalog.dispatch.errors import Superseded
from catalog.dispatch.services import Beat
from catalog.pool.targets import Target
from flows.runner.events import Entry
from flows.runner.run import Result, Status
from flows.tasks.heartbeat import Heartbeat
from flows.tasks.host_keys import answering, scan
from flows.tasks.outage import patiently
from flows.tasks.recorder import Recorder
from flows.tasks.taking_down import describe
from flows.tasks.work import code_of, detail_of
from tests.flows.conftest import HOST
from tests.flows.plays import until
from tests.rack.driver import Rack


class Answers:
    """A catalog that answers as it is told, one answer after another; the last one stays."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def beating() -> bool:
    """Whether a heartbeat's thread is alive."""
    return any(thread.name == "heartbeat" for thread in threading.enumerate())


def test_a_heartbeat_learns_of_a_wish_to_cancel() -> None:
    beat = Answers(Beat(cancel=False), Beat(cancel=True))
    with Heartbeat(beat, interval=0.02) as heart:
        assert until(lambda: heart.cancel, 5)
        assert not heart.superseded
    assert not beating()  # it ends with the block


def test_a_heartbeat_learns_that_another_attempt_has_taken_over_and_ends() -> None:
    beat = Answers(Beat(cancel=False), Superseded())
    with Heartbeat(beat, interval=0.02) as heart:
        assert until(lambda: not beating(), 5)
        assert heart.superseded
        assert beat.calls == 2


def test_a_heartbeat_outlives_an_outage_of_the_database() -> None:
    beat = Answers(OperationalError("gone"), OperationalError("gone"), Beat(cancel=True))
    with Heartbeat(beat, interval=0.02) as heart:
        assert until(lambda: heart.cancel, 5)


class Book:
    """Remembers what was written."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.batches: list[tuple[float, list[Happening]]] = []

    def __call__(self, entries: Sequence[Happening]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append((time.monotonic(), list(entries)))

    @property
    def entries(self) -> list[Happening]:
        return [entry for _, batch in self.batches for entry in batch]


def number(n: int) -> Entry:
    return Entry("task", {"n": n})


def test_entries_are_written_in_order_within_a_second_and_few_at_a_time() -> None:
    book = Book()
    with Recorder(book, lambda: None) as recorder:
        put = time.monotonic()
        for n in range(50):
            recorder.put(number(n))
        assert until(lambda: len(book.entries) == 50, 5)
        assert book.batches[0][0] - put < 1
    assert [entry.data["n"] for entry in book.entries] == list(range(50))
    assert len(book.batches) <= 3


def test_flush_waits_until_all_is_written() -> None:
    book = Book()
    with Recorder(book, lambda: None) as recorder:
        recorder.put(number(1))
        assert recorder.flush()
        assert book.entries == [Happening("task", {"n": 1})]


def test_entries_outlive_an_outage_of_the_database() -> None:
    book = Book(OperationalError("gone"), OperationalError("gone"))
    with Recorder(book, lambda: None) as recorder:
        recorder.put(number(1))
    assert book.entries == [Happening("task", {"n": 1})]


def test_a_superseded_run_records_nothing_more() -> None:
    book, lost = Book(Superseded()), threading.Event()
    with Recorder(book, lost.set) as recorder:
        recorder.put(number(1))
        assert recorder.flush()
        recorder.put(number(2))
    assert lost.is_set()
    assert book.entries == []


def test_a_report_outlives_an_outage_of_the_database() -> None:
    call = Answers(OperationalError("gone"), "done")
    assert patiently(call) == "done"
    assert call.calls == 2


def test_an_outage_that_does_not_end_is_told() -> None:
    with pytest.raises(OperationalError):
        patiently(Answers(OperationalError("gone")), patience=0.1)


def test_other_faults_come_through_at_once() -> None:
    call = Answers(IntegrityError("twice"), "never")
    with pytest.raises(IntegrityError):
        patiently(call)
    assert call.calls == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.UNREACHABLE, "host-unreachable"),
        (Status.FAILED, "verify-failed"),
        (Status.TIMEOUT, "deadline-passed"),
        (Status.CANCELLED, "cancelled"),
    ],
)
def test_each_end_has_its_code(status: Status, code: str) -> None:
    assert code_of(Result(status), failed="verify-failed") == code


def test_a_failed_task_is_named_in_the_detail() -> None:
    assert detail_of(Result(Status.FAILED, task="Start it", message="no port")) == "Start it: no port"
    assert detail_of(Result(Status.FAILED, message="no port")) == "no port"


def test_findings_are_told_ten_at_most() -> None:
    many = [{"kind": "users", "what": str(n)} for n in range(12)]
    assert describe({"findings": many[:2]}) == "users: 0; users: 1"
    assert describe({"findings": many}).endswith("users: 9; and 2 more")
    assert "nothing is proven" in describe(None)
    assert "nothing is proven" in describe({"clean": True})


def target(name: str, address: str, key: str, port: int = 22) -> Target:
    return Target(uuid.uuid4(), name, address, port, "ops", key)


@pytest.mark.rack
def test_hosts_are_known_by_their_keys_and_many_are_asked_at_once(flow_rack: Rack) -> None:
    place = flow_rack.inventory()[HOST]
    key = flow_rack.host_key(HOST)
    silent = place.address.rpartition(".")[0] + ".250"
    good = [target(f"good-{n}", place.address, key) for n in range(20)]
    other = target("other", place.address, flow_rack.host_key("zone-b-01"))
    nobody = target("nobody", silent, key)
    closed = target("closed", place.address, key, port=2)
    began = datetime.now(UTC)
    seen = answering([*good, other, nobody, closed])
    assert datetime.now(UTC) - began < timedelta(seconds=15)
    assert seen == {**dict.fromkeys(good, True), other: False, nobody: False, closed: False}
    assert scan(good[0]) == key
    assert scan(nobody, timeout=1) is None
