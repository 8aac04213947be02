"""Measure one LightGCN with each loss."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.losses.config import GRIDS, ROWS
from experiments.tables import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    return command("losses", ROWS, GRIDS, argv)
