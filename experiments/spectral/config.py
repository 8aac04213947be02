"""The graphs and the filters of the comparison."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Heat:
    """A heat kernel exp(-time L) as a Chebyshev filter.

    Attributes:
      laplacian: "normalized" (L~) or "combinatorial" (L).
      time: diffusion time.
      order: order of the Chebyshev series.
    """

    laplacian: Literal["normalized", "combinatorial"]
    time: float
    order: int


DATA = ("ml-100k", "gowalla")
FILTERS = (Heat("normalized", time=2.0, order=16), Heat("combinatorial", time=0.05, order=64))
