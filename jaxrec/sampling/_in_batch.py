"""Negatives from the batch: the items of other rows, without those that the user has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int, Key

from jaxrec._keys import one_key
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import Batch, Negatives
from jaxrec.pytrees import options, register, static
from jaxrec.sampling._functions import contains
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData

State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # items, whether they will do, key, rounds
_ROUNDS = 24  # of draws and refusals, before all rows are looked at


@options
class InBatch(Negatives):
    """Items of other rows of the batch, drawn uniformly over the rows, with replacement; accidental hits are left out.

    An item of another row that the user has is drawn anew, so the draw is uniform over the rows whose item the user
    lacks. After 24 refusals, which a user with half of the batch's items meets once in 10^7 draws, all rows are looked
    at, B x B searches, so the draw stays exact. A row whose user has every item of the batch does not count.

    An item is drawn as often as it is popular; `log_probability` is log of its share in the interactions, over the
    share of all that the user lacks: that over many batches, not of the batch at hand.

    Attributes:
      num: M, how many for each positive.

    >>> InBatch(8).num
    8
    """

    knows_probability: ClassVar[bool] = True

    num: int = static(default=1)

    def __post_init__(self) -> None:
        if self.num < 1:
            raise JaxrecError(f"num must be at least 1, got {self.num}; a loss without negatives takes no sampler")

    def prepared(self, data: TrainData) -> PreparedInBatch:
        """The sampler with the share of the interactions that each user's items have."""
        return PreparedInBatch(_shares(data), self.num)

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch whose rows all count."""
        return other_rows(data.seen, user, item, jnp.ones(user.shape, bool), self.num, key)

    def draw(self, data: TrainData, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch, from the rows that count."""
        return other_rows(data.seen, batch.user, batch.item, batch.where, self.num, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """The log-probability of each draw over many batches, [B, M]."""
        return self.prepared(data).log_probability(data, user, negatives)


@register
@dataclasses.dataclass(frozen=True)
class PreparedInBatch(Negatives):
    """`InBatch` with the share of the interactions that each user's items have, [U].

    >>> PreparedInBatch(jnp.zeros(2), 3).num
    3
    """

    shares: jax.Array
    num: int = static()

    knows_probability: ClassVar[bool] = True

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch whose rows all count."""
        return other_rows(data.seen, user, item, jnp.ones(user.shape, bool), self.num, key)

    def draw(self, data: TrainData, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch, from the rows that count."""
        return other_rows(data.seen, batch.user, batch.item, batch.where, self.num, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """The log-probability of each draw over many batches, [B, M]."""
        left = jnp.maximum(1 - self.shares[user], 1e-6)
        own = data.log_probability[negatives]
        return jnp.where(jnp.isfinite(own), own, 0) - jnp.log(left)[:, None]


def other_rows(
    seen: SeenItems,
    user: Int[Array, " B"],
    item: Int[Array, " B"],
    where: Bool[Array, " B"],
    num: int,
    key: Key[Array, ""],
) -> tuple[Int[Array, "B num"], Bool[Array, " B"]]:
    """Items of the rows that count whose users differ in them: uniform over the rows whose item the user lacks.

    Args:
      seen: the items of each user.
      user: int32 [B].
      item: int32 [B].
      where: bool [B], the rows that items are taken from.
      num: M; static.
      key: consumed.

    Returns:
      (items int32 [B, M], bool [B]: whether there is any such row; the items are 0 where not).

    >>> import numpy as np
    >>> from jaxrec.data import SeenItems
    >>> seen = SeenItems(np.array([0, 1, 2], np.int32), np.array([4, 7], np.int32))
    >>> user, item, all_rows = jnp.array([0, 1]), jnp.array([4, 7]), jnp.ones(2, bool)
    >>> other_rows(seen, user, item, all_rows, 2, jax.random.key(0))[0].tolist()
    [[7, 7], [4, 4]]
    """
    user, item, where = jnp.asarray(user), jnp.asarray(item), jnp.asarray(where)
    size, shape = user.shape[0], (user.shape[0], num)
    loop_key, last_key = jax.random.split(one_key(key))
    order = jnp.argsort(~where, stable=True).astype(jnp.int32)  # rows that count first
    count = jnp.maximum(jnp.sum(where, dtype=jnp.int32), 1)
    users = jnp.broadcast_to(user[:, None], shape)

    def going(state: State) -> jax.Array:
        _, found, _, done = state
        return (done < _ROUNDS) & ~jnp.all(found | ~where[:, None])

    def again(state: State) -> State:
        items, found, key, done = state
        key, draw_key = jax.random.split(key)
        drawn = item[order[jax.random.randint(draw_key, shape, 0, count, jnp.int32)]]
        good = ~contains(seen, users, drawn)
        return jnp.where(found, items, drawn), found | good, key, done + 1

    start = (jnp.zeros(shape, jnp.int32), jnp.zeros(shape, bool), loop_key, jnp.int32(0))
    items, found, _, _ = jax.lax.while_loop(going, again, start)

    def every_row(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        others = jnp.broadcast_to(item[None, :], (size, size))
        good = ~contains(seen, jnp.broadcast_to(user[:, None], others.shape), others) & where[None, :]
        passed = jnp.cumsum(good, axis=1, dtype=jnp.int32)
        rank = jax.random.randint(key, shape, 0, jnp.maximum(passed[:, -1:], 1), jnp.int32)
        places = jax.vmap(lambda sums, ranks: jnp.searchsorted(sums, ranks, side="right"))(passed, rank)
        return item[jnp.minimum(places, size - 1)], passed[:, -1] > 0

    def as_found(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return items, jnp.ones(size, bool)

    rest, possible = jax.lax.cond(jnp.all(found | ~where[:, None]), as_found, every_row, last_key)
    # A row that does not count may have found nothing; what it has is not looked at.
    possible = possible | jnp.all(found, axis=1)
    return jnp.where(possible[:, None], jnp.where(found, items, rest), 0).astype(jnp.int32), possible


def _shares(data: TrainData) -> jax.Array:
    """The share of the interactions that the items of each user have, [U]."""
    indptr, items = jnp.asarray(data.seen.indptr), jnp.asarray(data.seen.items)
    of_item = jnp.exp(data.log_probability[items])
    owner = jnp.repeat(jnp.arange(indptr.shape[0] - 1), jnp.diff(indptr), total_repeat_length=items.shape[0])
    return jax.ops.segment_sum(of_item, owner, indptr.shape[0] - 1)
