"""A sparse approximate inverse in place of EASE's dense one, for catalogs whose square does not fit the memory."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds, number, whole
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel, solved_anew
from jaxrec.models._ease import check_penalty, item_scale, penalties, weighted_rows
from jaxrec.models._host_inverse import HostRows
from jaxrec.models._itemknn import longest_history, transposed_rows
from jaxrec.models._rp3beta import scaled_rows
from jaxrec.models._sizes import bound_sizes, history_of, user_item_block
from jaxrec.scorers import ItemWeightScorer
from jaxrec.sparse import SparseOperator, spmm
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData

Rows = tuple[jax.Array, jax.Array, jax.Array]
"""Compressed rows: data [E], columns int32 [E], ascending in each row, and indptr int32 [P + 1]."""

_COLUMNS = 256  # whose residuals are dense at a time
_ENTRIES = 2**22  # of local systems that are solved at a time


class SANSA(SolvedModel, nn.Module):
    """EASE with a sparse matrix of weights, from a sparse approximate inverse of A = X^T E^(-b) X + R; see `EASE`.

    Column j of the inverse, m_j, may differ from 0 at item j and at `neighbors` further items S_j. It is the best such
    column in the norm of A, |v|_A^2 = v^T A v: the solution of A[S, S] m = e_j, by a Cholesky factor of that small
    matrix. S_j grows in `rounds`: each adds the items with the largest r_i^2 / A_ii, with the residual r = e_j - A m_j,
    which is what one more entry at i alone would gain. The first round thus takes the largest cosines. The weights are
    -m_ij max(R_jj, (1 - relax) / m_jj). With all items as neighbors they are those of EASE, without its diagonal.

    It takes memory for the entries of the sparse X^T X and for `neighbors` weights an item. A round multiplies about
    2 E I times for E interactions and I items, like `ItemKNN`, and solves I small systems.

    Attributes:
      l2: the weight of the penalty.
      neighbors: the weights that each scored item keeps, the bound of the density.
      rounds: in how many steps they are chosen.
      dropout: as in `EASE`.
      relax: as in `EASE`.
      item_exponent: as in `EASE`.
      user_exponent: as in `EASE`.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: a number out of its range; more than 2^31 pairs of items with a common user.

    References:
      Spisak et al., Scalable approximate nonsymmetric autoencoder for collaborative filtering, RecSys 2023 (SANSA). It
        factors all of A into L D L^T with a bounded density, approximates L^(-1) by iterations that reduce the
        residual, and scores by the product of two sparse matrices. Here each column has a small factor of its own,
        the residual chooses the pattern, and the weights are one sparse matrix.
      Grote and Huckle, Parallel preconditioning with sparse approximate inverses, SIAM J. Sci. Comput. 18(3), 1997
        (patterns that grow by the residual).

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = jnp.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> scorer = SANSA(l2=1.0, neighbors=1, rounds=1, num_users=2, num_items=3).apply({}, adjacency)
    >>> scorer.similarities(jnp.array([0])).round(3).tolist()  # 2 / (2 + 1)
    [[0.0, 0.667..., 0.0]]
    """

    serves_new_users: ClassVar[bool] = True

    l2: float = 300.0
    neighbors: int = 100
    rounds: int = 2
    dropout: float = 0.0
    relax: float = 0.0
    item_exponent: float = 0.0
    user_exponent: float = 0.0
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        check_penalty(self.l2, self.dropout)
        whole("neighbors", self.neighbors, 1)
        whole("rounds", self.rounds, 1)
        number("relax", self.relax, 0, 1)
        number("item_exponent", self.item_exponent)
        number("user_exponent", self.user_exponent)
        super().__post_init__()

    def __call__(self, adjacency: SparseOperator) -> ItemWeightScorer:
        """The scorer, from a normalized adjacency [N, N]; only the places of its entries count."""
        num_users, num_items = bound_sizes(self, adjacency)
        x = weighted_rows(adjacency, num_users, self.user_exponent)
        ridge = jnp.asarray(penalties(x, self.l2, self.dropout))
        users = np.maximum(np.diff(x.indptr), 1).astype(np.float32) ** np.float32(-self.user_exponent / 2)
        block = scaled_rows(user_item_block(adjacency, num_users, binary=True), jnp.asarray(users))
        columns, items = sparse_inverse(block, sparse_gram(x), ridge, self.neighbors, self.rounds)
        counts = np.diff(np.asarray(adjacency.indptr))[num_users:]
        scale = jnp.asarray(item_scale(counts, self.item_exponent))
        factors = jnp.maximum(ridge, (1 - self.relax) / columns[:, 0])
        values = -columns[:, 1:] * scale[items[:, 1:]] * (factors / scale)[:, None]
        weights = transposed_rows(values, items[:, 1:], num_items)
        return ItemWeightScorer(history_of(adjacency, num_users), weights, longest_history(adjacency, num_users))

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items: all is solved from who has what."""
        return solved_anew(self, data)


def sparse_gram(x: HostRows) -> Rows:
    """X^T X of compressed rows X [P, Q] as compressed rows.

    Raises:
      JaxrecError: 2^31 entries or more.

    >>> import scipy.sparse
    >>> [part.tolist() for part in sparse_gram(scipy.sparse.csr_array(np.array([[1.0, 0.0, 2.0]], np.float32)))]
    [[1.0, 2.0, 2.0, 4.0], [0, 2, 0, 2], [0, 2, 2, 4]]
    """
    found = (x.T.tocsr() @ x).tocsr()
    found.sort_indices()
    if found.nnz >= 2**31:
        raise JaxrecError(
            f"{found.nnz:,} pairs of items have a common user, more than are counted in int32; leave out users with "
            "very many items, or use itemknn"
        )
    return jnp.asarray(found.data), jnp.asarray(found.indices, jnp.int32), jnp.asarray(found.indptr, jnp.int32)


def sparse_inverse(
    block: SparseOperator, products: Rows, ridge: jax.Array, neighbors: int, rounds: int
) -> tuple[jax.Array, jax.Array]:
    """Approximate the inverse of A = X^T X + diag(ridge) by sparse columns.

    Args:
      block: X [P, Q].
      products: X^T X as compressed rows.
      ridge: float32 [Q], positive.
      neighbors: how many entries a column has beside that on the diagonal.
      rounds: in how many steps they are chosen.

    Returns:
      (columns float32 [Q, k + 1], items int32 [Q, k + 1]) with k = min(neighbors, Q - 1): row j has the entries of
      column j at the items `items[j]`, which are distinct and begin with j.

    >>> from jaxrec.sparse import from_dense, operator
    >>> import scipy.sparse
    >>> x = np.array([[1.0, 1.0]], np.float32)
    >>> rows = sparse_gram(scipy.sparse.csr_array(x))
    >>> sparse_inverse(operator(from_dense(x)), rows, jnp.ones(2), 5, 1)[0].round(3).tolist()
    [[0.667..., -0.333...], [0.667..., -0.333...]]
    """
    size = block.shape[1]
    wanted = min(neighbors, size - 1)
    items = jnp.arange(size, dtype=jnp.int32)[:, None]
    longest = int(jnp.diff(products[2]).max())
    columns = _solved(products, ridge, items, steps=longest.bit_length())
    for at in range(min(rounds, wanted)):
        added = wanted * (at + 1) // min(rounds, wanted) + 1 - items.shape[1]
        items = _grown(block, products, ridge, columns, items, added=added, steps=longest.bit_length())
        columns = _solved(products, ridge, items, steps=longest.bit_length())
    return columns, items


@functools.partial(jax.jit, static_argnames=("added", "steps"))
def _grown(
    block: SparseOperator,
    products: Rows,
    ridge: jax.Array,
    columns: jax.Array,
    items: jax.Array,
    *,
    added: int,
    steps: int,
) -> jax.Array:
    """The items of each column with those of the largest residuals behind them."""
    size = items.shape[0]
    every = jnp.arange(size, dtype=jnp.int32)
    diagonal = entries(products, every, every, steps=steps) + ridge

    def largest(tile: tuple[jax.Array, jax.Array]) -> jax.Array:
        values, places = tile
        at = jnp.arange(places.shape[0], dtype=jnp.int32)[None, :]
        dense = jnp.zeros((size, places.shape[0]), values.dtype).at[places.T, at].set(values.T)
        residual = spmm(block.T, spmm(block, dense)) + ridge[:, None] * dense  # less e_j, where no item is added
        gain = (jnp.square(residual) / diagonal[:, None]).at[places.T, at].set(-1.0)
        return jax.lax.top_k(gain.T, added)[1]

    width = min(_COLUMNS, size)
    return jnp.concatenate([items, _by_tiles(largest, (columns, items), width)], axis=1)


@functools.partial(jax.jit, static_argnames="steps")
def _solved(products: Rows, ridge: jax.Array, items: jax.Array, *, steps: int) -> jax.Array:
    """The solution of A[S, S] m = e_0 for the items S of each row, [Q, k]."""
    size, k = items.shape

    def solve(tile: tuple[jax.Array]) -> jax.Array:
        (places,) = tile
        local = entries(products, places[:, :, None], places[:, None, :], steps=steps)
        local = local + jnp.eye(k, dtype=local.dtype)[None] * ridge[places][:, :, None]
        factor = jnp.linalg.cholesky(local)
        first = jnp.zeros((*places.shape, 1), local.dtype).at[:, 0].set(1)
        return jax.scipy.linalg.cho_solve((factor, True), first)[:, :, 0]

    return _by_tiles(solve, (items,), min(max(_ENTRIES // k**2, 1), size))


def _by_tiles(function: Any, arrays: tuple[jax.Array, ...], width: int) -> jax.Array:
    """A function of `width` rows of the arrays, over all rows."""
    size = arrays[0].shape[0]
    tiles = -(-size // width)
    which = jnp.minimum(jnp.arange(tiles * width, dtype=jnp.int32), size - 1).reshape(tiles, width)
    found = jax.lax.map(lambda rows: function(tuple(array[rows] for array in arrays)), which)
    return found.reshape(tiles * width, *found.shape[2:])[:size]


def entries(matrix: Rows, rows: jax.Array, columns: jax.Array, *, steps: int) -> jax.Array:
    """The entries of compressed rows at some places, 0 where none is stored, by bisection.

    Args:
      matrix: compressed rows with at least one entry.
      rows: int32 [...].
      columns: int32 [...], which broadcasts with `rows`.
      steps: the bits of the length of the longest row.

    >>> matrix = (jnp.array([5.0, 7.0]), jnp.array([0, 2], jnp.int32), jnp.array([0, 2], jnp.int32))
    >>> entries(matrix, jnp.array([0, 0, 0]), jnp.array([0, 1, 2]), steps=2).tolist()
    [5.0, 0.0, 7.0]
    """
    data, places, indptr = matrix
    shape = jnp.broadcast_shapes(rows.shape, columns.shape)
    rows, columns = jnp.broadcast_to(rows, shape), jnp.broadcast_to(columns, shape)
    low, end = indptr[rows], indptr[rows + 1]
    last = data.shape[0] - 1

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = (low + high) // 2
        before = (low < high) & (places[jnp.minimum(middle, last)] < columns)
        return jnp.where(before, middle + 1, low), jnp.where(before | (low >= high), high, middle)

    low, _ = jax.lax.fori_loop(0, steps, halve, (low, end))
    here = jnp.minimum(low, last)
    return jnp.where((low < end) & (places[here] == columns), data[here], 0)
