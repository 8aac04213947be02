"""Non-negative factorisation of the stored entries of a sparse matrix, as for ratings: missing entries are unknown."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxrec.errors import MismatchError
from jaxrec.factorization._common import NMFResult, Solver, Start, drawn_start, iterate, multiplied, prepare
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm

# Components that are treated together. The compressed-row kernel is several times faster for multiples of 8 columns,
# and 8 x 8 numbers a row are little memory.
_BLOCK = 8


def masked_nmf(
    matrix: SparseMatrix,
    rank: int,
    key: jax.Array | None = None,
    *,
    init: Start | None = None,
    solver: Solver = "cd",
    max_iter: int = 50,
    tol: float = 1e-4,
    l2: float = 0.14,
) -> NMFResult:
    r"""Non-negative factorisation of the stored entries alone: what is not stored is unknown, not 0.

    .. math:: \min_{W \ge 0, H \ge 0} \sum_{(m, n)} (x_{mn} - w_m h_n)^2 + \lambda (|w_m|^2 + |h_n|^2)

    The sum runs over the stored entries, a stored 0 included. So a row of n entries has the penalty n l2 |w|^2, as in
    Luo et al. and in Surprise; where each row is penalised once instead, l2 must be larger. Rows and columns without an
    entry get 0. There are no biases: the product alone is the prediction, so it is never negative. `refit_scales`
    corrects its scale, which the penalty pulls towards 0.

    - "cd": coordinate descent on the residuals. All rows of W take the exact step in one component after the other,
      then the columns of H, and before each iteration the penalty is shared out best between the two. It needs far
      fewer iterations than "mu".
    - "mu": multiplicative updates, W <- W * (X H^T) / (P H^T + l2 n W), where P holds the predictions at the stored
      places, and H likewise.

    Both stop when an iteration lowers the objective by at most `tol` times its value. Neither raises it, up to
    rounding.

    Args:
      matrix: X, BCOO or operator [M, N], float32 or float64, finite and without negative entries. Under `jit` it must
        be an operator, and its values are not checked.
      rank: k, in 1..min(M, N).
      key: consumed, for the random start: absolute normal values times sqrt(mean of the stored entries / k). Left out
        with `init`.
      init: (W [M, k], H [k, N]) to start from, of X's dtype, finite and without negative entries.
      solver: "cd" or "mu".
      max_iter: iterations at the most.
      tol: of the stopping rule; 0 stops where the objective no longer falls.
      l2: the penalty for each stored entry, in the units of X: for entries twice as large, take twice as much.

    Returns:
      The factors, with the course of the objective.

    Raises:
      JaxrecError: a negative or non-finite entry, no entry at all, a rank or an option out of range, neither or both of
        `key` and `init`.
      MismatchError: a matrix of another dtype, `init` of other shapes or dtype.

    Source: Luo, Zhou, Xia and Zhu, IEEE Transactions on Industrial Informatics 10(2), 2014 (objective, multiplicative
    updates); Yu, Hsieh, Si and Dhillon, ICDM 2012, section III (steps on residuals).

    >>> from jaxrec.sparse import from_entries
    >>> ratings = from_entries(jnp.array([2.0, 4.0, 3.0]), [0, 0, 1], [0, 1, 0], (2, 2))  # (1, 1) is unknown
    >>> made = masked_nmf(ratings, 1, jax.random.key(0), l2=0.0)
    >>> (made.w @ made.h).round(2).tolist()
    [[2.0, 4.0], [3.0, 6.0]]
    """
    x, start, penalty, tolerance = prepare(matrix, rank, key, init, solver, max_iter, tol, l2)
    if start is None:
        assert key is not None
        start = drawn_start(x, rank, key, places=x.data.shape[0])
    return _masked_nmf(x, *start, penalty, tolerance, solver, max_iter)


def refit_scales(matrix: SparseMatrix, w: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    r"""Multiply each row of W, and then each column of H, with the number that fits its stored entries best.

    .. math:: c_m = \frac{\sum_n x_{mn} p_{mn} + d g}{\sum_n p_{mn}^2 + d}, \quad p = W H

    Here g is the one number that fits all entries best, and d is the mean of p^2 over the stored entries: each row
    counts one entry more than it has, so that a row of few entries stays near g. The penalty of `masked_nmf` pulls the
    product towards 0, which lies below all ratings; this takes back what it does to the scale and keeps what it does to
    the directions. The squared error of the stored entries does not rise, and no entry becomes negative.

    Args:
      matrix: X, BCOO or operator [M, N], as for `masked_nmf`.
      w: [M, k].
      h: [k, N].

    Returns:
      (W [M, k], H [k, N]).

    Raises:
      MismatchError: shapes or dtypes that do not fit.

    >>> from jaxrec.sparse import from_entries
    >>> ratings = from_entries(jnp.array([2.0, 4.0]), [0, 0], [0, 1], (1, 2))
    >>> w, h = refit_scales(ratings, jnp.array([[0.5]]), jnp.array([[2.0, 4.0]]))
    >>> (w @ h).tolist()
    [[2.0, 4.0]]
    """
    rank = w.shape[-1]
    shapes = (w.shape, h.shape) == ((matrix.shape[0], rank), (rank, matrix.shape[1]))
    if not shapes or not w.dtype == h.dtype == matrix.data.dtype:
        raise MismatchError(
            f"w is {w.dtype} of shape {w.shape} and h is {h.dtype} of shape {h.shape}; a {matrix.data.dtype} matrix of "
            f"shape {tuple(matrix.shape)} needs [M, k] and [k, N] of its dtype"
        )
    return _refit_scales(operator(matrix), w, h)


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
    products = (mine[rows] * other[columns] for mine, other in zip(left, right, strict=True))
    return sum(products, jnp.zeros(rows.shape, left.dtype))


@functools.partial(jax.jit, static_argnums=(5, 6))
def _masked_nmf(
    x: SparseOperator, w: jax.Array, h: jax.Array, l2: jax.Array, tol: jax.Array, solver: Solver, max_iter: int
) -> NMFResult:
    """Both solvers hold the factors as blocks of components, [blocks, b, M] and [blocks, b, N]."""
    rank = w.shape[1]
    # From row by row to column by column and back, the order of the entries in `x` and in its transpose.
    to_columns = jnp.argsort(x.columns, stable=True)
    to_rows = jnp.argsort(to_columns)
    counts_w, counts_h = (jnp.diff(one.indptr).astype(w.dtype)[None, :] for one in (x, x.T))
    improve = _descend if solver == "cd" else _multiply

    def objective(w: jax.Array, h: jax.Array, residual: jax.Array) -> jax.Array:
        penalty = jnp.sum(_squares(w, counts_w)) + jnp.sum(_squares(h, counts_h))
        return jnp.sum(jnp.square(residual)) + l2 * penalty

    def step(w: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        if solver == "cd":
            w, h = _balanced(w, h, counts_w, counts_h)
        # The residuals are made anew in each iteration, so that rounding does not add up.
        w, residual = improve(x, _without(x.data, x, w, h), w, h, l2 * counts_w)
        h, residual = improve(x.T, residual[to_columns], h, w, l2 * counts_h)
        return w, h, objective(w, h, residual[to_rows]), jnp.zeros((), w.dtype)

    def stop(objectives: jax.Array, _: jax.Array, done: jax.Array) -> jax.Array:
        return objectives[done - 1] - objectives[done] <= tol * objectives[done - 1]

    # A row without an entry is in no prediction; where l2 is 0 the steps would leave it at its start.
    w, h = _blocks(jnp.where(counts_w > 0, w.T, 0)), _blocks(jnp.where(counts_h > 0, h, 0))
    w, h, course = iterate(step, stop, w, h, objective(w, h, _without(x.data, x, w, h)), max_iter)
    joined = lambda blocks: blocks.reshape(-1, blocks.shape[2])[:rank]  # noqa: E731
    return NMFResult(joined(w).T, joined(h), *course)


def _descend(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One exact step in each component of w, given the residuals at the stored places: (w, the new residuals)."""
    pattern = dataclasses.replace(x, data=jnp.ones_like(x.data))

    def one(residual: jax.Array, factors: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        mine, other = factors
        # Within a block, the Gram matrix of each row's own columns of h tells how a step bends the next gradients.
        squares = (other[:, None, :] * other[None, :, :]).reshape(_BLOCK * _BLOCK, -1)
        gram = spmm(pattern, squares.T).T.reshape(_BLOCK, _BLOCK, -1)
        gradient = weight * mine - spmm(dataclasses.replace(x, data=residual), other.T).T

        def descend(f: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            moved, gradient = carry
            curvature = gram[f, f] + weight[0]
            after = jnp.maximum(moved[f] - gradient[f] / jnp.where(curvature > 0, curvature, 1), 0)
            change = jnp.where(curvature > 0, after - moved[f], 0)
            # Set, not added: a component at its bound must be exactly 0.
            return moved.at[f].set(jnp.where(curvature > 0, after, moved[f])), gradient + gram[f] * change[None, :]

        moved, _ = jax.lax.fori_loop(0, _BLOCK, descend, (mine, gradient))
        return residual - entry_products(x.rows, x.columns, moved - mine, other), moved

    residual, w = jax.lax.scan(one, residual, (w, h))
    return w, residual


def _multiply(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One multiplicative update of w, given the residuals at the stored places: (w, the new residuals)."""
    predicted = dataclasses.replace(x, data=x.data - residual)

    def one(factors: tuple[jax.Array, jax.Array]) -> jax.Array:
        mine, other = factors
        return multiplied(mine, spmm(x, other.T).T, spmm(predicted, other.T).T + weight * mine)

    moved = jax.lax.map(one, (w, h))
    return moved, _without(residual, x, moved - w, h)


def _balanced(w: jax.Array, h: jax.Array, counts_w: jax.Array, counts_h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same product, with the scale of each component shared out so that the penalty is least.

    Alternating steps move this scale slowly and past its best value: the predictions swing for dozens of iterations.
    """
    mine, other = _squares(w, counts_w), _squares(h, counts_h)
    alive = (mine > 0) & (other > 0)
    scale = jnp.where(alive, jnp.sqrt(jnp.sqrt(jnp.where(alive, other, 1) / jnp.where(alive, mine, 1))), 1)
    return w * scale, h / scale


def _squares(factor: jax.Array, counts: jax.Array) -> jax.Array:
    """The weighted squares of each component, [blocks, b, 1]."""
    return jnp.sum(counts[None] * jnp.square(factor), axis=2, keepdims=True)


def _without(values: jax.Array, x: SparseOperator, w: jax.Array, h: jax.Array) -> jax.Array:
    """The values [E] at the places of x, less the product of the blocks of w and h."""
    subtract = lambda left, factors: (left - entry_products(x.rows, x.columns, *factors), None)  # noqa: E731
    return jax.lax.scan(subtract, values, (w, h))[0]


def _blocks(factor: jax.Array) -> jax.Array:
    """A factor [k, M] as [blocks, b, M], filled up with components of 0, which stay 0."""
    blocks = -(-factor.shape[0] // _BLOCK)
    filled = jnp.pad(factor, ((0, blocks * _BLOCK - factor.shape[0]), (0, 0)))
    return filled.reshape(blocks, _BLOCK, factor.shape[1])


@jax.jit
def _refit_scales(x: SparseOperator, w: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    def scales(places: jax.Array, size: int, w: jax.Array, h: jax.Array) -> jax.Array:
        predicted = -_without(jnp.zeros_like(x.data), x, _blocks(w), _blocks(h))
        above, below = x.data * predicted, jnp.square(predicted)
        extra, total = jnp.mean(below), jnp.sum(below)
        overall = jnp.where(total > 0, jnp.sum(above) / jnp.where(total > 0, total, 1), 1)
        above, below = (jax.ops.segment_sum(values, places, size) for values in (above, below))
        return jnp.where(total > 0, (above + extra * overall) / jnp.where(total > 0, below + extra, 1), 1)

    w = w.T
    w = w * scales(x.rows, x.shape[0], w, h)[None, :]
    h = h * scales(x.columns, x.shape[1], w, h)[None, :]
    return w.T, h
