"""Databases with all tables in them, made once a run: every worker of the tests copies one instead of migrating its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

from catalog.stack import bootstrap

VARIABLE = "PUMASI_TEST_TEMPLATE"
"""Names the template: the path of an SQLite file, or a database of the server that ``DATABASE_URL`` names."""

PREFECT = "PUMASI_TEST_PREFECT"
"""Names an SQLite file with the tables of a Prefect server, which otherwise takes ten seconds to make its own."""

PREFECT_FILE = "prefect.db"
_ON_POSTGRESQL = "pumasi_template"


def sqlite_template(directory: Path, environment: Mapping[str, str]) -> str:
    """Make an SQLite file with all tables; returns its path, for :data:`VARIABLE`."""
    path = directory / "template.sqlite3"
    _migrate(f"sqlite:///{path}", environment)
    return str(path)


def postgresql_template(url: str, environment: Mapping[str, str]) -> str:
    """Make a database with all tables beside the one of ``url``; returns its name, for :data:`VARIABLE`."""
    server = url.rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_ON_POSTGRESQL}")
    _migrate(f"{server}/{_ON_POSTGRESQL}", environment)
    return _ON_POSTGRESQL


def prefect_template(directory: Path, environment: Mapping[str, str]) -> str:
    """Make an SQLite file with all tables of a Prefect server, once a run; returns its path, for :data:`PREFECT`."""
    home = directory / "prefect"
    path = home / PREFECT_FILE
    if not path.exists():
        words = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        given = {**environment, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        subprocess.run(words, cwd=bootstrap.ROOT, env=given, check=True, stdout=subprocess.DEVNULL)
    return str(path)


def use_prefect(home: Path) -> None:
    """Let the Prefect server of this home begin with all tables, where the run made any."""
    if template := os.environ.get(PREFECT, ""):
        home.mkdir(exist_ok=True)
        shutil.copyfile(template, home / PREFECT_FILE)


def _migrate(url: str, environment: Mapping[str, str]) -> None:
    words = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    given = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run(words, cwd=bootstrap.ROOT, env={**environment, **given}, check=True)


def on_postgresql(server_url: str) -> str:
    """The template among the databases of this server; empty where the run made none there."""
    template = os.environ.get(VARIABLE, "")
    same = os.environ.get("DATABASE_URL", "").rpartition("/")[0] == server_url.rpartition("/")[0]
    return template if same and on_sqlite() is None else ""


def on_sqlite() -> Path | None:
    """The file that a new SQLite database may begin as a copy of; None where the run made none."""
    template = os.environ.get(VARIABLE, "")
    return Path(template) if template.endswith(".sqlite3") else None


def use(test: dict[str, str]) -> bool:
    """Prepare a database's ``TEST`` settings so that Django finds all tables there; whether there is a template.

    Django still looks whether anything is left to migrate, so a template that is behind is brought up to date.
    """
    if file := on_sqlite():
        shutil.copyfile(file, test["NAME"])
        return True
    if template := os.environ.get(VARIABLE, ""):
        test["TEMPLATE"] = template
    return bool(template)
