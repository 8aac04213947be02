"""What people see of long work: one line of a terminal, or a few plain lines of a log."""

import contextlib
import io
import itertools
import os
import pty
import re
import sys
import threading

import pytest
from rich.console import Console

from jaxrec.progress import LogLines, TerminalLine, Work, heard_by, shown, work
from jaxrec.progress._display import Estimate, clock_text, line_of, usual_display


def at_once(kind):
    """A display that shows again and again once a part is done, and lets a test wait until it has."""

    class Quick(kind):
        def __init__(self):
            super().__init__()
            self.has_shown = threading.Event()

        def waits(self):
            return itertools.repeat(0.001)

        def show(self, told, *times):
            if not told.fraction:  # its thread may come before the test's first step
                return
            try:
                super().show(told, *times)
            finally:
                self.has_shown.set()

    return Quick()


@contextlib.contextmanager
def terminal(**variables):
    """Standard error as a terminal of 80 columns; what came there is in the list at the end of the block."""
    there, here = pty.openpty()
    came = []
    with pytest.MonkeyPatch.context() as patch, os.fdopen(here, "w", encoding="utf-8") as stream:
        patch.setattr(sys, "stderr", stream)  # here and not in a fixture, since pytest sets it anew for the test
        settings = {"COLUMNS": "80", "TERM": "xterm-256color", "NO_COLOR": "", "FORCE_COLOR": "", **variables}
        for name, value in settings.items():
            patch.setenv(name, value)
        yield came
        print("\0", file=stream, flush=True)
        found = b""
        while b"\0" not in found:
            found += os.read(there, 65536)
        came.append(found.decode().partition("\0")[0])
    os.close(there)


def test_the_time_left_is_by_the_speed_after_the_first_unit():
    # The first unit was compiled for, and took 10 s; then one takes 1 s, and 8 are left.
    estimate = Estimate()
    assert estimate.left(5.0, 0.0) is None
    assert estimate.left(10.0, 0.1) is None
    assert estimate.left(11.0, 0.2) == pytest.approx(8.0)
    assert estimate.left(11.0, None) is None
    # It is counted down while the third unit takes its time, and nothing is said once that would be below 0.
    assert estimate.left(13.0, 0.2) == pytest.approx(6.0)
    assert estimate.left(20.0, 0.2) is None


def test_a_line_has_what_how_far_and_how_long():
    outer, inner = Work("measuring ease", 4), Work("ranking", 29_858, "users", share=3)
    outer.inner = inner
    inner.reach(14_929, "on the test part")
    told = "measuring ease, ranking, 14,929 of 29,858 users, on the test part"
    assert line_of(outer, 75, 125) == f"{told}: 37%, 1:15, about 2:05 left"
    assert line_of(Work("reading gowalla"), 3725, None) == "reading gowalla: 1:02:05"
    assert clock_text(59.6) == "0:59"


def test_what_a_name_hides_is_escaped():
    assert line_of(Work("reading \x1b[2J.csv"), 0, None) == "reading \\x1b[2J.csv: 0:00"


def test_a_log_gets_plain_lines_and_the_end(capsys):
    display = at_once(LogLines)
    with heard_by(display), work("ranking", 4, unit="users") as told:
        told.advance(1)
        assert display.has_shown.wait(60)
    lines = capsys.readouterr().err.splitlines()
    assert set(lines[:-1]) == {"progress: ranking, 1 of 4 users: 25%, 0:00"}
    assert lines[-1] == "progress: ranking: over after 0:00"


def test_a_log_gets_few_lines_in_an_hour_and_none_of_short_work(capsys):
    times = list(itertools.takewhile(lambda at: at < 3600, itertools.accumulate(LogLines().waits())))
    assert times[0] == 10
    assert len(times) < 30
    with heard_by(LogLines()), work("ranking", 4):
        pass
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_one_line_that_rewrites_itself_and_goes(capsys):
    display = at_once(TerminalLine)
    with terminal() as came, heard_by(display), work("ranking", 4, unit="users") as told:
        told.advance(1)
        assert display.has_shown.wait(60)
        print("note: a word between", file=sys.stderr)
    (found,) = came
    assert "25%, 0:00 ranking, 1 of 4 users" in re.sub("\x1b\\[[0-9;]*m", "", found)
    assert "\x1b[38;5;" in found  # in color
    assert "note: a word between" in found
    assert "\x1b[?25h" in found  # the cursor is there again
    assert found.endswith("\x1b[1A\x1b[2K")  # and the line is gone
    assert capsys.readouterr().out == ""


def test_a_terminal_without_color_gets_none():
    display = at_once(TerminalLine)
    with terminal(NO_COLOR="1") as came, heard_by(display), work("ranking", 4) as told:
        told.advance(1)
        assert display.has_shown.wait(60)
    assert "25%, 0:00 ranking" in came[0]
    assert not re.search("\x1b\\[[0-9;]*m", came[0])


@pytest.mark.parametrize("width", [100, 80, 60, 40, 20])
def test_the_line_of_a_terminal_is_one_line_at_every_width(width):
    told = Work("report, measuring a run with a long name", 29_858, "users")
    told.reach(1000, "loss 0.1234, ndcg@10 0.0912")
    out = io.StringIO()
    Console(file=out, width=width).print(TerminalLine._drawn(told, 75, 125, width))
    (line,) = out.getvalue().splitlines()
    assert len(line) <= width
    assert ("3%, 1:15, about 2:05" in line) == (width > 20)


@pytest.mark.parametrize(
    ("is_terminal", "variables", "kind"),
    [
        (True, {"TERM": "xterm"}, TerminalLine),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, TerminalLine),
        (True, {"TERM": "dumb"}, LogLines),
        (False, {"TERM": "xterm"}, LogLines),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, LogLines),  # a log in color is a log
    ],
)
def test_the_display_fits_standard_error(monkeypatch, is_terminal, variables, kind):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(usual_display()) is kind


def test_standard_error_that_is_closed_stops_no_work(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    display = at_once(LogLines)
    done = []
    with heard_by(display), work("ranking", 2) as told:
        told.advance(2)
        assert display.has_shown.wait(60)
        done.append(True)
    assert done == [True]


def test_shown_lets_the_usual_display_hear(capsys):
    with shown(), work("short"):
        pass
    assert capsys.readouterr().err == ""
