"""Start the hub of one slice without rights, and notebook servers for it, each as a unix user of its own.

Runs as root and speaks to nobody but the hub it started, over a pair of sockets that only the two have. The hub may ask for
three things: that a user's server is started, that it is stopped, and whether it runs. What a server is, and what it may use, is
decided here and in the slice's settings, not by who asks.

    launcher.py UNIT
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = "/usr/local/lib/pumasi/jupyterhub"
NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
# What JupyterHub tells a notebook server, its token among it. Nothing else that the hub says reaches the server's environment.
PASSED_ON = re.compile(r"JUPYTERHUB_[A-Z_]{1,60}")
LARGEST_REQUEST = 65536
PROCESSES = 512


def sandbox(home, scratch):
    """What a notebook server may do beside what its unix user may."""
    return {
        "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "ProtectHome": "yes",
        "ReadWritePaths": f"{home} {scratch}", "PrivateTmp": "yes", "PrivateDevices": "yes", "ProtectClock": "yes",
        "ProtectControlGroups": "yes", "ProtectKernelLogs": "yes", "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes",
        "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
    }  # fmt: skip


def quoted(value):
    """A value as a file of systemd's for environments has it."""
    if "\n" in value or "\0" in value:
        raise ValueError("A value must not hold a line break.")
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


class Servers:
    """The notebook servers of one slice.

    :ivar settings: what the slice was built with; ``settings.json``.
    """

    def __init__(self, unit, settings):
        self.unit, self.settings = unit, settings
        self.group = pwd.getpwnam(unit).pw_gid
        self.scratch = Path("/run/pumasi", unit)

    def service(self, name):
        return f"pumasi-jupyterhub-{self.unit}-{name}.service"

    def start(self, name, environment):
        """Start a user's server as that user and nobody else, within the memory that was asked for."""
        account = self._account(name)
        home, scratch = Path("/var/lib/pumasi", self.unit, "users", name), self.scratch / name
        # Everybody may pass through to what is theirs; a user's own folder is theirs alone.
        self._folder(home, account.pw_uid, account.pw_gid, 0o700)
        # The user makes the socket; besides, only the hub and the proxy get there.
        self._folder(scratch, account.pw_uid, self.group, 0o710)
        (scratch / "server.sock").unlink(missing_ok=True)
        told = self.scratch / f"{name}.environment"
        text = "".join(f"{key}={quoted(value)}\n" for key, value in environment.items() if PASSED_ON.fullmatch(key))
        descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as writer:
            writer.write(text)
        try:
            done = run(*self._words(name, account.pw_name, home, scratch, told))
        finally:
            told.unlink()
        return done.returncode == 0

    def stop(self, name):
        return run("systemctl", "stop", self.service(name)).returncode == 0

    def runs(self, name):
        return run("systemctl", "is-active", "--quiet", self.service(name)).returncode == 0

    def _account(self, name):
        """The unix user of a name; its own begins with the slice's, by which give-back knows it."""
        account = f"{self.unit}-{name}"
        try:
            return pwd.getpwnam(account)
        except KeyError:
            alone = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
            made = run("/usr/sbin/useradd", "--system", "--user-group", *alone, account)
            if made.returncode:
                raise RuntimeError("The unix user could not be made.") from None
            return pwd.getpwnam(account)

    @staticmethod
    def _folder(path, uid, gid, mode):
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, uid, gid, follow_symlinks=False)
        path.chmod(mode)

    def _words(self, name, account, home, scratch, told):
        asked, hub = self.settings, f"pumasi-jupyterhub@{self.unit}.service"
        limits = {
            "MemoryMax": f"{asked['memory_mb_per_user']}M", "MemorySwapMax": "0", "CPUQuota": f"{asked['vcpu'] * 100}%",
            "TasksMax": str(PROCESSES),
            # A cell that asks for too much ends its kernel, not the server beside it.
            "OOMPolicy": "continue",
        }  # fmt: skip
        properties = {
            "User": account, "Group": account, "UMask": "0077", "WorkingDirectory": str(home), "EnvironmentFile": str(told),
            # Without its hub nobody can be let in, and what listens in the hub's place must not be a user's.
            "BindsTo": hub, "After": hub, "TimeoutStopSec": "10", **limits, **sandbox(home, scratch),
        }  # fmt: skip
        surroundings = {
            "HOME": str(home), "SHELL": "/bin/bash", "LANG": "C.UTF-8", "JUPYTER_RUNTIME_DIR": str(scratch),
            "JUPYTERHUB_SINGLEUSER_APP": "notebook.notebookapp.NotebookApp",
        }  # fmt: skip
        words = [
            "systemd-run",
            "--quiet",
            "--collect",
            "--description=Notebook server",
            f"--unit={self.service(name)}",
            "--service-type=exec",
        ]
        words += [f"--property={key}={value}" for key, value in properties.items()]
        words += [f"--setenv={key}={value}" for key, value in surroundings.items()]
        seconds = asked["idle_minutes"] * 60
        return [
            *words, "/usr/bin/python3", "-m", "jupyterhub.singleuser", f"--sock={scratch}/server.sock", "--sock-mode=0666",
            # Kernels are spoken to over sockets in the user's own folder: a port would be everybody's to try.
            "--KernelManager.transport=ipc",
            f"--MappingKernelManager.cull_idle_timeout={seconds}", "--MappingKernelManager.cull_interval=60",
            "--MappingKernelManager.cull_connected=True",
            f"--TerminalManager.cull_inactive_timeout={seconds}", "--TerminalManager.cull_interval=60",
            f"--NotebookApp.shutdown_no_activity_timeout={seconds}", "--NotebookApp.authenticate_prometheus=True",
        ]  # fmt: skip

    def answer(self, request):
        """What the hub is told; anything that is not one of the three requests is refused."""
        name = request["name"]
        if not NAME.fullmatch(name):
            raise ValueError("That is no name of a user.")
        if request["do"] == "start":
            return self.start(name, request["environment"])
        return {"stop": self.stop, "runs": self.runs}[request["do"]](name)


def serve(servers, hub):
    """Answer the hub until it has ended."""
    while request := hub.recv(LARGEST_REQUEST):
        try:
            answer = {"done": servers.answer(json.loads(request))}
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as refused:
            answer = {"done": False, "why": f"{type(refused).__name__}: {refused}"}
        try:
            hub.send(json.dumps(answer).encode())
        except OSError:  # it ended while it waited
            return


def main():
    unit = sys.argv[1]
    settings = json.loads(Path("/etc/pumasi/slices", unit, "settings.json").read_text(encoding="utf-8"))
    Path("/run/pumasi").mkdir(mode=0o755, exist_ok=True)
    scratch = Path("/run/pumasi", unit)
    scratch.mkdir(exist_ok=True)
    for folder in ("/run/pumasi", scratch):
        Path(folder).chmod(0o755)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hub = subprocess.Popen(
        ["/usr/bin/python3", "-m", "jupyterhub", "--config", f"{HERE}/jupyterhub_config.py"],
        user=unit, group=unit, extra_groups=[], pass_fds=[theirs.fileno()], cwd=f"/var/lib/pumasi/{unit}/hub",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": f"/var/lib/pumasi/{unit}/hub", "USER": unit,
             "PUMASI_UNIT": unit, "PUMASI_LAUNCHER": str(theirs.fileno())},
    )  # fmt: skip
    theirs.close()
    # The hub is told by systemd, too; with its end the launcher's comes.
    signal.signal(signal.SIGTERM, lambda *_: None)
    serve(Servers(unit, settings), ours)
    sys.exit(hub.wait())


if __name__ == "__main__":
    main()
