"""From an order to a service in use and back to a clean host, against the same by hand, in turn."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.by_hand import Hand
from tests.bench.figures import COMPARED, Comparison
from tests.bench.stage import BY_HAND, BenchFailed, Placed, Stage
from tests.bench.table import render

NAMES = {"postgresql": "PostgreSQL", "redis": "Redis"}
PLAN, ZONE = "shared-small", "zone-a"
ANSIBLE, SHELL, SAME = "ansible by hand", "shell over ssh", "ansible by hand"


@dataclass
class _Figures:
    """One service's rows."""

    rows: dict[str, Comparison]

    @classmethod
    def of(cls, slug: str) -> "_Figures":
        rows = {}
        for state, words in (("cold", "packages cold"), ("warm", "packages there")):
            what = f"{NAMES[slug]}, {words}: order → active"
            rows[f"{state} ansible"] = Comparison(what, ANSIBLE, "≤ 1.10 ×")
            rows[f"{state} shell"] = Comparison(what, SHELL, "≤ 1.5 ×" if state == "cold" else "")
        rows["back"] = Comparison(f"{NAMES[slug]}: give-back → available", SAME, "p95 ≤ 60 s")
        return cls(rows)


def builds(stage: Stage, *, rounds: int, say: Callable[[str], None], slugs: tuple[str, ...] = tuple(NAMES)) -> None:
    """Rounds of: order, by hand, by script, on wiped hosts; the same beside the first; everything back."""
    ansible, shell = (Hand(stage.rack, host, stage.folder) for host in BY_HAND)
    for hand in (ansible, shell):
        hand.wipe()
    figures = {slug: _Figures.of(slug) for slug in slugs}
    for number in range(rounds):
        for slug in slugs:
            _round(stage, ansible, shell, slug, figures[slug].rows, first=number == 0)
            say(f"  round {number + 1} of {rounds}, {NAMES[slug]}: done")
    say(render(COMPARED, [row.cells() for slug in slugs for row in figures[slug].rows.values()]))


def _round(stage: Stage, ansible: Hand, shell: Hand, slug: str, rows: dict[str, Comparison], *, first: bool) -> None:
    _ = ansible.baseline
    ours: list[Placed] = []
    by_hand = [ansible.new(slug), ansible.new(slug)]
    by_script = [shell.new(slug), shell.new(slug)]
    for state, one, other in zip(("cold", "warm"), by_hand, by_script, strict=True):
        placed = stage.place(slug, PLAN, zone=ZONE)
        stage.ended(placed)
        ours.append(placed)
        seconds = stage.active(placed) - placed.asked
        rows[f"{state} ansible"].add(seconds, ansible.build(one))
        rows[f"{state} shell"].add(seconds, shell.shell(other))
    if first:
        for other in by_script:
            shell.prove(other)
    shell.wipe()
    anchor, beside = ours
    host, name = stage.host_of(anchor)
    if stage.host_of(beside) != (host, name):
        raise BenchFailed(
            f"The second service was not built beside the first on {name}, so its packages were not there."
        )
    stage.give_back(beside)
    stage.gone(beside)
    by_hand[1].done("decommission")
    asked = stage.give_back(anchor)
    rows["back"].add(stage.available(host) - asked, ansible.give_back(by_hand[0]))
