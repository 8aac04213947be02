"""The folder of an artifact: files beside the ones that are there, and the manifest as the one switch.

Contents are written under a name that has their hash, so a name never changes its content, and a server that reads
while another artifact is written finds the old files or the new ones. Nothing that is not of an artifact is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from jaxrec.errors import JaxrecError

MANIFEST = "manifest.json"
HEAD = b'{"format": "jaxrec-artifact 1", "sha256": "%s",'  # the hash of the lines after this one
_OURS = re.compile(r"(ids|users|items|score|top_k|index)-[0-9a-f]{16}\.\w+|\.jaxrec-export-\w+")


def hashed_name(name: str, content: bytes) -> str:
    """The name of a file with a part of its hash before the ending.

    >>> hashed_name("ids.json", b"")
    'ids-e3b0c44298fc1c14.json'
    """
    stem, _, ending = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}.{ending}"


def manifest_bytes(document: Mapping[str, Any]) -> bytes:
    """The manifest as JSON whose first line has the hash of the lines after it.

    >>> json.loads(manifest_bytes({"model": "mf"}))["model"]
    'mf'
    """
    body = json.dumps(dict(document), indent=1, allow_nan=False).removeprefix("{\n").encode() + b"\n"
    return HEAD % hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def check_folder(folder: pathlib.Path, loaders: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest of the artifact that is in a folder, empty where there is none.

    Args:
      folder: which may not exist yet.
      loaders: the files without a hash in their name that are about to be written.

    Raises:
      JaxrecError: a file in its place, a folder with something else in it, or a loader that was changed.

    >>> check_folder(pathlib.Path("no/such/folder"), {})
    {}
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise JaxrecError(f"folder {str(folder)!r} is a file; name a folder")
    names = {path.name for path in folder.iterdir()}
    old = _old_manifest(folder) if MANIFEST in names else {}
    known = {told["name"]: told["sha256"] for told in old.get("files", {}).values()}
    for name in sorted(names & set(loaders)):
        content = (folder / name).read_bytes()
        if content != loaders[name] and _hash(content) != known.get(name):
            raise JaxrecError(f"{str(folder / name)!r} is not as jaxrec wrote it; move it away, or name another folder")
    others = sorted(name for name in names - set(known) - set(loaders) - {MANIFEST} if not _OURS.fullmatch(name))
    if others and not old:
        raise JaxrecError(
            f"folder {str(folder)!r} has other files ({', '.join(others[:3])}); name a new or an empty folder"
        )
    return old


def write_folder(folder: pathlib.Path, files: Mapping[str, bytes], manifest: bytes, old: Mapping[str, Any]) -> None:
    """Write files and then the manifest, and take away what only the old manifest names.

    Args:
      folder: made if need be.
      files: contents by name.
      manifest: the content of the manifest, which names the files.
      old: what `check_folder` gave.

    Raises:
      JaxrecError: the folder cannot be written; the artifact that was there before can still be read.

    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_folder(pathlib.Path(place), {"a": b"1"}, b"{}", {})
    ...     sorted(os.listdir(place))
    ['a', 'manifest.json']
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {**files, MANIFEST: manifest}.items():
            with _beside(folder) as (path, number):
                with os.fdopen(number, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(path, 0o666 & ~_umask())
                os.replace(path, folder / name)
        for told in old.get("files", {}).values():
            path = folder / pathlib.PurePath(told["name"]).name
            if path.name not in files and path.is_file() and _hash(path.read_bytes()) == told["sha256"]:
                path.unlink()
    except OSError as error:
        raise JaxrecError(f"folder {str(folder)!r} cannot be written: {error.strerror or error}") from None


def _old_manifest(folder: pathlib.Path) -> dict[str, Any]:
    head, _, body = (folder / MANIFEST).read_bytes().partition(b"\n")
    if head != HEAD % hashlib.sha256(body).hexdigest().encode():
        raise JaxrecError(f"{str(folder / MANIFEST)!r} is not of jaxrec, or damaged; name another folder")
    return json.loads(b"{" + body)


@contextlib.contextmanager
def _beside(folder: pathlib.Path) -> Iterator[tuple[str, int]]:
    """A new file in the folder, which is gone afterwards unless it was renamed."""
    number, path = tempfile.mkstemp(prefix=".jaxrec-export-", dir=folder)
    try:
        yield path, number
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
