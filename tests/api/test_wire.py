"""The edge: JSON read strictly, problems for everything, headers."""

import json
from collections.abc import Callable
from unittest import mock

import pytest
from django.http import HttpResponse
from django.test import Client

from catalog.api.parsers import MAX_BYTES
from catalog.offerings import selectors
from catalog.offerings.models import Plan
from catalog.orders.models import Order
from catalog.tenancy.models import Project, User
from tests.api.conftest import Caller, problem, wanted

GOOD = json.dumps(wanted())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 422, "invalid-input"),
        ("{", 400, "malformed-request"),
        ("[]", 422, "invalid-input"),
        ("null", 422, "invalid-input"),
        (GOOD[:-1] + ', "name": "twice"}', 400, "malformed-request"),
        ('{"parameters": {"a": 1, "a": 2}}', 400, "malformed-request"),
        ('{"lease_seconds": NaN}', 400, "malformed-request"),
        ('{"lease_seconds": -Infinity}', 400, "malformed-request"),
        ('{"lease_seconds": 1e999}', 400, "malformed-request"),
        ('{"lease_seconds": ' + "9" * 5000 + "}", 400, "malformed-request"),
        ('{"name": "\\ud800"}', 400, "malformed-request"),
        ('{"parameters": ' + '{"a": ' * 40 + "1" + "}" * 40 + "}", 400, "malformed-request"),
        ("[" * 100_000, 400, "malformed-request"),
        (json.dumps(wanted(name="x" * MAX_BYTES)), 413, "request-too-large"),
    ],
    ids=[
        "empty", "broken", "a list", "null", "a name twice", "a name twice inside", "NaN", "Infinity", "beyond a double",
        "too many digits", "half a pair", "deep", "endlessly deep", "large",
    ],
)  # fmt: skip
def test_bodies_that_are_not_read(  # noqa: PLR0917  # a row of the table, and the cast
    body: str, status: int, code: str, developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    problem(call(developer).post("/orders", body), status, code)
    assert not Order.objects.exists()


def test_body_that_is_not_utf8(developer: User, loan: Project, call: Callable[..., Caller]) -> None:
    problem(call(developer).post("/orders", b'{"name": "\xff"}'), 400, "malformed-request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_other_content_types(kind: str, developer: User, call: Callable[..., Caller]) -> None:
    problem(call(developer).send("POST", "/api/v1/orders", GOOD, kind), 415, "unsupported-media-type")


def test_unknown_routes_and_methods(developer: User, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    for path in ("/", "/orders/", "/orders/17", "/nothing", "/orders/%00"):
        problem(dana.get(path), 404, "not-found")
    problem(Client().get("/api/"), 404, "not-found")
    problem(Client().get("/api/v2/orders"), 404, "not-found")
    # Also from a browser that has not been here before, whom the CSRF check would send a page.
    problem(Client(enforce_csrf_checks=True).post("/api/v1/nothing"), 404, "not-found")
    answer = dana.send("DELETE", "/api/v1/orders")
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    for method in ("OPTIONS", "PUT", "PATCH", "TRACE"):
        problem(dana.send(method, "/api/v1/orders"), 405, "method-not-allowed")


def test_other_answers_than_json_are_not_to_be_had(developer: User, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    answer = dana.http.get("/api/v1/me", headers=dana.headers | {"Accept": "text/html"})
    problem(answer, 406, "not-acceptable")


def test_who_is_not_signed_in(db: None, call: Callable[..., Caller]) -> None:
    for headers in ({}, {"Authorization": "Token x"}, {"Authorization": "Token"}, {"Authorization": "Bearer x"}):
        caller = call(None)
        caller.headers = headers
        answer = caller.get("/orders")
        problem(answer, 401, "not-signed-in")
        assert answer.headers["WWW-Authenticate"] == "Token"


def test_browser_session_needs_the_csrf_token(developer: User, loan: Project, plan: Plan) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(developer)
    assert browser.get("/api/v1/me").status_code == 200
    answer = browser.post("/api/v1/orders", data=GOOD, content_type="application/json")
    problem(answer, 403, "forbidden")
    assert not Order.objects.exists()


def test_a_bug_of_ours_is_a_problem_too(developer: User, call: Callable[..., Caller]) -> None:
    with mock.patch.object(selectors, "on_sale", side_effect=ZeroDivisionError("secret detail")):
        answer = call(developer).get("/offerings")
    said = problem(answer, 500, "server-error")
    assert "secret detail" not in json.dumps(said)


def test_headers_of_every_answer(developer: User, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    answers: list[HttpResponse] = [dana.get("/me"), dana.get("/nothing"), Client().get("/healthz")]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert len(answer.headers["X-Request-ID"]) == 36
    assert answers[0].headers["Cache-Control"] == "no-store"
    assert answers[1].json()["request_id"] == answers[1].headers["X-Request-ID"]
