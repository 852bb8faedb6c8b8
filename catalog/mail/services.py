"""Writing letters, and sending them: each once, except where a sender dies between sending and noting that it did."""

import smtplib
from collections import Counter
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Q

from catalog.mail.models import Mail, MailState
from catalog.tenancy.models import User

log = structlog.get_logger(__name__)

CLAIM = timedelta(minutes=5)
"""How long a claimed letter is left to its sender."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
MOST_TRIES = 12


def write(
    person: User,
    *,
    subject: str,
    body: str,
    subject_type: str,
    subject_id: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> Mail | None:
    """Put a letter into the outbox, in the caller's transaction; None for a person without an address.

    :param subject: one line, in the person's language, as ``body``. No secret belongs into either.
    :param expires_at: when it no longer tells anything; not sent by then, it is dropped.
    """
    if not person.email:
        return None
    return Mail.objects.create(
        person=person, address=person.email, subject=" ".join(subject.split())[:200], body=body,
        subject_type=subject_type, subject_id=subject_id, created_at=now, expires_at=expires_at, next_at=now,
    )  # fmt: skip


def send_waiting(now: datetime, *, limit: int = 200) -> dict[str, int]:
    """Send what waits, the oldest first; returns how many were sent, put off and dropped.

    Without a mail server (``EMAIL_HOST`` empty) letters wait until they expire. One that cannot be reached costs no letter a try.
    """
    report: Counter[str] = Counter()
    waiting = Mail.objects.filter(state=MailState.WAITING)
    report["dropped"] = waiting.filter(expires_at__lte=now).update(
        state=MailState.DROPPED, failure="was not sent while it was news"
    )
    if settings.EMAIL_HOST:
        due = list(waiting.filter(next_at__lte=now).order_by("created_at", "pk")[:limit])
        if due:
            _send(due, now, report)
    return {what: many for what, many in report.items() if many}


def _send(due: list[Mail], now: datetime, report: Counter[str]) -> None:
    server = get_connection(fail_silently=False)
    try:
        server.open()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail_server_unreachable", reason=type(error).__name__, waiting=len(due))
        return
    try:
        for mail in due:
            if _claim(mail, now):
                report[_deliver(mail, server, now)] += 1
    finally:
        _hang_up(server)


def _hang_up(server: BaseEmailBackend) -> None:
    try:
        server.close()
    except (OSError, smtplib.SMTPException) as error:
        log.info("mail_server_hung_up_first", reason=type(error).__name__)


def _claim(mail: Mail, now: datetime) -> bool:
    """Whether this sender got the letter: a compare-and-set on the claims made so far."""
    unclaimed = Mail.objects.filter(Q(state=MailState.WAITING), pk=mail.pk, tries=mail.tries, next_at__lte=now)
    return bool(unclaimed.update(tries=F("tries") + 1, next_at=now + CLAIM))


def _deliver(mail: Mail, server: BaseEmailBackend, now: datetime) -> str:
    """Send a claimed letter and note what came of it: ``sent``, ``put_off`` or ``dropped``."""
    tries = mail.tries + 1
    mine = Mail.objects.filter(pk=mail.pk, tries=tries, state=MailState.WAITING)
    letter = EmailMessage(
        mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.address], connection=server,
        # The same whenever it is sent: a mailbox that got it twice can tell.
        headers={"Message-ID": f"<{mail.pk}@pumasi>", "Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    try:
        letter.send()
    except (OSError, smtplib.SMTPException) as error:
        failure = f"{type(error).__name__}: {error}"[:300]
        if tries >= MOST_TRIES:
            mine.update(state=MailState.DROPPED, failure=failure)
            log.warning("mail_dropped", mail=str(mail.pk), reason=type(error).__name__)
            return "dropped"
        mine.update(next_at=now + min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE), failure=failure)
        return "put_off"
    mine.update(state=MailState.SENT, sent_at=now, failure="")
    return "sent"
