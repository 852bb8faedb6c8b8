"""Things tests need, as they are in the running product: names in order, states the tables allow, books that balance."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import factory

from catalog.common.isolation import Isolation
from catalog.instances.models import ServiceInstance
from catalog.ipam import services as ipam
from catalog.ipam.models import Prefix
from catalog.leases.models import Lease
from catalog.offerings.models import Offering, OfferingVersion, Plan, Publication
from catalog.pool import services as pool
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Host, Zone
from catalog.pool.states import HostState
from catalog.quotas.models import Quota
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import Actor, actor_for, system

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
"""The instant tests begin at."""

PASSWORD = "four-cats-on-a-mat"
"""Of every person the tests make."""

TESTER = system("test")
BASELINE = {"packages": ["openssh-server"], "users": ["ops", "root"], "paths": {}}
SERVICES = Path(__file__).resolve().parent.parent / "playbooks" / "services"


def acting(user: User) -> Actor:
    """The actor of a person, as faces make it."""
    return actor_for(user, now=NOW, source="127.0.0.1")


def public_key(seed: str) -> str:
    """A well-formed ed25519 public key that nobody has the private half of, the same for the same seed."""
    kind = b"ssh-ed25519"
    body = len(kind).to_bytes(4, "big") + kind + (32).to_bytes(4, "big") + seed.encode().ljust(32, b".")[:32]
    return f"ssh-ed25519 {base64.b64encode(body).decode()}"


class TenantFactory(factory.django.DjangoModelFactory):
    """An affiliate; ``quota`` guarantees it that much of VCPU, MEMORY_MB and DISK_GB wherever (None: no quota at all)."""

    class Meta:
        model = Tenant
        skip_postgeneration_save = True

    slug = factory.Sequence(lambda n: f"affiliate-{n}")
    name_en = factory.LazyAttribute(lambda tenant: tenant.slug.title())
    name_ko = factory.LazyAttribute(lambda tenant: f"{tenant.slug} 계열사")

    @factory.post_generation
    def quota(self, create: bool, extracted: Any, **kwargs: Any) -> None:
        limits = {VCPU: 1000, MEMORY_MB: 1_000_000, DISK_GB: 100_000} if extracted is None else extracted
        for name, limit in (limits or {}).items():
            Quota.objects.create(tenant=self, resource_class=name, guaranteed=limit)


class ProjectFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Project

    tenant = factory.SubFactory(TenantFactory)
    slug = factory.Sequence(lambda n: f"project-{n}")
    name = factory.LazyAttribute(lambda project: project.slug.title())


class UserFactory(factory.django.DjangoModelFactory):
    """A person; ``roles`` is a list of (role, tenant or None). The password is ``PASSWORD``."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person-{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@group.example")
    language = "en"

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        password = kwargs.pop("password", PASSWORD)
        return model_class.objects.create_user(*args, password=password, **kwargs)

    @factory.post_generation
    def roles(self, create: bool, extracted: Sequence[tuple[str, Tenant | None]] | None, **kwargs: Any) -> None:
        for role, tenant in extracted or ():
            Membership.objects.create(user=self, role=role, tenant=tenant)


class ZoneFactory(factory.django.DjangoModelFactory):
    """A shared zone with one prefix: the n-th has 10.n.0.0/16 (``cidr`` for another)."""

    class Meta:
        model = Zone
        skip_postgeneration_save = True

    slug = factory.Sequence(lambda n: f"zone-{n}")
    name_en = factory.LazyAttribute(lambda zone: zone.slug.title())
    name_ko = factory.LazyAttribute(lambda zone: f"{zone.slug} 존")

    @factory.post_generation
    def cidr(self, create: bool, extracted: str | None, **kwargs: Any) -> None:
        number = Prefix.objects.count()
        Prefix.objects.create(zone=self, cidr=extracted or f"10.{number // 250}.{number % 250}.0/24")


class HostFactory(factory.django.DjangoModelFactory):
    """A host with inventories, baseline, key, certificate and a registered address, ``available`` unless ``to`` says otherwise.

    ``to`` ``None`` leaves it as it was registered: enrolled, nothing known of it.
    """

    class Meta:
        model = Host

    @classmethod
    def _create(cls, model_class: type[Host], *args: Any, **kwargs: Any) -> Host:
        sizes = {
            name: kwargs.pop(name, default) for name, default in (("vcpu", 8), ("memory_mb", 16384), ("disk_gb", 200))
        }
        traits = kwargs.pop("traits", ())
        to = kwargs.pop("to", HostState.AVAILABLE)
        zone = kwargs.pop("zone", None) or ZoneFactory()
        number = Host.objects.filter(zone=zone).count() + 11
        network = zone.prefixes.first().cidr.rpartition(".")[0]
        name = kwargs.pop("name", f"{zone.slug}-{number - 10:03}")
        now = kwargs.pop("now", NOW)
        host = pool.register_host(
            TESTER, name=name, zone=zone, address=kwargs.pop("address", f"{network}.{number}"), now=now, **kwargs
        )
        ipam.register_address(host, now=now, actor=TESTER)
        if to is None:
            return host
        pool.move_host(host, HostState.INSPECTING, actor=TESTER, now=now)
        pool.learn_key(host, public_key=public_key(f"{name} 1"), learnt_by="enrolment", now=now)
        pool.record_inspection(host, facts=sizes, traits=traits, baseline=BASELINE, now=now, actor=TESTER)
        pool.issue_certificate(
            host,
            method="enrolment",
            evidence={"baseline": host.baseline.digest},
            previous_holder=None,
            now=now,
            actor=TESTER,
        )
        if to != HostState.INSPECTING:
            pool.move_host(host, HostState.AVAILABLE, actor=TESTER, now=now, proven_clean=True)
        if to not in (HostState.INSPECTING, HostState.AVAILABLE):
            pool.move_host(host, to, actor=TESTER, now=now)
        return host


class OfferingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Offering

    slug = "postgresql"
    name_en = factory.LazyAttribute(lambda offering: offering.slug.title())
    name_ko = factory.LazyAttribute(lambda offering: f"{offering.slug} 상품")
    category = "database"
    icon = "database"
    publication = Publication.PUBLISHED


def manifest(slug: str = "postgresql", version: str = "1.0.0", **changes: Any) -> dict[str, Any]:
    """A small manifest that meets the format; ``changes`` replace top-level entries."""
    said: dict[str, Any] = {
        "manifest": 1, "slug": slug, "version": version, "engine": "15",
        "name": {"en": slug.title(), "ko": f"{slug} 상품"}, "summary": {"en": "A service.", "ko": "서비스입니다."},
        "category": "database", "icon": "database",
        "parameters": {
            "type": "object", "additionalProperties": False,
            "properties": {
                "database": {
                    "type": "string", "pattern": "^[a-z][a-z0-9_]{0,30}$", "maxLength": 31, "default": "appdb",
                    "x-immutable": True,
                    "x-title": {"en": "Database", "ko": "데이터베이스"}, "x-help": {"en": "Its name.", "ko": "이름입니다."},
                },
                "max_connections": {
                    "type": "integer", "minimum": 5, "maximum": 200, "default": 20,
                    "x-title": {"en": "Connections", "ko": "접속"}, "x-help": {"en": "At once.", "ko": "동시 접속입니다."},
                },
            },
        },
        "credentials": {
            "username": {"generate": "identifier", "prefix": "app_", "length": 8},
            "password": {"generate": "secret", "length": 32},
            "database": {"from_parameter": "database"},
        },
        "port": {"name": slug, "range": [20000, 29999]},
        "plans": [
            {
                "slug": "shared-small", "name": {"en": "Shared small", "ko": "공유 소형"}, "topology": "slice",
                "resources": {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}, "price_krw_month": 42000, "traits": [],
                "parameters": {"max_connections": {"maximum": 50}},
            },
            {
                "slug": "dedicated", "name": {"en": "Dedicated", "ko": "전용"}, "topology": "dedicated",
                "resources": {"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 100}, "price_krw_month": 400000, "traits": [],
                "parameters": {},
            },
        ],
        "steps": {"provision": 40, "verify": 5, "decommission": 20, "residue": 5},
        "playbooks": {"provision": "provision.yml", "verify": "verify.yml"},
        "residues": {"service": f"{slug}@{{unit}}.service", "paths": {"data": [f"/var/lib/{slug}/{{unit}}"]}},
        "operations": [
            {
                "name": name, "title": {"en": title, "ko": ko}, "about": {"en": f"{title} it.", "ko": f"{ko}합니다."},
                "verify": name == "start", "from": [begins], "to": ends, "seconds": 3,
            }
            for name, title, ko, begins, ends in (
                ("stop", "Stop", "정지", "active", "stopped"), ("start", "Start", "시작", "stopped", "active"),
            )
        ]
        + [
            {
                "name": "configure", "title": {"en": "Change settings", "ko": "설정 변경"},
                "about": {"en": "It takes them over.", "ko": "새 설정을 적용합니다."}, "playbook": "provision.yml",
                "sets": "parameters", "verify": True, "from": ["active"], "to": "active", "seconds": 3,
            }
        ],
        "connection": [{"label": "psql", "text": "psql -h {address} -p {port}"}],
    }  # fmt: skip
    return said | changes


class OfferingVersionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OfferingVersion

    offering = factory.SubFactory(OfferingFactory)
    version = "1.0.0"
    git_revision = "0" * 40
    digest = "0" * 64
    manifest = factory.LazyAttribute(lambda version: manifest(version.offering.slug, version.version))
    loaded_at = NOW


class PlanFactory(factory.django.DjangoModelFactory):
    """A published slice of 1 VCPU, 512 MB and 2 GB; ``dedicated=True`` for a whole host of at least 4, 8192 and 100."""

    class Meta:
        model = Plan

    class Params:
        dedicated = factory.Trait(
            slug="dedicated",
            topology=Plan.Topology.DEDICATED,
            isolation=Isolation.DEDICATED,
            resources={VCPU: 4, MEMORY_MB: 8192, DISK_GB: 100},
            price_krw_month=400_000,
        )

    version = factory.SubFactory(OfferingVersionFactory)
    offering = factory.SelfAttribute("version.offering")
    slug = "shared-small"
    name_en = factory.LazyAttribute(lambda plan: plan.slug.title())
    name_ko = factory.LazyAttribute(lambda plan: f"{plan.slug} 요금제")
    publication = Publication.PUBLISHED
    topology = Plan.Topology.SLICE
    resources = factory.LazyFunction(lambda: {VCPU: 1, MEMORY_MB: 512, DISK_GB: 2})
    price_krw_month = 42_000


class InstanceFactory(factory.django.DjangoModelFactory):
    """A pending instance that holds nothing yet. Give ``plan`` where more than one is made."""

    class Meta:
        model = ServiceInstance

    project = factory.SubFactory(ProjectFactory)
    tenant = factory.SelfAttribute("project.tenant")
    plan = factory.SubFactory(PlanFactory)
    version = factory.SelfAttribute("plan.version")
    name = factory.Sequence(lambda n: f"service-{n}")
    unit = factory.Sequence(lambda n: f"s{n:011}")
    created_at = NOW
    state_since = NOW
    responsible = factory.SelfAttribute("created_by")
    created_by = None


class LeaseFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Lease

    instance = factory.SubFactory(InstanceFactory)
    starts_at = NOW
    ends_at = NOW
    state_since = NOW


__all__ = [
    "BASELINE", "NOW", "SERVICES", "TESTER", "HostFactory", "InstanceFactory", "LeaseFactory", "OfferingFactory",
    "OfferingVersionFactory", "PlanFactory", "ProjectFactory", "Role", "TenantFactory", "UserFactory", "ZoneFactory",
    "acting", "manifest", "public_key",
]  # fmt: skip
