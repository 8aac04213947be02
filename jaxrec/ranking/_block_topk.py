"""Exact top-k of each user by block maxima, without sorting the catalog.

Two stages: the maximum of each block of items selects k blocks, and the k best items are found in these. The scores
lie by item, [I, B]: maxima then run over whole rows of users, and the product that makes the scores is faster in this
layout too. docs/performance.md has the counts and measurements.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Bool, Float, Int

from jaxrec.types import Array

BLOCK = 16  # items per block of the first stage


def top_k(scores: Float[Array, "B I"], k: int) -> tuple[Float[Array, "B k"], Int[Array, "B k"], Bool[Array, " B"]]:
    """Find the k largest scores of each row; ties go to the lower index. Uses block maxima if that is faster.

    Args:
      scores: float32 [B, I].
      k: at most I, static.

    Returns:
      values float32 [B, k], descending; indices int32 [B, k]; invalid bool [B], True if a score of the row is NaN or
      +inf (its values and indices are then meaningless).

    >>> values, indices, invalid = top_k(jnp.array([[0.0, 2.0, 2.0, 1.0]]), 2)
    >>> indices.tolist()
    [[1, 2]]
    """
    if goes_by_blocks(scores.shape[1], k):
        return top_k_by_item(scores.T, k)
    return plain_top_k(scores, k)


def plain_top_k(
    scores: Float[Array, "B I"], k: int
) -> tuple[Float[Array, "B k"], Int[Array, "B k"], Bool[Array, " B"]]:
    """Find the k largest scores of each row as `top_k` does, always without blocks: the program is smaller.

    >>> plain_top_k(jnp.array([[0.0, 2.0, 2.0, 1.0]]), 2)[1].tolist()
    [[1, 2]]
    """
    values, indices = lax.top_k(one_zero(_checked(scores)), k)
    return values, indices, _any_infinite(values)


def goes_by_blocks(num_items: int, k: int) -> bool:
    """Tell if k blocks are a small enough part of the catalog for two stages to be faster.

    >>> goes_by_blocks(num_items=191, k=1), goes_by_blocks(num_items=192, k=1)
    (False, True)
    """
    return 12 * k * BLOCK <= num_items


def top_k_by_item(
    scores: Float[Array, "I B"], k: int
) -> tuple[Float[Array, "B k"], Int[Array, "B k"], Bool[Array, " B"]]:
    """Find the k largest scores of each user in scores that lie by item, always by block maxima.

    Args:
      scores: float32 [I, B].
      k: static, at most the number of blocks, as `goes_by_blocks` ensures.

    Returns:
      values float32 [B, k], descending; indices int32 [B, k], ties to the lower; invalid bool [B], True if a score of
      the user is NaN or +inf.

    >>> values, indices, invalid = top_k_by_item(jnp.arange(200.0)[:, None], 2)
    >>> indices.tolist()
    [[199, 198]]
    """
    # Exact: cut the items into contiguous blocks and rank the blocks by (maximum descending, index ascending), as
    # lax.top_k does. Let x be an item of a block b that is not among the first k. Each of those k blocks has a maximum
    # that is either above that of b, hence above the score of x; or equal to it, and then the block has a lower index
    # than b, so the item with this maximum has a lower index than x. Both ways the block has an item that is ranked
    # before x. These are k items, so x is not among the k best, and the k best lie in the chosen blocks. Sorting the
    # chosen blocks by index puts the candidates in the order of their items, so that the last top_k breaks ties alike.
    size, batch = scores.shape
    maxima = _block_maxima(scores)
    highest, blocks = lax.top_k(one_zero(maxima).T, k)
    blocks = jnp.sort(blocks, axis=1)
    items = blocks.T[:, None, :] * BLOCK + jnp.arange(BLOCK, dtype=jnp.int32)[None, :, None]
    items = items.reshape(k * BLOCK, batch)
    candidates = jnp.take_along_axis(scores, jnp.minimum(items, size - 1), axis=0, mode="promise_in_bounds")
    values, places = lax.top_k(jnp.where(items < size, one_zero(candidates), -jnp.inf).T, k)
    items = jnp.take_along_axis(blocks, places // BLOCK, axis=1) * BLOCK + places % BLOCK
    return values, items, _any_infinite(highest)


def _block_maxima(scores: jax.Array) -> jax.Array:
    """Compute the block maxima [blocks, B] of scores [I, B]; +inf for a block with NaN or +inf."""
    full = scores.shape[0] // BLOCK * BLOCK
    # The j-th items of all blocks are one slice, so a maximum of slices is one loop over the scores, vectorized over
    # users, that also checks them. A reduction over an axis is faster without the check only.
    parts = [_checked(scores[place:full:BLOCK]) for place in range(BLOCK)]
    maxima = functools.reduce(jnp.maximum, parts)
    # The next stage reads the maxima by user, and XLA would let the loop above write them that way: against the order
    # of the scores, and many times slower.
    maxima = with_layout_constraint(maxima, Layout(major_to_minor=(0, 1)))
    if full == scores.shape[0]:
        return maxima
    rest = jnp.max(_checked(scores[full:]), axis=0, keepdims=True)
    return jnp.concatenate([maxima, rest], axis=0)


def _checked(scores: jax.Array) -> jax.Array:
    # XLA may lose a NaN in a maximum, but a NaN fails every comparison: it becomes +inf, which no valid score is.
    return jnp.where(scores < jnp.inf, scores, jnp.inf)


def _any_infinite(values: jax.Array) -> jax.Array:
    # The first column says the same, but XLA turns a top_k whose result is sliced into a sort of the whole row, fifty
    # times slower.
    return jnp.any(values == jnp.inf, axis=1)


def one_zero(scores: jax.Array) -> jax.Array:
    """Map -0.0 and subnormal scores to 0.0: lax.top_k ranks 0.0 before -0.0, and a maximum may flush subnormals to 0.

    >>> one_zero(jnp.array([-0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    return jnp.where(jnp.abs(scores) < np.finfo(np.float32).tiny, np.float32(0), scores)
