"""Somebody who manages all of the group, and services at the API to hand over."""

import pytest

from catalog.tenancy.models import Role, User
from tests.api.conftest import call, dear_plan, plan, running
from tests.factories import UserFactory

__all__ = ["call", "dear_plan", "plan", "running"]


@pytest.fixture
def group_admin(db: None) -> User:
    return UserFactory(username="greta", roles=[(Role.GROUP_ADMIN, None)])
