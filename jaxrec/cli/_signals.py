"""SIGTERM and Ctrl-C on the command line: exit statuses of their own."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from jaxrec.errors import Terminated

INTERRUPTED = 130
"""The exit status after Ctrl-C."""
TERMINATED = 75
"""The exit status after SIGTERM: "try again later", which schedulers know as EX_TEMPFAIL."""


@contextlib.contextmanager
def told_of_termination(own_process: bool) -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, so that what is half-written is cleaned up.

    A process that handles SIGTERM itself, or that only calls the command line, is left as it is.

    >>> with told_of_termination(own_process=False):
    ...     pass
    """
    if not own_process or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
