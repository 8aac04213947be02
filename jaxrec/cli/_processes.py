"""One process of several on the command line: it joins the others, and only the first prints and writes."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxrec.cli._children import PARENT
from jaxrec.cli._signals import TERMINATED
from jaxrec.errors import JaxrecError

COMMANDS = ("fit", "evaluate", "recommend")
"""Those that several processes share."""
COORDINATOR, NUM_PROCESSES, PROCESS_ID = "JAXREC_COORDINATOR", "JAXREC_NUM_PROCESSES", "JAXREC_PROCESS_ID"
DETECT = "detect"


def is_one_of_several(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a command of this process is shared with others, which the environment says.

    >>> is_one_of_several("fit", {"JAXREC_COORDINATOR": "detect"}), is_one_of_several("doctor", {})
    (True, False)
    """
    return name in COMMANDS and any(environ.get(each) for each in (COORDINATOR, NUM_PROCESSES, PROCESS_ID))


def join_others(*, ends_at_once: bool) -> None:
    """Join the processes that the environment names; of them all only the first shows what it says.

    Args:
      ends_at_once: whether SIGTERM ends this process at once, since there is nothing to keep; else JAX notes it, so
        that all stop at one point.

    Raises:
      JaxrecError: they cannot be joined.
    """
    from jaxrec.parallel import join, writes

    _watch_parent()
    _own_output()
    join()
    if ends_at_once:  # in the place of JAX's own handler, which only notes it
        signal.signal(signal.SIGTERM, _terminated)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of SIGTERM what we tell
    if not writes():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        warnings.simplefilter("ignore", UserWarning)


def ended_together(run: Callable[[], int]) -> int:
    """Run a command of one of several processes; where it fails, end this process without waiting for the others.

    Args:
      run: gives the exit status.
    """
    from jaxrec.parallel._processes import end_lost, leave, lost_another

    try:
        status = run()
    except BaseException as error:
        if lost_another(error):
            end_lost(error)
        traceback.print_exc()
        leave(1)
    if status in (0, TERMINATED):  # all end so, at one point
        return status
    leave(status)


def over_processes(command: Any, alone: str | None = None) -> Any:
    """The command for all devices of all processes; with one process it stays as it is.

    Args:
      command: with `devices` and `quiet`.
      alone: what of it several processes cannot do together, in words; None for nothing.

    Raises:
      JaxrecError: there is such a thing.
    """
    from jaxrec.parallel._processes import several, writes

    if not several():
        return command
    import jax

    if alone is not None:
        raise JaxrecError(f"{alone}, which several processes do not share; run it in one process")
    devices = jax.device_count() if command.devices is None else command.devices
    return dataclasses.replace(command, devices=devices, quiet=command.quiet or not writes())


@contextlib.contextmanager
def claimed_for_all(*given: Any) -> Iterator[pathlib.Path]:
    """`claimed` in the process that writes; the name of the folder in all."""
    from jaxrec.cli._run_folder import claimed
    from jaxrec.parallel._processes import from_writer

    with contextlib.ExitStack() as stack:
        yield pathlib.Path(from_writer(lambda: str(stack.enter_context(claimed(*given)))))


@contextlib.contextmanager
def nothing_described() -> Iterator[Callable[..., None]]:
    """What takes the place of `described_run` in a process that writes nothing."""
    yield lambda **changes: None


def _terminated(number: int, frame: object) -> None:
    with contextlib.suppress(OSError):
        print("jaxrec: error: terminated", file=sys.stderr, flush=True)
    os._exit(TERMINATED)


def _own_output() -> None:
    """Keep standard output for this command: Gloo prints there too, that it has found the others."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    old = sys.stdout
    sys.stdout = open(kept, "w", encoding=old.encoding, errors=old.errors, buffering=1)  # noqa: SIM115


def _watch_parent() -> None:
    """End with the parent, also where it was killed: nobody would end us any more."""
    if not os.environ.get(PARENT, "").isdigit():
        return
    descriptor = int(os.environ[PARENT])

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(descriptor, 1)
            print("jaxrec: error: the process that launched this one is gone", file=sys.stderr, flush=True)
            os._exit(TERMINATED)

    threading.Thread(target=wait, daemon=True).start()
