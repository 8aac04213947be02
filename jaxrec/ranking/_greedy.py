"""Greedy choice of a diverse list from the candidates of one user, by pure functions: MMR, and greedy MAP of a DPP."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.core import Tracer
from jaxtyping import Bool, Float, Int

from jaxrec._checks import is_whole
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._diversity import Distance, check_distance, pair_distances
from jaxrec.types import Array

_LEAST = np.float32(1e-6)  # what a unit vector must keep outside of the span of the chosen ones to count as new


def mmr(
    scores: Float[Array, " n"],
    vectors: Float[Array, "n d"],
    k: int,
    trade_off: float | Float[Array, ""],
    *,
    where: Bool[Array, " n"] | None = None,
    distance: Distance = "euclidean",
) -> Int[Array, " k"]:
    r"""Re-rank by maximal marginal relevance: choose candidates one at a time, relevant and far from the chosen ones.

    .. math:: \arg\max_{i \notin Y} \; \theta \, r_i + (1 - \theta) \min_{j \in Y} D_{ij} / \max D

    r are the scores scaled to 0..1, (s - min s) / (max s - min s), or all 0 if they are equal; D are the distances
    between candidates; Y is the set of chosen ones. The first choice is the most relevant candidate. Ties go to the
    lower place, so a trade-off of 1 keeps a sorted list as it is. The paper subtracts the largest similarity to a
    chosen item; here the smallest distance replaces it, which allows any distance.

    Args:
      scores: float [n].
      vectors: float [n, d], of the candidates, shorter than 1e18.
      k: number of choices, 1 <= k <= n; static under `jax.jit`.
      trade_off: theta, from 0 to 1. A traced value is not checked.
      where: bool [n], the candidates that count; all by default.
      distance: "euclidean", "cosine", or a function `(x [d], y [d]) -> number []`, symmetric, finite and non-negative;
        see `jaxrec.metrics.pair_distances`.

    Returns:
      int32 [k], places among the candidates in the order of choice, -1 if none is left.

    Raises:
      MismatchError: shapes that do not fit.
      JaxrecError: k outside 1..n, a trade-off outside 0..1, or an unknown distance.

    References:
      Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998.

    >>> scores, vectors = jnp.array([3.0, 2.9, 2.0]), jnp.array([[0.0], [0.1], [5.0]])
    >>> mmr(scores, vectors, 2, 0.5).tolist(), mmr(scores, vectors, 2, 1.0).tolist()
    ([0, 2], [0, 1])
    """
    where = _check_user(scores, vectors, k, trade_off, where)
    check_distance(distance)
    theta = jnp.asarray(trade_off, jnp.float32)
    return _mmr(jnp.asarray(scores), jnp.asarray(vectors), where, theta, k=int(k), distance=distance)


@functools.partial(jax.jit, static_argnames=("k", "distance"))
def _mmr(
    scores: jax.Array, vectors: jax.Array, where: jax.Array, theta: jax.Array, *, k: int, distance: Distance
) -> jax.Array:
    relevance = _relevance(scores, where, theta)
    table = pair_distances(jnp.where(where[:, None], vectors, np.float32(0)), distance=distance)
    table = jnp.where(where[:, None] & where[None, :], table, np.float32(0))
    largest = jnp.max(table)
    table = table / jnp.where(largest > 0, largest, np.float32(1))

    def choose(at: jax.Array, state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        nearest, free, chosen = state
        gain = jnp.where(free, theta * relevance + (1 - theta) * nearest, -jnp.inf)
        best = jnp.argmax(gain).astype(jnp.int32)
        chosen = chosen.at[at].set(jnp.where(free[best], best, -1))
        return jnp.minimum(nearest, table[best]), free.at[best].set(False), chosen

    # Before the first choice all are equally far, so the most relevant comes first.
    start = jnp.ones_like(relevance), where, jnp.full(k, -1, jnp.int32)
    first = choose(jnp.int32(0), start)
    return lax.fori_loop(1, k, choose, first)[2]


def greedy_dpp(
    scores: Float[Array, " n"],
    vectors: Float[Array, "n d"],
    k: int,
    trade_off: float | Float[Array, ""],
    *,
    where: Bool[Array, " n"] | None = None,
) -> Int[Array, " k"]:
    r"""Re-rank by greedy MAP inference of a determinantal point process: relevant candidates that span a large volume.

    .. math:: \arg\max_{i \notin Y} \; \theta \, r_i + (1 - \theta)
              \left( \log \det S_{Y \cup \{i\}} - \log \det S_Y \right)

    r are the scores scaled to 0..1, and S the cosines between candidates. This is the mode of the process with kernel
    diag(q) S diag(q), q = exp(theta r / (2 (1 - theta))), in a form that does not overflow; theta = 1 is the order of
    the scores. S is positive semidefinite and gets no jitter. The determinants come from a Cholesky factor that grows
    by one row per choice, O(n^2 d + k^2 n) per user.

    The algorithm of the paper stops when no candidate adds volume. Here the ratio of two determinants counts as at
    least 1e-6, so a copy of a chosen candidate stays comparable, and k candidates are chosen even if k exceeds d. When
    none adds a direction, the rest follow in the order of their scores. A zero vector is orthogonal to all others.

    Args:
      scores: float [n].
      vectors: float [n, d], of the candidates, shorter than 1e18.
      k: number of choices, 1 <= k <= n; static under `jax.jit`.
      trade_off: theta, from 0 to 1. A traced value is not checked.
      where: bool [n], the candidates that count; all by default.

    Returns:
      int32 [k], places among the candidates in the order of choice, -1 if none is left.

    Raises:
      MismatchError: shapes that do not fit.
      JaxrecError: k outside 1..n, or a trade-off outside 0..1.

    References:
      Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process to improve recommendation
      diversity", NeurIPS 2018, algorithm 1 and equation 9.

    >>> vectors = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> greedy_dpp(jnp.array([3.0, 2.9, 2.0]), vectors, 2, 0.5).tolist()
    [0, 2]
    """
    where = _check_user(scores, vectors, k, trade_off, where)
    theta = jnp.asarray(trade_off, jnp.float32)
    return _greedy_dpp(jnp.asarray(scores), jnp.asarray(vectors), where, theta, k=int(k))


@functools.partial(jax.jit, static_argnames=("k",))
def _greedy_dpp(scores: jax.Array, vectors: jax.Array, where: jax.Array, theta: jax.Array, *, k: int) -> jax.Array:
    relevance = _relevance(scores, where, theta)
    size = relevance.shape[0]
    kept = jnp.where(where[:, None], vectors, np.float32(0)).astype(jnp.float32)
    square = jnp.sum(jnp.square(kept), axis=1)
    unit = kept * lax.rsqrt(jnp.where(square > 0, square, np.float32(1)))[:, None]
    cosine = jnp.matmul(unit, unit.T, precision=lax.Precision.HIGHEST)
    cosine = jnp.where(np.eye(size, dtype=bool), np.float32(1), cosine)

    def choose(at: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        factor, rest, free, chosen = state
        gain = theta * relevance + (1 - theta) * jnp.log(jnp.maximum(rest, _LEAST))
        # Where all add the same small volume, its logarithm would only round the differences of the scores away.
        gain = jnp.where(jnp.any(free & (rest > _LEAST)), gain, relevance)
        best = jnp.argmax(jnp.where(free, gain, -jnp.inf)).astype(jnp.int32)
        chosen = chosen.at[at].set(jnp.where(free[best], best, -1))
        new = rest[best] > _LEAST  # otherwise it adds no direction
        row = (cosine[best] - factor[:, best] @ factor) * lax.rsqrt(jnp.where(new, rest[best], np.float32(1)))
        row = jnp.where(new & free[best], row, np.float32(0))
        rest = jnp.maximum(rest - jnp.square(row), np.float32(0))
        return factor.at[at].set(row), rest, free.at[best].set(False), chosen

    start = (jnp.zeros((k, size), jnp.float32), jnp.ones(size, jnp.float32), where, jnp.full(k, -1, jnp.int32))
    return lax.fori_loop(0, k, choose, start)[3]


def _relevance(scores: jax.Array, where: jax.Array, theta: jax.Array) -> jax.Array:
    """Scores scaled to 0..1 among what counts; as they are where theta is 1."""
    scores = jnp.where(where, scores.astype(jnp.float32), np.float32(0))
    # A sixteenth: neither the difference of two scores overflows, nor is its reciprocal so small that it becomes 0.
    part = scores * np.float32(1 / 16)
    low = jnp.min(jnp.where(where, part, jnp.inf))
    span = jnp.max(jnp.where(where, part, -jnp.inf)) - low
    scaled = jnp.where(where & (span > 0), (part - low) / jnp.where(span > 0, span, np.float32(1)), np.float32(0))
    return jnp.where(theta == 1, scores, scaled)


def _check_user(
    scores: npt.ArrayLike, vectors: npt.ArrayLike, k: int, trade_off: float | jax.Array, where: jax.Array | None
) -> jax.Array:
    """Check the arguments of one user; returns the mask."""
    shape = np.shape(scores)
    if len(shape) != 1 or np.ndim(vectors) != 2 or np.shape(vectors)[0] != shape[0]:
        raise MismatchError(
            f"scores must be [n] and vectors [n, d], got shapes {shape} and {np.shape(vectors)}; use jax.vmap for many"
        )
    check_length(k, shape[0])
    if not isinstance(trade_off, Tracer):
        check_trade_off(trade_off)
    mask = jnp.ones(shape[0], jnp.bool_) if where is None else jnp.asarray(where)
    if mask.shape != shape or mask.dtype != jnp.bool_:
        raise MismatchError(
            f"where has shape {mask.shape} and dtype {mask.dtype}, expected bool {shape}: one entry for each candidate"
        )
    return mask


def check_length(k: int, size: int) -> None:
    """Refuse a number of choices that is not whole or outside 1..size, the number of candidates of a user.

    >>> check_length(4, 3)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: k must lie in 1..3, the number of candidates of a user, and be whole, got 4
    """
    if not is_whole(k) or not 1 <= k <= size:
        raise JaxrecError(f"k must lie in 1..{size}, the number of candidates of a user, and be whole, got {k!r}")


def check_trade_off(trade_off: object) -> None:
    """Refuse a trade-off that is not one number in 0..1.

    >>> check_trade_off(1.5)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: trade_off must lie in 0..1 and be one number, got 1.5
    """
    value = np.asarray(trade_off)
    if value.ndim or value.dtype.kind not in "fiu" or not 0 <= value <= 1:
        raise JaxrecError(f"trade_off must lie in 0..1 and be one number, got {trade_off}")
