"""The main job, whole: order, use, lease end, give-back, wipe, and the next affiliate on the same host."""

import time

import pytest

from catalog.stack.client import ApiError
from tests.e2e.acts import Acts, psql, redis_cli, tasks
from tests.harness.stack import until
from tests.playbooks.slices import manifest

pytestmark = [pytest.mark.stack, pytest.mark.rack]


def test_postgresql_comes_back_on_its_own_and_the_next_affiliate_gets_the_host(acts: Acts) -> None:
    stack = acts.stack
    began = acts.order("minji", "postgresql", lease_seconds=15, parameters={"comment": "{{ 7 * 7 }} $(id) '한글'"})
    order = stack.a.get(f"/orders/{began['id']}")
    assert (order["offering"], len(order["git_revision"])) == ("postgresql", 40)
    assert order["manifest_version"] == manifest("postgresql")["version"]
    database = acts.delivered("minji", began)
    wrote = psql(database.access, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2); SELECT count(*) FROM t;")
    assert (wrote.returncode, wrote.stdout.strip()) == (0, "2")
    said = psql(
        database.access,
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database();",
    )
    assert said.stdout.strip() == "{{ 7 * 7 }} $(id) '한글'"
    assert psql(database.access, "SELECT 1;", password="wrong").returncode != 0
    steps = {task["step"] for task in tasks(stack.a, began)}
    assert steps == {"provision", "verify"}
    assert database.access["password"] not in str(stack.a.get(f"/orders/{began['id']}/events", after=0))

    # Nobody touches anything: the lease ends, the service goes, the host is wiped.
    host = acts.available_again(database.place)
    back = next(row for row in stack.a.every("/orders", kind="decommission") if row["instance"] == database.id)
    assert (back["state"], back["requested_by"]) == ("fulfilled", None)
    certificates = list(stack.operator.every(f"/hosts/{host['id']}/certificates"))
    newest = max(certificates, key=lambda row: row["generation"])
    assert (newest["generation"], newest["method"], newest["previous_holder"], newest["valid"]) == (
        host["generation"], "reimage", "capital", True,
    )  # fmt: skip
    assert psql(database.access, "SELECT 1;").returncode != 0
    acts.nothing_left(database)

    # The other host of the zone is set aside, so the next affiliate's order must land on this one.
    for row in stack.operator.every("/hosts", zone="zone-a"):
        if row["name"] != database.place.name:
            stack.operator.post(f"/hosts/{row['id']}/maintenance", {"reason": "test"})
    cache = acts.service("seoyeon", "redis")
    assert cache.place == database.place
    assert redis_cli(cache.access, "SET k 42\nGET k\n").stdout.split() == ["OK", "42"]
    acts.nothing_left(database)
    for row in stack.operator.every("/hosts", state="maintenance"):
        stack.operator.post(f"/hosts/{row['id']}/resume")
    acts.give_back("seoyeon", cache)
    acts.available_again(cache.place)
    acts.nothing_left(cache)
    stack.books()


@pytest.mark.long
def test_slices_of_one_affiliate_share_a_host_and_go_one_by_one(acts: Acts) -> None:
    first = acts.service("minji", "redis")
    second = acts.service("minji", "postgresql")
    assert first.place == second.place
    acts.give_back("minji", first)
    acts.nothing_left(first)
    assert redis_cli(first.access, "PING\n").stdout.strip() != "PONG"
    assert psql(second.access, "SELECT 1;").stdout.strip() == "1"
    assert acts.stack.host(second.place.name)["state"] == "in_use"
    with pytest.raises(ApiError) as refusal:
        acts.stack.a.post(f"/instances/{first.id}/give-back", {"reason": "again"})
    assert refusal.value.code == "already-giving-back"
    acts.give_back("minji", second)
    acts.available_again(second.place)
    acts.stack.books()


@pytest.mark.long
def test_cancelling_stops_the_playbook_and_undoes_it(acts: Acts) -> None:
    order = acts.order("minji", "postgresql")
    acts.first_task("minji", order)
    asked = time.monotonic()
    acts.stack.a.post(f"/orders/{order['id']}/cancel")
    ended = acts.end_of("minji", order)
    assert ended["state"] == "cancelled"
    assert time.monotonic() - asked < 60
    instance = acts.stack.a.get(f"/instances/{order['instance']}")
    assert instance["state"] == "failed"
    acts.stack.all_back()
    acts.stack.books()
    with pytest.raises(ApiError) as refusal:
        acts.stack.a.post(f"/orders/{order['id']}/cancel")
    assert refusal.value.code == "order-ended"


@pytest.mark.long
def test_a_host_that_loses_power_during_the_build_is_wiped_and_nothing_stays_claimed(acts: Acts) -> None:
    order = acts.order("minji", "postgresql")
    acts.first_task("minji", order)
    instance = acts.stack.a.get(f"/instances/{order['instance']}")
    place = acts.stack.host_of(instance)
    acts.stack.hardware.off(place.name)
    until(
        "the order failed",
        lambda: acts.stack.a.get(f"/orders/{order['id']}")["state"] == "failed",
        within=420,
    )
    acts.available_again(place)
    acts.stack.books()
