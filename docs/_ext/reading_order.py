"""The order in which pages are read: those with much code to run are dealt out evenly to the processes that read.

Sphinx gives each process a run of pages in the order of the alphabet, and most of the code is in the tutorials at its
end, where one process would work alone.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.parallel import make_chunks

_CELL = re.compile(r"^```\{code-cell\}$(.*?)^```$", re.MULTILINE | re.DOTALL)


def lines_to_run(page: pathlib.Path) -> int:
    """How many lines of code the cells of a page have."""
    return sum(cell.count("\n") for cell in _CELL.findall(page.read_text(encoding="utf-8")))


def deal(app: Sphinx, env: Any, names: list[str]) -> None:
    """Reorder the pages in place."""
    parts = len(make_chunks(names, app.parallel))
    longest = sorted(names, key=lambda name: -lines_to_run(pathlib.Path(env.doc2path(name))))
    names[:] = [name for part in range(parts) for name in longest[part::parts]]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the order."""
    app.connect("env-before-read-docs", deal)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
