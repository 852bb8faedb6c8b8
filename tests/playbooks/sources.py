"""Sources of applications and pages as their owners keep them: archives, repositories, and a server that has them."""

import base64
import hashlib
import io
import os
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Nothing of how git is set up on this machine, which may not trust other people's folders.
_GIT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
}  # fmt: skip


def tar(files: Mapping[str, str | bytes], *more: tarfile.TarInfo) -> bytes:
    """A .tar.gz of files, and of entries that are none."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as packed:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
        for entry in more:
            packed.addfile(entry)
    return whole.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def zipped(files: Mapping[str, str | bytes], mode: int = 0o100644) -> bytes:
    """A .zip of files that all have one mode."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as packed:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            packed.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def wheel(name: str, code: str) -> bytes:
    """A wheel of one module, version 1.0, with its record."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    return zipped(files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"})


@dataclass
class Files:
    """A server of files, with a password where one is set."""

    folder: Path
    address: str
    port: int = 0
    login: str = ""
    asked: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> str:
        """Have a file served; returns its address."""
        (self.folder / name).write_bytes(content)
        return self.url(name)

    def url(self, name: str, login: str = "") -> str:
        return f"http://{login + '@' if login else ''}{self.address}:{self.port}/{name}"

    def repository(self, name: str, files: Mapping[str, str]) -> str:
        """Have a repository of one commit served, on branch main and with tag v1; returns its address."""
        work = self.folder / f"{name}.git"
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        commit = ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one"]
        for words in (["init", "-q", "-b", "main"], ["add", "."], commit, ["tag", "v1"]):
            subprocess.run(["git", *words], cwd=work, check=True, env=_GIT)
        return f"git+{self.url(f'{name}.git')}"


@contextmanager
def serving(folder: Path, address: str) -> Iterator[Files]:
    """A server on an address of this machine that hosts reach."""
    files = Files(folder, address)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            expected = "Basic " + base64.b64encode(files.login.encode()).decode()
            if files.login and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="files"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            files.asked.append(self.path)
            if ".git/" in self.path:
                self.git()
            else:
                super().do_GET()

        do_POST = do_GET  # noqa: N815

        def git(self) -> None:
            """Git's own server of repositories, which speaks CGI."""
            path, _, query = self.path.partition("?")
            length = self.headers.get("Content-Length", "0")
            said = {
                "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": length, "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            body = self.rfile.read(int(length))
            done = subprocess.run(["git", "http-backend"], input=body, env=_GIT | said, capture_output=True, check=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    handler: Callable[..., SimpleHTTPRequestHandler] = partial(Handler, directory=str(folder))
    server = ThreadingHTTPServer((address, 0), handler)
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
