"""The environment of a stack: secrets, ports, and who wins when the operator has set something."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

from catalog.stack import environment
from catalog.stack.processes import MARK

PORTS = {"web": 1, "prefect": 2, "redis": 3}


def test_a_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = environment.secret(tmp_path, "redis")
    assert len(first) == 43
    assert environment.secret(tmp_path, "redis") == first
    assert environment.secret(tmp_path, "prefect") != first
    assert stat.S_IMODE((tmp_path / "secrets" / "redis").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_what_the_operator_set_stays(tmp_path: Path) -> None:
    given = {
        "REDIS_URL": "redis://there/0",
        "PREFECT_API_URL": "http://there/api",
        "DATABASE_URL": "postgres://there/db",
    }
    composed = environment.compose(tmp_path, {**given, "PUMASI_SECRET_KEY": "k"}, PORTS)
    assert {name: composed[name] for name in given} == given
    assert "PREFECT_API_AUTH_STRING" not in composed
    assert "PUMASI_SECRET_KEY_FILE" not in composed


def test_without_settings_everything_is_local_guarded_and_inside_the_state(tmp_path: Path) -> None:
    composed = environment.compose(tmp_path, {"HOME": "/elsewhere"}, PORTS)
    password = (tmp_path / "secrets" / "redis").read_text().strip()
    assert composed["REDIS_URL"] == f"redis://:{password}@127.0.0.1:3/0"
    assert composed["PREFECT_API_URL"] == "http://127.0.0.1:2/api"
    assert composed["PREFECT_API_AUTH_STRING"] == composed["PREFECT_SERVER_API_AUTH_STRING"]
    assert Path(composed["HOME"]).is_relative_to(tmp_path)
    assert Path(composed["PREFECT_HOME"]).is_relative_to(tmp_path)
    assert composed["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert composed[MARK]


def test_ports_last_one_first_and_a_taken_one_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        free = environment.free_port()
        ports = environment.choose_ports({"PUMASI_PREFECT_PORT": "4321"}, {"web": busy, "redis": free})
    assert ports["web"] != busy
    assert ports["redis"] == free
    assert ports["prefect"] == 4321
    assert len(set(ports.values())) == 3


def test_the_shell_file_is_private_and_carries_no_mark(tmp_path: Path) -> None:
    composed = environment.compose(tmp_path, {"PUMASI_TIME_ZONE": "Asia/Seoul's"}, PORTS)
    path = environment.write_shell_file(tmp_path, composed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shell = subprocess.run(
        ["sh", "-c", f'. {path}; printf "%s|%s|%s" "$PUMASI_TIME_ZONE" "$PUMASI_STATE" "${MARK}"'],
        env={}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shell.stdout == f"Asia/Seoul's|{tmp_path}|"


def test_prefect_understands_every_setting_given_to_it(tmp_path: Path) -> None:
    composed = environment.compose(tmp_path, {"PATH": os.environ["PATH"]}, PORTS)
    code = (
        "from prefect.settings import Settings\n"
        "server = Settings().server\n"
        "print(server.services.scheduler.min_scheduled_time, server.database.sqlalchemy.pool_size,\n"
        "      server.services.triggers.enabled, server.analytics_enabled,\n"
        "      server.concurrency.initial_deployment_lease_duration)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=composed, capture_output=True, text=True, check=True)
    assert done.stdout == "0:02:00 40 False False 60.0\n"
