"""Letters about the health of a service: that it is tainted, and that it is well again."""

from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from catalog.common import words
from catalog.health.models import Health
from catalog.health.words import cause
from catalog.instances.models import ServiceInstance
from catalog.leases.letters import local, write_about

Letter = tuple[str | Promise, str | Promise]

TAINTED: Letter = (
    _("%(name)s does not pass its health check"),
    _(
        "The service %(name)s (%(offering)s) of the project %(project)s failed its health check %(times)s times in a row, the "
        "last time on %(when)s.\n\nWhy: %(cause)s\n\nNothing was changed on it, and it goes on being checked: you are told when "
        "it is well again. If it does not recover, restart it on its page in the portal."
    ),
)
RECOVERED: Letter = (
    _("%(name)s passes its health check again"),
    _(
        "The service %(name)s (%(offering)s) of the project %(project)s passed its health check on %(when)s and is active "
        "again. It had failed since %(since)s."
    ),
)


def tell(instance: ServiceInstance, health: Health, letter: Letter, *, since: datetime, now: datetime) -> list[str]:
    """Write ``letter`` to those who answer for the service, each in their language, in the caller's transaction.

    :param since: since when it had failed.
    :returns: the user names of those it went to.
    """
    subject, body = letter

    def said() -> dict[str, Any]:
        return {
            "when": local(now),
            "since": words.moment(since),
            "times": health.failures,
            "cause": cause(health.task, health.message, instance.version.manifest),
        }

    about = {"subject_type": "instance", "subject_id": str(instance.pk)}
    return write_about(instance, subject, body, said, now=now, **about)
