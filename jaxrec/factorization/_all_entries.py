"""Non-negative factorization of a sparse matrix whose missing entries are 0."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Key

from jaxrec.factorization._common import NMFResult, Solver, Start, iterate, multiplied, prepare
from jaxrec.sparse import SparseMatrix, SparseOperator, spmm
from jaxrec.types import Array

# Multiplicative updates are slow, so the fall of the objective is measured over this many iterations.
_MU_EVERY = 10


def nmf(
    matrix: SparseMatrix,
    rank: int,
    key: Key[Array, ""] | None = None,
    *,
    init: Start | None = None,
    solver: Solver = "cd",
    max_iter: int = 200,
    tol: float = 1e-4,
    l2: float = 0.0,
) -> NMFResult:
    r"""Factorize a sparse matrix into non-negative factors; missing entries count as 0.

    .. math:: \min_{W \ge 0, H \ge 0} \|X - W H\|_F^2 + \lambda (\|W\|_F^2 + \|H\|_F^2)

    X is only ever multiplied with r columns. The objective is computed as |X|^2 - 2 <X, W H> + |W H|^2 plus the
    penalty, from <X, W H> over the stored entries and two r x r matrices. The difference loses digits: its error is
    about that of |X|^2 in X's dtype.

    - "cd": coordinate descent. All rows of W take the exact step in one component after the other, then the columns of
      H. It stops when the sum of the absolute projected gradients over an iteration is at most `tol` times that of the
      first iteration. Steps and rule are those of scikit-learn, so the same start gives the same factors; `alpha_W`
      times Q and `alpha_H` times P there, with `l1_ratio=0`, are `l2` here.
    - "mu": multiplicative updates, W <- W * (X H^T) / (W H H^T + l2 W), and H likewise. It stops when ten iterations
      lower the objective by less than `tol` times its first value.

    Neither solver raises the objective, up to rounding.

    Args:
      matrix: X, BCOO or operator [P, Q], float32 or float64, finite and non-negative. Under `jit` it must be an
        operator, and its values are not checked.
      rank: r, in 1..min(P, Q).
      key: consumed by the random start: absolute normal values times sqrt(mean of X / r), the mean over all P Q places.
        Omit it with `init`.
      init: (W [P, r], H [r, Q]), the start, of X's dtype, finite and non-negative.
      solver: "cd" or "mu".
      max_iter: maximum number of iterations.
      tol: tolerance of the stopping rule.
      l2: lambda.

    Returns:
      The factors, and the objective of each iteration.

    Raises:
      JaxrecError: a negative or non-finite entry, no entry, a rank or an option out of range, neither or both of `key`
        and `init`.
      MismatchError: a matrix of another dtype, or `init` of other shapes or dtype.

    References:
      Cichocki and Phan, IEICE Transactions E92-A(3), 2009 (coordinate descent).
      Lee and Seung, NIPS 2000, theorem 1 (multiplicative updates).

    >>> from jaxrec.sparse import from_dense
    >>> made = nmf(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 3.0]])), 2, jax.random.key(0), max_iter=50)
    >>> jnp.abs(made.w @ made.h).round(2).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 3.0]]
    """
    x, start, penalty, tolerance = prepare(matrix, rank, key, init, solver, max_iter, tol, l2, stored=False)
    return _nmf(x, *start, penalty, tolerance, solver, max_iter)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _nmf(
    x: SparseOperator, w: jax.Array, h: jax.Array, l2: jax.Array, tol: jax.Array, solver: Solver, max_iter: int
) -> NMFResult:
    """Run either solver, with the factors as [r, P] and [r, Q], so that a component is contiguous."""
    squares = jnp.sum(jnp.square(x.data))
    ridge = l2 * jnp.eye(w.shape[1], dtype=w.dtype)
    improve = _descend if solver == "cd" else _multiply

    def objective(w: jax.Array, h: jax.Array, xtw: jax.Array, gram_w: jax.Array) -> jax.Array:
        penalty = l2 * (jnp.sum(jnp.square(w)) + jnp.sum(jnp.square(h)))
        return squares - 2 * jnp.sum(h * xtw) + jnp.sum(gram_w * _gram(h)) + penalty

    def step(w: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        w, first = improve(w, _gram(h) + ridge, spmm(x, h.T).T)
        xtw, gram_w = spmm(x.T, w.T).T, _gram(w)
        h, second = improve(h, gram_w + ridge, xtw)
        return w, h, objective(w, h, xtw, gram_w), first + second

    def stop(objectives: jax.Array, violations: jax.Array, done: jax.Array) -> jax.Array:
        if solver == "cd":
            return violations[done - 1] <= tol * violations[0]
        fall = objectives[jnp.maximum(done - _MU_EVERY, 0)] - objectives[done]
        return (done % _MU_EVERY == 0) & (fall < tol * objectives[0])

    w = w.T
    w, h, course = iterate(step, stop, w, h, objective(w, h, spmm(x.T, w.T).T, _gram(w)), max_iter)
    return NMFResult(w.T, h, *course)


def _descend(factor: jax.Array, gram: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take one exact step in each component of a factor [r, P]; also sum the absolute projected gradients.

    Half the gradient is gram @ factor - target, with gram [r, r] of the other factor and target [r, P] = X times it.
    """

    def one(f: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        factor, violation = carry
        row, curvature = factor[f], gram[f, f]
        gradient = jnp.matmul(gram[f], factor, precision="highest") - target[f]
        projected = jnp.where(row == 0, jnp.minimum(gradient, 0), gradient)
        moved = jnp.maximum(row - gradient / jnp.where(curvature > 0, curvature, 1), 0)
        return factor.at[f].set(jnp.where(curvature > 0, moved, row)), violation + jnp.sum(jnp.abs(projected))

    return jax.lax.fori_loop(0, factor.shape[0], one, (factor, jnp.zeros((), factor.dtype)))


def _multiply(factor: jax.Array, gram: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Apply one multiplicative update to a factor [r, P], with gram [r, r] of the other factor and target [r, P]."""
    return multiplied(factor, target, jnp.matmul(gram, factor, precision="highest")), jnp.zeros((), factor.dtype)


def _gram(factor: jax.Array) -> jax.Array:
    return jnp.matmul(factor, factor.T, precision="highest")
