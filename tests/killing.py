"""A kill before any write, within the process of the test: from then on nothing reaches the disk."""

import contextlib
import os
import sys


class Killed(BaseException):
    """What no handler of an error takes for one."""


class _Killer:
    """Counts what changes the files below a folder, and raises from the given one on."""

    def __init__(self):
        self.folder, self.left, self.done = None, 0, []

    def count(self, what, path):
        if self.folder is None or not os.fspath(path).startswith(self.folder):
            return
        if self.left <= 0:
            self.left = 0
            raise Killed(f"{what} {path}")
        self.left -= 1
        self.done.append((what, os.path.basename(path)))

    def hook(self, event, arguments):
        """Python tells of every change of a file before it is made."""
        if self.folder is None:
            return
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            flags = arguments[2]
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.count(event, arguments[0])
        elif event == "os.rename":
            self.count(event, arguments[1])
        elif event in ("os.remove", "os.mkdir", "os.rmdir"):
            self.count(event, arguments[0])


_KILLER = _Killer()
_HOOKED = []  # a hook stays for as long as the process


@contextlib.contextmanager
def killing(folder, writes=10**9):
    """Let so many changes of the files below a folder happen in the block, and raise `Killed` before the next.

    Yields:
      What has happened, a list that grows: (event, name of the file).
    """
    if not _HOOKED:
        _HOOKED.append(sys.addaudithook(_KILLER.hook))
    real = os.fsync

    def fsync(descriptor):
        _KILLER.count("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    os.fsync = fsync
    _KILLER.folder, _KILLER.left, _KILLER.done = str(folder), writes, []
    try:
        yield _KILLER.done
    finally:
        _KILLER.folder, os.fsync = None, real
