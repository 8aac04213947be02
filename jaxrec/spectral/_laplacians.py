"""Laplacians of an undirected graph, L = D - A and L~ = I - A~, and a bound on their largest eigenvalue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import Multiplies, SparseMatrix, SparseOperator, from_entries
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.sparse import BCOO


def combinatorial_laplacian(adjacency: BCOO) -> BCOO:
    """Build the combinatorial Laplacian L = D - A of an undirected graph, with D the diagonal of the row sums of A.

    (L h)[i] = sum over the neighbors j of A[i, j] (h[i] - h[j]), so L has the opposite sign of the Laplace operator
    Delta of calculus: Delta h = -w^2 h for h = exp(i w x), and the same wave on a ring has L h = (2 - 2 cos w) h.

    Args:
      adjacency: A, BCOO [N, N], symmetric, entries of 0 or more: 1 for an edge, or its weight. A diagonal entry (a
        self-loop) counts once in D and cancels in L. Integers become float32.

    Returns:
      BCOO [N, N], sorted and unique; positive semidefinite, rows summing to 0. Built on the host, not under jit.
      `jaxrec.graph.laplacian` builds the same matrix from R of a bipartite graph.

    Raises:
      MismatchError: A is not square, or not symmetric (a directed graph).
      JaxrecError: a negative or non-finite entry.

    >>> from jaxrec.sparse import from_dense
    >>> combinatorial_laplacian(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]]))).todense().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    data, rows, columns = _undirected(adjacency)
    size = adjacency.shape[0]
    degree = np.bincount(rows, weights=data, minlength=size)
    return _diagonal_minus(degree, data, rows, columns, size, data.dtype)


def normalized_laplacian(adjacency: BCOO, isolated: Literal["one", "zero"] = "one") -> BCOO:
    """Build the symmetric normalized Laplacian L~ = I - A~, with A~ = D^(-1/2) A D^(-1/2).

    Its eigenvalues lie in [0, 2]. 0 occurs once for each component with an edge. 2 occurs once for each bipartite
    component with an edge. The spectrum of a bipartite graph is symmetric about 1 (with `isolated="one"`).

    Conventions differ for an isolated node, whose row of A~ is 0. Read literally, I - A~ has a 1 on its diagonal: the
    eigenvalue 1, in the middle of the spectrum, and a low-pass filter removes its signal. With a 0 there, as in
    `networkx.normalized_laplacian_matrix`, 0 occurs once for each component, and a low-pass filter keeps its signal.

    Args:
      adjacency: A, BCOO [N, N], symmetric, entries of 0 or more: 1 for an edge, or its weight. A self-loop counts once
        in D and stays in A~. Integers become float32.
      isolated: "one" or "zero", the diagonal entry of a node of degree 0.

    Returns:
      BCOO [N, N], sorted and unique. Built on the host, not under jit.

    Raises:
      MismatchError: A is not square, or not symmetric (a directed graph).
      JaxrecError: a negative or non-finite entry, or an unknown `isolated`.

    References:
      Chung, Spectral Graph Theory, 1997, section 1.2 and lemma 1.7 (isolated nodes have 0 there).

    >>> from jaxrec.sparse import from_dense
    >>> edge = from_dense(jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> normalized_laplacian(edge).todense().tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> normalized_laplacian(edge, isolated="zero").todense()[2].tolist()
    [0.0, 0.0, 0.0]
    """
    if isolated not in ("one", "zero"):
        raise JaxrecError(f"isolated is {isolated!r}; pass 'one' or 'zero', the diagonal entry of an isolated node")
    data, rows, columns = _undirected(adjacency)
    size = adjacency.shape[0]
    degree = np.bincount(rows, weights=data, minlength=size)
    root = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    diagonal = np.where(degree > 0, 1.0, float(isolated == "one"))
    return _diagonal_minus(diagonal, data * root[rows] * root[columns], rows, columns, size, data.dtype)


def largest_eigenvalue_bound(matrix: SparseMatrix) -> Float[Array, ""]:
    """Bound the eigenvalues of a symmetric matrix from above, from its rows alone.

    max over i of M[i, i] + sum over j != i of |M[i, j]|

    For L = D - A this is twice the largest degree. L~ has the bound 2, which is never worse; use that.
    `estimate_largest_eigenvalue` costs several products and is tighter.

    Args:
      matrix: M, BCOO or operator [N, N], symmetric.

    Returns:
      [], of the matrix's dtype.

    Raises:
      MismatchError: the matrix is not square.

    References:
      Gershgorin's circle theorem.

    >>> from jaxrec.sparse import from_dense
    >>> float(largest_eigenvalue_bound(from_dense(jnp.array([[1.0, -1.0], [-1.0, 1.0]]))))
    2.0
    """
    size = check_square("matrix", matrix)
    if isinstance(matrix, SparseOperator):
        data, rows, columns = matrix.data, matrix.rows, matrix.columns
    else:
        data, rows, columns = matrix.data, matrix.indices[:, 0], matrix.indices[:, 1]
    radii = jax.ops.segment_sum(jnp.where(rows == columns, data, jnp.abs(data)), rows, size)
    return jnp.max(radii)


def check_square(name: str, matrix: SparseMatrix | Multiplies) -> int:
    """Return the number of rows of a square matrix, and refuse others.

    >>> from jaxrec.sparse import from_dense
    >>> check_square("matrix", from_dense(jnp.ones((2, 3))))
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: matrix has shape (2, 3); it must be square
    """
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise MismatchError(f"{name} has shape {tuple(matrix.shape)}; it must be square")
    return matrix.shape[0]


def host_entries(matrix: SparseMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the entries of a sparse matrix on the host: (data, rows, columns), without the padding of a BCOO.

    >>> from jaxrec.sparse import from_dense
    >>> [part.tolist() for part in host_entries(from_dense(jnp.array([[0.0, 2.0]])))]
    [[2.0], [0], [1]]
    """
    if isinstance(matrix, SparseOperator):
        return np.asarray(matrix.data), np.asarray(matrix.rows), np.asarray(matrix.columns)
    data, indices = np.asarray(matrix.data), np.asarray(matrix.indices)
    inside = (indices < np.array(matrix.shape)).all(axis=1)
    return data[inside], indices[inside, 0], indices[inside, 1]


def _undirected(adjacency: BCOO) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the entries of A, float and sorted, after the checks that both Laplacians need."""
    check_square("adjacency", adjacency)
    data, rows, columns = host_entries(adjacency)
    if not np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float32)
    wrong = ~(np.isfinite(data) & (data >= 0))
    if wrong.any():
        n, m = rows[wrong][0], columns[wrong][0]
        raise JaxrecError(
            f"adjacency has {data[wrong][0]} at ({n}, {m}); a Laplacian needs finite weights of 0 or more"
        )
    forward, backward = np.lexsort((columns, rows)), np.lexsort((rows, columns))
    places = (rows[forward] == columns[backward]) & (columns[forward] == rows[backward])
    same = places & np.isclose(data[forward], data[backward], rtol=1e-6, atol=0)
    if not same.all():
        n, m = rows[forward][~same][0], columns[forward][~same][0]
        raise MismatchError(
            f"adjacency is not symmetric: see ({n}, {m}) and ({m}, {n}); "
            "a Laplacian needs an undirected graph, so add the matrix to its transpose first"
        )
    return data[forward], rows[forward], columns[forward]


def _diagonal_minus(
    diagonal: np.ndarray, data: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int, dtype: np.dtype
) -> BCOO:
    """Subtract a sparse matrix from a diagonal, with one entry per place; a diagonal entry of 0 is not stored."""
    loops = rows == columns
    diagonal = diagonal - np.bincount(rows[loops], weights=data[loops], minlength=size)
    at = np.flatnonzero(diagonal)
    return from_entries(
        np.concatenate([-data[~loops], diagonal[at]]).astype(dtype),
        np.concatenate([rows[~loops], at]),
        np.concatenate([columns[~loops], at]),
        (size, size),
    )
