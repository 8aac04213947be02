"""Item-based nearest neighbors: items are recommended for their likeness to those that the user has."""

from __future__ import annotations

import functools
from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxrec.models._neighbors import NeighborModel
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator


class ItemKNN(NeighborModel):
    """Item-kNN: score(u, i) = sum over j in N(u) of s_ij, over the pairs where j is among the k nearest of i.

    s is the cosine of the columns of R, s_ij = |U_i and U_j| / (sqrt(|U_i|) sqrt(|U_j|)), or, with "normalized", the
    inner product of the columns of R~, which counts an active user less. The diagonal is 0. It has no parameters: the
    neighbors are found when the scorer is made, with a block of the I x I matrix in memory at a time.

    Attributes:
      neighbors: k, how many neighbors each item keeps.
      similarity: "cosine" or "normalized".
      shrink: added to the denominator of the cosine; larger values trust rare items less.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: fewer than one neighbor, a negative shrink.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Deshpande and
    Karypis, TOIS 22(1), 2004, for the k nearest.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> scorer = ItemKNN(num_users=2, num_items=3).apply({}, adjacency)
    >>> scorer.similarities(jnp.array([0])).round(3).tolist()
    [[0.0, 0.7070000171661377, 0.0]]
    """

    serves_new_users: ClassVar[bool] = True

    def __call__(self, adjacency: SparseOperator) -> ItemWeightScorer:
        """The scorer, from a normalized adjacency [N, N]."""
        num_users, num_items = bound_sizes(self, adjacency)
        block = user_item_block(adjacency, num_users, binary=self.similarity == "cosine")
        counts = jnp.diff(adjacency.indptr)[num_users:].astype(jnp.float32)
        values, items = self.nearest(block, counts)
        weights = transposed_rows(values, items, num_items)
        return ItemWeightScorer(history_of(adjacency, num_users), weights, longest_history(adjacency, num_users))


@functools.partial(jax.jit, static_argnames="num_items")
def transposed_rows(values: jax.Array, items: jax.Array, num_items: int) -> SparseOperator:
    """The operator [I, I] whose transpose has row i with `values[i]` at `items[i]`, both [I, k].

    >>> transposed_rows(jnp.array([[7.0], [9.0]]), jnp.array([[1], [1]], jnp.int32), 2).T.data.tolist()
    [7.0, 9.0]
    """
    k = values.shape[1]
    rows = jnp.repeat(jnp.arange(num_items, dtype=jnp.int32), k)
    transposed = (values.reshape(-1), rows, items.reshape(-1), jnp.arange(num_items + 1, dtype=jnp.int32) * k)
    order = jnp.argsort(transposed[2], stable=True)
    counts = jax.ops.segment_sum(jnp.ones_like(rows), transposed[2], num_items)
    indptr = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(counts, dtype=jnp.int32)])
    return SparseOperator(
        transposed[0][order], transposed[2][order], rows[order], indptr, transposed, (num_items, num_items)
    )


def longest_history(adjacency: SparseOperator, num_users: int) -> int:
    """The length of the longest history, at least 1: a static size, so it is read on the host and not under jit.

    >>> from jaxrec.sparse import from_dense, operator
    >>> longest_history(operator(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]]))), 1)
    1
    """
    return max(int(jnp.diff(adjacency.indptr[: num_users + 1]).max()), 1)
