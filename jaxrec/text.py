"""Text: aligned columns and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["aligned_text", "number_text"]


def aligned_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in aligned columns.

    >>> print(aligned_text([["model", "recall"], ["mf", "0.5"]]))
    model  recall
    mf     0.5
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def number_text(value: float) -> str:
    """A value with four digits, or a dash where it is not defined.

    >>> number_text(0.5), number_text(float("nan"))
    ('0.5000', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4f}"
