"""The one function that moves a thing from state to state, and the one that numbers its events."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import F

from catalog.audit.services import record
from catalog.common.errors import StateConflict
from catalog.common.models import AbstractEvent, Stateful
from catalog.common.states import StateTable
from catalog.tenancy.policy import Actor


@dataclass(frozen=True)
class Happening:
    """One thing that happened, before it has a number."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


def append_events(
    subject: Stateful,
    event_model: type[AbstractEvent],
    happenings: Sequence[Happening],
    *,
    actor: str,
    now: datetime,
    guard: models.Q | None = None,
) -> None:
    """Write the next events of ``subject``, numbered without a gap.

    Taking the numbers updates the subject's row, which serialises writers, so numbers become visible in their order and a
    reader that remembers the last one it saw misses nothing.

    :param guard: a condition the row must meet, for example the attempt a flow works for.
    :raises StateConflict: the row is gone or does not meet ``guard``; nothing was written.
    """
    if not happenings:
        return
    manager = type(subject)._default_manager
    with transaction.atomic():
        if not manager.filter(guard or models.Q(), pk=subject.pk).update(seq=F("seq") + len(happenings)):
            raise StateConflict(subject=str(subject.pk))
        subject.seq = manager.values_list("seq", flat=True).get(pk=subject.pk)
        first = subject.seq - len(happenings) + 1
        event_model._default_manager.bulk_create(
            event_model(
                **{event_model.subject_field: subject},
                seq=first + offset,
                at=now,
                kind=happening.kind,
                actor=actor,
                data=happening.data,
            )
            for offset, happening in enumerate(happenings)
        )


def move(
    subject: Stateful,
    to: str,
    *,
    table: StateTable,
    event_model: type[AbstractEvent],
    actor: Actor,
    now: datetime,
    tenant_id: uuid.UUID | None,
    data: dict[str, Any] | None = None,
    guard: models.Q | None = None,
    **changes: Any,
) -> None:
    """Move ``subject`` to ``to``: table checked, compare-and-set in the database, event row and audit entry, all or nothing.

    :param guard: a further condition the row must still meet, for example the attempt a flow works for.
    :param changes: other fields to set in the same statement.
    :raises StateConflict: the table forbids it, or somebody else moved the row first (nothing has changed).
    """
    frm: str = subject.state  # type: ignore[attr-defined]  # every Stateful model declares its own choices
    if not table.allows(frm, to):
        raise StateConflict(state=frm, wanted=to, subject=str(subject.pk))
    values: dict[str, Any] = {"state": to, "state_since": now, "deadline": table.deadline(to, now), **changes}
    with transaction.atomic():
        won = (
            type(subject)
            ._default_manager.filter(guard or models.Q(), models.Q(state=frm), pk=subject.pk)
            .update(**values)
        )
        if not won:
            raise StateConflict(state=frm, wanted=to, subject=str(subject.pk))
        for name, value in values.items():
            setattr(subject, name, value)
        append_events(
            subject,
            event_model,
            [Happening("state", {"from": frm, "to": to, **(data or {})})],
            actor=actor.name,
            now=now,
        )
        record(
            actor,
            f"{table.name}.{to}",
            subject_type=table.name,
            subject_id=str(subject.pk),
            tenant_id=tenant_id,
            before={"state": frm},
            after={"state": to, **(data or {})},
            now=now,
        )
