"""Clusters of the rows and of the columns of a sparse matrix together, by its leading singular vectors."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32, Key

from jaxrec._checks import whole
from jaxrec._keys import one_key
from jaxrec.sparse import SparseMatrix
from jaxrec.spectral._decompositions import truncated_svd
from jaxrec.types import Array
from jaxrec.vectors import unit

_BLOCK = 65_536  # rows whose distances to all centers are there at a time


class Coclusters(NamedTuple):
    """The cluster of each row and of each column, in 0..clusters-1.

    Attributes:
      rows: int32 [P].
      columns: int32 [Q].

    >>> from jaxrec.sparse import from_dense
    >>> two = from_dense(jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> found = coclusters(two, 2, jax.random.key(0), rank=2)
    >>> bool(found.rows[0] == found.rows[2] == found.columns[1] != found.rows[1])
    True
    """

    rows: jax.Array
    columns: jax.Array


def coclusters(
    matrix: SparseMatrix, clusters: int, key: Key[Array, ""], *, rank: int = 16, iterations: int = 5, rounds: int = 10
) -> Coclusters:
    """Cluster the rows and the columns of a sparse matrix together: spectral co-clustering.

    With M ~ U diag(s) V^T, row p has the vector s u_p and column q the vector s v_q, both scaled to length 1. Spherical
    k-means then finds centers of all of them: each vector goes to the center of the largest inner product, each center
    becomes the mean of its vectors, scaled to length 1. So a cluster has rows and the columns in which they have their
    entries. Clusters are numbered so that each is followed by the one with the nearest center of those left: numbers
    that are near one another are of clusters that are alike.

    Rows and columns without entries are alike to no center, and go to any cluster.

    Args:
      matrix: M, BCOO or operator [P, Q], float32; of interactions `graph.normalized_biadjacency`.
      clusters: how many, at most P + Q. Some may be empty.
      key: consumed.
      rank: of the singular vectors, at most; there are min(P, Q).
      iterations: products of the decomposition, see `truncated_svd`; clusters need few digits.
      rounds: of k-means.

    Returns:
      The clusters of rows and of columns.

    Raises:
      JaxrecError: a number of clusters outside 1..P + Q, a rank, iterations or rounds below 1.

    References:
      Dhillon, Co-clustering documents and words using bipartite spectral graph partitioning, KDD 2001.
      Dhillon and Modha, Concept decompositions for large sparse text data using clustering, Machine Learning 42, 2001.

    >>> from jaxrec.sparse import from_dense
    >>> blocks = from_dense(jnp.kron(jnp.eye(2), jnp.ones((2, 3))))
    >>> coclusters(blocks, 2, jax.random.key(0)).columns.tolist()
    [0, 0, 0, 1, 1, 1]
    """
    clusters = whole("clusters", clusters, 1, sum(matrix.shape))
    rank, rounds = min(whole("rank", rank, 1), *matrix.shape), whole("rounds", rounds, 1)
    draw, first = jax.random.split(one_key(key))
    u, s, vt = truncated_svd(matrix, rank, draw, iterations=iterations)
    found, centers = _spherical(u, s, vt, first, clusters, rounds)
    places = _chain(np.asarray(centers))
    numbers = jnp.asarray(places)[found]
    return Coclusters(numbers[: matrix.shape[0]], numbers[matrix.shape[0] :])


@functools.partial(jax.jit, static_argnums=(4, 5))
def _spherical(
    u: jax.Array, s: jax.Array, vt: jax.Array, key: jax.Array, clusters: int, rounds: int
) -> tuple[jax.Array, jax.Array]:
    """k-means of directions: (the center of each, int32 [P + Q]; the centers [clusters, r])."""
    x = unit(jnp.concatenate([u, vt.T]) * s[None, :])

    def nearest(centers: jax.Array) -> jax.Array:
        def of(row: jax.Array) -> jax.Array:
            return jnp.argmax(jnp.dot(centers, row, precision=jax.lax.Precision.HIGHEST)).astype(jnp.int32)

        return jax.lax.map(of, x, batch_size=min(_BLOCK, x.shape[0]))

    def again(_: jax.Array, centers: jax.Array) -> jax.Array:
        sums = jax.ops.segment_sum(x, nearest(centers), num_segments=clusters)
        # A center that nothing is near stays.
        return jnp.where(jnp.any(sums != 0, axis=1, keepdims=True), unit(sums), centers)

    start = x[jax.random.choice(key, x.shape[0], (clusters,), replace=False)]
    centers = jax.lax.fori_loop(0, rounds, again, start)
    return nearest(centers), centers


def _chain(centers: Float[np.ndarray, "k r"]) -> Int32[np.ndarray, " k"]:
    """The place of each center in a walk from the first one, always to the nearest of those left."""
    alike = centers @ centers.T
    places, at = np.zeros(len(centers), np.int32), 0
    for place in range(1, len(centers)):
        alike[:, at] = -np.inf
        at = int(np.argmax(alike[at]))
        places[at] = place
    return places
