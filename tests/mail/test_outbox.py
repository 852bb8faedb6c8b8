"""Letters are sent once, put off when they cannot be, and dropped when they tell nothing any more."""

import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as sent
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend as InMemory
from django.db import connections

from catalog.mail.models import Mail, MailState
from catalog.mail.services import CLAIM, LONGEST_PAUSE, MOST_TRIES, send_waiting, write
from catalog.tenancy.models import User
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db


class Refuses(InMemory):
    """A server that takes no letter for Mallory."""

    def send_messages(self, messages: Any) -> int:
        if any("mallory" in to for message in messages for to in message.to):
            raise smtplib.SMTPRecipientsRefused({"mallory": (550, b"no such mailbox")})
        return int(super().send_messages(messages))


class Unreachable(BaseEmailBackend):
    """A server that is not there."""

    def open(self) -> bool:
        raise ConnectionRefusedError


class HangsUp(InMemory):
    """A server that has gone when it is to be left."""

    def close(self) -> None:
        raise smtplib.SMTPServerDisconnected


@pytest.fixture(autouse=True)
def server(settings: Any) -> None:
    settings.EMAIL_HOST, settings.DEFAULT_FROM_EMAIL = "mail.example", "pumasi@example"


def letter(person: User, subject: str = "News", **more: Any) -> Mail:
    written = write(person, subject=subject, body="Text.", subject_type="test", subject_id="1", now=NOW, **more)
    assert written is not None
    return written


def test_a_letter_is_sent_once(developer: User) -> None:
    mail = letter(developer, "Two\nlines  in one")
    assert send_waiting(NOW) == {"sent": 1}
    assert send_waiting(NOW + timedelta(days=1)) == {}
    (message,) = sent.outbox
    assert (message.to, message.subject, message.body) == ([developer.email], "Two lines in one", "Text.")
    assert message.from_email == "pumasi@example"
    assert message.extra_headers["Message-ID"] == f"<{mail.pk}@pumasi>"
    mail.refresh_from_db()
    assert (mail.state, mail.sent_at, mail.tries) == (MailState.SENT, NOW, 1)


def test_who_has_no_address_gets_none() -> None:
    assert write(UserFactory(email=""), subject="x", body="x", subject_type="t", subject_id="1", now=NOW) is None
    assert not Mail.objects.exists()


def test_without_a_server_letters_wait_and_expire(settings: Any, developer: User) -> None:
    settings.EMAIL_HOST = ""
    letter(developer)
    old = letter(developer, expires_at=NOW + timedelta(hours=1))
    assert send_waiting(NOW) == {}
    assert send_waiting(NOW + timedelta(hours=1)) == {"dropped": 1}
    old.refresh_from_db()
    assert (old.state, old.failure) == (MailState.DROPPED, "was not sent while it was news")
    settings.EMAIL_HOST = "mail.example"
    assert send_waiting(NOW + timedelta(hours=2)) == {"sent": 1}


def test_a_server_that_is_away_costs_no_try(settings: Any, developer: User) -> None:
    mail = letter(developer)
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    assert send_waiting(NOW) == {}
    mail.refresh_from_db()
    assert (mail.state, mail.tries, mail.next_at) == (MailState.WAITING, 0, NOW)


def test_a_server_that_hangs_up_first_does_no_harm(settings: Any, developer: User) -> None:
    letter(developer)
    settings.EMAIL_BACKEND = f"{__name__}.HangsUp"
    assert send_waiting(NOW) == {"sent": 1}


def test_what_is_refused_is_tried_again_ever_more_rarely_and_then_dropped(
    settings: Any, developer: User, mallory: User
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Refuses"
    bad, good = letter(mallory), letter(developer)
    assert send_waiting(NOW) == {"put_off": 1, "sent": 1}
    pauses, now = [], NOW
    for _ in range(MOST_TRIES - 2):
        bad.refresh_from_db()
        assert send_waiting(bad.next_at - timedelta(microseconds=1)) == {}
        pauses.append(bad.next_at - now)
        now = bad.next_at
        assert send_waiting(now) == {"put_off": 1}
    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert pauses[-1] == LONGEST_PAUSE
    bad.refresh_from_db()
    assert send_waiting(bad.next_at) == {"dropped": 1}
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.tries, good.state) == (MailState.DROPPED, MOST_TRIES, MailState.SENT)
    assert bad.failure.startswith("SMTPRecipientsRefused")


def test_a_letter_whose_sender_died_is_taken_up_after_a_while(developer: User) -> None:
    mail = letter(developer)
    Mail.objects.update(tries=1, next_at=NOW + CLAIM)  # claimed, and never heard of again
    assert send_waiting(NOW + CLAIM - timedelta(microseconds=1)) == {}
    assert send_waiting(NOW + CLAIM) == {"sent": 1}
    mail.refresh_from_db()
    assert mail.tries == 2


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_eight_senders_send_each_letter_once(developer: User) -> None:
    mails = [letter(developer, f"Letter {number}") for number in range(40)]
    gate = threading.Barrier(8, timeout=60)

    def sender(_number: int) -> int:
        try:
            gate.wait()
            return send_waiting(NOW).get("sent", 0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(sender, range(8))) == len(mails)
    assert sorted(message.subject for message in sent.outbox) == sorted(mail.subject for mail in mails)
    assert not Mail.objects.exclude(state=MailState.SENT, tries=1).exists()
