"""What the host flows report: every write carries its attempt, and an earlier attempt's is refused with Superseded."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.common.errors import StateConflict
from catalog.common.isolation import Isolation
from catalog.common.locks import lock_one
from catalog.dispatch import services as dispatch
from catalog.dispatch.errors import Superseded
from catalog.dispatch.services import Beat
from catalog.instances.models import ServiceInstance
from catalog.instances.services import units_of
from catalog.ipam import names
from catalog.pool import services as pool
from catalog.pool.errors import BaselineMissing
from catalog.pool.models import Host, HostEvent
from catalog.pool.states import HOST, HostState
from catalog.pool.targets import Part, Target, target_of
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

FLOW = system("flow")
_FIRST_BACKOFF = timedelta(seconds=5)


@dataclass(frozen=True)
class HostAssignment:
    """What a host flow is to do.

    :param step: ``inspect``, ``wipe`` or ``verify``.
    :param values: the document its playbooks read.
    :param deadline: when the host must have left its state.
    :param secrets: values that must appear in no event and no log.
    """

    host_id: uuid.UUID
    attempt: int
    step: str
    zone: str
    target: Target
    values: dict[str, Any]
    deadline: datetime
    secrets: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The host alone."""
        return (Part(self.target.name, (), self.target, self.values),)


def _locked(host_id: uuid.UUID, attempt: int) -> Host:
    """The host, locked, if ``attempt`` is its newest. Raises Superseded."""
    host = Host.objects.filter(pk=host_id, attempt=attempt).first()
    if host is None:
        raise Superseded(host=str(host_id), attempt=attempt)
    held = lock_one(Host, host_id)
    if held.attempt != attempt:
        raise Superseded(host=str(host_id), attempt=attempt)
    return held


def _assignment(host: Host, step: str, known_key: str, now: datetime) -> HostAssignment:
    values: dict[str, Any] = {
        "run": {"id": f"{host.pk}:{host.attempt}", "subject": str(host.pk), "attempt": host.attempt},
        "host": {"name": host.name, "zone": host.zone.slug, "address": str(host.address)},
        "driver": {"name": host.zone.wipe_driver, **host.zone.driver_options},
        "tenant_words": _words_of_holders(host),
    }
    secrets: tuple[str, ...] = ()
    if step == "verify":
        values["baseline"] = pool.baseline_document(host)
    elif step == "wipe" and (left := names.names_at(host)) and (server := names.name_server(host.zone)):
        # Where a give-back did not get that far: whoever gets the host must not be found by the last holder's names.
        values |= {"names": left, "dns": server}
        secrets = (server["key"]["secret"],)
    deadline = host.deadline or now + HOST.deadlines[HostState.WIPING]
    target = target_of(host, known_key)
    return HostAssignment(host.pk, host.attempt, step, host.zone.slug, target, values, deadline, secrets)


def _last_here(host: Host) -> "QuerySet[ServiceInstance]":
    """The services of the host's last life: those claimed on it that were not gone when it was last certified."""
    certified = host.certificates.order_by("-issued_at").values_list("issued_at", flat=True).first()
    ours = Q(allocations__host=host)
    if certified is not None:
        ours &= Q(allocations__released_at__isnull=True) | Q(allocations__released_at__gt=certified)
    return ServiceInstance.objects.filter(ours).distinct()


def _words_of_holders(host: Host) -> list[str]:
    """Words that only a service of this host's last life can have left behind: units, ids, generated user names."""
    words: set[str] = set()
    for instance in _last_here(host).prefetch_related("bindings", "endpoints"):
        words |= units_of(instance, [each.member for each in instance.endpoints.all()]) | {str(instance.pk)}
        words |= {binding.public["username"] for binding in instance.bindings.all() if "username" in binding.public}
    return sorted(words)


def beat(host_id: uuid.UUID, attempt: int, now: datetime) -> Beat:
    """Renew the heartbeat. Raises Superseded."""
    return dispatch.beat("host", host_id, attempt, now)


def record(host_id: uuid.UUID, attempt: int, entries: Sequence[Happening], now: datetime) -> None:
    """Append what the run saw, redacted already. Raises Superseded."""
    try:
        append_events(Host(pk=host_id), HostEvent, entries, actor=FLOW.name, now=now, guard=Q(attempt=attempt))
    except StateConflict as error:
        raise Superseded(host=str(host_id), attempt=attempt) from error


def begin_enrol(host_id: uuid.UUID, attempt: int, flow_run_id: uuid.UUID | None, now: datetime) -> HostAssignment:
    """Begin inspecting. Raises Superseded."""
    with transaction.atomic():
        host = _locked(host_id, attempt)
        if host.state != HostState.INSPECTING:
            raise Superseded(host=str(host_id), attempt=attempt, state=host.state)
        dispatch.claim("host", host_id, attempt, flow_run_id, now)
        known = host.keys.filter(generation=host.generation).values_list("public_key", flat=True).first()
        return _assignment(host, "inspect", known or "", now)


def learn_key(host_id: uuid.UUID, attempt: int, public_key: str, now: datetime) -> Target:
    """Pin the key that the host showed at enrolment; a host enrolled again must show the pinned one.

    :raises Superseded: another attempt has taken over.
    :raises HostKeyReused: the key belongs to an earlier life of this host.
    """
    with transaction.atomic():
        host = _locked(host_id, attempt)
        known = host.keys.filter(generation=host.generation).values_list("public_key", flat=True).first()
        if known is None:
            pool.learn_key(host, public_key=public_key, learnt_by="enrolment", now=now)
            known = public_key
        return target_of(host, known)


def finish_enrol(
    host_id: uuid.UUID,
    attempt: int,
    *,
    facts: dict[str, Any],
    traits: list[str],
    baseline: dict[str, Any],
    now: datetime,
) -> None:
    """Take the inspected host into the pool: its inventory, its baseline, and the certificate that it came fresh."""
    with transaction.atomic():
        host = _locked(host_id, attempt)
        pool.record_inspection(host, facts=facts, traits=traits, baseline=baseline, now=now, actor=FLOW)
        if not host.certificates.filter(generation=host.generation).exists():
            host.refresh_from_db()
            evidence = {"facts": facts, "baseline": host.baseline.digest if host.baseline else ""}
            pool.issue_certificate(
                host, method="enrolment", evidence=evidence, previous_holder=None, now=now, actor=FLOW
            )
        pool.move_host(
            host, HostState.AVAILABLE, actor=FLOW, now=now, reason="", proven_clean=True, tries=0, failure_code=""
        )
        dispatch.finish("host", host_id, attempt, ok=True, outcome="enrolled", now=now)


def begin_wipe(host_id: uuid.UUID, attempt: int, flow_run_id: uuid.UUID | None, now: datetime) -> HostAssignment:
    """Begin wiping, or go on with the check where an earlier attempt had wiped already. Raises Superseded."""
    with transaction.atomic():
        host = _locked(host_id, attempt)
        if host.state not in {HostState.DRAINING, HostState.WIPING, HostState.VERIFYING}:
            raise Superseded(host=str(host_id), attempt=attempt, state=host.state)
        dispatch.claim("host", host_id, attempt, flow_run_id, now)
        if host.state == HostState.DRAINING:
            pool.move_host(host, HostState.WIPING, actor=FLOW, now=now)
        if host.state == HostState.VERIFYING:
            return _assignment(host, "verify", pool.known_key(host).public_key, now)
        return _assignment(host, "wipe", "", now)


def wiped(host_id: uuid.UUID, attempt: int, *, new_key: str, evidence: dict[str, Any], now: datetime) -> HostAssignment:
    """The driver says it is done: a new life begins, with a new key; now it has to be checked.

    :raises Superseded: another attempt has taken over.
    :raises HostKeyReused: the host still has a key of an earlier life, so it was not reinstalled.
    """
    with transaction.atomic():
        host = _locked(host_id, attempt)
        pool.move_host(
            host,
            HostState.VERIFYING,
            actor=FLOW,
            now=now,
            data={"wipe": evidence},
            generation=host.generation + 1,
            proven_clean=False,
        )
        pool.learn_key(host, public_key=new_key, learnt_by="wipe", now=now)
        return _assignment(host, "verify", new_key, now)


def verified(host_id: uuid.UUID, attempt: int, *, verify: dict[str, Any], now: datetime) -> bool:
    """The check has looked: a clean host gets its certificate and is available, any other is quarantined. Raises Superseded."""
    with transaction.atomic():
        host = _locked(host_id, attempt)
        if verify["clean"] is not True or verify["findings"]:
            pool.move_host(
                host,
                HostState.QUARANTINED,
                actor=FLOW,
                now=now,
                reason=_("The check after the wipe found residues; see the evidence."),
                data={"verify": verify},
                failure_code="residue-found",
            )
            dispatch.finish("host", host_id, attempt, ok=False, outcome="residue-found", now=now)
            return False
        last_wipe = (
            host.events.filter(kind="state", data__to=HostState.VERIFYING)
            .order_by("-seq")
            .values_list("data", flat=True)
        ).first()
        evidence = {"wipe": (last_wipe or {}).get("wipe", {}), "verify": verify}
        if host.sharing == Isolation.GROUP:
            evidence["shared_by"] = sorted(set(_last_here(host).order_by().values_list("tenant__slug", flat=True)))
        pool.issue_certificate(
            host,
            method=str((last_wipe or {}).get("wipe", {}).get("method", "unknown")),
            evidence=evidence,
            previous_holder=host.holder,
            now=now,
            actor=FLOW,
        )
        pool.move_host(
            host,
            HostState.AVAILABLE,
            actor=FLOW,
            now=now,
            reason="",
            proven_clean=True,
            tries=0,
            failure_code="",
            failed_checks=0,
            last_seen_at=now,
            **pool.NOBODYS,
        )
        dispatch.finish("host", host_id, attempt, ok=True, outcome="clean", now=now)
        return True


def attempt_failed(host_id: uuid.UUID, attempt: int, *, code: str, detail: str, now: datetime) -> None:
    """This attempt ended badly: another follows after a growing pause, and when they are used up the host is set aside.

    A wipe that cannot be carried out or proven ends in quarantine; an inspection leaves the host enrolled. Raises Superseded.
    """
    with transaction.atomic():
        host = _locked(host_id, attempt)
        dispatch.finish("host", host_id, attempt, ok=False, outcome=code, now=now)
        _next_or_set_aside(host, code=code, detail=detail, now=now)


def reopen(host_id: uuid.UUID, attempt: int, *, now: datetime) -> None:
    """The run of this attempt died without a word; go on with the next. Nothing happens when another is under way."""
    with transaction.atomic():
        held = lock_one(Host, host_id)
        if held.attempt == attempt:
            _next_or_set_aside(held, code="run-lost", detail=_("The run ended without reporting."), now=now)


def _next_or_set_aside(host: Host, *, code: str, detail: str, now: datetime) -> None:
    enrolling = host.state == HostState.INSPECTING
    if host.state not in {HostState.INSPECTING, HostState.DRAINING, HostState.WIPING, HostState.VERIFYING}:
        return
    append_events(host, HostEvent, [Happening("problem", {"code": code, "detail": detail})], actor=FLOW.name, now=now)
    final = code == BaselineMissing.code or host.tries >= settings.WIPE_ATTEMPTS
    if enrolling and (final or code == "host-unreachable"):
        pool.move_host(host, HostState.ENROLLED, actor=FLOW, now=now, reason=detail[:500], failure_code=code, tries=0)
        return
    if final:
        pool.move_host(host, HostState.QUARANTINED, actor=FLOW, now=now, reason=detail[:500], failure_code=code)
        return
    Host.objects.filter(pk=host.pk).update(attempt=host.attempt + 1, tries=host.tries + 1)
    dispatch.enqueue(
        flow="enrol" if enrolling else "wipe",
        subject_type="host",
        subject_id=host.pk,
        zone=host.zone.slug,
        attempt=host.attempt + 1,
        now=now,
        not_before=now + _FIRST_BACKOFF * 2 ** (host.tries - 1) if host.tries else None,
    )


def report_check(host_id: uuid.UUID, *, answered: bool, now: datetime) -> None:
    """What the regular check saw: a host that stops answering is noticed, and so is its return."""
    with transaction.atomic():
        host = lock_one(Host, host_id)
        if answered:
            pool.seen(host, now=now, actor=FLOW)
        else:
            pool.unanswered(host, now=now, actor=FLOW)
