"""Leases follow their project: none outlives it, also when its end is brought forward."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import TruncDate
from django.utils.timezone import get_default_timezone
from django.utils.translation import gettext_lazy as _

from catalog.common.locks import lock_one
from catalog.leases.ends import LIVE, set_end, set_grace_end
from catalog.leases.letters import BROUGHT_FORWARD, GRACE_CUT, tell
from catalog.leases.models import Lease
from catalog.leases.services import frees_at
from catalog.leases.states import LeaseState
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Actor
from catalog.tenancy.projects import use_until


def follow_projects(now: datetime, *, actor: Actor, project: Project | None = None) -> int:
    """Bring the leases forward that would end after their project's last day; returns how many. Who is to know gets a letter.

    Grace ends with the project as well: it is cut, and where nothing of it would be left there is none.

    None ends before ``now``: what should have ended already is due at once. A project whose end is moved back gives nobody
    more time. Safe at any time, twice, and at once.

    :param project: look at this one only.
    """
    last_day = TruncDate(frees_at() - timedelta(microseconds=1), tzinfo=get_default_timezone())
    to_come = Q(ends_at__gt=now) | Q(grace_ends_at__gt=now)
    astray = Lease.objects.filter(to_come, state__in=LIVE, instance__project__ends_on__isnull=False)
    if project is not None:
        astray = astray.filter(instance__project=project)
    astray = astray.annotate(last_day=last_day).filter(last_day__gt=F("instance__project__ends_on"))
    brought = 0
    for pk in list(astray.order_by("pk").values_list("pk", flat=True)[:1000]):
        with transaction.atomic():
            brought += _bring_forward(lock_one(Lease, pk), actor=actor, now=now)
    return brought


def _bring_forward(lease: Lease, *, actor: Actor, now: datetime) -> bool:
    until = use_until(Project.objects.get(pk=lease.instance.project_id))
    if lease.state not in LIVE or until is None:
        return False
    # A lease ends after it starts (a constraint), and what is brought to this moment is due with the next look.
    ends_at = max(until, now, lease.starts_at + timedelta(microseconds=1))
    if lease.state == LeaseState.GRACE or ends_at >= lease.ends_at:
        return _cut_grace(lease, until, actor=actor, now=now)
    set_end(lease, ends_at, kind="brought-forward", actor=actor, now=now, data={"until": until.isoformat()})
    tell(lease, BROUGHT_FORWARD, now=now)
    return True


def _cut_grace(lease: Lease, until: datetime, *, actor: Actor, now: datetime) -> bool:
    in_it = lease.state == LeaseState.GRACE
    end = max(until, lease.ends_at, now if in_it else until)
    if lease.grace_ends_at is None or lease.grace_ends_at <= end:
        return False
    set_grace_end(lease, end if in_it or end > lease.ends_at else None, kind="grace-cut", actor=actor, now=now)
    if in_it:
        tell(lease, GRACE_CUT, now=now, reason=_("Its project ends before."))
    return True
