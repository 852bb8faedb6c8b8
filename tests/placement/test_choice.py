"""The pure part: which of the hosts with room is taken."""

import uuid
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from catalog.placement.choice import Candidate, Wanted, contributions, fits, left_over, ranked

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
    chosen = ranked(hosts, Wanted(wanted))
    assert {each.host_id for each in chosen} == {
        each.host_id for each in hosts if all(each.free[name] >= amount for name, amount in wanted.items())
    }


@given(HOSTS, AMOUNTS)
def test_the_tightest_comes_first(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    rests = [left_over(each, wanted) for each in ranked(hosts, Wanted(wanted))]
    assert rests == sorted(rests)
    assert all(0 <= rest < 1 for rest in rests)


@given(HOSTS, AMOUNTS, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_asking(
    hosts: list[Candidate], wanted: dict[str, int], draw
) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(hosts)
    draw.shuffle(shuffled)
    assert ranked(shuffled, Wanted(wanted)) == ranked(hosts, Wanted(wanted))


@given(HOSTS, AMOUNTS)
def test_what_does_not_fit_never_changes_the_choice(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    fitting = [each for each in hosts if fits(each.free, wanted)]
    assert ranked(fitting, Wanted(wanted)) == ranked(hosts, Wanted(wanted))


def test_a_perfect_fit_beats_a_roomy_host() -> None:
    tight = Candidate(uuid.UUID(int=2), {"VCPU": 2, "MEMORY_MB": 512})
    roomy = Candidate(uuid.UUID(int=1), {"VCPU": 64, "MEMORY_MB": 65536})
    assert ranked([roomy, tight], Wanted({"VCPU": 2, "MEMORY_MB": 512})) == [tight, roomy]
    assert left_over(tight, {"VCPU": 2, "MEMORY_MB": 512}) == 0


def test_a_host_in_use_beats_a_clean_one_whatever_the_fit() -> None:
    clean = Candidate(uuid.UUID(int=1), {"VCPU": 2})
    used = Candidate(uuid.UUID(int=2), {"VCPU": 64}, empty=False)
    wanted = Wanted({"VCPU": 2})
    assert ranked([clean, used], wanted) == [used, clean]
    assert contributions(clean, wanted) == {"hosts-in-use": 1, "best-fit": 0}
    assert contributions(used, wanted) == {"hosts-in-use": 0, "best-fit": Fraction(31, 32)}
