"""What people see of long work: a line of a terminal that rewrites itself, or a few plain lines of a log."""

from __future__ import annotations

import abc
import contextlib
import itertools
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from jaxrec.progress._work import Work, heard_by
from jaxrec.text import printable

_PROMPT = 0.5  # seconds until a terminal shows anything: shorter work leaves no trace
_PERIOD = 0.2  # seconds between two pictures of the line
_LOOK = 0.5  # seconds between two looks at the work, for its speed
_LOG = (10.0, 20.0, 30.0, 60.0, 180.0)  # seconds between lines of a log; the last one goes on
_BAR, _NARROW = 20, 60  # columns of a bar, and of a terminal that is too narrow for one


class Estimate:
    """The time that is left, by the speed since the first unit was done, which was compiled before.

    Between two units it is counted down; where the next one is overdue, nothing is said.

    >>> estimate = Estimate()
    >>> [estimate.left(at, fraction) for at, fraction in ((0, 0.0), (5, 0.1), (6, 0.2), (7, 0.3), (7.5, 0.3))]
    [None, None, 8.0, 7.0, 6.5]
    """

    def __init__(self) -> None:
        self._first = self._last = (0.0, 0.0)

    def left(self, now: float, fraction: float | None) -> float | None:
        """Seconds that are left at a time, in seconds; None while nothing can be said."""
        if not fraction:
            return None
        if not self._first[1]:
            self._first = now, fraction
        if fraction > self._last[1]:
            self._last = now, fraction
        (since, before), (then, done) = self._first, self._last
        if done <= before:
            return None
        left = round((1 - done) * (then - since) / (done - before) - (now - then), 3)
        return left if left >= 0 else None


class Display(abc.ABC):
    """Shows the outermost work from a thread beside it, so that nothing waits for it: a listener, see `heard_by`.

    >>> issubclass(LogLines, Display)
    True
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @abc.abstractmethod
    def waits(self) -> Iterator[float]:
        """The seconds before each picture, without an end."""

    @abc.abstractmethod
    def show(self, work: Work, seconds: float, left: float | None) -> None:
        """Show how far the work is.

        Args:
          work: the outermost one.
          seconds: that it has taken.
          left: that are left; None where it is not known.
        """

    @abc.abstractmethod
    def clear(self, work: Work, seconds: float) -> None:
        """The work is over; nothing was shown where it was short."""

    def begin(self, work: Work) -> None:
        """Start to show a work."""
        self._over.clear()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._follow, args=(work,), name="jaxrec-progress", daemon=True)
        self._thread.start()

    def _follow(self, work: Work) -> None:
        """Look at the work often, and show it at its times."""
        estimate = Estimate()
        for wait in self.waits():
            until, now, left = time.monotonic() + wait, -math.inf, None
            while now < until:
                if self._over.wait(min(max(until - time.monotonic(), 0.0), _LOOK)):
                    return
                now = time.monotonic()
                left = estimate.left(now, work.fraction)
            with contextlib.suppress(OSError, ValueError):  # nobody reads standard error any more
                self.show(work, now - self._started, left)

    def end(self, work: Work) -> None:
        """Stop to show it."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with contextlib.suppress(OSError, ValueError):
            self.clear(work, time.monotonic() - self._started)


class LogLines(Display):
    """Plain lines on standard error, few: after 10 s, and then at growing intervals of up to 3 minutes.

    Work that is over before leaves no line.

    >>> LogLines().show(Work("ranking", 10, "users"), 12.0, None)  # on standard error
    """

    def __init__(self) -> None:
        super().__init__()
        self._written = False

    def waits(self) -> Iterator[float]:
        """See `Display`."""
        return itertools.chain(_LOG, itertools.repeat(_LOG[-1]))

    def show(self, work: Work, seconds: float, left: float | None) -> None:
        """Write a line."""
        self._written = True
        print(f"progress: {line_of(work, seconds, left)}", file=sys.stderr, flush=True)

    def clear(self, work: Work, seconds: float) -> None:
        """Say that it is over, where there was a line."""
        if self._written:
            print(f"progress: {printable(work.name)}: over after {clock_text(seconds)}", file=sys.stderr, flush=True)
        self._written = False


class TerminalLine(Display):
    """One line of a terminal that rewrites itself, and goes when the work is over.

    It stands on standard error. Rich draws it, in color or not as NO_COLOR, FORCE_COLOR and TERM say.

    >>> TerminalLine().clear(Work("ranking"), 0.1)  # nothing was shown, so nothing is taken away
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: Any = None

    def waits(self) -> Iterator[float]:
        """See `Display`."""
        return itertools.chain((_PROMPT,), itertools.repeat(_PERIOD))

    def show(self, work: Work, seconds: float, left: float | None) -> None:
        """Draw the line anew."""
        from rich.console import Console
        from rich.live import Live

        if self._live is None:
            # It is a terminal, whatever FORCE_COLOR says, which rich takes for a word about that. Standard output may
            # be a file, whose lines are none of the terminal's.
            self._live = Live(
                console=Console(stderr=True, highlight=False, force_terminal=True),
                auto_refresh=False,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()
        self._live.update(self._drawn(work, seconds, left, self._live.console.width), refresh=True)

    def clear(self, work: Work, seconds: float) -> None:
        """Take the line away."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    @staticmethod
    def _drawn(work: Work, seconds: float, left: float | None, width: int) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        times, shown = _times(work, seconds, left), work.fraction
        bar = [] if shown is None or width < _NARROW else [ProgressBar(1.0, shown, width=_BAR)]
        line = Table.grid(padding=(0, 1))
        for _ in (*bar, times, "what"):
            line.add_column(no_wrap=True)
        # What is longer than the line is cut at its end; the bar and the times stay where they are.
        room = width - len(times) - 1 - (_BAR + 1) * len(bar)
        what = Text(_what(work))
        what.truncate(max(room, 1), overflow="ellipsis")
        line.add_row(*bar, Text(times), what)
        return line


def line_of(work: Work, seconds: float, left: float | None) -> str:
    """What a work does and how far it is, in a line.

    >>> told = Work("LightGCN, fit", 100, "epochs")
    >>> told.reach(25, "loss 0.12")
    >>> line_of(told, 30.0, 90.0)
    'LightGCN, fit, 25 of 100 epochs, loss 0.12: 25%, 0:30, about 1:30 left'
    """
    return f"{_what(work)}: {_times(work, seconds, left)}"


def _what(work: Work) -> str:
    parts = []
    for one in work.path:
        parts += [one.name] if one.name else []
        if one.unit and one.total is not None:
            parts.append(f"{one.done:,.0f} of {one.total:,.0f} {one.unit}")
        parts += [one.note] if one.note else []
    return printable(", ".join(parts))


def _times(work: Work, seconds: float, left: float | None) -> str:
    fraction = work.fraction
    shown = [] if fraction is None else [f"{int(100 * fraction)}%"]
    shown.append(clock_text(seconds))
    return ", ".join(shown + ([] if left is None else [f"about {clock_text(left)} left"]))


def clock_text(seconds: float) -> str:
    """Seconds as a clock shows them.

    >>> clock_text(0.9), clock_text(75), clock_text(7322)
    ('0:00', '1:15', '2:02:02')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def usual_display() -> Display:
    """The display that fits standard error: a line that rewrites itself on a terminal, otherwise plain lines.

    FORCE_COLOR does not make a terminal of a file: it is about colors, and a file cannot take a line back.

    >>> isinstance(usual_display(), Display)
    True
    """
    able = os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return TerminalLine() if sys.stderr.isatty() and able else LogLines()


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show the long work within the block on standard error, with the time that is left.

    >>> with shown():
    ...     pass  # jaxrec.evaluate(model, split), for example
    """
    with heard_by(usual_display()):
        yield
