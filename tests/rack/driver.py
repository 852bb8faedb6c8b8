"""The rack as tests hold it: hosts that can be put up, reinstalled, switched off, cut off and filled."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
COMMAND = PLAYBOOKS / "rack" / "rack"


class RackError(Exception):
    """The rack refused or failed; the message is what it said, `code` its exit code (2: refused, nothing changed)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class RackHost:
    name: str
    zone: str
    address: str
    port: int
    mac: str


@dataclass(frozen=True)
class Rack:
    """One rack of this machine. `state` is the directory it keeps everything in; name and subnet (first three numbers of a
    /24) tell it from others that run at the same time. An `image` built by another rack may be shared."""

    state: Path
    name: str = "pumasi"
    subnet: str = "10.77.0"
    image: Path | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def run(self, *arguments: str, seconds: float = 180) -> str:
        """Standard output of one rack command. Raises RackError where it fails."""
        settings = {"RACK_STATE": str(self.state), "RACK_NAME": self.name, "RACK_SUBNET": self.subnet}
        if self.image:
            settings["RACK_IMAGE"] = str(self.image)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RACK_")}
        done = subprocess.run(
            [COMMAND, *arguments],
            env=inherited | settings | dict(self.extra),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RackError(done.stderr.strip(), done.returncode)
        return done.stdout

    def build(self) -> None:
        """Build the image unless there is one."""
        if not ((self.image or self.state / "image") / "digest").exists():
            self.run("image", seconds=600)

    def up(self, count: int) -> None:
        self.run("up", str(count), seconds=600)

    def wipe(self, host: str) -> dict[str, str]:
        """Reinstall a host; returns the report that hosts/wipe.yml hands on."""
        report: dict[str, str] = json.loads(self.run("wipe", "--json", host))
        return report

    def off(self, host: str) -> None:
        self.run("off", host)

    def on(self, host: str) -> None:
        self.run("on", host)

    def cut(self, host: str) -> None:
        self.run("cut", host)

    def join(self, host: str) -> None:
        self.run("join", host)

    def fill(self, host: str) -> None:
        self.run("fill", host)

    def unfill(self, host: str) -> None:
        self.run("unfill", host)

    def host_key(self, host: str) -> str:
        """The host's public key, read from its disk."""
        return self.run("hostkey", host).strip()

    def inventory(self) -> dict[str, RackHost]:
        document = json.loads(self.run("inventory", "--json"))
        return {host["name"]: RackHost(**host) for host in document["hosts"]}

    def dns(self) -> dict[str, Any]:
        """The rack's name server as playbooks are told of it, with the key that may change names."""
        said = json.loads(self.run("inventory", "--json"))["dns"]
        secret = Path(said["key_file"]).read_text()
        key = {"name": said["key_name"], "algorithm": said["algorithm"], "secret": secret}
        return {"domain": said["domain"], "address": said["server"], "port": said["port"], "key": key}

    @property
    def private_key(self) -> Path:
        return self.state / "ssh" / "id_ed25519"

    def ssh(self, host: str, command: str, *, seconds: float = 60, check: bool = True) -> str:
        """Output of a shell command on a host, run as root there, the host's key checked against its disk."""
        place = self.inventory()[host]
        known = f"{place.address} {self.host_key(host)}\n"
        known_hosts = self.state / f"known_hosts.{host}"
        known_hosts.write_text(known)
        options = [
            "BatchMode=yes",
            "ConnectTimeout=5",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known_hosts}",
        ]
        done = subprocess.run(
            [
                "ssh",
                "-i",
                self.private_key,
                *(f"-o{option}" for option in options),
                f"ops@{place.address}",
                "sudo",
                "sh",
                "-s",
            ],
            input=command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise RackError(f"{host}: {done.stderr.strip() or done.stdout.strip()}", done.returncode)
        return done.stdout

    def down(self) -> None:
        self.run("down")

    def clean(self) -> None:
        self.run("clean")
