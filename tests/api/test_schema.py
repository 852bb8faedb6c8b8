"""The document and the API say the same: tried by a machine that sends what the document allows, and what it forbids."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from schemathesis.openapi import from_dict

from catalog.api.schema import Problem
from catalog.instances.models import ServiceInstance
from catalog.pool.models import Host
from catalog.tenancy.models import Role, Tenant, User
from tests.api.conftest import Caller
from tests.factories import UserFactory

EXAMPLES = 5
REFUSED = ["400", "401", "403", "404", "406", "409", "410", "413", "415", "422", "429"]
CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none"},
        "checks": {
            # What the document cannot say (a name that is taken, a plan that does not exist) is refused all the same.
            "positive_data_acceptance": {"expected-statuses": ["2xx", *REFUSED]},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
    }
)


# Made once without a database, so that each operation is a test of its own.
SCHEMA = from_dict(json.loads(json.dumps(SchemaGenerator().get_schema(public=True), default=str)), config=CONFIG)
SCHEMA.app = get_wsgi_application()


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    answer = Client().get("/api/v1/schema?format=json", headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.content
    said: dict[str, Any] = answer.json()
    return said


@pytest.fixture
def headers(running: ServiceInstance, host: Host, capital: Tenant) -> dict[str, str]:
    """Somebody who may do everything, so that nothing is hidden behind a 403."""
    group = [(role, None) for role in (Role.OPERATOR, Role.AUDITOR)]
    roles = [*group, (Role.TENANT_ADMIN, capital), (Role.DEVELOPER, capital)]
    return Caller(UserFactory(username="omni", roles=roles)).headers


@pytest.fixture
def one_connection(headers: dict[str, str]) -> Iterator[None]:
    """The end of a request does not close the connection that the test's transaction lives on, as with the test client.

    After ``headers``, whose use of the test client would undo this.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("one_connection")
@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_api_keeps_to_its_document(case: Any, headers: dict[str, str]) -> None:
    sent = {} if case.path.endswith("/tokens/current") else headers
    case.call_and_validate(headers=sent)


def test_every_refusal_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert answer["content"] == {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    }, f"{method} {path} {status}"
            assert {"400", "406", "500"} <= set(operation["responses"]), f"{method} {path}"
            if path != "/api/v1/tokens":
                assert {"401", "403"} <= set(operation["responses"]), f"{method} {path}"
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == set(Problem().fields)


def test_codes_are_listed(document: dict[str, Any]) -> None:
    for code in (
        "plan-unavailable",
        "name-taken",
        "no-capacity",
        "quota-exceeded",
        "already-giving-back",
        "order-ended",
    ):
        assert f"| `{code}` |" in document["info"]["description"]


def test_bodies_are_closed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    closed = {name for name, said in schemas.items() if said.get("additionalProperties") is False}
    assert {
        "PlaceOrderRequest",
        "DecideRequest",
        "ExtendLeaseRequest",
        "RegisterHostRequest",
        "SignInRequest",
    } <= closed


def test_page_needs_nothing_from_elsewhere(db: None) -> None:
    answer = Client().get("/api/v1/docs")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "http://" not in page
    assert "https://" not in page
    assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]


def test_document_is_for_everybody(mallory: User, call: Callable[..., Caller]) -> None:
    assert call(mallory).get("/schema").status_code == 200
