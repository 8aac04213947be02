"""The spread of a number over seeds: what would be otherwise if the same model were trained again on the same data.

It is the other source of chance beside users, and says nothing about them; see `jaxrec.statistics`.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.statistics._intervals import Bounds, around
from jaxrec.statistics._resampling import check_level

ENOUGH_SEEDS = 5
"""The fewest trainings of each model for a claim about methods."""


class SeedSpread(NamedTuple):
    """What several trainings of one model give.

    Attributes:
      mean: the mean over seeds.
      std: the standard deviation over seeds (divisor S - 1).
      low: lower end of the interval of the mean.
      high: upper end.

    >>> SeedSpread(0.25, 0.01, 0.24, 0.26).std
    0.01
    """

    mean: float
    std: float
    low: float
    high: float


def seed_spread(values: npt.ArrayLike, *, level: float = 0.95) -> SeedSpread:
    r"""The spread of a number over several trainings that differ in their seed, and the interval of its mean.

    .. math:: \bar{x} \pm t_{S - 1} \, s / \sqrt{S}

    with s the standard deviation (divisor S - 1) and t the Student quantile of the level. It says how the number varies
    when the model is trained again on the same data, and nothing about other users: show it beside an interval over
    users, not in its place. Any number of a whole evaluation will do, catalog coverage and Gini too.

    Args:
      values: [S], one number for each training, for example its mean recall.
      level: the probability of the interval, between 0 and 1.

    Returns:
      Mean, standard deviation, and the ends of the interval.

    Raises:
      MismatchError: `values` is not one-dimensional.
      JaxrecError: fewer than two seeds, a value that is NaN or infinite, or a level outside (0, 1).

    Warns:
      UserWarning: fewer than 5 seeds, too few for a claim about methods.

    Source: Student, "The probable error of a mean", Biometrika 1908.

    >>> seed_spread([0.25, 0.25, 0.5, 0.75, 0.75]).mean
    0.5
    """
    check_level(level)
    seeds = np.asarray(values, np.float64)
    if seeds.ndim != 1:
        raise MismatchError(f"values has shape {seeds.shape}, expected [S]: one number for each training")
    if not np.isfinite(seeds).all():
        at = int(np.argmin(np.isfinite(seeds)))
        raise JaxrecError(f"values[{at}] is {seeds[at]}; look into the training that gave it before you leave it out")
    if seeds.size < 2:
        raise JaxrecError(f"values has {seeds.size} seed(s), and a spread needs 2; train again with other keys")
    if seeds.size < ENOUGH_SEEDS:
        warnings.warn(
            f"{seeds.size} seeds: a claim about methods needs at least {ENOUGH_SEEDS}; train more, or speak of these "
            "models only",
            UserWarning,
            stacklevel=2,
        )
    return spread_of(seeds, level)


def spread_of(seeds: np.ndarray, level: float, bounds: Bounds = None) -> SeedSpread:
    """`seed_spread` without its checks and its warning, for what says in words how many seeds there are.

    Args:
      seeds: float64 [S], S at least 2. A value that is not finite makes the result NaN.
      level: the probability of the interval, between 0 and 1.
      bounds: of the values, which the interval keeps to; see `jaxrec.statistics._intervals.around`.

    >>> spread_of(np.array([0.25, 0.75]), 0.95).mean
    0.5
    """
    from scipy.special import stdtrit

    if not np.isfinite(seeds).all():
        return SeedSpread(math.nan, math.nan, math.nan, math.nan)
    mean, std = float(seeds.mean()), float(seeds.std(ddof=1))
    half = float(stdtrit(seeds.size - 1, (1 + level) / 2)) * std / math.sqrt(seeds.size)
    return SeedSpread(mean, std, *around(mean, half, bounds))
