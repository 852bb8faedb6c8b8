"""Signing in and out, and who one is."""

from collections.abc import Callable

import pytest
from knox.models import get_token_model

from catalog.tenancy.models import User
from tests.api.conftest import PASSWORD, Caller, problem


def test_password_buys_a_token_that_works_until_it_is_given_up(developer: User, call: Callable[..., Caller]) -> None:
    nobody = call(None)
    answer = nobody.post("/tokens", {"username": "dana", "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json()["expires_at"] > "2026"
    nobody.headers["Authorization"] = f"Token {answer.json()['token']}"
    assert nobody.get("/me").json() == {
        "username": "dana", "name": "", "language": "en",
        "roles": [{"role": "developer", "tenant": "capital", "project": None}],
    }  # fmt: skip
    assert nobody.send("DELETE", "/api/v1/tokens/current").status_code == 204
    problem(nobody.get("/me"), 401, "not-signed-in")
    assert not get_token_model().objects.exists()


def test_wrong_password_and_unknown_name_are_refused_alike(developer: User, call: Callable[..., Caller]) -> None:
    wrong = problem(call(None).post("/tokens", {"username": "dana", "password": "x"}), 401, "bad-credentials")
    unknown = problem(call(None).post("/tokens", {"username": "nobody", "password": "x"}), 401, "bad-credentials")
    assert wrong["detail"] == unknown["detail"]
    assert not get_token_model().objects.exists()


def test_ten_failures_lock_the_name_for_that_address(developer: User, call: Callable[..., Caller]) -> None:
    for _ in range(9):
        problem(call(None).post("/tokens", {"username": "dana", "password": "x"}), 401, "bad-credentials")
    problem(call(None).post("/tokens", {"username": "dana", "password": "x"}), 429, "too-many-requests")
    right = {"username": "dana", "password": PASSWORD}
    problem(call(None).post("/tokens", right), 429, "too-many-requests")
    assert not get_token_model().objects.exists()


def test_guessing_many_names_is_slowed_down(db: None, call: Callable[..., Caller]) -> None:
    answers = [call(None).post("/tokens", {"username": f"u{n}", "password": "x"}) for n in range(31)]
    assert [answer.status_code for answer in answers] == [401] * 30 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
    problem(answers[-1], 429, "too-many-requests")


def test_token_in_no_log_line(developer: User, call: Callable[..., Caller], caplog: pytest.LogCaptureFixture) -> None:
    answer = call(None).post("/tokens", {"username": "dana", "password": PASSWORD})
    caller = call(None)
    caller.headers["Authorization"] = f"Token {answer.json()['token']}"
    assert caller.get("/me").status_code == 200
    assert "request_finished" in caplog.text
    assert answer.json()["token"] not in caplog.text
    assert PASSWORD not in caplog.text
