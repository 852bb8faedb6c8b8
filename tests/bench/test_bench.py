"""The pure parts of the bench, its service, its scripts, and a claims run that proves only that the table comes out."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from catalog.offerings.manifests import read_all
from tests.bench.figures import COMPARED, Comparison, difference, percentile, ratio
from tests.bench.pool import claims
from tests.bench.stage import offerings_with_bench
from tests.bench.table import render
from tests.playbooks.clients import SERVICES, STACKS

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE / "scripts").glob("*.sh"))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 95, 5.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 21)], 95, 19.0),
        ([float(n) for n in range(1, 22)], 95, 20.0),
        ([1.0, 2.0, 3.0, 4.0], 100, 4.0),
    ],
)
def test_a_percentile_is_one_of_the_samples(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 95), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_nothing_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="a percentile needs samples"):
        percentile(values, percent)


def test_what_slows_both_alike_does_not_change_the_ratio() -> None:
    assert ratio([2.0, 20.0, 6.0], [1.0, 10.0, 2.0]) == 2.0
    assert difference([2.0, 20.0, 6.0], [1.0, 10.0, 2.0]) == 4.0


def test_samples_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_a_row_says_what_was_measured_and_beside_it_the_yardstick() -> None:
    row = Comparison("order → active", "by hand", "≤ 1.10 ×")
    for ours, theirs in ((11.0, 10.0), (24.0, 20.0), (30.0, 30.0)):
        row.add(ours, theirs)
    assert row.cells() == [
        "order → active", "3", "24.00 s", "30.00 s", "30.00 s", "by hand", "20.00 s", "30.00 s", "1.10 ×", "+1.00 s", "≤ 1.10 ×",
    ]  # fmt: skip


def test_a_row_without_a_yardstick_leaves_its_columns_empty() -> None:
    row = Comparison("waiting")
    row.add(1.5)
    assert row.cells() == ["waiting", "1", "1.50 s", "1.50 s", "1.50 s", "", "", "", "", "", ""]
    assert len(row.cells()) == len(COMPARED) == len(Comparison("nothing yet").cells())


def test_a_table_stands_in_columns() -> None:
    assert render(["what", "time"], [["주문", "1.25 s"], ["give-back", "10.00 s"]]).splitlines() == [
        "what          time",
        "---------  -------",
        "주문        1.25 s",
        "give-back  10.00 s",
    ]


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="as many cells"):
        render(["one", "two"], [["1"]])


def test_the_benchs_service_is_read_beside_the_others(tmp_path: Path) -> None:
    playbooks = offerings_with_bench(tmp_path)
    assert [manifest.slug for manifest in read_all(playbooks / "services")] == sorted(["bench", *SERVICES, *STACKS])
    assert not (HERE.parents[1] / "playbooks" / "services" / "bench").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_shell_and_stops_at_the_first_failure(script: Path) -> None:
    assert subprocess.run(["sh", "-n", script], capture_output=True, check=False).returncode == 0
    first = next(line for line in script.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    assert first == "set -eu"


@pytest.mark.postgresql
def test_a_claims_table_comes_out() -> None:
    said: list[str] = []
    claims(os.environ["DATABASE_URL"], hosts=[20], clients=[1], seconds=0.5, say=said.append)
    head, _line, row = said[0].splitlines()
    assert head.split()[:3] == ["hosts", "clients", "claims/s"]
    figures = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*", row)]
    assert figures[:2] == [20, 1]
    assert len(figures) == 8
    assert all(figure > 0 for figure in figures[2:4])
    assert "Measured elsewhere" in said[1]
