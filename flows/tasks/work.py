"""One attempt of one flow, from its beginning to its report: what every flow that touches a machine has in common."""

import os
import traceback
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.db import connection
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from catalog.audit.gate import Happening
from catalog.common.clock import now
from catalog.common.errors import DomainError
from catalog.dispatch.errors import Superseded
from catalog.dispatch.services import Beat
from catalog.pool.targets import Part, Target
from flows.runner.events import Entry
from flows.runner.leftovers import reap
from flows.runner.redact import Redactor
from flows.runner.run import Play, Result, Status, Step, run
from flows.runner.workspace import BadTarget, Login, Seat, root
from flows.tasks.heartbeat import Heartbeat
from flows.tasks.outage import patiently
from flows.tasks.recorder import Recorder

UNDO_TIME = timedelta(minutes=10)
"""What taking down may take, also when the order's own deadline has passed."""

log = structlog.get_logger(__name__)


class Books(Protocol):
    """Where attempts report to: ``catalog.orders.fulfilment`` or ``catalog.reclaim.fulfilment``. All raise Superseded."""

    def beat(self, subject: uuid.UUID, attempt: int, /, now: datetime) -> Beat: ...

    def record(self, subject: uuid.UUID, attempt: int, /, entries: Sequence[Happening], now: datetime) -> None: ...

    def attempt_failed(self, subject: uuid.UUID, attempt: int, /, *, code: str, detail: str, now: datetime) -> None: ...


class AssignmentLike(Protocol):
    """What both kinds of assignment have."""

    @property
    def parts(self) -> Sequence[Part]: ...
    @property
    def values(self) -> dict[str, Any]: ...
    @property
    def deadline(self) -> datetime: ...


class Broken(Exception):
    """A flow came to an end it was not written for. Says no more than the error's type: Prefect keeps the text."""


class GivenUp(Exception):
    """This attempt cannot go on. ``code`` is stable; ``detail`` is for people, and redacted."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class Work:
    """An attempt under way: runs its playbooks, and reports.

    :param books: where it reports to.
    :param secrets: values that must show nowhere.
    """

    def __init__(
        self,
        books: Books,
        subject: uuid.UUID,
        attempt: int,
        *,
        heartbeat: Heartbeat,
        recorder: Recorder,
        secrets: Iterable[str],
    ) -> None:
        self.subject = subject
        self.attempt = attempt
        self._books = books
        self._heartbeat = heartbeat
        self._recorder = recorder
        self._secrets = tuple(secrets)

    def phase(self, name: str) -> None:
        """Tell the reader what comes next."""
        self._recorder.put(Entry("phase", {"phase": name}))

    def play(
        self,
        steps: Sequence[Step],
        assignment: AssignmentLike,
        *,
        target: Target | None = None,
        on_host: bool = True,
        undoing: bool = False,
    ) -> Result:
        """Run playbooks of this attempt, one after the other, up to the first that fails.

        :param target: the only host, if it is another than the assignment's (its key may have been learnt since).
        :param on_host: False: they work on this machine only, and the host may have no known key.
        :param undoing: taking down is not stopped by a wish to cancel, nor by the order's deadline, only by its own.
        :raises Superseded: another attempt has taken over while it ran.
        """
        began = now()
        deadline = max(assignment.deadline, began + UNDO_TIME) if undoing else assignment.deadline
        try:
            seats = [_seat(part, target or part.target) for part in assignment.parts] if on_host else []
        except BadTarget as error:
            return Result(Status.FAILED, message=f"The pool's entry of this host cannot be used: {error}.")
        # Between two playbooks the connection would only idle away, or break.
        connection.close()
        result = run(
            Play(
                run=f"{self.subject}:{self.attempt}",
                steps=steps,
                roles=settings.PLAYBOOKS_DIR / "roles",
                values=assignment.values,
                seats=seats,
                ssh_key=Path(settings.SSH_PRIVATE_KEY),
                deadline=deadline,
                secrets=self._secrets,
                modules=settings.STATE_DIR / "cache" / "modules",
            ),
            emit=self._recorder.put,
            stop=lambda: self._heartbeat.superseded or (self._heartbeat.cancel and not undoing),
            now=began,
        )
        log.info("playbook ended", step=result.step, status=result.status, task=result.task, seconds=result.seconds)
        if self._heartbeat.superseded:
            raise Superseded(subject=str(self.subject), attempt=self.attempt)
        if result.status is Status.CANCELLED and now() >= assignment.deadline:
            # The sweep asks whoever is late to stop: that is no wish of a person.
            return replace(result, status=Status.TIMEOUT, message="The deadline passed.")
        return result

    def report(self, call: Callable[..., Any], **facts: Any) -> Any:
        """Call a function of the books with this attempt, after everything seen so far is recorded; returns its answer."""
        self._recorder.flush()
        return patiently(lambda: call(self.subject, self.attempt, now=now(), **facts))

    def fail(self, code: str, detail: str) -> None:
        """Report that this attempt ended badly."""
        log.warning("attempt failed", code=code)
        self.report(self._books.attempt_failed, code=code, detail=detail)


def hosts_step(name: str) -> Step:
    """One of the playbooks on hosts as such, whatever is built on them."""
    return Step(name, settings.PLAYBOOKS_DIR / "hosts" / f"{name}.yml")


def code_of(result: Result, *, failed: str = "playbook-failed") -> str:
    """The stable code of a result that is not ok. ``failed``: what a failed task means here."""
    return {
        Status.UNREACHABLE: "host-unreachable",
        Status.CANCELLED: "cancelled",
        Status.TIMEOUT: "deadline-passed",
    }.get(result.status, failed)


def detail_of(result: Result) -> str:
    """What a person reads about a result that is not ok."""
    return f"{result.task}: {result.message}" if result.task else result.message


def conduct(
    books: Books,
    subject: uuid.UUID,
    attempt: int,
    begin: Callable[..., Any],
    body: Callable[[Work, Any], str],
) -> State[Any]:
    """Begin an attempt, do its work, and see to it that its end is reported, whatever the end is.

    :param begin: takes up the attempt; its answer is the assignment. Raises Superseded when there is nothing to take up.
    :param body: the work; returns in one word what came of it. Raises GivenUp or a DomainError when it cannot go on.
    """
    run_id = uuid.UUID(flow_run.id) if flow_run.id else None
    structlog.contextvars.bind_contextvars(attempt=attempt, flow_run_id=str(run_id) if run_id else None)
    log.info("attempt begins", pid=os.getpid())
    try:
        assignment = patiently(lambda: begin(subject, attempt, run_id, now()))
        # Processes of an earlier attempt must not work beside ours.
        reap(str(subject), before=attempt, root=root())
        outcome = _carry_out(books, subject, attempt, assignment, body)
    except Superseded:
        log.warning("superseded", attempt=attempt)
        return Completed(message="superseded")
    except GivenUp as end:
        return Failed(message=end.code)
    finally:
        connection.close()
    log.info("attempt ended", outcome=outcome)
    return Completed(message=outcome)


def _carry_out(
    books: Books, subject: uuid.UUID, attempt: int, assignment: Any, body: Callable[[Work, Any], str]
) -> str:
    secrets = getattr(assignment, "secrets", ())
    heartbeat = Heartbeat(lambda: books.beat(subject, attempt, now=now()))
    recorder = Recorder(lambda entries: books.record(subject, attempt, entries=entries, now=now()), heartbeat.lose)
    with heartbeat, recorder:
        work = Work(books, subject, attempt, heartbeat=heartbeat, recorder=recorder, secrets=secrets)
        try:
            return body(work, assignment)
        except (Superseded, Broken):
            raise
        except GivenUp as end:
            work.fail(end.code, end.detail)
            raise
        except DomainError as error:
            work.fail(error.code, str(error.detail))
            raise GivenUp(error.code, str(error.detail)) from error
        except Exception as error:  # noqa: BLE001  # nothing is hidden: it is logged, reported, and raised on
            # A fault of ours: it is logged in full, without secrets, and goes on as an error that holds none.
            log.error("flow broke", trace=Redactor(secrets).text(traceback.format_exc()))
            work.fail("flow-broken", type(error).__name__)
            raise Broken(type(error).__name__) from None
        except BaseException:
            # Prefect's signal that the process is to end: the next attempt need not wait until we are missed.
            work.fail("interrupted", "The worker was stopped while the run was under way.")
            raise


def _seat(part: Part, target: Target) -> Seat:
    login = Login(part.name, target.address, target.ssh_port, target.ssh_user, target.known_key)
    return Seat(login, part.groups, part.values)
