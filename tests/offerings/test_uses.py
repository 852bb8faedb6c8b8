"""An offering that is built with the roles of others keeps them, and says of each member what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from catalog.offerings import services as offerings
from catalog.offerings.errors import ManifestInvalid, ManifestVersionReused
from catalog.offerings.models import Offering, OfferingVersion
from catalog.pool.models import Host
from catalog.tenancy.models import User
from tests.factories import HostFactory, manifest
from tests.offerings.test_manifests import load, write
from tests.orders.world import make_world

pytestmark = pytest.mark.django_db

SIZE = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}


def two_tiers(**changes: Any) -> dict[str, Any]:
    """A front of its own in front of two PostgreSQL servers."""
    roles = [
        {"name": "front", "count": 1, "resources": SIZE},
        {"name": "db", "count": 2, "resources": SIZE, "service": "postgresql", "spread": "host", "clients": False},
    ]
    total = {name: 3 * amount for name, amount in SIZE.items()}
    plan = manifest()["plans"][0] | {"resources": total, "roles": roles, "parameters": {}}
    said = manifest("tiers", plans=[plan], uses=["postgresql"], tasks={"Start": "우리 것", "Only ours": "우리만"})
    return said | changes


def write_both(root: Path, **changes: Any) -> Path:
    used = manifest(tasks={"Start": "시작", "Look": "보기"})
    write(root, used)
    tasks = root / "postgresql" / "roles" / "postgresql" / "tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    (tasks / "main.yml").write_text("--- # one\n", encoding="utf-8")
    return write(root, two_tiers(**changes))


def test_what_it_uses_is_kept_with_it(tmp_path: Path, catalog_admin: User) -> None:
    load(write_both(tmp_path / "services"), catalog_admin)
    version = OfferingVersion.objects.get(offering__slug="tiers")
    assert version.manifest["used"] == {"postgresql": {"version": "1.0.0", "residues": manifest()["residues"]}}
    assert version.manifest["tasks"] == {"Start": "우리 것", "Only ours": "우리만", "Look": "보기"}
    folder = offerings.folder_of(version.pk, tmp_path / "kept")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == [
        "provision.yml", "roles/postgresql/tasks/main.yml", "service.yml", "uses/postgresql.yml", "verify.yml",
    ]  # fmt: skip


def test_a_change_of_what_it_uses_is_a_change_of_it(tmp_path: Path, catalog_admin: User) -> None:
    root = tmp_path / "services"
    load(write_both(root), catalog_admin)
    Offering.objects.update(publication="published")
    write(root, manifest(version="1.1.0"))
    (root / "postgresql" / "roles" / "postgresql" / "tasks" / "main.yml").write_text("--- # two\n", encoding="utf-8")
    with pytest.raises(ManifestVersionReused) as refused:
        load(root, catalog_admin)
    assert set(refused.value.fields) == {"tiers"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"uses": ["nobody"]}, "uses.0"),
        ({"uses": ["tiers"]}, "uses.0"),
        ({"uses": ["mariadb"]}, "uses.0"),
        ({"residues": None}, "plans.0.roles.0.service"),
        ({"uses": None}, "plans.0.roles.1.service"),
        ({"residues": None, "plans": manifest()["plans"]}, "residues"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, catalog_admin: User, changes: dict[str, Any], place: str) -> None:
    root = write_both(tmp_path / "services")
    said = {name: value for name, value in (two_tiers() | changes).items() if value is not None}
    with pytest.raises(ManifestInvalid) as refused:
        load(write(root, said), catalog_admin)
    assert f"tiers/service.yml: {place}" in refused.value.fields
    assert not Offering.objects.exists()


def test_two_roles_of_one_name_are_refused(tmp_path: Path, catalog_admin: User) -> None:
    root = write_both(tmp_path / "services")
    own = root / "tiers" / "roles" / "postgresql" / "tasks"
    own.mkdir(parents=True)
    (own / "main.yml").write_text("---\n", encoding="utf-8")
    with pytest.raises(ManifestInvalid) as refused:
        load(root, catalog_admin)
    assert list(refused.value.fields) == ["tiers/roles/postgresql/tasks/main.yml"]


def test_every_member_is_looked_for_as_what_it_is(tmp_path: Path, catalog_admin: User) -> None:
    world = make_world(hosts=2)
    HostFactory(zone=world.hosts[0].zone)
    assert Host.objects.count() == 3
    root = write_both(tmp_path / "services", residues={"service": "front@{unit}.service"})
    # The world has a PostgreSQL on sale already.
    write(root, manifest(version="2.0.0"))
    load(root, catalog_admin, publish=True)
    order = world.place("tiers", offering="tiers")
    parts = world.begin(order).parts
    assert [part.values["residues"]["service"] for part in parts] == [
        "front@{unit}.service", "postgresql@{unit}.service", "postgresql@{unit}.service",
    ]  # fmt: skip
    assert [each["role"] for each in parts[0].values["members"]] == ["front", "db", "db"]
