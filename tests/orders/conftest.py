"""A world of its own for every test of orders."""

from typing import Any

import pytest

from tests.orders.world import World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def two_days_of_grace(settings: Any) -> None:
    settings.LEASE_GRACE_SECONDS, settings.TIME_ZONE = 2 * 86_400, "Asia/Seoul"
