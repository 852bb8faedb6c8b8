"""How long services may stay, and how often and far that may be extended: policies, the most specific first."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.common import words
from catalog.instances.models import ServiceInstance
from catalog.leases.errors import (
    ExtensionTooLong,
    LeaseOutlivesProject,
    LeaseTooLong,
    LeaseTooShort,
    NoExtensionLeft,
)
from catalog.leases.models import Lease, LeasePolicy
from catalog.leases.states import LeaseState
from catalog.offerings.models import Plan
from catalog.offerings.operations import STOP, find_operation
from catalog.tenancy.models import Project
from catalog.tenancy.projects import use_until


@dataclass(frozen=True)
class Limits:
    """What holds for the services of one affiliate from one offering. Spans in seconds.

    :param default_seconds: lease of an order that names none; never above ``longest_seconds``.
    :param longest_seconds: from the start of a lease to its end, extensions included.
    :param longest_extension_seconds: of one extension; None: as far as ``longest_seconds`` allows.
    :param most_extensions: of one lease; 0: none, None: as many as wanted.
    :param grace_seconds: after the end of a lease, with the service stopped and its data kept; 0: none.
    """

    default_seconds: int
    longest_seconds: int
    longest_extension_seconds: int | None = None
    most_extensions: int | None = None
    grace_seconds: int = 0

    def check_length(self, seconds: int, *, field: str) -> None:
        """Refuse a length that no lease may have.

        :param field: the member the refusal is about.
        :raises LeaseTooShort: below one second.
        :raises LeaseTooLong: above ``longest_seconds``.
        """
        if seconds < 1:
            raise LeaseTooShort(fields={field: LeaseTooShort.title})
        if seconds > self.longest_seconds:
            raise too_long(self, field=field)

    def check_extension(self, seconds: int, *, made: int, field: str) -> None:
        """Refuse an extension by ``seconds`` of a lease that was extended ``made`` times before.

        :raises NoExtensionLeft: it was extended as often as it may be.
        :raises LeaseTooShort, LeaseTooLong, ExtensionTooLong: the length, whatever lease it is for.
        """
        if self.most_extensions is not None and made >= self.most_extensions:
            raise NoExtensionLeft(_no_extension_left(self.most_extensions))
        self.check_length(seconds, field=field)
        if self.longest_extension_seconds is not None and seconds > self.longest_extension_seconds:
            said = _("A lease may be extended by at most %s at a time. Choose an earlier end.") % words.span(
                timedelta(seconds=self.longest_extension_seconds)
            )
            raise ExtensionTooLong(said, fields={field: said})


def too_long(limits: Limits, *, field: str) -> LeaseTooLong:
    """The refusal that names the longest stay."""
    longest = words.span(timedelta(seconds=limits.longest_seconds))
    said = _("A service may stay %s from its start. Choose an earlier end.") % longest
    return LeaseTooLong(said, fields={field: said})


def _no_extension_left(most: int) -> str:
    if most == 0:
        return _("Leases of this offering are not extended. Order a new service before this one ends.")
    said = ngettext(
        "This lease was extended %d time, as often as it may be. Order a new service before this one ends.",
        "This lease was extended %d times, as often as it may be. Order a new service before this one ends.",
        most,
    )
    return said % most


def outlives_project(project: Project, *, field: str) -> LeaseOutlivesProject:
    """The refusal that names the project's last day."""
    assert project.ends_on is not None  # only a project that ends can be outlived
    said = _("The project %(project)s may use services until the end of %(day)s. Choose an earlier end.") % {
        "project": project,
        "day": project.ends_on.isoformat(),
    }
    return LeaseOutlivesProject(said, fields={field: said})


def merged(
    policies: Sequence[LeasePolicy], *, default_seconds: int, longest_seconds: int, grace_seconds: int = 0
) -> Limits:
    """The limits that ``policies`` set together: of each member the most specific one that is set.

    A policy for an affiliate and an offering outranks one for the affiliate, that outranks one for the offering, and that
    outranks one for everybody.

    :param policies: those that apply, in any order.
    :param default_seconds: where none sets it.
    :param longest_seconds: where none sets it.
    :param grace_seconds: where none sets it.
    """
    ranked = sorted(policies, key=lambda each: (each.tenant_id is None, each.offering_id is None))

    def first(name: str) -> int | None:
        return next((value for each in ranked if (value := getattr(each, name)) is not None), None)

    longest = first("longest_seconds") or longest_seconds
    grace = first("grace_seconds")
    return Limits(
        default_seconds=min(first("default_seconds") or default_seconds, longest),
        longest_seconds=longest,
        longest_extension_seconds=first("longest_extension_seconds"),
        most_extensions=first("most_extensions"),
        grace_seconds=grace_seconds if grace is None else grace,
    )


def limits_for(tenant_id: uuid.UUID, offering_id: uuid.UUID) -> Limits:
    """What holds for this affiliate's services from this offering; where no policy says, the settings do."""
    policies = LeasePolicy.objects.filter(
        Q(tenant__isnull=True) | Q(tenant=tenant_id), Q(offering__isnull=True) | Q(offering=offering_id)
    )
    return merged(
        list(policies),
        default_seconds=settings.LEASE_DEFAULT_SECONDS,
        longest_seconds=settings.LEASE_MAX_SECONDS,
        grace_seconds=settings.LEASE_GRACE_SECONDS,
    )


def grace_end(instance: ServiceInstance, ends_at: datetime) -> datetime | None:
    """Until when a service whose lease ends at ``ends_at`` would be kept stopped; None: it is taken back at that end.

    Grace ends with the project at the latest, and what cannot be stopped has none. That a recalled lease has none either is
    for the caller to know.
    """
    seconds = limits_for(instance.tenant_id, instance.plan.offering_id).grace_seconds
    if seconds == 0 or find_operation(instance.version.manifest, STOP) is None:
        return None
    until = use_until(Project.objects.get(pk=instance.project_id))
    end = ends_at + timedelta(seconds=seconds)
    end = end if until is None else min(end, until)
    return end if end > ends_at else None


def order_seconds(project: Project, plan: Plan, asked: int | None, *, now: datetime) -> int:
    """The length of the lease an order asks for at ``now``.

    The default is cut to what the project's end leaves, because nobody asked for it; a length that was asked for is refused.

    :param asked: seconds; None for the default.
    :raises LeaseTooShort, LeaseTooLong, LeaseOutlivesProject: with the field ``lease_seconds``.
    """
    limits, until = limits_for(project.tenant_id, plan.offering_id), use_until(project)
    if asked is None:
        left = limits.default_seconds if until is None else int((until - now).total_seconds())
        return max(1, min(limits.default_seconds, left))
    limits.check_length(asked, field="lease_seconds")
    if until is not None and now + timedelta(seconds=asked) > until:
        raise outlives_project(project, field="lease_seconds")
    return asked


def extended_from(lease: Lease, now: datetime) -> datetime:
    """The instant from which an extension counts: the end, or for a lease in grace this moment, since that end is over."""
    return max(lease.ends_at, now) if lease.state == LeaseState.GRACE else lease.ends_at


def extension_room(lease: Lease, now: datetime) -> int:
    """By how many seconds the lease could be extended at once as things stand; 0: not at all.

    :param lease: with its instance, and that one's project and plan.
    """
    instance = lease.instance
    limits = limits_for(instance.tenant_id, instance.plan.offering_id)
    used_up = limits.most_extensions is not None and lease.extensions >= limits.most_extensions
    if used_up or lease.state == LeaseState.ENDED or lease.recalled_at is not None:
        return 0
    base = extended_from(lease, now)
    ends = [lease.starts_at + timedelta(seconds=limits.longest_seconds)]
    if limits.longest_extension_seconds is not None:
        ends.append(base + timedelta(seconds=limits.longest_extension_seconds))
    if (until := use_until(instance.project)) is not None:
        ends.append(until)
    return max(0, int((min(ends) - base).total_seconds()))
