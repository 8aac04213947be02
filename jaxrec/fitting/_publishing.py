"""How a run folder passes from one model to the next: everything is written beside, and one rename decides.

The order of a fit over a good run: the arrays under a name with their hash, the description under a hidden name with
its hash, what belongs to the new model (figures, log, curve) likewise; what belongs to the old one is put under a name
with the old hash; then the description is renamed to `model.json`. Until then the folder holds the old run, and from
then on the new one. What is left to do can be done by whoever comes next: see `settle`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re
import stat
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrec import files
from jaxrec.errors import RunFolderError
from jaxrec.fitting._archive import packed
from jaxrec.fitting._document import (
    MODEL,
    OLD_ARRAYS,
    arrays_name,
    arrays_of,
    beside,
    digest_in,
    digest_of,
    parts_of,
    read_document,
    written,
)

COMPANIONS = ("metrics.json", "log.jsonl", "learning_curve.png")
"""What a fit writes beside the model, and what goes with it when another fit replaces it."""
NEW_LOG = "log-new.jsonl"
"""The log of a fit over a run that is there, until it is over."""

NAMES = frozenset((MODEL, OLD_ARRAYS, *COMPANIONS))
"""What has a hash in its name while it waits, or always."""

_TEMPORARY = NAMES | {"run.json", "probe"}  # what wrote format 2 left `.probe.PID`


@dataclasses.dataclass(frozen=True)
class Pending:
    """A model that is whole in its folder, and not yet the model of the folder.

    Attributes:
      folder: of the run.
      digest: the hash of its description, by which `metrics.json` names it.
    """

    folder: pathlib.Path
    digest: str

    def beside(self, name: str) -> pathlib.Path:
        """Where a file that belongs to this model waits for the switch."""
        return self.folder / beside(name, self.digest)

    def switch(self, *, replace: bool = False) -> None:
        """Make it the model of the folder.

        Args:
          replace: whether all that belongs to the model before goes with it; else only its arrays do.
        """
        old = digest_in(self.folder) or "0" * 64
        if replace and old != self.digest and (self.folder / MODEL).exists():
            for name in COMPANIONS:
                _move(self.folder / name, self.folder / beside(name, old))
        os.replace(self.beside(MODEL), self.folder / MODEL)
        files.sync_folder(self.folder)
        settle(self.folder, waiting=False)


def write_pending(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray], folder: pathlib.Path) -> Pending:
    """Write a model into a folder that this process owns, beside the one that is there.

    Raises:
      OutputError: the folder cannot be written.
    """
    content = packed(arrays)
    named = {**document, "arrays_sha256": hashlib.sha256(content).hexdigest()}
    digest, text = written(named)
    pending = Pending(folder, digest)
    files.write_whole(folder / arrays_name(named), content)
    files.write_whole(pending.beside(MODEL), text)
    return pending


def settle(folder: pathlib.Path, *, waiting: bool = True) -> None:
    """End what a process that was killed has begun in a folder, which this process owns.

    What belongs to the folder's model gets its own name. What belongs to another, arrays that no description names, and
    temporary files go.

    Args:
      folder: of a run.
      waiting: whether a model that waits for its switch is kept, with what belongs to it.
    """
    entries = [entry for entry in folder.iterdir() if _is_file(entry)]
    for entry in entries:
        target = files.temporary_of(entry.name) or ""
        if target in _TEMPORARY or parts_of(target)[0] in NAMES:
            entry.unlink(missing_ok=True)
    try:
        document, _ = read_document(folder)
    except RunFolderError:
        return
    digest = digest_of(document)
    for name in COMPANIONS:
        _move(folder / beside(name, digest), folder / name)
    kept = {arrays_name(document), *(_of_waiting(entries) if waiting else ())}
    for entry in entries:
        ours = parts_of(entry.name)[0] in NAMES or _is_old_arrays(entry)
        if ours and entry.name not in kept:
            entry.unlink(missing_ok=True)
    files.sync_folder(folder)


def waiting_in(folder: pathlib.Path) -> list[str]:
    """The names of the descriptions of models that wait for their switch, since their fit was stopped before it.

    >>> waiting_in(pathlib.Path("."))
    []
    """
    return sorted(entry.name for entry in folder.iterdir() if parts_of(entry.name)[0] == MODEL and _is_file(entry))


def log_path(folder: pathlib.Path) -> pathlib.Path:
    """Where a fit into a folder writes its log: the log of a run that is there stays until the fit is over.

    >>> log_path(pathlib.Path("no/such/folder")).name
    'log.jsonl'
    """
    return folder / (NEW_LOG if (folder / MODEL).exists() else "log.jsonl")


def _of_waiting(entries: list[pathlib.Path]) -> set[str]:
    """The names of the files of models that wait for their switch."""
    kept: set[str] = set()
    for entry in entries:
        name, digest = parts_of(entry.name)
        if name == MODEL:
            kept |= {beside(each, digest) for each in (MODEL, *COMPANIONS)}
            found = re.search(rb'"arrays_sha256": "([0-9a-f]{64})"', entry.read_bytes())
            kept |= {arrays_of(found[1].decode())} if found else set()
    return kept


def _move(source: pathlib.Path, target: pathlib.Path) -> None:
    if _is_file(source):
        os.replace(source, target)


def _is_file(path: pathlib.Path) -> bool:
    """Whether a path is a file itself, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_old_arrays(path: pathlib.Path) -> bool:
    """Whether a file is `arrays.npz` of a format before 3."""
    try:
        if path.name != OLD_ARRAYS:
            return False
        with zipfile.ZipFile(path) as archive:
            return "seen.indptr.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
