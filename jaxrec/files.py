"""Files that are written whole or not at all: beside their place, and renamed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import re
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from jaxrec.errors import OutputError

try:
    import fcntl
except ImportError:  # on Windows there is no lock that ends with its process in the same way
    fcntl = None

__all__ = [
    "is_temporary",
    "locked",
    "mode_of",
    "open_new",
    "sync_folder",
    "temporary_of",
    "whole_file",
    "whole_text",
    "write_whole",
]

# `.NAME.PID-RANDOM.tmp`; 0.2 wrote `.NAME.PID`, of figures `.STEM.PID.SUFFIX`, and `.probe.PID`.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d{1,7})(?:-[0-9a-f]{8}\.tmp|(?P<suffix>\.(?:png|svg|pdf))?)")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place at the end of the block: whole, or not at all.

    The bytes go to a temporary file beside it, which reaches the disk before it is renamed. What a process that was
    killed left of the same file is removed. A device or a pipe in the file's place is written to as it is.

    Args:
      path: of the file; its folder must exist. A file that is there keeps its permissions.

    Yields:
      The binary file; the block leaves it open.

    Raises:
      OutputError: the file cannot be written, is a link or a folder, or is write-protected. What was there stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/a.txt") as file:
    ...         written = file.write(b"one")
    ...     os.listdir(folder), pathlib.Path(folder, "a.txt").read_text()
    (['a.txt'], 'one')
    """
    path = pathlib.Path(path)
    with _told(path):
        mode = mode_of(path)
        if mode is not None and not stat.S_ISREG(mode):
            with open(path, "wb") as stream:
                yield stream
            return
        _remove_left_of(path)
        temporary = path.with_name(f".{_short(path.name)}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        descriptor = open_new(temporary)
        try:
            with open(descriptor, "w+b") as file:  # what was written can be read and changed until it has its name
                locked(descriptor)  # while it is held, no other process takes the file for a left-over
                if mode is not None and hasattr(os, "fchmod"):
                    os.fchmod(descriptor, stat.S_IMODE(mode))
                yield file
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def whole_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """The same for text in UTF-8; line ends are written as they are given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_text(f"{folder}/a.txt") as file:
    ...         print("± .5", file=file)
    ...     pathlib.Path(folder, "a.txt").read_text(encoding="utf-8")
    '± .5\\n'
    """
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all; see `whole_file`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/a", b"one")
    ...     pathlib.Path(folder, "a").read_bytes()
    b'one'
    """
    with whole_file(path) as file:
        file.write(content)


def temporary_of(name: str) -> str | None:
    """The name of the file that a temporary file was to become; None for a file that is none.

    >>> temporary_of(".model.json.123-0a1b2c3d.tmp"), temporary_of(".model.json.123"), temporary_of("model.json")
    ('model.json', 'model.json', None)
    """
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else found["name"] + (found["suffix"] or "")


def is_temporary(entry: pathlib.Path, name: str) -> bool:
    """Whether a file is a temporary one of the file `name`.

    >>> is_temporary(pathlib.Path(".a.csv.7-00000000.tmp"), "a.csv")
    True
    """
    return temporary_of(entry.name) == _short(name)


def mode_of(path: pathlib.Path) -> int | None:
    """The mode of what an output file would replace, None for nothing; a link to a device or a pipe counts as that.

    Raises:
      OutputError: a link, a folder, or a file that is write-protected.

    >>> mode_of(pathlib.Path("no/such/file")) is None, stat.S_ISCHR(mode_of(pathlib.Path(os.devnull)))
    (True, True)
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        if not path.exists() or stat.S_ISREG(path.stat().st_mode):
            raise OutputError(f"{str(path)!r} is a link to {os.readlink(path)!r}; name the file itself")
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise OutputError(f"{str(path)!r} is a folder; name a file")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{str(path)!r} is write-protected; name another file")
    return mode


def open_new(path: pathlib.Path) -> int:
    """Make a file that must not be there, not even as a link, and open it for reading and writing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.close(open_new(pathlib.Path(folder, "new")))
    ...     os.listdir(folder)
    ['new']
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666)


def locked(descriptor: int) -> bool:
    """Lock an open file until it is closed or this process ends; whether no other has it locked.

    Raises:
      OSError: the file system has no locks.

    >>> import tempfile
    >>> with tempfile.TemporaryFile() as first:
    ...     locked(first.fileno())
    True
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: pathlib.Path) -> None:
    """Let the names of a folder reach the disk, where the system can do it.

    >>> sync_folder(pathlib.Path("."))
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some file systems refuse it for folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_left_of(path: pathlib.Path) -> None:
    """Remove the temporary files of a file that no process has open any more."""
    for entry in path.parent.iterdir():
        if not entry.name.startswith(".") or not is_temporary(entry, path.name) or not entry.name.endswith(".tmp"):
            continue
        with contextlib.suppress(OSError):  # another process may remove it at the same time
            descriptor = os.open(entry, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if fcntl is not None and not _runs(entry) and locked(descriptor):
                    entry.unlink()
            finally:
                os.close(descriptor)


def _runs(temporary: pathlib.Path) -> bool:
    """Whether the process that made a temporary file may still run: between making and locking it there is a moment."""
    found = _TEMPORARY.fullmatch(temporary.name)
    assert found is not None
    try:
        os.kill(int(found["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return int(found["pid"]) != os.getpid()


def _short(name: str) -> str:
    """A name with room for what a temporary one has besides, of the 255 bytes that file systems have for a name."""
    return name if len(os.fsencode(name)) <= 200 else hashlib.sha256(os.fsencode(name)).hexdigest()


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
    """Tell errors of the system in the name of the file that was asked for."""
    try:
        yield
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}; nothing was changed") from error
