"""Resampling users in bounded memory: the bootstrap of columns, sums under random signs, checks of what they take."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError

IntervalMethod = Literal["percentile", "bca"]

_BYTES_A_USER = 32  # of one resample: two words of random bits and what makes them, the index, the count
_MOST_AT_ONCE = 64  # resamples in flight; more gain nothing
_EPS = float(np.finfo(np.float32).eps)
_NORMAL = statistics.NormalDist()


class ColumnBootstrap(NamedTuple):
    """What `bootstrap_columns` gives of C columns.

    Attributes:
      mean: float64 [C], over the users that count.
      low: float64 [C], lower end of the interval.
      high: float64 [C], upper end.
      p: float64 [C], two-sided, of the hypothesis that the mean is 0.
      users: int [C], how many users count.

    >>> ColumnBootstrap(*np.zeros((5, 3))).mean.shape
    (3,)
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    users: np.ndarray


def bootstrap_columns(
    name: str, values: np.ndarray, key: jax.Array, resamples: int, level: float, method: str, memory_mb: float
) -> ColumnBootstrap:
    """The bootstrap of every column, as `bootstrap_interval` and `paired_bootstrap` describe it.

    Args:
      name: of the values, for messages.
      values: float64 [U, C]; NaN leaves the user out of its column.
      key, resamples, level, method, memory_mb: as in `bootstrap_interval`, checked by `check_options`.

    Raises:
      JaxrecError: a column with fewer than two users.

    >>> bootstrap_columns("x", np.ones((4, 1)), jax.random.key(0), 40, 0.95, "percentile", 1.0).low
    array([1.])
    """
    counts = ~np.isnan(values)
    users = counts.sum(axis=0)
    if (users < 2).any():
        at = int(np.argmax(users < 2))
        where = f", column {at}," if values.shape[1] > 1 else ""
        raise JaxrecError(
            f"{name}{where} has {users[at]} user(s) with a value, and an interval over users needs 2; "
            "leave out a metric that is defined for nobody"
        )
    mean, low, high, p = np.empty((4, values.shape[1]))
    # Columns with the same users are resampled together. The others get the same key on purpose: so no column depends
    # on those beside it.
    groups: dict[bytes, list[int]] = {}
    for at in range(values.shape[1]):
        groups.setdefault(np.packbits(counts[:, at]).tobytes(), []).append(at)
    for together in groups.values():
        kept = values[counts[:, together[0]]][:, together]
        mean[together] = kept.mean(axis=0)
        centred = kept - mean[together]
        draws = _resampled_means(centred, key, resamples, memory_mb)
        for column, at in enumerate(together):
            mine = np.sort(draws[:, column])
            slack = rounding_slack(centred[:, column])
            tails = _tails(mine, centred[:, column], slack, level, method)
            low[at], high[at] = mean[at] + np.quantile(mine, tails)
            p[at] = (1 + np.sum(np.abs(mine) >= abs(mean[at]) - slack)) / (1 + resamples)
    return ColumnBootstrap(mean, low, high, p, users)


def _resampled_means(centred: np.ndarray, key: jax.Array, resamples: int, memory_mb: float) -> np.ndarray:
    """Means of resampled users, float64 [resamples, C], of columns [n, C] whose mean is 0.

    Centred and scaled, float32 loses a small part of the standard error and not of the mean.
    """
    scale = np.abs(centred).max(axis=0)
    scale[scale == 0] = 1
    scaled = jnp.asarray((centred / scale).astype(np.float32))
    chunk = at_once(len(centred), memory_mb, resamples)
    sums = resampled_sums(scaled, key, count=resamples, chunk=chunk)
    return np.asarray(sums, np.float64) * (scale / len(centred))


def _tails(draws: np.ndarray, centred: np.ndarray, slack: float, level: float, method: str) -> list[float]:
    """The shares of the sorted draws [R] (of a mean of 0) that lie below the two ends of the interval."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    spread = float(np.sum(centred**2))
    if method == "percentile" or spread == 0:
        return tails
    # Draws equal to the mean count as one half below it.
    below = (np.sum(draws < -slack) + np.sum(draws <= slack)) / (2 * draws.size)
    bias = _NORMAL.inv_cdf(min(max(below, 0.5 / draws.size), 1 - 0.5 / draws.size))
    # The jackknife of a mean in closed form: leaving out a user moves it by -centred / (n - 1).
    acceleration = float(np.sum(centred**3)) / (6 * spread**1.5)
    moved = [bias + _NORMAL.inv_cdf(tail) for tail in tails]
    return [_NORMAL.cdf(bias + at / (1 - acceleration * at)) for at in moved]


def rounding_slack(values: np.ndarray) -> float:
    """How far two means of n values [n] in float32 may differ by rounding alone.

    >>> rounding_slack(np.ones(4)) == 4 * 2**-23
    True
    """
    return 4 * _EPS * math.sqrt(float(np.mean(values**2)))


def at_once(num_users: int, memory_mb: float, count: int) -> int:
    """How many of `count` resamples of U users fit in half of the memory, at least one.

    >>> at_once(num_users=2**15, memory_mb=4, count=2000)
    2
    """
    fit = int(memory_mb * 2**20 / 2) // (_BYTES_A_USER * num_users)  # the other half is for the values
    return max(1, min(fit, _MOST_AT_ONCE, count))


@functools.partial(jax.jit, static_argnames=("count", "chunk"))
def resampled_sums(values: jax.Array, key: jax.Array, *, count: int, chunk: int) -> jax.Array:
    """Sums over rows drawn with replacement.

    Args:
      values: float32 [n, C].
      key: consumed; resample r uses `jax.random.fold_in(key, r)`.
      count: how many resamples.
      chunk: how many at a time.

    Returns:
      float32 [count, C].

    >>> resampled_sums(jnp.ones((4, 1)), jax.random.key(0), count=2, chunk=1).tolist()
    [[4.0], [4.0]]
    """
    size = values.shape[0]

    def one(number: jax.Array) -> jax.Array:
        rows = jax.random.randint(jax.random.fold_in(key, number), (size,), 0, size, jnp.int32)
        # How often each row was drawn: one product serves all columns, where a gather would go through them one by one.
        times = jnp.zeros(size, jnp.float32).at[rows].add(np.float32(1))
        return jnp.dot(times, values, precision=lax.Precision.HIGHEST)

    return _map_in_chunks(one, count, chunk)


@functools.partial(jax.jit, static_argnames=("count", "chunk"))
def signed_sums(values: jax.Array, key: jax.Array, *, count: int, chunk: int) -> jax.Array:
    """Sums under random signs; one bit of randomness a sign.

    Args:
      values: float32 [n].
      key: consumed; pattern r uses `jax.random.fold_in(key, r)`.
      count: how many patterns.
      chunk: how many at a time.

    Returns:
      float32 [count].

    >>> abs(signed_sums(jnp.array([2.0]), jax.random.key(0), count=3, chunk=2)).tolist()
    [2.0, 2.0, 2.0]
    """
    size = values.shape[0]

    def one(number: jax.Array) -> jax.Array:
        words = jax.random.bits(jax.random.fold_in(key, number), (-(-size // 32),), jnp.uint32)
        bits = (words[:, None] >> np.arange(32, dtype=np.uint32)[None, :]) & np.uint32(1)
        signs = 1 - 2 * bits.reshape(-1)[:size].astype(jnp.float32)
        return jnp.dot(signs, values, precision=lax.Precision.HIGHEST)

    return _map_in_chunks(one, count, chunk)


def _map_in_chunks(function: Callable[[jax.Array], jax.Array], count: int, chunk: int) -> jax.Array:
    # Rounded up to whole chunks, so that there is one program and not a second one for the rest.
    steps = -(-count // chunk)
    numbers = jnp.arange(steps * chunk, dtype=jnp.uint32).reshape(steps, chunk)
    values = lax.map(jax.vmap(function), numbers)
    return values.reshape(steps * chunk, *values.shape[2:])[:count]


def as_values(name: str, values: npt.ArrayLike) -> np.ndarray:
    """Values of users as float64.

    Raises:
      JaxrecError: no numbers, or an infinite one.

    >>> as_values("a", [1, 0])
    array([1., 0.])
    """
    out = np.asarray(values)
    if out.dtype.kind not in "biuf":
        raise JaxrecError(f"{name} is of type {out.dtype}; pass numbers, one for each user")
    out = out.astype(np.float64)
    if np.isinf(out).any():
        at = [int(place) for place in np.argwhere(np.isinf(out))[0]]
        raise JaxrecError(f"{name}{at} is {out[tuple(at)]}, which has no mean; use NaN for a user who does not count")
    return out


def check_options(key: jax.Array, resamples: int, level: float, method: str, memory_mb: float) -> None:
    """Check the options of a bootstrap before anything is computed.

    Raises:
      JaxrecError: a key, level, number of resamples, method or memory that makes no sense.

    >>> check_options(jax.random.key(0), 2000, 0.95, "percentile", 256)
    """
    one_key(key)
    check_level(level)
    check_count("resamples", resamples, 1)
    least = math.ceil(round(2 / (1 - level), 6))  # one resample beyond each end
    if resamples < least:
        raise JaxrecError(f"resamples is {resamples}, too few for level={level}; pass at least {least}, better 2000")
    if method not in ("percentile", "bca"):
        raise JaxrecError(f"method is {method!r}; choose 'percentile' or 'bca'")
    check_memory(memory_mb)


def check_level(level: float) -> None:
    """Check that it is a probability that an interval can have.

    >>> check_level(0.95)
    """
    if not 0 < level < 1:
        raise JaxrecError(f"level is {level}; pass a probability between 0 and 1, such as 0.95")


def check_count(name: str, value: int, least: int) -> None:
    """Check that it is a whole number of at least `least`.

    >>> check_count("resamples", 2000, 1)
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise JaxrecError(f"{name} is {value!r}; pass a whole number of at least {least}")


def check_memory(memory_mb: float) -> None:
    """Check that it is a size.

    >>> check_memory(256)
    """
    if not memory_mb > 0:
        raise JaxrecError(f"memory_mb is {memory_mb}; pass a positive number of MiB")
