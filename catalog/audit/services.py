"""Writing the record, sealing it into a chain, and checking the chain."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from catalog.audit.models import AuditEntry
from catalog.common import crypto
from catalog.common.locks import advisory_lock
from catalog.tenancy.policy import Actor

_CHAIN_LOCK = 0x70756D61
_DIGEST_LENGTH = 64
_HEAD = "audit-head"


def record(
    actor: Actor,
    action: str,
    *,
    subject_type: str,
    subject_id: str,
    now: datetime,
    tenant_id: uuid.UUID | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Write one entry, in the caller's transaction. Never put a secret into ``before`` or ``after``."""
    return AuditEntry.objects.create(
        at=now, actor=actor.name, source=actor.source, action=action, subject_type=subject_type,
        subject_id=subject_id, tenant_id=tenant_id, before=before or {}, after=after or {},
    )  # fmt: skip


def digest_of(entry: AuditEntry) -> str:
    """SHA-256 over the canonical JSON of everything the entry says, its place in the chain, and the previous digest."""
    said = {
        "id": entry.pk,
        "at": entry.at.astimezone(UTC).isoformat(),
        "actor": entry.actor,
        "source": entry.source,
        "action": entry.action,
        "subject": [entry.subject_type, entry.subject_id],
        "tenant": str(entry.tenant_id) if entry.tenant_id else None,
        "before": entry.before,
        "after": entry.after,
        "chain": [str(entry.chain_day), entry.chain_seq],
        "previous": entry.previous,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def seal(now: datetime, *, limit: int = 2000) -> int:
    """Chain the entries that are not chained yet, onto the chain of the day ``now`` falls in; returns how many."""
    with transaction.atomic():
        if not advisory_lock(_CHAIN_LOCK):
            return 0
        pending = list(AuditEntry.objects.filter(chain_seq__isnull=True).order_by("id")[:limit])
        if not pending:
            return 0
        last = AuditEntry.objects.filter(chain_seq__isnull=False).order_by("-chain_day", "-chain_seq").first()
        # A clock that stepped back must not open an earlier day's chain again.
        day = max(now.astimezone(UTC).date(), last.chain_day or date.min) if last else now.astimezone(UTC).date()
        seq = last.chain_seq or 0 if last and last.chain_day == day else 0
        previous = last.digest if last else ""
        for entry in pending:
            seq += 1
            entry.chain_day, entry.chain_seq, entry.previous = day, seq, previous
            entry.digest = previous = digest_of(entry)
        AuditEntry.objects.bulk_update(pending, ["chain_day", "chain_seq", "previous", "digest"])
    return len(pending)


@dataclass(frozen=True)
class Breach:
    """Where the chain does not hold."""

    day: date
    seq: int
    what: str


def verify() -> list[Breach]:
    """Walk the whole chain; every changed, removed or inserted entry shows as a breach. Unsealed entries are not judged."""
    breaches: list[Breach] = []
    previous, day, seq = "", date.min, 0
    chained = AuditEntry.objects.filter(chain_seq__isnull=False).order_by("chain_day", "chain_seq")
    for entry in chained.iterator(chunk_size=2000):
        assert entry.chain_day is not None and entry.chain_seq is not None
        if entry.chain_day != day:
            day, seq = entry.chain_day, 0
        if entry.chain_seq != seq + 1:
            breaches.append(
                Breach(day, seq + 1, f"{entry.chain_seq - seq - 1} entries are missing before {entry.chain_seq}")
            )
        if entry.previous != previous:
            breaches.append(Breach(day, entry.chain_seq, "does not continue the entry before it"))
        if entry.digest != digest_of(entry):
            breaches.append(Breach(day, entry.chain_seq, "was changed after it was sealed"))
        seq, previous = entry.chain_seq, entry.digest
    return breaches


def head() -> tuple[date, int, str] | None:
    """The last link (day, number, digest), to be kept elsewhere: it proves that nothing was cut off the end."""
    day = AuditEntry.objects.aggregate(day=Max("chain_day"))["day"]
    if day is None:
        return None
    entry = AuditEntry.objects.filter(chain_day=day).order_by("-chain_seq").first()
    assert entry is not None and entry.chain_seq is not None
    return day, entry.chain_seq, entry.digest


def export_head(now: datetime) -> dict[str, Any] | None:
    """The last link as a document that this installation signs: day, number, digest, when it was taken; None: no chain yet.

    Kept elsewhere, it proves later that nothing up to it was changed or cut off, whatever somebody did to the database.
    """
    last = head()
    if last is None:
        return None
    link = {
        "day": last[0].isoformat(), "number": last[1], "digest": last[2], "exported_at": now.astimezone(UTC).isoformat(),
    }  # fmt: skip
    return {**link, "signature": crypto.sign(_canonical(link), purpose=_HEAD)}


def read_head(text: str) -> tuple[date, int, str]:
    """The link of an exported document, or one written ``day:number:digest``.

    :raises ValueError: it is neither, or this installation did not sign it.
    """
    if not text.lstrip().startswith("{"):
        return parse_head(text.strip())
    document = json.loads(text)
    signature = document.pop("signature", "")
    if not isinstance(signature, str) or not crypto.signed(_canonical(document), signature, purpose=_HEAD):
        raise ValueError("the signature is not ours")
    return date.fromisoformat(document["day"]), int(document["number"]), str(document["digest"])


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def parse_head(link: str) -> tuple[date, int, str]:
    """Read ``day:number:digest``. Raises ValueError for anything else."""
    day, seq, digest = link.split(":")
    if len(digest) != _DIGEST_LENGTH:
        raise ValueError(link)
    return date.fromisoformat(day), int(seq), digest


def verify_head(day: date, seq: int, digest: str) -> list[Breach]:
    """Whether the chain still contains a link that was kept elsewhere; if not, its end was cut off or rewritten."""
    if AuditEntry.objects.filter(chain_day=day, chain_seq=seq, digest=digest).exists():
        return []
    return [Breach(day, seq, "was the head of the chain once, and is there no more")]
