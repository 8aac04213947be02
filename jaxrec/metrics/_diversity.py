"""Diversity of lists: how far apart the items of one list are, and how much of the catalog all lists cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.types import Array

DistanceName = Literal["euclidean", "cosine"]
PairDistance = Callable[[jax.Array, jax.Array], jax.Array]
"""A distance of the caller: `(x float32 [d], y float32 [d]) -> number []`, symmetric, finite, traced by JAX."""
Distance = DistanceName | PairDistance


def intra_list_distance(
    vectors: Float[Array, "k d"], where: Bool[Array, " k"] | None = None, *, distance: Distance = "euclidean"
) -> Float[Array, ""]:
    r"""The mean distance between two items of one list.

    .. math:: \frac{2}{n (n - 1)} \sum_{i < j} \lVert x_i - x_j \rVert_2

    over the n items that count, or with another distance in the place of the Euclidean one. Each unordered pair counts
    once and an item is not compared with itself. The cosine distance is 1 - cos(x_i, x_j); a vector of zeros has cosine
    0 with every vector, so distance 1. Any other distance is a function of two vectors, see `pair_distances`.

    To compare models, take the vectors of all of them from one item space (`jaxrec.ranking`): the
    embeddings of each model have their own scale.

    Source: Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005, as a
    mean of distances instead of a sum of similarities.

    Args:
      vectors: float [k, d], the item at each place of the list.
      where: bool [k], the places that count (False for padding and for items without a vector); all by default.
      distance: "euclidean", "cosine", or a function `(x [d], y [d]) -> number []`. Static under `jax.jit`.

    Returns:
      float32 [], 0 for a list of fewer than two items. With a named distance it is not negative, and value and gradient
      are finite under any mask. Of a function the value of masked places does not matter; its gradient must be finite
      where it is taken, also between two vectors of zeros, which masked places hold.

    Raises:
      MismatchError: `vectors` is not [k, d], or `where` not [k].
      JaxrecError: what `pair_distances` refuses.

    >>> intra_list_distance(jnp.array([[0.0, 0.0], [3.0, 4.0]]))
    Array(5., dtype=float32)
    >>> vectors, where = jnp.array([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]), jnp.array([True, True, False])
    >>> intra_list_distance(vectors, where, distance="cosine")
    Array(1., dtype=float32)
    >>> def hamming(x, y):
    ...     return jnp.sum(x != y)
    >>> round(float(intra_list_distance(jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), distance=hamming)), 4)
    1.3333
    """
    if where is not None and jnp.ndim(vectors) == 2:
        # Masked vectors may hold anything, NaN too: replaced here, they reach neither the value nor the gradient.
        check_places(where, jnp.shape(vectors)[0])
        vectors = jnp.where(jnp.asarray(where)[:, None], vectors, np.float32(0))
    return mean_pair_distance(pair_distances(vectors, distance=distance), where)


def pair_distances(vectors: Float[Array, "k d"], *, distance: Distance = "euclidean") -> Float[Array, "k k"]:
    """The distance between any two of k vectors.

    The named distances are computed from differences. The shorter way by inner products, |x|^2 + |y|^2 - 2 x.y, loses
    all digits in float32 where two vectors are close to each other and far from 0.

    A function of the caller sees two vectors and is lifted by `jax.vmap`, once for each unordered pair i < j; of a
    vector with itself it is never asked. Under `jax.jit` it is static: it must be hashable, and each new function
    object, such as a lambda that is written in a loop, compiles anew. Arrays that it needs belong into `vectors`.

    Args:
      vectors: float [k, d]. A function gets them as float32.
      distance: "euclidean", "cosine", or a function `(x [d], y [d]) -> number []`, symmetric.

    Returns:
      float32 [k, k], symmetric (a named distance up to its last bit), 0 on the diagonal.

    Raises:
      MismatchError: `vectors` is not [k, d], or the function gives no single number.
      JaxrecError: another name of a distance, or a function that is not hashable.

    >>> pair_distances(jnp.array([[0.0], [2.0]]))
    Array([[0., 2.],
           [2., 0.]], dtype=float32)
    >>> def city_block(x, y):
    ...     return jnp.sum(jnp.abs(x - y))
    >>> pair_distances(jnp.array([[0.0, 0.0], [2.0, 3.0]]), distance=city_block)
    Array([[0., 5.],
           [5., 0.]], dtype=float32)
    """
    check_distance(distance)
    if jnp.ndim(vectors) != 2:
        raise MismatchError(f"vectors must be those of one list, [k, d], got shape {jnp.shape(vectors)}; use jax.vmap")
    vectors = jnp.asarray(vectors).astype(jnp.float32)
    if callable(distance):
        return _distances_of(vectors, distance)
    if distance == "euclidean":
        return _safe_sqrt(_squared_distances(vectors))
    length = _safe_sqrt(jnp.sum(jnp.square(vectors), axis=-1))
    unit = vectors / jnp.where(length > 0, length, np.float32(1))[:, None]
    # For unit vectors 1 - cos = |a - b|^2 / 2. A zero vector stays zero, and then the other length makes up for it.
    short = np.float32(0.5) * (length == 0).astype(jnp.float32)
    between = _squared_distances(unit) / 2 + short[:, None] + short[None, :]
    return between * (1 - np.eye(vectors.shape[0], dtype=np.float32))


def mean_pair_distance(distances: Float[Array, "k k"], where: Bool[Array, " k"] | None = None) -> Float[Array, ""]:
    """The mean over unordered pairs of different places, from any table of distances.

    With the table of one list at hand, the lists cut at several k are its upper left corners.

    Args:
      distances: float [k, k], symmetric.
      where: bool [k], the places that count; all by default.

    Returns:
      float32 []; 0 where fewer than two places count.

    Raises:
      MismatchError: `distances` is not square, or `where` not [k].

    >>> mean_pair_distance(jnp.array([[0.0, 2.0], [2.0, 0.0]]))
    Array(2., dtype=float32)
    """
    shape = jnp.shape(distances)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise MismatchError(f"distances must be [k, k], got shape {shape}; see pair_distances")
    distances = jnp.asarray(distances).astype(jnp.float32)
    pairs = ~np.eye(shape[0], dtype=bool)
    if where is None:
        return jnp.sum(jnp.where(pairs, distances, np.float32(0))) / np.float32(max(shape[0] * (shape[0] - 1), 1))
    check_places(where, shape[0])
    where = jnp.asarray(where).astype(bool)
    counted = where[:, None] & where[None, :] & pairs
    total = jnp.sum(jnp.where(counted, distances, np.float32(0)))
    return total / jnp.maximum(jnp.sum(counted, dtype=jnp.float32), np.float32(1))


def catalog_coverage(lists: Int[Array, "U k"], num_items: int) -> Float[Array, ""]:
    r"""The share of the catalog that is in at least one list.

    .. math:: \frac{1}{I} \, \Big| \bigcup_u L_u \Big|

    It is a number of all lists together: a mean over users, and an interval over users, do not exist for it.

    Source: Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy: evaluating recommender systems by coverage and
    serendipity", RecSys 2010.

    Args:
      lists: int [U, k], the item index at each place, -1 for padding.
      num_items: I, static under `jax.jit`.

    Returns:
      float32 [], from 0 to 1.

    Raises:
      MismatchError: `lists` is not [U, k].
      JaxrecError: I below 1.

    >>> catalog_coverage(jnp.array([[0, 1], [1, -1]]), num_items=4)
    Array(0.5, dtype=float32)
    """
    if jnp.ndim(lists) != 2:
        raise MismatchError(f"lists must be [U, k], got shape {jnp.shape(lists)}; coverage is of all lists together")
    if num_items < 1:
        raise JaxrecError(f"num_items is {num_items}; pass the size of the catalog")
    lists = jnp.asarray(lists).astype(jnp.int32)
    # Padding is sent past the end, where the scatter drops it; as -1 it would count as the last item.
    at = jnp.where(lists < 0, num_items, lists)
    listed = jnp.zeros(num_items, jnp.bool_).at[at].set(True, mode="drop")
    return jnp.sum(listed, dtype=jnp.float32) / np.float32(num_items)


def check_distance(distance: Distance) -> None:
    """Check that a distance is one of the names or a function that can be static under `jax.jit`.

    Raises:
      JaxrecError: it is neither.

    >>> check_distance("cosine")
    """
    if isinstance(distance, str) and distance in get_args(DistanceName):
        return
    if not callable(distance):
        raise JaxrecError(
            f"distance is {distance!r}; choose 'euclidean' or 'cosine', or pass a function (x [d], y [d])"
        )
    # An object may have __hash__ and hold something that has none, so it is tried.
    try:
        hash(distance)
    except TypeError as error:
        raise JaxrecError(
            f"distance {distance_name(distance)} is not hashable ({error}), which jax.jit needs; pass a plain function"
        ) from None


def distance_name(distance: Distance) -> str:
    """How a report names a distance: by its name, or by that of the function.

    >>> distance_name("cosine"), distance_name(jnp.vdot)
    ('cosine', 'vdot')
    """
    if isinstance(distance, str):
        return distance
    inner: Any = distance
    while not hasattr(inner, "__name__") and hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    return getattr(inner, "__name__", type(inner).__name__)


def check_places(where: jax.Array, size: int) -> None:
    """Check that a mask has one entry for each place of the list.

    Raises:
      MismatchError: it does not.

    >>> check_places(jnp.array([True]), 1)
    """
    if jnp.shape(where) != (size,):
        raise MismatchError(
            f"where has shape {jnp.shape(where)}, expected ({size},): one entry for each place of the list"
        )


def _distances_of(vectors: jax.Array, distance: PairDistance) -> jax.Array:
    """The table [k, k] of a distance of the caller, from one call for each unordered pair."""
    size = vectors.shape[0]
    if size < 2:
        return jnp.zeros((size, size), jnp.float32)
    one = jax.ShapeDtypeStruct(vectors.shape[1:], jnp.float32)
    out: Any = jax.eval_shape(distance, one, one)
    if getattr(out, "shape", None) != () or jnp.issubdtype(out.dtype, jnp.complexfloating):
        told = f"{out.dtype}{list(out.shape)}" if hasattr(out, "shape") else type(out).__name__
        raise MismatchError(
            f"distance {distance_name(distance)} gives {told} for two vectors [{vectors.shape[1]}], expected one real "
            "number; sum over the last axis"
        )
    left, right = np.triu_indices(size, 1)
    values = jax.vmap(distance)(vectors[left], vectors[right]).astype(jnp.float32)
    # Each place of the table looks its pair up. The diagonal has none: it looks up the first, and is overwritten.
    pair = np.zeros((size, size), np.int32)
    pair[left, right] = pair[right, left] = np.arange(len(left))
    return jnp.where(np.eye(size, dtype=bool), np.float32(0), values[pair])


def _squared_distances(vectors: jax.Array) -> jax.Array:
    # Written as one expression, XLA adds up each pair in place; no [k, k, d] array is ever made.
    return jnp.sum(jnp.square(vectors[:, None, :] - vectors[None, :, :]), axis=-1)


def _safe_sqrt(squared: jax.Array) -> jax.Array:
    # The square root has no slope at 0 (the diagonal, equal items), so it never sees one.
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, np.float32(1))), np.float32(0))
