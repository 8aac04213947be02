"""The programs of an artifact: scoring and top-k as StableHLO, for every platform from any of them.

They are plain operations whose meaning is kept over versions of JAX. The library's own top-k by blocks and its sparse
product are custom calls on CPU, which are not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jaxtyping import Bool, Float, Int

from jaxrec.ranking._block_topk import one_zero
from jaxrec.types import Array

PLATFORMS = ("cpu", "cuda", "tpu")
_STEP = 128  # entries of a sparse row that are added at a time


def score_vectors(queries: Float[Array, "b w"], vectors: Float[Array, "i w"]) -> Float[Array, "b i"]:
    """Score by inner products.

    >>> score_vectors(jnp.array([[2.0]]), jnp.array([[1.0], [3.0]])).tolist()
    [[2.0, 6.0]]
    """
    # Accelerators round the factors of a product by default, to bfloat16 or TF32.
    return jnp.matmul(queries, vectors.T, precision="highest")


def score_dense_rows(
    rows: Int[Array, "b h"], weights: Float[Array, "b h"], matrix: Float[Array, "r i"]
) -> Float[Array, "b i"]:
    """Score by weighted sums of rows of a matrix; a place without a row has weight 0.

    >>> score_dense_rows(jnp.array([[1, 0]]), jnp.array([[2.0, 0.0]]), jnp.array([[9.0], [3.0]])).tolist()
    [[6.0]]
    """

    def add(at: jax.Array, scores: jax.Array) -> jax.Array:
        row, weight = _column(rows, at), _column(weights, at)
        return scores + weight[:, None] * matrix[row]

    return lax.fori_loop(jnp.int32(0), _used(weights), add, jnp.zeros((rows.shape[0], matrix.shape[1]), matrix.dtype))


def score_sparse_rows(
    rows: Int[Array, "b h"],
    weights: Float[Array, "b h"],
    values: Float[Array, " e"],
    columns: Int[Array, " e"],
    indptr: Int[Array, " r1"],
    *,
    num_items: int,
) -> Float[Array, "b i"]:
    """Score by weighted sums of rows of a sparse matrix; a place without a row has weight 0.

    >>> values, columns, indptr = jnp.array([5.0, 7.0]), jnp.array([2, 0]), jnp.array([0, 1, 2])
    >>> score_sparse_rows(jnp.array([[1]]), jnp.array([[2.0]]), values, columns, indptr, num_items=3).tolist()
    [[14.0, 0.0, 0.0]]
    """
    users = jnp.arange(rows.shape[0], dtype=jnp.int32)[:, None]
    step = jnp.arange(_STEP, dtype=jnp.int32)[None, :]

    def add_row(at: jax.Array, scores: jax.Array) -> jax.Array:
        row, weight = _column(rows, at), _column(weights, at)
        first = indptr[row]
        length = jnp.where(weight != 0, indptr[row + 1] - first, 0)

        def add_step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            start, scores = state
            place = start + step
            entry = jnp.where(place < length[:, None], first[:, None] + place, 0)
            column = jnp.where(place < length[:, None], columns[entry], num_items)  # dropped, being no item
            return start + _STEP, scores.at[users, column].add(weight[:, None] * values[entry], mode="drop")

        return lax.while_loop(lambda state: state[0] < jnp.max(length), add_step, (jnp.int32(0), scores))[1]

    return lax.fori_loop(jnp.int32(0), _used(weights), add_row, jnp.zeros((rows.shape[0], num_items), values.dtype))


def top_k(
    scores: Float[Array, "b i"], hidden: Int[Array, "b s"], *, k: int
) -> tuple[Int[Array, "b k"], Float[Array, "b k"], Bool[Array, " b"]]:
    """Rank the k best items of each user as `jaxrec.recommend` does: ties to the lower index, 0.0 as -0.0.

    Args:
      scores: float32 [b, i].
      hidden: int32 [b, s], the items that each user may not get; i for none.
      k: static.

    Returns:
      items int32 [b, k], -1 where none is left; scores float32 [b, k]; invalid bool [b], True if a score is NaN or
      +inf, which cannot be ranked.

    >>> top_k(jnp.array([[1.0, 2.0, 2.0]]), jnp.array([[1, 3]]), k=2)[0].tolist()
    [[2, 0]]
    """
    users = jnp.arange(scores.shape[0], dtype=jnp.int32)[:, None]
    scores = scores.at[users, hidden].set(-jnp.inf, mode="drop")
    # A NaN fails every comparison.
    values, items = lax.top_k(one_zero(jnp.where(scores < jnp.inf, scores, jnp.inf)), k)
    return jnp.where(values == -jnp.inf, jnp.int32(-1), items), values, jnp.any(values == jnp.inf, axis=1)


def scoring_program(name: str, num_items: int) -> bytes:
    """Serialize a way to score; all sizes stay open but the number of items of sparse rows, which no tensor shows.

    >>> len(scoring_program("vectors", 3)) > 0
    True
    """
    query = [("b, h", np.int32), ("b, h", np.float32)]
    sparse = [("e", np.float32), ("e", np.int32), ("r + 1", np.int32)]
    ways: dict[str, tuple[Callable[..., Any], list[tuple[str, Any]]]] = {
        "vectors": (score_vectors, [("b, w", np.float32), ("i, w", np.float32)]),
        "dense_rows": (score_dense_rows, [*query, ("r, i", np.float32)]),
        "sparse_rows": (functools.partial(score_sparse_rows, num_items=num_items), [*query, *sparse]),
    }
    function, arguments = ways[name]
    scope = export.SymbolicScope()
    return _serialized(
        function,
        *(jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), dtype) for shape, dtype in arguments),
    )


def ranking_program(k: int) -> bytes:
    """Serialize `top_k` for one k and any number of users, of items from k on, and of hidden items.

    >>> len(ranking_program(3)) > 0
    True
    """
    users, items, hidden = export.symbolic_shape("b, i, s", constraints=[f"i >= {k}"])
    return _serialized(
        functools.partial(top_k, k=k),
        jax.ShapeDtypeStruct((users, items), np.float32),
        jax.ShapeDtypeStruct((users, hidden), np.int32),
    )


def _serialized(function: Callable[..., Any], *arguments: jax.ShapeDtypeStruct) -> bytes:
    # A program names the lines that it was made from, up to the caller's. Without them it is the same from everywhere.
    limit: int = jax.config.jax_traceback_in_locations_limit  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).serialize())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", limit)


def _column(table: jax.Array, at: jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(table, at, axis=1, keepdims=False)


def _used(weights: jax.Array) -> jax.Array:
    """The number of columns up to the last one that has a weight: the padding behind costs no step."""
    places = jnp.arange(weights.shape[1], dtype=jnp.int32) + 1
    return jnp.max(jnp.where(weights != 0, places[None, :], 0), initial=0)
