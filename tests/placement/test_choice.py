"""The pure part: which of the hosts with room is taken."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.placement.choice import Candidate, Outlook, Stay, Wanted, contributions, fits, ranked
from catalog.placement.prices import Prices, Shape
from catalog.placement.weighers import WEIGHERS, BestFit, HostHours, HostsInUse, Scarcity, answerable

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


NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAIN = Outlook(NOW)
SMALL, LARGE, WHOLE = Shape((("VCPU", 2),)), Shape((("VCPU", 8),)), Shape((("VCPU", 8),), whole=True)


def order(hosts: list[Candidate], wanted: dict[str, int]) -> list[Candidate]:
    return ranked(hosts, Wanted(wanted), PLAIN, WEIGHERS)


def host(number: int = 1, free: int = 16, total: int = 16, **more: Any) -> Candidate:
    return Candidate(uuid.UUID(int=number), {"VCPU": free}, {"VCPU": total}, empty=free == total, **more)


def market(worth: dict[frozenset[str], tuple[float, ...]], *shapes: Shape, slack: float = 0.5) -> Outlook:
    return Outlook(NOW, Prices(shapes, {None: list(worth.items())}, slack, stay=10 * 3600.0))


@settings(deadline=None)
@given(HOSTS, AMOUNTS)
def test_exactly_the_hosts_with_room_are_ranked(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    assert {each.host_id for each in order(hosts, wanted)} == {
        each.host_id for each in hosts if all(each.free[name] >= amount for name, amount in wanted.items())
    }


@given(HOSTS, AMOUNTS)
def test_the_lowest_sum_comes_first(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    sums = [sum(contributions(each, Wanted(wanted), PLAIN, WEIGHERS).values()) for each in order(hosts, wanted)]
    assert sums == sorted(sums)
    assert all(each >= 0 for each in sums)


@given(HOSTS, AMOUNTS, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_asking(
    hosts: list[Candidate], wanted: dict[str, int], draw
) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(hosts)
    draw.shuffle(shuffled)
    assert order(shuffled, wanted) == order(hosts, wanted)


@given(HOSTS, AMOUNTS)
def test_what_does_not_fit_never_changes_the_choice(hosts: list[Candidate], wanted: dict[str, int]) -> None:
    fitting = [each for each in hosts if fits(each.free, wanted)]
    assert order(fitting, wanted) == order(hosts, wanted)


def test_where_nothing_else_decides_the_tightest_is_taken() -> None:
    tight, roomy = host(2, 4, 8), host(1, 16, 32)
    assert order([roomy, tight], {"VCPU": 4}) == [tight, roomy]
    assert BestFit().weigh(tight, Wanted({"VCPU": 4}), PLAIN) == 0
    assert BestFit().weigh(roomy, Wanted({"VCPU": 4}), PLAIN) == 0.75


def test_a_host_in_use_beats_a_clean_one_whatever_the_fit() -> None:
    clean, used = host(1, 2, 2), host(2, 64, 128)
    assert order([clean, used], {"VCPU": 2}) == [used, clean]
    assert HostsInUse().weigh(clean, Wanted({"VCPU": 2}), PLAIN) == 1
    assert HostsInUse().weigh(used, Wanted({"VCPU": 2}), PLAIN) == 0


def test_in_a_full_pool_packing_counts_for_little() -> None:
    for slack, counts in ((0.5, 1.0), (0.25, 0.125), (0.0, 0.0)):
        assert HostsInUse().weigh(host(), Wanted({"VCPU": 2}), market({}, slack=slack)) == counts


def test_a_rare_trait_is_left_to_those_who_need_it() -> None:
    outlook = market({frozenset(): (0.0001,), frozenset({"gpu"}): (0.01,)}, SMALL)
    plain, rare = host(2), host(1, traits=frozenset({"gpu"}))
    assert ranked([rare, plain], Wanted({"VCPU": 2}), outlook, WEIGHERS) == [plain, rare]
    assert Scarcity().weigh(plain, Wanted({"VCPU": 2}), outlook) == pytest.approx(0.0001)
    assert Scarcity().weigh(rare, Wanted({"VCPU": 2}), outlook) == pytest.approx(0.0101)


def test_before_there_are_prices_a_trait_nobody_asked_for_is_left_alone() -> None:
    plain, rare, rarer = host(3), host(2, traits=frozenset({"gpu"})), host(1, traits=frozenset({"gpu", "nvme"}))
    assert ranked([rarer, rare, plain], Wanted({"VCPU": 2}), PLAIN, WEIGHERS) == [plain, rare, rarer]
    with_gpu = Wanted({"VCPU": 2}, frozenset({"gpu"}))
    assert ranked([rarer, rare], with_gpu, PLAIN, WEIGHERS) == [rare, rarer]


def test_a_large_room_is_left_to_large_members() -> None:
    outlook = market({frozenset(): (0.0, 0.01)}, SMALL, LARGE)
    broken, large = host(1, 7, 16), host(2, 8, 16)
    assert ranked([large, broken], Wanted({"VCPU": 2}), outlook, WEIGHERS) == [broken, large]
    assert Scarcity().weigh(broken, Wanted({"VCPU": 2}), outlook) == 0
    assert Scarcity().weigh(large, Wanted({"VCPU": 2}), outlook) == 0.01


def test_a_whole_host_costs_all_its_slots_and_a_slice_costs_the_whole_host() -> None:
    outlook = market({frozenset(): (0.001, 0.01)}, SMALL, WHOLE)
    assert Scarcity().weigh(host(), Wanted({"VCPU": 8}, whole=True), outlook) == pytest.approx(8 * 0.001 + 0.01)
    assert Scarcity().weigh(host(), Wanted({"VCPU": 2}), outlook) == pytest.approx(0.001 + 0.01)
    assert Scarcity().weigh(host(free=8), Wanted({"VCPU": 2}), outlook) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("others", "seconds"),
    [
        ([], 100.0),
        ([(100.0, 0.25)], 50.0),
        ([(40.0, 0.25)], 20.0 + 60.0),
        ([(40.0, 0.25), (100.0, 0.5)], 10.0 + 20.0),
        ([(0.0, 0.75)], 100.0),
        ([(500.0, 0.75)], 25.0),
    ],
)
def test_those_who_stand_on_a_host_answer_for_its_hours_by_their_share(
    others: list[tuple[float, float]], seconds: float
) -> None:
    assert answerable(0.25, 100.0, others) == pytest.approx(seconds)


@given(
    st.floats(0.01, 1), st.floats(1, 1e7),
    st.lists(st.tuples(st.floats(0, 1e7), st.floats(0.01, 1)), max_size=12), st.floats(0, 1e7), st.floats(0.01, 1),
)  # fmt: skip
def test_company_never_makes_anybody_answer_for_more(
    share: float, length: float, others: list[tuple[float, float]], until: float, theirs: float
) -> None:
    alone, together = answerable(share, length, others), answerable(share, length, [*others, (until, theirs)])
    assert 0 < together <= alone * (1 + 1e-9)
    assert alone <= length * (1 + 1e-9)


def test_leases_that_end_together_stand_together() -> None:
    wanted = Wanted({"VCPU": 4}, until=NOW + 10 * HOUR)
    soon = host(1, 8, 16, stays=(Stay(0.5, NOW + HOUR),))
    late = host(2, 8, 16, stays=(Stay(0.5, NOW + 12 * HOUR),))
    outlook = market({})
    assert ranked([soon, late], wanted, outlook, WEIGHERS) == [late, soon]
    assert HostHours().weigh(late, wanted, outlook) == pytest.approx((10 / 3) / (10 / 3 + 40))
    assert HostHours().weigh(soon, wanted, outlook) == pytest.approx((1 / 3 + 9) / (1 / 3 + 9 + 40))


def test_a_lease_whose_end_is_unknown_stays_as_long_as_the_new_one() -> None:
    wanted = Wanted({"VCPU": 8}, until=NOW + 10 * HOUR)
    assert HostHours().weigh(host(1, 8, 16, stays=(Stay(0.5),)), wanted, market({})) == pytest.approx(5 / 45)


def test_whole_hosts_answer_for_no_company() -> None:
    wanted = Wanted({"VCPU": 8}, whole=True, until=NOW + HOUR)
    assert HostHours().weigh(host(), wanted, market({})) == HostsInUse().weigh(host(), wanted, market({})) == 0


def test_a_host_after_a_claim_has_less_room_and_one_more_on_it() -> None:
    after = host(stays=(Stay(0.5, NOW),)).after(Wanted({"VCPU": 4}, until=NOW + HOUR))
    assert (after.free, after.empty) == ({"VCPU": 12}, False)
    assert after.stays == (Stay(0.5, NOW), Stay(0.25, NOW + HOUR))
    assert host().after(Wanted({"VCPU": 4}, whole=True)).free == {"VCPU": 0}
