"""What room is worth: pure, from what is asked for and what is left."""

import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.placement.prices import NAMED, SWING, Demand, Prices, Room, Shape, priced

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
NONE: frozenset[str] = frozenset()
GPU = frozenset({"gpu"})
SMALL, WHOLE = Shape((("MEMORY_MB", 512), ("VCPU", 2))), Shape((("VCPU", 8),), whole=True)
SIZE = {"VCPU": 8, "MEMORY_MB": 4096}


def test_a_shape_counts_its_slots_by_the_scarcest_class() -> None:
    assert SMALL.slots({"VCPU": 9, "MEMORY_MB": 4096}, empty=False) == 4
    assert SMALL.slots({"VCPU": 9, "MEMORY_MB": 511}, empty=True) == 0
    assert SMALL.slots({"VCPU": 9}, empty=True) == 0
    assert [WHOLE.slots({"VCPU": vcpu}, empty=empty) for vcpu, empty in ((8, True), (99, True), (7, True), (8, False))] == [
        1, 1, 0, 0,
    ]  # fmt: skip


def test_a_price_is_the_share_of_those_who_need_it_times_the_likelihood_of_want() -> None:
    made = priced(
        [Demand(WHOLE, NONE, 3.0), Demand(WHOLE, GPU, 1.0)],
        [Room(A, NONE, SIZE, SIZE, 2), Room(B, GPU, SIZE, SIZE)],
        standing=80, stay=3600,
    )  # fmt: skip
    swing = SWING * 10
    assert made.shapes == (WHOLE,)
    assert made.worth(A, NONE) == pytest.approx(
        [0.75 * ((1 - NAMED) * math.exp(-3 / swing) + NAMED / 2 * math.exp(-2 / swing))]
    )
    plain_in_b = 0.75 * ((1 - NAMED) * math.exp(-3 / swing) + NAMED / 2 * math.exp(-1 / swing))
    gpu_in_b = 0.25 * ((1 - NAMED) * math.exp(-1 / swing) + NAMED / 2 * math.exp(-1 / swing))
    assert made.worth(B, GPU) == pytest.approx([plain_in_b + gpu_in_b])
    assert made.worth(B, NONE) == pytest.approx([plain_in_b])


def test_where_plenty_is_left_nothing_is_worth_anything() -> None:
    made = priced([Demand(SMALL, NONE, 1.0)], [Room(A, NONE, SIZE, SIZE, 1000)], standing=0, stay=3600)
    assert made.worth(A, NONE) == (0.0,)


def test_a_host_that_a_lease_still_holds_counts_the_more_the_sooner_it_ends() -> None:
    def worth(ends_in: float | None) -> float:
        rooms = [Room(A, NONE, SIZE, SIZE), Room(A, NONE, SIZE, SIZE, ends_in=ends_in)]
        return priced([Demand(WHOLE, NONE, 1.0)], rooms, standing=5, stay=3600).worth(A, NONE)[0]

    worths = [worth(None), worth(0), worth(1200), worth(3600), worth(360_000)]
    assert worths == sorted(worths)
    assert worths[0] == worths[1] < worths[2] < worths[3] < worths[4]


def test_slack_is_what_is_free_of_the_scarcest_class_and_counts_nobody_twice() -> None:
    rooms = [
        Room(A, NONE, {"VCPU": 2, "MEMORY_MB": 4096}, SIZE, 3),
        Room(A, NONE, SIZE, SIZE),
        Room(B, NONE, SIZE, SIZE, ends_in=60),
    ]
    assert priced([], rooms, standing=4, stay=1).slack == pytest.approx((3 * 2 + 8) / (5 * 8))


def test_an_empty_pool_and_no_demand_have_prices_too() -> None:
    nothing = priced([], [], standing=0, stay=1)
    assert (nothing.worth(A, GPU), nothing.slack) == ((), 0.5)
    assert priced([Demand(SMALL, NONE, 1.0)], [], standing=0, stay=1).worth(A, NONE) == (0.0,)
    assert Prices((SMALL,)).worth(None, NONE) == (0.0,)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 500))
def test_the_fewer_are_left_the_more_one_is_worth(few: int, more: int, standing: int) -> None:
    few, more = sorted((few, more))
    worths = [
        priced(
            [Demand(WHOLE, GPU, 1.0)], [Room(A, GPU, SIZE, SIZE, hosts) for _ in (1,)], standing=standing, stay=1
        ).worth(A, GPU)[0]
        for hosts in (few, more)
    ]
    assert worths[0] >= worths[1]
    assert 0 <= worths[1] <= worths[0] <= 1


@given(st.sets(st.sampled_from(["gpu", "nvme", "licensed"])), st.sampled_from(["gpu", "nvme", "licensed"]))
def test_one_more_trait_never_makes_room_worth_less(traits: set[str], another: str) -> None:
    demands = [Demand(SMALL, frozenset(each), 1.0) for each in ((), ("gpu",), ("nvme", "gpu"), ("licensed",))]
    made = priced(demands, [Room(A, frozenset({"gpu", "nvme"}), SIZE, SIZE)], standing=0, stay=1)
    assert made.worth(A, frozenset(traits | {another})) >= made.worth(A, frozenset(traits))
