"""People at the API, and something on sale for them."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from knox.models import get_token_model

from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan
from catalog.orders import fulfilment
from catalog.orders.models import Order
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Project, User
from tests.factories import HostFactory, PlanFactory

PASSWORD = "four-cats-on-a-mat"


class Caller:
    """One person with a token, or nobody."""

    def __init__(self, user: User | None, language: str = "en") -> None:
        self.http = Client(headers={"accept-language": language}, raise_request_exception=False)
        self.headers: dict[str, str] = {}
        if user is not None:
            _, token = get_token_model().objects.create(user=user)
            self.headers["Authorization"] = f"Token {token}"

    def get(self, path: str, **query: Any) -> HttpResponse:
        return self.http.get(f"/api/v1{path}", query_params=query or None, headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        text = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/api/v1{path}", data=text, content_type="application/json", headers=sent)

    def send(self, method: str, path: str, body: str = "", content_type: str = "application/json") -> HttpResponse:
        return self.http.generic(method, path, data=body, content_type=content_type, headers=self.headers)


def problem(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The answer is this problem, as RFC 9457 wants it; returns the document."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content[:300]
    said: dict[str, Any] = response.json()
    assert (response.status_code, said["code"]) == (status, code), said
    assert said["status"] == status
    assert said["type"] == f"urn:pumasi:{code}"
    assert set(said) - {"explanation"} == {"type", "title", "status", "code", "detail", "fields", "request_id"}
    assert said["title"]
    assert said["detail"]
    return said


@pytest.fixture(autouse=True)
def no_throttle_left_over() -> None:
    cache.clear()


@pytest.fixture
def call() -> Callable[..., Caller]:
    return Caller


@pytest.fixture
def plan(zone_a: Zone) -> Plan:
    """PostgreSQL in one small size, and a host for it."""
    HostFactory(zone=zone_a)
    return PlanFactory()


@pytest.fixture
def dear_plan(plan: Plan) -> Plan:
    """The same offering as a whole host, which somebody has to approve."""
    return PlanFactory(dedicated=True, version=plan.version)


def wanted(**changes: Any) -> dict[str, Any]:
    """The body of an ordinary order."""
    return {
        "project": "capital/loan", "offering": "postgresql", "plan": "shared-small", "name": "loan-db",
        "parameters": {"database": "loans"},
    } | changes  # fmt: skip


def build(order_id: str | uuid.UUID) -> ServiceInstance:
    """What the flow does when all goes well."""
    order = Order.objects.get(pk=order_id)
    fulfilment.begin(order.pk, order.attempt, None, clock.now())
    fulfilment.succeed_create(order.pk, order.attempt, outputs={"version": "15.8"}, now=clock.now())
    assert order.instance_id is not None
    return ServiceInstance.objects.get(pk=order.instance_id)


@pytest.fixture
def running(developer: User, loan: Project, plan: Plan) -> ServiceInstance:
    """Capital's loan-db, built and active."""
    answer = Caller(developer).post("/orders", wanted())
    assert answer.status_code == 201, answer.content
    return build(answer.json()["id"])


@pytest.fixture
def host(plan: Plan) -> Host:
    return Host.objects.get()
