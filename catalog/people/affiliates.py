"""Affiliates and their projects, as administrators make and change them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.timezone import get_default_timezone, localdate

from catalog.audit.services import record
from catalog.common.errors import DomainError, Forbidden, InvalidInput, Text
from catalog.common.locks import lock_one
from catalog.leases.projects import follow_projects
from catalog.people.errors import ProjectEndInvalid, ProjectExists, TenantExists
from catalog.tenancy.models import Environment, Project, Tenant
from catalog.tenancy.policy import Action, Actor, can, require

M = TypeVar("M", Tenant, Project)
Values = Mapping[str, Any]


def create_tenant(actor: Actor, *, slug: str, name_ko: str, name_en: str, now: datetime) -> Tenant:
    """A new affiliate. Raises Forbidden, InvalidInput or TenantExists."""
    require(actor, Action.MANAGE_TENANTS)
    with transaction.atomic():
        row = _write(Tenant(slug=slug, name_ko=name_ko, name_en=name_en), TenantExists)
        after = {"slug": slug, "name_ko": name_ko, "name_en": name_en}
        _record(actor, row, "create", before={}, after=after, now=now)
    return row


def change_tenant(actor: Actor, tenant: Tenant, *, now: datetime, **names: str) -> Tenant:
    """Other names (``name_ko``, ``name_en``) for an affiliate; its slug stays. Raises Forbidden or InvalidInput."""
    require(actor, Action.MANAGE_TENANTS)
    with transaction.atomic():
        held = lock_one(Tenant, tenant.pk)
        before = _set(held, names)
        _record(actor, _write(held, TenantExists), "change", before=before, after=names, now=now)
    return held


def create_project(
    actor: Actor,
    tenant: Tenant,
    *,
    slug: str,
    name: str,
    environment: str = Environment.OTHER,
    ends_on: date | None = None,
    now: datetime,
) -> Project:
    """A new project of an affiliate.

    :param ends_on: its last day, in the group's time zone.
    :raises NotFound, Forbidden, InvalidInput, ProjectExists, ProjectEndInvalid: nothing has changed.
    """
    require(actor, Action.MANAGE_PROJECTS, tenant.pk)
    _check_end(ends_on, now)
    with transaction.atomic():
        made = Project(tenant=tenant, slug=slug, name=name, environment=environment, ends_on=ends_on)
        row = _write(made, ProjectExists)
        after = {"slug": slug, "name": name, "environment": environment, "ends_on": ends_on}
        _record(actor, row, "create", before={}, after=after, now=now)
    return row


def change_project(actor: Actor, project: Project, *, now: datetime, **values: Any) -> tuple[Project, int]:
    """Another ``name``, ``environment`` or last day ``ends_on``; the slug and the affiliate stay.

    :returns: the project, and how many leases now end sooner with it.
    :raises NotFound, Forbidden, InvalidInput, ProjectEndInvalid: nothing has changed.
    """
    require(actor, Action.VIEW, project.tenant_id, project.pk)
    if not can(actor, Action.MANAGE_PROJECTS, project.tenant_id):
        # How long a project lasts is the affiliate's to say, not that of the project's own administrators.
        raise Forbidden()
    with transaction.atomic():
        held = lock_one(Project, project.pk)
        if "ends_on" in values and values["ends_on"] != held.ends_on:
            _check_end(values["ends_on"], now)
        before = _set(held, values)
        _record(actor, _write(held, ProjectExists), "change", before=before, after=values, now=now)
    # Each lease in a transaction of its own: a project may have many, and what is missed is caught by the sweep.
    return held, follow_projects(now, actor=actor, project=held)


def _check_end(day: date | None, now: datetime) -> None:
    if day is not None and day < localdate(now, get_default_timezone()):
        raise ProjectEndInvalid(fields={"ends_on": ProjectEndInvalid.title})


def _set(row: Tenant | Project, values: Values) -> dict[str, Any]:
    """Set them; returns what was there before."""
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    return before


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)


def _write(row: M, taken: type[DomainError]) -> M:
    """Write a checked row. Raises InvalidInput, or ``taken`` where its name is."""
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        fields: dict[str, Text] = {name: " ".join(said) for name, said in error.message_dict.items()}
        raise InvalidInput(fields=fields) from error
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise taken(fields={"slug": taken.title}) from error
    return row


def _record(actor: Actor, row: Tenant | Project, deed: str, *, before: Values, after: Values, now: datetime) -> None:
    kind = "project" if isinstance(row, Project) else "tenant"
    tenant_id = row.tenant_id if isinstance(row, Project) else row.pk
    record(
        actor, f"{kind}.{deed}", subject_type=kind, subject_id=str(row.pk), tenant_id=tenant_id, now=now,
        before={name: _plain(value) for name, value in before.items()},
        after={name: _plain(value) for name, value in after.items()},
    )  # fmt: skip
