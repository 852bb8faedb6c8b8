"""One process of the claims bench: ``seed <hosts>``, ``claim <number> <seconds> [--whole]`` or ``check``."""

import json
import os
import random
import sys
import time
import uuid
from datetime import timedelta
from itertools import product

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from catalog.common.clock import now  # noqa: E402
from catalog.common.isolation import Isolation  # noqa: E402
from catalog.instances.models import ServiceInstance  # noqa: E402
from catalog.instances.states import InstanceState  # noqa: E402
from catalog.ipam.models import IPAddress, Prefix  # noqa: E402
from catalog.ipam.services import claim_endpoint  # noqa: E402
from catalog.leases.models import Lease  # noqa: E402
from catalog.offerings.models import Offering, OfferingVersion, Plan, Publication  # noqa: E402
from catalog.placement.errors import NoCapacity  # noqa: E402
from catalog.placement.market import reprice  # noqa: E402
from catalog.placement.members import Member  # noqa: E402
from catalog.placement.models import Allocation, Holding  # noqa: E402
from catalog.placement.services import place_all  # noqa: E402
from catalog.pool.models import ANYONE, DISK_GB, MEMORY_MB, VCPU, Host, Inventory, Trait, Zone  # noqa: E402
from catalog.pool.states import HostState  # noqa: E402
from catalog.quotas.books import drift  # noqa: E402
from catalog.quotas.models import Quota  # noqa: E402
from catalog.quotas.services import borrow, check_and_lock  # noqa: E402
from catalog.tenancy.models import Project, Tenant  # noqa: E402
from catalog.tenancy.policy import system  # noqa: E402

SIZE = {VCPU: 16, MEMORY_MB: 65536, DISK_GB: 1000}
WANTED = {VCPU: 1, MEMORY_MB: 2048, DISK_GB: 20}
TENANTS = 4
TRAITS = {"nvme": 0.5, "gpu": 0.1, "nic100g": 0.3, "licensed": 0.2}
BENCH = system("bench")


def seed(hosts: int) -> None:
    """Two zones; of every two hosts one is clean and one held by an affiliate, used by up to three quarters for 60 days."""
    call_command("migrate", verbosity=0)
    at = now()
    draw = random.Random(hosts)
    zones = [Zone.objects.create(slug=f"zone-{n}", name_en=f"Zone {n}", name_ko=f"존 {n}") for n in "ab"]
    prefixes = [Prefix.objects.create(zone=zone, cidr=f"10.{16 * n}.0.0/12") for n, zone in enumerate(zones)]
    tenants = [Tenant.objects.create(slug=f"tenant-{n}", name_en=f"T{n}", name_ko=f"T{n}") for n in range(TENANTS)]
    Quota.objects.bulk_create(Quota(tenant=t, resource_class=name, guaranteed=10**9) for t in tenants for name in SIZE)
    offering = Offering.objects.create(slug="bench", name_en="Bench", name_ko="벤치", category="database")
    version = OfferingVersion.objects.create(
        offering=offering, version="1.0.0", git_revision="", digest="", manifest={}, loaded_at=at
    )
    plan = Plan.objects.create(
        offering=offering, version=version, slug="slice", name_en="Slice", name_ko="조각", topology="slice",
        resources=WANTED, price_krw_month=0,
    )  # fmt: skip
    for number, (traits, times) in enumerate(
        product(([], ["nvme"], ["gpu"], ["nic100g", "nvme"], ["licensed"]), (1, 2, 4, 8))
    ):
        Plan.objects.create(
            offering=offering, version=version, slug=f"other-{number}", name_en="Other", name_ko="다른 것", traits=traits,
            resources={name: times * amount for name, amount in WANTED.items()}, publication=Publication.PUBLISHED,
            topology="slice", price_krw_month=0,
        )  # fmt: skip
    known = [Trait.objects.create(name=name) for name in TRAITS]
    projects = [Project.objects.create(tenant=tenant, slug="bench", name="Bench") for tenant in tenants]
    has = Host.traits.through
    rows: dict[type, list[object]] = {
        Host: [],
        Inventory: [],
        IPAddress: [],
        ServiceInstance: [],
        Allocation: [],
        Lease: [],
        has: [],
    }
    held = {(tenant.pk, zone.pk, name): 0 for tenant in tenants for zone in zones for name in SIZE}
    for number in range(hosts):
        side = number % 2
        owner = draw.randrange(TENANTS) if number // 2 % 2 else None
        tenant = tenants[owner] if owner is not None else None
        address = f"10.{16 * side + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        host = Host(
            name=f"host-{number:06}", zone=zones[side], state=HostState.IN_USE if tenant else HostState.AVAILABLE,
            holder=tenant, proven_clean=tenant is None, address=address, state_since=at, enrolled_at=at,
        )  # fmt: skip
        share = draw.randint(1, 12) if tenant else 0
        rows[Host].append(host)
        rows[has] += [has(host=host, trait=trait) for trait in known if draw.random() < TRAITS[trait.name]]
        rows[IPAddress].append(IPAddress(prefix=prefixes[side], address=address, host=host))
        if owner is not None and tenant is not None:
            instance = _instance(projects[owner], plan, f"seeded-{number}")
            instance.state = InstanceState.ACTIVE
            rows[ServiceInstance].append(instance)
            ends = at + timedelta(hours=draw.randint(1, 1440))
            rows[Lease].append(Lease(instance=instance, state_since=at, starts_at=at, ends_at=ends))
        for name, total in SIZE.items():
            rows[Inventory].append(
                Inventory(
                    host=host, zone=zones[side], open_to=tenant.pk if tenant else ANYONE, resource_class=name,
                    total=total, used=share * WANTED[name],
                )
            )  # fmt: skip
            if tenant is not None:
                amount = share * WANTED[name]
                held[tenant.pk, zones[side].pk, name] += amount
                rows[Allocation].append(
                    Allocation(instance=instance, host=host, resource_class=name, amount=amount, created_at=at)
                )
    for model, made in rows.items():
        model._default_manager.bulk_create(made, batch_size=2000)  # type: ignore[attr-defined]
    Holding.objects.bulk_create(
        Holding(tenant_id=pk, zone_id=zone, resource_class=name, used=used) for (pk, zone, name), used in held.items()
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    began = time.process_time()
    reprice(at)
    print(json.dumps({"pricing_cpu": time.process_time() - began}))


def _instance(project: Project, plan: Plan, name: str) -> ServiceInstance:
    at = now()
    return ServiceInstance(
        project=project, tenant_id=project.tenant_id, plan=plan, version_id=plan.version_id, name=name,
        unit=f"s{uuid.uuid4().hex[:11]}", created_at=at, state_since=at,
    )  # fmt: skip


def claim(number: int, seconds: float, *, whole: bool) -> None:
    """Say ready, wait for the word, claim until the time is over, report."""
    project = list(Project.objects.select_related("tenant").order_by("tenant__slug"))[number % TENANTS]
    plan = Plan.objects.get(slug="slice")
    done, refused, latencies, count = 0, 0, [], 0
    with transaction.atomic():
        # A server that has been up for a minute is warm.
        _claim_once(project, plan, f"warm-{number}", whole=whole)
        transaction.set_rollback(True)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, started = time.process_time(), time.perf_counter()
    while (begun := time.perf_counter()) - started < seconds:
        count += 1
        try:
            with transaction.atomic():
                _claim_once(project, plan, f"client-{number}-{count}", whole=whole)
        except NoCapacity:
            refused += 1
            continue
        done += 1
        latencies.append(time.perf_counter() - begun)
    used = {"cpu": time.process_time() - cpu, "elapsed": time.perf_counter() - started}
    print(json.dumps({"claims": done, "refused": refused, "latencies": latencies, **used}), flush=True)
    sys.stdin.read()


def _claim_once(project: Project, plan: Plan, name: str, *, whole: bool) -> None:
    """What an order claims when it is approved, in the caller's transaction."""
    checked = check_and_lock(project.tenant, WANTED, now=now())
    instance = _instance(project, plan, name)
    instance.save(force_insert=True)
    (placed,) = place_all(
        instance, [Member(WANTED)], tenant=project.tenant, zone=None, until=now() + timedelta(days=30), now=now(), actor=BENCH,
        isolation=Isolation.DEDICATED if whole else Isolation.AFFILIATE,
    )  # fmt: skip
    borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=now())
    claim_endpoint(instance, placed.host, port_range=(20000, 29999), now=now())


def main() -> None:
    what, *words = sys.argv[1:]
    if what == "seed":
        seed(int(words[0]))
    elif what == "claim":
        claim(int(words[0]), float(words[1]), whole="--whole" in words)
    else:
        found = drift()
        for each in found:
            print(each)
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
