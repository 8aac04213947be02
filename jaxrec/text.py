"""Text output: aligned columns and formatted numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["aligned_text", "number_text"]


def aligned_text(rows: Sequence[Sequence[str]]) -> str:
    """Join rows of text into aligned columns.

    >>> print(aligned_text([["model", "recall"], ["mf", "0.5"]]))
    model  recall
    mf     0.5
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def number_text(value: float) -> str:
    """Format a value with four decimals, or as a dash if it is NaN.

    >>> number_text(0.5), number_text(float("nan"))
    ('0.5000', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4f}"
