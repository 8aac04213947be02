"""Time windows: several cuts of the time line, each with a test part of its own."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._holdout import fractions, from_end, generator_of, one_of, part_codes, rounded
from jaxrec.data.splitting._parts import Split, assemble, canonical
from jaxrec.errors import DataError, JaxrecError
from jaxrec.protocols import Splitter


@dataclasses.dataclass(frozen=True)
class TimeWindows(Splitter):
    """Hold out one of several windows of time, train on what is before it, and leave out what is after it.

    The last `windows * test` of the interactions are cut into windows of one size. So a system is measured as if it had
    been in use at several times, each time with all the past that it had.

    Attributes:
      window: the one that is tested, 0 for the earliest.
      windows: their number, at least 2.
      test: the fraction of all interactions in each window.
      valid: the fraction of all interactions before the window, for validation.
      ties: the rule for equal times, see `UserTemporal`.

    References:
      Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 2021, section 5.10, on evaluation
      with a rolling origin.

    >>> data = Interactions.from_arrays([1] * 10, range(10), timestamp=range(10))
    >>> for splitter in TimeWindows(windows=2, test=0.2, valid=0.1).rounds():
    ...     parts = splitter(data)
    ...     [part.items.ids[part.item].tolist() for part in (parts.train, parts.valid, parts.test)]
    [[0, 1, 2, 3, 4], [5], [6, 7]]
    [[0, 1, 2, 3, 4, 5, 6], [7], [8, 9]]
    """

    window: int = 0
    windows: int = 3
    test: float = 0.1
    valid: float = 0.1
    ties: Literal["shuffle", "together"] = "shuffle"

    def __post_init__(self) -> None:
        for name, value, least in (("windows", self.windows, 2), ("window", self.window, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise JaxrecError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.window >= self.windows:
            raise JaxrecError(f"window must lie in 0..{self.windows - 1}, got {self.window}")
        fractions(self.test, self.valid)
        if not 0 < self.windows * self.test + self.valid < 1 or not self.test:
            raise JaxrecError(
                f"{self.windows} windows with test={self.test:g} and valid={self.valid:g} must leave a part for train; "
                "lower test or windows"
            )
        one_of("ties", self.ties, ("shuffle", "together"))

    def rounds(self) -> tuple[TimeWindows, ...]:
        """Give one splitter for each window, the earliest first."""
        return tuple(dataclasses.replace(self, window=window) for window in range(self.windows))

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        if data.timestamp is None:
            raise DataError("time_windows needs timestamps and the data have none; use user_kfold with order='random'")
        data = canonical(data)
        whole = np.zeros(len(data), dtype=np.int32)
        rank = from_end(whole, data.timestamp, generator_of(key), self.ties)
        num_test, num_valid = (rounded(np.array([len(data)]), share) for share in (self.test, self.valid))
        later = rank < num_test[0] * (self.windows - 1 - self.window)
        rank = rank[~later] - num_test[0] * (self.windows - 1 - self.window)
        codes = part_codes(whole[~later], rank, num_test, num_valid)
        note = f"window {self.window} of {self.windows}: {int(later.sum()):,} later interactions are left out"
        return assemble(data.select(~later), codes, "time_windows", notes=[note])
