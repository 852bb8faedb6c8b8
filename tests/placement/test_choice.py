"""The pure part: which of the hosts with room is taken."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from catalog.placement.choice import Candidate, fits, left_over, ranked

CLASSES = ("DISK_GB", "MEMORY_MB", "VCPU")
AMOUNTS = st.fixed_dictionaries({name: st.integers(1, 64) for name in CLASSES})
HOSTS = st.lists(
    st.builds(
        Candidate,
        host_id=st.uuids(),
        free=st.fixed_dictionaries({name: st.integers(0, 64) for name in CLASSES}),
    ),
    max_size=20,
    unique_by=lambda candidate: candidate.host_id,
)


@given(HOSTS, AMOUNTS)
def test_exactly_the_hosts_with_room_are_ranked(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    chosen = ranked(hosts, wanted)
    assert {each.host_id for each in chosen} == {
        each.host_id for each in hosts if all(each.free[name] >= amount for name, amount in wanted.items())
    }


@given(HOSTS, AMOUNTS)
def test_the_tightest_comes_first(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    rests = [left_over(each, wanted) for each in ranked(hosts, wanted)]
    assert rests == sorted(rests)
    assert all(0 <= rest < 1 for rest in rests)


@given(HOSTS, AMOUNTS, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_asking(
    hosts: list[Candidate], wanted: dict[str, int], draw
) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(hosts)
    draw.shuffle(shuffled)
    assert ranked(shuffled, wanted) == ranked(hosts, wanted)


@given(HOSTS, AMOUNTS)
def test_what_does_not_fit_never_changes_the_choice(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    assert ranked([each for each in hosts if fits(each, wanted)], wanted) == ranked(hosts, wanted)


def test_a_perfect_fit_beats_a_roomy_host() -> None:
    tight = Candidate(uuid.UUID(int=2), {"VCPU": 2, "MEMORY_MB": 512})
    roomy = Candidate(uuid.UUID(int=1), {"VCPU": 64, "MEMORY_MB": 65536})
    assert ranked([roomy, tight], {"VCPU": 2, "MEMORY_MB": 512}) == [tight, roomy]
    assert left_over(tight, {"VCPU": 2, "MEMORY_MB": 512}) == 0
