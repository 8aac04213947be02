"""The compiled programs that rank: scores of one tile of users after another, seen items masked, the k best taken."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Int

from jaxrec.data._seen import SeenItems
from jaxrec.ranking._block_topk import goes_by_blocks, plain_top_k, top_k, top_k_by_item
from jaxrec.types import Array, Scorer

_SEEN_STEP = 4096  # seen items that are masked at a time, however long the history of a user is


@functools.partial(jax.jit, static_argnames=("k", "structure"))
def rank_few(
    scorer: Scorer, users: jax.Array, left: jax.Array, *, k: int, structure: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rank for one tile of users, by the mask bool [B, I] of the items that are left for each.

    Neither a loop over tiles nor one over seen items, and no blocks: it compiles in a third of the time of `rank`.
    """
    values, items, bad = plain_top_k(jnp.where(left, scorer.scores(users), -jnp.inf), k)
    return jnp.where(values == -jnp.inf, jnp.int32(-1), items), values, bad


@functools.partial(jax.jit, static_argnames=("k", "tile", "structure"))
def rank(
    scorer: Scorer,
    users: jax.Array,
    count: jax.Array,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    *,
    k: int,
    tile: int,
    structure: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rank the first `count` users: items [n, k], scores [n, k], and bool [n], True if a score is NaN or +inf."""
    return ranked(scorer, users, count, seen, allowed, k=k, tile=tile)


def ranked(
    scorer: Scorer,
    users: jax.Array,
    count: jax.Array,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    *,
    k: int,
    tile: int,
    first: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`rank`, traced as a part of another program; `first` is the first item where the scorer has a part of them."""
    by_blocks = goes_by_blocks(int(scorer.num_items), k)
    item_axis = 0 if by_blocks else 1

    def one_tile(at: jax.Array, lists: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        start = at * tile
        batch = lax.dynamic_slice_in_dim(users, start, tile)
        scores = scorer.scores(batch)
        if by_blocks:
            scores = scores.T
        if allowed is not None:
            scores = jnp.where(jnp.expand_dims(allowed, 1 - item_axis), scores, -jnp.inf)
        if seen is not None:
            real = start + jnp.arange(tile, dtype=jnp.int32) < count
            scores = mask_seen(scores, batch, real, seen, item_axis=item_axis, first_item=first)
        values, items, bad = top_k_by_item(scores, k) if by_blocks else top_k(scores, k)
        items = jnp.where(values == -jnp.inf, jnp.int32(-1), items if first is None else items + first)
        return tuple(
            lax.dynamic_update_slice_in_dim(whole, part, start, 0)
            for whole, part in zip(lists, (items, values, bad), strict=True)
        )

    size = users.shape[0]
    empty = (jnp.zeros((size, k), jnp.int32), jnp.zeros((size, k), jnp.float32), jnp.zeros(size, jnp.bool_))
    # The number of tiles is a value, not a shape: one program serves a full call, a part of it, and a single user.
    items, values, bad = lax.fori_loop(jnp.int32(0), (count + tile - 1) // tile, one_tile, empty)
    return items, values, bad


def mask_seen(
    table: jax.Array,
    users: Int[Array, " B"],
    real: Bool[Array, " B"],
    seen: SeenItems,
    mark: float | bool = -np.inf,
    *,
    item_axis: int = 1,
    first_item: jax.Array | None = None,
) -> jax.Array:
    """Set the seen items of each user to `mark` in a table [B, I], or [I, B] with `item_axis` 0; skip users not `real`.

    The seen items of the tile form one flat range, processed in steps of a fixed length. So the memory does not depend
    on the longest history, nor the work on the product of the longest history and the number of users.

    Args:
      table: [B, I] or [I, B].
      users: int32 [B].
      real: bool [B], False for the padding of the tile.
      seen: the items of all users.
      mark: the value to set, -inf for scores.
      item_axis: the axis of the items, 1 or 0.
      first_item: the item that the table begins with, for a table of a part of the items; 0 by default.

    Returns:
      The table with the marks.

    >>> seen = SeenItems(jnp.array([0, 1, 1]), jnp.array([2]))
    >>> mask_seen(jnp.ones((2, 3), bool), jnp.array([0, 1]), jnp.ones(2, bool), seen, mark=False).tolist()
    [[True, True, False], [True, True, True]]
    """
    first = jnp.asarray(seen.indptr)[users]
    lengths = jnp.where(real, jnp.asarray(seen.indptr)[users + 1] - first, 0)
    ends = jnp.cumsum(lengths, dtype=jnp.int32)

    def one_step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        start, table = state
        place = start + jnp.arange(_SEEN_STEP, dtype=jnp.int32)
        row = jnp.searchsorted(ends, place, side="right").astype(jnp.int32)
        inside = jnp.minimum(row, ends.shape[0] - 1)  # places past the end keep their row, which the scatter drops
        item = jnp.asarray(seen.items)[first[inside] + place - (ends[inside] - lengths[inside])]
        if first_item is not None:  # an item before the part would count from its end; it goes past the end, and drops
            item = jnp.where(item < first_item, table.shape[item_axis], item - first_item)
        at = (row, item) if item_axis == 1 else (item, row)
        return start + _SEEN_STEP, table.at[at].set(mark, mode="drop")

    return lax.while_loop(lambda state: state[0] < ends[-1], one_step, (jnp.int32(0), table))[1]
