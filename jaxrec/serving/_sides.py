"""The two sides of a scorer as plain tensors: what is kept for each user, and what is kept for each item.

There are two ways to score. With vectors, score(u, i) = <users[u], items[i]>. With rows, a user is a few rows of a
matrix with their weights, and score(u, .) is the weighted sum of these rows: the items of the user in the weights of
items, the neighbors of the user in the interactions, or one row that all users share.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np

from jaxrec.blending import BlendScorer
from jaxrec.errors import JaxrecError
from jaxrec.scorers import (
    CandidateScorer,
    FactorScorer,
    FilterScorer,
    ItemWeightScorer,
    NetworkScorer,
    PopularityScorer,
    RandomScorer,
    StackedScorer,
    TableScorer,
    UserWeightScorer,
)
from jaxrec.sparse import SparseOperator

MOST_ITEMS = 20_000
"""Up to so many items a filter is served as its matrix from items to items, of 4 I^2 bytes."""

_TILE = 256
NewUsers = Literal["history", "all"]


@dataclasses.dataclass(frozen=True, eq=False)
class Sides:
    """What is served of a scorer.

    Attributes:
      program: which program scores: "vectors", "dense_rows" or "sparse_rows".
      users: tensors of the user side: `vectors` [U, w]; or `rows_indptr` int32 [U + 1] and `rows` int32 [n], the rows
        of each user, with `weights` float32 [n] where they are not all 1.
      items: tensors of the item side, in the order in which the program takes them: `vectors` [I, w]; or `values`
        [R, I]; or `values` [E], `columns` int32 [E] and `indptr` int32 [R + 1], a matrix [R, I] by rows.
      new_users: how a user gets a list who was not fitted on: by the rows of the items in the "history", by row 0 as
        "all" users, or None, not at all.

    >>> Sides("vectors", {"vectors": np.ones((2, 1))}, {"vectors": np.ones((3, 1))}).new_users is None
    True
    """

    program: Literal["vectors", "dense_rows", "sparse_rows"]
    users: Mapping[str, np.ndarray]
    items: Mapping[str, np.ndarray]
    new_users: NewUsers | None = None


@functools.singledispatch
def sides(scorer: Any) -> Sides:
    """Take a scorer apart into tensors; a class of your own joins in by `sides.register`.

    Args:
      scorer: of a fitted model.

    Returns:
      Its sides, as NumPy arrays.

    Raises:
      JaxrecError: a scorer that nothing is known of, or that draws its scores.

    >>> import jax.numpy as jnp
    >>> sorted(sides(FactorScorer(jnp.ones((2, 1)), jnp.ones((3, 1)), dim=1)).items)
    ['vectors']
    """
    kind = type(scorer)
    raise JaxrecError(
        f"model has a scorer of type {kind.__name__}, which export cannot take apart; "
        f"register a function for it with jaxrec.serving.sides.register({kind.__name__})"
    )


@sides.register
def _(scorer: FactorScorer) -> Sides:
    return Sides("vectors", {"vectors": _floats(scorer.users)}, {"vectors": _floats(scorer.items)})


@sides.register
def _(scorer: ItemWeightScorer) -> Sides:
    users = {"rows_indptr": _whole(scorer.history.indptr), "rows": _whole(scorer.history.items)}
    if isinstance(scorer.weights, SparseOperator):
        return Sides("sparse_rows", users, _by_rows(scorer.weights), "history")
    return Sides("dense_rows", users, {"values": _floats(scorer.weights)}, "history")


@sides.register
def _(scorer: UserWeightScorer) -> Sides:
    num_users, k = scorer.neighbors.shape
    users = {
        "rows_indptr": np.arange(num_users + 1, dtype=np.int32) * np.int32(k),
        "rows": _whole(scorer.neighbors).ravel(),
        "weights": _floats(scorer.weights).ravel(),
    }
    return Sides("sparse_rows", users, _by_rows(scorer.history))


@sides.register
def _(scorer: FilterScorer) -> Sides:
    if any(lane.power != 1 for lane in scorer.lanes):
        raise JaxrecError(
            "model has a filter with a power of the likeness of users, which is neither a product of vectors nor a sum "
            "over items, so it cannot be exported; recommend with jaxrec, or leave out the terms with a power"
        )
    if not scorer.lanes and not scorer.series:
        users, items = map(_floats, scorer.factors())
        return Sides("vectors", {"vectors": users}, {"vectors": items})
    if scorer.num_items > MOST_ITEMS:
        raise JaxrecError(
            f"model has a filter of {scorer.num_items:,} items, and its matrix from items to items would take "
            f"{4 * scorer.num_items**2 / 2**30:.1f} GiB; up to {MOST_ITEMS:,} items it is exported. Recommend with "
            "jaxrec, or export a filter of LowPass or Bands alone, which is served by vectors"
        )
    size = np.diff(_whole(scorer.history.indptr))
    users = {
        "rows_indptr": _whole(scorer.history.indptr),
        "rows": _whole(scorer.history.items),
        "weights": np.repeat(np.maximum(size, 1) ** np.float32(-0.5), size).astype(np.float32),
    }
    likeness = jax.jit(lambda scorer, items: scorer.similarities(items))
    matrix = np.empty((scorer.num_items, scorer.num_items), np.float32)
    for start in range(0, scorer.num_items, _TILE):
        items = np.minimum(np.arange(start, start + _TILE, dtype=np.int32), scorer.num_items - 1)
        matrix[start : start + _TILE] = np.asarray(likeness(scorer, items))[: scorer.num_items - start]
    return Sides("dense_rows", users, {"values": matrix})


@sides.register
def _(scorer: CandidateScorer) -> Sides:
    raise JaxrecError(
        f"model ranks the best {scorer.candidates} candidates of another score, which is neither a product of vectors "
        "nor a sum over items, so it cannot be exported; recommend with jaxrec, or fit with candidates=None"
    )


@sides.register(NetworkScorer)
@sides.register(StackedScorer)
def _(scorer: NetworkScorer | StackedScorer) -> Sides:
    raise JaxrecError(
        "model has a network over features of a pair, which is neither a product of vectors nor a sum over items, so "
        "it cannot be exported; recommend with jaxrec, or export a GraphFilter"
    )


@sides.register
def _(scorer: PopularityScorer) -> Sides:
    users = {
        "rows_indptr": np.arange(scorer.num_users + 1, dtype=np.int32),
        "rows": np.zeros(scorer.num_users, np.int32),
    }
    return Sides("dense_rows", users, {"values": _floats(scorer.counts)[None]}, "all")


@sides.register
def _(scorer: TableScorer) -> Sides:
    each = np.arange(scorer.num_users + 1, dtype=np.int32)
    return Sides("dense_rows", {"rows_indptr": each, "rows": each[:-1]}, {"values": _floats(scorer.table)})


@sides.register
def _(scorer: BlendScorer) -> Sides:
    from jaxrec.serving._blend_sides import blend_sides

    return blend_sides(scorer)


@sides.register
def _(scorer: RandomScorer) -> Sides:
    raise JaxrecError(
        "a model of random scores has nothing to serve; export popularity, or a model that learns from the data"
    )


def _by_rows(matrix: SparseOperator) -> dict[str, np.ndarray]:
    return {"values": _floats(matrix.data), "columns": _whole(matrix.columns), "indptr": _whole(matrix.indptr)}


def _floats(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def _whole(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array, np.int32)
