"""Implicit alternating least squares: exact half-steps in the eigenbasis of the Gram matrix, in blocks of rows."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Key

from jaxrec._checks import number, whole
from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization._implicit_start import rotated, start
from jaxrec.factorization._systems import positive_solve
from jaxrec.pytrees import register
from jaxrec.sparse import SparseMatrix, SparseOperator, operator
from jaxrec.types import Array

_RUNGS = 10  # lengths that rows are padded to, and so programs, at the most
_BLOCK = 2**18  # numbers in the vectors of a block: 1 MB, which the cache of a core holds
_PAIRS = 2**15  # pairs whose scores are computed together in the objective


@register
@dataclasses.dataclass(frozen=True)
class IALSResult:
    """The vectors that implicit ALS gives. It is a pytree.

    Both are in the eigenbasis of the items' Gram matrix, so items^T items is diagonal.

    Attributes:
      users: [P, d], the exact minimum for `items`; a row without entries is 0.
      items: [Q, d].

    >>> from jaxrec.sparse import from_dense
    >>> x = from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> made = implicit_als(x, 2, jax.random.key(0), unobserved=0.01, l2=0.01)
    >>> jnp.abs(made.users @ made.items.T).round(1).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    users: jax.Array
    items: jax.Array


def implicit_als(
    matrix: SparseMatrix,
    dim: int,
    key: Key[Array, ""],
    *,
    unobserved: float = 0.1,
    l2: float = 0.1,
    frequency: float = 1.0,
    iterations: int = 10,
    power_iterations: int = 1,
    scale: float = 0.3,
    mesh: Mesh | None = None,
) -> IALSResult:
    r"""Factorize who has what, where every pair that does not occur counts a little as 0.

    .. math:: \sum_{(u, i) \in S} c_{ui} (1 - \langle p_u, q_i \rangle)^2 + \alpha \sum_{u, i} \langle p_u, q_i
        \rangle^2 + \sum_u \lambda_u |p_u|^2 + \sum_i \lambda_i |q_i|^2

    with :math:`\lambda_u = \lambda (n_u + \alpha Q)^\nu`, and :math:`\lambda_i = \lambda (n_i + \alpha P)^\nu`. n_u and
    n_i are the stored entries of a row and of a column. An iteration gives all items their exact minimum, then all
    users theirs, so the objective never rises, up to rounding.

    The normal equations of a user are (alpha G + V^T C V + lambda_u I) p = V^T c, with the Gram matrix G of all items
    and the vectors V of the n items of the user. In the eigenbasis of G all but V^T C V is a diagonal D, which is
    divided out: with T = C^(1/2) V D^(-1/2), the n x n system I + T T^T is solved where n < d, and the d x d system
    I + T^T T elsewhere. So a user costs about n^2 d operations in place of d^3 / 3.

    The users start near the leading singular vectors of C, from which one iteration goes as far as three from random
    values: block power iterations of normal values [Q, d] with :math:`D_u^{-.4} C D_i^{-.4}`, where D has the sums of
    rows and of columns; then each column times the root of its singular value, and all in the length of `scale`.

    Args:
      matrix: C, BCOO or operator [P, Q], float32; the entries are the weights c >= 0 of the pairs that occur, 1 for all
        alike.
      dim: d.
      key: consumed, for the normal values.
      unobserved: alpha, the weight of every pair.
      l2: lambda, above 0.
      frequency: nu; 0 penalizes all alike, 1 in proportion to what they take part in.
      iterations: how many.
      power_iterations: of the start; 0 starts the users with normal values of standard deviation `scale` / sqrt(d).
      scale: the root of the mean of the squared lengths that the users' vectors start with.
      mesh: several devices that share the rows of both sides, see `jaxrec.parallel.as_mesh`: each solves its own, for
        the vectors of the other side, which are gathered. Sums are of other orders, so the last bits may differ.

    Returns:
      The vectors of users and items.

    Raises:
      JaxrecError: no entry, a weight that is negative or not finite, an option out of range.
      MismatchError: a matrix of another dtype.

    References:
      Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.
      Halko, Martinsson and Tropp, Finding Structure with Randomness, SIAM Review 53, 2011, algorithm 4.4.
      Rendle, Krichene, Zhang and Koren, Revisiting the Performance of iALS on Item Recommendation Benchmarks, RecSys
        2022, equations 1 to 5. (The weights of Hu et al., 1 + a r for what occurs and 1 for the rest, are not the
        same: there the pairs that occur are left out of the second sum.)

    >>> from jaxrec.sparse import from_dense
    >>> x = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])))
    >>> made = [implicit_als(x, 2, jax.random.key(0), iterations=n) for n in (1, 5)]
    >>> values = [implicit_als_objective(x, *jax.tree.leaves(each)).item() for each in made]
    >>> values[1] < values[0]
    True
    """
    x = operator(matrix)
    dim, iterations = whole("dim", dim, 1), whole("iterations", iterations, 1)
    power_iterations = whole("power_iterations", power_iterations, 0)
    number("scale", scale, 0, above=True)
    penalties = check_penalties(unobserved, l2, frequency)
    if x.data.dtype != jnp.float32:
        raise MismatchError(f"matrix must be float32, got {x.data.dtype}; convert its data")
    if x.data.shape[0] == 0:
        raise JaxrecError(f"matrix of shape {x.shape} has no entry; there is nothing to factorize")
    weights = np.asarray(x.data)
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise JaxrecError(f"the weights must be finite and not negative, got {weights.min()} to {weights.max()}")
    num_users, num_items = x.shape
    users = start(x, one_key(key), jnp.float32(scale), dim=dim, power_iterations=power_iterations)
    if mesh is not None and mesh.size > 1:
        from jaxrec.factorization._implicit_mesh import solved_on

        return IALSResult(*solved_on(mesh, x, users, penalties, iterations))
    # Both sides have the larger number of rows, so that they share the programs of their blocks.
    size = max(x.shape)
    users_side, items_side = _side(x, size), _side(x.T, size)
    plan = rungs_of(np.concatenate([np.diff(x.indptr), np.diff(x.T.indptr)]), dim)
    items = jnp.zeros((0, dim), jnp.float32)
    for _ in range(iterations):
        users, spectrum = rotated(users)
        items = _solved(users, spectrum, items_side, plan, penalties, num_items)
        items, spectrum = rotated(items)
        users = _solved(items, spectrum, users_side, plan, penalties, num_users)
    return IALSResult(users, items)


def check_penalties(unobserved: float, l2: float, frequency: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Check the three numbers of the objective and put them on the device.

    Raises:
      JaxrecError: one that is out of range.

    >>> check_penalties(0.1, 0.0, 1.0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: l2 must be a finite number above 0, got 0.0
    """
    refuse_penalties(unobserved, l2, frequency)
    return jnp.float32(unobserved), jnp.float32(l2), jnp.float32(frequency)


def refuse_penalties(unobserved: float, l2: float, frequency: float) -> None:
    """Check the three numbers of the objective; no device is asked for, so that options do not start JAX.

    Raises:
      JaxrecError: one that is out of range.

    >>> refuse_penalties(-1.0, 0.1, 1.0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: unobserved must be a finite number of at least 0, got -1.0
    """
    number("unobserved", unobserved, 0)
    number("l2", l2, 0, above=True)
    number("frequency", frequency, 0)


class _Side(NamedTuple):
    """The entries of users, or of items, padded to the rows of the larger side.

    Attributes:
      indptr: int32 [n + 1].
      columns: int32 [E].
      weights: float32 [E].
      order: int32 [n], the rows by the number of their entries.
      lengths: NumPy [n], these numbers, ascending.
      others: how many rows the other side has.
    """

    indptr: jax.Array
    columns: jax.Array
    weights: jax.Array
    order: jax.Array
    lengths: np.ndarray
    others: int


def _side(x: SparseOperator, size: int) -> _Side:
    indptr = np.pad(np.asarray(x.indptr), (0, size - x.shape[0]), mode="edge")
    lengths = np.diff(indptr)
    order = np.argsort(lengths, kind="stable").astype(np.int32)
    return _Side(jnp.asarray(indptr), x.columns, x.data, jnp.asarray(order), lengths[order], x.shape[1])


def rungs_of(lengths: np.ndarray, dim: int) -> tuple[tuple[int, int], ...]:
    """The lengths that rows are padded to, with the rows of a block: those of the least work, at most `_RUNGS`.

    >>> rungs_of(np.array([0, 3, 3, 8, 700]), 64)
    ((8, 4), (768, 1))
    """
    lengths = lengths[lengths > 0]
    longest = int(lengths.max())
    powers = 2 ** np.arange(3, int(longest).bit_length() + 2)
    rungs = np.unique(np.concatenate([[8], *(powers * part // 4 for part in (4, 5, 6, 7))]) // 8 * 8)
    rungs = rungs[: int(np.searchsorted(rungs, longest)) + 1]
    counts = np.bincount(np.searchsorted(rungs, lengths), minlength=len(rungs))
    gathered = 30.0 * rungs * dim  # moving a number costs as much as some 30 operations
    work = gathered + np.where(rungs < dim, rungs**2.0 * dim + rungs**3.0 / 3, rungs * dim**2.0 + dim**3.0 / 3)
    # best[j] is the least work for all rows up to rung j, with rung j among those that are used.
    until = np.concatenate([[0], np.cumsum(counts)])
    best, chosen = until[1:] * work, [[at] for at in range(len(rungs))]
    for _ in range(_RUNGS - 1):
        before, had = best.copy(), [list(one) for one in chosen]
        for at in range(1, len(rungs)):
            costs = before[:at] + (until[at + 1] - until[1 : at + 1]) * work[at]
            least = int(costs.argmin())
            if costs[least] < best[at]:
                best[at], chosen[at] = costs[least], [*had[least], at]
    plan, start = [], 0
    for at in chosen[-1]:
        rows, start = int(until[at + 1] - until[start]), at + 1
        if rows:
            most = max(max(_BLOCK, dim << 10) // (int(rungs[at]) * max(dim, 8)), 1)
            plan.append((int(rungs[at]), min(most, 1 << (rows - 1).bit_length())))
    return tuple(plan)


def _solved(
    table: jax.Array,
    spectrum: jax.Array,
    side: _Side,
    plan: tuple[tuple[int, int], ...],
    penalties: tuple[jax.Array, ...],
    rows: int,
) -> jax.Array:
    """The exact minimum [rows, d] of one side for the vectors of the other, which are in their eigenbasis."""
    size, dim = side.order.shape[0], table.shape[1]
    table = jnp.pad(table, ((0, size - table.shape[0]), (0, 0)))
    out, first = jnp.zeros((size, dim), table.dtype), int(np.searchsorted(side.lengths, 1))
    others = jnp.float32(side.others)
    for length, block in plan:
        last = int(np.searchsorted(side.lengths, length, side="right"))
        if last > first:
            bounds = jnp.array([first, last], jnp.int32)
            out = _bucket(out, table, spectrum, *side[:4], bounds, others, penalties, length=length, block=block)
        first = last
    return out[:rows]


def solve_bucket(
    out: jax.Array,
    table: jax.Array,
    spectrum: jax.Array,
    indptr: jax.Array,
    columns: jax.Array,
    weights: jax.Array,
    order: jax.Array,
    bounds: jax.Array,
    others: jax.Array,
    penalties: tuple[jax.Array, ...],
    *,
    length: int,
    block: int,
) -> jax.Array:
    """Solve the rows `order[bounds[0]:bounds[1]]`, of at most `length` entries, block by block; not jitted.

    >>> from jaxrec.sparse import from_dense
    >>> side, penalties = _side(operator(from_dense(jnp.ones((1, 1)))), 1), check_penalties(0.0, 0.5, 0.0)
    >>> given = (jnp.ones((1, 1)), jnp.ones(1), *side[:4], jnp.array([0, 1], jnp.int32), jnp.float32(1), penalties)
    >>> f"{solve_bucket(jnp.zeros((1, 1)), *given, length=8, block=1).item():.3f}"  # 1 / (1 + .5)
    '0.667'
    """
    first, last = bounds[0], bounds[1]

    # One block after another: what is independent might run at once, and the factorizations of LAPACK then wait for
    # each other for ever on a machine of two cores.
    def body(step: jax.Array, out: jax.Array) -> jax.Array:
        place = first + step * block + jnp.arange(block, dtype=jnp.int32)
        rows = order.at[place].get(mode="clip")
        start = indptr[rows]
        count = jnp.where(place < last, indptr[rows + 1] - start, 0)
        inside = jnp.arange(length, dtype=jnp.int32)[None, :] < count[:, None]
        at = start[:, None] + jnp.arange(length, dtype=jnp.int32)[None, :]
        weight = jnp.where(inside, weights.at[at].get(mode="clip"), 0)
        vectors = table[columns.at[at].get(mode="clip")]
        solved = solve_rows(vectors, weight, spectrum, count.astype(table.dtype), others, penalties)
        return out.at[jnp.where(place < last, rows, out.shape[0])].set(solved, mode="drop")

    return jax.lax.fori_loop(0, (last - first + block - 1) // block, body, out)


_bucket = jax.jit(solve_bucket, static_argnames=("length", "block"), donate_argnums=0)


def solve_rows(
    vectors: jax.Array,
    weight: jax.Array,
    spectrum: jax.Array,
    count: jax.Array,
    others: jax.Array,
    penalties: tuple[jax.Array, ...],
) -> jax.Array:
    """The exact minimum of the objective for B rows, given the vectors of the other side in their eigenbasis.

    Args:
      vectors: [B, L, d], of what each row has.
      weight: [B, L], 0 where a place does not count.
      spectrum: [d], the eigenvalues of the Gram matrix of all vectors.
      count: [B], the places that count.
      others: scalar, how many vectors there are.
      penalties: (alpha, lambda, nu), scalars.

    Returns:
      [B, d].

    >>> penalties = check_penalties(0.0, 0.5, 0.0)
    >>> one = jnp.ones((1, 1))
    >>> f"{solve_rows(one[None], one, jnp.ones(1), jnp.ones(1), jnp.float32(1), penalties).item():.3f}"  # 1 / (1 + .5)
    '0.667'
    """
    unobserved, l2, frequency = penalties
    sums = functools.partial(jnp.einsum, precision="highest")
    ridge = l2 * (count + unobserved * others) ** frequency
    scale = jax.lax.rsqrt(unobserved * spectrum[None, :] + ridge[:, None])
    root = jnp.sqrt(weight)
    t = vectors * root[:, :, None] * scale[:, None, :]
    if t.shape[1] < t.shape[2]:
        inner = positive_solve(sums("bld,bmd->blm", t, t), root)
        return scale * sums("bld,bl->bd", t, inner)
    return scale * positive_solve(sums("bld,ble->bde", t, t), sums("bld,bl->bd", t, root))


def implicit_als_objective(
    matrix: SparseMatrix,
    users: Float[Array, "P d"],
    items: Float[Array, "Q d"],
    *,
    unobserved: float = 0.1,
    l2: float = 0.1,
    frequency: float = 1.0,
) -> Float[Array, ""]:
    """Compute the objective of `implicit_als`, without a matrix of all pairs.

    Args:
      matrix: C, BCOO or operator [P, Q].
      users: [P, d].
      items: [Q, d].
      unobserved: alpha.
      l2: lambda.
      frequency: nu.

    Returns:
      A scalar, of float32.

    Raises:
      JaxrecError: an option out of range.

    >>> from jaxrec.sparse import from_dense
    >>> x, one = from_dense(jnp.ones((1, 1))), jnp.ones((1, 1))
    >>> implicit_als_objective(x, one, one, unobserved=0.5, l2=1.0, frequency=0.0).item()  # 0 + .5 + 1 + 1
    2.5
    """
    return _objective(operator(matrix), users, items, check_penalties(unobserved, l2, frequency))


@jax.jit
def _objective(x: SparseOperator, users: jax.Array, items: jax.Array, penalties: tuple[jax.Array, ...]) -> jax.Array:
    unobserved, l2, frequency = penalties
    entries = x.data.shape[0]
    block = min(_PAIRS, entries)

    def one(start: jax.Array) -> jax.Array:
        place = start + jnp.arange(block, dtype=jnp.int32)
        at = jnp.minimum(place, entries - 1)
        missed = 1 - jnp.sum(users[x.rows[at]] * items[x.columns[at]], axis=1)
        return jnp.sum(jnp.where(place < entries, x.data[at] * jnp.square(missed), 0))

    observed = jnp.sum(jax.lax.map(one, jnp.arange(0, entries, block, dtype=jnp.int32)))
    grams = [jnp.matmul(table.T, table, precision="highest") for table in (users, items)]

    def penalty(table: jax.Array, side: SparseOperator) -> jax.Array:
        count = jnp.diff(side.indptr).astype(table.dtype) + unobserved * side.shape[1]
        return jnp.sum(l2 * count**frequency * jnp.sum(jnp.square(table), axis=1))

    return observed + unobserved * jnp.sum(grams[0] * grams[1]) + penalty(users, x) + penalty(items, x.T)
