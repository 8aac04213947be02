"""The bipartite graph of users and items, and its matrices as BCOO: R, A, D, L, and the normalised R and A.

In every N x N matrix, N = U + I, users come first and items second. The degree of a node is the sum of its row of A,
and a node of degree 0 gets 0 wherever a power of its degree would be infinite.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import MismatchError
from jaxrec.sparse import BCOO, from_entries

if TYPE_CHECKING:
    import networkx
    import scipy.sparse


def biadjacency(interactions: Interactions, weights: np.ndarray | None = None) -> BCOO:
    """The matrix R of users and items, with a 1 (or a weight) for each pair that occurs.

    Args:
      interactions: E interactions. A pair that occurs several times counts once.
      weights: float [E], one for each interaction (for example its rating), or None for ones; with weights every pair
        must occur once.

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
        seen = seen_items(interactions)
        rows = np.repeat(np.arange(shape[0], dtype=np.int32), np.diff(seen.indptr))
        return from_entries(np.ones(len(rows), np.float32), rows, np.asarray(seen.items), shape)
    weights = np.asarray(weights, np.float32)
    if weights.shape != (len(interactions),):
        raise MismatchError(f"weights has shape {weights.shape}, expected ({len(interactions)},): one an interaction")
    return from_entries(weights, interactions.user, interactions.item, shape)


def adjacency(biadjacency: BCOO) -> BCOO:
    """The symmetric matrix A = [[0, R], [R^T, 0]] of the bipartite graph.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N] with N = U + I, users first; sorted and unique where R is unique.

    >>> adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return _adjacency(biadjacency)


@jax.jit  # one program: compiled one by one, its operations take seconds for every new shape
def _adjacency(biadjacency: BCOO) -> BCOO:
    num_users, num_items = biadjacency.shape
    r = biadjacency if biadjacency.indices_sorted else biadjacency.sort_indices()
    users, items = r.indices[:, 0], r.indices[:, 1] + num_users
    by_item = jnp.lexsort((users, items))
    rows = jnp.concatenate([users, items[by_item]])
    columns = jnp.concatenate([items, users[by_item]])
    return BCOO(
        (jnp.concatenate([r.data, r.data[by_item]]), jnp.stack([rows, columns], axis=1)),
        shape=(num_users + num_items, num_users + num_items),
        indices_sorted=True,
        unique_indices=r.unique_indices,
    )


def degrees(biadjacency: BCOO) -> tuple[jax.Array, jax.Array]:
    """The diagonals of D_U and D_I: the sums of the rows and of the columns of R.

    Returns:
      (users [U], items [I]), of R's dtype.

    >>> degrees(biadjacency(Interactions.from_arrays(["u", "u"], ["a", "b"])))[0].tolist()
    [2.0]
    """
    rows, columns = biadjacency.indices[:, 0], biadjacency.indices[:, 1]
    users = jax.ops.segment_sum(biadjacency.data, rows, biadjacency.shape[0])
    return users, jax.ops.segment_sum(biadjacency.data, columns, biadjacency.shape[1])


def degree_matrix(biadjacency: BCOO) -> BCOO:
    """The diagonal matrix D of the degrees of all nodes, users first.

    Returns:
      BCOO [N, N]; a node of degree 0 is stored with a 0.

    >>> degree_matrix(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _diagonal(jnp.concatenate(degrees(biadjacency)))


def laplacian(biadjacency: BCOO) -> BCOO:
    """The combinatorial Laplacian L = D - A.

    Returns:
      BCOO [N, N], sorted and unique; its rows sum to 0.

    >>> laplacian(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    a, d = adjacency(biadjacency), degree_matrix(biadjacency)
    indices = jnp.concatenate([d.indices, a.indices])
    data = jnp.concatenate([d.data, -a.data])
    order = jnp.lexsort((indices[:, 1], indices[:, 0]))
    return BCOO((data[order], indices[order]), shape=a.shape, indices_sorted=True, unique_indices=a.unique_indices)


def normalized_biadjacency(biadjacency: BCOO) -> BCOO:
    """The matrix R~ = D_U^(-1/2) R D_I^(-1/2).

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [U, I] with the same places as R.

    Source: He et al., LightGCN, SIGIR 2020, equation 7.

    >>> r = normalized_biadjacency(biadjacency(Interactions.from_arrays(["u", "u"], ["a", "b"])))
    >>> r.todense().round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    return _normalized_biadjacency(biadjacency)


@jax.jit  # as `_adjacency`
def _normalized_biadjacency(biadjacency: BCOO) -> BCOO:
    users, items = (_inverse_root(degree) for degree in degrees(biadjacency))
    rows, columns = biadjacency.indices[:, 0], biadjacency.indices[:, 1]
    scale = users.at[rows].get(mode="fill", fill_value=0) * items.at[columns].get(mode="fill", fill_value=0)
    return BCOO(
        (biadjacency.data * scale, biadjacency.indices),
        shape=biadjacency.shape,
        indices_sorted=biadjacency.indices_sorted,
        unique_indices=biadjacency.unique_indices,
    )


def normalized_adjacency(biadjacency: BCOO) -> BCOO:
    """The matrix A~ = D^(-1/2) A D^(-1/2) = [[0, R~], [R~^T, 0]], without self-loops.

    Args:
      biadjacency: R, BCOO [U, I].

    Returns:
      BCOO [N, N], symmetric, sorted; its eigenvalues lie in [-1, 1].

    Source: He et al., LightGCN, SIGIR 2020, equation 8.

    >>> normalized_adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"]))).todense().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return adjacency(normalized_biadjacency(biadjacency))


def renormalized_adjacency(adjacency: BCOO, *, self_loops: bool = True, weighted: bool = True) -> BCOO:
    """The matrix A^ = D^^(-1/2) (A + I) D^^(-1/2) of any undirected graph, with D^ the degrees of A + I.

    Self-loops that the graph has are left out first, with a warning that counts them: every node then has one, of
    weight 1. An isolated node keeps its self-loop alone, with the entry 1.

    Args:
      adjacency: A, BCOO [N, N], symmetric (on the host, not under jit). An entry of 0 is no edge.
      self_loops: False leaves I out: D^(-1/2) A D^(-1/2), in which an isolated node has an empty row.
      weighted: whether the entries are the weights of the edges; False counts each edge as 1.

    Returns:
      BCOO [N, N], float32, symmetric, sorted and unique; its eigenvalues lie in [-1, 1].

    Raises:
      MismatchError: a matrix that is not square or not symmetric (a directed graph), an edge that is given twice, a
        weight that is negative or not finite.

    Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017, equation 2.

    >>> path = adjacency(biadjacency(Interactions.from_arrays(["u"], ["a"])))
    >>> renormalized_adjacency(path).todense().round(2).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if len(adjacency.shape) != 2 or adjacency.shape[0] != adjacency.shape[1]:
        raise MismatchError(f"adjacency must be square, one row and one column a node; got shape {adjacency.shape}")
    size = adjacency.shape[0]
    data, indices = np.asarray(adjacency.data, np.float64), np.asarray(adjacency.indices)
    kept = (indices < size).all(axis=1) & (data != 0)  # a BCOO pads with indices out of bounds
    data, rows, columns = data[kept], indices[kept, 0], indices[kept, 1]
    if not weighted:
        data = np.ones_like(data)
    if not (np.isfinite(data).all() and (data > 0).all()):
        at = int(np.argmax(~(np.isfinite(data) & (data > 0))))
        raise MismatchError(
            f"the edge ({rows[at]}, {columns[at]}) has weight {data[at]:g}; weights must be positive and finite, or be "
            "left out with weighted=False"
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
    """The matrix R of a bipartite networkx graph, and the interactions that hold its node names.

    Args:
      graph: an undirected bipartite graph.
      users: the nodes of the user side; by default those with `bipartite=0`.
      items: the nodes of the item side; by default those with `bipartite=1`.

    Returns:
      (R as BCOO [U, I], interactions). Nodes without an edge keep their row or column.

    Raises:
      DataError: sides that are not given and not marked, or an edge inside one side.

    >>> import networkx
    >>> r, women = from_networkx(networkx.davis_southern_women_graph())
    >>> r.shape, r.nse
    ((18, 14), 89)
    """
    from jaxrec.data.reading._conversions import from_networkx as interactions_from_networkx

    interactions = interactions_from_networkx(graph, users, items)
    return biadjacency(interactions, interactions.rating), interactions


def to_networkx(biadjacency: BCOO, users: Any = None, items: Any = None) -> networkx.Graph:
    """The bipartite networkx graph of R, with `bipartite` marks and `weight` on the edges.

    Args:
      biadjacency: R, BCOO [U, I].
      users: U node names; by default ("user", 0), ("user", 1), ...
      items: I node names; by default ("item", 0), ...

    Raises:
      MismatchError: names of another number, or a name that both sides have.

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
        raise MismatchError(f"users and items share the name {next(iter(shared))!r}; a node needs a name of its own")
    graph = networkx.Graph()
    graph.add_nodes_from(sides[0], bipartite=0)
    graph.add_nodes_from(sides[1], bipartite=1)
    places, weights = np.asarray(biadjacency.indices), np.asarray(biadjacency.data)
    graph.add_weighted_edges_from(
        (sides[0][u], sides[1][i], w) for (u, i), w in zip(places.tolist(), weights.tolist(), strict=True)
    )
    return graph


def to_scipy(matrix: BCOO) -> scipy.sparse.csr_array:
    """A BCOO as a scipy compressed-row array.

    >>> to_scipy(biadjacency(Interactions.from_arrays(["u"], ["a"]))).toarray().tolist()
    [[1.0]]
    """
    import scipy.sparse

    indices = np.asarray(matrix.indices)
    entries = (np.asarray(matrix.data), (indices[:, 0], indices[:, 1]))
    return scipy.sparse.coo_array(entries, shape=matrix.shape).tocsr()


def from_scipy(matrix: Any) -> BCOO:
    """A scipy sparse matrix or array as a BCOO, float32, sorted and unique; stored zeros are kept out.

    >>> import scipy.sparse
    >>> from_scipy(scipy.sparse.eye_array(2)).nse
    2
    """
    coo = matrix.tocsr().tocoo()  # the way through rows adds up repeated entries
    kept = coo.data != 0
    return from_entries(coo.data[kept].astype(np.float32), coo.row[kept], coo.col[kept], coo.shape)


def _inverse_root(degree: jax.Array) -> jax.Array:
    positive = degree > 0
    return jnp.where(positive, jax.lax.rsqrt(jnp.where(positive, degree, 1)), 0)


def _diagonal(values: jax.Array) -> BCOO:
    at = jnp.arange(values.shape[0], dtype=jnp.int32)
    return BCOO((values, jnp.stack([at, at], axis=1)), shape=values.shape * 2, indices_sorted=True, unique_indices=True)
