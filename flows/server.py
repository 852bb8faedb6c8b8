"""The embedded Prefect server: ``python -m flows.server <what prefect server start takes>``.

It is Prefect's own, started so that SQLite behind it does not stall. Two things made it stand still for a minute at a time:

- Python's garbage collector ran in the thread of the event loop and freed cursors of connections that waited for SQLite's lock
  in their own threads. Freeing one waits for its connection, so the loop stood still, and with it whoever held the lock.
  Here the collector works in a thread of its own.
- Prefect lets a connection wait for the lock for 60 s. Here it is ``BUSY_SECONDS``; then the request is answered with 503, and
  clients ask again.

With PostgreSQL behind it, ``prefect server start`` does the same.
"""

import gc
import runpy
import sys
import threading
import time
from typing import Any

from prefect.server.database.configurations import AioSqliteConfiguration

BUSY_SECONDS = 5
_YOUNG_EVERY = 1.0
_ALL_EVERY = 60


def collect_aside() -> None:
    """Let the garbage collector work in a thread of its own, for the rest of the process."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    turn = 0
    while True:
        time.sleep(_YOUNG_EVERY)
        turn = (turn + 1) % _ALL_EVERY
        gc.collect(1 if turn else 2)


def wait_less() -> None:
    """Let connections to SQLite wait ``BUSY_SECONDS`` for its lock instead of a minute."""
    theirs = AioSqliteConfiguration.setup_sqlite

    def setup(self: AioSqliteConfiguration, conn: Any, record: Any) -> None:
        theirs(self, conn, record)
        cursor = conn.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
        cursor.close()

    AioSqliteConfiguration.setup_sqlite = setup  # type: ignore[method-assign]  # Prefect has no setting for it


if __name__ == "__main__":
    wait_less()
    collect_aside()
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
