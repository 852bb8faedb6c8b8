"""The arithmetic of lending: properties over any pool, and the cases a person would work out by hand."""

import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.quotas.shares import (
    AGEING,
    HALF_LIFE,
    OWN_RIGHT,
    Account,
    Debt,
    Part,
    Piece,
    Pool,
    Use,
    Waiting,
    in_line,
    lenders,
    remembered,
    to_recall,
    to_return,
    unowned,
)
from tests.factories import NOW

A, B, C, HERE, THERE = (uuid.UUID(int=number) for number in range(1, 6))
amounts = st.integers(0, 12)


def test_nobodys_capacity_is_lent_first_then_whoever_has_most_idle() -> None:
    accounts = [Account(A, 4, lend_limit=4), Account(B, 6, lend_limit=5, zone=HERE), Account(C, 0, borrow_limit=9)]
    pools = [Pool(HERE, 12)]
    said = lenders(9, borrower=C, zone=HERE, accounts=accounts, pools=pools)
    assert said == [Part(None, 2), Part(B, 5), Part(A, 2)]
    assert lenders(11, borrower=C, zone=HERE, accounts=accounts, pools=pools)[-1] == Part(A, 4)
    assert lenders(12, borrower=C, zone=HERE, accounts=accounts, pools=pools) == []


def test_what_is_idle_elsewhere_or_not_lent_or_awaited_is_not_to_be_had() -> None:
    pools = [Pool(HERE, 5), Pool(THERE, 5)]
    ours = Account(A, 5, lend_limit=5, zone=THERE)
    theirs = Account(B, 5, lend_limit=5, zone=HERE)
    assert lenders(1, borrower=C, zone=HERE, accounts=[ours, replace(theirs, lend_limit=0)], pools=pools) == []
    assert lenders(1, borrower=C, zone=HERE, accounts=[ours, replace(theirs, used=5)], pools=pools) == []
    assert lenders(1, borrower=C, zone=HERE, accounts=[ours, replace(theirs, awaited=5)], pools=pools) == []
    assert lenders(5, borrower=C, zone=HERE, accounts=[ours, theirs], pools=pools) == [Part(B, 5)]
    assert lenders(1, borrower=B, zone=HERE, accounts=[ours, theirs], pools=pools) == []  # never from oneself


def test_a_local_zone_lends_only_what_is_its_own() -> None:
    pools = [Pool(HERE, 3, local=True), Pool(THERE, 10)]
    accounts = [Account(A, 5, lend_limit=5), Account(B, 0, borrow_limit=5)]
    assert unowned(HERE, accounts, pools) == 3
    assert unowned(THERE, accounts, pools) == 5
    assert lenders(4, borrower=B, zone=HERE, accounts=accounts, pools=pools) == []
    assert lenders(3, borrower=B, zone=HERE, accounts=accounts, pools=pools) == [Part(None, 3)]


def test_more_guaranteed_than_there_is_lends_less() -> None:
    accounts = [Account(A, 8, lend_limit=8), Account(B, 8, lend_limit=8), Account(C, 0, borrow_limit=20)]
    assert unowned(HERE, accounts, [Pool(HERE, 10)]) == -6
    assert sum(p.amount for p in lenders(10, borrower=C, zone=HERE, accounts=accounts, pools=[Pool(HERE, 10)])) == 10
    assert lenders(11, borrower=C, zone=HERE, accounts=accounts, pools=[Pool(HERE, 10)]) == []


@st.composite
def stories(draw: st.DrawFn) -> tuple[int, list[Account], list[tuple[int, int]]]:
    """A pool, what each tenant is guaranteed of it, and what each asks for (or, below 0, gives back) in turn."""
    accounts = [
        Account(uuid.UUID(int=number), draw(amounts), draw(amounts), draw(amounts))
        for number in range(1, draw(st.integers(2, 5)))
    ]
    capacity = sum(account.guaranteed for account in accounts) + draw(amounts)
    steps = draw(st.lists(st.tuples(st.integers(0, len(accounts) - 1), st.integers(-6, 6)), max_size=40))
    return capacity, accounts, steps


@given(stories())
def test_a_guaranteed_amount_is_always_reachable_through_recall(
    story: tuple[int, list[Account], list[tuple[int, int]]],
) -> None:
    capacity, accounts, steps = story
    debts: dict[int, tuple[int, uuid.UUID | None, Debt]] = {}  # number → borrower, lender, loan

    def books() -> None:
        for number, account in enumerate(accounts):
            lent = sum(debt.amount for _, lender, debt in debts.values() if lender == account.tenant)
            accounts[number] = replace(account, lent=lent)

    def pool() -> Pool:
        return Pool(HERE, capacity, sum(debt.amount for _, lender, debt in debts.values() if lender is None))

    for step, (who, amount) in enumerate(steps):
        account = accounts[who]
        after = account.used + amount
        if amount > 0:
            more = max(0, after - account.guaranteed) - account.borrowed
            free = capacity - sum(each.used for each in accounts)
            if after > account.most or amount > free:
                continue
            parts = lenders(more, borrower=account.tenant, zone=HERE, accounts=accounts, pools=[pool()])
            assert sum(part.amount for part in parts) in {0, more}
            if more and not parts:
                continue
            for part in parts:
                if part.lender is not None:
                    lender = next(each for each in accounts if each.tenant == part.lender)
                    assert lender.lent + part.amount <= min(lender.lend_limit, lender.idle)
                    assert lender.tenant != account.tenant
                debts[len(debts) * 100 + step] = (who, part.lender, Debt(len(debts), NOW, part.amount))
        else:
            after = max(0, after)
            less = account.borrowed - max(0, after - account.guaranteed)
            own = [replace(debt, key=key) for key, (borrower, _, debt) in debts.items() if borrower == who]
            for key, returned in to_return(own, less):
                borrower, lender_id, debt = debts[key]
                debts[key] = (borrower, lender_id, replace(debt, amount=debt.amount - returned))
        accounts[who] = replace(account, used=after)
        books()
        assert sum(each.used for each in accounts) <= capacity
        for number, each in enumerate(accounts):
            assert each.used <= each.most
            assert each.borrowed == sum(debt.amount for borrower, _, debt in debts.values() if borrower == number)
            # What others have borrowed, given back, makes room for all that the owner is guaranteed.
            free = capacity - sum(one.used for one in accounts)
            others = sum(one.borrowed for one in accounts if one is not each)
            assert free + others >= each.guaranteed - each.used


pieces = st.lists(
    st.builds(
        Piece,
        key=st.uuids(),
        since=st.integers(0, 50).map(lambda minutes: NOW + timedelta(minutes=minutes)),
        amounts=st.fixed_dictionaries({"VCPU": st.integers(0, 4), "DISK_GB": st.integers(0, 4)}),
    ),
    max_size=8,
    unique_by=(lambda piece: piece.key, lambda piece: piece.since),
)


def frees(chosen: list[Piece], needed: dict[str, int]) -> bool:
    return all(sum(piece.amounts[name] for piece in chosen) >= amount for name, amount in needed.items())


@given(pieces, st.fixed_dictionaries({"VCPU": st.integers(0, 10), "DISK_GB": st.integers(0, 10)}))
def test_a_recall_is_enough_and_never_more_than_needed(there: list[Piece], needed: dict[str, int]) -> None:
    chosen = to_recall(there, needed)
    if not chosen:
        assert not frees(there, needed) or not any(needed.values())
        return
    assert frees(chosen, needed)
    for left_out in chosen:
        assert not frees([piece for piece in chosen if piece is not left_out], needed)
    # Last borrowed first: what is borrowed after the oldest recalled piece would not do on its own.
    oldest = min(piece.since for piece in chosen)
    assert not frees([piece for piece in there if piece.since > oldest], needed)


def test_what_was_borrowed_last_is_recalled_first() -> None:
    one, two, three = (
        Piece(name, NOW + timedelta(hours=hour), {"VCPU": 2}) for hour, name in enumerate(("one", "two", "three"))
    )
    assert to_recall([one, three, two], {"VCPU": 2}) == [three]
    assert to_recall([one, three, two], {"VCPU": 3}) == [three, two]
    assert to_recall([one, three, two], {"VCPU": 7}) == []


def test_the_loans_of_what_went_end_first_then_the_newest() -> None:
    first, second, third = Debt(1, NOW, 3, "a"), Debt(2, NOW + HALF_LIFE, 3, "b"), Debt(3, NOW, 3, "c")
    assert to_return([first, second, third], 4, instance="a") == [(1, 3), (2, 1)]
    assert to_return([first, second, third], 4) == [(2, 3), (3, 1)]
    assert to_return([first], 0) == []


def test_memory_halves_in_a_week_and_never_exceeds_what_was_held() -> None:
    assert remembered(8.0, 0, HALF_LIFE) == pytest.approx(4.0)
    assert remembered(0.0, 8, HALF_LIFE) == pytest.approx(4.0)
    assert remembered(8.0, 8, timedelta(days=3)) == pytest.approx(8.0)
    assert remembered(5.0, 8, timedelta(seconds=-1)) == 5.0


@given(st.floats(0, 100), st.integers(0, 100), st.integers(0, 10**6), st.integers(0, 10**6))
def test_memory_does_not_depend_on_how_often_it_is_written(before: float, used: int, one: int, two: int) -> None:
    at_once = remembered(before, used, timedelta(seconds=one + two))
    in_steps = remembered(remembered(before, used, timedelta(seconds=one)), used, timedelta(seconds=two))
    assert at_once == pytest.approx(in_steps)


def order(tenant: uuid.UUID, *, vcpu: int = 1, hours: float = 0, own: bool = False) -> Waiting:
    return Waiting(uuid.uuid4(), tenant, {"VCPU": vcpu}, NOW - timedelta(hours=hours), own)


def test_pieces_go_round_by_dominant_share() -> None:
    ours = [order(A), order(A), order(A)]
    theirs = [order(B, vcpu=2), order(B, vcpu=2)]
    line = in_line([*ours, *theirs], {}, {"VCPU": 10}, NOW)
    assert Counter(each.tenant for each in line[:3]) == {A: 2, B: 1}
    assert {each.tenant for each in line[3:]} == {A, B}


def test_who_used_much_lately_stands_behind_and_own_right_before() -> None:
    uses = {A: Use(memory={"VCPU": 5})}
    first, second, third = order(A), order(B), order(A, own=True)
    assert in_line([first, second, third], uses, {"VCPU": 10}, NOW) == [third, second, first]


uses = st.builds(
    Use,
    used=st.fixed_dictionaries({"VCPU": st.floats(0, 50)}),
    memory=st.fixed_dictionaries({"VCPU": st.floats(0, 50)}),
)
waiting = st.builds(
    Waiting,
    key=st.uuids(),
    tenant=st.sampled_from([A, B, C]),
    wanted=st.fixed_dictionaries({"VCPU": st.integers(1, 9)}),
    since=st.integers(0, 200).map(lambda hours: NOW - timedelta(hours=hours)),
    own=st.booleans(),
)


@given(
    st.lists(waiting, max_size=8, unique_by=lambda each: each.key),
    st.dictionaries(st.sampled_from([A, B, C]), uses),
)
def test_nobody_starves(orders: list[Waiting], held: dict[uuid.UUID, Use]) -> None:
    """Only what came within a limited time after an order can ever be served before it, whatever anybody holds."""
    line = in_line(orders, held, {"VCPU": 50}, NOW)
    assert sorted(line, key=lambda each: each.key) == sorted(orders, key=lambda each: each.key)
    limit = AGEING * (1 + OWN_RIGHT)
    for place, each in enumerate(line):
        for earlier in line[:place]:
            # Whoever is served before has not come more than the limit later, whatever either holds.
            assert earlier.since - each.since <= limit
