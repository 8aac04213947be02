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
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxrec.cli._children import PARENT
from jaxrec.cli._signals import TERMINATED
from jaxrec.errors import JaxrecError

COMMANDS = ("fit", "evaluate", "recommend")
"""Those that several processes share."""
COORDINATOR, NUM_PROCESSES, PROCESS_ID = "JAXREC_COORDINATOR", "JAXREC_NUM_PROCESSES", "JAXREC_PROCESS_ID"
DETECT = "detect"
VARIABLES = (COORDINATOR, NUM_PROCESSES, PROCESS_ID)
SIGTERM_SECONDS = 4.0
"""How long a process has to clean up after SIGTERM, where there is no epoch to keep."""
_ANYWHERE = ("launch", "doctor", "datasets", "completion")
_HELP = ("-h", "--help", "--help-all")


def is_one_of_several(name: str, rest: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a command of this process is shared with others, which the environment says.

    Args:
      name: of the command.
      rest: the words after it; those that ask for help are not shared.
      environ: the variables of the environment.

    >>> is_one_of_several("fit", (), {"JAXREC_COORDINATOR": "detect"}), is_one_of_several("doctor", (), {})
    (True, False)
    """
    return name in COMMANDS and not set(_HELP) & set(rest) and any(environ.get(each) for each in VARIABLES)


def check_shared(name: str, rest: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a command of one process where the environment names several, each of which would run it by itself.

    Raises:
      JaxrecError: it is such a command.

    >>> check_shared("tune", (), {"JAXREC_COORDINATOR": "detect"})
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: JAXREC_COORDINATOR is set, for several processes, and tune is for one; unset ...
    """
    given = [each for each in VARIABLES if environ.get(each)]
    if not given or name in (*COMMANDS, *_ANYWHERE) or set(_HELP) & set(rest):
        return
    those = " and ".join(filter(None, [", ".join(given[:-1]), given[-1]]))
    verb, them = ("are", "them") if len(given) > 1 else ("is", "it")
    raise JaxrecError(
        f"{those} {verb} set, for several processes, and {name} is for one; unset {them}, or run "
        f"{', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}"
    )


def join_others() -> None:
    """Join the processes that the environment names; of them all only the first shows what it says.

    Raises:
      JaxrecError: they cannot be joined.
    """
    from jaxrec.parallel import join, writes

    _watch_parent()
    _end_soon_at_sigterm()
    _own_output()
    join()
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of SIGTERM what we tell
    if not writes():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        warnings.simplefilter("ignore", UserWarning)


def watched_others() -> contextlib.AbstractContextManager[None]:
    """End this process within the block, as SIGTERM does, where another one tells that it ends."""
    from jaxrec.parallel._ending import watched

    return watched(lambda: os.kill(os.getpid(), signal.SIGTERM))


def ended_together(run: Callable[[], int]) -> int:
    """Run a command of one of several processes; where it fails, end this process without waiting for the others.

    Args:
      run: gives the exit status.
    """
    from jaxrec.parallel._ending import end_alone, end_failed
    from jaxrec.parallel._processes import stopped_together

    try:
        status = run()
    except BaseException as error:
        end_failed(error)
        raise
    if status == 0 or (status == TERMINATED and stopped_together()):
        return status
    end_alone(status, "was asked to end" if status == TERMINATED else f"ended with exit status {status}")


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


def _end_soon_at_sigterm() -> None:
    """End this process some seconds after SIGTERM, also where it computes and Python hears of no signal.

    The handler that raises `Terminated` runs between two steps of Python alone, and a program of XLA may take hours.
    While a training has the signal, to keep the epoch, nothing happens here.
    """
    from jaxrec.parallel._ending import end_alone

    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler):  # it is ignored, or not Python's
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)

    def wait() -> None:
        while True:
            came = os.read(reads, 64)
            if signal.SIGTERM in came and signal.getsignal(signal.SIGTERM) is handler:
                time.sleep(SIGTERM_SECONDS)
                with contextlib.suppress(OSError):
                    print("jaxrec: error: terminated", file=sys.stderr, flush=True)
                end_alone(TERMINATED, "was asked to end")

    threading.Thread(target=wait, name="jaxrec-sigterm", daemon=True).start()


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
    if not os.environ.get(PARENT, "").isdecimal():
        return
    descriptor = int(os.environ[PARENT])

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(descriptor, 1)
            print("jaxrec: error: the process that launched this one is gone", file=sys.stderr, flush=True)
            os._exit(TERMINATED)

    threading.Thread(target=wait, daemon=True).start()
