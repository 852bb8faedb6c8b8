"""Manifests: loaded whole or not at all; curated ever after."""

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from catalog.audit.models import AuditEntry
from catalog.common.errors import Forbidden
from catalog.offerings import services as offerings
from catalog.offerings.errors import ManifestInvalid, ManifestVersionReused, PlanUnavailable
from catalog.offerings.models import Offering, OfferingVersion, Plan, Publication
from catalog.placement.members import bundles, members_of
from catalog.pool.models import Zone
from catalog.tenancy.models import User
from tests.factories import NOW, SERVICES, HostFactory, acting, manifest

pytestmark = pytest.mark.django_db


def write(root: Path, said: Any, folder: str = "") -> Path:
    """A folder as ``playbooks/services`` is, with this manifest (text or document) in it."""
    place = root / (folder or said["slug"])
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(SERVICES / "manifest.schema.json", root)
    for step in ("provision", "verify", "decommission", "residue", "stop", "start"):
        (place / f"{step}.yml").write_text("---\n", encoding="utf-8")
    text = said if isinstance(said, str) else yaml.safe_dump(said, allow_unicode=True)
    (place / "service.yml").write_text(text, encoding="utf-8")
    return root


def load(root: Path, user: User, **more: Any) -> offerings.LoadReport:
    return offerings.load_manifests(root, git_revision="abc123", now=NOW, actor=acting(user), **more)


def test_a_first_load_makes_drafts(tmp_path: Path, catalog_admin: User) -> None:
    report = load(write(tmp_path, manifest()), catalog_admin)
    assert vars(report) == {"new": ["postgresql"], "new_version": [], "unchanged": [], "withdrawn_plans": []}
    offering = Offering.objects.get()
    assert (offering.name_ko, offering.publication) == ("postgresql 상품", Publication.DRAFT)
    version = OfferingVersion.objects.get()
    assert (version.version, version.git_revision, version.manifest) == ("1.0.0", "abc123", manifest())
    plan = Plan.objects.get(slug="shared-small")
    assert (plan.price_krw_month, plan.topology, plan.version) == (42000, Plan.Topology.SLICE, version)
    with pytest.raises(PlanUnavailable):
        offerings.find_plan("postgresql", "shared-small")
    assert AuditEntry.objects.get().action == "offering.loaded"


def test_loading_again_changes_nothing_and_publishing_leaves_what_is_hidden(
    tmp_path: Path, catalog_admin: User
) -> None:
    load(write(tmp_path, manifest()), catalog_admin)
    Plan.objects.filter(slug="dedicated").update(publication=Publication.HIDDEN)
    assert load(tmp_path, catalog_admin, publish=True).unchanged == ["postgresql"]
    assert OfferingVersion.objects.count() == AuditEntry.objects.count() == 1
    assert offerings.find_plan("postgresql", "shared-small").slug == "shared-small"
    for slugs in (("postgresql", "dedicated"), ("postgresql", "huge"), ("oracle", "shared-small")):
        with pytest.raises(PlanUnavailable):
            offerings.find_plan(*slugs)
    Offering.objects.update(publication=Publication.HIDDEN)
    with pytest.raises(PlanUnavailable):
        offerings.find_plan("postgresql", "shared-small")


def test_a_new_version_updates_what_is_built_and_keeps_what_is_curated(tmp_path: Path, catalog_admin: User) -> None:
    load(write(tmp_path, manifest()), catalog_admin, publish=True)
    Plan.objects.filter(slug="shared-small").update(
        price_krw_month=1, name_en="Cheap", narrowing={"max_connections": {"maximum": 9, "default": 9}}
    )
    Offering.objects.update(name_en="Postgres!", display_order=1)
    said = manifest(version="2.0.0", name={"en": "Renamed", "ko": "바뀜"})
    said["plans"] = [
        said["plans"][0] | {"resources": {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 4}, "price_krw_month": 50000}
    ]
    report = load(write(tmp_path, said), catalog_admin)
    assert (report.new_version, report.withdrawn_plans) == (["postgresql"], ["postgresql/dedicated"])
    plan = Plan.objects.get(slug="shared-small")
    assert (plan.price_krw_month, plan.name_en, plan.narrowing["max_connections"]["maximum"]) == (1, "Cheap", 9)
    assert (plan.resources["VCPU"], plan.version.version) == (2, "2.0.0")
    assert (Offering.objects.get().name_en, Offering.objects.get().display_order) == ("Postgres!", 1)
    assert Plan.objects.get(slug="dedicated").publication == Publication.HIDDEN
    assert OfferingVersion.objects.count() == 2


def test_a_version_never_changes_its_content(tmp_path: Path, catalog_admin: User) -> None:
    load(write(tmp_path, manifest()), catalog_admin)
    write(tmp_path, manifest(slug="redis", version="1.0.0"))
    write(tmp_path, manifest(icon="elephant"))
    with pytest.raises(ManifestVersionReused) as refused:
        load(tmp_path, catalog_admin)
    assert list(refused.value.fields) == ["postgresql"]
    assert list(Offering.objects.values_list("slug", "icon")) == [("postgresql", "database")]


def test_only_a_catalog_admin_loads(tmp_path: Path, operator: User, developer: User) -> None:
    for user in (operator, developer):
        with pytest.raises(Forbidden):
            load(write(tmp_path, manifest()), user)
    assert not Offering.objects.exists()


PARAMETERS = manifest()["parameters"]
PLANS = manifest()["plans"]


def with_parameter(**changes: Any) -> dict[str, Any]:
    properties = PARAMETERS["properties"]
    return PARAMETERS | {"properties": properties | {"max_connections": properties["max_connections"] | changes}}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("a: [", "file"),
        ("just a word", "manifest"),
        (manifest(slug="other"), "slug"),
        (manifest(version="latest"), "version"),
        (manifest(surprise=1), "manifest"),
        (manifest(port={"name": "pg", "range": [30000, 20000]}), "port.range"),
        (manifest(parameters=PARAMETERS | {"additionalProperties": True}), "parameters.additionalProperties"),
        (manifest(parameters=with_parameter(default=500)), "parameters.max_connections.default"),
        (manifest(parameters=with_parameter(**{"$ref": "http://169.254.169.254/"})), "parameters.properties.max_connections"),
        (manifest(parameters=with_parameter(minimum="5")), "parameters.properties.max_connections"),
        (manifest(credentials={"database": {"from_parameter": "nothing"}}), "credentials.database"),
        (manifest(playbooks=manifest()["playbooks"] | {"verify": "absent.yml"}), "playbooks.verify"),
        (manifest(playbooks=manifest()["playbooks"] | {"verify": "../x.yml"}), "playbooks.verify"),
        (manifest(plans=[PLANS[0] | {"resources": {"VCPU": 0}}]), "plans.0.resources"),
        (manifest(plans=[PLANS[0], PLANS[0]]), "plans.1.slug"),
        (manifest(plans=[PLANS[0] | {"parameters": {"nothing": {"maximum": 1}}}]), "plans.0.parameters.nothing"),
        (manifest(plans=[PLANS[0] | {"parameters": {"max_connections": {"maximum": 10}}}]), "plans.0.parameters.max_connections"),
        (manifest(connection=[{"label": "psql", "text": "{password}"}]), "connection.0.text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_faulty_manifest_is_named_and_nothing_is_loaded(
    tmp_path: Path, catalog_admin: User, said: Any, place: str
) -> None:
    write(tmp_path, manifest(slug="aaa"))
    with pytest.raises(ManifestInvalid) as refused:
        load(write(tmp_path, said, folder="postgresql"), catalog_admin)
    assert any(each.startswith(f"postgresql/service.yml: {place}") for each in refused.value.fields)
    assert not any(each.startswith("aaa/") for each in refused.value.fields)
    assert not Offering.objects.exists()
    assert not AuditEntry.objects.exists()


SMALL = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}


def stack(*roles: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A plan of these roles, whose resources are their sum."""
    total = {name: sum(role["count"] * role["resources"][name] for role in roles) for name in SMALL}
    return PLANS[0] | {"resources": total, "roles": list(roles)} | changes


PRIMARY = {"name": "primary", "count": 1, "resources": SMALL}
REPLICA = {"name": "replica", "count": 2, "resources": SMALL, "spread": "zone", "apart_from": ["primary"]}
LOG = {"name": "log", "count": 1, "resources": SMALL, "together_with": "primary"}


def test_a_plan_says_its_isolation_and_its_members(tmp_path: Path, catalog_admin: User) -> None:
    pair = stack(PRIMARY, REPLICA, LOG, isolation="group")
    load(write(tmp_path, manifest(plans=[pair, PLANS[1], PLANS[0] | {"slug": "plain"}])), catalog_admin)
    plan = Plan.objects.get(slug="shared-small")
    assert (plan.isolation, plan.roles) == ("group", pair["roles"])
    assert plan.resources == {name: 4 * amount for name, amount in SMALL.items()}
    assert [each.name for each in members_of(plan)] == ["primary", "replica-1", "replica-2", "log"]
    assert [len(each.members) for each in bundles(members_of(plan), whole=False)] == [2, 1, 1]
    assert dict(Plan.objects.exclude(pk=plan.pk).values_list("slug", "isolation")) == {
        "dedicated": "dedicated", "plain": "affiliate",
    }  # fmt: skip
    assert members_of(Plan.objects.get(slug="plain"))[0].amounts == SMALL


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        (PLANS[0] | {"isolation": "dedicated"}, "isolation"),
        (PLANS[1] | {"isolation": "group"}, "isolation"),
        (PLANS[0] | {"isolation": "none"}, "isolation"),
        (stack(PRIMARY, resources=SMALL | {"VCPU": 2}), "resources"),
        (stack(PRIMARY, PRIMARY), "roles"),
        (stack(PRIMARY, REPLICA | {"apart_from": ["nobody"]}), "roles.1.apart_from"),
        (stack(PRIMARY, REPLICA | {"spread": "none"}), "roles.1.spread"),
        (stack(PRIMARY, REPLICA | {"count": 0}), "roles.1.count"),
        (stack(PRIMARY, REPLICA | {"spread": "planet"}), "roles.1.spread"),
        (stack(PRIMARY, LOG | {"together_with": "log"}), "roles.1.together_with"),
        (stack(PRIMARY, LOG | {"together_with": "nobody"}), "roles.1.together_with"),
        (stack(PRIMARY, LOG | {"count": 2}), "roles.1.together_with"),
        (stack(PRIMARY, LOG | {"apart_from": ["primary"], "spread": "host"}), "roles.1.together_with"),
        (stack(PRIMARY, LOG, topology="dedicated"), "roles.1.together_with"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_members_that_contradict_each_other_are_named(
    tmp_path: Path, catalog_admin: User, plan: dict[str, Any], place: str
) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        load(write(tmp_path, manifest(plans=[plan])), catalog_admin)
    assert f"postgresql/service.yml: plans.0.{place}" in refused.value.fields
    assert not Offering.objects.exists()


def test_a_broken_format_and_an_empty_folder_are_named(tmp_path: Path, catalog_admin: User) -> None:
    with pytest.raises(ManifestInvalid):
        load(tmp_path, catalog_admin)
    shutil.copy(SERVICES / "manifest.schema.json", tmp_path)
    with pytest.raises(ManifestInvalid) as refused:
        load(tmp_path, catalog_admin)
    assert str(refused.value.detail) == f"There is no manifest below {tmp_path}."


def test_our_own_manifests_are_valid_and_on_sale_after_the_command() -> None:
    out = StringIO()
    call_command("offerings", "check", stdout=out)
    assert {line.split()[0] for line in out.getvalue().splitlines()} >= {"postgresql", "redis"}
    assert not Offering.objects.exists()
    call_command("offerings", "load", "--publish", stdout=out)
    assert set(Offering.objects.values_list("slug", "publication")) >= {
        ("postgresql", "published"),
        ("redis", "published"),
    }
    for plan in Plan.objects.all():
        assert offerings.validate_parameters(plan, {}) == {
            name: each["default"] for name, each in offerings.parameter_schema(plan)["properties"].items()
        }
        assert offerings.usual_seconds(plan) == sum(
            plan.version.manifest["steps"][step] for step in ("provision", "verify")
        )


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, manifest(surprise=1))
    for what in ("check", "load"):
        with pytest.raises(
            CommandError, match=r"manifest-invalid: [\s\S]*postgresql/service.yml: manifest: .*surprise"
        ):
            call_command("offerings", what, "--root", str(tmp_path))
    assert not Offering.objects.exists()


def test_the_system_check_finds_plans_that_cannot_be_built(
    tmp_path: Path, catalog_admin: User, zone_a: Zone, settings: Any
) -> None:
    def found() -> list[str]:
        messages = run_checks(databases=["default"])
        return sorted(f"{each.id} {each.obj}" for each in messages if str(each.id).startswith("offerings."))

    settings.PLAYBOOKS_DIR = tmp_path
    load(write(tmp_path / "services", manifest()), catalog_admin)
    assert found() == []
    load(tmp_path / "services", catalog_admin, publish=True)
    assert found() == ["offerings.W001 postgresql/dedicated", "offerings.W001 postgresql/shared-small"]
    HostFactory(zone=zone_a, vcpu=4, memory_mb=8191, disk_gb=200)
    assert found() == ["offerings.W001 postgresql/dedicated"]
    Plan.objects.filter(slug="dedicated").update(publication=Publication.HIDDEN)
    assert found() == []
    Plan.objects.filter(slug="shared-small").update(traits=["gpu"], narrowing={"max_connections": {"pattern": "x"}})
    (tmp_path / "services/postgresql/verify.yml").unlink()
    assert found() == [f"offerings.{code} postgresql/shared-small" for code in ("E001", "E002", "W001")]
