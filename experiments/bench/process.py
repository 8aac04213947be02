"""What must be set before a process starts, so that all libraries share one number of threads and one allocator."""

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
    """The variables of a process that measures.

    Args:
      environ: the variables to add to.
      threads: of every library that has threads of its own.
      large_pages: whether glibc asks for pages of 2 MiB.
    """
    tunables = environ.get("GLIBC_TUNABLES", "")
    if large_pages and _TUNABLE not in tunables:
        tunables = ":".join(word for word in (tunables, f"{_TUNABLE}=1") if word)
    out = {**environ, **dict.fromkeys(_THREADS, str(threads)), STARTED: "1"}
    return {**out, "GLIBC_TUNABLES": tunables} if tunables else out


def start_again(threads: int) -> None:
    """Replace this process by one on so many cores, with one setting of threads and allocator for all libraries.

    XLA and PyTorch take as many threads as the process has cores; the others read variables when they are loaded.

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
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def run_measured(command: Sequence[str], environ: Mapping[str, str] | None = None) -> tuple[str, int, float]:
    """Run a command in a process of its own: (its standard output, its peak resident memory in bytes, seconds).

    The command is started by a small launcher, not by this process: Linux counts the memory of the process that starts
    another into the peak of the other, so a large parent would hide the figure.

    Raises:
      JaxrecError: the command fails; the end of what it wrote is in the message.
    """
    launcher = [sys.executable, "-S", "-m", "experiments.bench.peak", *command]
    done = subprocess.run(launcher, capture_output=True, text=True, env=environ, check=False)
    told, _, last = done.stdout.rstrip("\n").rpartition("\n")
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise JaxrecError(f"{' '.join(command)} ended with code {done.returncode}:\n{tail}")
    peak, seconds = last.split()
    return told, int(peak), float(seconds)
