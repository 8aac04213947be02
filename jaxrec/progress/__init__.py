"""Progress of long work, and its display on standard error."""

from jaxrec.progress._display import Display, LogLines, TerminalLine, shown
from jaxrec.progress._work import Listener, Work, heard, heard_by, work

__all__ = ["Display", "Listener", "LogLines", "TerminalLine", "Work", "heard", "heard_by", "shown", "work"]
