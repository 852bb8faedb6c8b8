"""Service instances and the credentials to them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from catalog.audit.gate import move
from catalog.audit.services import record
from catalog.common import crypto
from catalog.common.data import DataClass
from catalog.common.locks import lock_one
from catalog.instances.errors import AlreadyShown, NameInvalid, NameTaken, NotReady
from catalog.instances.models import INSTANCE_NAME, InstanceEvent, ServiceBinding, ServiceInstance
from catalog.instances.states import INSTANCE, InstanceState
from catalog.offerings.models import Plan
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Actor

READY = frozenset({InstanceState.ACTIVE, InstanceState.STOPPED, InstanceState.UPDATING, InstanceState.TAINTED})


WHERE = ("name", "address", "port")
"""In a binding's ``public``: what says where the service is; the rest are credentials."""


def create(
    actor: Actor,
    *,
    project: Project,
    plan: Plan,
    name: str,
    parameters: dict[str, Any],
    data_class: str = DataClass.INTERNAL,
    allow_from: Sequence[str] = (),
    now: datetime,
) -> ServiceInstance:
    """A pending instance, which reserves its name.

    :param data_class: the most protected data it will hold.
    :param allow_from: networks that may connect, checked already; none: the usual.

    :raises NameInvalid: the name breaks the pattern.
    :raises NameTaken: another instance of the affiliate that is not gone has it.
    """
    try:
        INSTANCE_NAME(name)
    except ValidationError as error:
        raise NameInvalid(fields={"name": str(NameInvalid.title)}) from error
    try:
        with transaction.atomic():
            return ServiceInstance.objects.create(
                tenant=project.tenant,
                project=project,
                plan=plan,
                version=plan.version,
                name=name,
                unit="s" + crypto.random_identifier(11),
                parameters=parameters,
                data_class=data_class,
                allow_from=list(allow_from),
                created_by_id=actor.user_id,
                responsible_id=actor.user_id,
                created_at=now,
                state_since=now,
            )
    except IntegrityError as error:
        if name_in_use(project, name):
            raise NameTaken(fields={"name": str(NameTaken.title)}) from error
        raise


def unit_of(instance: ServiceInstance, member: str, *, alone: bool) -> str:
    """What a member is called on its host: the instance's own unit if it is ``alone``, else one that follows from both names.

    Members that share a host must not share a name there. Eleven of 36 letters and digits, from SHA-256.
    """
    if alone:
        return instance.unit
    number = int.from_bytes(hashlib.sha256(f"{instance.unit}/{member}".encode()).digest(), "big")
    letters = ""
    for _place in range(11):
        number, digit = divmod(number, 36)
        letters += "abcdefghijklmnopqrstuvwxyz0123456789"[digit]
    return f"s{letters}"


def units_of(instance: ServiceInstance, members: Sequence[str]) -> set[str]:
    """Every name by which parts of the instance may be known on hosts."""
    alone = len(members) <= 1
    return {instance.unit, *(unit_of(instance, member, alone=alone) for member in members)}


def name_in_use(project: Project, name: str) -> bool:
    """Whether an instance of the project's affiliate that is not gone has this name."""
    gone = (InstanceState.DECOMMISSIONED, InstanceState.FAILED)
    return ServiceInstance.objects.filter(tenant=project.tenant_id, name=name).exclude(state__in=gone).exists()


def move_instance(
    instance: ServiceInstance,
    to: str,
    *,
    actor: Actor,
    now: datetime,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Move an instance through its table. Raises StateConflict; NameTaken where it comes back to a name that is in use."""
    try:
        with transaction.atomic():
            move(
                instance,
                to,
                table=INSTANCE,
                event_model=InstanceEvent,
                actor=actor,
                now=now,
                tenant_id=instance.tenant_id,
                data=data,
                **changes,
            )
    except IntegrityError as error:
        raise NameTaken() from error


def _generate(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    if "from_parameter" in spec:
        return str(parameters[spec["from_parameter"]])
    if spec["generate"] == "secret":
        return crypto.random_secret(spec["length"])
    return crypto.random_identifier(spec["length"], prefix=spec.get("prefix", ""))


def create_binding(
    instance: ServiceInstance, *, address: str, port: int, name: str | None = None, now: datetime
) -> ServiceBinding:
    """Generate the credentials that the manifest asks for, before anything is built. What is secret is encrypted.

    :param name: the full DNS name that leads to ``address``, where there is one.
    """
    specs: Mapping[str, Any] = instance.version.manifest["credentials"]
    values = {name: _generate(spec, instance.parameters) for name, spec in specs.items()}
    secret = {name: values[name] for name, spec in specs.items() if spec.get("generate") == "secret"}
    public = {key: value for key, value in values.items() if key not in secret}
    where: dict[str, Any] = ({"name": name} if name else {}) | {"address": address, "port": port}
    binding = ServiceBinding(instance=instance, created_at=now, public={**public, **where})
    binding.secret = crypto.encrypt(json.dumps(secret), context=f"binding:{binding.pk}")
    binding.save(force_insert=True)
    return binding


def secret_of(binding: ServiceBinding) -> dict[str, str]:
    """The generated secrets of a binding, in clear. For the run that builds it, and for :func:`reveal`."""
    found: dict[str, str] = json.loads(crypto.decrypt(binding.secret, context=f"binding:{binding.pk}"))
    return found


def secret_for_owner(binding: ServiceBinding) -> dict[str, str]:
    """Those of the secrets that its clients need; what only the service's own members tell each other is left out."""
    specs: Mapping[str, Any] = binding.instance.version.manifest["credentials"]
    return {name: value for name, value in secret_of(binding).items() if not specs[name].get("internal")}


def current_binding(instance: ServiceInstance) -> ServiceBinding | None:
    """The newest binding that was not revoked."""
    return instance.bindings.filter(revoked_at__isnull=True).order_by("-created_at").first()


def lead_bindings_to(instance: ServiceInstance, *, address: str, port: int) -> None:
    """Another member answers for the service now: say so in every binding that stands. In the caller's transaction."""
    for binding in instance.bindings.filter(revoked_at__isnull=True):
        binding.public = {**binding.public, "address": address, "port": port}
        binding.save(update_fields=["public"])


def revoke_bindings(instance: ServiceInstance, *, now: datetime) -> None:
    """Mark the credentials of an instance that is gone, and forget their secrets."""
    instance.bindings.filter(revoked_at__isnull=True).update(revoked_at=now, secret="")


def reveal(actor: Actor, instance: ServiceInstance, *, now: datetime) -> dict[str, Any]:
    """The credentials, in clear, once, but for those that only the service's own members use. Who saw them is recorded.

    :raises NotReady: the service is not there to connect to.
    :raises AlreadyShown: they were shown before, to whomever.
    """
    with transaction.atomic():
        held = lock_one(ServiceInstance, instance.pk)
        binding = current_binding(held)
        if held.state not in READY or binding is None:
            raise NotReady()
        shown = ServiceBinding.objects.filter(models.Q(shown_at__isnull=True), pk=binding.pk)
        if not shown.update(shown_at=now, shown_to_id=actor.user_id):
            raise AlreadyShown()
        record(
            actor,
            "binding.reveal",
            subject_type="instance",
            subject_id=str(held.pk),
            tenant_id=held.tenant_id,
            after={"binding": str(binding.pk)},
            now=now,
        )
        return {**binding.public, **secret_for_owner(binding)}
