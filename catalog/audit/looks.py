"""The record of privileged looks: who saw an affiliate's things only because of a role of the group.

One entry an hour for each person, thing and place they come from: who keeps a page open looks once. Reading the record itself is
such a look, for everybody.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from catalog.audit.models import AuditEntry
from catalog.audit.services import record
from catalog.tenancy.policy import Actor, privileged

ONCE = timedelta(hours=1)
MANY = "*"
"""The subject of a look at a list."""


def look(
    actor: Actor,
    kind: str,
    *,
    now: datetime,
    subject_id: str = MANY,
    tenant_id: uuid.UUID | None = None,
    project_id: uuid.UUID | None = None,
    via: str,
    asked: Mapping[str, Any] | None = None,
) -> None:
    """Record that the actor looks at something of an affiliate, unless a role of their own lets them.

    :param kind: what it is (``order``, ``instance``, …).
    :param tenant_id: whose it is; None with a list that goes over affiliates.
    :param via: the face: ``api``, ``portal`` or ``admin``.
    :param asked: by what a list was filtered; another filter is another look.
    """
    if not actor.is_system and privileged(actor, tenant_id, project_id):
        _once(actor, "look", kind, subject_id, tenant_id=tenant_id, now=now, said={"via": via, **_asked(asked)})


def look_at_list(actor: Actor, kind: str, *, now: datetime, sees_all: bool, via: str, asked: Any = None) -> None:
    """The same of a list. One that holds only what is the actor's own is not recorded."""
    if sees_all:
        look(actor, kind, now=now, via=via, asked=asked, subject_id=_subject(asked))


def read_record(actor: Actor, *, now: datetime, via: str, asked: Mapping[str, Any] | None = None) -> None:
    """Record that somebody reads the record."""
    _once(actor, "audit.read", "audit", _subject(asked), tenant_id=None, now=now, said={"via": via, **_asked(asked)})


def _asked(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"asked": {name: str(value) for name, value in asked.items()}} if asked else {}


def _subject(asked: Mapping[str, Any] | None) -> str:
    """``*``, and for a filter a name of its own, always the same."""
    if not asked:
        return MANY
    said = json.dumps(_asked(asked), sort_keys=True, ensure_ascii=False)
    return f"{MANY}{hashlib.sha256(said.encode()).hexdigest()[:40]}"


def _once(
    actor: Actor, action: str, kind: str, subject_id: str, *, tenant_id: uuid.UUID | None, now: datetime, said: Any
) -> None:
    seen = AuditEntry.objects.filter(
        subject_type=kind[:40], subject_id=subject_id, at__gt=now - ONCE, actor=actor.name, source=actor.source,
        action=action,
    )  # fmt: skip
    if not seen.exists():
        record(actor, action, subject_type=kind[:40], subject_id=subject_id, tenant_id=tenant_id, after=said, now=now)
