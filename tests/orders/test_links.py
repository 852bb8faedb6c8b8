"""A service that uses others is told how to reach them, and none of them goes first."""

from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.instances import links
from catalog.instances.errors import LinkInvalid, LinksNotTaken, LinkUnknown, StillUsed
from catalog.instances.models import ServiceInstance, ServiceLink
from catalog.offerings.models import Plan
from catalog.orders import fulfilment, services
from catalog.orders.content import shown_to_approver
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.tenancy.policy import system
from tests.orders.world import World, holdings

pytestmark = pytest.mark.django_db


@pytest.fixture
def app(world: World) -> Plan:
    """A plan whose services may use two others; they have a secret among themselves, too."""
    plan = Plan.objects.get(slug="shared-small")
    plan.version.manifest["links"] = 2
    plan.version.manifest["credentials"]["cluster"] = {"generate": "secret", "length": 32, "internal": True}
    plan.version.save(update_fields=["manifest"])
    return plan


def test_it_is_told_how_to_reach_what_it_uses(world: World, app: Plan) -> None:
    database = world.standing("loan-db")
    order = world.place("loan-app", links={"DB": "loan-db"})
    assignment = world.begin(order)
    public = database.bindings.get().public
    given = services.reveal(world.developer, database, now=world.now)
    assert assignment.values["bindings"] == {
        "DB": {name.upper(): str(value) for name, value in given.items()} | {"HOST": public["address"]}
    }
    assert given["password"] in assignment.secrets
    assert "CLUSTER" not in assignment.values["bindings"]["DB"]
    entry = AuditEntry.objects.get(action="binding.linked")
    assert (entry.actor, entry.subject_id) == (world.developer.name, str(database.pk))
    assert entry.after == {"consumer": str(order.instance_id), "alias": "DB"}


def test_what_is_used_does_not_go_first(world: World, app: Plan) -> None:
    database = world.standing("loan-db")
    order = world.place("loan-app", links={"DB": "loan-db", "SECOND": "loan-db"})
    world.begin(order)
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=5))
    before = holdings()
    with pytest.raises(StillUsed) as refused:
        services.give_back(world.developer, database, now=world.now)
    assert "loan-app" in str(refused.value.detail)
    assert holdings() == before
    consumer = ServiceInstance.objects.get(name="loan-app")
    assert links.dependents(consumer) == []
    world.given_back(services.give_back(world.developer, consumer, now=world.now))
    assert links.dependents(database) == []
    assert services.give_back(world.developer, database, now=world.now).kind == "decommission"


def test_the_end_of_a_lease_asks_nobody(world: World, app: Plan) -> None:
    database = world.standing("loan-db")
    world.place("loan-app", links={"DB": "loan-db"})
    assert services.give_back(system("lease"), database, now=world.now).state == OrderState.DISPATCHED


def test_what_is_gone_is_left_out(world: World, app: Plan) -> None:
    database = world.standing("loan-db")
    order = world.place("loan-app", links={"DB": "loan-db"})
    world.given_back(services.give_back(system("lease"), database, now=world.now))
    assert "bindings" not in world.begin(order).values


def test_the_approver_agrees_to_what_it_uses(world: World, app: Plan) -> None:
    world.standing("loan-db")
    orders = [world.place(name, links=used).pk for name, used in (("one", {"DB": "loan-db"}), ("none", {}))]

    def shown() -> list[str]:
        return [shown_to_approver(Order.objects.get(pk=pk)) for pk in orders]

    before = shown()
    ServiceLink.objects.all().delete()
    after = shown()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)


def test_no_two_names_have_one_alias() -> None:
    names = ["a" * 39 + "b", "a" * 39 + "c", "a" * 38 + "-d"]
    assert len({links.alias_of(name) for name in names}) == 3
    assert all(links.ALIAS.match(links.alias_of(name)) for name in names)


@pytest.mark.parametrize(
    ("used", "refusal", "field"),
    [
        ({"db": "loan-db"}, LinkInvalid, "links.db"),
        ({"1DB": "loan-db"}, LinkInvalid, "links.1DB"),
        ({"D" * 41: "loan-db"}, LinkInvalid, f"links.{'D' * 41}"),
        ({"DB": "nobody"}, LinkUnknown, "links.DB"),
        ({"DB": "pending"}, LinkUnknown, "links.DB"),
        ({"DB": "elsewhere"}, LinkUnknown, "links.DB"),
        ({"A": "loan-db", "B": "loan-db", "C": "loan-db"}, LinksNotTaken, "links"),
    ],
)
def test_bad_links_change_nothing(
    world: World, app: Plan, used: dict[str, str], refusal: type[DomainError], field: str
) -> None:
    world.standing("loan-db")
    world.place("pending")
    world.place("elsewhere", actor=world.stranger, project=world.other_project)
    before = holdings()
    with pytest.raises(refusal) as refused:
        world.place("loan-app", links=used)
    assert list(refused.value.fields) == [field]
    assert holdings() == before
    assert not ServiceLink.objects.exists()


def test_a_service_that_uses_none_takes_none(world: World) -> None:
    world.standing("loan-db")
    with pytest.raises(LinksNotTaken):
        world.place("loan-app", links={"DB": "loan-db"})


def test_one_who_may_not_see_credentials_cannot_have_them_used(world: World, app: Plan) -> None:
    database = world.standing("loan-db")
    assert list(links.usable(world.developer, database.project)) == [database]
    for stranger in (world.stranger, world.operator):
        assert list(links.usable(stranger, database.project)) == []


def test_the_same_key_with_other_links_is_another_request(world: World, app: Plan) -> None:
    world.standing("loan-db")
    asked: dict[str, Any] = {"idempotency_key": "k", "links": {"DB": "loan-db"}}
    first = world.place("loan-app", **asked)
    assert world.place("loan-app", **asked).pk == first.pk
    with pytest.raises(DomainError) as refused:
        world.place("loan-app", **asked | {"links": {"OTHER": "loan-db"}})
    assert refused.value.code == "idempotency-key-reused"
