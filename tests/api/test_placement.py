"""Why here, why not, and what would make room, through the API; and what it says of stacks and of hosts that are shared."""

from collections.abc import Callable

from catalog.common.isolation import Isolation
from catalog.offerings.models import Plan
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Project, User
from tests.api.conftest import Caller, build, problem, wanted
from tests.factories import HostFactory, PlanFactory

SIZE = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}


def test_an_order_says_why_it_stands_where_it_does(
    developer: User, loan: Project, plan: Plan, zone_a: Zone, call: Callable[..., Caller]
) -> None:
    other = HostFactory(zone=zone_a, vcpu=64, memory_mb=262_144, disk_gb=4000)
    order = call(developer).post("/orders", wanted()).json()
    said = order["explanation"]
    assert (said["host"], said["runner_up"], said["where"]) == ("zone-a-001", other.name, "clean-host")
    assert {"code": "shortlist", "left": 2} in said["filters"]
    assert sum(each["chosen"] for each in said["weighers"]) < sum(each["runner_up"] for each in said["weighers"])
    assert said["words"][0] == "zone-a-001 in zone-a: a clean host."
    assert "It had to be: VCPU ≥ 1." in said["words"]
    weighed = [line for line in said["words"] if f"for {other.name}, the next best (the lower, the better)." in line]
    assert len(weighed) == len(said["weighers"])
    korean = call(developer, language="ko").get(f"/orders/{order['id']}").json()["explanation"]
    assert korean["words"][0] == "zone-a 존의 zone-a-001: 빈 서버."
    assert {name: value for name, value in korean.items() if name != "words"} == {
        name: value for name, value in said.items() if name != "words"
    }


def test_a_refusal_says_which_filter_left_nothing_and_what_would_help(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    PlanFactory(version=plan.version, slug="huge", resources={"VCPU": 512, "MEMORY_MB": 512, "DISK_GB": 2})
    refused = problem(call(developer).post("/orders", wanted(plan="huge")), 409, "no-capacity")
    assert "none passes: VCPU ≥ 512. A smaller plan fits now: shared-small." in refused["detail"]
    filters = [(each["filter"], each["left"]) for each in refused["explanation"]["filters"]]
    assert filters == [
        ("in a zone open to your affiliate", 1), ("free to take, or used by your affiliate", 1), ("DISK_GB ≥ 2", 1),
        ("MEMORY_MB ≥ 512", 1), ("VCPU ≥ 512", 0),
    ]  # fmt: skip
    assert refused["explanation"]["outlook"] == {
        "expected_at": None, "wipe_seconds": 0, "zones": [], "plans": ["shared-small"], "give_back": [],
    }  # fmt: skip


def test_who_waits_reads_why_and_when(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    PlanFactory(version=plan.version, slug="whole", dedicated=True, resources=SIZE, price_krw_month=1)
    dana = call(developer)
    build(dana.post("/orders", wanted(plan="whole", lease_seconds=3600)).json()["id"])
    order = dana.post("/orders", wanted(plan="whole", name="next-db", wait_for_capacity=True)).json()
    waiting = dana.get(f"/orders/{order['id']}").json()["waiting"]
    assert waiting["room_at"] is None
    assert waiting["expected_at"] is not None
    assert waiting["filters"][-1]["left"] == 0
    assert "wiping the host takes about 15 min." in waiting["why"]
    assert order["explanation"] == {}
    korean = call(developer, language="ko").get(f"/orders/{order['id']}").json()["waiting"]["why"]
    assert "서버를 파기하는 데 약 15분이 걸립니다." in korean


def test_a_stack_shows_its_members(
    developer: User, operator: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    HostFactory(zone=Zone.objects.get())
    roles = [
        {"name": "primary", "count": 1, "resources": SIZE},
        {"name": "replica", "count": 1, "resources": SIZE, "spread": "host", "apart_from": ["primary"]},
    ]
    total = {name: 2 * amount for name, amount in SIZE.items()}
    PlanFactory(version=plan.version, slug="pair", resources=total, roles=roles, isolation=Isolation.GROUP)
    dana = call(developer)
    shown = dana.get("/offerings/postgresql").json()["plans"]
    pair = next(each for each in shown if each["slug"] == "pair")
    assert pair["isolation"] == "group"
    assert pair["roles"][1] == {
        "name": "replica", "count": 1, "resources": SIZE, "traits": [], "spread": "host", "apart_from": ["primary"],
        "together_with": "",
    }  # fmt: skip
    order = dana.post("/orders", wanted(plan="pair")).json()
    assert [each["member"] for each in order["explanation"]["members"]] == ["primary", "replica"]
    assert any(line.startswith("replica: zone-a-00") for line in order["explanation"]["words"])
    instance = build(order["id"])
    endpoints = dana.get(f"/instances/{instance.pk}").json()["endpoints"]
    assert sorted(each["member"] for each in endpoints) == ["primary", "replica"]
    assert len({each["address"] for each in endpoints}) == 2
    host = call(operator).get(f"/hosts/{Host.objects.first().pk}").json()
    assert (host["sharing"], host["holder"], host["failed_builds"]) == ("group", None, 0)
