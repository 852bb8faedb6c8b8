"""What is to be placed: the members of a service, and which of them stand together or apart. Pure, no database."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from catalog.offerings.models import Plan
from catalog.placement.choice import Wanted

MAIN = "main"
"""The role, and the name, of the only member of a service on one host."""


class Spread(IntEnum):
    """How far apart two members must stand."""

    NONE = 0
    HOST = 1
    ZONE = 2


@dataclass(frozen=True)
class Member:
    """One part of a service, which stands on one host.

    :param name: unique within the service, such as ``replica-2``.
    :param amounts: class → amount above 0.
    :param spread: how far from the other members of its role, and from those of ``apart_from``.
    :param together_with: a role whose member of the same number shares its host.
    :param service: the offering it is one of, where the service is made of several; empty: its own.
    :param clients: whether those whom the service is for may connect to it; if not, only the other members may.
    """

    amounts: Mapping[str, int]
    traits: frozenset[str] = frozenset()
    name: str = MAIN
    role: str = MAIN
    number: int = 1
    spread: Spread = Spread.NONE
    apart_from: frozenset[str] = frozenset()
    together_with: str = ""
    service: str = ""
    clients: bool = True


@dataclass(frozen=True)
class Bundle:
    """Members that share a host, and what they want of it in sum."""

    members: tuple[Member, ...]
    wanted: Wanted


def members_of(plan: Plan) -> list[Member]:
    """The members a plan is built of, in the order of its roles."""
    roles = plan.roles or [{"name": MAIN, "count": 1, "resources": plan.resources}]
    return [
        Member(
            amounts=role["resources"],
            traits=frozenset(plan.traits) | frozenset(role.get("traits", ())),
            name=role["name"] if role["count"] == 1 else f"{role['name']}-{number}",
            role=role["name"],
            number=number,
            spread=Spread[role.get("spread", "none").upper()],
            apart_from=frozenset(role.get("apart_from", ())),
            together_with=role.get("together_with", ""),
            service=role.get("service", ""),
            clients=role.get("clients", True),
        )
        for role in roles
        for number in range(1, role["count"] + 1)
    ]


def apart(one: Member, other: Member) -> Spread:
    """How far apart two members must stand."""
    same_role = one.role == other.role
    return max(
        one.spread if same_role or other.role in one.apart_from else Spread.NONE,
        other.spread if same_role or one.role in other.apart_from else Spread.NONE,
    )


def between(one: Bundle, other: Bundle) -> Spread:
    """How far apart two bundles must stand."""
    return max(apart(mine, theirs) for mine in one.members for theirs in other.members)


def bundles(members: Sequence[Member], *, whole: bool, until: datetime | None = None) -> list[Bundle]:
    """The members as they share hosts, in the order in which each bundle's first member was given.

    :raises ValueError: the members contradict each other; a plan that was loaded never does.
    """
    if not members or any(
        amount < 1 for member in members for amount in (*member.amounts.values(), len(member.amounts))
    ):
        raise ValueError("a claim names at least one resource class, each with an amount above 0")
    if len({member.name for member in members}) < len(members):
        raise ValueError("the members of a service have different names")
    by_place = {(member.role, member.number): member for member in members}
    together: dict[str, list[Member]] = {}
    for member in members:
        anchor, seen = member, {member.role}
        while anchor.together_with:
            following = by_place.get((anchor.together_with, anchor.number))
            if following is None or following.role in seen:
                raise ValueError(f"{anchor.name} is to stand with {anchor.together_with}, which there is none of")
            anchor = following
            seen.add(anchor.role)
        together.setdefault(anchor.name, []).append(member)
    return [_bundle(tuple(each), whole=whole, until=until) for each in together.values()]


def _bundle(members: tuple[Member, ...], *, whole: bool, until: datetime | None) -> Bundle:
    if whole and len(members) > 1:
        raise ValueError("members that take whole hosts cannot share one")
    for position, member in enumerate(members):
        if any(apart(member, other) for other in members[:position]):
            raise ValueError(f"{member.name} is to stand with others, and apart from them")
    amounts: Counter[str] = Counter()
    for member in members:
        amounts.update(member.amounts)
    traits = frozenset[str]().union(*(member.traits for member in members))
    return Bundle(members, Wanted(dict(amounts), traits, whole, until))
