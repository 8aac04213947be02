"""Measure LightGCN by BPR."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.lightgcn.config import GRIDS, ROWS
from experiments.tables import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    return command("lightgcn", ROWS, GRIDS, argv)
