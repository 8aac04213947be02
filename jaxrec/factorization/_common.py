"""What both factorisations share: the result, the checks of their arguments, the random start, and the iteration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.pytrees import register
from jaxrec.sparse import SparseMatrix, SparseOperator, operator

Solver = Literal["cd", "mu"]
Start = tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]


@register
@dataclasses.dataclass(frozen=True)
class NMFResult:
    """A factorisation X ~ W H without negative entries, and how it was reached. It is a pytree.

    Attributes:
      w: [M, k].
      h: [k, N].
      objective: [max_iter + 1], the objective at the start and after each iteration; the value of the last iteration is
        repeated to the end.
      iterations: int32 scalar, how many iterations were made.
      converged: bool scalar, whether the stopping rule was met within `max_iter`.

    >>> from jaxrec.factorization import nmf
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


class Problem(NamedTuple):
    """The arguments of a factorisation, checked and in X's dtype.

    Attributes:
      x: the operator [M, N].
      start: (W [M, k], H [k, N]), or None for a random one.
      l2: scalar.
      tol: scalar.

    >>> Problem._fields
    ('x', 'start', 'l2', 'tol')
    """

    x: SparseOperator
    start: tuple[jax.Array, jax.Array] | None
    l2: jax.Array
    tol: jax.Array


def prepare(
    matrix: SparseMatrix,
    rank: int,
    key: jax.Array | None,
    init: Start | None,
    solver: str,
    max_iter: int,
    tol: float,
    l2: float,
) -> Problem:
    """Check the arguments of `nmf` and `masked_nmf`, which document them.

    Raises:
      JaxrecError: an entry or an option that makes no sense.
      MismatchError: dtypes or shapes that do not fit.

    >>> from jaxrec.sparse import from_dense
    >>> prepare(from_dense(jnp.eye(2)), 3, None, None, "cd", 1, 0.0, 0.0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: rank must lie in 1..2 for a matrix of shape (2, 2), got 3
    """
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
    start = None if init is None else _checked_start(init, x, rank)
    return Problem(x, start, jnp.asarray(l2, x.data.dtype), jnp.asarray(tol, x.data.dtype))


def _checked_start(init: Start, x: SparseOperator, rank: int) -> tuple[jax.Array, jax.Array]:
    for name, given, shape in (("w", init[0], (x.shape[0], rank)), ("h", init[1], (rank, x.shape[1]))):
        if given.shape != shape or given.dtype != x.data.dtype:
            raise MismatchError(
                f"init {name} is {given.dtype} of shape {given.shape}, expected {x.data.dtype} of shape {shape}"
            )
        _check_entries(given, f"init {name}", lambda at, width=shape[1]: divmod(at, width))
    return jnp.asarray(init[0]), jnp.asarray(init[1])


def _check_entries(values: jax.Array | np.ndarray, name: str, place: Callable[[int], tuple[int, int]]) -> None:
    """Refuse values that are negative or not finite; under `jit` there are none to look at."""
    if isinstance(values, Tracer):
        return
    host = np.asarray(values).ravel()
    bad = ~(np.isfinite(host) & (host >= 0))
    if bad.any():
        at = int(bad.argmax())
        raise JaxrecError(
            f"{name} has {host[at]} at {place(at)}, and {int(bad.sum()):,} such entries in all; a non-negative "
            "factorisation needs finite entries of 0 or more: drop the others, or shift the scale"
        )


def drawn_start(x: SparseOperator, rank: int, key: jax.Array, places: int) -> tuple[jax.Array, jax.Array]:
    """A random start: absolute normal values times sqrt(m / k), m the sum of x over `places`.

    Args:
      x: operator [M, N].
      rank: k.
      key: consumed.
      places: over how many places the mean is taken.

    Returns:
      (W [M, k], H [k, N]).

    >>> from jaxrec.sparse import from_dense
    >>> w, h = drawn_start(operator(from_dense(jnp.eye(3))), 2, jax.random.key(0), 9)
    >>> w.shape, h.shape, bool((w >= 0).all())
    ((3, 2), (2, 3), True)
    """
    return _drawn_start(x.data, key, rank, places, x.shape)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _drawn_start(
    data: jax.Array, key: jax.Array, rank: int, places: int, shape: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    scale = jnp.sqrt(jnp.sum(data) / float(places * rank))  # as a whole number it passes 2^31
    key_w, key_h = jax.random.split(key)
    w = scale * jnp.abs(jax.random.normal(key_w, (shape[0], rank), data.dtype))
    return w, scale * jnp.abs(jax.random.normal(key_h, (rank, shape[1]), data.dtype))


class Course(NamedTuple):
    """The course of an iteration: the last three attributes of `NMFResult`.

    >>> Course._fields
    ('objective', 'iterations', 'converged')
    """

    objective: jax.Array
    iterations: jax.Array
    converged: jax.Array


def iterate(
    step: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array, jax.Array]],
    stop: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
    w: jax.Array,
    h: jax.Array,
    objective: jax.Array,
    max_iter: int,
) -> tuple[jax.Array, jax.Array, Course]:
    """Repeat a step until a rule says stop, as one loop on the device.

    Args:
      step: of (w, h) to (w, h, objective, violation), two scalars.
      stop: of (objectives [max_iter + 1], violations [max_iter], iterations done) to a bool scalar.
      w: where it starts.
      h: where it starts.
      objective: scalar, at the start.
      max_iter: steps at the most.

    Returns:
      (w, h, course).

    >>> halve = lambda w, h: (w / 2, h, w / 2, jnp.float32(0))
    >>> w, _, course = iterate(halve, lambda f, *_: f[-1] < 2, jnp.float32(8), jnp.float32(1), jnp.float32(8), 4)
    >>> course.objective.tolist(), course.iterations.item()
    ([8.0, 4.0, 2.0, 1.0, 1.0], 3)
    """

    def body(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        w, h, objectives, violations, done, _ = state
        w, h, value, violation = step(w, h)
        done = done + 1
        objectives = jnp.where(jnp.arange(max_iter + 1, dtype=jnp.int32) >= done, value, objectives)
        violations = violations.at[done - 1].set(violation)
        return w, h, objectives, violations, done, stop(objectives, violations, done)

    start = (
        w,
        h,
        jnp.full(max_iter + 1, objective),
        jnp.zeros(max_iter, objective.dtype),
        jnp.int32(0),
        jnp.array(False),
    )
    w, h, objectives, _, done, converged = jax.lax.while_loop(
        lambda state: (state[4] < max_iter) & ~state[5], body, start
    )
    return w, h, Course(objectives, done, converged)


def multiplied(factor: jax.Array, above: jax.Array, below: jax.Array) -> jax.Array:
    """A multiplicative update, factor * above / below; 0 where `below` is 0, because `above` is 0 there too.

    >>> multiplied(jnp.array([3.0, 3.0]), jnp.array([4.0, 0.0]), jnp.array([2.0, 0.0])).tolist()
    [6.0, 0.0]
    """
    return factor * above / jnp.where(below > 0, below, 1)
