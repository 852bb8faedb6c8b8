"""What the page of a service says of its health, in both languages."""

from typing import Any

import pytest
from django.test import Client

from catalog.health.models import Health
from catalog.instances.models import ServiceInstance
from catalog.pool.models import WorkerState, Zone
from catalog.tenancy.models import User
from tests.health.conftest import AWAY, BAD, GOOD, seen
from tests.orders.world import World, make_world


@pytest.fixture
def world(db: Any) -> World:
    return make_world()


@pytest.fixture
def instance(world: World) -> ServiceInstance:
    return world.standing()


@pytest.fixture
def portal(client: Client, world: World) -> Client:
    client.force_login(User.objects.get(pk=world.developer.user_id))
    return client


def page(portal: Client, instance: ServiceInstance, language: str = "en") -> str:
    User.objects.update(language=language)
    answer = portal.get(f"/services/{instance.pk}/", headers={"accept-language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_when_it_was_checked_and_what_was_seen(portal: Client, world: World, instance: ServiceInstance) -> None:
    assert "Not checked yet." in page(portal, instance)
    seen(world, GOOD)
    shown = page(portal, instance)
    assert "healthy" in shown
    assert "Last checked 2 Nov 2026" in shown
    seen(world, BAD)
    shown = page(portal, instance)
    assert "1 check has failed. The service is tainted when the next ones fail, too." in shown
    assert "only to the right password: unreachable" in shown
    seen(world, BAD)
    shown = page(portal, instance)
    assert "It failed its health check 2 times in a row." in shown
    assert "2 checks in a row have failed." in shown
    seen(world, AWAY)
    assert "Its server does not answer." in page(portal, instance)
    seen(world, GOOD)
    shown = page(portal, instance)
    assert "in a row" not in shown
    assert "Its server does not answer." in shown.partition("Earlier checks")[2]
    assert "Its server does not answer." not in shown.partition("Earlier checks")[0]


def test_it_says_so_in_korean(portal: Client, world: World, instance: ServiceInstance) -> None:
    seen(world, BAD)
    shown = page(portal, instance, "ko")
    assert "점검에 연속 1회 실패했습니다." in shown
    Zone.objects.update(worker_state=WorkerState.SILENT)
    assert "점검하지 못함" in page(portal, instance, "ko")


def test_one_that_is_not_checked_has_no_health(portal: Client, world: World, instance: ServiceInstance) -> None:
    ServiceInstance.objects.update(state="stopped")
    assert 'id="health"' not in page(portal, instance)
    assert not Health.objects.exists()
