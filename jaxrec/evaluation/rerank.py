"""Re-ranking of candidates for diversity: maximal marginal relevance, and the greedy mode of a determinantal process.

Both weigh relevance against diversity by one number, the trade-off: 1 keeps the order of the scores, and less of it
gives more diverse lists. Relevance is the score of a candidate, brought to 0..1 within the candidates of the user.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation.item_space import ItemSpace
from jaxrec.metrics.diversity import Distance, pair_distances

Method = Literal["mmr", "dpp"]
_LEAST = np.float32(1e-6)  # what a unit vector must keep outside of the span of the chosen ones to count as new


def mmr(
    scores: jax.Array,
    vectors: jax.Array,
    k: int,
    trade_off: float | jax.Array,
    *,
    where: jax.Array | None = None,
    distance: Distance = "euclidean",
) -> jax.Array:
    r"""Maximal marginal relevance: one candidate after another, relevant and far from those chosen before.

    .. math:: \arg\max_{i \notin Y} \; \theta \, r_i + (1 - \theta) \min_{j \in Y} D_{ij} / \max D

    with r the scores scaled to 0..1 (all 0 where they are equal) and D the distances between candidates. The first is
    the most relevant. Of equal candidates the one at the lower place is taken. The paper subtracts the largest
    similarity; a distance takes its place here, so that Euclidean distance can be asked for.

    Args:
      scores: float [n].
      vectors: float [n, d], of the candidates.
      k: how many are chosen, 1 <= k <= n; static under `jax.jit`.
      trade_off: theta, from 0 to 1.
      where: bool [n], the candidates that count; all by default.
      distance: "euclidean" or "cosine".

    Returns:
      int32 [k], places among the candidates in the order of choice, -1 where none is left.

    Raises:
      MismatchError: shapes that do not fit.
      JaxrecError: k outside 1..n.

    Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998.

    >>> scores, vectors = jnp.array([3.0, 2.9, 2.0]), jnp.array([[0.0], [0.1], [5.0]])
    >>> mmr(scores, vectors, 2, 0.5).tolist(), mmr(scores, vectors, 2, 1.0).tolist()
    ([0, 2], [0, 1])
    """
    where, relevance = _prepared(scores, vectors, k, where)
    table = pair_distances(jnp.where(where[:, None], vectors, np.float32(0)), distance=distance)
    table = jnp.where(where[:, None] & where[None, :], table, np.float32(0))
    largest = jnp.max(table)
    table = table / jnp.where(largest > 0, largest, np.float32(1))
    theta = jnp.asarray(trade_off, jnp.float32)

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
    scores: jax.Array,
    vectors: jax.Array,
    k: int,
    trade_off: float | jax.Array,
    *,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""The greedy mode of a determinantal point process: relevant candidates whose directions span a large volume.

    .. math:: \arg\max_{i \notin Y} \; \theta \, r_i + (1 - \theta)
              \left( \log \det S_{Y \cup \{i\}} - \log \det S_Y \right)

    with r the scores scaled to 0..1 and S the cosines between candidates. It is the mode of the process with kernel
    diag(q) S diag(q), q = exp(theta r / (2 (1 - theta))); in this form nothing overflows, and theta = 1 is the order of
    the scores. The determinants come from a Cholesky factor that grows by a row a choice, O(k^2 n) for a user. The gain
    of a candidate in the span of the chosen ones is log(1e-6), so k candidates are chosen even where k exceeds d. A
    vector of zeros is at right angles to all others.

    Args, Returns, Raises: as `mmr`.

    Source: Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process to improve recommendation
    diversity", NeurIPS 2018, algorithm 1 and equation 9.

    >>> vectors = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> greedy_dpp(jnp.array([3.0, 2.9, 2.0]), vectors, 2, 0.5).tolist()
    [0, 2]
    """
    where, relevance = _prepared(scores, vectors, k, where)
    size = relevance.shape[0]
    kept = jnp.where(where[:, None], vectors, np.float32(0)).astype(jnp.float32)
    square = jnp.sum(jnp.square(kept), axis=1)
    unit = kept * lax.rsqrt(jnp.where(square > 0, square, np.float32(1)))[:, None]
    cosine = jnp.matmul(unit, unit.T, precision=lax.Precision.HIGHEST)
    cosine = jnp.where(np.eye(size, dtype=bool), np.float32(1), cosine)
    theta = jnp.asarray(trade_off, jnp.float32)

    def choose(at: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        factor, rest, free, chosen = state
        gain = theta * relevance + (1 - theta) * jnp.log(jnp.maximum(rest, _LEAST))
        best = jnp.argmax(jnp.where(free, gain, -jnp.inf)).astype(jnp.int32)
        chosen = chosen.at[at].set(jnp.where(free[best], best, -1))
        new = rest[best] > _LEAST  # otherwise it adds no direction
        row = (cosine[best] - factor[:, best] @ factor) * lax.rsqrt(jnp.where(new, rest[best], np.float32(1)))
        row = jnp.where(new & free[best], row, np.float32(0))
        rest = jnp.maximum(rest - jnp.square(row), np.float32(0))
        return factor.at[at].set(row), rest, free.at[best].set(False), chosen

    start = (jnp.zeros((k, size), jnp.float32), jnp.ones(size, jnp.float32), where, jnp.full(k, -1, jnp.int32))
    return lax.fori_loop(0, k, choose, start)[3]


def rerank(
    lists: np.ndarray,
    scores: np.ndarray,
    item_vectors: ItemSpace | np.ndarray,
    k: int,
    *,
    trade_off: float,
    method: Method = "mmr",
    distance: Distance = "euclidean",
    users_per_tile: int = 128,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose k of the n candidates of each user, by `mmr` or `greedy_dpp`.

    Memory grows with the tile of users, not with all of them. Items without a vector in an `ItemSpace` have a vector of
    zeros.

    Args:
      lists: int32 [U, n], candidate items, best first, -1 for padding.
      scores: float32 [U, n], their scores; what padding holds is ignored.
      item_vectors: a space, or float [I, d].
      k: how many are chosen, 1 <= k <= n.
      trade_off: from 0 (diversity alone, after the first) to 1 (the order of the scores).
      method: "mmr" or "dpp".
      distance: of "mmr": "euclidean" or "cosine".
      users_per_tile: users at a time.

    Returns:
      (lists int32 [U, k], scores float32 [U, k]) in the order of choice, -1 and -inf for padding.

    Raises:
      JaxrecError: a trade-off outside 0..1, k outside 1..n, another method, a tile below 1.
      MismatchError: shapes that do not fit, or an item outside the catalogue.
      DataError: a score or vector that is not finite, an item that is twice in a list.

    >>> lists, scores = np.array([[0, 1, 2]], np.int32), np.array([[3.0, 2.9, 2.0]], np.float32)
    >>> rerank(lists, scores, np.array([[0.0], [0.1], [5.0]]), 2, trade_off=0.5)[0].tolist()
    [[0, 2]]
    """
    space = item_vectors.vectors if isinstance(item_vectors, ItemSpace) else item_vectors
    vectors = np.asarray(space, np.float32)
    if isinstance(item_vectors, ItemSpace):
        vectors = np.where(np.asarray(item_vectors.known)[:, None], vectors, np.float32(0))
    lists, scores = np.asarray(lists), np.asarray(scores, np.float32)
    _check(lists, scores, vectors, k, trade_off, method, users_per_tile)
    tile = min(users_per_tile, max(len(lists), 1))
    table, theta = jnp.asarray(vectors), np.float32(trade_off)
    parts = []
    for start in range(0, len(lists), tile):
        missing = max(start + tile - len(lists), 0)
        pad = ((0, missing), (0, 0))
        some = np.pad(lists[start : start + tile].astype(np.int32), pad, constant_values=-1)
        values = np.pad(scores[start : start + tile], pad)
        made = _rerank_tile(some, values, table, theta, k=k, method=method, distance=distance)
        parts.append(tuple(np.asarray(array)[: tile - missing] for array in made))
    if not parts:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


@functools.partial(jax.jit, static_argnames=("k", "method", "distance"))
def _rerank_tile(
    lists: jax.Array,
    scores: jax.Array,
    vectors: jax.Array,
    trade_off: jax.Array,
    *,
    k: int,
    method: Method,
    distance: Distance,
) -> tuple[jax.Array, jax.Array]:
    def one_user(listed: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
        where, mine = listed >= 0, vectors[jnp.maximum(listed, 0)]
        if method == "mmr":
            places = mmr(values, mine, k, trade_off, where=where, distance=distance)
        else:
            places = greedy_dpp(values, mine, k, trade_off, where=where)
        at = jnp.maximum(places, 0)
        return jnp.where(places < 0, -1, listed[at]), jnp.where(places < 0, -jnp.inf, values[at])

    return jax.vmap(one_user)(lists, scores)


def _prepared(scores: jax.Array, vectors: jax.Array, k: int, where: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """The mask, and the scores scaled to 0..1 among what counts."""
    shape = jnp.shape(scores)
    if len(shape) != 1 or jnp.ndim(vectors) != 2 or jnp.shape(vectors)[0] != shape[0]:
        raise MismatchError(
            f"scores must be [n] and vectors [n, d], got shapes {shape} and {jnp.shape(vectors)}; use jax.vmap for many"
        )
    if not 1 <= k <= shape[0]:
        raise JaxrecError(f"k must lie in 1..{shape[0]}, the number of candidates, got {k}")
    where = jnp.ones(shape[0], bool) if where is None else jnp.asarray(where)
    if where.shape != shape:
        raise MismatchError(f"where has shape {where.shape}, expected {shape}: one entry for each candidate")
    scores = jnp.where(where, jnp.asarray(scores).astype(jnp.float32), np.float32(0))
    low = jnp.min(jnp.where(where, scores, jnp.inf))
    span = jnp.max(jnp.where(where, scores, -jnp.inf)) - low
    usable = (span > 0) & jnp.isfinite(span)
    return where, jnp.where(usable & where, (scores - low) / jnp.where(usable, span, np.float32(1)), np.float32(0))


def _check(
    lists: np.ndarray, scores: np.ndarray, vectors: np.ndarray, k: int, trade_off: float, method: str, tile: int
) -> None:
    if lists.ndim != 2 or lists.dtype.kind not in "iu" or scores.shape != lists.shape:
        raise MismatchError(
            f"lists must be whole numbers [U, n] and scores [U, n], got {lists.dtype}{list(lists.shape)} and "
            f"{list(scores.shape)}"
        )
    if vectors.ndim != 2:
        raise MismatchError(f"item_vectors must be [I, d], got shape {vectors.shape}")
    if not 1 <= k <= lists.shape[1]:
        raise JaxrecError(f"k must lie in 1..{lists.shape[1]}, the number of candidates of a user, got {k}")
    if not 0 <= trade_off <= 1:
        raise JaxrecError(f"trade_off must lie in 0..1, got {trade_off}")
    if method not in ("mmr", "dpp"):
        raise JaxrecError(f'method must be "mmr" or "dpp", got {method!r}')
    if tile < 1:
        raise JaxrecError(f"users_per_tile must be at least 1, got {tile}")
    if lists.size and not -1 <= lists.min() <= lists.max() < len(vectors):
        raise MismatchError(
            f"lists has items {lists.min()}..{lists.max()}, and item_vectors has {len(vectors):,} items; -1 is padding"
        )
    if not np.isfinite(vectors).all():
        raise DataError(f"item_vectors has a value that is not finite, at item {_first(~np.isfinite(vectors))[0]}")
    if (bad := ~np.isfinite(scores) & (lists >= 0)).any():
        raise DataError(f"scores has {scores[bad][0]} in list {_first(bad)[0]}; every candidate needs a finite score")
    ordered = np.sort(lists, axis=1)
    if (twice := (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        row, column = _first(twice)
        raise DataError(f"lists has item {ordered[row, column]} twice in list {row}; a candidate can be chosen once")


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(at) for at in np.argwhere(mask)[0])
