"""What can be done with hosts: register, inspect, know their keys, certify, notice that they are gone, move their state."""

import ipaddress
import json
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q

from catalog.audit.gate import Happening, append_events, move
from catalog.audit.services import record
from catalog.common.crypto import sign, signed
from catalog.common.isolation import Isolation
from catalog.common.locks import lock_all, lock_one
from catalog.pool.errors import (
    AddressInvalid,
    BaselineMissing,
    HostAddressTaken,
    HostKeyChanged,
    HostKeyReused,
    HostKeyUnknown,
    HostNameInvalid,
    HostNameTaken,
    InspectionIncomplete,
    InventoryBelowClaims,
)
from catalog.pool.keys import fingerprint_of
from catalog.pool.models import (
    ANYONE,
    DISK_GB,
    GROUP,
    HOST_NAME,
    MEMORY_MB,
    VCPU,
    Baseline,
    Host,
    HostEvent,
    HostKey,
    Inventory,
    Trait,
    WipeCertificate,
    Zone,
)
from catalog.pool.states import HOST, HostState
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Action, Actor, require, system

CHECKS_BEFORE_MISSING = 3
"""So many checks in a row may stay unanswered before a host counts as missing."""

NOBODYS: Mapping[str, Any] = {"holder": None, "exclusive": False, "sharing": Isolation.AFFILIATE}
"""What the fields of a host say once nobody uses it any more."""

_MAY_GO_MISSING = frozenset({HostState.AVAILABLE, HostState.RESERVED, HostState.IN_USE, HostState.DRAINING})
_FACT_OF = {VCPU: "vcpu", MEMORY_MB: "memory_mb", DISK_GB: "disk_gb"}
_CERTIFICATE = "wipe-certificate"
_HOST_CHECK = system("host-check")


def canonical(document: Any) -> bytes:
    """JSON that is the same bytes for the same content: sorted keys, no blanks, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def register_host(
    actor: Actor,
    *,
    name: str,
    zone: Zone,
    address: str,
    owner: Tenant | None = None,
    ssh_port: int = 22,
    ssh_user: str = "ops",
    now: datetime,
) -> Host:
    """Enter a machine in the pool as ``enrolled``; nothing is known of it and nothing placed on it until it is inspected.

    :raises Forbidden: the actor is no pool operator.
    :raises HostNameInvalid, HostNameTaken: the name.
    :raises AddressInvalid, HostAddressTaken: the address.
    """
    require(actor, Action.OPERATE_POOL)
    try:
        HOST_NAME(name)
    except ValidationError as error:
        raise HostNameInvalid(fields={"name": HostNameInvalid.title}) from error
    address = _single_address(address)
    with transaction.atomic():
        if Host.objects.filter(name=name).exists():
            raise HostNameTaken(fields={"name": HostNameTaken.title})
        if Host.objects.filter(address=address).exists():
            raise HostAddressTaken(fields={"address": HostAddressTaken.title})
        host = Host.objects.create(
            name=name, zone=zone, address=address, owner=owner, ssh_port=ssh_port, ssh_user=ssh_user,
            state=HostState.ENROLLED, state_since=now, enrolled_at=now,
        )  # fmt: skip
        said = {"name": name, "zone": zone.slug, "address": address, "owner": owner.slug if owner else None}
        append_events(host, HostEvent, [Happening("registered", said)], actor=actor.name, now=now)
        record(actor, "host.registered", subject_type="host", subject_id=str(host.pk), after=said, now=now)
    return host


def _single_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise AddressInvalid(fields={"address": AddressInvalid.title}) from error
    if address.is_multicast or address.is_unspecified or address.is_reserved or getattr(address, "scope_id", None):
        raise AddressInvalid(fields={"address": AddressInvalid.title})
    return str(address)


def open_to(host: Host) -> uuid.UUID | None:
    """Who may be placed on a host.

    :returns: ``ANYONE``, one tenant (beside its other slices), ``GROUP`` (beside those of any affiliate), or nobody (None).
    """
    if host.state == HostState.AVAILABLE:
        return ANYONE
    if host.state in {HostState.RESERVED, HostState.IN_USE} and not host.exclusive:
        return GROUP if host.sharing == Isolation.GROUP else host.holder_id
    return None


def move_host(
    host: Host,
    to: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    data: dict[str, Any] | None = None,
    guard: Q | None = None,
    **changes: Any,
) -> None:
    """Move a host to another state through the one gate, and keep what its inventories say about who may be placed there.

    :param reason: kept with the host and its event, in words (at most 500 characters).
    :param data: what else the event shall say.
    :param changes: other fields of the host to set in the same statement.
    :raises StateConflict: the table forbids it, ``guard`` is not met, or somebody else moved the host first.
    """
    before = open_to(host)
    holder = changes.get("holder") or host.holder
    reason = reason[:500]
    with transaction.atomic():
        move(
            host, to, table=HOST, event_model=HostEvent, actor=actor, now=now,
            tenant_id=holder.pk if holder else None, data={**({"reason": reason} if reason else {}), **(data or {})},
            guard=guard, state_reason=reason, **changes,
        )  # fmt: skip
        after = open_to(host)
        if after != before:
            Inventory.objects.filter(host=host).update(open_to=after)


def record_inspection(
    host: Host,
    *,
    facts: Mapping[str, Any],
    traits: Sequence[str],
    baseline: Mapping[str, Any],
    now: datetime,
    actor: Actor,
) -> None:
    """Write down what a host has, what it is, and what it looks like while pristine.

    Reserved amounts and allocation ratios an operator has set stay as they are.

    :param facts: what the host said of itself; ``vcpu``, ``memory_mb`` and ``disk_gb`` are whole numbers above 0.
    :param baseline: the document later checks compare with; hosts of one image share one row.
    :raises InspectionIncomplete: a fact is missing, or the baseline is empty.
    :raises InventoryBelowClaims: more is claimed of the host than it says it has.
    """
    totals = {}
    for resource_class, fact in _FACT_OF.items():
        amount = facts.get(fact)
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
            raise InspectionIncomplete(fields={fact: InspectionIncomplete.title})
        totals[resource_class] = amount
    if not baseline:
        raise InspectionIncomplete(fields={"baseline": BaselineMissing.title})
    document = canonical(dict(baseline))
    with transaction.atomic():
        locked = lock_one(Host, host.pk)
        opens = open_to(locked)
        for resource_class, total in totals.items():
            _upsert_inventory(locked, resource_class, total, opens)
        known = [Trait.objects.get_or_create(name=name)[0] for name in sorted(set(traits))]
        locked.traits.set(known)
        taken, _ = Baseline.objects.get_or_create(
            digest=sha256(document).hexdigest(), defaults={"document": zlib.compress(document, 9), "taken_at": now}
        )
        Host.objects.filter(pk=host.pk).update(facts=dict(facts), baseline=taken)
        append_events(
            locked, HostEvent, [Happening("inspected", {"inventory": totals, "traits": [t.name for t in known]})],
            actor=actor.name, now=now,
        )  # fmt: skip
        record(
            actor, "host.inspected", subject_type="host", subject_id=str(host.pk), now=now,
            after={"inventory": totals, "traits": [t.name for t in known], "baseline": taken.digest},
        )  # fmt: skip
    host.facts, host.baseline, host.seq = dict(facts), taken, locked.seq


def _upsert_inventory(host: Host, resource_class: str, total: int, opens: uuid.UUID | None) -> None:
    present = Inventory.objects.filter(host=host, resource_class=resource_class).first()
    if present is None:
        Inventory.objects.create(
            host=host, zone_id=host.zone_id, open_to=opens, resource_class=resource_class, total=total
        )
        return
    room = (total - present.reserved) * present.allocation_ratio // 100
    if total < present.reserved or room < present.used:
        raise InventoryBelowClaims(fields={resource_class: InventoryBelowClaims.title})
    Inventory.objects.filter(pk=present.pk).update(total=total, open_to=opens)


def baseline_document(host: Host) -> dict[str, Any]:
    """The pristine host as it was recorded. Raises :class:`BaselineMissing`."""
    if host.baseline is None:
        raise BaselineMissing()
    document: dict[str, Any] = json.loads(zlib.decompress(bytes(host.baseline.document)))
    return document


def learn_key(host: Host, *, public_key: str, learnt_by: str, now: datetime) -> HostKey:
    """Pin the ssh key of the host's present life. Learning the same key again in the same life changes nothing.

    :param public_key: ``ssh-ed25519 AAAA…``, with or without a comment.
    :param learnt_by: ``enrolment`` or ``wipe``.
    :raises HostKeyMalformed: it is no public key.
    :raises HostKeyReused: the host had this key in an earlier life, so it was not wiped.
    :raises HostKeyChanged: another key was already learnt in this life.
    """
    plain, fingerprint = fingerprint_of(public_key)
    with transaction.atomic():
        locked = lock_one(Host, host.pk)
        for key in HostKey.objects.filter(host=locked):
            if key.fingerprint == fingerprint:
                if key.generation == locked.generation:
                    return key
                raise HostKeyReused(host=host.name)
            if key.generation == locked.generation:
                raise HostKeyChanged(host=host.name)
        return HostKey.objects.create(
            host=locked, generation=locked.generation, public_key=plain, fingerprint=fingerprint,
            learnt_at=now, learnt_by=learnt_by,
        )  # fmt: skip


def known_key(host: Host) -> HostKey:
    """The pinned key of the host's present life. Raises :class:`HostKeyUnknown`."""
    key = HostKey.objects.filter(host=host, generation=host.generation).first()
    if key is None:
        raise HostKeyUnknown(host=host.name)
    return key


def _said(certificate: WipeCertificate) -> bytes:
    return canonical(
        {
            "id": str(certificate.pk),
            "host": str(certificate.host_id),
            "generation": certificate.generation,
            "previous_holder": str(certificate.previous_holder_id) if certificate.previous_holder_id else None,
            "method": certificate.method,
            "evidence": certificate.evidence,
            "issued_at": int(certificate.issued_at.timestamp() * 1_000_000),
        }
    )


def issue_certificate(
    host: Host, *, method: str, evidence: Mapping[str, Any], previous_holder: Tenant | None, now: datetime, actor: Actor
) -> WipeCertificate:
    """Sign that the host's present life began clean, and on what evidence.

    :param evidence: what was done and what the check found; JSON without floats or secrets.
    """
    with transaction.atomic():
        certificate = WipeCertificate(
            host=host, generation=host.generation, previous_holder=previous_holder, method=method,
            evidence=dict(evidence), issued_at=now,
        )  # fmt: skip
        certificate.signature = sign(_said(certificate), purpose=_CERTIFICATE)
        certificate.save(force_insert=True)
        record(
            actor, "certificate.issued", subject_type="host", subject_id=str(host.pk), now=now,
            tenant_id=previous_holder.pk if previous_holder else None,
            after={"certificate": str(certificate.pk), "generation": host.generation, "method": method},
        )  # fmt: skip
    return certificate


def verify_certificate(certificate: WipeCertificate) -> bool:
    """Whether this installation signed exactly this certificate."""
    return signed(_said(certificate), certificate.signature, purpose=_CERTIFICATE)


def seen(host: Host, *, now: datetime, actor: Actor = _HOST_CHECK) -> None:
    """The host answered. One that was missing goes back to where the books say it belongs."""
    with transaction.atomic():
        locked = lock_one(Host, host.pk)
        Host.objects.filter(pk=host.pk).update(last_seen_at=now, failed_checks=0)
        if locked.state == HostState.MISSING:
            to, changes = _where_books_say(locked)
            move_host(locked, to, actor=actor, now=now, **changes)
    host.refresh_from_db()


def unanswered(host: Host, *, now: datetime, actor: Actor) -> None:
    """The host did not answer. The third time in a row it is missing, and nothing more is placed on it."""
    with transaction.atomic():
        locked = lock_one(Host, host.pk)
        Host.objects.filter(pk=host.pk).update(failed_checks=F("failed_checks") + 1)
        if locked.failed_checks + 1 >= CHECKS_BEFORE_MISSING and locked.state in _MAY_GO_MISSING:
            reason = f"did not answer {locked.failed_checks + 1} checks in a row"
            move_host(locked, HostState.MISSING, actor=actor, now=now, reason=reason)
    host.refresh_from_db()


def build_ended(hosts: Iterable[uuid.UUID], *, ok: bool, now: datetime) -> None:
    """A build on these hosts, which the caller has locked or may lock, went well or failed; placement asks for it."""
    held = Host.objects.filter(pk__in=[host.pk for host in lock_all(Host, hosts)])
    if ok:
        held.filter(failed_builds__gt=0).update(failed_builds=0, build_failed_at=None)
    else:
        held.update(failed_builds=F("failed_builds") + 1, build_failed_at=now)


def _where_books_say(host: Host) -> tuple[str, dict[str, Any]]:
    left = host.events.filter(kind="state", data__to=HostState.MISSING).last()
    if left is not None and left.data["from"] == HostState.DRAINING:
        return HostState.DRAINING, {}
    claimed = host.inventories.filter(used__gt=0).exists()
    if claimed:
        return (HostState.RESERVED if host.proven_clean else HostState.IN_USE), {}
    if host.proven_clean:
        return HostState.AVAILABLE, dict(NOBODYS)
    return HostState.DRAINING, {}
