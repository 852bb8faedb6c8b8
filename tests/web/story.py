"""What happens behind the pages, told as the flows tell it: an order is taken up, its tasks run, it ends."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from catalog.audit.gate import Happening
from catalog.common import clock
from catalog.offerings.services import load_manifests
from catalog.orders import fulfilment, services
from catalog.orders.models import Order
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Project, Role, Tenant, User
from catalog.tenancy.policy import actor_for
from tests.factories import (
    SERVICES,
    TESTER,
    HostFactory,
    ProjectFactory,
    TenantFactory,
    UserFactory,
    ZoneFactory,
)

_names = count(1)


@dataclass
class Story:
    """Two affiliates, their people, two zones with hosts, and what the manifests put on sale."""

    capital: Tenant
    card: Tenant
    loan: Project
    points: Project
    dana: User
    arun: User
    otto: User
    mallory: User
    zone: Zone
    hosts: list[Host]

    def order(self, user: User | None = None, *, plan: str = "shared-small", name: str = "", **more: object) -> Order:
        """An order of PostgreSQL for the loan project, placed by Dana unless somebody else is named."""
        asked = {
            "project": self.loan, "offering": "postgresql", "plan": plan, "parameters": {}, "zone": None,
            "lease_seconds": 30 * 86_400, "idempotency_key": None,
        }  # fmt: skip
        now = clock.now()
        actor = actor_for(user or self.dana, now=now)
        return services.place(actor, **{**asked, "name": name or f"service-{next(_names)}", "now": now, **more})

    def begin(self, order: Order) -> None:
        """A run takes the order up."""
        order.refresh_from_db()
        fulfilment.begin(order.pk, order.attempt, None, clock.now())
        self.say(order, Happening("phase", {"phase": "provision"}))

    def say(self, order: Order, *happenings: Happening) -> None:
        """The run reports what it saw."""
        order.refresh_from_db()
        fulfilment.record(order.pk, order.attempt, happenings, clock.now())

    def task(
        self, order: Order, name: str, status: str, *, message: str | None = None, step: str = "provision"
    ) -> None:
        """One line of a playbook."""
        seconds = None if status == "started" else 1.25
        data = {
            "step": step, "play": "Build", "task": name, "host": self.hosts[0].name, "status": status,
            "seconds": seconds, "message": message,
        }  # fmt: skip
        self.say(order, Happening("task", data))

    def finish(self, order: Order) -> None:
        """Built and verified."""
        order.refresh_from_db()
        fulfilment.succeed_create(order.pk, order.attempt, outputs={}, now=clock.now())

    def built(self, **more: object) -> Order:
        """An order that has come to its end."""
        order = self.order(**more)
        self.begin(order)
        self.task(order, "Install the packages", "started")
        self.task(order, "Install the packages", "changed")
        self.finish(order)
        order.refresh_from_db()
        return order

    def fail(self, order: Order, *, code: str, detail: str) -> None:
        """The build failed and everything was undone."""
        order.refresh_from_db()
        now = clock.now()
        fulfilment.enter_undo(order.pk, order.attempt, code=code, detail=detail, now=now)
        fulfilment.undone(order.pk, order.attempt, residue={"clean": True}, now=now + timedelta(seconds=1))


def make_story() -> Story:
    """Everything fresh, in the test's database."""
    now = clock.now()
    load_manifests(SERVICES, git_revision="0" * 40, now=now, actor=TESTER, publish=True)
    capital = TenantFactory(slug="capital", name_en="Hanbit Capital", name_ko="한빛캐피탈")
    card = TenantFactory(slug="card", name_en="Hanbit Card", name_ko="한빛카드")
    insurance = TenantFactory(slug="insurance", name_en="Hanbit Life", name_ko="한빛생명")
    loan = ProjectFactory(tenant=capital, slug="loan", name="Lending Platform")
    points = ProjectFactory(tenant=card, slug="points", name="Points")
    ProjectFactory(tenant=insurance, slug="claims", name="Claims")
    north = ZoneFactory(slug="seoul-a", name_en="Seoul A", name_ko="서울 A존")
    south = ZoneFactory(slug="seoul-b", name_en="Seoul B", name_ko="서울 B존")
    hosts = [HostFactory(zone=zone, now=now) for zone in (north, north, south, south)]
    return Story(
        capital=capital, card=card, loan=loan, points=points, zone=north, hosts=hosts,
        dana=UserFactory(username="dana", first_name="Dana", last_name="Kim", roles=[(Role.DEVELOPER, capital)]),
        arun=UserFactory(username="arun", first_name="Arun", last_name="Lee", roles=[(Role.APPROVER, capital)]),
        otto=UserFactory(username="otto", first_name="Otto", last_name="Han", roles=[(Role.OPERATOR, None)]),
        mallory=UserFactory(
            username="mallory", roles=[(role, insurance) for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)]
        ),
    )  # fmt: skip
