"""Services that use other services: an application and its database. What is used cannot be given back first."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from catalog.audit.services import record
from catalog.instances import services as instances
from catalog.instances.errors import LinkInvalid, LinksNotTaken, LinkUnknown
from catalog.instances.models import ServiceInstance, ServiceLink
from catalog.instances.states import InstanceState
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action, Actor, can

ALIAS = re.compile(r"\A[A-Z][A-Z0-9_]{0,39}\Z")
"""As long as a name may be, so that no two names have one alias."""
GONE = (InstanceState.DECOMMISSIONED, InstanceState.FAILED)


def most_links(manifest: Mapping[str, Any]) -> int:
    """How many services a service of this manifest may use; 0 where it uses none."""
    return int(manifest.get("links", 0))


def usable(actor: Actor, project: Project) -> "QuerySet[ServiceInstance]":
    """The services of a project that another one of it may be told to use, by name: those that have credentials to give.

    None for somebody who may not see the project's credentials.
    """
    if not can(actor, Action.REVEAL_SECRET, project.tenant_id, project.pk):
        return ServiceInstance.objects.none()
    return ServiceInstance.objects.filter(project=project, state__in=instances.READY).order_by("name")


def alias_of(name: str) -> str:
    """The alias that follows from a service's name: ``loan-db-1`` is ``LOAN_DB_1``."""
    return name.upper().replace("-", "_")


def connect(actor: Actor, consumer: ServiceInstance, wanted: Mapping[str, str], *, now: datetime) -> None:
    """Tell a pending service which others of its project it uses, in the caller's transaction.

    :param wanted: alias (``A``–``Z``, digits and ``_``, up to 40) → name of the service.
    :raises LinksNotTaken: it uses none, or not so many.
    :raises LinkInvalid: an alias breaks the pattern.
    :raises LinkUnknown: its project has no such service that stands, or the actor may not see credentials there.
    """
    if not wanted:
        return
    if len(wanted) > most_links(consumer.version.manifest):
        raise LinksNotTaken(fields={"links": LinksNotTaken.title})
    if wrong := {f"links.{alias}": LinkInvalid.title for alias in wanted if not ALIAS.match(alias)}:
        raise LinkInvalid(fields=wrong)
    found = {each.name: each for each in usable(actor, consumer.project).filter(name__in=set(wanted.values()))}
    if unknown := {f"links.{alias}": LinkUnknown.title for alias, name in wanted.items() if name not in found}:
        raise LinkUnknown(fields=unknown)
    ServiceLink.objects.bulk_create(
        ServiceLink(consumer=consumer, provider=found[name], alias=alias, created_at=now)
        for alias, name in wanted.items()
    )
    # Whoever can make a service print what it knows has seen the credentials of what it uses, though they are shown only once.
    for alias, name in sorted(wanted.items()):
        record(
            actor, "binding.linked", subject_type="instance", subject_id=str(found[name].pk),
            tenant_id=consumer.tenant_id, after={"consumer": str(consumer.pk), "alias": alias}, now=now,
        )  # fmt: skip


def links_of(consumer: ServiceInstance) -> "QuerySet[ServiceLink]":
    """What a service uses, by alias."""
    return consumer.links.select_related("provider").order_by("alias")


def dependents(provider: ServiceInstance) -> list[str]:
    """The names of services that use this one and are not gone."""
    held = provider.dependents.exclude(consumer__state__in=GONE)
    return sorted(set(held.values_list("consumer__name", flat=True)))


def bindings_for(consumer: ServiceInstance) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What a service is told of those it uses: alias → upper-case word → value; and which of the values are secrets.

    ``HOST`` is the name where there is one, else the address. A service that is gone by now is left out.
    """
    told: dict[str, dict[str, str]] = {}
    secrets: list[str] = []
    for link in links_of(consumer):
        binding = instances.current_binding(link.provider)
        if binding is None:
            continue
        hidden = instances.secret_for_owner(binding)
        secrets += hidden.values()
        said = {**binding.public, **hidden}
        said["host"] = said.get("name") or said["address"]
        told[link.alias] = {name.upper(): str(value) for name, value in said.items()}
    return told, secrets
