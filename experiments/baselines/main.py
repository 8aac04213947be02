"""Measure the baselines."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.baselines.config import GRIDS, ROWS
from experiments.tables import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    return command("baselines", ROWS, GRIDS, argv)
