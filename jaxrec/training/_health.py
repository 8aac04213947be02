"""What says of an epoch that it went well: parameters moved, and what the optimizer keeps stayed finite."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrec.training._state import TrainState


@functools.partial(jax.jit, static_argnames="several")
def health(before: TrainState, after: TrainState, *, several: bool = False) -> tuple[jax.Array, jax.Array]:
    """Compare the states before and after an epoch, in a program of its own, so that the epoch's reads no table.

    Args:
      before: the state before, or S of them.
      after: the state after, likewise.
      several: whether there are S, with a leading axis.

    Returns:
      (moved, sound), bool [] or [S]: whether a parameter has another value than before, and whether the optimizer keeps
      no infinity and no NaN that it had not before. Some keep an infinity from the start, as the best loss so far.

    >>> from jaxrec.training import init_state
    >>> import optax
    >>> state = init_state({"w": jnp.ones(2)}, optax.adam(0.1), jax.random.key(0))
    >>> [bool(answer) for answer in health(state, state)]
    [False, True]
    """
    one = jax.vmap(_of_one) if several else _of_one
    return one((before.params, before.opt_state), (after.params, after.opt_state))


def _of_one(before: tuple[Any, Any], after: tuple[Any, Any]) -> tuple[jax.Array, jax.Array]:
    moved = jnp.zeros((), bool)
    for old, new in zip(*map(jax.tree.leaves, (before[0], after[0])), strict=True):
        moved = moved | jnp.any(old != new)
    sound = jnp.ones((), bool)
    for old, new in zip(*map(jax.tree.leaves, (before[1], after[1])), strict=True):
        if jnp.issubdtype(jnp.asarray(new).dtype, jnp.inexact):
            sound = sound & ~jnp.any(~jnp.isfinite(new) & jnp.isfinite(old))
    return moved, sound
