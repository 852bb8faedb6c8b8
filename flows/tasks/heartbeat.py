"""A run says every two seconds that it lives, and learns whether it is to stop."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Self

import structlog
from django.db import connection

from catalog.dispatch.errors import Superseded
from catalog.dispatch.services import Beat
from flows.tasks.outage import DOWN

log = structlog.get_logger(__name__)


class Heartbeat:
    """Beats in a thread of its own while the ``with`` block runs. An outage of the database does not end it.

    :param beat: renews the heartbeat; raises Superseded when another attempt has taken over.
    :param interval: seconds between two beats.
    """

    def __init__(self, beat: Callable[[], Beat], *, interval: float = 2.0) -> None:
        self._beat = beat
        self._interval = interval
        self._ended = threading.Event()
        self._cancel = threading.Event()
        self._superseded = threading.Event()
        # The thread logs with the order's id, as the flow does.
        self._thread = threading.Thread(target=copy_context().run, args=(self._go,), name="heartbeat", daemon=True)

    @property
    def cancel(self) -> bool:
        """Somebody asked this run to stop."""
        return self._cancel.is_set()

    @property
    def superseded(self) -> bool:
        """Another attempt has taken over; whatever this run still does is refused."""
        return self._superseded.is_set()

    def lose(self) -> None:
        """Another part of the run has learnt that it is superseded."""
        self._superseded.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(self._interval + 5)

    def _go(self) -> None:
        try:
            while not self._ended.wait(self._interval) and not self.superseded:
                self._once()
        finally:
            connection.close()

    def _once(self) -> None:
        try:
            if self._beat().cancel:
                self._cancel.set()
        except Superseded:
            log.info("attempt is over")  # reported just now, or superseded by another
            self._superseded.set()
        except DOWN as error:
            log.warning("heartbeat missed", error=type(error).__name__)
            connection.close()
