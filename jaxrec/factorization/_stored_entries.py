"""Non-negative factorization of the stored entries of a sparse matrix; missing entries are unknown, as with ratings."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from jaxrec.errors import MismatchError
from jaxrec.factorization._common import NMFResult, Solver, Start, iterate, multiplied, prepare
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm
from jaxrec.types import Array

# Components per block. The compressed-row kernel is several times faster for multiples of 8 columns, and 8 x 8
# numbers per row take little memory.
_BLOCK = 8


def masked_nmf(
    matrix: SparseMatrix,
    rank: int,
    key: Key[Array, ""] | None = None,
    *,
    init: Start | None = None,
    solver: Solver = "cd",
    max_iter: int = 50,
    tol: float = 1e-4,
    l2: float = 0.14,
) -> NMFResult:
    r"""Factorize the stored entries of a sparse matrix into non-negative factors; missing entries are unknown, not 0.

    .. math:: \min_{W \ge 0, H \ge 0} \sum_{(p, q)} (x_{pq} - w_p h_q)^2 + \lambda (|w_p|^2 + |h_q|^2)

    The sum runs over the stored entries, stored zeros included. So a row of n entries has the penalty n l2 |w|^2, as in
    Luo et al. and in Surprise; an objective that penalizes each row once needs a larger l2. Rows and columns without
    entries get 0. There are no biases: the product alone is the prediction, so it is never negative. The penalty pulls
    the scale of the product towards 0; `refit_scales` corrects this.

    - "cd": coordinate descent on the residuals. All rows of W take the exact step in one component after the other,
      then the columns of H. Before each iteration the scale of each component is divided between W and H so that the
      penalty is smallest. It needs far fewer iterations than "mu".
    - "mu": multiplicative updates, W <- W * (X H^T) / (Y H^T + l2 n W), with Y the predictions at the stored places,
      and H likewise.

    Both stop when an iteration lowers the objective by at most `tol` times its value. Neither raises the objective, up
    to rounding.

    Args:
      matrix: X, BCOO or operator [P, Q], float32 or float64, finite and non-negative. Under `jit` it must be an
        operator, and its values are not checked.
      rank: r, in 1..min(P, Q).
      key: consumed by the random start: absolute normal values times sqrt(mean of the stored entries / r). Omit it with
        `init`.
      init: (W [P, r], H [r, Q]), the start, of X's dtype, finite and non-negative.
      solver: "cd" or "mu".
      max_iter: maximum number of iterations.
      tol: tolerance of the stopping rule; 0 stops when the objective no longer falls.
      l2: lambda, the penalty per stored entry, in the units of X: double it if the entries double.

    Returns:
      The factors, and the objective of each iteration.

    Raises:
      JaxrecError: a negative or non-finite entry, no entry, a rank or an option out of range, neither or both of `key`
        and `init`.
      MismatchError: a matrix of another dtype, or `init` of other shapes or dtype.

    References:
      Luo, Zhou, Xia and Zhu, IEEE Transactions on Industrial Informatics 10(2), 2014 (objective, multiplicative
        updates).
      Yu, Hsieh, Si and Dhillon, ICDM 2012, section III (steps on residuals).

    >>> from jaxrec.sparse import from_entries
    >>> ratings = from_entries(jnp.array([2.0, 4.0, 3.0]), [0, 0, 1], [0, 1, 0], (2, 2))  # (1, 1) is unknown
    >>> made = masked_nmf(ratings, 1, jax.random.key(0), l2=0.0)
    >>> (made.w @ made.h).round(2).tolist()
    [[2.0, 4.0], [3.0, 6.0]]
    """
    x, start, penalty, tolerance = prepare(matrix, rank, key, init, solver, max_iter, tol, l2, stored=True)
    return _masked_nmf(x, *start, penalty, tolerance, solver, max_iter)


def refit_scales(
    matrix: SparseMatrix, w: Float[Array, "P r"], h: Float[Array, "r Q"]
) -> tuple[Float[Array, "P r"], Float[Array, "r Q"]]:
    r"""Rescale each row of W, then each column of H, to fit its stored entries best.

    .. math:: c_p = \frac{\sum_q x_{pq} y_{pq} + a g}{\sum_q y_{pq}^2 + a}, \quad y = W H

    g is the one factor that fits all entries best, and a is the mean of y^2 over the stored entries: each row counts
    one extra entry, so that a row of few entries stays near g. The penalty of `masked_nmf` pulls the product towards 0,
    which lies below all ratings; this undoes its effect on the scale and keeps its effect on the directions. The
    squared error of the stored entries does not rise, and no entry becomes negative.

    Args:
      matrix: X, BCOO or operator [P, Q], the matrix of `masked_nmf`.
      w: [P, r].
      h: [r, Q].

    Returns:
      (W [P, r], H [r, Q]).

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
            f"shape {tuple(matrix.shape)} needs [P, r] and [r, Q] of its dtype"
        )
    return _refit_scales(operator(matrix), w, h)


def _entry_products(rows: jax.Array, columns: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """Compute the entries of a product at given places: y[e] = sum over f of left[f, rows[e]] right[f, columns[e]].

    Args:
      rows: int32 [E].
      columns: int32 [E].
      left: [block, P], a few components.
      right: [block, Q].

    Returns:
      [E].

    >>> _entry_products(jnp.array([0, 1]), jnp.array([1, 0]), jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 5.0]])).tolist()
    [5.0, 6.0]
    """
    # An unrolled sum is one fused loop over the places; a reduction would first gather two tables [E, block].
    products = (mine[rows] * other[columns] for mine, other in zip(left, right, strict=True))
    return sum(products, jnp.zeros(rows.shape, left.dtype))


@functools.partial(jax.jit, static_argnums=(5, 6))
def _masked_nmf(
    x: SparseOperator, w: jax.Array, h: jax.Array, l2: jax.Array, tol: jax.Array, solver: Solver, max_iter: int
) -> NMFResult:
    """Run either solver, with the factors as blocks of components, [blocks, block, P] and [blocks, block, Q]."""
    rank = w.shape[1]
    # Permutations of the entries, from the order of `x` to that of its transpose and back.
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
        # The residuals are recomputed in each iteration, so that rounding errors do not accumulate.
        w, residual = improve(x, _without(x.data, x, w, h), w, h, l2 * counts_w)
        h, residual = improve(x.T, residual[to_columns], h, w, l2 * counts_h)
        return w, h, objective(w, h, residual[to_rows]), jnp.zeros((), w.dtype)

    def stop(objectives: jax.Array, _: jax.Array, done: jax.Array) -> jax.Array:
        return objectives[done - 1] - objectives[done] <= tol * objectives[done - 1]

    # A row without entries is in no prediction; with l2 = 0 the steps would leave it at its start.
    w, h = _blocks(jnp.where(counts_w > 0, w.T, 0)), _blocks(jnp.where(counts_h > 0, h, 0))
    w, h, course = iterate(step, stop, w, h, objective(w, h, _without(x.data, x, w, h)), max_iter)
    joined = lambda blocks: blocks.reshape(-1, blocks.shape[2])[:rank]  # noqa: E731
    return NMFResult(joined(w).T, joined(h), *course)


def _descend(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Take one exact step in each component of w, from the residuals at the stored places: (w, new residuals)."""
    pattern = x.with_data(jnp.ones_like(x.data), x.transposed)

    def one(residual: jax.Array, factors: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        mine, other = factors
        # Within a block, the Gram matrix of each row's columns of h gives the change of the next gradients by a step.
        squares = (other[:, None, :] * other[None, :, :]).reshape(_BLOCK * _BLOCK, -1)
        gram = spmm(pattern, squares.T).T.reshape(_BLOCK, _BLOCK, -1)
        gradient = weight * mine - spmm(x.with_data(residual, x.transposed), other.T).T

        def descend(f: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            moved, gradient = carry
            curvature = gram[f, f] + weight[0]
            after = jnp.maximum(moved[f] - gradient[f] / jnp.where(curvature > 0, curvature, 1), 0)
            change = jnp.where(curvature > 0, after - moved[f], 0)
            # Set, not added: a component at its bound must be exactly 0.
            return moved.at[f].set(jnp.where(curvature > 0, after, moved[f])), gradient + gram[f] * change[None, :]

        moved, _ = jax.lax.fori_loop(0, _BLOCK, descend, (mine, gradient))
        return residual - _entry_products(x.rows, x.columns, moved - mine, other), moved

    residual, w = jax.lax.scan(one, residual, (w, h))
    return w, residual


def _multiply(
    x: SparseOperator, residual: jax.Array, w: jax.Array, h: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Apply one multiplicative update to w, from the residuals at the stored places: (w, new residuals)."""
    predicted = x.with_data(x.data - residual, x.transposed)

    def one(factors: tuple[jax.Array, jax.Array]) -> jax.Array:
        mine, other = factors
        return multiplied(mine, spmm(x, other.T).T, spmm(predicted, other.T).T + weight * mine)

    moved = jax.lax.map(one, (w, h))
    return moved, _without(residual, x, moved - w, h)


def _balanced(w: jax.Array, h: jax.Array, counts_w: jax.Array, counts_h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rescale each component between the factors, keeping their product, so that the penalty is smallest.

    Alternating steps move this scale slowly and past its best value: the predictions swing for dozens of iterations.
    """
    mine, other = _squares(w, counts_w), _squares(h, counts_h)
    alive = (mine > 0) & (other > 0)
    scale = jnp.where(alive, jnp.sqrt(jnp.sqrt(jnp.where(alive, other, 1) / jnp.where(alive, mine, 1))), 1)
    return w * scale, h / scale


def _squares(factor: jax.Array, counts: jax.Array) -> jax.Array:
    """Sum the weighted squares of each component, [blocks, block, 1]."""
    return jnp.sum(counts[None] * jnp.square(factor), axis=2, keepdims=True)


def _without(values: jax.Array, x: SparseOperator, w: jax.Array, h: jax.Array) -> jax.Array:
    """Subtract the product of the blocks of w and h from values [E] at the places of x."""
    subtract = lambda left, factors: (left - _entry_products(x.rows, x.columns, *factors), None)  # noqa: E731
    return jax.lax.scan(subtract, values, (w, h))[0]


def _blocks(factor: jax.Array) -> jax.Array:
    """Reshape a factor [r, P] to [blocks, block, P], padded with components of 0, which stay 0."""
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
