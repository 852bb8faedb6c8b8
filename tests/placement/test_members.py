"""The pure part of stacks: who shares a host, who stands apart, and on which hosts that can be had."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.placement.choice import Candidate, Outlook
from catalog.placement.filters import (
    FAILURE_COUNTS,
    SILENCE,
    AskedFor,
    MayHold,
    OpenToAffiliate,
    Place,
    Sound,
    TakesNew,
)
from catalog.placement.members import Bundle, Member, Spread, between, bundles
from catalog.placement.search import Choice, NoneLeft, assign
from tests.factories import NOW

SOUND = Sound(NOW)
ZONES = [uuid.UUID(int=900 + number) for number in range(3)]


def member(name: str, *, vcpu: int = 1, role: str = "", number: int = 1, **more: Any) -> Member:
    return Member({"VCPU": vcpu}, name=name, role=role or name, number=number, **more)


def host(number: int, vcpu: int, zone: int = 0, **more: Any) -> Candidate:
    return Candidate(uuid.UUID(int=number), {"VCPU": vcpu}, {"VCPU": vcpu}, f"host-{number}", ZONES[zone], **more)


def put(members: Sequence[Member], hosts: Sequence[Candidate], *, whole: bool = False) -> list[Choice]:
    return assign(bundles(members, whole=whole), lambda bundle: hosts, sound=SOUND, outlook=Outlook(NOW))


def where(choices: Sequence[Choice]) -> list[str]:
    return [each.candidate.name for each in choices]


def test_members_that_stand_together_want_one_host_for_all() -> None:
    web = member("web", vcpu=2, traits=frozenset({"ssd"}))
    found = bundles([web, member("log", vcpu=1, together_with="web"), member("db", vcpu=4)], whole=False)
    assert [[each.name for each in bundle.members] for bundle in found] == [["web", "log"], ["db"]]
    assert found[0].wanted.amounts == {"VCPU": 3}
    assert found[0].wanted.traits == {"ssd"}


@pytest.mark.parametrize(
    ("members", "whole", "words"),
    [
        ([], False, "amount above 0"),
        ([member("a", vcpu=0)], False, "amount above 0"),
        ([Member({})], False, "amount above 0"),
        ([member("a"), member("a", number=2)], False, "different names"),
        ([member("a", together_with="b")], False, "there is none of"),
        ([member("a", together_with="b"), member("b", together_with="a")], False, "there is none of"),
        ([member("a"), member("b", together_with="a")], True, "cannot share one"),
        (
            [member("a"), member("b", together_with="a", spread=Spread.HOST, apart_from=frozenset({"a"}))],
            False,
            "apart from them",
        ),
    ],
    ids=["none", "nothing", "no class", "same name", "alone", "in a circle", "whole hosts", "contradiction"],
)
def test_members_that_contradict_each_other_are_refused(members: list[Member], whole: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bundles(members, whole=whole)


def test_how_far_apart() -> None:
    primary = member("primary")
    replica = [
        member(f"replica-{n}", role="replica", number=n, spread=Spread.ZONE, apart_from=frozenset({"primary"}))
        for n in (1, 2)
    ]
    other = member("web")
    one, first, second, web = bundles([primary, *replica, other], whole=False)
    assert between(one, first) == between(first, one) == between(first, second) == Spread.ZONE
    assert between(web, one) == between(web, first) == Spread.NONE


def test_spread_over_hosts_and_zones() -> None:
    hosts = [host(1, 8, 0), host(2, 8, 0), host(3, 8, 1), host(4, 8, 2)]
    alike = [member(f"n-{n}", role="n", number=n, spread=Spread.HOST) for n in (1, 2, 3)]
    assert where(put(alike, hosts)) == ["host-1", "host-2", "host-3"]
    far = [member(f"n-{n}", role="n", number=n, spread=Spread.ZONE) for n in (1, 2, 3)]
    assert where(put(far, hosts)) == ["host-1", "host-3", "host-4"]
    with pytest.raises(NoneLeft) as none:
        put([*far, member("n-4", role="n", number=4, spread=Spread.ZONE)], hosts)
    assert none.value.apart


def test_members_without_spread_may_share_a_host_as_far_as_it_goes() -> None:
    alike = [member(f"n-{n}", role="n", number=n, vcpu=2) for n in (1, 2, 3)]
    assert where(put(alike, [host(1, 4), host(2, 4)])) == ["host-1", "host-1", "host-2"]
    with pytest.raises(NoneLeft) as none:
        put([*alike, member("n-4", role="n", number=4, vcpu=3)], [host(1, 4), host(2, 4)])
    assert none.value.bundle.members[0].name == "n-3"


def test_whole_hosts_are_never_shared() -> None:
    assert where(put([member("a"), member("b")], [host(1, 4), host(2, 4)], whole=True)) == ["host-1", "host-2"]
    with pytest.raises(NoneLeft):
        put([member("a"), member("b")], [host(1, 4)], whole=True)


def test_the_best_host_of_one_is_left_to_another_that_has_no_other() -> None:
    """The picky member is seen to first; and where that does not suffice, the next best is tried."""
    hosts = [host(1, 2, 0), host(2, 3, 1), host(3, 9, 1)]
    wide = member("wide", vcpu=2, spread=Spread.ZONE, apart_from=frozenset({"deep"}))
    deep = member("deep", vcpu=2)

    def listed(bundle: Bundle) -> list[Candidate]:
        return hosts if bundle.members[0].name == "wide" else hosts[:1]

    choices = assign(bundles([wide, deep], whole=False), listed, sound=SOUND, outlook=Outlook(NOW))
    assert where(choices) == ["host-2", "host-1"]


def test_doubtful_hosts_come_last_whatever_speaks_for_them() -> None:
    tight = host(1, 1, failures=1, failed_at=NOW - FAILURE_COUNTS + timedelta(seconds=1))
    silent = host(2, 2, seen_at=NOW - SILENCE)
    late = host(3, 3, unanswered=1, seen_at=NOW)
    roomy = host(4, 64, seen_at=NOW)
    found = put([member("a")], [tight, silent, late, roomy])
    assert where(found) == ["host-4"]
    assert found[0].left == {"shortlist": 4, "sound": 1}
    assert found[0].runner_up == tight
    assert where(put([member("a")], [silent, tight, late])) == ["host-1"]
    forgiven = host(1, 1, failures=3, failed_at=NOW - FAILURE_COUNTS)
    assert where(put([member("a")], [forgiven, roomy])) == ["host-1"]


def test_zones() -> None:
    def place(kind: str, *, closed: bool = False) -> Place:
        return Place(uuid.uuid4(), "z", kind, frozenset({"public"}), closed=closed)

    ours = place("local")
    assert OpenToAffiliate(frozenset({ours.zone_id})).passes(ours)
    assert not OpenToAffiliate(frozenset({ours.zone_id})).passes(place("shared"))
    assert AskedFor(None).passes(place("shared"))
    assert not AskedFor(None).passes(place("external"))
    assert AskedFor("z").passes(place("external"))
    assert not AskedFor("y").passes(place("shared"))
    assert TakesNew().passes(place("shared"))
    assert not TakesNew().passes(place("shared", closed=True))
    assert MayHold("public").passes(place("shared"))
    assert not MayHold("unique-id").passes(place("shared"))


HOSTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=6)
STACK = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(Spread), st.sampled_from(["a", "b"])), min_size=1, max_size=4
)


@given(HOSTS, STACK, st.booleans())
def test_what_is_found_keeps_every_promise(
    sizes: list[tuple[int, int]], asked: list[tuple[int, Spread, str]], whole: bool
) -> None:
    hosts = [host(number, vcpu, zone) for number, (vcpu, zone) in enumerate(sizes, start=1)]
    members = [
        member(f"{role}-{n}", vcpu=vcpu, role=role, number=n, spread=spread)
        for n, (vcpu, spread, role) in enumerate(asked)
    ]
    try:
        choices = put(members, hosts, whole=whole)
    except NoneLeft:
        return
    assert [each.bundle.members[0] for each in choices] == members
    used: dict[uuid.UUID, int] = {}
    for number, one in enumerate(choices):
        there = one.candidate
        used[there.host_id] = used.get(there.host_id, 0) + one.bundle.wanted.amounts["VCPU"]
        for other in choices[:number]:
            spread = between(one.bundle, other.bundle)
            assert there.host_id != other.candidate.host_id or (spread == Spread.NONE and not whole)
            assert there.zone_id != other.candidate.zone_id or spread < Spread.ZONE
    assert all(used[each.host_id] <= each.free["VCPU"] for each in hosts if each.host_id in used)


@given(HOSTS, st.integers(1, 4), st.integers(1, 4))
def test_alike_members_on_hosts_of_their_own_are_placed_whenever_they_can_be(
    sizes: list[tuple[int, int]], vcpu: int, count: int
) -> None:
    hosts = [host(number, size, zone) for number, (size, zone) in enumerate(sizes, start=1)]
    members = [member(f"n-{n}", vcpu=vcpu, role="n", number=n, spread=Spread.HOST) for n in range(count)]
    enough = sum(size >= vcpu for size, _zone in sizes) >= count
    if enough:
        assert len({each.candidate.host_id for each in put(members, hosts)}) == count
    else:
        with pytest.raises(NoneLeft):
            put(members, hosts)
