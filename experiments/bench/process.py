"""Process settings: one number of threads and one allocator for all libraries, set before the process starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from jaxrec.cli import huge_pages
from jaxrec.errors import JaxrecError

STARTED = "JAXREC_BENCH_STARTED"  # set by the restart, so that there is never a second one
_TUNABLE = "glibc.malloc.hugetlb"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def environment(environ: Mapping[str, str], threads: int, *, large_pages: bool) -> dict[str, str]:
    """Add the settings of a measuring process to environment variables.

    Args:
      environ: the variables to extend.
      threads: number of threads of every library.
      large_pages: True if glibc should request pages of 2 MiB.
    """
    tunables = environ.get("GLIBC_TUNABLES", "")
    if large_pages and _TUNABLE not in tunables:
        tunables = ":".join(word for word in (tunables, f"{_TUNABLE}=1") if word)
    out = {**environ, **dict.fromkeys(_THREADS, str(threads)), STARTED: "1"}
    return {**out, "GLIBC_TUNABLES": tunables} if tunables else out


def start_again(threads: int) -> None:
    """Restart this process on `threads` cores, with the same threads and allocator for all libraries.

    XLA and PyTorch use as many threads as the process has cores; other libraries read variables when they are loaded.

    Raises:
      JaxrecError: more threads than cores.
    """
    if STARTED in os.environ:
        return
    cores = usable_cores()
    if not 1 <= threads <= len(cores):
        raise JaxrecError(f"threads must lie in 1..{len(cores)}, the cores of this process, got {threads}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores[:threads])
    variables = environment(os.environ, threads, large_pages=huge_pages().possible)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], variables)


def usable_cores() -> list[int]:
    """List the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def run_measured(command: Sequence[str], environ: Mapping[str, str] | None = None) -> tuple[str, int, float]:
    """Run a command in a separate process: (standard output, peak resident memory in bytes, seconds).

    A small launcher starts the command, since Linux adds the memory of a parent process to the peak of its child; a
    large parent would hide the figure.

    Raises:
      JaxrecError: the command fails; the message has the end of its output.
    """
    launcher = [sys.executable, "-S", "-m", "experiments.bench.peak", *command]
    done = subprocess.run(launcher, capture_output=True, text=True, env=environ, check=False)
    told, _, last = done.stdout.rstrip("\n").rpartition("\n")
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise JaxrecError(f"{' '.join(command)} ended with code {done.returncode}:\n{tail}")
    peak, seconds = last.split()
    return told, int(peak), float(seconds)
