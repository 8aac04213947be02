"""Filters of signals on a graph: responses as functions of the eigenvalue, and exact filtering of small graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix
from jaxrec.spectral._fourier import FourierBasis, fourier, fourier_basis, inverse_fourier

Response = Callable[[jax.Array], jax.Array]
"""A function of eigenvalues [P] to gains [P], entry by entry."""


def heat_kernel(eigenvalues: jax.Array, *, time: float | jax.Array | None = None) -> jax.Array:
    """The response of diffusion, h(lambda) = exp(-time lambda).

    With it, h(L) x is the heat x after `time`, the solution of dx/dt = -L x.

    Args:
      eigenvalues: [P].
      time: how long heat flows, 0 or more; it may be traced, and has a gradient.

    Returns:
      [P].

    Source: Chung, Spectral Graph Theory, 1997, chapter 10.

    >>> heat_kernel(jnp.array([0.0, 1.0, 2.0]), time=jnp.log(2.0)).tolist()
    [1.0, 0.5, 0.25]
    """
    _check_response("heat_kernel", eigenvalues, "time", time)
    return jnp.exp(-jnp.asarray(time, eigenvalues.dtype) * eigenvalues)


def low_pass(eigenvalues: jax.Array, *, cutoff: float | jax.Array | None = None) -> jax.Array:
    """The ideal low-pass response, h(lambda) = 1 where lambda <= cutoff and 0 elsewhere.

    It jumps, so a polynomial can only follow it with ripples on both sides (the Gibbs phenomenon): whatever its order,
    it overshoots by about 9% of the jump next to the cutoff. `chebyshev_coefficients(..., damping="jackson")` takes the
    ripples away and makes the edge wider instead.

    Args:
      eigenvalues: [P].
      cutoff: the largest eigenvalue that passes.

    Returns:
      [P].

    >>> low_pass(jnp.array([0.0, 0.5, 2.0]), cutoff=0.5).tolist()
    [1.0, 1.0, 0.0]
    """
    _check_response("low_pass", eigenvalues, "cutoff", cutoff)
    return (eigenvalues <= jnp.asarray(cutoff, eigenvalues.dtype)).astype(eigenvalues.dtype)


def polynomial(eigenvalues: jax.Array, coefficients: Sequence[float] | jax.Array) -> jax.Array:
    """The polynomial response h(lambda) = sum over j of coefficients[j] lambda^j, by Horner's rule.

    `chebyshev_coefficients` of the same order represents it exactly.

    Args:
      eigenvalues: [P].
      coefficients: [K], lowest power first; at least one.

    Returns:
      [P].

    Raises:
      JaxrecError: no coefficients.

    >>> polynomial(jnp.array([0.0, 2.0]), [1.0, 0.0, 3.0]).tolist()
    [1.0, 13.0]
    """
    terms = jnp.asarray(coefficients, eigenvalues.dtype)
    if terms.ndim != 1 or terms.shape[0] == 0:
        raise JaxrecError(f"coefficients has shape {terms.shape}; pass one or more, lowest power first")
    return jnp.polyval(terms[::-1], eigenvalues)


def filter_exact(laplacian: SparseMatrix | FourierBasis, h: Response, x: jax.Array) -> jax.Array:
    """Filter signals exactly, h(L) x = U diag(h(lambda)) U^T x: for small graphs.

    Args:
      laplacian: its Fourier basis, or the matrix itself, whose basis is then made here (see `fourier_basis`).
      h: the response, a function of eigenvalues [N] to gains [N].
      x: [N] or [N, d]: one signal, or d signals as columns.

    Returns:
      Of the shape of x.

    Raises:
      JaxrecError: a matrix of more than 4096 nodes.
      MismatchError: x does not fit the graph, or h returns another shape or dtype than it was given.

    Source: Shuman et al., IEEE Signal Processing Magazine 30(3), 2013, equation 13.

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
    """The response at given eigenvalues, after a check that it acts entry by entry.

    >>> response_at(jnp.negative, jnp.array([1.0])).tolist()
    [-1.0]
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
