"""Letters about leases: to whom, and in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.utils import translation
from django.utils.functional import Promise
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from catalog.common import words
from catalog.instances.models import ServiceInstance
from catalog.leases.models import Lease
from catalog.mail import services as mail
from catalog.tenancy.models import User
from catalog.tenancy.policy import Action, actor_for, can
from catalog.tenancy.selectors import people_who

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Letter:
    """A subject and a text with places for ``name``, ``offering``, ``project``, ``when``, ``left``, ``erased`` and ``reason``.

    :param until_the_end: it tells nothing any more once that end has come.
    :param of_grace: ``when`` and ``left`` are about the end of grace, and not about the end of the lease.
    """

    subject: str | Promise
    body: str | Promise
    until_the_end: bool = False
    of_grace: bool = False


ENDING = Letter(
    _("%(name)s will be taken back in %(left)s"),
    _(
        "The service %(name)s (%(offering)s) of the project %(project)s will be taken back on %(when)s. Everything on it will "
        "be erased then.\n\nIf you need it longer, extend its lease before that. If you do not need it any more, give it back "
        "now: others can use what it holds."
    ),
    until_the_end=True,
)
ENDING_WITH_GRACE = Letter(
    _("%(name)s will be stopped in %(left)s"),
    _(
        "The lease of the service %(name)s (%(offering)s) of the project %(project)s ends on %(when)s. It will be stopped then. "
        "Its data is kept until %(erased)s; after that it is taken back and everything on it is erased.\n\nIf you need it "
        "longer, extend its lease. If you do not need it any more, give it back now: others can use what it holds."
    ),
    until_the_end=True,
)
IN_GRACE = Letter(
    _("%(name)s is stopped; its data is kept for %(left)s"),
    _(
        "The lease of the service %(name)s (%(offering)s) of the project %(project)s has ended, and the service is stopped. Its "
        "data is kept until %(when)s; then it is taken back and everything on it is erased.\n\nIf you still need it, extend its "
        "lease on its page in the portal: it is started again with everything that was on it. If not, give it back now: others "
        "can use what it holds."
    ),
    until_the_end=True,
    of_grace=True,
)
GRACE_ENDING = Letter(
    _("Everything on %(name)s will be erased in %(left)s"),
    _(
        "The service %(name)s (%(offering)s) of the project %(project)s is stopped because its lease has ended. It will be taken "
        "back on %(when)s, and everything on it erased then.\n\nIf you still need it, extend its lease on its page in the portal "
        "before that: it is started again with everything that was on it."
    ),
    until_the_end=True,
    of_grace=True,
)
GRACE_CUT = Letter(
    _("Everything on %(name)s will be erased sooner: in %(left)s"),
    _(
        "The service %(name)s (%(offering)s) of the project %(project)s is stopped because its lease has ended. It will be taken "
        "back sooner than announced, on %(when)s, and everything on it erased then.\n\nWhy: %(reason)s"
    ),
    of_grace=True,
)
BROUGHT_FORWARD = Letter(
    _("%(name)s will be taken back sooner: in %(left)s"),
    _(
        "The project %(project)s ends sooner than planned, and its services end with it. The service %(name)s (%(offering)s) "
        "will be taken back on %(when)s. Everything on it will be erased then.\n\nIf that is too soon, ask an administrator to "
        "move the end of the project."
    ),
)
RECALLED = Letter(
    _("%(name)s is recalled: it will be taken back in %(left)s"),
    _(
        "The capacity that the service %(name)s (%(offering)s) of the project %(project)s uses is borrowed, and its lender wants "
        "it back: %(reason)s\n\nThe service will be taken back on %(when)s, and its lease cannot be extended any more. "
        "Everything on it will be erased then. Order a new service before that if you go on needing one."
    ),
)
RECALL_CANCELLED = Letter(
    _("%(name)s is no longer recalled"),
    _(
        "The lender does not need the capacity back any more. The service %(name)s (%(offering)s) of the project %(project)s "
        "stays until %(when)s, and its lease can be extended again."
    ),
)


def recipients(instance: ServiceInstance, *, now: datetime) -> list[User]:
    """Who is told about a service: the person responsible for it if they may still act and can be reached, else the affiliate's
    administrators who can. Empty where there is nobody.
    """
    person, where = instance.responsible, (instance.tenant_id, instance.project_id)
    reachable = person is not None and person.is_active and person.email
    if person is not None and reachable and can(actor_for(person, now=now), Action.ORDER, *where):
        return [person]
    admins = people_who(Action.MANAGE_MEMBERS, *where, now=now)
    return list(admins.exclude(email="").order_by("username"))


def tell(lease: Lease, letter: Letter, *, now: datetime, reason: str | Promise = "") -> list[str]:
    """Write ``letter`` to everybody who is to know, each in their language, in the caller's transaction.

    :returns: the user names of those it went to.
    """
    end = lease.erased_at if letter.of_grace else lease.ends_at

    def said() -> dict[str, Any]:
        return {
            "when": local(end),
            "left": words.span(max(end - now, timedelta(0))),
            "erased": local(lease.erased_at),
            "reason": reason,
        }

    about = {"subject_type": "lease", "subject_id": str(lease.pk)}
    expires_at = end if letter.until_the_end else None
    return write_about(lease.instance, letter.subject, letter.body, said, now=now, expires_at=expires_at, **about)


def local(at: datetime) -> str:
    """An instant as the group's people write it, with the name of its time zone."""
    return f"{words.moment(at)} ({get_default_timezone_name()})"


def write_about(
    instance: ServiceInstance,
    subject: str | Promise,
    body: str | Promise,
    said: Callable[[], Mapping[str, Any]],
    *,
    now: datetime,
    **more: Any,
) -> list[str]:
    """Write to everybody who is to know about a service, each in their language, in the caller's transaction.

    :param said: what the texts name beside the service's ``name``, ``offering`` and ``project``; asked in each language.
    :param more: as for :func:`catalog.mail.services.write`.
    :returns: the user names of those it went to.
    """
    people = recipients(instance, now=now)
    for person in people:
        with translation.override(person.language):
            named = {
                "name": instance.name,
                "offering": getattr(instance.plan.offering, f"name_{words.language()}"),
                "project": f"{instance.tenant.slug}/{instance.project.slug}",
                **said(),
            }
            mail.write(person, subject=str(subject) % named, body=str(body) % named, now=now, **more)
    if not people:
        log.warning("nobody_to_tell", instance=str(instance.pk))
    return [person.get_username() for person in people]
