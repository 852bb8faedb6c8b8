"""What the API says of the health of services."""

import uuid
from collections.abc import Callable

from catalog.health import services
from catalog.health.models import Health
from catalog.instances.models import ServiceInstance
from catalog.tenancy.models import User
from tests.api.conftest import Caller
from tests.factories import NOW
from tests.health.conftest import BAD

Call = Callable[..., Caller]


def test_health_stands_with_the_service_and_its_history_with_the_details(
    running: ServiceInstance, developer: User, call: Call
) -> None:
    dana = call(developer)
    empty = dana.get(f"/instances/{running.pk}").json()
    assert (empty["health"]["outcome"], empty["health"]["checked_at"], empty["health_history"]) == ("", None, [])
    run = uuid.uuid4()
    Health.objects.create(instance=running, next_at=NOW, taken=run)
    assert services.report(run, running.pk, running.state_since, BAD, now=NOW)
    (listed,) = dana.get("/instances").json()["results"]
    said = dana.get(f"/instances/{running.pk}").json()
    assert listed["health"] == said["health"]
    assert {name: said["health"][name] for name in ("outcome", "failures", "unknown_reason", "unknown_since")} == {
        "outcome": "failed", "failures": 1, "unknown_reason": "", "unknown_since": None,
    }  # fmt: skip
    assert said["health"]["reason"].endswith("unreachable")
    assert [(each["outcome"], each["checks"]) for each in said["health_history"]] == [("failed", 1)]
    ServiceInstance.objects.update(state="stopped")
    assert dana.get(f"/instances/{running.pk}").json()["health"]["next_at"] is None
