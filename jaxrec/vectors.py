"""Vectors: scaled to length 1, and compared with many others each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxrec.types import Array

__all__ = ["cosines", "inner_products", "unit"]


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


def inner_products(vectors: Float[Array, "*n d"], others: Float[Array, "*n M d"]) -> Float[Array, "*n M"]:
    """The inner products of each vector with M others of its own.

    >>> inner_products(jnp.array([1.0, 2.0]), jnp.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [11.0, 2.0]
    """
    return jnp.einsum("...d,...md->...m", vectors, others, precision="highest")


def cosines(vectors: Float[Array, "*n d"], others: Float[Array, "*n M d"]) -> Float[Array, "*n M"]:
    """The cosines of each vector with M others of its own: inner products of `unit` vectors, without copies of them.

    Lengths of the others may lie between 1e-35 and 1e37, where inner products are in the range of float32. With a zero
    vector a cosine is 0, and so is its gradient.

    >>> cosines(jnp.array([1.0, 0.0]), jnp.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])).round(1).tolist()
    [0.6000000238418579, 0.0, 0.0]
    """
    # Squares are of scaled vectors, as in `unit`.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(others), axis=-1, initial=0))
    scale = 1 / jnp.where(largest >= jnp.finfo(others.dtype).tiny, largest, 1)
    scaled = others * scale[..., None]
    square = jnp.einsum("...d,...d->...", scaled, scaled, precision="highest")
    reciprocal = jnp.where(square > 0, scale * jax.lax.rsqrt(jnp.where(square > 0, square, 1)), 0)
    return inner_products(unit(vectors), others) * reciprocal
