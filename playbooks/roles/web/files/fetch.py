#!/usr/bin/python3
"""Fetch what an owner serves and unpack it into a new folder. Runs as the slice's user: nothing of it can be trusted.

Reads one JSON object from standard input: `folder` (all releases), `name` (of the new one), `keep` (names that stay), `source`,
`sha256`, `inner` (a folder that may stand alone in the archive without being taken for its wrapping), `built_in` (file → text,
served where there is no source). Prints `{}` or `{"code", "msg"}`. Seconds and bytes; the limits stand below.
Codes: `source_invalid`, `source_unreachable`, `source_too_large`, `checksum_differs`, `archive_unreadable`, `archive_refused`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from pathlib import Path

SECONDS = 120
SECONDS_OF_SILENCE = 15
MOST_FETCHED = 200 * 1024 * 1024
MOST_UNPACKED = 500 * 1024 * 1024
MOST_ENTRIES = 20000
LONGEST_NAME = 1000
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", re.ASCII)
# The words come from the environment: a command line can be read by everyone on the host.
HELPER = '!f() { printf "username=%s\\npassword=%s\\n" "$RELEASE_USER" "$RELEASE_PASSWORD"; }; f'


class Refused(Exception):
    """Why there is no release; the text is fit for the owner's eyes."""

    def __init__(self, code, msg):
        super().__init__(msg)
        self.code = code


def parted(source):
    """(address without credentials, user, password) of an address."""
    try:
        parts = urllib.parse.urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("source_invalid", "The source is no address.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("source_invalid", "The source must be an http:// or https:// address, or git+ before one.")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    plain = urllib.parse.urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    return plain, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")


class OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows to the web and nowhere else."""

    def redirect_request(self, request, answer, code, message, headers, address):  # noqa: PLR0917
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise Refused("source_unreachable", "The address of the source leads to one that is not of the web.")
        return super().redirect_request(request, answer, code, message, headers, address)


def download(source, target):
    """Fetch one file. Returns its SHA-256."""
    address, user, password = parted(source)
    request = urllib.request.Request(address, headers={"User-Agent": "pumasi"})  # noqa: S310
    if user:
        # Not sent along to where the address leads.
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", "Basic " + login)
    deadline, size, digest = time.monotonic() + SECONDS, 0, hashlib.sha256()
    opener = urllib.request.build_opener(OnlyWeb, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS_OF_SILENCE) as answer, target.open("wb") as writer:
            while piece := answer.read1(1 << 16):
                size += len(piece)
                if size > MOST_FETCHED:
                    raise Refused("source_too_large", f"The source is larger than {MOST_FETCHED >> 20} MB.")
                if time.monotonic() > deadline:
                    raise Refused("source_unreachable", f"The source was not fetched within {SECONDS} seconds.")
                digest.update(piece)
                writer.write(piece)
    except urllib.error.HTTPError as error:
        raise Refused(
            "source_unreachable",
            f"The server of the source answers with {error.code}. Check the address and who may read it.",
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Refused(
            "source_unreachable",
            f"The address of the source cannot be reached from the host ({str(why)[:200]}). It must be one inside the network.",
        ) from None
    return digest.hexdigest()


def clone(source, target):
    """The files of one state of a git repository, without its history."""
    address, at, ref = source.removeprefix("git+").rpartition("@")
    # An @ before the path belongs to a user's name.
    if not at or address.count("/") < 3:
        address, ref = source.removeprefix("git+"), "HEAD"
    plain, user, password = parted(address)
    if not REF.fullmatch(ref):
        raise Refused("source_invalid", "The branch, tag or commit after the @ is none.")
    settings = {"protocol.allow": "never", "protocol.http.allow": "always", "protocol.https.allow": "always"}
    settings |= {"core.hooksPath": "/dev/null", "http.lowSpeedLimit": "1", "http.lowSpeedTime": str(SECONDS_OF_SILENCE)}
    if user:
        root = urllib.parse.urlsplit(plain)
        settings[f"credential.{root.scheme}://{root.netloc}.helper"] = HELPER
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "RELEASE_USER": user, "RELEASE_PASSWORD": password}
    environment |= {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    steps = (
        ["init", "--quiet"],
        ["fetch", "--quiet", "--depth=1", "--", plain, ref],
        ["checkout", "--quiet", "FETCH_HEAD"],
    )
    deadline = time.monotonic() + SECONDS
    for step in steps:
        try:
            done = subprocess.run(
                ["git", *step], cwd=target, env=environment, capture_output=True, text=True, errors="replace", check=False,
                timeout=deadline - time.monotonic(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Refused("source_unreachable", f"The source was not fetched within {SECONDS} seconds.") from None
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
            raise Refused(
                "source_unreachable", f"git cannot fetch the source ({said}). Check the address and what follows the @."
            )
    shutil.rmtree(target / ".git")


class Unpacker:
    """Puts entries of an archive below one folder, and counts them."""

    def __init__(self, target):
        self.target, self.size, self.entries, self.links = target, 0, 0, []

    def place(self, name):
        """Where an entry goes; refuses one that would not lie below the folder."""
        self.entries += 1
        if self.entries > MOST_ENTRIES:
            raise Refused("archive_refused", f"The archive has more than {MOST_ENTRIES} entries.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name or len(name) > LONGEST_NAME:
            raise Refused(
                "archive_refused", "The archive has an entry that leads out of it (an absolute path, or one with ..)."
            )
        return self.target.joinpath(*parts)

    def folder(self, name):
        self.place(name).mkdir(parents=True, exist_ok=True)

    def file(self, name, source, executable):
        place = self.place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as writer:
            while piece := source.read(1 << 16):
                self.size += len(piece)
                if self.size > MOST_UNPACKED:
                    raise Refused("archive_refused", f"What the archive holds is larger than {MOST_UNPACKED >> 20} MB.")
                writer.write(piece)
        place.chmod(0o755 if executable else 0o644)

    def link(self, name, target):
        """Links are made when every file is there: nothing is written through one."""
        self.links.append((self.place(name), target))

    def finish(self):
        for place, target in self.links:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        self.judge_links()

    def judge_links(self):
        root = os.path.realpath(self.target)
        for folder, folders, files in os.walk(root):
            for path in (Path(folder, name) for name in (*folders, *files)):
                if not path.is_symlink():
                    continue
                if path.readlink().is_absolute() or not (os.path.realpath(path) + "/").startswith(root + "/"):
                    raise Refused("archive_refused", "The source has a link that leads out of it.")


def unpack_tar(archive, unpacker):
    with tarfile.open(archive, "r:*") as packed:
        for entry in packed:
            if entry.isdir():
                unpacker.folder(entry.name)
            elif entry.isreg():
                unpacker.file(entry.name, packed.extractfile(entry), entry.mode & 0o111)
            elif entry.issym():
                unpacker.link(entry.name, entry.linkname)
            else:
                raise Refused(
                    "archive_refused", "The archive holds something else than files, folders and symbolic links."
                )


def unpack_zip(archive, unpacker):
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            mode = entry.external_attr >> 16
            if entry.flag_bits & 1:
                raise Refused("archive_unreadable", "The archive is encrypted.")
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise Refused("archive_refused", "The archive holds something else than files and folders.")
            if entry.is_dir():
                unpacker.folder(entry.filename)
            else:
                with packed.open(entry) as source:
                    unpacker.file(entry.filename, source, mode & 0o111)


def unpack(archive, target):
    unpacker = Unpacker(target)
    try:
        (unpack_zip if zipfile.is_zipfile(archive) else unpack_tar)(archive, unpacker)
        unpacker.finish()
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,  # zipfile's word for a way of compressing that it does not know
        ValueError,
        RuntimeError,  # and for a password that it would need
    ) as error:
        raise Refused(
            "archive_unreadable", f"The source is no .tar.gz or .zip that can be read ({str(error)[:200]})."
        ) from None
    except OSError as error:
        raise Refused(
            "archive_unreadable", f"The archive cannot be unpacked ({error.strerror or str(error)[:100]})."
        ) from None


def judge_size(target):
    """What came from a repository is held to the limits of an archive."""
    size, entries = 0, 0
    for folder, folders, files in os.walk(target):
        entries += len(folders) + len(files)
        size += sum(Path(folder, name).lstat().st_size for name in files)
    if size > MOST_UNPACKED or entries > MOST_ENTRIES:
        raise Refused("archive_refused", f"The source is larger than {MOST_UNPACKED >> 20} MB or {MOST_ENTRIES} files.")


def unwrap(target, inner):
    """Where everything lies in one folder, as archives of a repository do, that folder is the source."""
    found = list(target.iterdir())
    if len(found) == 1 and found[0].is_dir() and not found[0].is_symlink() and found[0].name != inner:
        wrapping = target.with_name("unwrapped")
        found[0].rename(wrapping)
        target.rmdir()
        wrapping.rename(target)


def release(asked):
    """Make one release; it has its name once it is whole."""
    releases = Path(asked["folder"])
    for old in releases.iterdir():
        if old.name not in asked["keep"]:
            shutil.rmtree(old)
    if not asked["name"]:
        return
    work = releases / "new"
    source = work / "source"
    source.mkdir(parents=True)
    if not asked["source"]:
        for name, text in asked["built_in"].items():
            (source / name).write_text(text, encoding="utf-8")
    elif asked["source"].startswith("git+"):
        clone(asked["source"], source)
        judge_size(source)
        Unpacker(source).judge_links()
    else:
        archive = work / "archive"
        digest = download(asked["source"], archive)
        if asked["sha256"] and digest != asked["sha256"].lower():
            raise Refused("checksum_differs", f"The source is not what was announced: its SHA-256 is {digest}.")
        unpack(archive, source)
        archive.unlink()
    unwrap(source, asked["inner"])
    work.rename(releases / asked["name"])


def main():
    os.umask(0o022)
    asked = json.load(sys.stdin)
    try:
        release(asked)
        report = {}
    except Refused as refusal:
        report = {"code": refusal.code, "msg": str(refusal)}
        with contextlib.suppress(OSError):
            shutil.rmtree(Path(asked["folder"], "new"))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
