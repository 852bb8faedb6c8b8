"""Carries what the runner sees to the database, in order, within a second, without holding the runner up."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import Self

import structlog
from django.db import connection

from catalog.audit.gate import Happening
from catalog.dispatch.errors import Superseded
from flows.runner.events import Entry
from flows.tasks.outage import DOWN

GATHER = 0.2
"""Seconds between two writes: what happens meanwhile goes in one transaction. After a pause the first entry goes at once."""

log = structlog.get_logger(__name__)


class Recorder:
    """Writes entries from a thread of its own while the ``with`` block runs.

    :param write: appends entries in one transaction; raises Superseded when another attempt has taken over.
    :param superseded: called once when it does; later entries are dropped.
    """

    def __init__(self, write: Callable[[Sequence[Happening]], None], superseded: Callable[[], None]) -> None:
        self._write = write
        self._superseded = superseded
        self._entries: queue.Queue[Happening | None] = queue.Queue()
        self._unwritten = 0
        self._written = threading.Condition()
        self._dropping = False
        self._thread = threading.Thread(target=copy_context().run, args=(self._go,), name="recorder", daemon=True)

    def put(self, entry: Entry) -> None:
        """Take an entry in; returns at once."""
        with self._written:
            self._unwritten += 1
        self._entries.put(Happening(entry.kind, entry.data))

    def flush(self, *, patience: float = 30.0) -> bool:
        """Wait until everything taken in is written; False when that took longer than ``patience`` seconds."""
        with self._written:
            return self._written.wait_for(lambda: self._unwritten == 0, patience)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.flush(patience=10.0):
            log.error("entries lost", entries=self._unwritten)
            self._dropping = True
        self._entries.put(None)
        self._thread.join(5)

    def _go(self) -> None:
        written = -GATHER
        try:
            while (first := self._entries.get()) is not None:
                batch, last = self._gather(first, until=written + GATHER)
                self._deliver(batch)
                written = time.monotonic()
                with self._written:
                    self._unwritten -= len(batch)
                    self._written.notify_all()
                if last:
                    return
        finally:
            connection.close()

    def _gather(self, first: Happening, *, until: float) -> tuple[list[Happening], bool]:
        """The entries that come before ``until``, and whether they are the last."""
        batch = [first]
        while (left := until - time.monotonic()) > 0:
            try:
                entry = self._entries.get(timeout=left)
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
        return batch, False

    def _deliver(self, batch: list[Happening]) -> None:
        while not self._dropping:
            try:
                self._write(batch)
            except Superseded:
                self._dropping = True
                self._superseded()
            except DOWN as error:
                log.warning("entries wait for the database", entries=len(batch), error=type(error).__name__)
                connection.close()
                time.sleep(0.5)
            else:
                return
