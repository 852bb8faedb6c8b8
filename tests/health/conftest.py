"""The world of the orders' tests, with checks told as calls of the real services."""

import uuid
from datetime import datetime
from typing import Any

import pytest

from catalog.health import services
from catalog.health.models import Health, Outcome
from catalog.health.services import Check, Verdict
from catalog.instances.models import ServiceInstance
from tests.orders.world import World, make_world


@pytest.fixture
def world(db: Any) -> World:
    return make_world()


@pytest.fixture
def instance(world: World) -> ServiceInstance:
    return world.standing()


GOOD = Verdict(Outcome.HEALTHY)
BAD = Verdict(Outcome.FAILED, "Make sure your database answers, and only to the right password", "unreachable")
AWAY = Verdict(Outcome.UNKNOWN, code="host-silent")


def make_due(world: World) -> datetime:
    """Plan what is new, and let everything be due."""
    services.take("zone-a", uuid.uuid4(), now=world.now, limit=50)
    Health.objects.update(next_at=world.now, taken=None)
    return world.later(seconds=1)


def taken(world: World, limit: int = 50) -> list[Check]:
    """What a run gets when everything is due."""
    make_due(world)
    return services.take("zone-a", uuid.uuid4(), now=world.now, limit=limit)


def seen(world: World, verdict: Verdict) -> Health:
    """One service is checked; its row afterwards."""
    (check,) = taken(world)
    at = world.later(seconds=3)
    services.report(check.run, check.instance_id, check.state_since, verdict, now=at)
    return Health.objects.get(pk=check.instance_id)
