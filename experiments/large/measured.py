"""CPU seconds and peak memory of this process, with the pages of files apart."""

from __future__ import annotations

import contextlib
import pathlib
import resource
import sys
import threading
from collections.abc import Iterator

_STATUS = pathlib.Path("/proc/self/status")
_EVERY = 0.01  # seconds between two looks


@contextlib.contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure a block: the dictionary has its figures when it ends.

    `cpu` is of all threads in seconds, of the block alone. `peak_mb` is the most resident memory that the process ever
    had. `anonymous_mb` is the most without pages of files, which the system takes back when it needs them; it is looked
    at every hundredth of a second, and left out where the system does not tell it.
    """
    out: dict[str, float] = {}
    stop, most = threading.Event(), [0]

    def watch() -> None:
        while not stop.is_set():
            most[0] = max(most[0], _status("RssAnon"))
            stop.wait(_EVERY)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before = _cpu()
    try:
        yield out
    finally:
        out["cpu"] = round(_cpu() - before, 2)
        stop.set()
        watcher.join()
        # Linux counts the memory of a parent in `ru_maxrss`, not in the status.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        out["peak_mb"] = round(peak / 1e6, 1)
        if most[0]:
            out["anonymous_mb"] = round(most[0] / 1e6, 1)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status(name: str) -> int:
    """Bytes of a line of the process's status, or 0 where the system does not tell."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
