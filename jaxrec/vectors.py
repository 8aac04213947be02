"""Vectors: scaled to length 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxrec.types import Array

__all__ = ["unit"]


def unit(vectors: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Vectors scaled to length 1 along the last axis; a zero vector stays zero, with a gradient of 0.

    >>> unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # The squares of very short or very long vectors leave the range of float32; the direction does not need the scale.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True, initial=0))
    vectors = vectors / jnp.where(largest > 0, largest, 1)
    square = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return jnp.where(square > 0, vectors * jax.lax.rsqrt(jnp.where(square > 0, square, 1)), 0)
