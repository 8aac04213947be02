"""How one of several processes ends alone: since it failed, or since another is gone, which it names.

A process that ends tells the others why through JAX's coordination service, which the first process runs. Those that
wait for it in a collective notice as its connections close; the others hear of it from `watched`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax

from jaxrec.errors import Terminated

LOST = 75
"""The exit status of a process that lost another: "try again later", as after SIGTERM."""
INTERRUPTED = 130
WATCH_SECONDS, GRACE_SECONDS, LINGER_SECONDS = 1.0, 1.5, 4.0
_FOLDER, _LOST = "jaxrec/ended", "lost another"
_ENDING, _JOINING = threading.Lock(), threading.Event()

# What JAX, Gloo, NCCL and gRPC say where the other end is gone.
_GONE = re.compile(
    r"\bgloo\b|connection (closed|reset|refused|timed out|lost|aborted)|socket closed|broken pipe|failed to connect"
    r"|coordination service|barrier (has )?(failed|timed out)|heartbeat|getkeyvalue\(\)|remote process exited"
    r"|\bnccl\b[^\n]*(system error|remote|network|timed? ?out)|\btasks? [^\n]*(unhealthy|died|crashed)",
    re.IGNORECASE,
)
# What a process did itself; Gloo enforces that all processes send the same lengths, which is a defect of the program.
_OWN = re.compile(r"^(RESOURCE_EXHAUSTED|INVALID_ARGUMENT|UNIMPLEMENTED)\b|enforce fail")


class WriterError(RuntimeError):
    """The process that writes failed, which the others are told; it says with which error.

    >>> str(WriterError("KeyError: 1"))
    'KeyError: 1'
    """


def joined() -> bool:
    """Whether this process has joined others. It starts no device.

    >>> joined()
    False
    """
    return not _JOINING.is_set() and jax.distributed.is_initialized() and _state().num_processes > 1


@contextlib.contextmanager
def joining() -> Iterator[None]:
    """Have joined nobody yet within the block, where JAX waits for the others and aborts at any other request.

    >>> with joining():
    ...     joined()
    False
    """
    _JOINING.set()
    try:
        yield
    finally:
        _JOINING.clear()


def lost_another(error: BaseException) -> bool:
    """Whether an error is of a collective, or of a meeting, whose other end is gone.

    Errors of this process alone, such as those of its device, are none of these: another try would end in the same.

    >>> lost_another(RuntimeError("no"))
    False
    """
    return joined() and is_of_another(error)


def is_of_another(error: BaseException) -> bool:
    """`lost_another`, by the error alone.

    >>> is_of_another(jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"))
    True
    >>> is_of_another(jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS"))
    False
    """
    text = str(error)
    if isinstance(error, WriterError):
        return True
    # Where a program fails as it is called, and not as its result is waited for, JAX raises a plain ValueError.
    of_jax = isinstance(error, jax.errors.JaxRuntimeError) or (
        type(error) is ValueError and re.match(r"[A-Z]+(_[A-Z]+)*: ", text) is not None
    )
    return of_jax and _OWN.search(text) is None and _GONE.search(text) is not None


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """End this process at once where it fails, and where another one does, so that none waits for one that is gone.

    An error of its own is shown as ever, and the exit status is 1, or that of `sys.exit`. Where another process is
    gone a sentence names it, as far as it is known, and the exit status is 75. No error comes out of the block, so one
    that is to be handled is handled within. `Terminated`, which all have stopped for, and `sys.exit(0)` come out as
    ever. With one process nothing happens.

    >>> with guard():
    ...     pass
    """
    with watched():
        try:
            yield
        except BaseException as error:
            end_failed(error)
            raise


@contextlib.contextmanager
def watched(ask: Callable[[], None] | None = None) -> Iterator[None]:
    """End this process where another one tells that it ends, also while this one waits for no collective.

    Args:
      ask: asks this process to end, so that it can clean up, some seconds before it is ended.

    >>> with watched():
    ...     pass
    """
    if not joined():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=[over, ask], name="jaxrec-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LINGER_SECONDS)


def end_uncaught() -> None:
    """Let an error that nobody catches end this process at once, and not wait for the others at JAX's exit."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        prompt = hasattr(sys, "ps1") or sys.flags.interactive  # where an error ends nothing
        if not prompt and lost_another(error):
            end_lost(error)
        before(kind, error, trace)
        if not prompt:
            end_failed(error, shown=True)

    sys.excepthook = hook


def end_failed(error: BaseException, *, shown: bool = False) -> None:
    """End this process for an error, and tell the others; it returns where there are none, or where all end together.

    Args:
      error: that ended what this process did.
      shown: whether its traceback has been printed.
    """
    if not joined() or isinstance(error, Terminated):
        return
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return
        if not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
        status = error.code if isinstance(error.code, int) else 1
        end_alone(status, f"ended with exit status {status}")
    if lost_another(error):
        end_lost(error)
    if not shown:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        end_alone(INTERRUPTED, "was interrupted")
    end_alone(1, f"failed: {named(error)}")


def end_lost(error: BaseException) -> NoReturn:
    """Say which process is gone, as far as it is known, and end this one at once."""
    _only_once()
    own, count = _place()
    if isinstance(error, WriterError):
        _end_for(0, f"failed: {error}")
    told = dict[int, str]()
    # The other one of two is known, and where that is the first, the service that all tell by is gone with it.
    if own == 0 or count > 2:
        _tell(_LOST)
        told = _heard(lambda told: bool(_failed(told)) or len(told) >= count - 1, 2.0 if count > 2 else 0.0)
    failed = _failed(told)
    if failed:
        _end_for(*failed[0])
    silent = [number for number in range(count) if number != own and number not in told]
    who = f"process {silent[0]}" if len(silent) == 1 else "another one"
    _say(f"process {own} of {count} lost {who}: {short(error)}")
    if own == 0 and count > 2:
        time.sleep(0.5)  # the others read the same
    leave(LOST)


def end_alone(status: int, why: str) -> NoReturn:
    """End this process while the others go on, and tell them.

    Args:
      status: its exit status.
      why: it ends, as said of a process: "failed: ...".
    """
    if joined():
        _only_once()
        own, count = _place()
        _tell(why)
        if own == 0:  # JAX aborts all others as the first one goes; they have time to end by themselves
            _heard(lambda told: len(told) >= count, LINGER_SECONDS)
            time.sleep(0.2)
    leave(status)


def leave(status: int) -> NoReturn:
    """End this process without waiting for the others, as it does when it is alone in ending."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 0xFF)


def named(error: BaseException) -> str:
    """An error in one line, with its kind.

    >>> named(KeyError(1)), named(ValueError())
    ('KeyError: 1', 'ValueError')
    """
    text = " ".join(str(error).split())
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def short(error: BaseException) -> str:
    """What an error says, in one line.

    >>> short(ValueError("no")), short(ValueError())
    ('no', 'ValueError')
    """
    return _cut(" ".join(str(error).split()) or type(error).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."


def _state() -> Any:
    from jax._src import distributed  # JAX has no public way to its coordination service

    return distributed.global_state


def _place() -> tuple[int, int]:
    """(The number of this process, how many there are), without starting a device."""
    return _state().process_id, _state().num_processes


def _tell(why: str) -> None:
    with contextlib.suppress(Exception):  # the service may be gone
        _state().client.key_value_set(f"{_FOLDER}/{_state().process_id}", why)


def _told() -> dict[int, str]:
    """Why processes have ended, by their numbers."""
    return {int(key.rpartition("/")[2]): why for key, why in _state().client.key_value_dir_get(_FOLDER)}


def _heard(enough: Callable[[dict[int, str]], bool], seconds: float) -> dict[int, str]:
    """What others have told, as soon as it is enough, or after so many seconds."""
    told, until = dict[int, str](), time.monotonic() + seconds
    with contextlib.suppress(Exception):
        while not enough(told := _told()) and time.monotonic() < until:
            time.sleep(0.05)
    return told


def _failed(told: dict[int, str]) -> list[tuple[int, str]]:
    """Those that ended for a reason of their own."""
    return sorted((number, why) for number, why in told.items() if why != _LOST and number != _state().process_id)


def _watch(over: threading.Event, ask: Callable[[], None] | None) -> None:
    failed: list[tuple[int, str]] = []
    while not failed:
        if over.wait(WATCH_SECONDS):
            return
        try:
            failed = _failed(_told())
        except Exception:  # the service is gone, and JAX ends this process for that
            return
    # Who waits in a collective ends by itself, and so does who has made the same mistake.
    if over.wait(GRACE_SECONDS):
        return
    if ask is not None:
        _say_for(*failed[0])
        ask()
        if over.wait(LINGER_SECONDS):
            return
    _only_once()
    if ask is None:
        _say_for(*failed[0])
    leave(LOST)


def _end_for(number: int, why: str) -> NoReturn:
    _say_for(number, why)
    leave(LOST)


def _say_for(number: int, why: str) -> None:
    own, count = _place()
    _tell(_LOST)
    _say(f"process {own} of {count} ends, since process {number} {why}")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"jaxrec: error: {text}", file=sys.stderr, flush=True)


def _only_once() -> None:
    """Let the first thread that ends this process do so; another one waits for that."""
    if not _ENDING.acquire(blocking=False):
        time.sleep(2 * LINGER_SECONDS)
