"""What a terminal can show: how many columns, and whether bold."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Any, TextIO

_WIDEST = 100  # longer lines are hard to read


def print_help(text: str, stream: TextIO | None = None) -> None:
    """Print a help on standard output, headings and flags bold where the terminal has it."""
    to: Any = sys.stdout if stream is None else stream
    print(_bold(text) if in_color(to) else text, file=to)


def in_color(stream: TextIO) -> bool:
    """Whether text for a stream may have codes of a terminal: NO_COLOR and FORCE_COLOR come before what it is.

    >>> import io
    >>> in_color(io.StringIO())
    False
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def help_width() -> int:
    """The columns that help is written for: those of the terminal, at most 100.

    >>> 20 <= help_width() <= 100
    True
    """
    return max(min(shutil.get_terminal_size().columns, _WIDEST), 20)


def _bold(text: str) -> str:
    text = re.sub(r"^(usage:|[a-z][\w ,]*:(?=$| --))", "\x1b[1m\\1\x1b[0m", text, flags=re.MULTILINE)
    return re.sub(r"(?<=[ (])(--?[a-z][\w.-]*)", "\x1b[1m\\1\x1b[0m", text)
