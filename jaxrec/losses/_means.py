"""What losses share: means over the rows that count, and checks of shapes and temperatures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.types import Array


def masked_mean(
    each: Float[Array, " B *M"], weights: Float[Array, " B *M"] | None = None, where: Bool[Array, " B *M"] | None = None
) -> Float[Array, ""]:
    """The weighted mean of values over the places that count; 0, with a gradient of 0, where none does.

    Args:
      each: [B] or [B, M].
      weights: of the same shape, not negative, or None for ones.
      where: bool of the same shape, or None for all.

    >>> masked_mean(jnp.array([1.0, jnp.inf]), where=jnp.array([True, False])).item()
    1.0
    """
    if weights is not None:
        same_shape(each, weights, "weights")
    if where is not None:
        same_shape(each, where, "where")
        each = jnp.where(where, each, 0)
        counted = where.astype(each.dtype)
        weights = counted if weights is None else jnp.where(where, weights, 0)
    if weights is None:
        return jnp.mean(each)
    total = jnp.sum(weights)
    return jnp.where(total > 0, jnp.sum(weights * each) / jnp.where(total > 0, total, 1), 0)


def counted(rows: Num[Array, " B *n"], where: Bool[Array, " *leading"] | None) -> Num[Array, " B *n"]:
    """The rows, with 0 at the places that do not count.

    Args:
      rows: [B, ...].
      where: bool [B] or a mask of more of the leading axes, or None for all.

    >>> counted(jnp.array([[1.0], [jnp.inf]]), jnp.array([True, False])).tolist()
    [[1.0], [0.0]]
    """
    # Before the loss, not after it: 0 times the slope of an infinite score is NaN, and would reach the gradient.
    if where is None:
        return rows
    if where.shape != rows.shape[: where.ndim]:
        raise MismatchError(
            f"where must have shape {rows.shape[: where.ndim]}, got {where.shape}; nothing is broadcast"
        )
    return jnp.where(where.reshape(*where.shape, *(1,) * (rows.ndim - where.ndim)), rows, 0)


def same_shape(first: jax.Array, second: jax.Array, name: str) -> None:
    """Refuse two arrays of different shapes."""
    if first.shape != second.shape:
        raise MismatchError(f"{name} must have shape {first.shape}, got {second.shape}; nothing is broadcast")


def check_positive(temperature: float | jax.Array, name: str = "temperature") -> None:
    """Refuse a temperature that is not positive; a traced one cannot be looked at."""
    if isinstance(temperature, (int, float)) and not temperature > 0:
        raise JaxrecError(f"{name} must be positive, got {temperature}")


def reciprocal(temperature: float | jax.Array, dtype: jnp.dtype) -> jax.Array:
    """1 / t, to multiply with."""
    # XLA turns a division by a constant into this product; written out, a temperature that is an argument of the
    # program gives the same bits.
    return 1 / jnp.asarray(temperature, dtype)
