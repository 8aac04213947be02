"""Axes of charts: from values to places, with round ticks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Scale:
    """A straight or logarithmic way from values to places.

    Attributes:
      low: the value at `start`.
      high: the value at `stop`.
      start: a place.
      stop: a place; below `start` for axes that grow upwards.
      log: whether equal ratios are equal distances.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(5.0), Scale(1.0, 100.0, 0.0, 10.0, log=True)(10.0)
    (150.0, 5.0)
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; values outside are put at the nearer end."""
        value = min(max(value, self.low), self.high)
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within the scale, at most so many and at least two where there is room.

        >>> Scale(0.0, 0.17, 0.0, 1.0).ticks(), Scale(1.0, 500.0, 0.0, 1.0, log=True).ticks()
        ([0.0, 0.05, 0.1, 0.15], [1.0, 10.0, 100.0])
        """
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            powers = [10.0**power for power in range(first, last + 1)]
            step = -(-len(powers) // most)
            if len(powers) > 1:
                return powers[::step]
            return [x * 10.0**first for x in (0.1, 0.2, 0.5, 1, 2, 5) if self.low <= x * 10.0**first <= self.high]
        step = _round_step((self.high - self.low) / max(most, 1))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        digits = max(0, -math.floor(math.log10(step)) + 1)
        return [round((first + at) * step, digits) + 0.0 for at in range(count)]


def spanning(
    values: Iterable[float],
    start: float,
    stop: float,
    *,
    log: bool = False,
    include: Sequence[float] = (),
    pad: float = 0.05,
) -> Scale:
    """A scale over the finite ones among values, with room at the ends.

    Args:
      values: to be shown.
      start, stop: places, see `Scale`.
      log: see `Scale`; values of 0 and below are then left out.
      include: values that must lie on the scale, such as 0; no room is added behind them.
      pad: the room, as a share of the range.

    >>> spanning([0.0, 1.0], 0.0, 1.0, include=[0.0]).low
    0.0
    """
    shown = [float(x) for x in (*values, *include) if math.isfinite(x) and (x > 0 or not log)]
    if not shown:
        shown = [1.0, 10.0] if log else [0.0, 1.0]
    low, high = min(shown), max(shown)
    if log:
        ratio = (high / low) ** pad if high > low else 1.5
        return Scale(low / ratio, high * ratio, start, stop, log=True)
    room = (high - low) * pad or abs(high) * 0.5 or 1.0
    fixed = {float(x) for x in include}
    return Scale(low if low in fixed else low - room, high if high in fixed else high + room, start, stop)


def tick_text(value: float) -> str:
    """A tick as text: thousands with commas, shares without the zero before the point.

    >>> tick_text(12000.0), tick_text(0.05), tick_text(-0.5), tick_text(0.0)
    ('12,000', '.05', '−.5', '0')
    """
    if abs(value) >= 1000 and value == int(value):
        text = f"{int(abs(value)):,}"
    else:
        text = f"{abs(value):.6g}"
        text = text[1:] if text.startswith("0.") else text
    return f"−{text}" if value < 0 else text


def _round_step(step: float) -> float:
    """The next number at or above a step that is 1, 2 or 5 times a power of 10."""
    if not step > 0 or not math.isfinite(step):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= step * (1 - 1e-9))
