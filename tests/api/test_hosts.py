"""Operators at the API."""

from collections.abc import Callable

from catalog.dispatch.models import Job
from catalog.instances.models import ServiceInstance
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import User
from tests.api.conftest import Caller, problem


def test_register_enrols_at_once(operator: User, zone_a: Zone, call: Callable[..., Caller]) -> None:
    body = {"name": "a-1", "zone": "zone-a", "address": "10.0.0.11"}
    answer = call(operator).post("/hosts", body)
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert (shown["state"], shown["proven_clean"], shown["inventories"]) == ("inspecting", False, [])
    assert answer.headers["Location"] == f"/api/v1/hosts/{shown['id']}"
    assert Job.objects.get().flow == "enrol"


def test_refused_registrations_change_nothing(operator: User, host: Host, call: Callable[..., Caller]) -> None:
    otto = call(operator)
    body = {"name": "a-1", "zone": "zone-a", "address": "10.0.0.77"}
    for changes, status, code in (
        ({"name": host.name}, 409, "host-name-taken"),
        ({"address": host.address}, 409, "host-address-taken"),
        ({"name": "-x"}, 422, "bad-host-name"),
        ({"address": "10.0.0"}, 422, "bad-address"),
        ({"zone": "moon"}, 422, "zone-unknown"),
        ({"owner": "nobody"}, 422, "invalid-input"),
        ({"ssh_port": 0}, 422, "invalid-input"),
        ({"ssh_user": "-oProxyCommand=x"}, 422, "invalid-input"),
    ):
        problem(otto.post("/hosts", body | changes), status, code)
    assert list(Host.objects.all()) == [host]
    assert not Job.objects.exists()


def test_quarantine_leaves_by_two_people(
    operator: User, second_operator: User, host: Host, call: Callable[..., Caller]
) -> None:
    otto, olga, where = call(operator), call(second_operator), f"/hosts/{host.pk}"
    shown = otto.post(f"{where}/quarantine", {"reason": "smells of smoke"}).json()
    assert (shown["state"], shown["state_reason"]) == ("quarantined", "smells of smoke")
    problem(otto.post(f"{where}/resume"), 409, "state-conflict")
    assert otto.post(f"{where}/wipe").json()["state"] == "quarantined"
    problem(otto.post(f"{where}/wipe"), 409, "second-person-needed")
    assert olga.post(f"{where}/wipe").json()["state"] == "wiping"
    events = otto.get(f"{where}/events").json()
    assert [event["seq"] for event in events["results"]] == list(range(1, len(events["results"]) + 1))
    assert events["state"] == "wiping"


def test_maintenance_and_back_through_a_wipe(operator: User, host: Host, call: Callable[..., Caller]) -> None:
    otto, where = call(operator), f"/hosts/{host.pk}"
    assert otto.post(f"{where}/maintenance", {"reason": "new disk"}).json()["state"] == "maintenance"
    assert otto.post(f"{where}/resume").json()["state"] == "wiping"


def test_host_in_use_is_left_alone(
    running: ServiceInstance, operator: User, host: Host, call: Callable[..., Caller]
) -> None:
    otto = call(operator)
    for deed in ("wipe", "maintenance", "retire"):
        problem(otto.post(f"/hosts/{host.pk}/{deed}"), 409, "host-in-use")
    shown = otto.get(f"/hosts/{host.pk}").json()
    assert (shown["state"], shown["holder"], shown["proven_clean"]) == ("in_use", "capital", False)
    assert {row["resource_class"]: row["used"] for row in shown["inventories"]} == {
        "DISK_GB": 2,
        "MEMORY_MB": 512,
        "VCPU": 1,
    }


def test_certificates_are_checked_when_shown(operator: User, host: Host, call: Callable[..., Caller]) -> None:
    otto = call(operator)
    row = otto.get(f"/hosts/{host.pk}/certificates").json()["results"][0]
    assert (row["generation"], row["method"], row["valid"]) == (1, "enrolment", True)
    host.certificates.update(evidence={"baseline": "forged"})
    assert otto.get(f"/hosts/{host.pk}/certificates").json()["results"][0]["valid"] is False


def test_filters(operator: User, host: Host, call: Callable[..., Caller]) -> None:
    otto = call(operator)
    assert len(otto.get("/hosts", state="available", zone="zone-a").json()["results"]) == 1
    assert otto.get("/hosts", zone="zone-b").json()["results"] == []


def test_local_zone_of_another_is_not_listed(
    zone_a: Zone, developer: User, mallory: User, operator: User, call: Callable[..., Caller]
) -> None:
    tenant = developer.memberships.get().tenant
    Zone.objects.create(slug="cellar", name_ko="지하", name_en="Cellar", kind=Zone.Kind.LOCAL, tenant=tenant)

    def names(user: User) -> list[str]:
        return [row["slug"] for row in call(user).get("/zones").json()["results"]]

    assert (names(developer), names(mallory), names(operator)) == (
        ["cellar", "zone-a"], ["zone-a"], ["cellar", "zone-a"],
    )  # fmt: skip
