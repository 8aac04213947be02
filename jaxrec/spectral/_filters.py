"""Filters of signals on a graph: responses as functions of the eigenvalue, and exact filtering of small graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix
from jaxrec.spectral._fourier import FourierBasis, fourier, fourier_basis, inverse_fourier
from jaxrec.types import Array

Response = Callable[[jax.Array], jax.Array]
"""A function of eigenvalues [P] to gains [P], entry by entry."""


def heat_kernel(eigenvalues: Float[Array, " n"], *, time: float | Float[Array, ""] | None = None) -> Float[Array, " n"]:
    """Compute the response of heat diffusion, h(lambda) = exp(-time lambda).

    h(L) x is the heat after `time`, the solution of dx/dt = -L x.

    Args:
      eigenvalues: [n].
      time: diffusion time, 0 or more; it may be traced, and has a gradient.

    Returns:
      [n].

    References:
      Chung, Spectral Graph Theory, 1997, chapter 10.

    >>> heat_kernel(jnp.array([0.0, 1.0, 2.0]), time=jnp.log(2.0)).tolist()
    [1.0, 0.5, 0.25]
    """
    _check_response("heat_kernel", eigenvalues, "time", time)
    return jnp.exp(-jnp.asarray(time, eigenvalues.dtype) * eigenvalues)


def low_pass(eigenvalues: Float[Array, " n"], *, cutoff: float | Float[Array, ""] | None = None) -> Float[Array, " n"]:
    """Compute the ideal low-pass response, h(lambda) = 1 for lambda <= cutoff and 0 above.

    A polynomial follows the jump only with ripples on both sides (the Gibbs phenomenon): whatever its order, it
    overshoots by about 9% of the jump next to the cutoff. `chebyshev_coefficients(..., damping="jackson")` removes the
    ripples and widens the edge.

    Args:
      eigenvalues: [n].
      cutoff: the largest eigenvalue that passes.

    Returns:
      [n].

    >>> low_pass(jnp.array([0.0, 0.5, 2.0]), cutoff=0.5).tolist()
    [1.0, 1.0, 0.0]
    """
    _check_response("low_pass", eigenvalues, "cutoff", cutoff)
    return (eigenvalues <= jnp.asarray(cutoff, eigenvalues.dtype)).astype(eigenvalues.dtype)


def polynomial(
    eigenvalues: Float[Array, " n"], coefficients: Sequence[float] | Float[Array, " terms"]
) -> Float[Array, " n"]:
    """Compute the polynomial response h(lambda) = sum over j of coefficients[j] lambda^j, by Horner's rule.

    `chebyshev_coefficients` of the same order represents it exactly.

    Args:
      eigenvalues: [n].
      coefficients: [order + 1], lowest power first.

    Returns:
      [n].

    Raises:
      JaxrecError: no coefficients.

    >>> polynomial(jnp.array([0.0, 2.0]), [1.0, 0.0, 3.0]).tolist()
    [1.0, 13.0]
    """
    terms = jnp.asarray(coefficients, eigenvalues.dtype)
    if terms.ndim != 1 or terms.shape[0] == 0:
        raise JaxrecError(f"coefficients has shape {terms.shape}; pass one or more, lowest power first")
    return jnp.polyval(terms[::-1], eigenvalues)


def filter_exact(
    laplacian: SparseMatrix | FourierBasis, h: Response, x: Float[Array, " N *d"]
) -> Float[Array, " N *d"]:
    """Filter signals exactly, h(L) x = U diag(h(lambda)) U^T x, on small graphs.

    Args:
      laplacian: L, or its Fourier basis; the basis of a matrix is computed here (see `fourier_basis`).
      h: the response, a function of eigenvalues [N] to gains [N].
      x: [N] or [N, d]: one signal, or d signals as columns.

    Returns:
      Of the shape of x.

    Raises:
      JaxrecError: a matrix of more than 4096 nodes.
      MismatchError: x does not fit the graph, or h changes the shape or the dtype.

    References:
      Shuman et al., IEEE Signal Processing Magazine 30(3), 2013, equation 13.

    >>> from jaxrec.sparse import from_dense
    >>> edge = from_dense(jnp.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> smooth = filter_exact(edge, lambda eigenvalues: low_pass(eigenvalues, cutoff=1.0), jnp.array([0.0, 4.0]))
    >>> [round(value, 3) for value in smooth.tolist()]
    [2.0, 2.0]
    """
    basis = laplacian if isinstance(laplacian, FourierBasis) else fourier_basis(laplacian)
    gains = response_at(h, basis.eigenvalues)
    return inverse_fourier(fourier(x, basis) * (gains if x.ndim == 1 else gains[:, None]), basis)


def response_at(h: Response, eigenvalues: jax.Array) -> jax.Array:
    """Evaluate a response, and refuse one that does not act entry by entry.

    >>> response_at(jnp.negative, jnp.array([1.0, 2.0])).tolist()
    [-1.0, -2.0]
    """
    gains = jnp.asarray(h(eigenvalues))
    if gains.shape != eigenvalues.shape or gains.dtype != eigenvalues.dtype:
        raise MismatchError(
            f"h returned {gains.dtype}{list(gains.shape)} for eigenvalues {eigenvalues.dtype}"
            f"{list(eigenvalues.shape)}; it must act entry by entry and keep the dtype"
        )
    return gains


def _check_response(name: str, eigenvalues: Any, option: str, value: Any) -> None:
    """Refuse a call such as `low_pass(1.0)`, which takes the response for a maker of responses."""
    if value is None or not hasattr(eigenvalues, "dtype"):
        what = f"{option} is not given" if hasattr(eigenvalues, "dtype") else f"eigenvalues is {eigenvalues!r}"
        raise JaxrecError(
            f"{what}; {name}(eigenvalues, {option}=...) is a function of an array of eigenvalues: to filter with it, "
            f"pass functools.partial({name}, {option}=...)"
        )
