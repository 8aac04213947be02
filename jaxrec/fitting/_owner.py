"""One process writes to a run folder at a time."""

from __future__ import annotations

import contextlib
import contextvars
import os
import pathlib
import platform
import warnings
from collections.abc import Iterator

from jaxrec import files
from jaxrec.errors import RunFolderError

LOCK = ".jaxrec.lock"
"""The file that a process has locked while a run folder is its own; it goes with the process or before."""

_owned: contextvars.ContextVar[frozenset[tuple[int, str]]] = contextvars.ContextVar("_owned", default=frozenset())


@contextlib.contextmanager
def owned(folder: pathlib.Path) -> Iterator[None]:
    """Own a folder for the block; within one that owns it already, nothing happens.

    The lock is of the system: it ends with the process, however that ends, and nobody waits for a dead one. A thread
    beside is another owner.

    Raises:
      RunFolderError: another owner has it, or no lock can be made there.

    >>> import tempfile, threading
    >>> def try_it(folder):
    ...     try:
    ...         with owned(folder):
    ...             print("owned")
    ...     except RunFolderError as error:
    ...         print(str(error).partition(" is ")[2])
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with owned(pathlib.Path(name)):
    ...         other = threading.Thread(target=try_it, args=[pathlib.Path(name)])
    ...         other.start(), other.join()
    being written by process ... on ...; wait for it, or name another folder
    (None, None)
    """
    entry = (os.getpid(), os.path.realpath(folder))  # a child process is no owner of what its parent owns
    if entry in _owned.get():
        yield
        return
    path = folder / LOCK
    descriptor = _lock(path)
    before = _owned.set(_owned.get() | {entry})
    try:
        yield
    finally:
        _owned.reset(before)
        try:
            with contextlib.suppress(OSError):
                path.unlink()  # while it is locked: whoever has opened it already sees that it is gone
        finally:
            os.close(descriptor)


def _lock(path: pathlib.Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise RunFolderError(
                f"the run folder {str(path.parent)!r} cannot be written: {error.strerror}; name another folder"
            ) from None
        try:
            if not _taken(descriptor, path):
                owner = os.read(descriptor, 200).decode(errors="replace").strip()
                raise RunFolderError(
                    f"the run folder {str(path.parent)!r} is being written by {owner or 'another process'}; wait for "
                    "it, or name another folder"
                )
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {platform.node() or 'this machine'}".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has ended, and removed it, between our opening and locking it


def _taken(descriptor: int, path: pathlib.Path) -> bool:
    try:
        return files.locked(descriptor)
    except OSError as error:
        warnings.warn(
            f"the file system of {str(path.parent)!r} has no locks ({error.strerror}), so nothing keeps two processes "
            "from writing to the run folder at once",
            stacklevel=5,
        )
        return True


def _is_at(descriptor: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
