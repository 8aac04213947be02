"""Graph filters without eigenvectors: Chebyshev polynomials of a sparse matrix, by products with it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, spmm
from jaxrec.spectral._filters import Response, response_at
from jaxrec.spectral._krylov import dot
from jaxrec.spectral._laplacians import check_square
from jaxrec.types import Array

Interval = tuple[float | jax.Array, float | jax.Array]
"""(low, high) with low < high; all eigenvalues must lie inside."""

_NODES_PER_COEFFICIENT = 8


def chebyshev_coefficients(
    h: Response,
    order: int,
    interval: Interval,
    *,
    damping: Literal["none", "jackson"] = "none",
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Float[Array, " order+1"]:
    """Compute the coefficients of the Chebyshev series of a response on an interval.

    h(lambda) ~ sum over j = 0..order of c[j] T_j(t), with t = (2 lambda - low - high) / (high - low) in [-1, 1].
    c[j] = (2 - [j = 0]) / m times the sum over i = 0..m-1 of h(lambda(cos a_i)) cos(j a_i), with a_i = pi (i + 1/2) /
    m: c[0] is halved already. The number of nodes is m = 8 (order + 1), so that the order, not the sum, decides the
    error.

    The error falls faster than any power of the order for a smooth response (a heat kernel), and is 0 for a polynomial
    of that order. See `low_pass` for a response with a jump.

    Args:
      h: the response, a function of eigenvalues [n] to gains [n]. Values that it closes over may be traced and have a
        gradient.
      order: degree of the polynomial, 0 or more: the number of sparse products of the filter.
      interval: (low, high) with all eigenvalues inside: (0, 2) for L~, (0, `largest_eigenvalue_bound(L)`) for L.
      damping: "jackson" multiplies by `jackson_damping(order)`, against the ripples next to a jump.
      dtype: floating dtype of the coefficients, that of the matrix and the signals.

    Returns:
      c, [order + 1].

    Raises:
      JaxrecError: a negative order, an empty interval, or an unknown `damping`.
      MismatchError: h changes the shape or the dtype.

    References:
      Hammond, Vandergheynst and Gribonval, Applied and Computational Harmonic Analysis 30, 2011, section 6.

    >>> square = chebyshev_coefficients(lambda eigenvalues: eigenvalues**2, 2, (0.0, 2.0))
    >>> [round(value, 3) for value in square.tolist()]  # (1 + t)^2 = 3/2 + 2 t + 1/2 (2 t^2 - 1)
    [1.5, 2.0, 0.5]
    """
    if order < 0:
        raise JaxrecError(f"order is {order}; it must be 0 or more")
    if damping not in ("none", "jackson"):
        raise JaxrecError(f"damping is {damping!r}; pass 'none' or 'jackson'")
    low, high = _checked(interval, dtype)
    nodes = _NODES_PER_COEFFICIENT * (order + 1)
    # The angle j a_p is pi m / (2 P) for a whole number m; taken modulo its period first, it keeps all its digits.
    multiples = np.arange(order + 1, dtype=np.int64)[:, None] * (2 * np.arange(nodes, dtype=np.int64)[None, :] + 1)
    cosines = np.cos(np.pi * (multiples % (4 * nodes)) / (2 * nodes))
    t = np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    half = jnp.asarray(0.5, dtype)
    gains = response_at(h, half * (high - low) * jnp.asarray(t, dtype) + half * (high + low))
    weights = np.where(np.arange(order + 1) == 0, 1, 2)[:, None] * cosines / nodes
    coefficients = dot(jnp.asarray(weights, dtype), gains)
    return coefficients * jackson_damping(order, dtype=dtype) if damping == "jackson" else coefficients


def jackson_damping(order: int, *, dtype: jax.typing.DTypeLike = jnp.float32) -> Float[Array, " order+1"]:
    """Compute the Jackson factors, which suppress the ripples of a Chebyshev series.

    g[j] = ((1 - j b) sin(a) cos(j a) + b cos(a) sin(j a)) / sin(a), with a = pi / (order + 2) and b = 1 / (order + 2).

    The damped series of a function with values in [0, 1] has values in [0, 1]. In return the edge is wider: a jump is
    spread over about pi / order of half the interval. Smooth responses lose accuracy, so use damping for jumps only.

    Args:
      order: order of the series, 0 or more.
      dtype: floating dtype of the result.

    Returns:
      g, [order + 1], from 1 down towards 0.

    Raises:
      JaxrecError: a negative order.

    References:
      Di Napoli, Polizzi and Saad, Numerical Linear Algebra with Applications 23, 2016, section 3.

    >>> jackson_damping(2).round(3).tolist()
    [1.0, 0.7070000171661377, 0.25]
    """
    if order < 0:
        raise JaxrecError(f"order is {order}; it must be 0 or more")
    j, step = np.arange(order + 1), 1 / (order + 2)
    angle = np.pi * step
    factors = (1 - j * step) * np.cos(j * angle) + step * np.sin(j * angle) / np.tan(angle)
    return jnp.asarray(factors, dtype)


def chebyshev_response(
    coefficients: Sequence[float] | Float[Array, " terms"], eigenvalues: Float[Array, " n"], interval: Interval
) -> Float[Array, " n"]:
    """Evaluate the response of `chebyshev_filter`, sum over j of c[j] T_j(t), at given eigenvalues.

    t = (2 lambda - low - high) / (high - low)

    Args:
      coefficients: c, [order + 1].
      eigenvalues: [n], inside the interval.
      interval: (low, high), the interval of the coefficients.

    Returns:
      [n].

    Raises:
      JaxrecError: no coefficients, or an empty interval.

    >>> chebyshev_response([0.5, 0.0, 0.5], jnp.array([0.0, 0.5]), (-1.0, 1.0)).tolist()
    [0.0, 0.25]
    """
    low, high = _checked(interval, eigenvalues.dtype)
    t = (eigenvalues + eigenvalues - low - high) / (high - low)
    return _response(_terms(coefficients, eigenvalues.dtype), t)


def chebyshev_filter(
    matrix: SparseMatrix,
    coefficients: Sequence[float] | Float[Array, " terms"],
    x: Float[Array, " N *d"],
    interval: Interval,
) -> Float[Array, " N *d"]:
    """Filter signals by a Chebyshev series of a sparse matrix, without its eigenvectors.

    y = sum over j of c[j] T_j(M') x, with M' = (2 M - (low + high) I) / (high - low) and
    T_0(M') x = x,  T_1(M') x = M' x,  T_(j+1)(M') x = 2 M' T_j(M') x - T_(j-1)(M') x.

    The cost is `order` sparse products and a few arrays of the size of x, so graphs of any size will do. The filter is
    differentiable in the coefficients and in x; the gradient keeps one array of the size of x per order. Under `vmap`
    over the coefficients the sparse products are shared.

    Args:
      matrix: M, for example L or L~, a symmetric operator or BCOO [N, N]. An operator is faster (see
        `jaxrec.sparse.operator`); make it once, and pass it as an argument to a jitted function that calls this one.
      coefficients: c, [order + 1], from `chebyshev_coefficients`.
      x: [N] or [N, d], of the matrix's dtype.
      interval: (low, high), the interval of the coefficients. An eigenvalue outside is not detected, since that would
        take a decomposition; its part of the result grows exponentially with the order.

    Returns:
      y, of the shape of x.

    Raises:
      MismatchError: the matrix is not square, or x or the coefficients do not fit it.
      JaxrecError: no coefficients, or an empty interval.

    References:
      Hammond, Vandergheynst and Gribonval, Applied and Computational Harmonic Analysis 30, 2011, section 6.
      Defferrard, Bresson and Vandergheynst, NeurIPS 2016, equation 4.

    >>> from jaxrec.sparse import from_dense
    >>> edge = from_dense(jnp.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> square = chebyshev_coefficients(lambda eigenvalues: eigenvalues**2, 2, (0.0, 2.0))
    >>> chebyshev_filter(edge, square, jnp.array([0.0, 4.0]), (0.0, 2.0)).round(3).tolist()  # L^2 x = 2 L x
    [-8.0, 8.0]
    """
    size = check_square("matrix", matrix)
    if x.ndim not in (1, 2) or x.shape[0] != size:
        raise MismatchError(f"x must be [{size}] or [{size}, d] for a matrix of shape {matrix.shape}, got {x.shape}")
    if x.dtype != matrix.data.dtype:
        raise MismatchError(f"matrix is {matrix.data.dtype} and x is {x.dtype}; convert one of them")
    low, high = _checked(interval, x.dtype)
    return _filter(matrix, _terms(coefficients, x.dtype), x, low, high)


@jax.jit
def _response(coefficients: jax.Array, t: jax.Array) -> jax.Array:
    return series(lambda v: t * v, coefficients, jnp.ones_like(t))


@jax.jit
def _filter(matrix: SparseMatrix, coefficients: jax.Array, x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    scale, shift = 2 / (high - low), (high + low) / (high - low)
    return series(lambda v: scale * spmm(matrix, v) - shift * v, coefficients, x)


def series(product: Callable[[jax.Array], jax.Array], coefficients: jax.Array, x: jax.Array) -> jax.Array:
    """Sum c[j] T_j x over j, given the product with a matrix whose spectrum lies in [-1, 1]."""
    if coefficients.shape[0] == 1:
        return coefficients[0] * x
    first = product(x)

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array], c: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        before, last, total = carry
        new = product(last)
        new = new + new - before
        return (last, new, total + c * new), None

    start = (x, first, coefficients[0] * x + coefficients[1] * first)
    (_, _, total), _ = jax.lax.scan(step, start, coefficients[2:])
    return total


def _terms(coefficients: Sequence[float] | jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    given = getattr(coefficients, "dtype", dtype)  # a list of Python numbers has none, and takes the one of x
    if given != dtype:
        raise MismatchError(f"coefficients are {given} and x is {dtype}; convert one of them")
    terms = jnp.asarray(coefficients, dtype)
    if terms.ndim != 1 or terms.shape[0] == 0:
        raise JaxrecError(f"coefficients has shape {terms.shape}; pass [order + 1], at least one")
    return terms


def _checked(interval: Interval, dtype: jax.typing.DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Return the two ends as scalars of the dtype; refuse them if they are concrete and out of order."""
    low, high = (jnp.asarray(end, dtype) for end in interval)
    try:
        empty = not float(low) < float(high)
    except jax.errors.ConcretizationTypeError:
        empty = False
    if empty:
        raise JaxrecError(f"interval is ({float(low)}, {float(high)}); it must be (low, high) with low < high")
    return low, high
