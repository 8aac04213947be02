"""Non-negative factorisations of sparse matrices that are never made dense: of all entries, or of the stored ones."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm

Solver = Literal["cd", "mu"]
Start = tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]

# Components that the masked solvers treat together. The compressed-row kernel is several times faster for multiples of
# 8 columns, and 8 x 8 numbers a row is little memory.
_BLOCK = 8
# How many iterations lie between two looks at the objective of the multiplicative updates, which move slowly.
_MU_EVERY = 10


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NMFResult:
    """A factorisation X ~ W H without negative entries, and how it was reached. It is a pytree.

    Attributes:
      w: [M, k].
      h: [k, N].
      objective: [max_iter + 1], the objective at the start and after each iteration; from the last iteration on its value
        is repeated.
      iterations: int32 scalar, how many iterations were made.
      converged: bool scalar, whether the stopping rule was met within `max_iter`.

    >>> from jaxrec.sparse import from_dense
    >>> made = nmf(from_dense(jnp.array([[1.0, 2.0], [2.0, 4.0]])), 1, jax.random.key(0))
    >>> (made.w @ made.h).round(3).tolist(), bool(made.converged)
    ([[1.0, 2.0], [2.0, 4.0]], True)
    """

    w: jax.Array
    h: jax.Array
    objective: jax.Array
    iterations: jax.Array
    converged: jax.Array


def nmf(
    matrix: SparseMatrix,
    rank: int,
    key: jax.Array | None = None,
    *,
    init: Start | None = None,
    solver: Solver = "cd",
    max_iter: int = 200,
    tol: float = 1e-4,
    l2: float = 0.0,
) -> NMFResult:
    r"""Non-negative factorisation of a sparse matrix, entries that are not stored counting as 0.

    .. math:: \min_{W \ge 0, H \ge 0} \|X - W H\|_F^2 + \lambda (\|W\|_F^2 + \|H\|_F^2)

    X is only ever multiplied with k columns. The objective is |X|^2 - 2 <X, W H> + |W H|^2 + the penalty, which needs
    <X, W H> over the stored entries and two k x k matrices. The difference loses digits: its error is about that of
    |X|^2 in X's dtype.

    - "cd": coordinate descent. All rows of W take the exact step in one component after the other, then those of H. It
      stops when the sum of the absolute projected gradients over an iteration is at most `tol` times that of the first.
      Steps and rule are scikit-learn's, so the same start gives the same factors; its `alpha_W` times N and `alpha_H`
      times M are our `l2`, with `l1_ratio=0`.
    - "mu": multiplicative updates, W <- W * (X H^T) / (W H H^T + l2 W) and H likewise. It stops when ten iterations
      lower the objective by less than `tol` times its first value.

    Neither raises the objective, up to rounding.

    Args:
      matrix: X, BCOO or operator [M, N], float32 or float64, finite and without negative entries. Under `jit` it must be
        an operator, and its values are not checked.
      rank: k, in 1..min(M, N).
      key: consumed, for the random start: absolute normal values times sqrt(mean of X / k), the mean over all M N
        places. Not used with `init`.
      init: (W [M, k], H [k, N]) to start from, of X's dtype, finite and without negative entries.
      solver: "cd" or "mu".
      max_iter: iterations at the most.
      tol: of the stopping rule; 0 makes all `max_iter` iterations, or stops at an exact solution.
      l2: the penalty.

    Returns:
      The factors, with the course of the objective.

    Raises:
      JaxrecError: a negative or non-finite entry, no entry at all, a rank out of range, options out of range, neither or
        both of `key` and `init`.
      MismatchError: `init` of other shapes or dtype.

    Source: Cichocki and Phan, IEICE Transactions E92-A(3), 2009 (coordinate descent); Lee and Seung, NIPS 2000, theorem 1
    (multiplicative updates).

    >>> from jaxrec.sparse import from_dense
    >>> made = nmf(from_dense(jnp.diag(jnp.array([1.0, 4.0]))), 2, jax.random.key(1))
    >>> (made.w @ made.h).round(3).tolist()
    [[1.0, 0.0], [0.0, 4.0]]
    """
    x, start, penalty, tolerance = _prepared(matrix, rank, key, init, solver, max_iter, tol, l2)
    w, h = start or _drawn_start(x, rank, key, places=x.shape[0] * x.shape[1])
    return _nmf(x, w, h, penalty, tolerance, solver, max_iter)


def masked_nmf(
    matrix: SparseMatrix,
    rank: int,
    key: jax.Array | None = None,
    *,
    init: Start | None = None,
    solver: Solver = "cd",
    max_iter: int = 30,
    tol: float = 1e-4,
    l2: float = 0.1,
) -> NMFResult:
    r"""Non-negative factorisation of the stored entries alone, for ratings: what is not stored is unknown, not 0.

    .. math:: \min_{W \ge 0, H \ge 0} \sum_{(m, n)} (x_{mn} - w_m h_n)^2 + \lambda (|w_m|^2 + |h_n|^2)

    The sum runs over the stored entries, a stored 0 included. So a row of n entries has the penalty n l2 |w|^2, as in Luo
    et al. and in Surprise; implementations that penalise each row once need a larger coefficient. Rows and columns
    without an entry get 0.

    - "cd": coordinate descent on the residuals (HALS). All rows of W take the exact step in one component after the
      other, then those of H. It needs far fewer iterations than "mu".
    - "mu": multiplicative updates, W <- W * (X H^T) / (P H^T + l2 n W), where P has the predictions at the stored places.

    Both stop when an iteration lowers the objective by at most `tol` times its value, and neither raises it, up to
    rounding. There are no biases: the product alone is the prediction, so it is never negative.

    Args:
      matrix: X, BCOO or operator [M, N], float32 or float64, finite and without negative entries. Under `jit` it must be
        an operator, and its values are not checked.
      rank: k, in 1..min(M, N).
      key: consumed, for the random start: absolute normal values times sqrt(mean of the stored entries / k). Not used
        with `init`.
      init: (W [M, k], H [k, N]) to start from, of X's dtype, finite and without negative entries.
      solver: "cd" or "mu".
      max_iter: iterations at the most.
      tol: of the stopping rule; 0 stops where the objective no longer falls.
      l2: the penalty for each stored entry.

    Returns:
      The factors, with the course of the objective.

    Raises:
      JaxrecError: a negative or non-finite entry, no entry at all, a rank out of range, options out of range, neither or
        both of `key` and `init`.
      MismatchError: `init` of other shapes or dtype.

    Source: Luo, Zhou, Xia and Zhu, IEEE Transactions on Industrial Informatics 10(2), 2014, equation 8 (objective and
    multiplicative updates); Yu, Hsieh, Si and Dhillon, ICDM 2012, section III (steps on residuals).

    >>> from jaxrec.sparse import from_entries
    >>> ratings = from_entries(np.float32([2, 4, 3]), [0, 0, 1], [0, 1, 0], (2, 2))  # (1, 1) is unknown
    >>> made = masked_nmf(ratings, 1, jax.random.key(0), l2=0.0)
    >>> (made.w @ made.h).round(2).tolist()
    [[2.0, 4.0], [3.0, 6.0]]
    """
    x, start, penalty, tolerance = _prepared(matrix, rank, key, init, solver, max_iter, tol, l2)
    w, h = start or _drawn_start(x, rank, key, places=x.data.shape[0])
    return _masked_nmf(x, w, h, penalty, tolerance, solver, max_iter)


def entry_products(rows: jax.Array, columns: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """The entries of a product at given places: p_e = sum over f of left[f, rows[e]] right[f, columns[e]].

    Args:
      rows: int32 [E].
      columns: int32 [E].
      left: [b, M], a few components.
      right: [b, N].

    Returns:
      [E].

    >>> entry_products(jnp.array([0, 1]), jnp.array([1, 0]), jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 5.0]])).tolist()
    [5.0, 6.0]
    """
    # A sum written out is one fused loop over the places; a reduction would gather two tables [E, b] first.
    return sum((l[rows] * r[columns] for l, r in zip(left, right, strict=True)), jnp.zeros(rows.shape, left.dtype))


@functools.partial(jax.jit, static_argnums=(5, 6))
def _nmf(
    x: SparseOperator, w: jax.Array, h: jax.Array, l2: jax.Array, tol: jax.Array, solver: Solver, max_iter: int
) -> NMFResult:
    """Both solvers hold the factors as [k, M] and [k, N], so that a component is contiguous."""
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
    first = objective(w, h, spmm(x.T, w.T).T, _gram(w))
    w, h, *course = _iterate(step, stop, w, h, first, max_iter)
    return NMFResult(w.T, h, *course)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _masked_nmf(
    x: SparseOperator, w: jax.Array, h: jax.Array, l2: jax.Array, tol: jax.Array, solver: Solver, max_iter: int
) -> NMFResult:
    """Both solvers hold the factors as blocks of components, [blocks, b, M] and [blocks, b, N], filled up with zeros."""
    rank = w.shape[1]
    # From row by row to column by column and back, the order of the entries in `x` and in its transpose.
    to_columns = jnp.argsort(x.columns, stable=True)
    to_rows = jnp.argsort(to_columns)
    counts_w, counts_h = jnp.diff(x.indptr), jnp.diff(x.T.indptr)
    weight_w, weight_h = l2 * counts_w.astype(w.dtype), l2 * counts_h.astype(w.dtype)
    improve = _masked_descend if solver == "cd" else _masked_multiply

    def objective(w: jax.Array, h: jax.Array, residual: jax.Array) -> jax.Array:
        penalty = lambda factor, weight: jnp.sum(weight * jnp.sum(jnp.square(factor), axis=(0, 1)))  # noqa: E731
        return jnp.sum(jnp.square(residual)) + penalty(w, weight_w) + penalty(h, weight_h)

    def step(w: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        # The residuals are made anew in each iteration, so that rounding does not add up.
        w, residual = improve(x, _without(x.data, x, w, h), w, h, weight_w)
        h, residual = improve(x.T, residual[to_columns], h, w, weight_h)
        return w, h, objective(w, h, residual[to_rows]), jnp.zeros((), w.dtype)

    def stop(objectives: jax.Array, _: jax.Array, done: jax.Array) -> jax.Array:
        return objectives[done - 1] - objectives[done] <= tol * objectives[done - 1]

    # A row without an entry is in no prediction; where l2 is 0 the steps would leave it at its start.
    w, h = _blocks(jnp.where(counts_w > 0, w.T, 0)), _blocks(jnp.where(counts_h > 0, h, 0))
    w, h, *course = _iterate(step, stop, w, h, objective(w, h, _without(x.data, x, w, h)), max_iter)
    joined = lambda blocks: blocks.reshape(-1, blocks.shape[2])[:rank]  # noqa: E731
    return NMFResult(joined(w).T, joined(h), *course)


def _iterate(
    step: Callable[..., tuple[jax.Array, jax.Array, jax.Array, jax.Array]],
    stop: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
    w: jax.Array,
    h: jax.Array,
    first: jax.Array,
    max_iter: int,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    """Repeat `step` until `stop`: (w, h, objective [max_iter + 1], iterations, converged)."""

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        w, h, objectives, violations, done, _ = state
        w, h, value, violation = step(w, h)
        done = done + 1
        objectives = jnp.where(jnp.arange(max_iter + 1, dtype=jnp.int32) >= done, value, objectives)
        violations = violations.at[done - 1].set(violation)
        return w, h, objectives, violations, done, stop(objectives, violations, done)

    start = (w, h, jnp.full(max_iter + 1, first), jnp.zeros(max_iter, w.dtype), jnp.int32(0), jnp.array(False))
    w, h, objectives, _, done, converged = jax.lax.while_loop(
        lambda state: (state[4] < max_iter) & ~state[5], body, start
    )
    return w, h, objectives, done, converged


def _descend(factor: jax.Array, gram: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One exact step in each component of a factor [k, M], and the sum of the absolute projected gradients.

    The half of the gradient is gram @ factor - target, with gram [k, k] of the other factor and target = X times it.
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
    """One multiplicative update of a factor [k, M]; the arguments are those of `_descend`."""
    return _scaled(factor, target, jnp.matmul(gram, factor, precision="highest")), jnp.zeros((), factor.dtype)


def _masked_descend(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One exact step in each component of w, for the residuals at the stored places: (w, the new residuals)."""
    pattern = dataclasses.replace(x, data=jnp.ones_like(x.data))

    def one(residual: jax.Array, factors: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        mine, other = factors
        # Within a block, the Gram matrix of each row's own columns of h tells how a step bends the next gradients.
        squares = (other[:, None, :] * other[None, :, :]).reshape(_BLOCK * _BLOCK, -1)
        gram = spmm(pattern, squares.T).T.reshape(_BLOCK, _BLOCK, -1)
        gradient = weight * mine - spmm(dataclasses.replace(x, data=residual), other.T).T

        def descend(f: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            moved, gradient = carry
            curvature = gram[f, f] + weight
            after = jnp.maximum(moved[f] - gradient[f] / jnp.where(curvature > 0, curvature, 1), 0)
            change = jnp.where(curvature > 0, after - moved[f], 0)
            return moved.at[f].add(change), gradient + gram[f] * change

        moved, _ = jax.lax.fori_loop(0, _BLOCK, descend, (mine, gradient))
        return residual - entry_products(x.rows, x.columns, moved - mine, other), moved

    residual, w = jax.lax.scan(one, residual, (w, h))
    return w, residual


def _masked_multiply(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One multiplicative update of w, for the residuals at the stored places: (w, the new residuals)."""
    predicted = dataclasses.replace(x, data=x.data - residual)

    def one(factors: tuple[jax.Array, jax.Array]) -> jax.Array:
        mine, other = factors
        return _scaled(mine, spmm(x, other.T).T, spmm(predicted, other.T).T + weight * mine)

    moved = jax.lax.map(one, (w, h))
    return moved, _without(residual, x, moved - w, h)


def _without(values: jax.Array, x: SparseOperator, w: jax.Array, h: jax.Array) -> jax.Array:
    """The values [E] at the places of x, less the product of the blocks of w and h."""
    subtract = lambda left, factors: (left - entry_products(x.rows, x.columns, *factors), None)  # noqa: E731
    return jax.lax.scan(subtract, values, (w, h))[0]


def _scaled(factor: jax.Array, above: jax.Array, below: jax.Array) -> jax.Array:
    # A denominator of 0 means that the numerator is 0 too.
    return factor * above / jnp.where(below > 0, below, 1)


def _gram(factor: jax.Array) -> jax.Array:
    return jnp.matmul(factor, factor.T, precision="highest")


def _blocks(factor: jax.Array) -> jax.Array:
    """A factor [k, M] as [blocks, b, M], filled up with components of 0, which stay 0."""
    blocks = -(-factor.shape[0] // _BLOCK)
    filled = jnp.pad(factor, ((0, blocks * _BLOCK - factor.shape[0]), (0, 0)))
    return filled.reshape(blocks, _BLOCK, factor.shape[1])


def _drawn_start(
    x: SparseOperator, rank: int, key: jax.Array | None, places: int
) -> tuple[jax.Array, jax.Array]:
    scale = jnp.sqrt(jnp.sum(x.data) / (places * rank))
    key_w, key_h = jax.random.split(key)
    w = scale * jnp.abs(jax.random.normal(key_w, (x.shape[0], rank), x.data.dtype))
    return w, scale * jnp.abs(jax.random.normal(key_h, (rank, x.shape[1]), x.data.dtype))


def _prepared(
    matrix: SparseMatrix,
    rank: int,
    key: jax.Array | None,
    init: Start | None,
    solver: str,
    max_iter: int,
    tol: float,
    l2: float,
) -> tuple[SparseOperator, tuple[jax.Array, jax.Array] | None, jax.Array, jax.Array]:
    """The arguments of both factorisations, checked: (operator, start, l2, tol)."""
    if len(matrix.shape) != 2 or matrix.data.dtype not in (jnp.float32, jnp.float64):
        raise MismatchError(
            f"matrix must be a sparse float32 or float64 matrix [M, N], got {matrix.data.dtype} of shape {matrix.shape}"
        )
    smaller = min(matrix.shape)
    if not 1 <= rank <= smaller:
        raise JaxrecError(f"rank must lie in 1..{smaller} for a matrix of shape {tuple(matrix.shape)}, got {rank}")
    if solver not in ("cd", "mu"):
        raise JaxrecError(f'solver must be "cd" (coordinate descent) or "mu" (multiplicative updates), got {solver!r}')
    if max_iter < 1:
        raise JaxrecError(f"max_iter must be at least 1, got {max_iter}")
    for name, value in (("tol", tol), ("l2", l2)):
        if not (value >= 0 and np.isfinite(value)):
            raise JaxrecError(f"{name} must be finite and not negative, got {value}")
    if (key is None) == (init is None):
        raise JaxrecError("pass either key, for a random start, or init=(w, h), to start from there")
    x = operator(matrix)
    if x.data.shape[0] == 0:
        raise JaxrecError(f"matrix of shape {x.shape} has no entry; there is nothing to factorise")
    _check_entries(x.data, "matrix", lambda at: (int(x.rows[at]), int(x.columns[at])))
    if init is not None:
        for name, given, shape in (("w", init[0], (x.shape[0], rank)), ("h", init[1], (rank, x.shape[1]))):
            if given.shape != shape or given.dtype != x.data.dtype:
                raise MismatchError(
                    f"init {name} is {given.dtype} of shape {given.shape}, expected {x.data.dtype} of shape {shape}"
                )
            _check_entries(given, f"init {name}", lambda at, shape=shape: np.unravel_index(at, shape))
        init = (jnp.asarray(init[0]), jnp.asarray(init[1]))
    return x, init, jnp.asarray(l2, x.data.dtype), jnp.asarray(tol, x.data.dtype)


def _check_entries(values: jax.Array | np.ndarray, name: str, place: Callable[[int], tuple[int, ...]]) -> None:
    """Refuse values that are negative or not finite; under `jit` there are none to look at."""
    if isinstance(values, jax.core.Tracer):
        return
    host = np.asarray(values).ravel()
    bad = ~(np.isfinite(host) & (host >= 0))
    if bad.any():
        at = int(bad.argmax())
        where = tuple(int(index) for index in place(at))
        raise JaxrecError(
            f"{name} has {host[at]} at {where}, and {int(bad.sum()):,} such entries in all; a non-negative factorisation "
            "needs finite entries of 0 or more: drop them, or shift the scale"
        )
