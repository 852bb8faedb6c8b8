"""The letters of a handover: to the one who leaves, and to the one who takes over. And roles in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.instances.models import ServiceInstance
from catalog.orders.models import Order
from catalog.tenancy.models import Project, Role, Tenant, User
from catalog.tenancy.policy import Grant


@dataclass(frozen=True)
class Letter:
    """A subject and a text with places for ``leaver``, ``successor`` and ``list``."""

    subject: str | Promise
    body: str | Promise


LEFT = Letter(
    gettext_lazy("Your work was handed over to %(successor)s"),
    gettext_lazy(
        "%(successor)s answers from now on for what you answered for. Your roles have ended, and your account is closed.\n\n"
        "%(list)s"
    ),
)
TAKEN_OVER = Letter(
    gettext_lazy("You take over from %(leaver)s"),
    gettext_lazy(
        "%(leaver)s has left. You answer from now on for the services below: letters about their leases go to you. Extend "
        "them, or give back what nobody needs.\n\n%(list)s"
    ),
)


def written(
    letter: Letter,
    person: User,
    *,
    leaver: User,
    successor: User,
    instances: Sequence[ServiceInstance],
    roles: Iterable[Grant],
    decisions: Sequence[Order],
) -> tuple[str, str]:
    """Subject and text in the language of ``person``."""
    with translation.override(person.language):
        parts = [
            (_("Services to answer for"), [f"{row.name} ({row.project})" for row in instances]),
            (_("New roles"), worded(roles)),
            (
                _("Orders that wait for your decision"),
                [order.name for order in decisions] if person == successor else [],
            ),
        ]
        said = {
            "leaver": leaver.get_full_name() or leaver.get_username(),
            "successor": successor.get_full_name() or successor.get_username(),
            "list": "\n\n".join(
                "\n".join([f"{title}:", *(f"- {line}" for line in lines)]) for title, lines in parts if lines
            ),
        }
        return str(letter.subject) % said, (str(letter.body) % said).rstrip()


def worded(grants: Iterable[Grant]) -> list[str]:
    """Roles in the words of the reader: what, and where."""
    return [f"{Role(grant.role).label} – {where}" for grant, where in _placed(grants)]


def coded(grants: Iterable[Grant]) -> list[str]:
    """Roles as the record keeps them."""
    return [f"{grant.role} @ {where}" for grant, where in _placed(grants)]


def _placed(grants: Iterable[Grant]) -> list[tuple[Grant, str]]:
    known = list(grants)
    tenants = Tenant.objects.in_bulk([grant.tenant_id for grant in known if grant.tenant_id])
    projects = Project.objects.select_related("tenant").in_bulk(
        [grant.project_id for grant in known if grant.project_id]
    )
    placed = []
    for grant in known:
        if grant.project_id is not None:
            placed.append((grant, str(projects[grant.project_id])))
        else:
            placed.append((grant, str(tenants[grant.tenant_id]) if grant.tenant_id else _("the group")))
    return placed
