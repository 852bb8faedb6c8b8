"""Asking for approvals, and deciding: each person once, nobody on their own, for exactly what was shown."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from catalog.approvals import deciders, letters
from catalog.approvals.errors import (
    AlreadyDecided,
    ApprovalConflict,
    ApprovalExpired,
    ApprovalStale,
    NotWaitingForApproval,
    NotYourTurn,
    OwnApproval,
)
from catalog.approvals.explanations import reasons_of
from catalog.approvals.models import ApprovalRule, Decision, Outcome, Request
from catalog.approvals.rules import (
    Condition,
    CostsMoreThan,
    Demand,
    Does,
    Facts,
    HoldsData,
    InProduction,
    InZone,
    OfAffiliate,
    OfOffering,
    OfPlan,
    Rule,
    Step,
    demanded,
)
from catalog.approvals.terms import DECIDE_WITHIN, REMIND_AFTER
from catalog.audit.services import record
from catalog.common.errors import Forbidden, NotFound
from catalog.common.locks import lock_one
from catalog.instances.models import ServiceInstance
from catalog.pool.models import Zone
from catalog.tenancy.models import Project, User
from catalog.tenancy.policy import Action, Actor, can


def pure(row: ApprovalRule) -> Rule:
    """A rule of the table as a plain value."""
    asked: list[Condition] = []
    if row.tenant is not None:
        asked.append(OfAffiliate(row.tenant.slug))
    if row.offering is not None:
        asked.append(OfOffering(row.offering.slug))
    if row.plan is not None:
        asked.append(OfPlan(f"{row.plan.offering.slug}/{row.plan.slug}"))
    if row.zone is not None:
        asked.append(InZone(row.zone.slug))
    if row.price_over_krw is not None:
        asked.append(CostsMoreThan(row.price_over_krw))
    if row.data_class:
        asked.append(HoldsData(row.data_class))
    if row.deed:
        asked.append(Does(row.deed))
    if row.production is not None:
        asked.append(InProduction(row.production))
    steps = tuple(Step(each["who"], each["people"]) for each in row.steps)
    return Rule(row.name, tuple(asked), steps, row.priority)


@dataclass(frozen=True)
class Rulebook:
    """The rules in force, read once: what each of many things would need costs no further query."""

    rows: Sequence[ApprovalRule]
    rules: tuple[Rule, ...]

    def demand(self, facts: Facts, tenant_id: uuid.UUID | None) -> Demand:
        """What a thing with these facts needs. An open zone counts as every one that the affiliate may come to stand in."""
        zones = {
            row.zone.slug
            for row in self.rows
            if row.zone is not None and (row.zone.kind != Zone.Kind.LOCAL or row.zone.tenant_id == tenant_id)
        }
        return demanded(self.rules, facts, zones=sorted(zones), threshold=settings.APPROVAL_THRESHOLD_KRW)


def rulebook() -> Rulebook:
    """The rules in force now."""
    rows = list(ApprovalRule.objects.filter(active=True).select_related("tenant", "offering", "plan__offering", "zone"))
    return Rulebook(rows, tuple(pure(row) for row in rows))


def ask(
    actor: Actor,
    demand: Demand,
    *,
    subject_type: str,
    subject_id: uuid.UUID,
    project: Project,
    title: str,
    deed: str,
    content_hash: str,
    instance: ServiceInstance | None = None,
    now: datetime,
) -> Request:
    """Open a request for what ``demand`` demands, and tell those who decide first. In the caller's transaction.

    What is demanded is written down with it: a rule that changes meanwhile changes nothing.

    :param instance: the service it is about; who answers for it at the time does not decide.
    """
    request = Request.objects.create(
        subject_type=subject_type, subject_id=subject_id, tenant=project.tenant, project=project,
        requested_by_id=actor.user_id, instance=instance, title=title[:200],
        deed=deed, content_hash=content_hash, steps=[{"who": each.who, "people": each.people} for each in demand.steps],
        reasons=reasons_of(demand),
        who=demand.steps[0].who, opened_at=now, remind_at=now + REMIND_AFTER[0],
    )  # fmt: skip
    letters.tell(request, letters.ASKED, now=now)
    return request


def open_request(subject_type: str, subject_id: uuid.UUID) -> Request | None:
    """The request of this thing that waits, if one does."""
    return Request.objects.filter(subject_type=subject_type, subject_id=subject_id, closed_at__isnull=True).first()


@dataclass(frozen=True)
class Ruling:
    """What a decision came to.

    :param outcome: of the whole request; None: other levels or people have to follow.
    """

    decision: Decision
    outcome: str | None
    levels: int

    def said(self) -> dict[str, Any]:
        """For the record: who decided, for whom, on which level."""
        behalf = self.decision.on_behalf_of
        return {
            "verdict": self.decision.verdict,
            "level": self.decision.level,
            "of": self.levels,
            "on_behalf_of": behalf.get_username() if behalf is not None else None,
            "comment": self.decision.comment,
        }


def decide(
    actor: Actor,
    *,
    subject_type: str,
    subject_id: uuid.UUID,
    verdict: str,
    content_hash: str,
    shown: str,
    comment: str,
    now: datetime,
) -> Ruling:
    """One person agrees or refuses, on the level that decides now. A refusal ends the request, as does the last agreement.

    :param content_hash: of what the decider was shown; ``shown``: of what the thing is at this moment.
    :raises NotFound: the actor may not know of it.
    :raises Forbidden: they decide on no level of it; NotYourTurn: on a later one.
    :raises NotWaitingForApproval, OwnApproval, ApprovalConflict, AlreadyDecided, ApprovalExpired, ApprovalStale: nothing has
        changed.
    """
    with transaction.atomic():
        known = open_request(subject_type, subject_id)
        if known is None:
            raise NotWaitingForApproval()
        request = lock_one(Request, known.pk)
        if request.closed_at is not None:
            raise NotWaitingForApproval()
        voice = _voice(actor, request, now)
        if now > request.opened_at + DECIDE_WITHIN:
            raise ApprovalExpired()
        if content_hash != request.content_hash or shown != request.content_hash:
            raise ApprovalStale()
        decision = Decision.objects.create(
            request=request, level=request.level, verdict=verdict, content_hash=content_hash, decided_by_id=actor.user_id,
            on_behalf_of=voice.absent, decided_at=now, comment=comment[:500],
        )  # fmt: skip
        ruling = Ruling(decision, _settle(request, verdict, now), len(request.steps))
        record(
            actor, f"approval.{verdict}", subject_type=subject_type, subject_id=str(subject_id), now=now,
            tenant_id=request.tenant_id, after={**ruling.said(), "content_hash": content_hash},
        )  # fmt: skip
        return ruling


def _voice(actor: Actor, request: Request, now: datetime) -> deciders.Voice:
    """The voice with which the actor decides on the present level."""
    has, place = list(deciders.voices(actor, now=now)), (request.tenant_id, request.project_id)

    def with_a_voice(whos: Iterable[str]) -> list[deciders.Voice]:
        return [voice for voice in has if any(voice.speaks_for(who, *place) for who in whos)]

    demanded_of = [step.who for step in request.demanded]
    if not with_a_voice([*demanded_of, *deciders.kinds(request)]):
        raise Forbidden() if can(actor, Action.VIEW, *place) else NotFound()
    if actor.user_id in request.owners:
        raise OwnApproval()
    used = _used(request)
    if actor.user_id in used:
        raise AlreadyDecided()
    fits = with_a_voice(deciders.kinds(request))
    if not fits:
        raise NotYourTurn() if with_a_voice(demanded_of[request.level :]) else Forbidden()
    fresh = [voice for voice in fits if voice.absent is None or voice.absent.pk not in used]
    if not fresh:
        raise AlreadyDecided()
    others = _conflicts(request, now)
    if actor.user_id in others:
        raise ApprovalConflict()
    free = [each for each in fresh if each.absent is None or each.absent.pk not in others | request.owners]
    if not free:
        raise ApprovalConflict()
    return free[0]


def _used(request: Request) -> set[int]:
    pairs = request.decisions.values_list("decided_by", "on_behalf_of")
    return {each for pair in pairs for each in pair if each is not None}


def _conflicts(request: Request, now: datetime) -> set[int]:
    if request.requested_by_id is None:
        return set()
    return deciders.linked(request.requested_by_id, since=request.opened_at, now=now)


def _settle(request: Request, verdict: str, now: datetime) -> str | None:
    """Go to the next level, or close; what the request came to, or None."""
    if verdict == Decision.Verdict.REJECTED:
        _close(request, Outcome.REJECTED, now)
        return Outcome.REJECTED
    agreed = request.decisions.filter(level=request.level, verdict=Decision.Verdict.APPROVED).count()
    if agreed < request.demanded[request.level - 1].people:
        return None
    if request.level == len(request.steps):
        _close(request, Outcome.APPROVED, now)
        return Outcome.APPROVED
    request.level += 1
    request.who = request.demanded[request.level - 1].who
    request.save(update_fields=["level", "who"])
    letters.tell(request, letters.ASKED, now=now)
    return None


def _close(request: Request, outcome: Outcome, now: datetime) -> None:
    request.outcome, request.closed_at, request.remind_at = outcome, now, None
    request.save(update_fields=["outcome", "closed_at", "remind_at"])


def close(subject_type: str, subject_id: uuid.UUID, outcome: Outcome, *, now: datetime) -> None:
    """The thing was withdrawn, or its time is over: nobody has to decide any more. Nothing where nothing waits."""
    with transaction.atomic():
        known = open_request(subject_type, subject_id)
        if known is not None:
            request = lock_one(Request, known.pk)
            if request.closed_at is None:
                _close(request, outcome, now)


def remaining(request: Request, *, now: datetime) -> list[User]:
    """Who may decide on the present level now in their own name: nobody whose own it is, who is in conflict or has decided."""
    out = _used(request) | _conflicts(request, now) | request.owners
    found: dict[int, User] = {}
    for who in deciders.kinds(request):
        for person in deciders.people(who, request.tenant_id, request.project_id, now=now)[:100]:
            found.setdefault(person.pk, person)
    return [person for pk, person in found.items() if pk not in out]


def _levels_left(request: Request) -> list[list[str]]:
    """For the present level and each later one, the kinds of people who may decide on it."""
    return [deciders.kinds(request), *([step.who] for step in request.demanded[request.level :])]


def could_decide(actor: Actor, request: Request) -> bool:
    """Whether the actor's roles let them decide on the present level or on a later one."""
    place = request.tenant_id, request.project_id
    return any(deciders.may(actor, who, *place) for level in _levels_left(request) for who in level)


def left_to_nobody(request: Request, *but: int, now: datetime) -> bool:
    """Whether on the present level or on a later one nobody could decide but these people."""
    out = _used(request) | _conflicts(request, now) | request.owners | set(but)
    return not all(
        any(
            deciders.people(who, request.tenant_id, request.project_id, now=now).exclude(pk__in=out).exists()
            for who in level
        )
        for level in _levels_left(request)
    )
