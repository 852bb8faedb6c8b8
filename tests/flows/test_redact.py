"""Secrets are hidden by value, in whatever form they travel."""

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.runner.redact import MARK, Redactor, forms_of

secrets = st.text(st.characters(blacklist_categories=("Cs",)), min_size=4, max_size=40).filter(
    lambda text: MARK not in text
)
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)

ENCODINGS = {
    "as it stands": lambda s: s,
    "JSON": lambda s: json.dumps({"password": s}),
    "JSON, unescaped": lambda s: json.dumps({"password": s}, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"stdout": json.dumps({"password": s})}),
    "Python": lambda s: repr({"password": s}),
    "URL": lambda s: f"redis://:{quote(s, safe='')}@10.0.0.1/",
    "form": lambda s: f"password={quote_plus(s)}&x=1",
    "shell": lambda s: f"psql -c {shlex.quote(s)}",
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@given(secret=secrets, before=texts, after=texts)
def test_no_form_of_a_secret_is_left(encode, secret: str, before: str, after: str) -> None:  # type: ignore[no-untyped-def]
    shown = Redactor([secret]).text(before + encode(secret) + after)
    assert not [form for form in forms_of(secret) if form in shown]
    assert MARK in shown


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=10, max_size=40),
    user=st.text(st.characters(min_codepoint=97, max_codepoint=122), max_size=9),
)
def test_a_secret_inside_a_longer_base64_text_is_hidden(secret: str, user: str) -> None:
    header = base64.b64encode(f"{user}:{secret}!".encode()).decode()
    shown = Redactor([secret]).text(f"Authorization: Basic {header}")
    kept = shown.removeprefix("Authorization: Basic ").replace(MARK, "")
    # What is left is the user and the ends, which share their characters with what stands beside the secret.
    assert len(kept) <= len(base64.b64encode(user.encode())) + 8
    assert MARK in shown


@given(text=texts)
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    redactor = Redactor(["never-in-the-text-5f2c"])
    assert redactor.text(text) == text


@given(st.lists(secrets, min_size=1, max_size=4), st.lists(texts, max_size=4))
def test_several_secrets_are_hidden_wherever_they_stand(hidden: list[str], others: list[str]) -> None:
    redactor = Redactor(hidden)
    value = {"a": [*hidden, *others], hidden[0]: {"b": "".join(hidden)}, "n": 7, "none": None, "yes": True}
    shown = json.dumps(redactor.value(value), ensure_ascii=False)
    readable = json.loads(shown)
    flat = [
        *readable["a"],
        *(str(key) for key in readable),
        *(v for d in readable.values() if isinstance(d, dict) for v in d.values()),
    ]
    assert not [(secret, text) for secret in hidden for text in flat if secret in text]


def test_numbers_are_hidden_too_and_others_keep_their_type() -> None:
    redactor = Redactor(["4711471147"])
    assert redactor.value({"pin": 4711471147, "port": 20001, "ok": False}) == {"pin": MARK, "port": 20001, "ok": False}


def test_a_very_short_secret_hides_the_whole_text() -> None:
    assert Redactor(["ab"]).text("the word ab is in here") == MARK
    assert Redactor(["ab"]).text("nothing here") == "nothing here"


def test_empty_secrets_hide_nothing() -> None:
    assert Redactor(["", ""]).text("as it is") == "as it is"
