"""Who comes in, and who leaves: tokens of the API and sessions of the portal, each recorded."""

from datetime import datetime
from typing import Any

from django.db import transaction
from knox.models import get_token_model

from catalog.audit.services import record
from catalog.tenancy.models import User
from catalog.tenancy.policy import Actor


def issue_token(person: User, *, source: str, now: datetime) -> tuple[Any, str]:
    """A new token: its row, and the token itself, which is kept nowhere."""
    with transaction.atomic():
        row, token = get_token_model().objects.create(user=person)
        came_in(person, source=source, via="api", now=now)
    return row, token


def revoke_token(actor: Actor, token: Any, *, now: datetime) -> None:
    """This token is worth nothing from now on."""
    with transaction.atomic():
        token.delete()
        went(actor, via="api", now=now)


def came_in(person: User, *, source: str, via: str, now: datetime) -> None:
    """Record that somebody signed in. ``via``: ``api`` or ``portal``."""
    actor = Actor(name=person.get_username(), user_id=person.pk, source=source)
    record(actor, "person.sign-in", subject_type="person", subject_id=str(person.pk), after={"via": via}, now=now)


def went(actor: Actor, *, via: str, now: datetime) -> None:
    """Record that somebody signed out."""
    subject = str(actor.user_id)
    record(actor, "person.sign-out", subject_type="person", subject_id=subject, after={"via": via}, now=now)
