"""A world of its own for every test of orders."""

import pytest

from tests.orders.world import World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()
