"""Whether a folder may be written to: what jaxrec did not write is never replaced, and no link is followed."""

from __future__ import annotations

import json
import os
import pathlib
import stat
from collections.abc import Callable, Mapping

from jaxrec import files
from jaxrec.errors import RunFolderError
from jaxrec.fitting._document import MODEL, is_ours, parts_of
from jaxrec.fitting._owner import LOCK
from jaxrec.fitting._publishing import NAMES, NEW_LOG


def refuse_foreign(path: pathlib.Path) -> None:
    """Refuse a folder in which a fit would replace, or mix with, what is someone else's.

    A folder with a model of jaxrec may have other files beside, which are left alone. One without may have nothing but
    what a stopped fit leaves.

    Raises:
      RunFolderError: it cannot be read, is not empty and no run folder, or has a file of someone else, a link or a
        folder under a name that a fit writes.
    """
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise RunFolderError(f"--out {str(path)!r} cannot be read: {error.strerror}; name another folder") from None
    foreign = [
        entry.name
        for entry in entries
        if entry.name in _OURS and not _OURS[entry.name](entry) and os.path.lexists(entry)  # its owner may move it
    ]
    if foreign:
        what = "is a link" if (path / foreign[0]).is_symlink() else "is not of jaxrec"
        raise RunFolderError(f"--out {str(path)!r}: {foreign[0]} in it {what}; name a new or an empty folder")
    others = [entry.name for entry in entries if not _is_left(entry)]
    if others and not (path / MODEL).exists():
        raise RunFolderError(
            f"--out {str(path)!r} is no run folder and is not empty (it has {', '.join(others[:3])}); "
            "name a new or an empty folder"
        )


def _is_left(entry: pathlib.Path) -> bool:
    """Whether an entry is what a fit leaves that was stopped before it had a model."""
    name = files.temporary_of(entry.name) or entry.name
    hidden = name != entry.name and name in (*_OURS, *NAMES)
    return hidden or name in (LOCK, "probe", "log.jsonl", NEW_LOG, *_STOPPED) or parts_of(name)[0] in NAMES


def _start(path: pathlib.Path, size: int) -> bytes | None:
    """The first bytes of a file; None where a path is no file itself, or cannot be read."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return None


def _begins(*starts: bytes) -> Callable[[pathlib.Path], bool]:
    """Whether a path is a file itself, and empty or begins so."""

    def check(path: pathlib.Path) -> bool:
        start = _start(path, 100)
        return start is not None and (not start or start.startswith(starts))

    return check


def _is_metrics(path: pathlib.Path) -> bool:
    """Whether a file has figures that `jaxrec fit` wrote, of any version."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"model", "test", "config", "versions"} <= set(document)


def _is_run(path: pathlib.Path) -> bool:
    """Whether a file is what a run says of itself from its start on; a half one is, if it begins so."""
    start = _start(path, 100)
    return start is not None and (not start or b"".join(start.split()).startswith(b'{"format":"jaxrec-run"'))


_is_log = _begins(b'{"stage": ')

# What a fit writes under a name that others may have too, and how it is recognized.
_OURS: Mapping[str, Callable[[pathlib.Path], bool]] = {
    MODEL: is_ours,
    "metrics.json": _is_metrics,
    "log.jsonl": _is_log,
    NEW_LOG: _is_log,
    "learning_curve.png": _begins(b"\x89PNG"),
    "run.json": _is_run,
    "checkpoints": lambda path: path.is_dir() and not path.is_symlink(),
}
_STOPPED = ("run.json", "checkpoints")
