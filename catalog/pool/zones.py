"""What operators do with zones: make, change, close, open. Who may place there and what data may stand there is decided here."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from catalog.audit.services import record
from catalog.common.data import PROTECTED, in_order
from catalog.common.errors import InvalidInput, Text
from catalog.common.locks import lock_one
from catalog.pool.errors import (
    ProtectedDataOutside,
    ZoneAlreadyClosed,
    ZoneAlreadyOpen,
    ZoneInUse,
    ZoneReasonMissing,
    ZoneSlugTaken,
)
from catalog.pool.models import Zone
from catalog.pool.states import HostState
from catalog.tenancy.policy import Action, Actor, require

TERMS = (
    "name_ko", "name_en", "kind", "tenant", "admission", "data_classes", "protected_outside", "wipe_driver",
    "driver_options",
)  # fmt: skip
"""What an operator says of a zone, beside its name and ``admitted``, the affiliates that are let in."""

REASON_CHARACTERS = 300


def create_zone(actor: Actor, *, slug: str, now: datetime, **terms: Any) -> Zone:
    """Make a zone; nothing stands there yet, and its worker is started beside its hardware (``flows.worker``).

    :param terms: any of :data:`TERMS` and ``admitted`` (a list of affiliates); the rest as the model has it.
    :raises Forbidden: the actor is no pool operator.
    :raises ZoneSlugTaken, InvalidInput, ProtectedDataOutside: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    zone = Zone(slug=slug)
    try:
        with transaction.atomic():
            _write(zone, terms)
            record(
                actor, "zone.created", subject_type="zone", subject_id=str(zone.pk), tenant_id=zone.tenant_id, now=now,
                after={"slug": slug, **_said(zone)},
            )  # fmt: skip
    except IntegrityError as error:
        if Zone.objects.filter(slug=slug).exists():
            raise ZoneSlugTaken(fields={"slug": ZoneSlugTaken.title}) from error
        raise
    return zone


def change_zone(actor: Actor, zone: Zone, *, now: datetime, **terms: Any) -> Zone:
    """Change what is said of a zone. What stands there stays; the new terms are for what is placed from now on.

    :param terms: as for :func:`create_zone`; what is left out stays as it is.
    :raises Forbidden: the actor is no pool operator.
    :raises ZoneInUse: the kind or the affiliate would change while hosts stand there.
    :raises InvalidInput, ProtectedDataOutside: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Zone, zone.pk)
        before = _said(held)
        _write(held, terms)
        after = _said(held)
        changed = {name for name in after if after[name] != before[name]}
        if changed:
            record(
                actor, "zone.changed", subject_type="zone", subject_id=str(held.pk), tenant_id=held.tenant_id, now=now,
                before={name: before[name] for name in changed}, after={name: after[name] for name in changed},
            )  # fmt: skip
    return held


def close_zone(actor: Actor, zone: Zone, *, reason: str, now: datetime) -> Zone:
    """Place nothing new in a zone until it is opened again. What stands there goes on, and can be given back.

    :param reason: 1 to 300 characters, shown to people.
    :raises Forbidden, ZoneReasonMissing, ZoneAlreadyClosed: nothing has changed.
    """
    require(actor, Action.OPERATE_POOL)
    said = reason.strip()
    if not said or len(said) > REASON_CHARACTERS:
        raise ZoneReasonMissing(fields={"reason": ZoneReasonMissing.title})
    with transaction.atomic():
        held = lock_one(Zone, zone.pk)
        if held.closed_at is not None:
            raise ZoneAlreadyClosed()
        held.closed_at, held.closed_reason = now, said
        held.save(update_fields=["closed_at", "closed_reason"])
        record(
            actor, "zone.closed", subject_type="zone", subject_id=str(held.pk), tenant_id=held.tenant_id, now=now,
            after={"reason": said},
        )  # fmt: skip
    return held


def open_zone(actor: Actor, zone: Zone, *, now: datetime) -> Zone:
    """Let a closed zone be placed in again; orders that wait for it go on. Raises Forbidden or ZoneAlreadyOpen."""
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Zone, zone.pk)
        if held.closed_at is None:
            raise ZoneAlreadyOpen()
        before = {"reason": held.closed_reason, "closed_at": held.closed_at.isoformat()}
        held.closed_at, held.closed_reason = None, ""
        held.save(update_fields=["closed_at", "closed_reason"])
        record(
            actor, "zone.opened", subject_type="zone", subject_id=str(held.pk), tenant_id=held.tenant_id, now=now,
            before=before,
        )  # fmt: skip
    return held


def check(zone: Zone) -> None:
    """What the row must meet to be written, with one sentence for each field.

    :raises InvalidInput: a field is wrong, or a local zone has no affiliate, or another one has.
    :raises ProtectedDataOutside: an external zone would hold protected data without an express word.
    :raises ZoneInUse: hosts stand there, and its kind or its affiliate is another than is written.
    """
    fields: dict[str, Text] = {}
    try:
        zone.clean_fields()
    except ValidationError as error:
        fields = {name: " ".join(said) for name, said in error.message_dict.items()}
    if not isinstance(zone.driver_options, dict):
        fields["driver_options"] = _("Write an object: option → value.")
    if (zone.kind == Zone.Kind.LOCAL) != (zone.tenant_id is not None):
        fields.setdefault("tenant", _("A local zone needs its affiliate; any other zone must have none."))
    if fields:
        raise InvalidInput(fields=fields)
    if zone.kind == Zone.Kind.EXTERNAL and PROTECTED.intersection(zone.data_classes) and not zone.protected_outside:
        raise ProtectedDataOutside(fields={"data_classes": ProtectedDataOutside.title})
    written = Zone.objects.filter(pk=zone.pk).values_list("kind", "tenant").first()
    moved = written not in {None, (zone.kind, zone.tenant_id)}
    if moved and zone.hosts.exclude(state=HostState.RETIRED).exists():
        raise ZoneInUse()


def _write(zone: Zone, terms: Mapping[str, Any]) -> None:
    for name in TERMS:
        if name in terms:
            setattr(zone, name, terms[name])
    with suppress(ValueError, TypeError):  # what is no kind of data is refused by the check
        zone.data_classes = in_order(zone.data_classes)
    check(zone)
    if zone._state.adding:
        zone.save(force_insert=True)
    elif names := [name for name in TERMS if name in terms]:
        # Only these: when a worker was last seen is written all the time.
        zone.save(update_fields=names)
    if "admitted" in terms:
        zone.admitted.set(terms["admitted"])


def _said(zone: Zone) -> dict[str, Any]:
    """What is recorded of a zone; of the driver's options only their names, for they may hold a secret."""
    said: dict[str, Any] = {name: getattr(zone, name) for name in TERMS if name not in {"tenant", "driver_options"}}
    said["tenant"] = zone.tenant.slug if zone.tenant else None
    said["driver_options"] = sorted(zone.driver_options)
    said["admitted"] = sorted(zone.admitted.values_list("slug", flat=True))
    return said
