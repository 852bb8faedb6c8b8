"""One process of the minute under fire: ``seed``, ``fire <number> <threads> <seconds> <turns>``, ``watch`` or ``end``.

Everything goes through the services that people's orders go through, against the database that ``DATABASE_URL`` names.
"""

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.conf import settings  # noqa: E402  # everything below needs the applications
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402

from catalog.common.clock import now  # noqa: E402
from catalog.common.errors import DomainError  # noqa: E402
from catalog.common.isolation import Isolation  # noqa: E402
from catalog.ipam.models import Endpoint  # noqa: E402
from catalog.orders import services  # noqa: E402
from catalog.orders.models import Order  # noqa: E402
from catalog.orders.states import OrderState  # noqa: E402
from catalog.placement.models import Allocation, Holding  # noqa: E402
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Host, Inventory  # noqa: E402
from catalog.quotas.books import drift  # noqa: E402
from catalog.quotas.models import Loan, Quota  # noqa: E402
from catalog.tenancy.models import Project, Role  # noqa: E402
from catalog.tenancy.policy import Actor, actor_for  # noqa: E402
from tests.factories import (  # noqa: E402
    HostFactory,
    OfferingVersionFactory,
    PlanFactory,
    ProjectFactory,
    TenantFactory,
    UserFactory,
    ZoneFactory,
    manifest,
)
from tests.fire import HOSTS, KEPT, PLANS, PORTS, REFUSALS, TENANTS, ZONES  # noqa: E402


def seed() -> None:
    """Four affiliates: one may hold little, and one must borrow. Two zones of three hosts, and plans of every kind."""
    call_command("migrate", verbosity=0)
    guaranteed = [{VCPU: 40, MEMORY_MB: 40_000, DISK_GB: 400}] * (TENANTS - 2)
    guaranteed += [{VCPU: 5, MEMORY_MB: 5000, DISK_GB: 50}, {VCPU: 0, MEMORY_MB: 0, DISK_GB: 0}]
    for number, amounts in enumerate(guaranteed):
        tenant = TenantFactory(slug=f"affiliate-{number}", quota=amounts)
        ProjectFactory(tenant=tenant, slug="fire")
        UserFactory(username=f"person-{number}", roles=[(Role.DEVELOPER, tenant)])
    Quota.objects.filter(guaranteed__gte=40).update(lend_limit=10_000)
    Quota.objects.filter(guaranteed=0).update(borrow_limit=10_000)
    said = manifest(port={"name": "postgresql", "range": list(PORTS)})
    version = OfferingVersionFactory(manifest=said)
    PlanFactory(version=version, slug="small", resources={VCPU: 1, MEMORY_MB: 1000, DISK_GB: 10})
    PlanFactory(version=version, slug="large", resources={VCPU: 4, MEMORY_MB: 2000, DISK_GB: 20})
    node = {"VCPU": 2, "MEMORY_MB": 1000, "DISK_GB": 10}
    PlanFactory(
        version=version, slug="pair", resources={name: 2 * amount for name, amount in node.items()},
        roles=[{"name": "node", "count": 2, "resources": node, "spread": "host"}],
    )  # fmt: skip
    PlanFactory(
        version=version, slug="common", resources={VCPU: 2, MEMORY_MB: 2000, DISK_GB: 20}, isolation=Isolation.GROUP
    )
    PlanFactory(version=version, dedicated=True, resources={VCPU: 8, MEMORY_MB: 8000, DISK_GB: 80}, price_krw_month=1)
    for zone in ZoneFactory.create_batch(ZONES):
        HostFactory.create_batch(HOSTS, zone=zone, vcpu=10, memory_mb=10_000, disk_gb=100)


class Client:
    """One customer: orders, cancels, orders again."""

    def __init__(self, number: int) -> None:
        self.draw = random.Random(number)
        self.name = f"c{number}-{os.getpid()}"
        self.project = Project.objects.select_related("tenant").order_by("tenant__slug")[number % TENANTS]
        self.actor: Actor = actor_for(
            self.project.tenant.memberships.get(role=Role.DEVELOPER).user, now=now(), source="fire"
        )
        self.held: list[Order] = []
        self.said: Counter[str] = Counter()

    def order(self) -> None:
        plan = self.draw.choices(list(PLANS), weights=list(PLANS.values()))[0]
        try:
            placed = services.place(
                self.actor, project=self.project, offering="postgresql", plan=plan,
                name=f"{self.name}-{self.said.total()}", parameters={}, zone=None, lease_seconds=3600,
                idempotency_key=None, now=now(),
            )  # fmt: skip
        except DomainError as error:
            if error.code not in REFUSALS:
                raise
            self.said[error.code] += 1
        else:
            self.said[plan] += 1
            self.held.append(placed)

    def cancel(self) -> None:
        services.cancel(self.actor, self.held.pop(self.draw.randrange(len(self.held))), now=now())
        self.said["cancelled"] += 1

    def work(self, until: float, turns: int) -> Counter[str]:
        """Go on until then, and for at least so many turns; then give everything back."""
        try:
            while time.monotonic() < until or turns > 0:
                turns -= 1
                if len(self.held) >= KEPT or (self.held and self.draw.random() < 0.4):
                    self.cancel()
                else:
                    self.order()
            while self.held:
                self.cancel()
            return self.said
        finally:
            connections.close_all()


def _tell_when_under_fire(clients: list[Client]) -> None:
    """Say so once every client has made its first order. Never, where one has not within two minutes."""
    end = time.monotonic() + 120
    while not all(client.said.total() for client in clients):
        if time.monotonic() > end:
            return
        time.sleep(0.05)
    print("under fire", flush=True)


def fire(number: int, threads: int, seconds: float, turns: int) -> None:
    """``threads`` clients at once; prints what they met, counted. Anything but a refusal that is expected ends it loudly."""
    clients = [Client(number * threads + each) for each in range(threads)]
    connections.close_all()
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(threads + 1) as pool:
        pool.submit(_tell_when_under_fire, clients)
        said = sum(pool.map(lambda client: client.work(until, turns), clients), Counter[str]())
    print(json.dumps(said), flush=True)


def watch() -> None:
    """Look at the books again and again, each time at one instant; prints how often, once its input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    looks = 0
    print("ready", flush=True)
    while not ended.is_set():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = [str(each) for each in drift()]
            assert not found, found
            twice = Endpoint.objects.filter(released_at__isnull=True).values_list("address", "port")
            assert len(set(twice)) == len(twice)
        looks += 1
    print(json.dumps(looks), flush=True)


def end() -> None:
    """Cancel what killed clients left; prints how many that were, and everything that is still held then."""
    left = Order.objects.exclude(state=OrderState.CANCELLED)
    owned = set(Order.objects.filter(state=OrderState.DISPATCHED).values_list("instance", flat=True))
    orphans = Allocation.objects.filter(released_at__isnull=True).exclude(instance__in=owned).count()
    unfinished = {str(state) for state in left.values_list("state", flat=True)}
    canceller = {project.tenant_id: Client(number).actor for number, project in enumerate(_projects())}
    cancelled = 0
    for order in left.filter(state=OrderState.DISPATCHED):
        services.cancel(canceller[order.tenant_id], order, now=now())
        cancelled += 1
    print(
        json.dumps(
            {
                "left by the killed": cancelled, "states": sorted(unfinished), "allocations nobody owns": orphans,
                "drift": [str(each) for each in drift()],
                "allocations": Allocation.objects.filter(released_at__isnull=True).count(),
                "used": sum(Inventory.objects.values_list("used", flat=True)),
                "held": sum(Holding.objects.values_list("used", flat=True)),
                "ports": Endpoint.objects.filter(released_at__isnull=True).count(),
                "loans": Loan.objects.filter(ended_at__isnull=True).count(),
                "hosts": dict(Counter(Host.objects.values_list("state", flat=True))),
            }
        )
    )  # fmt: skip


def _projects() -> list[Project]:
    return list(Project.objects.order_by("tenant__slug"))


def main() -> None:
    what, *words = sys.argv[1:]
    settings.PORT_REST_SECONDS = 0
    if what == "fire":
        fire(int(words[0]), int(words[1]), float(words[2]), int(words[3]))
    else:
        {"seed": seed, "watch": watch, "end": end}[what]()


if __name__ == "__main__":
    main()
