"""Loading manifests into the catalog; finding what is on sale; checking what a user chose."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from catalog.audit.services import record
from catalog.common.data import in_order, in_words, ordinary
from catalog.offerings.errors import DataClassNotAllowed, ManifestVersionReused, NarrowingInvalid, PlanUnavailable
from catalog.offerings.folders import unpack
from catalog.offerings.manifests import Manifest, read_all
from catalog.offerings.models import Offering, OfferingFolder, OfferingVersion, Plan, Publication
from catalog.offerings.schemas import Schema, narrowed, with_defaults
from catalog.offerings.stacks import isolation_of
from catalog.tenancy.policy import Action, Actor, require


@dataclass
class LoadReport:
    """What a load did: offerings by slug, plans as ``offering/plan``."""

    new: list[str] = field(default_factory=list)
    new_version: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    withdrawn_plans: list[str] = field(default_factory=list)


def load_manifests(
    root: Path, *, git_revision: str, now: datetime, actor: Actor, publish: bool = False
) -> LoadReport:  # fmt: skip
    """Bring the catalog up to the manifests below ``root``: all of them, or on any fault nothing.

    What is curated (texts, price, publication, narrowing, display order, icon) is taken from the manifest on first load only.
    A plan the manifest no longer has is hidden. Loading the same again changes nothing.

    :param git_revision: kept with each new version, and so with each order.
    :param publish: put on sale what is still a draft; what a curator has hidden stays hidden.
    :raises Forbidden: the actor does not curate the catalog.
    :raises ManifestInvalid: with every fault found.
    :raises ManifestVersionReused: a folder differs from what was loaded under its version before. Only a draft from which
        nothing was ever ordered may change without a new version.
    """
    require(actor, Action.CURATE)
    manifests = read_all(root)
    report = LoadReport()
    with transaction.atomic():
        for manifest in manifests:
            _load(manifest, report, git_revision=git_revision, now=now, actor=actor)
        if publish:
            slugs = [manifest.slug for manifest in manifests]
            Offering.objects.filter(slug__in=slugs, publication=Publication.DRAFT).update(
                publication=Publication.PUBLISHED
            )
            Plan.objects.filter(offering__slug__in=slugs, publication=Publication.DRAFT).update(
                publication=Publication.PUBLISHED
            )
    return report


def _load(manifest: Manifest, report: LoadReport, *, git_revision: str, now: datetime, actor: Actor) -> None:
    said = manifest.document
    offering, is_new = Offering.objects.get_or_create(
        slug=manifest.slug,
        defaults={
            "name_en": said["name"]["en"], "name_ko": said["name"]["ko"],
            "summary_en": said["summary"]["en"], "summary_ko": said["summary"]["ko"],
            "category": said["category"], "icon": said["icon"],
        },
    )  # fmt: skip
    version = OfferingVersion.objects.filter(offering=offering, version=manifest.version).first()
    if version is None or version.digest != manifest.digest:
        if version is not None and not _may_change(version, said):
            raise ManifestVersionReused(fields={manifest.slug: ManifestVersionReused.title})
        was_known = version is not None
        version, _created = OfferingVersion.objects.update_or_create(
            offering=offering, version=manifest.version,
            defaults={
                "git_revision": git_revision, "digest": manifest.digest, "manifest": said, "loaded_at": now,
            },
        )  # fmt: skip
        OfferingFolder.objects.update_or_create(version=version, defaults={"archive": manifest.folder})
        record(
            actor, "offering.replaced" if was_known else "offering.loaded", subject_type="offering",
            subject_id=str(offering.pk), now=now,
            after={
                "slug": manifest.slug, "version": manifest.version, "git_revision": git_revision, "digest": manifest.digest
            },
        )  # fmt: skip
        (report.new if is_new else report.replaced if was_known else report.new_version).append(manifest.slug)
    else:
        report.unchanged.append(manifest.slug)
    for order, plan in enumerate(said["plans"], start=1):
        _load_plan(offering, version, plan, display_order=order * 10)
    _withdraw(offering, {plan["slug"] for plan in said["plans"]}, report, now=now, actor=actor)


def _may_change(version: OfferingVersion, said: Mapping[str, Any]) -> bool:
    """Whether a version's content may still be replaced: it is a draft that nobody ever ordered, or only lacks its folder."""
    if version.manifest == said and not OfferingFolder.objects.filter(version=version).exists():
        return True
    own = (Plan, OfferingFolder)
    others = (each for each in OfferingVersion._meta.related_objects if each.related_model not in own)
    return version.offering.publication == Publication.DRAFT and not any(
        each.related_model._base_manager.filter(**{each.field.name: version}).exists() for each in others
    )


def folder_of(version_id: uuid.UUID, kept: Path) -> Path:
    """The folder a version was loaded from, laid out below ``kept`` if it is not there yet.

    A version from before folders were kept is built from the folder that the playbooks have now.
    """
    version = OfferingVersion.objects.select_related("offering").only("digest", "offering__slug").get(pk=version_id)
    folder = kept / f"{version.offering.slug}-{version.digest[:16]}"
    if not folder.is_dir():
        found = OfferingFolder.objects.filter(version=version_id).first()
        if found is None:
            return Path(settings.PLAYBOOKS_DIR) / "services" / version.offering.slug
        unpack(bytes(found.archive), folder)
    return folder


def _load_plan(offering: Offering, version: OfferingVersion, said: Mapping[str, Any], *, display_order: int) -> None:
    built = {
        "version": version,
        "topology": said["topology"],
        "isolation": isolation_of(said),
        "roles": said.get("roles", []),
        "resources": said["resources"],
        "traits": said["traits"],
    }
    Plan.objects.update_or_create(
        offering=offering,
        slug=said["slug"],
        defaults=built,
        create_defaults={
            **built, "name_en": said["name"]["en"], "name_ko": said["name"]["ko"],
            "price_krw_month": said["price_krw_month"], "display_order": display_order,
        },
    )  # fmt: skip


def _withdraw(offering: Offering, kept: set[str], report: LoadReport, *, now: datetime, actor: Actor) -> None:
    gone = Plan.objects.filter(offering=offering).exclude(slug__in=kept).exclude(publication=Publication.HIDDEN)
    for plan in gone:
        Plan.objects.filter(pk=plan.pk).update(publication=Publication.HIDDEN)
        report.withdrawn_plans.append(f"{offering.slug}/{plan.slug}")
        record(
            actor, "plan.withdrawn", subject_type="plan", subject_id=str(plan.pk), now=now,
            before={"publication": plan.publication}, after={"publication": Publication.HIDDEN},
        )  # fmt: skip


def find_plan(offering_slug: str, plan_slug: str) -> Plan:
    """A plan on sale. Raises :class:`PlanUnavailable` for one that is unknown, draft or hidden, or whose offering is."""
    plan = (
        Plan.objects.filter(
            slug=plan_slug, publication=Publication.PUBLISHED,
            offering__slug=offering_slug, offering__publication=Publication.PUBLISHED,
        )
        .select_related("offering", "version")
        .first()
    )  # fmt: skip
    if plan is None:
        raise PlanUnavailable(offering=offering_slug, plan=plan_slug)
    return plan


def parameter_schema(plan: Plan) -> Schema:
    """The JSON Schema of what may be chosen: the manifest's, narrowed by the manifest's plan and then by the curator.

    :raises NarrowingInvalid: the curator's narrowing does not fit the manifest (any more).
    """
    return _narrowed_twice(plan.version.manifest, plan, plan.narrowing)


def _narrowed_twice(manifest: Mapping[str, Any], plan: Plan, narrowing: Mapping[str, Any]) -> Schema:
    by_manifest: dict[str, Any] = next(
        (each["parameters"] for each in manifest["plans"] if each["slug"] == plan.slug), {}
    )
    return narrowed(narrowed(manifest["parameters"], by_manifest), narrowing)


def changeable(version: OfferingVersion, plan: Plan, present: Mapping[str, Any]) -> Schema:
    """The JSON Schema of what may still be chosen for a service that stands; its present values are the defaults.

    Left out is what the manifest it was built from calls immutable. What a curator narrowed counts if it fits that manifest: the
    plan on sale may be of a newer one.
    """
    known = version.manifest["parameters"]["properties"]
    try:
        narrowing = {name: keywords for name, keywords in plan.narrowing.items() if name in known}
        schema = _narrowed_twice(version.manifest, plan, narrowing)
    except NarrowingInvalid:
        schema = _narrowed_twice(version.manifest, plan, {})
    free = {name: each for name, each in schema["properties"].items() if not each.get("x-immutable")}
    properties = {name: {**each, "default": present[name]} if name in present else each for name, each in free.items()}
    return {**schema, "properties": properties, "required": []}


def validate_parameters(plan: Plan, values: Any) -> dict[str, Any]:
    """What was chosen, completed by the defaults.

    :raises ParameterForbidden: what is never accepted, such as control characters or names Ansible would act on.
    :raises ParametersInvalid: one field for each wrong, missing or unknown parameter.
    """
    return with_defaults(parameter_schema(plan), values)


def data_classes(plan: Plan) -> list[str]:
    """The kinds of data a plan allows: those of its manifest (of the plan there, else of the whole), narrowed by the curator.

    A manifest that says nothing of it allows public and internal data.
    """
    allowed = manifest_data_classes(plan)
    return [each for each in allowed if not plan.data_classes or each in plan.data_classes]


def manifest_data_classes(plan: Plan) -> list[str]:
    """What the manifest allows, from which a curator may take away."""
    manifest = plan.version.manifest
    here: dict[str, Any] = next((each for each in manifest["plans"] if each["slug"] == plan.slug), {})
    return in_order(here.get("data_classes") or manifest.get("data_classes") or ordinary())


def check_data_class(plan: Plan, data_class: str) -> None:
    """Raises :class:`DataClassNotAllowed` for data that the plan is not made for, and for a kind there is none of."""
    allowed = data_classes(plan)
    if data_class not in allowed:
        detail = _("This plan may hold %s. Choose another plan, or say that it holds less protected data.")
        raise DataClassNotAllowed(
            detail % in_words(allowed), fields={"data_class": DataClassNotAllowed.title}, allowed=allowed
        )


def usual_seconds(plan: Plan) -> int:
    """How long building and verifying usually take together, as the plan's manifest says."""
    steps = plan.version.manifest["steps"]
    return int(steps["provision"] + steps["verify"])
