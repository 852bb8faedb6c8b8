"""Claims per second on PostgreSQL, beside what OpenStack Placement made of the same sizes on a machine of this kind."""

from collections.abc import Callable, Sequence

from tests.bench.claims import measured
from tests.bench.table import render

HEAD = [
    "hosts", "clients", "claims/s", "cpu ms a claim", "of which server", "p50", "p95", "n", "OpenStack Placement 16*", "bar",
]  # fmt: skip
ELSEWHERE = {
    (1_000, 1): "9.2/s",
    (1_000, 8): "15.1/s, 123 cpu ms",
    (10_000, 1): "1.0/s",
    (10_000, 8): "1.7/s, 1,104 cpu ms",
}
BARS = {(10_000, 8): "≥ 100/s and ≤ 25 cpu ms"}
NOTE = (
    "* Measured elsewhere: a quiet machine with 2 cores, PostgreSQL 15, one claim = candidates + PUT. A figure to compare\n"
    "  magnitudes with, not taken in this run. CPU is that of clients and of PostgreSQL together; commits wait for the disk."
)


def claims(
    server_url: str, *, hosts: Sequence[int], clients: Sequence[int], seconds: float, say: Callable[[str], None]
) -> None:
    """For each size of the pool and each number of clients: claim for some seconds, then check the books."""
    rows = []
    for size in hosts:
        for seen in measured(server_url, hosts=size, clients=clients, seconds=seconds):
            rows.append(
                [
                    f"{size:,}", str(seen.clients), f"{seen.per_second:.0f}/s",
                    f"{seen.client_cpu_ms + seen.server_cpu_ms:.1f} ms",
                    f"{seen.server_cpu_ms:.1f} ms", f"{seen.p50_ms:.1f} ms", f"{seen.p95_ms:.1f} ms", f"{seen.claims:,}",
                    ELSEWHERE.get((size, seen.clients), ""), BARS.get((size, seen.clients), ""),
                ]
            )  # fmt: skip
    say(render(HEAD, rows))
    say(NOTE)
