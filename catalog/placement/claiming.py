"""One claim on its way through the candidates: what is looked at, locked, checked once more and written."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When

from catalog.common.isolation import Isolation
from catalog.common.locks import lock
from catalog.common.statements import Change, Statement
from catalog.instances.models import ServiceInstance
from catalog.placement.choice import Candidate, Outlook, fits
from catalog.placement.explanation import why_here
from catalog.placement.filters import Sound, opens
from catalog.placement.market import current
from catalog.placement.members import Bundle, Member
from catalog.placement.models import Allocation, Holding
from catalog.placement.search import Choice, NoneLeft, assign
from catalog.placement.selectors import candidates
from catalog.pool.models import Host, Inventory, Zone
from catalog.pool.services import move_host, open_to
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Actor

CANDIDATES = 32
"""How many of the tightest hosts are compared; also how many clients can claim side by side without waiting."""

FEWEST = 8
"""At least so many of each zone, clean or shared."""

LOOKS = 3
"""So often at most more hosts are looked at because all those seen so far are doubtful."""


@dataclass(frozen=True)
class Placed:
    """Where a member was placed, the amount that was claimed of each class, and why there (JSON)."""

    host: Host
    amounts: Mapping[str, int]
    member: Member
    explanation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One claim on its way through the candidates."""

    instance: ServiceInstance
    bundles: list[Bundle]
    isolation: str
    data_class: str
    tenant: Tenant
    now: datetime
    actor: Actor
    besides: frozenset[uuid.UUID] = frozenset()

    def take(self, zones: Sequence[Zone], *, waiting: bool) -> list[Placed]:
        """The best choice that can be had. Raises :class:`NoneLeft`.

        While ``waiting``, hosts held by others are waited for, those of one choice in the order of their keys. A savepoint
        gives up what was locked in vain before the next choice, so no two claims ever wait for each other.
        """
        slugs = {zone.pk: zone.slug for zone in zones}
        sound, outlook = Sound(self.now), Outlook(self.now, current())
        lists = Shortlists(self.bundles, zones, opens(self.isolation, self.tenant.pk), sound, self.tenant.pk)
        lists.missed |= self.besides
        while True:
            try:
                choices = assign(self.bundles, lists.of, sound=sound, outlook=outlook)
            except NoneLeft:
                if not waiting or not lists.more():
                    raise
                continue
            placed, missed = self._try(choices, waiting=waiting)
            if not missed:
                for each, choice in placed:
                    each.explanation.update(
                        why_here(
                            choice, tenant=self.tenant, zone=slugs[each.host.zone_id], isolation=self.isolation,
                            tried=len(lists.missed - self.besides), outlook=outlook,
                        )
                    )  # fmt: skip
                return [each for each, _choice in placed]
            lists.missed |= missed

    def _try(
        self, choices: Sequence[Choice], *, waiting: bool
    ) -> tuple[list[tuple[Placed, Choice]], frozenset[uuid.UUID]]:
        """What was claimed; or, nothing claimed and nothing kept locked, the hosts that could not be had."""
        try:
            with transaction.atomic():
                placed, missed = self._claim(choices, skip_locked=not waiting)
                if missed:
                    raise _GaveUp(missed)
                return placed, missed
        except _GaveUp as gave_up:
            return [], gave_up.missed

    def _claim(
        self, choices: Sequence[Choice], *, skip_locked: bool
    ) -> tuple[list[tuple[Placed, Choice]], frozenset[uuid.UUID]]:
        chosen = {choice.candidate.host_id: choice.candidate for choice in choices}
        held = Host.objects.filter(pk__in=chosen).defer("facts")
        hosts = {host.pk: host for host in lock(held, skip_locked=skip_locked)}
        missed = {pk for pk, candidate in chosen.items() if pk not in hosts or not self._open(hosts[pk], candidate)}
        if missed:
            return [], frozenset(missed)
        free: dict[uuid.UUID, dict[str, int]] = {pk: {} for pk in hosts}
        taken = set()
        for pk, name, left, used in _LOCK_INVENTORIES.ask(hosts):
            free[pk][name] = left
            if used:
                taken.add(pk)
        amounts: dict[uuid.UUID, Counter[str]] = {pk: Counter() for pk in hosts}
        placed: list[tuple[Placed, Choice]] = []
        for choice in choices:
            pk = choice.candidate.host_id
            if (self._whole and pk in taken) or not fits(free[pk], amounts[pk] + Counter(choice.bundle.wanted.amounts)):
                missed.add(pk)
                continue
            for member in choice.bundle.members:
                mine = {name: left for name, left in free[pk].items() if left} if self._whole else dict(member.amounts)
                amounts[pk].update(mine)
                placed.append((Placed(hosts[pk], mine, member), choice))
        if missed:
            return [], frozenset(missed)
        self._write([each for each, _choice in placed], amounts)
        return placed, frozenset()

    def _open(self, host: Host, candidate: Candidate) -> bool:
        """Whether the locked host is open to this claim: the last word on who stands where."""
        return open_to(host) in opens(self.isolation, self.tenant.pk) and host.zone_id == candidate.zone_id

    @property
    def _whole(self) -> bool:
        return self.isolation == Isolation.DEDICATED

    def _write(self, placed: Sequence[Placed], amounts: Mapping[uuid.UUID, Mapping[str, int]]) -> None:
        group = self.isolation == Isolation.GROUP
        use: dict[str, Any] = {
            "holder": None if group else self.tenant,
            "exclusive": self._whole,
            "sharing": Isolation.GROUP if group else Isolation.AFFILIATE,
        }
        hosts = {each.host.pk: each.host for each in placed}
        for _pk, host in sorted(hosts.items()):
            if host.state == HostState.AVAILABLE:
                move_host(host, HostState.RESERVED, actor=self.actor, now=self.now, **use)
        Allocation.objects.bulk_create(
            Allocation(
                instance=self.instance, host=each.host, member=each.member.name, resource_class=name, amount=amount,
                isolation=self.isolation, data_class=self.data_class, created_at=self.now,
            )
            for each in placed
            for name, amount in each.amounts.items()
        )  # fmt: skip
        held: Counter[tuple[str, uuid.UUID]] = Counter()
        for pk, mine in sorted(amounts.items()):
            add_use(pk, mine)
            for name, amount in mine.items():
                held[name, hosts[pk].zone_id] += amount
        add_holdings(self.tenant, held)


class Shortlists:
    """The candidates of each kind of bundle, read once and again only when they are used up."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        zones: Sequence[Zone],
        whom: Sequence[uuid.UUID],
        sound: Sound,
        tenant_id: uuid.UUID,
    ) -> None:
        self.bundles, self.zones, self.whom, self.sound, self.tenant_id = bundles, zones, whom, sound, tenant_id
        self.limit = max(FEWEST, CANDIDATES // max(1, len(zones) * len(whom))) + len(bundles) - 1
        self.known: dict[int, list[Candidate]] = {}
        self.missed: set[uuid.UUID] = set()

    def of(self, bundle: Bundle) -> list[Candidate]:
        """Hosts with room for the bundle, without those that could not be had."""
        place = next(number for number, each in enumerate(self.bundles) if each.wanted == bundle.wanted)
        if place not in self.known:
            self.known[place] = self._read(bundle)
        return [each for each in self.known[place] if each.host_id not in self.missed]

    def more(self) -> bool:
        """Read again beyond what could not be had; whether that brings anything new."""
        seen = {each.host_id for known in self.known.values() for each in known}
        for place in list(self.known):
            self.known[place] = self._read(self.bundles[place])
        return bool({each.host_id for known in self.known.values() for each in known} - seen)

    def _read(self, bundle: Bundle) -> list[Candidate]:
        found: list[Candidate] = []
        for _look in range(LOOKS):
            new = candidates(
                bundle.wanted, zones=self.zones, open_to=self.whom, tenant_id=self.tenant_id, limit=self.limit,
                besides=frozenset(self.missed).union(each.host_id for each in found),
            )  # fmt: skip
            found += new
            if len(new) < self.limit or any(map(self.sound.passes, new)):
                break
        return found


class _GaveUp(Exception):
    """Leaves a savepoint: these hosts can no longer be had."""

    def __init__(self, missed: frozenset[uuid.UUID]) -> None:
        super().__init__()
        self.missed = missed


def add_use(host: uuid.UUID, amounts: Mapping[str, int]) -> None:
    """Add to what is used of a host, of each class (negative amounts take away). The caller holds the locks."""
    _USE.make(host, list(amounts), list(amounts.values()))


def _each(names: Sequence[str], amounts: Sequence[int]) -> Case:
    """In an UPDATE: the amount of the row's own class."""
    pairs = zip(names, amounts, strict=True)
    return Case(*(When(resource_class=name, then=Value(amount)) for name, amount in pairs))


_USE = Change(
    lambda host, names, amounts: (
        Inventory.objects.filter(host=host, resource_class__in=names),
        {"used": F("used") + _each(names, amounts)},
    )
)
_HOLD = Change(
    lambda tenant, zone, names, amounts: (
        Holding.objects.filter(tenant=tenant, zone=zone, resource_class__in=names),
        {"used": F("used") + _each(names, amounts)},
    )
)
_LOCK_INVENTORIES = Statement(
    lambda hosts: lock(Inventory.objects.filter(host__in=hosts)).values_list("host", "resource_class", "free", "used")
)
_HOLDINGS = Statement(lambda tenant: Holding.objects.filter(tenant=tenant).values_list("resource_class", "zone"))
_LOCK_HOLDINGS = Statement(
    lambda tenant, names: lock(Holding.objects.filter(tenant=tenant, resource_class__in=names)).values_list(
        "resource_class", "zone"
    )
)


def add_holdings(tenant: Tenant, amounts: Mapping[tuple[str, uuid.UUID], int]) -> None:
    """Add to what the tenant holds of a class in a zone (negative amounts take away).

    The rows of all zones are locked: whoever reads afterwards what the tenant holds of a class reads it as it will be committed.
    """
    # Missing rows come before any is locked. Who locked some, and saw only then that others had been made, would lock those out
    # of the order of their keys, and wait for somebody who keeps to it.
    if not amounts.keys() <= set(_HOLDINGS.ask(tenant.pk)):
        Holding.objects.bulk_create(
            (Holding(tenant=tenant, resource_class=name, zone_id=zone) for name, zone in sorted(amounts)),
            ignore_conflicts=True,
        )
    _LOCK_HOLDINGS.ask(tenant.pk, sorted({name for name, _ in amounts}))
    for zone_id in {zone for _, zone in amounts}:
        here = {name: amount for (name, zone), amount in amounts.items() if zone == zone_id}
        _HOLD.make(tenant.pk, zone_id, list(here), list(here.values()))
