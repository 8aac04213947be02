"""The interval of a mean by the normal approximation, which keeps to the bounds of what is measured."""

from __future__ import annotations

import math
import statistics

import numpy as np

from jaxrec.statistics._resampling import check_level

Bounds = tuple[float, float] | None
"""The lowest and the highest value that there can be; infinite, or None, where there is none."""


def normal_interval(values: np.ndarray, level: float, bounds: Bounds = None) -> tuple[float, float]:
    r"""Where the mean of a population lies with a probability, from n values of it.

    .. math:: \bar x \pm z_{(1 + \mathrm{level}) / 2} \, s / \sqrt n

    with s the standard deviation of the values with n - 1 in the denominator. Where an end would leave the bounds of
    the values, the interval is that of their logit or logarithm, see `around`.

    Args:
      values: float [n], finite.
      level: the probability.
      bounds: of the values.

    Returns:
      (low, high); NaN for fewer than two values.

    Raises:
      JaxrecError: a level outside (0, 1).

    >>> low, high = normal_interval(np.array([0.0, 1.0]), 0.95)
    >>> round(high - 0.5, 4)  # 1.96 times 0.5
    0.98
    >>> [round(end, 3) for end in normal_interval(np.array([0.5, 1.0]), 0.95, (0.0, 1.0))]
    [0.18, 0.976]
    """
    check_level(level)
    if values.size < 2:
        return math.nan, math.nan
    if bounds is not None and not (bounds[0] <= values.min() and values.max() <= bounds[1]):
        bounds = None  # the values are of something else
    half = statistics.NormalDist().inv_cdf((1 + level) / 2) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return around(float(values.mean()), half, bounds)


def around(mean: float, half: float, bounds: Bounds = None) -> tuple[float, float]:
    r"""The ends mean - half and mean + half or, where one of them would leave the bounds, the like of them within.

    That it leaves them says that the values are too few for the plain interval. With two bounds a < b it is that of the
    logit of p = (mean - a) / (b - a), whose standard error is that of the mean over (b - a) p (1 - p) (delta method),
    brought back:

    .. math:: \mathrm{logit}^{-1} \Big( \mathrm{logit}(p) \pm \frac{\mathrm{half} }{(b - a) \, p (1 - p)} \Big)

    With one bound it is the same with the logarithm of the distance from it. Both agree with the plain one up to terms
    of the order half squared, lean away from the near bound, and never reach it. A mean that lies on a bound has no
    spread and is its own interval.

    Args:
      mean: within the bounds.
      half: half of the width of the plain interval, not negative.
      bounds: (a, b).

    Source: Agresti, "Categorical Data Analysis", 3rd edition, Wiley 2013, chapter 16, for the delta method.

    >>> around(0.5, 0.25, (0.0, 1.0)), [round(end, 3) for end in around(0.5, 0.75, (0.0, 1.0))]
    ((0.25, 0.75), [0.047, 0.953])
    """
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    plain = (mean - half, mean + half)
    # A mean outside comes of rounding, or of values that do not keep to the bounds.
    if not math.isfinite(half) or (low <= plain[0] and plain[1] <= high) or not low < mean < high:
        return plain
    if math.isfinite(low) and math.isfinite(high):
        share = (mean - low) / (high - low)
        middle, width = math.log(share / (1 - share)), half / ((high - low) * share * (1 - share))
        start, end = (low + (high - low) * _logistic(at) for at in (middle - width, middle + width))
        return start, end
    if math.isfinite(low):
        factor = math.exp(min(half / (mean - low), 700.0))
        return low + (mean - low) / factor, low + (mean - low) * factor
    start, end = around(-mean, half, (-high, math.inf))
    return -end, -start


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
