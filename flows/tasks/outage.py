"""A report must outlive a short outage of the database: minutes of work hang on it."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

PATIENCE = 30.0
"""Seconds. Longer than a PostgreSQL restart; whoever is silent for longer is taken for dead by the reconciler anyway."""

DOWN = (OperationalError, InterfaceError)

log = structlog.get_logger(__name__)
T = TypeVar("T")


def patiently(call: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """The answer of ``call``, tried again while the database is away. Each call must be one transaction of its own.

    :raises OperationalError: it stayed away for ``patience`` seconds. Anything else ``call`` raises comes through at once.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return call()
        except DOWN as error:
            connection.close()
            if time.monotonic() > until:
                raise
            log.warning("database away, trying again", error=type(error).__name__)
            time.sleep(0.5)
