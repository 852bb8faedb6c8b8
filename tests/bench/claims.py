"""How many claims a second? ``python -m tests.bench.claims --clients 8 --hosts 10000``

Makes a database of its own beside the one ``DATABASE_URL`` names (PostgreSQL), fills it with hosts, half of them partly used, and
lets clients claim for some seconds, each claim in one transaction as an order does it: instance, quota, capacity, port.
Prints claims per second, and the CPU time of clients and server per claim. Afterwards the books must balance.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.harness.postgres import database

WORKER = (sys.executable, "-m", "tests.bench.claims_worker")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """What one run measured; CPU in milliseconds per claim, latencies in milliseconds."""

    hosts: int
    clients: int
    claims: int
    refused: int
    per_second: float
    client_cpu_ms: float
    server_cpu_ms: float
    p50_ms: float
    p95_ms: float

    def __str__(self) -> str:
        return (
            f"{self.hosts:>7} hosts {self.clients:>3} clients {self.per_second:8.1f} claims/s"
            f"   cpu {self.client_cpu_ms:5.1f} ms client + {self.server_cpu_ms:5.1f} ms server"
            f"   p50 {self.p50_ms:6.1f} ms  p95 {self.p95_ms:6.1f} ms   {self.claims} claims, {self.refused} refused"
        )


def measured(
    server_url: str, *, hosts: int, clients: Sequence[int], seconds: float, whole: bool = False
) -> Iterator[Figures]:
    """Fill a database with hosts, and for each number of clients let so many claim in a copy of it."""
    pool = "pumasi_bench_pool"
    with database(server_url, pool) as url:
        seed = [*WORKER, "seed", str(hosts)]
        subprocess.run(seed, env={**os.environ, "DATABASE_URL": url}, check=True, stdout=subprocess.DEVNULL)
        for number in clients:
            yield _measure(server_url, pool, hosts=hosts, clients=number, seconds=seconds, whole=whole)


def _measure(server_url: str, pool: str, *, hosts: int, clients: int, seconds: float, whole: bool) -> Figures:
    """Let the clients claim, check the books, drop the copy."""
    with database(server_url, "pumasi_bench_claims", template=pool) as url:
        environment = {**os.environ, "DATABASE_URL": url}
        kind = ["--whole"] if whole else []
        running = [
            subprocess.Popen(
                [*WORKER, "claim", str(number), str(seconds), *kind], env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for number in range(clients)
        ]  # fmt: skip
        try:
            results, server_seconds = _together(running, url)
        finally:
            for client in running:
                client.kill()
                client.wait()
        subprocess.run([*WORKER, "check"], env=environment, check=True)
    claims = sum(result["claims"] for result in results)
    latencies = sorted(each for result in results for each in result["latencies"])
    elapsed = max(result["elapsed"] for result in results)
    return Figures(
        hosts=hosts, clients=clients, claims=claims, refused=sum(result["refused"] for result in results),
        per_second=claims / elapsed, client_cpu_ms=1000 * sum(result["cpu"] for result in results) / claims,
        server_cpu_ms=1000 * server_seconds / claims, p50_ms=1000 * latencies[len(latencies) // 2],
        p95_ms=1000 * latencies[int(len(latencies) * 0.95)],
    )  # fmt: skip


def _together(running: list["subprocess.Popen[str]"], url: str) -> tuple[list[dict[str, object]], float]:
    """Start all clients at once; what they report, and the CPU seconds their server processes took."""
    for client in running:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n", "a client did not start; see its error above"
    with psycopg.connect(url, autocommit=True) as watcher:
        backends = [
            row[0]
            for row in watcher.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ]
    before = sum(map(_cpu_seconds, backends))
    for client in running:
        assert client.stdin is not None
        client.stdin.write("go\n")
        client.stdin.flush()
    results = []
    for client in running:
        assert client.stdout is not None
        results.append(json.loads(client.stdout.readline()))
    # They are still connected: a client ends when its input does.
    return results, sum(map(_cpu_seconds, backends)) - before


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process of this machine; 0 where the server runs on another."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--whole", action="store_true", help="claim whole hosts instead of slices")
    options = parser.parse_args()
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        parser.error("DATABASE_URL must name a PostgreSQL database; another one is made beside it and dropped again.")
    started = time.monotonic()
    for hosts in options.hosts:
        for figures in measured(
            url, hosts=hosts, clients=options.clients, seconds=options.seconds, whole=options.whole
        ):
            print(figures, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"took {time.monotonic() - started:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU in clients")


if __name__ == "__main__":
    main()
