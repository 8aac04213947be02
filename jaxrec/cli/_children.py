"""Processes that work on one mesh, started and watched: when one ends badly the others are ended, and it is named."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from jaxrec.cli._signals import INTERRUPTED, TERMINATED

GRACE_SECONDS = 5.0
"""How long the others have to end by themselves when one has ended badly."""
PARENT = "JAXREC_PARENT"
"""The variable with the descriptor that ends when the parent does."""
_ABORTED = (134, -signal.SIGABRT)
_POLL_SECONDS = 0.05


class Ended(NamedTuple):
    """A process that is over.

    Attributes:
      number: of the process, from 0.
      status: its exit status; minus the number of the signal that killed it.
      killed: whether we did, since another had ended.
    """

    number: int
    status: int
    killed: bool = False

    def told(self) -> str:
        """How it ended, in words.

        >>> Ended(1, -9).told(), Ended(0, 2).told()
        ('was killed by SIGKILL', 'ended with exit status 2')
        """
        if self.status in _ABORTED:
            return "was aborted by JAX, since it heard no more of another"
        if self.status == TERMINATED:
            return "ended with exit status 75: it lost another, or was asked to end"
        if self.status < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-self.status).name}"
        return f"ended with exit status {self.status}"


class Outcome(NamedTuple):
    """How a group of processes ended.

    Attributes:
      ended: each process, in the order in which they ended.
      asked: the signal that the parent was asked to end with, or None.
    """

    ended: tuple[Ended, ...]
    asked: int | None = None

    @property
    def cause(self) -> Ended | None:
        """The process that the others ended for; None where all ended well, or as they were asked.

        Of those that ended badly it is the first that did not end for want of another. Where several made the same
        mistake, it is that of the lowest number.

        >>> Outcome((Ended(0, 75), Ended(1, -9))).cause
        Ended(number=1, status=-9, killed=False)
        >>> Outcome((Ended(0, 0), Ended(1, 0))).cause is None, Outcome((Ended(1, 75), Ended(0, 75))).cause is None
        (True, True)
        >>> Outcome((Ended(0, 75), Ended(1, 134)), signal.SIGTERM).cause is None  # JAX, since the first one had ended
        True
        """
        bad = [each for each in self.ended if each.status and not each.killed]
        together = len(bad) == len(self.ended) > 1 and all(each.status == TERMINATED for each in bad)
        asked = (TERMINATED, -signal.SIGTERM, *_ABORTED)
        if together or (self.asked and all(each.status in asked for each in bad)):
            return None
        first = min(bad, key=lambda each: each.status in (*_ABORTED, TERMINATED), default=None)
        same = [each for each in bad if first is not None and each.status == first.status]
        return min(same) if first is not None and first.status > 0 else first

    def told(self) -> str:
        """The process that the others ended for, and what became of those, in a sentence; "" where there is none.

        >>> Outcome((Ended(1, -9), Ended(0, 75))).told()
        'process 1 of 2 was killed by SIGKILL; the others were ended'
        >>> Outcome((Ended(0, 134), Ended(1, -9, killed=True))).told().partition("; ")[2]
        'process 1 did not end, and was killed'
        """
        cause, number = self.cause, len(self.ended)
        if cause is None:
            return ""
        if number == 1:
            return f"the process here {cause.told()}"
        still = [str(each.number) for each in self.ended if each.killed]
        if cause.status in _ABORTED and still:
            several = "es" if len(still) > 1 else ""
            rest = f"process{several} {', '.join(still)} did not end, and {'were' if several else 'was'} killed"
        else:
            rest = "the others were ended"
        return f"process {cause.number} of {number} {cause.told()}; {rest}"

    @property
    def status(self) -> int:
        """The exit status of all: 0; that of a mistake or a defect; else 75, or 130 after Ctrl-C.

        >>> Outcome((Ended(1, -9), Ended(0, 75))).status, Outcome((Ended(0, 2), Ended(1, 75))).status
        (75, 2)
        """
        if not any(each.status for each in self.ended):
            return 0
        if self.asked is not None and self.cause is None:
            return INTERRUPTED if self.asked == signal.SIGINT else TERMINATED
        own = 0 if self.cause is None else self.cause.status
        return own if own > 0 and own not in _ABORTED else TERMINATED


class Children:
    """Processes that are watched together.

    Args:
      words: of the command that each runs.
      environments: what each has besides that of this process. The first shows its output; of the others what they
        say on standard error is kept.
    """

    def __init__(self, words: Sequence[str], environments: Sequence[Mapping[str, str]]) -> None:
        self._words, self._environments = list(words), environments
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said: list[IO[bytes]] = []
        self._ended: list[Ended] = []

    def run(self, asked: Asked) -> Outcome:
        """Start all, and watch them until the last one is over; no process is left behind.

        Args:
          asked: the signals that this process gets meanwhile.
        """
        reads, writes = os.pipe()
        try:
            try:
                for environment in self._environments:
                    self._start(environment, reads)
            finally:
                os.close(reads)
            return self._watched(asked)
        finally:
            self._kill()
            os.close(writes)

    def said(self, number: int, lines: int = 20) -> list[str]:
        """The last lines that a process said on standard error; of the first none, since it has shown them."""
        if number == 0:
            return []
        self._said[number - 1].seek(0)
        return self._said[number - 1].read().decode(errors="replace").splitlines()[-lines:]

    def close(self) -> None:
        """Let go of what the processes said."""
        for file in self._said:
            file.close()

    def _start(self, environment: Mapping[str, str], parent: int) -> None:
        first = not self._processes
        if not first:
            self._said.append(tempfile.TemporaryFile())  # noqa: SIM115
        # A session of its own, so that Ctrl-C in a terminal reaches us alone, and that a whole group can be killed.
        process = subprocess.Popen(
            self._words,
            env={**os.environ, **environment, PARENT: str(parent)},
            stdin=subprocess.DEVNULL,
            pass_fds=[parent],
            start_new_session=True,
            stdout=None if first else subprocess.DEVNULL,
            stderr=None if first else self._said[-1],
        )
        self._processes.append(process)

    def _watched(self, asked: Asked) -> Outcome:
        until, told = None, 0
        while self._running():
            if asked.times > told:
                self._kill() if told else self._tell(signal.SIGTERM)
                told = asked.times
            for number in self._running():
                status = self._processes[number].poll()
                if status is not None:
                    self._ended.append(Ended(number, status))
                    if status and until is None:
                        until = time.monotonic() + GRACE_SECONDS
            if until is not None and time.monotonic() > until:
                self._kill()
            time.sleep(_POLL_SECONDS)
        return Outcome(tuple(self._ended), asked.number)

    def _running(self) -> list[int]:
        over = {each.number for each in self._ended}
        return [number for number in range(len(self._processes)) if number not in over]

    def _tell(self, number: int) -> None:
        for running in self._running():
            self._processes[running].send_signal(number)

    def _kill(self) -> None:
        """End all that still run, with whatever they have started."""
        for running in self._running():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._processes[running].pid, signal.SIGKILL)
            self._ended.append(Ended(running, self._processes[running].wait(), killed=True))


class Asked:
    """The signals that ask this process to end.

    >>> Asked().times
    0
    """

    def __init__(self) -> None:
        self.times, self.number = 0, None

    def note(self, number: int, frame: object) -> None:
        """Note one; the first is remembered."""
        self.times, self.number = self.times + 1, number if self.number is None else self.number

    @contextlib.contextmanager
    def noted(self) -> Iterator[Asked]:
        """Note SIGTERM and Ctrl-C within the block, instead of ending by them."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self.note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port of the loopback address that is free, and stays so for whoever shares it; held within the block.

    >>> with free_port() as port:
    ...     port > 0
    True
    """
    with socket.socket() as held:
        shared = getattr(socket, "SO_REUSEPORT", None)
        if shared is not None:  # gRPC, which JAX meets by, sets it too
            held.setsockopt(socket.SOL_SOCKET, shared, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        if shared is None:
            held.close()
        yield port


def own_command(words: Sequence[str]) -> list[str]:
    """The words that start a command of jaxrec in another process.

    >>> own_command(["fit"])[1:]
    ['-m', 'jaxrec', 'fit']
    """
    return [sys.executable, "-m", "jaxrec", *words]
