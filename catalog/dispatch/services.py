"""The outbox of runs, their heartbeats, and the fence between attempts.

A decision and the run it needs are written in one transaction; sending follows, as often as it takes. The key of a job makes
Prefect start it once, however often it is sent. A job's own row, not Prefect, says whether its run may still write.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from catalog.dispatch.errors import DeploymentMissing, PrefectUnavailable, Superseded
from catalog.dispatch.models import OPEN, Job, JobState
from catalog.dispatch.prefect import TERMINAL, Prefect
from catalog.dispatch.wake import nudge

log = structlog.get_logger(__name__)

_PARAMETER = {"order": "order_id", "host": "host_id"}


def enqueue(
    *,
    flow: str,
    subject_type: str,
    subject_id: uuid.UUID,
    zone: str,
    attempt: int,
    now: datetime,
    not_before: datetime | None = None,
) -> Job:
    """Ask for one attempt of a flow, in the caller's transaction. An open earlier attempt of the subject is closed first.

    :param subject_type: ``order`` or ``host``.
    :param not_before: earliest start; the relay keeps the job back until then.
    """
    Job.objects.filter(subject_type=subject_type, subject_id=subject_id, state__in=OPEN).update(
        state=JobState.LOST, ended_at=now, outcome=f"superseded by attempt {attempt}"
    )
    job = Job.objects.create(
        key=f"{subject_type}:{subject_id}:{flow}:{attempt}",
        flow=flow,
        zone=zone,
        subject_type=subject_type,
        subject_id=subject_id,
        attempt=attempt,
        created_at=now,
        not_before=not_before,
    )
    if not_before is None:
        transaction.on_commit(nudge)
    return job


def _current(subject_type: str, subject_id: uuid.UUID, attempt: int) -> Q:
    return Q(subject_type=subject_type, subject_id=subject_id, attempt=attempt)


def claim(subject_type: str, subject_id: uuid.UUID, attempt: int, flow_run_id: uuid.UUID | None, now: datetime) -> None:
    """A run begins its attempt. Each attempt is begun once.

    :raises Superseded: the attempt was begun before, is over, or never was.
    """
    waiting = Job.objects.filter(
        _current(subject_type, subject_id, attempt), state__in=(JobState.QUEUED, JobState.SENT)
    )
    values = {"state": JobState.RUNNING, "started_at": now, "heartbeat_at": now, "flow_run_id": flow_run_id}
    if not waiting.update(**values):
        raise Superseded(subject=str(subject_id), attempt=attempt)


@dataclass(frozen=True)
class Beat:
    """What a run learns when it renews its heartbeat."""

    cancel: bool


def beat(subject_type: str, subject_id: uuid.UUID, attempt: int, now: datetime) -> Beat:
    """Renew the heartbeat of a running attempt; runs call it every 2 s.

    :raises Superseded: the attempt is no longer the running one.
    """
    running = Job.objects.filter(_current(subject_type, subject_id, attempt), state=JobState.RUNNING)
    if not running.update(heartbeat_at=now):
        raise Superseded(subject=str(subject_id), attempt=attempt)
    asked = running.values_list("cancel_requested_at", flat=True).first()
    return Beat(cancel=asked is not None)


def finish(subject_type: str, subject_id: uuid.UUID, attempt: int, *, ok: bool, outcome: str, now: datetime) -> None:
    """Close a running attempt, in the transaction that writes its result.

    :raises Superseded: the attempt is no longer the running one; the caller's transaction must not commit.
    """
    closed = Job.objects.filter(_current(subject_type, subject_id, attempt), state=JobState.RUNNING).update(
        state=JobState.DONE if ok else JobState.FAILED, ended_at=now, outcome=outcome[:500]
    )
    if not closed:
        raise Superseded(subject=str(subject_id), attempt=attempt)


def withdraw(subject_type: str, subject_id: uuid.UUID, *, now: datetime) -> bool:
    """Take back an attempt that has not begun. False when there is none or it has begun."""
    waiting = Job.objects.filter(
        subject_type=subject_type, subject_id=subject_id, state__in=(JobState.QUEUED, JobState.SENT)
    )
    return bool(waiting.update(state=JobState.LOST, ended_at=now, outcome="withdrawn before it began"))


def request_cancel(subject_type: str, subject_id: uuid.UUID, *, now: datetime) -> bool:
    """Ask the running attempt to stop; it learns of it with its next heartbeat. False when none is running."""
    running = Job.objects.filter(subject_type=subject_type, subject_id=subject_id, state=JobState.RUNNING)
    return bool(running.update(cancel_requested_at=now))


def is_running(subject_type: str, subject_id: uuid.UUID) -> bool:
    """Whether an attempt for this subject is under way."""
    return Job.objects.filter(subject_type=subject_type, subject_id=subject_id, state=JobState.RUNNING).exists()


def ever_began(subject_type: str, subject_id: uuid.UUID) -> bool:
    """Whether any attempt for this subject has ever begun, that is, may have touched a host."""
    return Job.objects.filter(subject_type=subject_type, subject_id=subject_id, started_at__isnull=False).exists()


def relay(now: datetime, *, limit: int = 200) -> int:
    """Send waiting jobs to Prefect, oldest first; returns how many. Any number may run side by side.

    Two relays that meet on one job both send it, and Prefect answers both with the same run. No lock is held while Prefect
    thinks. When Prefect does not answer, the rest waits for the next time.
    """
    due = Job.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), state=JobState.QUEUED)
    jobs = list(due.order_by("created_at")[:limit])
    if not jobs:
        return 0
    sent = 0
    with Prefect() as prefect:
        for job in jobs:
            try:
                run = prefect.start(
                    f"{job.flow}/{job.zone}",
                    parameters={_PARAMETER[job.subject_type]: str(job.subject_id), "attempt": job.attempt},
                    key=job.key,
                    tags=[f"{job.subject_type}:{job.subject_id}", f"zone:{job.zone}"],
                )
            except DeploymentMissing as error:
                Job.objects.filter(pk=job.pk).update(send_failures=F("send_failures") + 1)
                log.error("job_not_deployed", job=job.key, detail=str(error), **error.context)
                continue
            except PrefectUnavailable as error:
                Job.objects.filter(pk=job.pk).update(send_failures=F("send_failures") + 1)
                log.warning("prefect_unavailable", job=job.key, waiting=len(jobs) - sent, **error.context)
                break
            sent += Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(
                state=JobState.SENT, sent_at=now, flow_run_id=run
            )
    return sent


def stale(now: datetime) -> list[Job]:
    """Open jobs whose run is dead: silent for too long, or ended in Prefect without having reported.

    A job that waits in Prefect for a worker is not dead, however long it waits.

    :raises PrefectUnavailable: Prefect cannot be asked; then nothing may be judged.
    """
    silent = Q(state=JobState.RUNNING, heartbeat_at__lt=now - timedelta(seconds=settings.HEARTBEAT_STALE_SECONDS))
    not_begun = Q(state=JobState.SENT, sent_at__lt=now - timedelta(seconds=settings.PICKUP_SECONDS))
    suspects = list(Job.objects.filter(silent | not_begun).order_by("created_at")[:500])
    waiting = [job for job in suspects if job.state == JobState.SENT and job.flow_run_id]
    if not waiting:
        return suspects
    with Prefect() as prefect:
        states = prefect.states(job.flow_run_id for job in waiting if job.flow_run_id)
    patience = timedelta(seconds=settings.PICKUP_SECONDS)
    dead: list[Job] = []
    for job in suspects:
        if job.state == JobState.RUNNING:
            dead.append(job)
            continue
        seen = states.get(job.flow_run_id) if job.flow_run_id else None
        if seen is None or seen.type in TERMINAL or (seen.type != "SCHEDULED" and now - seen.since > patience):
            dead.append(job)
    return dead


def bury(job: Job, *, now: datetime, why: str) -> bool:
    """End a dead run in Prefect first, then close its job; True when this call closed it.

    In this order a process that was only slow finds both doors shut before the next attempt opens.

    :raises PrefectUnavailable: Prefect cannot be told; the job stays open.
    """
    if job.flow_run_id:
        with Prefect() as prefect:
            prefect.end(job.flow_run_id, "CRASHED", why)
    closed = Job.objects.filter(pk=job.pk, state=job.state, heartbeat_at=job.heartbeat_at).update(
        state=JobState.LOST, ended_at=now, outcome=why[:500]
    )
    return bool(closed)


def workers_heard(*, timeout: float = 2.0) -> Mapping[str, datetime]:
    """Zone → when one of its workers was last heard of.

    :raises PrefectUnavailable: Prefect does not answer.
    """
    with Prefect(timeout=timeout) as prefect:
        return prefect.last_heartbeats()
