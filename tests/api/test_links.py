"""Services that use others, at the API."""

from collections.abc import Callable

from catalog.instances.models import ServiceInstance, ServiceLink
from catalog.offerings.models import Plan
from catalog.tenancy.models import User
from tests.api.conftest import Caller, build, problem, wanted


def test_a_service_says_what_it_uses_and_by_whom_it_is_used(
    running: ServiceInstance, plan: Plan, developer: User, call: Callable[..., Caller]
) -> None:
    plan.version.manifest["links"] = 1
    plan.version.save(update_fields=["manifest"])
    dana = call(developer)
    answer = dana.post("/orders", wanted(name="loan-app", links={"DB": "loan-db"}))
    assert answer.status_code == 201
    consumer = build(answer.json()["id"])
    said = dana.get(f"/instances/{consumer.pk}").json()
    assert (said["links"], said["used_by"]) == ({"DB": "loan-db"}, [])
    said = dana.get(f"/instances/{running.pk}").json()
    assert (said["links"], said["used_by"]) == ({}, ["loan-app"])
    refused = problem(dana.post(f"/instances/{running.pk}/give-back", {}), 409, "still-used")
    assert "loan-app" in refused["detail"]


def test_links_that_do_not_fit_are_named(
    running: ServiceInstance, plan: Plan, developer: User, call: Callable[..., Caller]
) -> None:
    dana = call(developer)
    problem(dana.post("/orders", wanted(name="loan-app", links={"DB": "loan-db"})), 422, "links-not-taken")
    plan.version.manifest["links"] = 1
    plan.version.save(update_fields=["manifest"])
    said = problem(dana.post("/orders", wanted(name="loan-app", links={"db": "loan-db"})), 422, "link-invalid")
    assert list(said["fields"]) == ["links.db"]
    problem(dana.post("/orders", wanted(name="loan-app", links={"DB": "nobody"})), 422, "link-unknown")
    problem(dana.post("/orders", wanted(name="loan-app", links=["loan-db"])), 422, "invalid-input")
    assert not ServiceLink.objects.exists()
