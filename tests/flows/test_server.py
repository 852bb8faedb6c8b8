"""The embedded Prefect server waits briefly for SQLite, and frees garbage beside its event loop."""

import subprocess
import sys
from pathlib import Path

ASKED = """
import asyncio, gc, sys, threading, time
from flows import server
from prefect.server.database.configurations import AioSqliteConfiguration
import sqlalchemy as sa

async def busy_timeout():
    engine = await AioSqliteConfiguration(f"sqlite+aiosqlite:///{sys.argv[1]}").engine()
    async with engine.connect() as connection:
        return (await connection.execute(sa.text("PRAGMA busy_timeout"))).scalar()

class Garbage:
    def __init__(self, freed):
        self.itself, self.freed = self, freed
    def __del__(self):
        self.freed.append(threading.current_thread().name)

server.wait_less()
server.collect_aside()
print(asyncio.run(busy_timeout()), gc.isenabled())
freed = []
for _ in range(100_000):
    Garbage(freed)
end = time.monotonic() + 20
while len(freed) < 100_000 and time.monotonic() < end:
    threading.Event().wait(0.1)
print(sorted(set(freed)), len(freed))
"""


def test_it_waits_briefly_and_frees_garbage_beside_its_event_loop(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(tmp_path / "prefect.sqlite3")], capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["5000 False", "['garbage'] 100000"], done.stderr
