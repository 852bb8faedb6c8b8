#!/usr/bin/python3
"""Run the application of one slice and the nginx in front of it, both as the slice's user, and end where either ends.

`launch.py SETTINGS NGINX_CONF` serves. `launch.py SETTINGS` tries: it starts the application alone with one worker, asks it
for the health path over its socket, prints `{}` or `{"code", "msg"}` and ends. Codes: `app_broken`, `health_failed`.

The application's variables are read here and not by systemd: systemd would hand them to the commands that it runs as root, too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# A folder that systemd makes for this unit alone.
SOCKET = os.environ.get("RUNTIME_DIRECTORY", "") + "/app.sock"
SECONDS_TO_START = 60
SECONDS_TO_ANSWER = 30
SHORTEST_SECRET = 4
CLASSES = {"wsgi": "sync", "asgi": "uvicorn.workers.UvicornWorker"}


class Ending(Exception):
    """Somebody asked this to end."""


def ask_to_end(_number, _frame):
    raise Ending


def start(settings, workers, **more):
    """Start gunicorn with the application."""
    venv = settings["venv"]
    environment = {
        "HOME": settings["home"], "LANG": "C.UTF-8", "PATH": f"{venv}/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": venv, **settings["environment"],
    }  # fmt: skip
    words = [f"{venv}/bin/python", "-m", "gunicorn", "--chdir", settings["source"], "--bind", f"unix:{SOCKET}"]
    words += ["--workers", str(workers), "--worker-class", CLASSES[settings["interface"]]]
    words += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
    # Nobody but the nginx in front reaches the socket.
    words += ["--forwarded-allow-ips", "*", "--timeout", "60", "--graceful-timeout", "20", "--error-logfile", "-"]
    words += ["--log-level", "warning", "--", settings["entry"]]
    return subprocess.Popen(words, cwd=settings["source"], env=environment, stdin=subprocess.DEVNULL, **more)


def opened():
    """Whether the application's socket takes connections; it may do so before the application is there."""
    with socket.socket(socket.AF_UNIX) as plain, contextlib.suppress(OSError):
        plain.connect(SOCKET)
        return True
    return False


def status_of(path, host):
    """What the application answers with, or 0 where it does not within the time of one try."""
    connection = http.client.HTTPConnection(host)
    try:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(SECONDS_TO_ANSWER)
            plain.connect(SOCKET)
            connection.sock = plain
            # As the nginx in front asks: an application may answer to that only.
            connection.request(
                "GET", path, headers={"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
            )
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


def last_words(text, secrets):
    """The line that says why Python gave up, without the values the application was given."""
    after = text.rpartition("Traceback (most recent call last):")[2].splitlines()
    said = [line.strip() for line in after if line.strip() and not line.startswith((" ", "["))]
    if not said:
        said = [line.partition("] [ERROR] ")[2] or line for line in text.splitlines() if "] [INFO] " not in line][-1:]
    words = said[0] if said else "it says nothing"
    for secret in sorted((each for each in secrets if len(each) >= SHORTEST_SECRET), key=len, reverse=True):
        words = words.replace(secret, "***")
    return words[:300]


def end(process, number=signal.SIGTERM):
    """End a process, if it has not, and wait for it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def trial(settings):
    """Whether the application starts and answers."""
    path, secrets, answered = settings["health_path"], settings["environment"].values(), 0
    with tempfile.TemporaryFile() as output:
        process = start(settings, 1, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + SECONDS_TO_ANSWER
        try:
            while process.poll() is None and time.monotonic() < deadline:
                answered = status_of(path, settings["host"]) if opened() else 0
                if 200 <= answered < 400:
                    return {}
                time.sleep(0.2)
            broken = process.poll() is not None
        finally:
            # Its workers too, whatever they are at.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        words = last_words(output.read()[-20000:].decode(errors="replace"), secrets)
    if broken:
        advice = "Check its entry, its requirements and its code."
        return {"code": "app_broken", "msg": f"The application does not start: {words}. {advice}"}
    said = f"answers with {answered}" if answered else "does not answer"
    return {"code": "health_failed", "msg": f"The application starts, but {said} when it is asked for {path}."}


def serve(settings, config):
    """Both until one of them ends or somebody asks; returns the exit code."""
    Path(SOCKET).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, ask_to_end)
    running = []
    try:
        running.append(start(settings, settings["workers"]))
        deadline = time.monotonic() + SECONDS_TO_START
        while not opened() and running[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if not opened():
            return 1
        running.append(subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", config], stdin=subprocess.DEVNULL))
        os.wait()
        return 1
    except Ending:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # The one in front first, and in peace: requests that are under way are answered.
        for process in reversed(running):
            end(process, signal.SIGTERM if process is running[0] else signal.SIGQUIT)


def main():
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(sys.argv) > 2:
        sys.exit(serve(settings, sys.argv[2]))
    json.dump(trial(settings), sys.stdout)


if __name__ == "__main__":
    main()
