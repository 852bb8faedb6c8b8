"""Measurements. They print; nothing here is a timed test."""

import os

# The product refuses to start without it; a bench must not depend on who starts it.
os.environ.setdefault("PUMASI_SECRET_KEY", "only-for-tests-and-nowhere-else-0123456789")
