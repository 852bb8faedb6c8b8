"""Can every published plan be built? Part of ``manage.py check --database default`` and of ``migrate``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's own name
from django.db import connections
from django.db.models import Exists, OuterRef

from catalog.offerings.errors import NarrowingInvalid
from catalog.offerings.models import OfferingFolder, Plan, Publication
from catalog.offerings.services import parameter_schema
from catalog.pool.models import Host, Inventory
from catalog.pool.states import HostState


@register(Tags.database)
def published_plans_can_be_built(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """E001 a playbook is missing, E002 the narrowing does not fit, W001 no host is large enough."""
    if not databases or "default" not in databases or not _tables_exist():
        return []
    published = (
        Plan.objects.filter(publication=Publication.PUBLISHED, offering__publication=Publication.PUBLISHED)
        .select_related("offering", "version")
        .annotate(is_kept=Exists(OfferingFolder.objects.filter(version=OuterRef("version"))))
    )
    found: list[CheckMessage] = []
    for plan in published:
        found += _check(plan)
    return found


def _tables_exist() -> bool:
    tables = set(connections["default"].introspection.table_names())
    needed = (Plan, OfferingFolder, Inventory, Host.traits.through)
    return {each._meta.db_table for each in needed} <= tables


def _check(plan: Any) -> Iterable[CheckMessage]:
    folder = settings.PLAYBOOKS_DIR / "services" / plan.offering.slug
    for name in plan.version.manifest["playbooks"].values():
        # A version that has its folder was whole when it was loaded.
        if not plan.is_kept and not (folder / name).is_file():
            yield Error(
                f"The published plan {plan} cannot be built: its playbook {name} is missing.",
                hint="Load the version again, or hide the plan.", obj=plan, id="offerings.E001",
            )  # fmt: skip
    try:
        parameter_schema(plan)
    except NarrowingInvalid as error:
        places = ", ".join(error.fields)
        yield Error(
            f"The published plan {plan} narrows parameters in a way its manifest does not allow: {places}.",
            hint="Correct the plan's narrowing in the admin.", obj=plan, id="offerings.E002",
        )  # fmt: skip
    members = [
        (each["resources"], [*plan.traits, *each.get("traits", ())])
        for each in plan.roles or [{"resources": plan.resources}]
    ]
    if not all(_some_host_has(resources, traits) for resources, traits in members):
        yield Warning(
            f"No host of the pool is large enough for the published plan {plan}.",
            hint="Enrol a host that has what it needs, or hide the plan.", obj=plan, id="offerings.W001",
        )  # fmt: skip


def _some_host_has(resources: Mapping[str, int], traits: Sequence[str]) -> bool:
    hosts = Host.objects.exclude(state=HostState.RETIRED)
    for resource_class, amount in resources.items():
        room = Inventory.objects.filter(host=OuterRef("pk"), resource_class=resource_class, total__gte=amount)
        hosts = hosts.filter(Exists(room))
    for trait in traits:
        hosts = hosts.filter(traits__name=trait)
    return hosts.exists()
