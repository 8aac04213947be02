"""Ctrl-C and SIGTERM that wait until what was computed is kept."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_WAITING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """The signals that came while they were deferred.

    >>> Signals({}).asked
    False
    """

    def __init__(self, before: dict[int, Any]) -> None:
        self._before, self._came = before, list[int]()

    @property
    def asked(self) -> bool:
        """Whether one came."""
        return bool(self._came)

    def note(self, number: int, frame: object) -> None:
        """Note a signal; a second one is delivered at once, for those who cannot wait."""
        self._came.append(number)
        if len(self._came) > 1:
            self.deliver()

    def deliver(self) -> None:
        """Hand the signals that came to whom they were for, which as a rule ends the process or raises."""
        while self._came:
            number = self._came.pop(0)
            deferring = signal.getsignal(number)
            signal.signal(number, self._before[number])
            try:
                signal.raise_signal(number)
            finally:
                signal.signal(number, deferring)


@contextlib.contextmanager
def deferred_signals(wanted: bool = True) -> Iterator[Signals]:
    """Note Ctrl-C and SIGTERM instead of letting them break off what runs; at the end they are delivered.

    Signals that the process ignores stay ignored. Outside the main thread Python has no say in signals, so nothing is
    deferred there.

    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    >>> with deferred_signals() as signals:
    ...     signal.raise_signal(signal.SIGINT)
    ...     came = signals.asked
    ...     with contextlib.suppress(KeyboardInterrupt):
    ...         signals.deliver()
    >>> came, signals.asked
    (True, False)
    >>> _ = signal.signal(signal.SIGINT, before)
    """
    before: dict[int, Any] = {}
    if wanted and threading.current_thread() is threading.main_thread():
        # None is a handler that was not set by Python, and cannot be put back.
        found = {number: signal.getsignal(number) for number in _WAITING}
        before = {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}
    signals = Signals(before)
    for number in before:
        signal.signal(number, signals.note)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    signals.deliver()
