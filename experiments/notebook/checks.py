"""The values that the notebook printed, compared with those of jaxrec to the printed digits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Check:
    """One printed value.

    Attributes:
      section: its heading.
      name: its name.
      printed: the value in the notebook.
      ours: the value of jaxrec.
      decimals: number of printed decimals.
    """

    section: str
    name: str
    printed: Any
    ours: Any
    decimals: int = 0

    @property
    def same(self) -> bool:
        """True if the two differ by at most half a unit of the last printed digit."""
        printed, ours = np.asarray(self.printed, np.float64), np.asarray(self.ours, np.float64)
        half = 0.5 * 10.0**-self.decimals
        return printed.shape == ours.shape and bool(np.all(np.abs(printed - ours) <= half * (1 + 1e-6)))


def markdown(checks: list[Check]) -> str:
    """Format the checks as sections, with the two values side by side."""
    lines = []
    for section in dict.fromkeys(check.section for check in checks):
        lines += [f"## {section}", ""]
        for check in (check for check in checks if check.section == section):
            lines += [f"**{check.name}**: {'the same' if check.same else 'DIFFERENT'}", ""]
            lines += ["| printed | jaxrec |", "|---|---|"]
            rows = zip(_rows(check.printed, check.decimals), _rows(check.ours, check.decimals + 2), strict=False)
            lines += [f"| {printed} | {ours} |" for printed, ours in rows] + [""]
    return "\n".join(lines)


def _rows(values: Any, decimals: int) -> list[str]:
    array = np.atleast_1d(np.asarray(values, np.float64))
    if array.ndim == 1:
        array = array[None, :]
    return [", ".join(_number(value, decimals) for value in row) for row in array]


def _number(value: float, decimals: int) -> str:
    """The digits of a number; one that is whole to that many digits is written as a whole number."""
    text = f"{value:.{decimals}f}"
    return f"{float(text) + 0.0:.0f}" if float(text).is_integer() else text
