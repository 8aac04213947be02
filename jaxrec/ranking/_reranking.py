"""Re-ranking of candidates for diversity: maximal marginal relevance (MMR), and greedy MAP inference of a DPP.

Both weigh relevance against diversity by one number, the trade-off: 1 keeps the order of the scores, and smaller
values give more diverse lists. Relevance is the score of a candidate, scaled to 0..1 among the candidates of the
user. At a trade-off of exactly 1 it is the score itself, since scaling may round two scores to one number.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.core import Tracer
from jaxtyping import Bool, Float, Int

from jaxrec import registry
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.metrics._diversity import Distance, check_distance, distance_name, pair_distances
from jaxrec.progress import work
from jaxrec.protocols import Reranker
from jaxrec.pytrees import is_number, options, static, structure_of
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.types import Array

RERANK_DEPTH = 100
"""How many of a user's best items a re-ranker chooses from, unless told otherwise."""

_LARGEST = np.float32(1e18)  # the square of a longer vector is beyond float32
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


@options
class MMR(Reranker):
    """Maximal marginal relevance, see `mmr`.

    Attributes:
      trade_off: from 0 (diversity alone, after the first) to 1 (the order of the scores).
      distance: "euclidean", "cosine" or a function.

    Raises:
      JaxrecError: a trade-off outside 0..1, or another name of a distance.

    >>> rerank([[0, 1, 2]], [[3.0, 2.9, 2.0]], jnp.array([[0.0], [0.1], [5.0]]), 2, MMR(0.5))[0].tolist()
    [[0, 2]]
    """

    trade_off: float = 0.7
    distance: Distance = static(default="euclidean")

    def __post_init__(self) -> None:
        check_distance(self.distance)
        _check_option(self.trade_off)

    def __call__(self, scores: jax.Array, vectors: jax.Array, k: int, *, where: jax.Array) -> jax.Array:
        """See `jaxrec.protocols.Reranker`."""
        return mmr(scores, vectors, k, self.trade_off, where=where, distance=self.distance)

    def refuses(self, vectors: jax.Array, where: jax.Array) -> jax.Array:
        """Whether a distance of the caller is negative or not finite."""
        if not callable(self.distance):
            return jnp.bool_(False)
        between = pair_distances(jnp.where(where[:, None], vectors, np.float32(0)), distance=self.distance)
        return jnp.any(where[:, None] & where[None, :] & ~((between >= 0) & (between < jnp.inf)))

    @property
    def fault(self) -> str:
        """The reason of `refuses`."""
        return (
            f"distance {distance_name(self.distance)} is negative or not finite between two candidates; give a finite "
            "number of at least 0 for every two items, also for zeros;"
        )


@options
class GreedyDPP(Reranker):
    """The greedy mode of a determinantal point process, see `greedy_dpp`. It goes by cosines.

    Attributes:
      trade_off: from 0 (diversity alone, after the first) to 1 (the order of the scores).

    Raises:
      JaxrecError: a trade-off outside 0..1.

    >>> rerank([[0, 1]], [[3.0, 2.9]], jnp.array([[0.0], [0.1]]), 1, GreedyDPP(0.5))[0].tolist()
    [[0]]
    """

    trade_off: float = 0.7

    def __post_init__(self) -> None:
        _check_option(self.trade_off)

    def __call__(self, scores: jax.Array, vectors: jax.Array, k: int, *, where: jax.Array) -> jax.Array:
        """See `jaxrec.protocols.Reranker`."""
        return greedy_dpp(scores, vectors, k, self.trade_off, where=where)


def rerank(
    lists: npt.ArrayLike,
    scores: npt.ArrayLike,
    item_vectors: ItemSpace | npt.ArrayLike,
    k: int,
    reranker: Reranker | str | None = None,
    *,
    users_per_tile: int = 128,
    trade_off: float | None = None,
    method: str | None = None,
    distance: Distance | None = None,
) -> tuple[Int[np.ndarray, "U k"], Float[np.ndarray, "U k"]]:
    """Choose k of the n candidates of each user.

    Memory grows with the tile of users, not with all of them. Items without a vector in an `ItemSpace` have a vector of
    zeros.

    Args:
      lists: int32 [U, n], candidate items, best first, -1 for padding.
      scores: float32 [U, n], their scores; what padding holds is ignored.
      item_vectors: a space, or float [I, d], each shorter than 1e18.
      k: how many are chosen, 1 <= k <= n.
      reranker: `MMR`, `GreedyDPP`, one of your own (`jaxrec.protocols.Reranker`), or a name; `MMR()` by default.
        Another trade-off compiles nothing.
      users_per_tile: users at a time.
      trade_off, method, distance: as 0.1 took them; give a reranker instead.

    Returns:
      (lists int32 [U, k], scores float32 [U, k]) in the order of choice, -1 and -inf for padding.

    Raises:
      JaxrecError: an unknown reranker, k outside 1..n, a tile below 1.
      MismatchError: shapes that do not fit, or an item outside the catalog.
      DataError: a score or vector that is not finite, a vector too long, an item that is twice in a list, a distance
        of the caller that is negative or not finite between two candidates.

    >>> lists, scores = np.array([[0, 1, 2]], np.int32), np.array([[3.0, 2.9, 2.0]], np.float32)
    >>> vectors = np.array([[0.0], [0.1], [5.0]])
    >>> rerank(lists, scores, vectors, 2, MMR(0.5))[0].tolist(), rerank(lists, scores, vectors, 2, MMR(1.0))[0].tolist()
    ([[0, 2]], [[0, 1]])
    """
    rule = chosen_reranker(reranker, method=method, distance=distance, trade_off=trade_off)
    space = item_vectors.vectors if isinstance(item_vectors, ItemSpace) else item_vectors
    with np.errstate(over="ignore"):
        vectors = np.asarray(space).astype(np.float32)
    if isinstance(item_vectors, ItemSpace):
        vectors = np.where(np.asarray(item_vectors.known)[:, None], vectors, np.float32(0))
    lists = np.asarray(lists)
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, which is refused below
        scores = np.asarray(scores).astype(np.float32)
    _check(lists, scores, vectors, k, users_per_tile)
    tile = min(users_per_tile, max(len(lists), 1))
    table = jnp.asarray(vectors)
    # Numbers become arrays, so that Python's and NumPy's are one program.
    traced = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32) if is_number(leaf) else leaf, rule)
    parts = []
    with work("re-ranking", len(lists), unit="lists") as told:
        for start in range(0, len(lists), tile):
            missing = max(start + tile - len(lists), 0)
            pad = ((0, missing), (0, 0))
            some = np.pad(lists[start : start + tile].astype(np.int32), pad, constant_values=-1)
            values = np.pad(scores[start : start + tile], pad)
            *made, bad = _rerank_tile(some, values, table, traced, k=int(k), structure=structure_of(traced))
            if (bad := np.asarray(bad)).any():
                raise DataError(f"{rule.fault} of list {start + int(np.argmax(bad))}")
            parts.append(tuple(np.asarray(array)[: tile - missing] for array in made))
            told.advance(tile - missing)
    if not parts:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def check_rerank_depth(rerank_depth: int, k: int) -> None:
    """Refuse a depth from which a list of k items cannot be chosen.

    Raises:
      JaxrecError: it is no whole number, or below k.

    >>> check_rerank_depth(100, 20)
    """
    if isinstance(rerank_depth, bool) or not isinstance(rerank_depth, (int, np.integer)) or rerank_depth < k:
        raise JaxrecError(f"rerank_depth is {rerank_depth!r}; pass a whole number of at least {k}, the longest list")


def chosen_reranker(
    reranker: Reranker | str | None,
    *,
    method: str | None = None,
    distance: Distance | None = None,
    trade_off: float | None = None,
) -> Any:
    """The reranker that is meant, by an object, a name, or what 0.1 took.

    Args:
      reranker: an object or a name; None for `MMR`.
      method: the name in 0.1.
      distance: of `MMR`, where it is not given as an object.
      trade_off: in 0.1.

    Raises:
      JaxrecError: an unknown name, or a reranker beside what 0.1 took.

    >>> chosen_reranker(None, distance="cosine")
    MMR(trade_off=0.7, distance='cosine')
    """
    old = [name for name, value in (("method", method), ("trade_off", trade_off)) if value is not None]
    if old:
        if reranker is not None:
            raise JaxrecError(f"reranker and {old[0]} are given; pass the reranker alone, such as MMR(trade_off=0.7)")
        warnings.warn(
            f"{old[0]} is an argument of 0.1 and goes in 0.3; pass reranker=MMR(trade_off=...) or GreedyDPP(...)",
            DeprecationWarning,
            stacklevel=3,
        )
    if method is not None and method not in registry.names("reranker"):
        raise JaxrecError(f"method must be {' or '.join(map(repr, registry.names('reranker')))}, got {method!r}")
    word: Any = method or reranker
    chosen = registry.find("reranker", word) if isinstance(word, str) else reranker
    how = {} if trade_off is None else {"trade_off": trade_off}
    if chosen is None or chosen is MMR:
        return MMR(distance="euclidean" if distance is None else distance, **how)
    if distance is not None and old:
        check_distance(distance)  # 0.1 took it for every method
    return chosen(**how) if isinstance(chosen, type) else chosen


@functools.partial(jax.jit, static_argnames=("k", "structure"))
def _rerank_tile(
    lists: jax.Array, scores: jax.Array, vectors: jax.Array, reranker: Reranker, *, k: int, structure: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    def one_user(listed: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        where, mine = listed >= 0, vectors[jnp.maximum(listed, 0)]
        places = reranker(values, mine, k, where=where)
        at = jnp.maximum(places, 0)
        chosen = jnp.where(places < 0, -1, listed[at]), jnp.where(places < 0, -jnp.inf, values[at])
        return *chosen, jnp.asarray(reranker.refuses(mine, where))

    return jax.vmap(one_user)(lists, scores)


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
    _check_length(k, shape[0])
    if not isinstance(trade_off, Tracer):
        _check_trade_off(trade_off)
    mask = jnp.ones(shape[0], jnp.bool_) if where is None else jnp.asarray(where)
    if mask.shape != shape or mask.dtype != jnp.bool_:
        raise MismatchError(
            f"where has shape {mask.shape} and dtype {mask.dtype}, expected bool {shape}: one entry for each candidate"
        )
    return mask


def _check(lists: np.ndarray, scores: np.ndarray, vectors: np.ndarray, k: int, users_per_tile: int) -> None:
    if lists.ndim != 2 or lists.dtype.kind not in "iu" or scores.shape != lists.shape:
        raise MismatchError(
            f"lists must be whole numbers [U, n] and scores [U, n], got {lists.dtype}{list(lists.shape)} and "
            f"{list(scores.shape)}"
        )
    if vectors.ndim != 2:
        raise MismatchError(f"item_vectors must be [I, d], got shape {vectors.shape}")
    _check_length(k, lists.shape[1])
    if not _is_whole(users_per_tile) or users_per_tile < 1:
        raise JaxrecError(f"users_per_tile must be a whole number of at least 1, got {users_per_tile!r}")
    if lists.size and not -1 <= lists.min() <= lists.max() < len(vectors):
        raise MismatchError(
            f"lists has items {lists.min()}..{lists.max()}, and item_vectors has {len(vectors):,} items; -1 is padding"
        )
    if (bad := ~np.isfinite(vectors)).any():
        raise DataError(f"item_vectors has a value that is not finite, at item {_first(bad)[0]}; every value must be")
    if (long := np.linalg.norm(vectors.astype(np.float64), axis=1) > _LARGEST).any():
        raise DataError(f"item_vectors has a vector longer than {_LARGEST:.0e}, at item {_first(long)[0]}; scale them")
    if (bad := ~np.isfinite(scores) & (lists >= 0)).any():
        raise DataError(f"scores has {scores[bad][0]} in list {_first(bad)[0]}; every candidate needs a finite score")
    ordered = np.sort(lists, axis=1)
    if (twice := (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        row, column = _first(twice)
        raise DataError(f"lists has item {ordered[row, column]} twice in list {row}; a candidate can be chosen once")


def _check_length(k: int, size: int) -> None:
    if not _is_whole(k) or not 1 <= k <= size:
        raise JaxrecError(f"k must lie in 1..{size}, the number of candidates of a user, and be whole, got {k!r}")


def _check_trade_off(trade_off: object) -> None:
    value = np.asarray(trade_off)
    if value.ndim or value.dtype.kind not in "fiu" or not 0 <= value <= 1:
        raise JaxrecError(f"trade_off must lie in 0..1 and be one number, got {trade_off}")


def _check_option(trade_off: Any) -> None:
    """Check a field that may also be traced, stacked, or a mark of a tree without leaves."""
    if is_number(trade_off) or isinstance(trade_off, (bool, str)) or trade_off is None:
        _check_trade_off(trade_off)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(at) for at in np.argwhere(mask)[0])
