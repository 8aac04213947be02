"""The interval of a mean over users by the normal approximation."""

from __future__ import annotations

import math
import statistics

import numpy as np

from jaxrec.statistics._resampling import check_level


def normal_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    r"""Where the mean of a population lies with a probability, from n values of it.

    .. math:: \bar x \pm z_{(1 + \mathrm{level}) / 2} \, s / \sqrt n

    with s the standard deviation of the values with n - 1 in the denominator.

    Args:
      values: float [n], finite.
      level: the probability.

    Returns:
      (low, high); NaN for fewer than two values.

    Raises:
      JaxrecError: a level outside (0, 1).

    >>> low, high = normal_interval(np.array([0.0, 1.0]), 0.95)
    >>> round(high - 0.5, 4)  # 1.96 times 0.5
    0.98
    """
    check_level(level)
    if values.size < 2:
        return math.nan, math.nan
    half = statistics.NormalDist().inv_cdf((1 + level) / 2) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return float(values.mean()) - half, float(values.mean()) + half
