"""Manifests: loaded whole or not at all; curated ever after."""

import shutil
from concurrent.futures import ThreadPoolExecutor
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
from catalog.offerings.folders import digest_of, files_of, packed, unpack
from catalog.offerings.models import Offering, OfferingFolder, OfferingVersion, Plan, Publication
from catalog.placement.members import bundles, members_of
from catalog.pool.models import Zone
from catalog.tenancy.models import User
from tests.factories import NOW, SERVICES, HostFactory, InstanceFactory, acting, manifest

pytestmark = pytest.mark.django_db


def write(root: Path, said: Any, folder: str = "") -> Path:
    """A folder as ``playbooks/services`` is, with this manifest (text or document) in it."""
    place = root / (folder or said["slug"])
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(SERVICES / "manifest.schema.json", root)
    for step in ("provision", "verify"):
        (place / f"{step}.yml").write_text("---\n", encoding="utf-8")
    text = said if isinstance(said, str) else yaml.safe_dump(said, allow_unicode=True)
    (place / "service.yml").write_text(text, encoding="utf-8")
    return root


def load(root: Path, user: User, **more: Any) -> offerings.LoadReport:
    return offerings.load_manifests(root, git_revision="abc123", now=NOW, actor=acting(user), **more)


def test_a_first_load_makes_drafts(tmp_path: Path, catalog_admin: User) -> None:
    report = load(write(tmp_path, manifest()), catalog_admin)
    assert vars(report) == {
        "new": ["postgresql"], "new_version": [], "replaced": [], "unchanged": [], "withdrawn_plans": [],
    }  # fmt: skip
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


@pytest.mark.parametrize("published", [Publication.PUBLISHED, Publication.HIDDEN])
def test_a_version_never_changes_its_content(tmp_path: Path, catalog_admin: User, published: str) -> None:
    load(write(tmp_path, manifest()), catalog_admin)
    write(tmp_path, manifest(slug="redis", version="1.0.0"))
    Offering.objects.update(publication=published)
    (tmp_path / "postgresql" / "verify.yml").write_text("--- # changed\n", encoding="utf-8")
    with pytest.raises(ManifestVersionReused) as refused:
        load(tmp_path, catalog_admin)
    assert list(refused.value.fields) == ["postgresql"]
    assert list(Offering.objects.values_list("slug", flat=True)) == ["postgresql"]


def test_a_draft_that_nobody_ordered_may_still_change(tmp_path: Path, catalog_admin: User) -> None:
    load(write(tmp_path, manifest()), catalog_admin)
    first = OfferingVersion.objects.get()
    said = manifest(summary={"en": "Better.", "ko": "더 좋습니다."})
    assert load(write(tmp_path, said), catalog_admin).replaced == ["postgresql"]
    version = OfferingVersion.objects.get()
    assert (version.pk, version.manifest) == (first.pk, said)
    assert version.digest != first.digest
    assert [each.action for each in AuditEntry.objects.order_by("at", "pk")] == ["offering.loaded", "offering.replaced"]
    InstanceFactory(plan=Plan.objects.get(slug="shared-small"), version=version)
    with pytest.raises(ManifestVersionReused):
        load(write(tmp_path, manifest()), catalog_admin)


def test_a_version_is_laid_out_as_it_was_loaded_whatever_became_of_its_folder(
    tmp_path: Path, catalog_admin: User, settings: Any
) -> None:
    root, kept = tmp_path / "services", tmp_path / "kept"
    write(root, manifest())
    tasks = root / "postgresql" / "roles" / "postgresql" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text("--- # one\n", encoding="utf-8")
    (tasks / "__pycache__").mkdir()
    (tasks / "__pycache__" / "main.pyc").write_bytes(b"x")
    (tasks / ".main.yml.swp").write_bytes(b"x")
    load(root, catalog_admin)
    one = OfferingVersion.objects.get()
    write(root, manifest(version="2.0.0"))
    (tasks / "main.yml").write_text("--- # two\n", encoding="utf-8")
    load(root, catalog_admin)
    two = OfferingVersion.objects.get(version="2.0.0")
    shutil.rmtree(root)
    folders = {number: offerings.folder_of(version.pk, kept) for number, version in (("one", one), ("two", two))}
    for number, folder in folders.items():
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert files == ["provision.yml", "roles/postgresql/tasks/main.yml", "service.yml", "verify.yml"]
        assert (folder / files[1]).read_text() == f"--- # {number}\n"
    assert sorted(kept.iterdir()) == sorted(folders.values())
    OfferingFolder.objects.all().delete()
    assert offerings.folder_of(one.pk, kept) == folders["one"]
    shutil.rmtree(kept)
    settings.PLAYBOOKS_DIR = tmp_path
    assert offerings.folder_of(one.pk, kept) == root / "postgresql"


def test_many_who_need_a_folder_at_once_all_find_it_whole(tmp_path: Path) -> None:
    files = {f"roles/r/tasks/{number}.yml": b"x" * 5000 for number in range(100)}
    archive, folder = packed(files), tmp_path / "kept" / "folder"

    def look(_number: int) -> int:
        if not folder.is_dir():
            unpack(archive, folder)
        return len(files_of(folder))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(look, range(40))) == {100}
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]
    assert digest_of(files_of(folder)) == digest_of(files)
    assert len({digest_of({"ab": b"c"}), digest_of({"a": b"bc"}), digest_of({"a": b"b", "c": b""}), digest_of({})}) == 4


@pytest.mark.parametrize("fault", ["link", "size"])
def test_a_folder_that_cannot_be_kept_is_named(tmp_path: Path, catalog_admin: User, fault: str) -> None:
    place = write(tmp_path, manifest()) / "postgresql" / "roles"
    if fault == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_bytes(b"x" * (4 * 2**20))
    with pytest.raises(ManifestInvalid) as refused:
        load(tmp_path, catalog_admin)
    assert list(refused.value.fields) == ["postgresql/roles" if fault == "link" else "postgresql/"]
    assert not Offering.objects.exists()


def test_only_a_catalog_admin_loads(tmp_path: Path, operator: User, developer: User) -> None:
    for user in (operator, developer):
        with pytest.raises(Forbidden):
            load(write(tmp_path, manifest()), user)
    assert not Offering.objects.exists()


PARAMETERS = manifest()["parameters"]
PLANS = manifest()["plans"]
OPERATION = manifest()["operations"][0] | {"name": "rotate", "to": "active"}


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
        (manifest(operations=[OPERATION]), "operations.0.playbook"),
        (manifest(operations=[OPERATION | {"playbook": "absent.yml"}]), "operations.0.playbook"),
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
    assert found() == [f"offerings.{code} postgresql/shared-small" for code in ("E002", "W001")]
    OfferingFolder.objects.all().delete()
    assert found() == [f"offerings.{code} postgresql/shared-small" for code in ("E001", "E002", "W001")]
