"""Shared parts of both factorizations: the result, the checks of the arguments, the random start, the iteration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.pytrees import register
from jaxrec.sparse import SparseMatrix, SparseOperator, operator

Solver = Literal["cd", "mu"]
Start = tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]


@register
@dataclasses.dataclass(frozen=True)
class NMFResult:
    """A factorization X ~ W H into non-negative factors, and its convergence. It is a pytree.

    Attributes:
      w: [P, r].
      h: [r, Q].
      objective: [max_iter + 1], the objective at the start and after each iteration; the last value is repeated to the
        end.
      iterations: int32 scalar, the number of iterations.
      converged: bool scalar, True if the stopping rule was met within `max_iter`.

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


class _Problem(NamedTuple):
    """The arguments of a factorization, checked and in X's dtype.

    Attributes:
      x: X, operator [P, Q].
      start: (W [P, r], H [r, Q]), given or drawn.
      l2: scalar.
      tol: scalar.
    """

    x: SparseOperator
    start: tuple[jax.Array, jax.Array]
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
    *,
    stored: bool,
) -> _Problem:
    """Check the arguments of `nmf` and `masked_nmf`, which document them, and draw the start if none is given.

    `stored` says whether the entries that are not stored are unknown; otherwise they are 0.

    Raises:
      JaxrecError: an invalid entry or option.
      MismatchError: dtypes or shapes that do not fit.

    >>> from jaxrec.sparse import from_dense
    >>> prepare(from_dense(jnp.eye(2)), 3, None, None, "cd", 1, 0.0, 0.0, stored=False)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: rank must lie in 1..2 for a matrix of shape (2, 2), got 3
    """
    if len(matrix.shape) != 2 or matrix.data.dtype not in (jnp.float32, jnp.float64):
        raise MismatchError(
            f"matrix must be a sparse float32 or float64 matrix [P, Q], got {matrix.data.dtype} of shape {matrix.shape}"
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
        raise JaxrecError("pass either key, for a random start, or init=(w, h), the start itself")
    x = operator(matrix)
    if x.data.shape[0] == 0:
        raise JaxrecError(f"matrix of shape {x.shape} has no entry; there is nothing to factorize")
    _check_entries(x.data, "matrix", lambda at: (int(x.rows[at]), int(x.columns[at])))
    if init is not None:
        start = _checked_start(init, x, rank)
    else:
        places = x.data.shape[0] if stored else x.shape[0] * x.shape[1]
        start = drawn_start(x.data, one_key(key), rank, places, x.shape)
    return _Problem(x, start, jnp.asarray(l2, x.data.dtype), jnp.asarray(tol, x.data.dtype))


def _checked_start(init: Start, x: SparseOperator, rank: int) -> tuple[jax.Array, jax.Array]:
    for name, given, shape in (("w", init[0], (x.shape[0], rank)), ("h", init[1], (rank, x.shape[1]))):
        if given.shape != shape or given.dtype != x.data.dtype:
            raise MismatchError(
                f"init {name} is {given.dtype} of shape {given.shape}, expected {x.data.dtype} of shape {shape}"
            )
        _check_entries(given, f"init {name}", lambda at, width=shape[1]: divmod(at, width))
    return jnp.asarray(init[0]), jnp.asarray(init[1])


def _check_entries(values: jax.Array | np.ndarray, name: str, place: Callable[[int], tuple[int, int]]) -> None:
    """Refuse negative or non-finite values; traced values are not checked."""
    if isinstance(values, Tracer):
        return
    host = np.asarray(values).ravel()
    bad = ~(np.isfinite(host) & (host >= 0))
    if bad.any():
        at = int(bad.argmax())
        raise JaxrecError(
            f"{name} has {host[at]} at {place(at)}, and {int(bad.sum()):,} such entries in all; a non-negative "
            "factorization needs finite entries of 0 or more: drop the others, or shift the scale"
        )


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def drawn_start(
    data: jax.Array, key: jax.Array, rank: int, places: int, shape: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Draw a random start: absolute normal values times sqrt(m / r), with m the sum of X over `places`.

    Args:
      data: the stored entries of X.
      key: consumed.
      rank: r.
      places: number of places in the mean.
      shape: (P, Q).

    Returns:
      (W [P, r], H [r, Q]).

    >>> w, h = drawn_start(jnp.ones(3), jax.random.key(0), 2, 9, (3, 3))
    >>> w.shape, h.shape, bool((w >= 0).all())
    ((3, 2), (2, 3), True)
    """
    scale = jnp.sqrt(jnp.sum(data) / float(places * rank))  # as an integer it would exceed 2^31
    key_w, key_h = jax.random.split(key)
    w = scale * jnp.abs(jax.random.normal(key_w, (shape[0], rank), data.dtype))
    return w, scale * jnp.abs(jax.random.normal(key_h, (rank, shape[1]), data.dtype))


class _Course(NamedTuple):
    """The course of an iteration: the last three attributes of `NMFResult`."""

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
) -> tuple[jax.Array, jax.Array, _Course]:
    """Repeat a step until a stopping rule holds, in one loop on the device.

    Args:
      step: (w, h) to (w, h, objective, violation), the last two scalars.
      stop: (objectives [max_iter + 1], violations [max_iter], number of iterations done) to a bool scalar.
      w: the first factor at the start.
      h: the second factor at the start.
      objective: scalar, at the start.
      max_iter: maximum number of steps.

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
    return w, h, _Course(objectives, done, converged)


def multiplied(factor: jax.Array, above: jax.Array, below: jax.Array) -> jax.Array:
    """Apply a multiplicative update, factor * above / below; 0 where `below` is 0, since `above` is 0 there too.

    >>> multiplied(jnp.array([3.0, 3.0]), jnp.array([4.0, 0.0]), jnp.array([2.0, 0.0])).tolist()
    [6.0, 0.0]
    """
    return factor * above / jnp.where(below > 0, below, 1)
