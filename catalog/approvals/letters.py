"""Letters to those who decide."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Q
from django.utils import translation
from django.utils.functional import Promise
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from catalog.approvals import deciders
from catalog.approvals.explanations import because
from catalog.approvals.models import Delegation, Request
from catalog.approvals.rules import Deed
from catalog.approvals.terms import DECIDE_WITHIN
from catalog.common import words
from catalog.mail import services as mail
from catalog.tenancy.models import User
from catalog.tenancy.policy import Action, actor_for, can

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Letter:
    """A subject and a text with places for ``title``, ``deed``, ``tenant``, ``person``, ``why``, ``when`` and ``left``."""

    subject: str | Promise
    body: str | Promise


ASKED = Letter(
    _("Your approval is asked for: %(title)s"),
    _(
        "%(person)s of %(tenant)s asks: %(title)s (%(deed)s). %(why)s\n\nRead it on the page “Approvals” and decide until "
        "%(when)s; it expires then."
    ),
)
REMINDER = Letter(
    _("Still waiting for your approval, for another %(left)s: %(title)s"),
    _(
        "%(person)s of %(tenant)s asks: %(title)s (%(deed)s). %(why)s\n\nNobody has decided yet. It expires on %(when)s. If you "
        "will be away, name somebody who decides for you on the page “Approvals”."
    ),
)
ESCALATED = Letter(
    _("Nobody decides: %(title)s expires in %(left)s"),
    _(
        "%(person)s of %(tenant)s asks: %(title)s (%(deed)s). %(why)s\n\nThose who should decide have not. You may decide in "
        "their place, on the page “Approvals”, until %(when)s; it expires then."
    ),
)


def readers(request: Request, whos: list[str], *, now: datetime) -> list[User]:
    """Who is written to: those who may decide now, whoever stands in for one of them, and nobody twice or about their own."""
    found: dict[int, User] = {}
    for who in whos:
        for person in deciders.people(who, request.tenant_id, request.project_id, now=now)[:100]:
            found.setdefault(person.pk, person)
    scope = Q(tenant=request.tenant_id) | Q(tenant__isnull=True)
    held = Delegation.objects.filter(scope, deciders.in_force(now), person__in=list(found)).select_related("delegate")
    for each in held:
        may_see = can(actor_for(each.delegate, now=now), Action.VIEW, each.tenant_id)
        if each.delegate.is_active and may_see:
            found.setdefault(each.delegate_id, each.delegate)
    decided = set(request.decisions.values_list("decided_by", flat=True))
    return [person for pk, person in found.items() if pk not in decided | request.owners]


def tell(
    request: Request, letter: Letter, *, now: datetime, whos: list[str] | None = None, but: Collection[str] = ()
) -> list[str]:
    """Write to those who decide on the present level, each in their language; it expires with the request.

    :param whos: these kinds of deciders instead.
    :param but: user names of those who know already.
    :returns: the user names of those who were written to.
    """
    people = readers(request, whos if whos is not None else deciders.kinds(request), now=now)
    people = [person for person in people if person.get_username() not in but]
    deadline = request.opened_at + DECIDE_WITHIN
    asker = request.requested_by
    for person in people:
        with translation.override(person.language):
            said = {
                "title": request.title,
                "deed": Deed(request.deed).label,
                "tenant": getattr(request.tenant, f"name_{words.language()}"),
                "person": (asker.get_full_name() or asker.get_username()) if asker is not None else "–",
                "why": because(request.reasons),
                "when": f"{words.moment(deadline)} ({get_default_timezone_name()})",
                "left": words.span(max(deadline - now, timedelta(0))),
            }
            mail.write(
                person, subject=str(letter.subject) % said, body=str(letter.body) % said, subject_type="approval",
                subject_id=str(request.pk), now=now, expires_at=deadline,
            )  # fmt: skip
    if not people and not but:
        log.warning("nobody_to_decide", request=str(request.pk), who=request.who)
    return [person.get_username() for person in people]
