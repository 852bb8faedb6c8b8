"""Finding a host for every bundle of a service, all or none: pure, on shortlists of candidates that have room."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from catalog.placement.choice import Candidate, Outlook, Wanted, ranked
from catalog.placement.filters import Apart, Sound
from catalog.placement.members import Bundle, Spread, between
from catalog.placement.weighers import WEIGHERS

STEPS = 200
"""So many hosts are tried at most for the bundles of one service before the search gives up."""


@dataclass(frozen=True)
class Choice:
    """A bundle on the candidate chosen for it; ``runner_up`` would have been next. ``left``: filter code → hosts it left."""

    bundle: Bundle
    candidate: Candidate
    runner_up: Candidate | None
    left: Mapping[str, int]


class NoneLeft(Exception):
    """``bundle`` finds no candidate, wherever those before it were put. ``apart``: because of them alone."""

    def __init__(self, bundle: Bundle, *, apart: bool) -> None:
        super().__init__(bundle.members[0].name)
        self.bundle, self.apart = bundle, apart


def assign(
    bundles: Sequence[Bundle], shortlist: Callable[[Bundle], Sequence[Candidate]], *, sound: Sound, outlook: Outlook
) -> list[Choice]:
    """A choice for every bundle, in their order. Bundles before have their room deducted, and keep their distance.

    Doubtful hosts come last whatever speaks for them. Where the best host of one bundle leaves none for a later one the
    next best is tried, at most :data:`STEPS` hosts in all.

    :raises NoneLeft: with the bundle that could be placed least often.
    """
    # The demanding ones first: they have the fewest hosts to choose from.
    order = sorted(range(len(bundles)), key=lambda number: _demand(bundles, number))
    search = _Search([bundles[number] for number in order], shortlist, sound, outlook)
    chosen = search.go_on([])
    if chosen is None:
        assert search.stuck is not None  # a search that fails says where
        raise search.stuck
    by_place = dict(zip(order, chosen, strict=True))
    return [by_place[number] for number in range(len(bundles))]


def _demand(bundles: Sequence[Bundle], number: int) -> tuple[int, int, int, int]:
    mine = bundles[number]
    far = max((between(mine, other) for other in bundles if other is not mine), default=Spread.NONE)
    return -len(mine.wanted.traits), -far, -sum(mine.wanted.amounts.values()), number


class _Search:
    """Depth first, best candidate first."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        shortlist: Callable[[Bundle], Sequence[Candidate]],
        sound: Sound,
        outlook: Outlook,
    ) -> None:
        self.bundles, self.shortlist, self.sound, self.outlook = bundles, shortlist, sound, outlook
        self.steps = 0
        self.stuck: NoneLeft | None = None
        self.deepest = -1

    def go_on(self, chosen: list[Choice]) -> list[Choice] | None:
        if len(chosen) == len(self.bundles):
            return chosen
        bundle = self.bundles[len(chosen)]
        found, left = self._passing(bundle, chosen)
        if not found and len(chosen) > self.deepest:
            self.deepest, self.stuck = len(chosen), NoneLeft(bundle, apart=bool(left["shortlist"]))
        for place, candidate in enumerate(found):
            self.steps += 1
            if self.steps > max(STEPS, len(self.bundles)):
                return None
            runner_up = found[place + 1] if place + 1 < len(found) else None
            done = self.go_on([*chosen, Choice(bundle, candidate, runner_up, left)])
            if done is not None:
                return done
        return None

    def _passing(self, bundle: Bundle, chosen: Sequence[Choice]) -> tuple[list[Candidate], dict[str, int]]:
        listed = self.shortlist(bundle)
        left = {"shortlist": len(listed)}
        if chosen:
            apart = _apart(bundle, chosen)
            taken = _taken(chosen)
            listed = [
                _without(each, taken.get(each.host_id, ()))
                for each in listed
                if apart.passes(each) and not (each.host_id in taken and bundle.wanted.whole)
            ]
        order = ranked(listed, bundle.wanted, self.outlook, WEIGHERS)
        if chosen:
            left[Apart.code] = len(order)
        # A stable sort: within the sound and within the doubtful the order stays as it was ranked.
        found = sorted(order, key=lambda each: not self.sound.passes(each))
        left[Sound.code] = sum(map(self.sound.passes, found))
        return found, left


def _apart(bundle: Bundle, chosen: Sequence[Choice]) -> Apart:
    far = [(between(bundle, other.bundle), other.candidate) for other in chosen]
    return Apart(
        frozenset(there.host_id for spread, there in far if spread >= Spread.HOST),
        frozenset(there.zone_id for spread, there in far if spread >= Spread.ZONE and there.zone_id is not None),
    )


def _taken(chosen: Sequence[Choice]) -> dict[uuid.UUID, list[Wanted]]:
    taken: dict[uuid.UUID, list[Wanted]] = {}
    for each in chosen:
        taken.setdefault(each.candidate.host_id, []).append(each.bundle.wanted)
    return taken


def _without(candidate: Candidate, taken: Sequence[Wanted]) -> Candidate:
    for wanted in taken:
        candidate = candidate.after(wanted)
    return candidate
