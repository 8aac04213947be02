"""Diversity of lists: how far apart the items of one list are, and how much of the catalogue all lists cover."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError, MismatchError

Distance = Literal["euclidean", "cosine"]


def intra_list_distance(
    vectors: jax.Array, where: jax.Array | None = None, *, distance: Distance = "euclidean"
) -> jax.Array:
    r"""The mean distance between two items of one list.

    .. math:: \frac{2}{n (n - 1)} \sum_{i < j} \lVert x_i - x_j \rVert_2

    over the n items that count. Each unordered pair counts once and an item is not compared with itself. The cosine
    distance is 1 - cos(x_i, x_j); a vector of zeros has cosine 0 with every vector, so distance 1.

    To compare models, take the vectors of all of them from one item space (`jaxrec.evaluation.item_space`): the
    embeddings of each model have their own scale.

    Source: Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005, as a
    mean of distances instead of a sum of similarities.

    Args:
      vectors: float [k, d], the item at each place of the list.
      where: bool [k], the places that count (False for padding and for items without a vector); all by default.
      distance: "euclidean" or "cosine".

    Returns:
      float32 [], not negative; 0 for a list of fewer than two items. Value and gradient are finite under any mask.

    Raises:
      MismatchError: `vectors` is not [k, d], or `where` not [k].
      JaxrecError: another name of a distance.

    >>> intra_list_distance(jnp.array([[0.0, 0.0], [3.0, 4.0]]))
    Array(5., dtype=float32)
    >>> vectors, where = jnp.array([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]), jnp.array([True, True, False])
    >>> intra_list_distance(vectors, where, distance="cosine")
    Array(1., dtype=float32)
    """
    if where is not None and jnp.ndim(vectors) == 2:
        # Masked vectors may hold anything, NaN too: replaced here, they reach neither the value nor the gradient.
        check_places(where, jnp.shape(vectors)[0])
        vectors = jnp.where(jnp.asarray(where)[:, None], vectors, np.float32(0))
    return mean_pair_distance(pair_distances(vectors, distance=distance), where)


def pair_distances(vectors: jax.Array, *, distance: Distance = "euclidean") -> jax.Array:
    """The distance between any two of k vectors.

    It is computed from differences. The shorter way by inner products, |x|^2 + |y|^2 - 2 x.y, loses all digits in
    float32 where two vectors are close to each other and far from 0.

    Args:
      vectors: float [k, d].
      distance: "euclidean" or "cosine".

    Returns:
      float32 [k, k], symmetric, 0 on the diagonal.

    Raises:
      MismatchError: `vectors` is not [k, d].
      JaxrecError: another name of a distance.

    >>> pair_distances(jnp.array([[0.0], [2.0]]))
    Array([[0., 2.],
           [2., 0.]], dtype=float32)
    """
    if jnp.ndim(vectors) != 2:
        raise MismatchError(f"vectors must be those of one list, [k, d], got shape {jnp.shape(vectors)}; use jax.vmap")
    vectors = jnp.asarray(vectors).astype(jnp.float32)
    if distance == "euclidean":
        return _safe_sqrt(_squared_distances(vectors))
    if distance == "cosine":
        length = _safe_sqrt(jnp.sum(jnp.square(vectors), axis=-1))
        unit = vectors / jnp.where(length > 0, length, np.float32(1))[:, None]
        # For unit vectors 1 - cos = |a - b|^2 / 2. A zero vector stays zero, and then the other length makes up for it.
        short = np.float32(0.5) * (length == 0).astype(jnp.float32)
        between = _squared_distances(unit) / 2 + short[:, None] + short[None, :]
        return between * (1 - np.eye(vectors.shape[0], dtype=np.float32))
    raise JaxrecError(f"distance is {distance!r}; choose 'euclidean' or 'cosine'")


def mean_pair_distance(distances: jax.Array, where: jax.Array | None = None) -> jax.Array:
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


def catalogue_coverage(lists: jax.Array, num_items: int) -> jax.Array:
    r"""The share of the catalogue that is in at least one list.

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

    >>> catalogue_coverage(jnp.array([[0, 1], [1, -1]]), num_items=4)
    Array(0.5, dtype=float32)
    """
    if jnp.ndim(lists) != 2:
        raise MismatchError(f"lists must be [U, k], got shape {jnp.shape(lists)}; coverage is of all lists together")
    if num_items < 1:
        raise JaxrecError(f"num_items is {num_items}; pass the size of the catalogue")
    lists = jnp.asarray(lists).astype(jnp.int32)
    # Padding is sent past the end, where the scatter drops it; as -1 it would count as the last item.
    at = jnp.where(lists < 0, num_items, lists)
    listed = jnp.zeros(num_items, jnp.bool_).at[at].set(True, mode="drop")
    return jnp.sum(listed, dtype=jnp.float32) / np.float32(num_items)


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


def _squared_distances(vectors: jax.Array) -> jax.Array:
    # Written as one expression, XLA adds up each pair in place; no [k, k, d] array is ever made.
    return jnp.sum(jnp.square(vectors[:, None, :] - vectors[None, :, :]), axis=-1)


def _safe_sqrt(squared: jax.Array) -> jax.Array:
    # The square root has no slope at 0 (the diagonal, equal items), so it never sees one.
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, np.float32(1))), np.float32(0))
