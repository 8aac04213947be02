"""Sums over the rows of a batch that belong together, and over the negatives of each row."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxrec.errors import MismatchError
from jaxrec.losses._means import same_shape
from jaxrec.types import Array


def negative_sums(
    negative: Float[Array, "B M"],
    positive: Float[Array, " B"],
    negative_where: Bool[Array, "B M"] | None,
    where: Bool[Array, " B"] | None,
) -> tuple[Float[Array, " B"], Bool[Array, " B"]]:
    """The log-sum-exp of each row's negatives, 0 for a row without any; and the rows that count, those left out.

    Raises:
      MismatchError: shapes that do not fit each other.

    >>> sums, where = negative_sums(jnp.zeros((2, 3)), jnp.zeros(2), jnp.array([[True] * 3, [False] * 3]), None)
    >>> sums.round(4).tolist(), where.tolist()  # log 3
    ([1.0986000299453735, 0.0], [True, False])
    """
    check_scores(positive, negative)
    every = jnp.ones(positive.shape, bool)
    if where is not None:
        same_shape(positive, where, "where")
        every = where
    if negative_where is not None:
        same_shape(negative, negative_where, "negative_where")
        some = jnp.any(negative_where, axis=1)
        # A row of -inf alone has no slope, so such rows sum over zeros.
        negative = jnp.where(negative_where, negative, -jnp.inf)
        negative = jnp.where(some[:, None], negative, 0)
    elif negative.shape[1]:
        return jax.nn.logsumexp(negative, axis=1), every
    else:
        some = jnp.zeros(positive.shape, bool)
    if not negative.shape[1]:
        return jnp.zeros_like(positive), every & some
    return jnp.where(some, jax.nn.logsumexp(negative, axis=1), 0), every & some


def check_scores(positive: jax.Array, negative: jax.Array) -> None:
    """Refuse scores that are not [B] and [B, M].

    Raises:
      MismatchError: other shapes.
    """
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[:1] != positive.shape:
        raise MismatchError(
            f"positive must have shape (B,) and negative (B, M), got {positive.shape} and {negative.shape}"
        )


def first_places(owner: Int[Array, " B"], where: Bool[Array, " B"]) -> Int[Array, " B"]:
    """A number below B for each row that rows of one owner share, and no others; rows that do not count have their own.

    >>> places = first_places(jnp.array([7, 2, 7, 2]), jnp.array([True, True, True, False]))
    >>> bool(places[0] == places[2]), len(set(places.tolist()))
    (True, 3)
    """
    size = owner.shape[0]
    # Keys alone are sorted, see `training/_row_rules.py`; those of rows that do not count are all different.
    keys = jnp.where(where, owner, jnp.iinfo(jnp.int32).max - jnp.arange(size, dtype=jnp.int32))
    return jnp.searchsorted(jax.lax.sort(keys), keys).astype(jnp.int32)


def log_mean_exp(
    values: Float[Array, " B"],
    segment: Int[Array, " B"],
    weights: Float[Array, " B"] | None,
    where: Bool[Array, " B"],
) -> Float[Array, " B"]:
    """The log of the weighted mean of e^value over the rows of the same segment that count; 0 where none weighs.

    >>> both = jnp.ones(2, bool)
    >>> log_mean_exp(jnp.array([1.0, 1.0]), jnp.zeros(2, jnp.int32), None, both).tolist()
    [1.0, 1.0]
    """
    size = values.shape[0]
    weight = where.astype(values.dtype)
    if weights is not None:
        same_shape(values, weights, "weights")
        weight = jnp.where(where, weights, 0)
    values = jnp.where(where, values, 0)
    top = jax.lax.stop_gradient(jax.ops.segment_max(jnp.where(weight > 0, values, -jnp.inf), segment, size))
    top = jnp.where(jnp.isfinite(top), top, 0)[segment]
    # A row without weight may lie far above the others' largest.
    power = jnp.exp(jnp.where(weight > 0, values - top, 0))
    total = jax.ops.segment_sum(weight * power, segment, size)[segment]
    norm = jax.ops.segment_sum(weight, segment, size)[segment]
    some = norm > 0
    return jnp.where(some, top + jnp.log(jnp.where(some, total, 1)) - jnp.log(jnp.where(some, norm, 1)), 0)


def segment_mean(
    values: Float[Array, " B"],
    segment: Int[Array, " B"],
    where: Bool[Array, " B"],
    weights: Float[Array, " B"] | None = None,
) -> Float[Array, " B"]:
    """The weighted mean of the rows of the same segment that count, for each row; 0 where none weighs.

    >>> segment_mean(jnp.array([1.0, 3.0]), jnp.zeros(2, jnp.int32), jnp.ones(2, bool)).tolist()
    [2.0, 2.0]
    """
    size = values.shape[0]
    weight = where.astype(values.dtype)
    if weights is not None:
        same_shape(values, weights, "weights")
        weight = jnp.where(where, weights, 0)
    total = jax.ops.segment_sum(weight * jnp.where(where, values, 0), segment, size)
    norm = jax.ops.segment_sum(weight, segment, size)
    return jnp.where(norm > 0, total / jnp.where(norm > 0, norm, 1), 0)[segment]


def sizes(segment: Int[Array, " B"], where: Bool[Array, " B"]) -> Float[Array, " B"]:
    """How many rows of the same segment count, at least 1, for each row.

    >>> sizes(jnp.array([0, 0, 1]), jnp.ones(3, bool)).tolist()
    [2.0, 2.0, 1.0]
    """
    count = jax.ops.segment_sum(where.astype(jnp.float32), segment, segment.shape[0])
    return jnp.maximum(count, 1)[segment]
