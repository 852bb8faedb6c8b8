"""The page of a service's own nginx, with which the delivered credentials are tried; known on the host and to its clients."""

from __future__ import annotations

MONITOR_PATH = "/.pumasi/health"
MONITOR_TEXT = "This service works."
