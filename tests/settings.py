"""The product's settings, with what they demand filled in so that tests run anywhere; what the environment says wins.

The database is the one ``DATABASE_URL`` names (pytest-django makes a ``test_`` database beside it); without it, an SQLite file.
"""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("PUMASI_SECRET_KEY", "only-for-tests-and-nowhere-else-0123456789")
if "PUMASI_STATE" not in os.environ:
    os.environ["PUMASI_STATE"] = tempfile.mkdtemp(prefix="pumasi-test-")
    atexit.register(shutil.rmtree, os.environ["PUMASI_STATE"], ignore_errors=True)
# Importing the package makes its Celery application, which reads settings while ours are still being read; and processes that
# tests start are to have the product's own.
os.environ["DJANGO_SETTINGS_MODULE"] = "catalog.settings"

from catalog.settings import *  # noqa: F403
from catalog.settings import DATABASES, STATE_DIR

# Passwords of the cast are hashed once per test; a slow hash would only heat the room.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LANGUAGE_CODE = "en"
# Tests that are about grace say so; in all others a lease ends with its end.
LEASE_GRACE_SECONDS = 0
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in the product: threads and processes share it, which they could not share memory.
    DATABASES["default"]["TEST"] = {"NAME": str(STATE_DIR / "test.sqlite3")}
