"""An offering's folder, kept with each version: what built a service is at hand for as long as the service stands."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from django.utils.translation import gettext as _

LARGEST = 4 * 2**20
"""Bytes that the files of one folder may have together."""

_ALWAYS = (1980, 1, 1, 0, 0, 0)


class FolderInvalid(Exception):
    """A folder cannot be kept. ``place`` is a path in it; the text is for people."""

    def __init__(self, place: str, text: str) -> None:
        super().__init__(text)
        self.place = place


def files_of(folder: Path) -> dict[str, bytes]:
    """Path in the folder → content, without what is hidden and what Python leaves there.

    :raises FolderInvalid: a link, whose target would not be kept; or more than :data:`LARGEST`.
    """
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in place.parts):
            continue
        if path.is_symlink():
            raise FolderInvalid(place.as_posix(), _("Is a link; put the file itself here."))
        if path.is_file():
            found[place.as_posix()] = path.read_bytes()
    if sum(map(len, found.values())) > LARGEST:
        raise FolderInvalid("", _("The files have more than %d MB together.") % (LARGEST // 2**20))
    return found


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and contents of files."""
    digest = sha256()
    for place, content in sorted(files.items()):
        digest.update(f"{len(place.encode())}:{place}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def packed(files: Mapping[str, bytes]) -> bytes:
    """Files as one ZIP archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(place, _ALWAYS), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def contents(archive: bytes) -> dict[str, int]:
    """Path in the folder → size in bytes, of the files in an archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return {each.filename: each.file_size for each in files.infolist()}


def unpack(archive: bytes, folder: Path) -> None:
    """Lay the files of an archive out as a folder, which is there whole or not at all; several may do so at once."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as directory:
        made = Path(directory) / "made"
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            files.extractall(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
