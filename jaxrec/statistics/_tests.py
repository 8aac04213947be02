"""How sure a result is: intervals and paired tests over users, Holm's correction, and the spread over seeds.

There are two sources of chance, and they are kept apart. *Users*: with other users of the same kind, the mean of one
trained model would have come out differently; `bootstrap_interval`, `paired_bootstrap`, `permutation_test` and
`compare_models` are about this. *Seeds*: trained again, the model itself would be another; `seed_spread` is about this.
Neither says anything about the other. A claim about methods, not about two trained models, needs at least 5 seeds.

All that is over users is for means of per-user values only. Catalog coverage, Gini, entropy and personalization are
functions of all lists together: a resample holds fewer different lists than there were, so its coverage is too low, and
an interval from resamples can miss the value itself. Show the spread over seeds for those.

The value of a user is NaN where it is not defined, and such a user is left out, as in `jaxrec.reports.Report`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.statistics._comparison import Comparison, compare_models, holm  # noqa: F401 - of 0.1's module uncertainty
from jaxrec.statistics._resampling import (
    IntervalMethod,
    as_values,
    at_once,
    bootstrap_columns,
    check_count,
    check_memory,
    check_options,
    rounding_slack,
    signed_sums,
)
from jaxrec.statistics._seeds import SeedSpread, seed_spread  # noqa: F401 - the same


class PairedResult(NamedTuple):
    """What a paired comparison of two models over users gives.

    Attributes:
      difference: the mean over users of a minus b.
      low: lower end of its interval.
      high: upper end.
      p_value: two-sided, for the hypothesis that the mean difference is 0.
      users: how many users counted.

    >>> PairedResult(0.25, 0.125, 0.375, 0.001, 100).difference
    0.25
    """

    difference: float
    low: float
    high: float
    p_value: float
    users: int


def bootstrap_interval(
    values: npt.ArrayLike,
    key: jax.Array,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Interval of a mean over users, from means of users drawn with replacement.

    .. math:: \left[ Q_{(1 - c)/2}(\bar{x}^*), \; Q_{(1 + c)/2}(\bar{x}^*) \right],
              \quad \bar{x}^* = \frac{1}{n} \sum_{j=1}^{n} x_{u_j}, \quad u_j \sim \mathrm{Uniform}\{1, \dots, n\}

    with c the level, and the quantile Q interpolated between the two nearest resamples. With `method="bca"` the
    quantiles are moved to correct bias and skewness, which helps where few users have a large value; the acceleration
    is that of the jackknife.

    It is for means of per-user values only, and it is about users, not about seeds: see the top of this file. It does
    not cover catalog coverage, Gini, entropy or personalization.

    Resample r draws its users with `jax.random.fold_in(key, r)`. Columns with the same number of users share their
    draws, so a column has the same interval alone as beside others. Resamples are made a few at a time; how many at a
    time changes the result by the rounding of float32 at most.

    Args:
      values: [U] or [U, M], one value for each user, in M columns. NaN leaves the user out of that column.
      key: from `jax.random.key`; consumed.
      resamples: how many, at least 2 / (1 - level).
      level: the probability of the interval, between 0 and 1.
      method: "percentile" or "bca".
      memory_mb: bound in MiB for the resamples at work; one at a time (32 bytes a user) where that does not fit.

    Returns:
      (low, high), float64 of shape [] or [M].

    Raises:
      MismatchError: `values` is not of shape [U] or [U, M].
      JaxrecError: a value that is infinite; a column with fewer than two users; a key, resamples, level, method or
        memory that makes no sense.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993: section 13.3 (percentile), equations 14.9
    to 14.15 (BCa).

    >>> low, high = bootstrap_interval(np.arange(100) / 99, jax.random.key(0))
    >>> bool(0.4 < low < 0.5 < high < 0.6)
    True
    """
    check_options(key, resamples, level, method, memory_mb)
    values = np.asarray(values)
    if values.ndim not in (1, 2):
        raise MismatchError(f"values has shape {values.shape}, expected [U] or [U, M]: one value for each user")
    columns = as_values("values", values)
    columns = columns[:, None] if values.ndim == 1 else columns
    result = bootstrap_columns("values", columns, key, resamples, level, method, memory_mb)
    return result.low.reshape(values.shape[1:]), result.high.reshape(values.shape[1:])


def paired_bootstrap(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    key: jax.Array,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> PairedResult:
    r"""The mean difference of two models over the same users, with its interval and the test that it is 0.

    .. math:: p = \frac{1 + \#\{ |\bar{d}^* - \bar{d}| \ge |\bar{d}| \}}{1 + \mathrm{resamples}},
              \quad d_u = a_u - b_u

    The resamples are shifted to the mean 0 that the hypothesis claims, and p is the share that is as far from 0 as the
    difference that was seen, on either side. The 1 that is added counts what was seen as one of them: p is never 0, and
    its least value is 1 / (1 + resamples). The test resamples the differences and does not divide by their standard
    error, as Sakai's does. It is about these users and these two trained models; see the top of this file.

    Args:
      a: [U], values of the first model.
      b: [U], values of the second, users in the same order. A user with NaN in either is left out.
      key, resamples, level, method, memory_mb: as in `bootstrap_interval`.

    Returns:
      Difference, interval, p and the number of users. Differences that float32 cannot tell apart count as equal.

    Raises:
      MismatchError: a and b are not of one shape [U].
      JaxrecError: as in `bootstrap_interval`.

    Source: Efron and Tibshirani 1993, section 16.4 (the shift to the null); Sakai, "Evaluating evaluation metrics based
    on the bootstrap", SIGIR 2006; Davison and Hinkley, "Bootstrap methods and their application", 1997, equation 4.11
    (the added 1).

    >>> values = np.arange(100) / 99
    >>> paired_bootstrap(values, values, jax.random.key(0))
    PairedResult(difference=0.0, low=0.0, high=0.0, p_value=1.0, users=100)
    """
    check_options(key, resamples, level, method, memory_mb)
    first, second = _check_pair(a, b)
    result = bootstrap_columns("a - b", (first - second)[:, None], key, resamples, level, method, memory_mb)
    return PairedResult(
        float(result.mean[0]), float(result.low[0]), float(result.high[0]), float(result.p[0]), int(result.users[0])
    )


def permutation_test(
    a: npt.ArrayLike, b: npt.ArrayLike, key: jax.Array, *, permutations: int = 10000, memory_mb: float = 256
) -> float:
    r"""Two-sided p of the hypothesis that it does not matter which of two models a user's values came from.

    .. math:: p = \frac{1 + \#\{ |\sum_u s_u d_u| \ge |\sum_u d_u| \}}{1 + \mathrm{permutations}},
              \quad d_u = a_u - b_u, \quad s_u \in \{-1, 1\}

    Under the hypothesis a user's two values may be exchanged, which turns the sign of the difference. This is Fisher's
    randomisation test, paired. Users with d = 0 change nothing and take no part. If the n others have at most
    `permutations` patterns of signs (2^n; up to 13 users at the default), each pattern is counted once instead, and
    p = count / 2^n is exact; the key then does not matter. It is about these users and these two trained models.

    Args:
      a: [U], values of the first model.
      b: [U], values of the second, users in the same order. A user with NaN in either is left out.
      key: from `jax.random.key`; consumed. Pattern r uses `jax.random.fold_in(key, r)`.
      permutations: how many patterns of signs to draw, or to list.
      memory_mb: bound in MiB for the patterns at work; one at a time where that does not fit.

    Returns:
      p, above 0 and at most 1. Sums that float32 cannot tell apart count as equal.

    Raises:
      MismatchError: a and b are not of one shape [U].
      JaxrecError: a value that is infinite; no user; a key, permutations or memory that makes no sense.

    Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007, section 3.1.

    >>> permutation_test([0.5, 0.75, 1.0], [0.25, 0.5, 0.75], jax.random.key(0))
    0.25
    """
    one_key(key)
    check_count("permutations", permutations, 1)
    check_memory(memory_mb)
    first, second = _check_pair(a, b)
    difference = first - second
    difference = difference[~np.isnan(difference)]
    if not difference.size:
        raise JaxrecError("a and b have no user with a value in both; evaluate both models on one test part")
    difference = difference[difference != 0]
    if not difference.size:
        return 1.0
    users = difference.size
    slack = rounding_slack(difference) * users
    least = abs(difference.sum()) - slack
    if users <= int(permutations).bit_length() - 1:
        sums = np.zeros(1)
        for step in difference:  # at most log2(permutations) users
            sums = np.concatenate([sums + step, sums - step])
        return float(np.mean(np.abs(sums) >= least))
    scale = np.abs(difference).max()
    chunk = at_once(users, memory_mb, permutations)
    scaled = jnp.asarray((difference / scale).astype(np.float32))
    sums = np.asarray(signed_sums(scaled, key, count=permutations, chunk=chunk), np.float64) * scale
    return float((1 + np.sum(np.abs(sums) >= least)) / (1 + permutations))


def _check_pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = as_values("a", a), as_values("b", b)
    if first.ndim != 1 or first.shape != second.shape:
        raise MismatchError(
            f"a has shape {first.shape} and b {second.shape}, expected [U] twice; evaluate both models on one test part"
        )
    return first, second
