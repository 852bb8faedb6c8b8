"""The outbox against a real Prefect server: sent once, judged truly, buried there first."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from catalog.common.clock import now
from catalog.common.errors import DomainError
from catalog.dispatch import services
from catalog.dispatch.errors import PrefectUnavailable
from catalog.dispatch.models import Job, JobState
from catalog.dispatch.prefect import Prefect
from tests.flows.engine import Engine
from tests.flows.plays import until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(Path(tmp_path_factory.mktemp("outbox"))) as running:
        yield running


@pytest.fixture
def prefect(engine: Engine, settings: Settings, db: None) -> Iterator[Prefect]:
    settings.PREFECT_API_URL = engine.url
    with engine.prefect() as connected:
        yield connected


def enqueue(zone: str = "zone-a", *, attempt: int = 1, subject: uuid.UUID | None = None, **kwargs: object) -> Job:
    return services.enqueue(
        flow="provision", subject_type="order", subject_id=subject or uuid.uuid4(), zone=zone, attempt=attempt,
        now=now(), **kwargs,  # type: ignore[arg-type]  # not_before
    )  # fmt: skip


def relayed(later: timedelta = timedelta(0)) -> None:
    """One job is sent; like the product's own relay again and again, because Prefect's SQLite is locked now and then."""
    assert until(lambda: services.relay(now() + later) == 1, 60)


def test_a_job_is_sent_once_however_often_it_is_relayed(prefect: Prefect) -> None:
    job = enqueue()
    relayed()
    job.refresh_from_db()
    assert job.state == JobState.SENT
    first = job.flow_run_id
    assert first is not None
    # As if the relay had died before it could mark the row.
    Job.objects.update(state=JobState.QUEUED, flow_run_id=None)
    relayed()
    job.refresh_from_db()
    assert job.flow_run_id == first
    assert services.relay(now()) == 0
    assert prefect.states([first])[first].type == "SCHEDULED"


def test_prefect_learns_ids_and_nothing_else(prefect: Prefect, engine: Engine) -> None:
    job = enqueue()
    relayed()
    job.refresh_from_db()
    run = prefect._call("GET", f"/flow_runs/{job.flow_run_id}").json()
    assert run["parameters"] == {"order_id": str(job.subject_id), "attempt": 1}
    assert run["idempotency_key"] == job.key == f"order:{job.subject_id}:provision:1"


def test_a_job_is_kept_back_until_its_time(prefect: Prefect) -> None:
    job = enqueue(not_before=now() + timedelta(minutes=5))
    assert services.relay(now()) == 0
    relayed(timedelta(minutes=5))
    job.refresh_from_db()
    assert job.state == JobState.SENT


def test_a_zone_without_deployment_does_not_hold_up_the_others(prefect: Prefect) -> None:
    lost, good = enqueue("zone-nowhere"), enqueue()
    relayed()
    lost.refresh_from_db()
    good.refresh_from_db()
    assert (lost.state, good.state) == (JobState.QUEUED, JobState.SENT)
    assert lost.send_failures >= 1


def test_with_prefect_down_jobs_wait(db: None, settings: Settings) -> None:
    settings.PREFECT_API_URL = "http://127.0.0.1:1/api"
    jobs = [enqueue(), enqueue()]
    assert services.relay(now()) == 0
    assert [Job.objects.get(pk=job.pk).state for job in jobs] == [JobState.QUEUED, JobState.QUEUED]
    with pytest.raises(PrefectUnavailable):
        services.workers_heard()


def test_a_newer_attempt_closes_the_older(db: None) -> None:
    first = enqueue()
    second = enqueue(attempt=2, subject=first.subject_id)
    first.refresh_from_db()
    assert (first.state, second.state) == (JobState.LOST, JobState.QUEUED)
    with pytest.raises(DomainError) as refusal:
        services.claim("order", first.subject_id, 1, None, now())
    assert refusal.value.code == "superseded"


class TestStale:
    def test_one_that_waits_for_a_worker_is_not_dead(self, prefect: Prefect, settings: Settings) -> None:
        enqueue()
        relayed()
        assert services.stale(now() + timedelta(hours=1)) == []

    @pytest.mark.parametrize("state", ["CRASHED", "CANCELLED"])
    def test_one_that_ended_without_a_word_is(self, prefect: Prefect, settings: Settings, state: str) -> None:
        job = enqueue()
        relayed()
        job.refresh_from_db()
        assert job.flow_run_id is not None
        prefect.end(job.flow_run_id, state, "test")
        soon = now() + timedelta(seconds=settings.PICKUP_SECONDS - 5)
        assert services.stale(soon) == []
        assert services.stale(soon + timedelta(seconds=10)) == [job]

    def test_one_that_prefect_has_forgotten_is(self, prefect: Prefect, settings: Settings) -> None:
        job = enqueue()
        relayed()
        Job.objects.update(flow_run_id=uuid.uuid4())
        assert services.stale(now() + timedelta(seconds=settings.PICKUP_SECONDS + 1)) == [job]

    def test_nothing_is_judged_while_prefect_is_down(self, prefect: Prefect, settings: Settings) -> None:
        enqueue()
        relayed()
        settings.PREFECT_API_URL = "http://127.0.0.1:1/api"
        with pytest.raises(PrefectUnavailable):
            services.stale(now() + timedelta(hours=1))


class TestBury:
    def test_prefect_is_told_first_and_the_run_may_not_write_any_more(self, prefect: Prefect) -> None:
        job = enqueue()
        relayed()
        job.refresh_from_db()
        assert job.flow_run_id is not None
        services.claim("order", job.subject_id, 1, job.flow_run_id, now())
        job.refresh_from_db()
        assert services.bury(job, now=now(), why="silent")
        assert prefect.states([job.flow_run_id])[job.flow_run_id].type == "CRASHED"
        with pytest.raises(DomainError) as refusal:
            services.beat("order", job.subject_id, 1, now())
        assert refusal.value.code == "superseded"
        assert not services.bury(job, now=now(), why="silent")

    def test_one_that_beat_meanwhile_is_spared(self, prefect: Prefect) -> None:
        job = enqueue()
        services.claim("order", job.subject_id, 1, None, now())
        job.refresh_from_db()
        services.beat("order", job.subject_id, 1, now() + timedelta(seconds=1))
        assert not services.bury(job, now=now(), why="silent")
        assert not services.beat("order", job.subject_id, 1, now()).cancel
