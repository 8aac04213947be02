"""The graph Fourier transform: signals on the nodes in the basis of the Laplacian's eigenvectors."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.pytrees import register
from jaxrec.sparse import SparseMatrix
from jaxrec.spectral._krylov import dot
from jaxrec.spectral._laplacians import check_square, host_entries
from jaxrec.types import Array


@register
@dataclasses.dataclass(frozen=True)
class FourierBasis:
    """The eigenvalues and eigenvectors of a Laplacian, L = U diag(lambda) U^T.

    Attributes:
      eigenvalues: [N], ascending: the frequencies of the graph.
      vectors: U, [N, N], orthonormal columns in the order of the eigenvalues.

    >>> from jaxrec.sparse import from_dense
    >>> edge = from_dense(jnp.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> basis = fourier_basis(edge)
    >>> product = (basis.vectors * basis.eigenvalues) @ basis.vectors.T
    >>> bool(jnp.allclose(product, edge.todense(), atol=1e-6))
    True
    """

    eigenvalues: jax.Array
    vectors: jax.Array


def fourier_basis(laplacian: SparseMatrix, *, max_nodes: int = 4096) -> FourierBasis:
    """Compute all eigenvalues and eigenvectors of a Laplacian, by a dense decomposition, on small graphs.

    Memory grows with N^2, time with N^3. On large graphs, `chebyshev_filter` filters without a basis, and
    `leading_eigenpairs` finds one end of the spectrum.

    Args:
      laplacian: L or L~, BCOO or operator [N, N], symmetric. Read on the host, not under jit.
      max_nodes: the largest N that is accepted. 4096 nodes take about 10 s on two CPU cores.

    Returns:
      The basis. The vectors of a repeated eigenvalue are an arbitrary orthonormal basis of its space, so a single
      coefficient of a signal has no meaning there; filters do not depend on the choice.

    Raises:
      JaxrecError: more nodes than `max_nodes`.
      MismatchError: the matrix is not square or not symmetric.

    References:
      Shuman et al., IEEE Signal Processing Magazine 30(3), 2013, section II.

    >>> from jaxrec.sparse import from_dense
    >>> basis = fourier_basis(from_dense(jnp.array([[1.0, -1.0], [-1.0, 1.0]])))
    >>> [round(abs(value), 3) for value in basis.eigenvalues.tolist()]
    [0.0, 2.0]
    """
    size = check_square("laplacian", laplacian)
    if size > max_nodes:
        raise JaxrecError(
            f"laplacian has {size} nodes, more than max_nodes={max_nodes}: a dense basis would take "
            f"{4 * size**2 / 2**30:.1f} GiB; use chebyshev_filter or leading_eigenpairs, or raise max_nodes"
        )
    data, rows, columns = host_entries(laplacian)
    dense = np.zeros((size, size), data.dtype)
    np.add.at(dense, (rows, columns), data)
    if not np.allclose(dense, dense.T, rtol=1e-6, atol=0):
        raise MismatchError(f"laplacian of shape {dense.shape} is not symmetric; its graph must be undirected")
    eigenvalues, vectors = jnp.linalg.eigh(jnp.asarray(dense))
    return FourierBasis(eigenvalues, vectors)


def fourier(x: Float[Array, " N *d"], basis: FourierBasis) -> Float[Array, " N *d"]:
    """Compute the graph Fourier transform x^ = U^T x of signals on the nodes.

    It preserves inner products (Parseval): the sum of x y equals the sum of x^ y^.

    Args:
      x: [N] or [N, d]: one signal, or d signals as columns.
      basis: from `fourier_basis`.

    Returns:
      x^, [N] or [N, d]; row n is the part at frequency `basis.eigenvalues[n]`.

    Raises:
      MismatchError: x and the basis differ in nodes or dtype.

    >>> basis = FourierBasis(jnp.array([0.0, 2.0]), jnp.array([[0.6, -0.8], [0.8, 0.6]]))
    >>> [round(abs(value), 3) for value in fourier(jnp.array([3.0, 4.0]), basis).tolist()]
    [5.0, 0.0]
    """
    _check_signal("x", x, basis)
    return dot(basis.vectors.T, x)


def inverse_fourier(xhat: Float[Array, " N *d"], basis: FourierBasis) -> Float[Array, " N *d"]:
    """Compute the inverse graph Fourier transform x = U x^.

    Args:
      xhat: x^, [N] or [N, d], from `fourier`.
      basis: the basis of `xhat`.

    Returns:
      x, [N] or [N, d], the signals on the nodes.

    Raises:
      MismatchError: xhat and the basis differ in nodes or dtype.

    >>> basis = FourierBasis(jnp.array([0.0, 2.0]), jnp.array([[0.6, -0.8], [0.8, 0.6]]))
    >>> [round(value, 3) for value in inverse_fourier(jnp.array([5.0, 0.0]), basis).tolist()]
    [3.0, 4.0]
    """
    _check_signal("xhat", xhat, basis)
    return dot(basis.vectors, xhat)


def convolve(x: Float[Array, " N *d"], y: Float[Array, " N *d"], basis: FourierBasis) -> Float[Array, " N *d"]:
    """Convolve two signals on a graph, x * y = U ((U^T x) o (U^T y)), with o the product entry by entry.

    A graph has no shifts, so the convolution theorem is the definition. On a ring, in the basis of the discrete Fourier
    transform, this is the circular convolution. Convolution with a fixed y is the filter with the response y^.

    Args:
      x: [N] or [N, d].
      y: of the same shape.
      basis: from `fourier_basis`. If eigenvalues repeat, the result depends on the choice of the basis vectors.

    Returns:
      Of the shape of x.

    Raises:
      MismatchError: x, y and the basis do not fit each other.

    References:
      Bruna et al., Spectral Networks, ICLR 2014, section 3.
      Shuman et al., IEEE Signal Processing Magazine 30(3), 2013, equation 16.

    >>> basis = FourierBasis(jnp.array([0.0, 2.0]), jnp.array([[0.6, -0.8], [0.8, 0.6]]))
    >>> [round(value, 3) for value in convolve(jnp.array([3.0, 4.0]), jnp.array([3.0, 4.0]), basis).tolist()]
    [15.0, 20.0]
    """
    if x.shape != y.shape:
        raise MismatchError(f"x has shape {x.shape} and y has shape {y.shape}; they must be equal")
    return inverse_fourier(fourier(x, basis) * fourier(y, basis), basis)


def _check_signal(name: str, x: jax.Array, basis: FourierBasis) -> None:
    size = basis.vectors.shape[0]
    if x.ndim not in (1, 2) or x.shape[0] != size:
        raise MismatchError(f"{name} must be [{size}] or [{size}, d] for a basis of {size} nodes, got {x.shape}")
    if x.dtype != basis.vectors.dtype:
        raise MismatchError(f"{name} is {x.dtype} and the basis is {basis.vectors.dtype}; convert one of them")
