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
from jaxtyping import Float, Int

from jaxrec import registry
from jaxrec._checks import is_whole
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.metrics._diversity import Distance, check_distance, distance_name, pair_distances
from jaxrec.progress import work
from jaxrec.protocols import Reranker
from jaxrec.pytrees import is_number, options, static, structure_of
from jaxrec.ranking._greedy import check_length, check_trade_off, greedy_dpp, mmr
from jaxrec.ranking._item_vectors import ItemSpace

RERANK_DEPTH = 100
"""How many of a user's best items a re-ranker chooses from, unless told otherwise."""

_LARGEST = np.float32(1e18)  # the square of a longer vector is beyond float32


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
    made = chosen(**how) if isinstance(chosen, type) else chosen
    if not callable(made) or not callable(getattr(made, "refuses", None)):
        raise JaxrecError(
            f"reranker is {made!r}; pass a name, such as {', '.join(map(repr, registry.names('reranker')))}, or an "
            "object of a class that derives from jaxrec.protocols.Reranker"
        )
    return made


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


def _check(lists: np.ndarray, scores: np.ndarray, vectors: np.ndarray, k: int, users_per_tile: int) -> None:
    if lists.ndim != 2 or lists.dtype.kind not in "iu" or scores.shape != lists.shape:
        raise MismatchError(
            f"lists must be whole numbers [U, n] and scores [U, n], got {lists.dtype}{list(lists.shape)} and "
            f"{list(scores.shape)}"
        )
    if vectors.ndim != 2:
        raise MismatchError(f"item_vectors must be [I, d], got shape {vectors.shape}")
    check_length(k, lists.shape[1])
    if not is_whole(users_per_tile) or users_per_tile < 1:
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


def _check_option(trade_off: Any) -> None:
    """Check a field that may also be traced, stacked, or a mark of a tree without leaves."""
    if is_number(trade_off) or isinstance(trade_off, (bool, str)) or trade_off is None:
        check_trade_off(trade_off)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(at) for at in np.argwhere(mask)[0])
