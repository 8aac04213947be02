"""Several processes on one mesh: how one joins the others, what one does for all, and where all stop together."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from jaxrec import errors
from jaxrec._checks import address, digits
from jaxrec.errors import JaxrecError
from jaxrec.parallel._ending import WriterError, end_uncaught, joining, named, short
from jaxrec.protocols import ProcessGroup

T = TypeVar("T")

COORDINATOR, NUM_PROCESSES, PROCESS_ID = "JAXREC_COORDINATOR", "JAXREC_NUM_PROCESSES", "JAXREC_PROCESS_ID"
DETECT = "detect"
"""The coordinator of a process that leaves it to JAX to find the others: Slurm, Open MPI, Kubernetes, Cloud TPU."""
HEARTBEAT_SECONDS = 10
_OF_JAX = "JAX_COORDINATOR_ADDRESS"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_STOPPED = threading.Event()


def named_processes(environ: Mapping[str, str] = os.environ) -> tuple[str, int | None, int | None] | None:
    """The (coordinator, number of processes, number of this one) that the environment names; None for one process.

    Raises:
      JaxrecError: some of the variables without the others, a number that is none, or a coordinator that is not
        HOST:PORT.

    >>> named_processes({"JAXREC_COORDINATOR": "10.0.0.1:4000", "JAXREC_NUM_PROCESSES": "4", "JAXREC_PROCESS_ID": "2"})
    ('10.0.0.1:4000', 4, 2)
    >>> named_processes({}) is None
    True
    """
    names = (COORDINATOR, NUM_PROCESSES, PROCESS_ID)
    given = {name: environ[name] for name in names if environ.get(name)}
    if not given:
        return None
    if given.get(COORDINATOR) == DETECT:
        return DETECT, None, None
    missing = [name for name in names if name not in given]
    if missing:
        raise JaxrecError(f"{' and '.join(given)} without {' and '.join(missing)}; set all three, or none")
    numbers = []
    for name in (NUM_PROCESSES, PROCESS_ID):
        number = digits(given[name])
        if number is None:
            raise JaxrecError(f"{name} must be a whole number in the digits 0 to 9, got {given[name]!r}")
        numbers.append(number)
    return address(COORDINATOR, given[COORDINATOR]), *check_processes(*numbers)


def check_processes(number: int, process: int) -> tuple[int, int]:
    """Check a number of processes, and that of one of them.

    Raises:
      JaxrecError: out of range.

    >>> check_processes(4, 3)
    (4, 3)
    """
    if number < 1:
        raise JaxrecError(f"the number of processes must be at least 1, got {number}")
    if not 0 <= process < number:
        raise JaxrecError(f"the processes are numbered from 0 to {number - 1}, got {process}")
    return number, process


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    wait_seconds: int = 120,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
) -> int:
    """Join the other processes of a mesh, before JAX computes anything; from then on JAX has the devices of all.

    Without arguments it is what the environment names, by JAXREC_COORDINATOR, JAXREC_NUM_PROCESSES and
    JAXREC_PROCESS_ID, as `jaxrec launch` sets them; else what JAX detects.

    SIGTERM stays with whoever had it before, since JAX would only note it. A training with checkpoints goes on to the
    end of the epoch in all processes, see `stop_together`; else it ends the process, and the others follow. An error
    that nobody catches ends this process at once, and it does not wait for the others.

    Args:
      coordinator: HOST:PORT of process 0, where all meet, with an IPv6 address in brackets. On the loopback address
        it is bound there alone.
      processes: how many there are.
      process: the number of this one, from 0.
      wait_seconds: how long to wait for the others.
      heartbeat_seconds: a process that is not heard of for so long is lost.

    Returns:
      How many processes there are.

    Raises:
      JaxrecError: JAX has started already, arguments out of range, no HOST:PORT, or the others do not come.

    >>> join("127.0.0.1:4000", 2, 2)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: the processes are numbered from 0 to 1, got 2
    """
    if coordinator is None:
        named = named_processes()
        coordinator, processes, process = (DETECT, None, None) if named is None else named
    how: dict[str, Any] = {"initialization_timeout": wait_seconds, "heartbeat_timeout_seconds": heartbeat_seconds}
    if coordinator != DETECT:
        if processes is None or process is None:
            raise JaxrecError("coordinator goes with processes and process; pass all three")
        check_processes(processes, process)
        address("coordinator", coordinator)
        how |= {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
        # JAX reads the clusters' own variables for the devices of this process.
        if coordinator.rpartition(":")[0] in _LOOPBACK:
            how |= {"coordinator_bind_address": coordinator, "cluster_detection_method": "deactivate"}
    elif os.environ.get(_OF_JAX):
        address(_OF_JAX, os.environ[_OF_JAX])
    handler = signal.getsignal(signal.SIGTERM)
    # The time at which JAX's exit gives up on the others is left as it is: it ends them too, in the middle of a save.
    try:
        with joining():
            jax.distributed.initialize(**how)
    except (RuntimeError, ValueError) as error:
        where = "those that JAX detects" if coordinator == DETECT else f"those at {coordinator}"
        raise JaxrecError(f"cannot join the other processes, {where}: {short(error)}") from None
    # None is a handler that was not set by Python, and cannot be put back.
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    end_uncaught()
    return jax.process_count()


def several() -> bool:
    """Whether this process has joined others. It starts no device.

    >>> several()
    False
    """
    return jax.distributed.is_initialized() and jax.process_count() > 1


def writes() -> bool:
    """Whether this process is the one that writes files and prints: the first.

    >>> writes()
    True
    """
    return not several() or jax.process_index() == 0


def fetched(array: Any) -> np.ndarray:
    """An array as a whole on the host of every process; all processes must ask for it.

    >>> fetched(jax.numpy.ones(2)).tolist()
    [1.0, 1.0]
    """
    if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.asarray(array)


def spread(array: np.ndarray | None, like: Any = None) -> np.ndarray:
    """An array of the process that writes, in all processes, to the bit.

    Args:
      array: in the process that writes.
      like: has its shape and dtype, in the others.
    """
    if not several():
        assert array is not None
        return array
    from jax.experimental import multihost_utils

    source = np.zeros(like.shape, like.dtype) if array is None else np.asarray(array)
    # As bytes, since what is sent is a sum with zeros: that of -0.0 would be 0.0.
    sent = multihost_utils.broadcast_one_to_all(np.ascontiguousarray(source).reshape(-1).view(np.uint8))
    return np.asarray(sent).astype(np.uint8, copy=False).view(source.dtype).reshape(source.shape)


class Processes(ProcessGroup):
    """The processes that have joined, which exchange arrays; without others it is this one alone.

    >>> group = Processes()
    >>> group.process, group.count, group.gather({"user": np.array([7, 9])})
    (0, 1, [{'user': array([7, 9])}])
    """

    @property
    def process(self) -> int:
        """The number of this process, from 0."""
        return jax.process_index() if several() else 0

    @property
    def count(self) -> int:
        """How many processes there are."""
        return jax.process_count() if several() else 1

    def gather(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The arrays of every process, in the order of the processes; all must ask.

        They are sent as bytes, some megabytes at a time, so that one program serves all lengths. Every process then
        holds the arrays of all.

        Args:
          arrays: of one dimension, of any length and any names; no Python objects.
        """
        if not several():
            return [dict(arrays)]
        own_dtypes = {name: array.dtype.str for name, array in arrays.items()}
        texts = self._bytes_of_all(np.frombuffer(json.dumps(own_dtypes).encode(), np.uint8))
        of_all: list[dict[str, str]] = [json.loads(text.tobytes()) for text in texts]
        out: list[dict[str, np.ndarray]] = [{} for _ in of_all]
        for name in sorted({name for dtypes in of_all for name in dtypes}):
            own = np.ascontiguousarray(arrays.get(name, np.zeros(0, np.uint8)))
            for gathered, dtypes, sent in zip(out, of_all, self._bytes_of_all(own.view(np.uint8)), strict=True):
                if name in dtypes:
                    gathered[name] = sent.view(dtypes[name])
        return out

    def _bytes_of_all(self, own: np.ndarray) -> list[np.ndarray]:
        """The bytes, uint8 of any length, of every process."""
        from jax.experimental import multihost_utils

        # As bytes: JAX makes 32 bits of 64, and a column may have more than 2^31 bytes.
        length = np.array([len(own)], np.int64).view(np.uint8)
        sizes = np.ascontiguousarray(multihost_utils.process_allgather(length)).view(np.int64)[:, 0]
        out = [np.empty(int(size), np.uint8) for size in sizes]
        step = _PIECE if sizes.max(initial=0) > _SMALL else _SMALL
        for start in range(0, int(sizes.max(initial=0)), step):
            piece = own[start : start + step]
            padded = np.pad(piece, (0, step - len(piece)))
            for whole, sent in zip(out, np.asarray(multihost_utils.process_allgather(padded)), strict=True):
                whole[start : start + step] = sent[: max(len(whole) - start, 0)]
        return out


_SMALL, _PIECE = 1 << 12, 1 << 24  # bytes that are sent at a time


def from_writer(make: Callable[[], T]) -> T:
    """What a function gives in the process that writes, in all of them; its error is raised in all.

    With one process it is a plain call. With several, the others wait, and what is given must be plain JSON values.

    Raises:
      JaxrecError: or whichever of its family the function raised. An OSError becomes one of files.
      Exception: whichever else the function raised, in the process that writes.
      WriterError: the same, in the others.

    >>> from_writer(lambda: [1, "a"])
    [1, 'a']
    """
    if not several():
        return make()
    sent, own = "{}", None
    if writes():
        try:
            sent = json.dumps({"value": make()})
        except JaxrecError as error:
            sent = json.dumps({"error": type(error).__name__, "text": str(error)})
        except OSError as error:
            where = f"{error.filename or 'a file'}: {error.strerror or error}"
            sent = json.dumps({"error": "OutputError", "text": where})
        except Exception as error:
            sent, own = json.dumps({"failed": named(error)}), error
    text = np.frombuffer(sent.encode(), np.uint8)
    length = spread(np.array([len(text)]) if writes() else None, like=np.zeros(1, np.int64))
    # Of few lengths, since a program is compiled for each.
    size = 1 << max(8, int(length[0] - 1).bit_length())
    padded = np.pad(text, (0, size - len(text))) if writes() else None
    told: dict[str, Any] = json.loads(spread(padded, like=np.zeros(size, np.uint8))[: length[0]].tobytes())
    if own is not None:
        raise own
    if "failed" in told:
        raise WriterError(told["failed"])
    if "error" in told:
        raise getattr(errors, told["error"], JaxrecError)(told["text"])
    return told["value"]


def agreed(flag: bool) -> bool:
    """Whether a flag is set in any of the processes, all of which must ask.

    >>> agreed(False)
    False
    """
    if not several():
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array([flag]))))


def stop_together(point: int, asked: bool | None = None) -> bool:
    """Whether all processes are to stop here, since SIGTERM came to one of them.

    All processes must ask, at the same points. With one process it is False.

    Args:
      point: a number that rises. Orbax asks JAX too, with the numbers of checkpoints, so these are the points where
        there are any.
      asked: whether a signal came to this process, where it is kept for this; all processes then agree here. JAX, which
        has SIGTERM where a program has started it without `join`, chooses the next point that none has passed.

    >>> stop_together(1)
    False
    """
    if not several():
        return False
    from jax.experimental import multihost_utils

    stopping = multihost_utils.reached_preemption_sync_point(point)
    stopping = (asked is not None and agreed(asked)) or stopping
    if stopping:
        _STOPPED.set()
    return stopping


def stopped_together() -> bool:
    """Whether all processes have stopped at one point.

    >>> stopped_together()
    False
    """
    return _STOPPED.is_set()
