"""The bipartite graph of users and items, and its matrices as BCOO: R, A, D, L, and the normalized R and A.

In every [N, N] matrix, N = U + I, users come first and items second. The degree of a node is its row sum in A. A
node of degree 0 gets 0 wherever a power of its degree would be infinite.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import MismatchError
from jaxrec.sparse import SparseOperator, bcoo, check_entries, from_entries, reads_rows
from jaxrec.sparse._matrices import rows_of_entries
from jaxrec.types import Array

if TYPE_CHECKING:
    import networkx
    import scipy.sparse

    from jaxrec.sparse import BCOO


def biadjacency(interactions: Interactions, weights: Shaped[np.ndarray, " E"] | None = None) -> BCOO:
    """Build the user-item matrix R, with a 1 or a weight for each pair that occurs.

    Args:
      interactions: E interactions. Repeated pairs count once.
      weights: float [E], one per interaction, for example its rating; None for ones. With weights every pair must be
        unique.

    Returns:
      BCOO [U, I], float32, sorted and unique.

    Raises:
      MismatchError: weights of another length, or a repeated pair with weights.

    >>> data = Interactions.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> biadjacency(data).todense().tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    shape = (interactions.num_users, interactions.num_items)
    if weights is None:
        seen = seen_items(interactions)  # sorted and distinct
        indices = np.empty((len(seen.items), 2), np.int32)
        indices[:, 0] = np.repeat(np.arange(shape[0], dtype=np.int32), np.diff(seen.indptr))
        indices[:, 1] = seen.items
        return bcoo(np.ones(len(indices), np.float32), indices, shape, indices_sorted=True, unique_indices=True)
    weights = np.asarray(weights, np.float32)
    if weights.shape != (len(interactions),):
        raise MismatchError(f"weights has shape {weights.shape}, expected ({len(interactions)},): one per interaction")
    return from_entries(weights, interactions.user, interactions.item, shape)


def adjacency(biadjacency: BCOO) -> BCOO:
    """Build the symmetric matrix A = [[0, R], [R^T, 0]] of the bipartite graph.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N], users first; sorted, and unique if R is unique.

    >>> adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return _adjacency(biadjacency)


@jax.jit  # one program: compiled one at a time, its operations take seconds for every new shape
def _adjacency(biadjacency: BCOO) -> BCOO:
    num_users, num_items = biadjacency.shape
    r = biadjacency if biadjacency.indices_sorted else biadjacency.sort_indices()
    users, items = r.indices[:, 0], r.indices[:, 1] + num_users
    by_item = jnp.lexsort((users, items))
    rows = jnp.concatenate([users, items[by_item]])
    columns = jnp.concatenate([items, users[by_item]])
    return bcoo(
        jnp.concatenate([r.data, r.data[by_item]]),
        jnp.stack([rows, columns], axis=1),
        (num_users + num_items, num_users + num_items),
        indices_sorted=True,
        unique_indices=r.unique_indices,
    )


def degrees(biadjacency: BCOO) -> tuple[Shaped[Array, " U"], Shaped[Array, " I"]]:
    """Compute the diagonals of D_U and D_I: the row sums and the column sums of R.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      (users [U], items [I]), of R's dtype.

    >>> degrees(biadjacency(Interactions.from_arrays(["u", "u"], ["a", "b"])))[0].tolist()
    [2.0]
    """
    rows, columns = biadjacency.indices[:, 0], biadjacency.indices[:, 1]
    users = jax.ops.segment_sum(biadjacency.data, rows, biadjacency.shape[0])
    return users, jax.ops.segment_sum(biadjacency.data, columns, biadjacency.shape[1])


def degree_matrix(biadjacency: BCOO) -> BCOO:
    """Build the diagonal matrix D of the degrees of all nodes, users first.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N]; the 0 of an isolated node is stored.

    >>> degree_matrix(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _diagonal(jnp.concatenate(degrees(biadjacency)))


def laplacian(biadjacency: BCOO) -> BCOO:
    """Build the combinatorial Laplacian L = D - A.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N], sorted and unique; its rows sum to 0.

    >>> laplacian(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    a, d = adjacency(biadjacency), degree_matrix(biadjacency)
    indices = jnp.concatenate([d.indices, a.indices])
    data = jnp.concatenate([d.data, -a.data])
    order = jnp.lexsort((indices[:, 1], indices[:, 0]))
    return bcoo(data[order], indices[order], a.shape, indices_sorted=True, unique_indices=a.unique_indices)


def normalized_biadjacency(biadjacency: BCOO) -> BCOO:
    """Build the normalized user-item matrix R~ = D_U^(-1/2) R D_I^(-1/2).

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [U, I] with the same places as R.

    References:
      He et al., LightGCN, SIGIR 2020, equation 7.

    >>> r = normalized_biadjacency(biadjacency(Interactions.from_arrays(["u", "u"], ["a", "b"])))
    >>> r.todense().round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    return _normalized_biadjacency(biadjacency)


@jax.jit  # one program, for the same reason as `_adjacency`
def _normalized_biadjacency(biadjacency: BCOO) -> BCOO:
    users, items = (_inverse_root(degree) for degree in degrees(biadjacency))
    rows, columns = biadjacency.indices[:, 0], biadjacency.indices[:, 1]
    scale = users.at[rows].get(mode="fill", fill_value=0) * items.at[columns].get(mode="fill", fill_value=0)
    return bcoo(
        biadjacency.data * scale,
        biadjacency.indices,
        biadjacency.shape,
        indices_sorted=biadjacency.indices_sorted,
        unique_indices=biadjacency.unique_indices,
    )


def normalized_adjacency(biadjacency: BCOO) -> BCOO:
    """Build the normalized adjacency A~ = D^(-1/2) A D^(-1/2) = [[0, R~], [R~^T, 0]], without self-loops.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N], symmetric, sorted; its eigenvalues lie in [-1, 1].

    References:
      He et al., LightGCN, SIGIR 2020, equation 8.

    >>> normalized_adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return adjacency(normalized_biadjacency(biadjacency))


def adjacency_operator(seen: SeenItems, num_items: int, *, rows: bool | None = None) -> SparseOperator:
    """Lay out the normalized adjacency A~ straight from who has what, for fast products.

    It is `operator(normalized_adjacency(biadjacency(...)), symmetric=True)`, bit for bit, without the BCOO, without a
    sort and without a check: R~ is there by user, one counting sort lays it out by item, and what is made of both is
    symmetric. It takes 8 bytes an entry of A~, two entries a pair, and as much again while it is made.

    Args:
      seen: the distinct items of each of the U users, ascending.
      num_items: I.
      rows: whether the row of each entry is stored, 4 bytes an entry: None stores it where the default platform's
        products read it, which is everywhere but on CPU.

    Returns:
      Operator [N, N], N = U + I, users first.

    Raises:
      MismatchError: 2^30 pairs or more, whose 2^31 entries int32 pointers do not count.

    References:
      He et al., LightGCN, SIGIR 2020, equation 8.

    >>> from jaxrec.data import seen_items
    >>> data = Interactions.from_arrays(["u", "u"], ["a", "b"])
    >>> adjacency_operator(seen_items(data), 2).columns.tolist()
    [1, 2, 0, 0]
    """
    import scipy.sparse  # with the products, which bring it along

    indptr, items = np.asarray(seen.indptr), np.asarray(seen.items)
    num_users, pairs = len(indptr) - 1, len(items)
    check_entries(2 * pairs)
    counts = np.diff(indptr)
    by_user, by_item = (
        np.asarray(_inverse_roots(degree.astype(np.float32)))
        for degree in (counts, np.bincount(items, minlength=num_items))
    )
    data, columns = np.empty(2 * pairs, np.float32), np.empty(2 * pairs, np.int32)
    data[:pairs] = np.repeat(by_user, counts)
    data[:pairs] *= by_item[items]
    np.add(items, num_users, out=columns[:pairs])
    turned = scipy.sparse.csr_array((data[:pairs], items, indptr), shape=(num_users, num_items)).tocsc()
    data[pairs:], columns[pairs:] = turned.data, turned.indices
    pointers = np.concatenate([indptr, turned.indptr[1:] + np.int32(pairs)]).astype(np.int32)
    del turned
    stored = rows_of_entries(pointers, 2 * pairs) if (reads_rows() if rows is None else rows) else None
    nodes = num_users + num_items
    parts = (jnp.asarray(data), stored, jnp.asarray(columns), jnp.asarray(pointers))
    return SparseOperator(*parts, None, (nodes, nodes))  # pyright: ignore[reportArgumentType]


def renormalized_adjacency(adjacency: BCOO, *, self_loops: bool = True, weighted: bool = True) -> BCOO:
    """Build A^ = D^^(-1/2) (A + I) D^^(-1/2) of any undirected graph, with D^ the degrees of A + I.

    Self-loops of the graph are dropped first, with a warning that counts them; then every node gets one of weight 1.
    The row of an isolated node holds only its self-loop, with the entry 1.

    Args:
      adjacency: A, BCOO [N, N], symmetric, read on the host, not under jit. An entry of 0 is no edge.
      self_loops: False omits I: D^(-1/2) A D^(-1/2), in which the row of an isolated node is empty.
      weighted: True takes the entries as edge weights; False counts each edge as 1.

    Returns:
      BCOO [N, N], float32, symmetric, sorted and unique; its eigenvalues lie in [-1, 1].

    Raises:
      MismatchError: a matrix that is not square or not symmetric (a directed graph), a repeated edge, or a negative or
        non-finite weight.

    References:
      Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017, equation 2.

    >>> path = adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"])))
    >>> renormalized_adjacency(path).todense().round(2).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if len(adjacency.shape) != 2 or adjacency.shape[0] != adjacency.shape[1]:
        raise MismatchError(f"adjacency must be square, one row and one column per node; got shape {adjacency.shape}")
    size = adjacency.shape[0]
    data, indices = np.asarray(adjacency.data, np.float64), np.asarray(adjacency.indices)
    kept = (indices < size).all(axis=1) & (data != 0)  # a BCOO pads with indices out of bounds
    data, rows, columns = data[kept], indices[kept, 0], indices[kept, 1]
    if not weighted:
        data = np.ones_like(data)
    if not (np.isfinite(data).all() and (data > 0).all()):
        at = int(np.argmax(~(np.isfinite(data) & (data > 0))))
        raise MismatchError(
            f"the edge ({rows[at]}, {columns[at]}) has weight {data[at]:g}; pass positive finite "
            "weights, or ignore them with weighted=False"
        )
    order = np.argsort(rows * np.int64(size) + columns)
    data, rows, columns = data[order], rows[order], columns[order]
    places, mirrored = rows * np.int64(size) + columns, columns * np.int64(size) + rows
    at = np.minimum(np.searchsorted(places, mirrored), max(len(places) - 1, 0))
    paired = (places[at] == mirrored) & np.isclose(data[at], data, rtol=1e-6, atol=0)
    if not paired.all():
        edge = int(np.argmin(paired))
        raise MismatchError(
            f"the graph is directed: the edge ({rows[edge]}, {columns[edge]}) of weight {data[edge]:g} has no equal "
            f"edge ({columns[edge]}, {rows[edge]}); pass an undirected graph, for example A + A^T"
        )
    loops = rows == columns
    if loops.any():
        warnings.warn(f"{loops.sum()} self-loops of the graph were left out", stacklevel=2)
        data, rows, columns = data[~loops], rows[~loops], columns[~loops]
    if self_loops:
        nodes = np.arange(size)
        rows, columns = np.concatenate([rows, nodes]), np.concatenate([columns, nodes])
        data = np.concatenate([data, np.ones(size)])
    degrees = np.bincount(rows, weights=data, minlength=size)
    scale = 1 / np.sqrt(np.where(degrees > 0, degrees, 1))
    return from_entries((data * scale[rows] * scale[columns]).astype(np.float32), rows, columns, (size, size))


def from_networkx(graph: networkx.Graph, users: Any = None, items: Any = None) -> tuple[BCOO, Interactions]:
    """Convert a bipartite networkx graph to the matrix R, and to interactions with the node names as ids.

    Args:
      graph: an undirected bipartite graph.
      users: the user nodes; by default those with `bipartite=0`.
      items: the item nodes; by default those with `bipartite=1`.

    Returns:
      (R as BCOO [U, I], interactions). A node without edges keeps its row or column.

    Raises:
      DataError: sides neither given nor marked, or an edge inside one side.

    >>> import networkx
    >>> r, women = from_networkx(networkx.davis_southern_women_graph())
    >>> r.shape, r.nse
    ((18, 14), 89)
    """
    from jaxrec.data.reading._conversions import from_networkx as interactions_from_networkx

    interactions = interactions_from_networkx(graph, users, items)
    return biadjacency(interactions, interactions.rating), interactions


def to_networkx(biadjacency: BCOO, users: Any = None, items: Any = None) -> networkx.Graph:
    """Convert R to a bipartite networkx graph, with `bipartite` on the nodes and `weight` on the edges.

    Args:
      biadjacency: R, BCOO [U, I].
      users: U node names; by default ("user", 0), ("user", 1), ...
      items: I node names; by default ("item", 0), ...

    Raises:
      MismatchError: too few or too many names, or a name on both sides.

    >>> graph = to_networkx(biadjacency(Interactions.from_arrays(["u"], ["a"])), ["u"], ["a"])
    >>> list(graph.edges)
    [('u', 'a')]
    """
    import networkx

    sides = []
    for side, names, size in zip(("user", "item"), (users, items), biadjacency.shape, strict=True):
        names = [(side, index) for index in range(size)] if names is None else list(names)
        if len(names) != size:
            raise MismatchError(f"{side}s has {len(names)} names for {size} nodes")
        sides.append(names)
    if shared := set(sides[0]) & set(sides[1]):
        raise MismatchError(f"users and items share the name {next(iter(shared))!r}; each node needs its own name")
    graph = networkx.Graph()
    graph.add_nodes_from(sides[0], bipartite=0)
    graph.add_nodes_from(sides[1], bipartite=1)
    places, weights = np.asarray(biadjacency.indices), np.asarray(biadjacency.data)
    graph.add_weighted_edges_from(
        (sides[0][u], sides[1][i], w) for (u, i), w in zip(places.tolist(), weights.tolist(), strict=True)
    )
    return graph


def to_scipy(matrix: BCOO) -> scipy.sparse.csr_array:
    """Convert a BCOO [P, Q] to a scipy compressed-row array.

    >>> to_scipy(biadjacency(Interactions.from_arrays(["u"], ["a"]))).toarray().tolist()
    [[1.0]]
    """
    import scipy.sparse

    indices = np.asarray(matrix.indices)
    entries = (np.asarray(matrix.data), (indices[:, 0], indices[:, 1]))
    return scipy.sparse.coo_array(entries, shape=matrix.shape).tocsr()


def from_scipy(matrix: Any) -> BCOO:
    """Convert a scipy sparse matrix or array [P, Q] to a BCOO, float32, sorted and unique, without stored zeros.

    >>> import scipy.sparse
    >>> from_scipy(scipy.sparse.eye_array(2)).nse
    2
    """
    coo = matrix.tocsr().tocoo()  # compressed rows sum repeated entries
    kept = coo.data != 0
    return from_entries(coo.data[kept].astype(np.float32), coo.row[kept], coo.col[kept], coo.shape)


@jax.jit
def _inverse_roots(degree: jax.Array) -> jax.Array:
    return _inverse_root(degree)


def _inverse_root(degree: jax.Array) -> jax.Array:
    positive = degree > 0
    return jnp.where(positive, jax.lax.rsqrt(jnp.where(positive, degree, 1)), 0)


def _diagonal(values: jax.Array) -> BCOO:
    at = jnp.arange(values.shape[0], dtype=jnp.int32)
    return bcoo(values, jnp.stack([at, at], axis=1), values.shape * 2, indices_sorted=True, unique_indices=True)
