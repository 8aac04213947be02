"""Negatives by popularity: items with probabilities proportional to a power of their interactions, exactly."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key

from jaxrec._keys import one_key
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import Negatives
from jaxrec.pytrees import is_number, options, register, static
from jaxrec.sampling._functions import first_place
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData

_SLACK = 2**16  # for the rounding of the sum of the shares in float32


@register
@dataclasses.dataclass(frozen=True)
class ItemMass(Negatives):
    """The mass of the items as whole numbers, and sums of it, from which draws for any user are exact.

    Attributes:
      before: int32 [I + 1], the mass of the items before each one; the last entry is that of all.
      seen_before: uint32 [E + 1], the mass of the seen items before each place, over all users, modulo 2^32. The
        difference of two places of one user is exact, since no user's mass reaches 2^31.
      num: M; static.

    >>> seen = SeenItems(jnp.array([0, 1]), jnp.array([1]))
    >>> mass_of(jnp.array([3.0, 1.0]), seen, 1).before[-1].item() <= 2**31 - 1
    True
    """

    before: jax.Array
    seen_before: jax.Array
    num: int = static()

    knows_probability: ClassVar[bool] = True

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch; see `jaxrec.sampling.weighted_negatives`."""
        return weighted_negatives(self, data.seen, user, self.num, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """The log of the item's share of the mass of what the user lacks, [B, M]."""
        own = self.before[negatives + 1] - self.before[negatives]
        left = jnp.maximum(self.lacking(data.seen, user), 1)
        return jnp.log(jnp.maximum(own, 1).astype(jnp.float32)) - jnp.log(left.astype(jnp.float32))[:, None]

    def lacking(self, seen: SeenItems, user: jax.Array) -> jax.Array:
        """The mass of the items that each user lacks, int32 [B]."""
        indptr = jnp.asarray(seen.indptr)
        had = self.seen_before[indptr[user + 1]] - self.seen_before[indptr[user]]
        return self.before[-1] - had.astype(jnp.int32)


def mass_of(shares: Float[Array, " I"], seen: SeenItems, num: int) -> ItemMass:
    """The mass of the items: their shares as whole numbers whose sum is near 2^31, at least 1 for a positive share.

    Args:
      shares: [I], not negative, on any scale.
      seen: the items of each user.
      num: M.

    >>> seen = SeenItems(jnp.array([0, 1]), jnp.array([1]))
    >>> mass = mass_of(jnp.array([3.0, 1.0, 0.0]), seen, 1)
    >>> (jnp.diff(mass.before) / mass.before[-1]).round(6).tolist()
    [0.75, 0.25, 0.0]
    """
    total = jnp.sum(shares)
    room = float(2**31 - 1 - _SLACK - 2 * shares.shape[0])
    scaled = jnp.round(shares / jnp.where(total > 0, total, 1) * (room * (1 - 2**-20))).astype(jnp.int32)
    whole = jnp.where(shares > 0, jnp.maximum(scaled, 1), 0)
    zero = jnp.zeros(1, jnp.int32)
    before = jnp.concatenate([zero, jnp.cumsum(whole, dtype=jnp.int32)])
    of_seen = whole.astype(jnp.uint32)[jnp.asarray(seen.items)]
    return ItemMass(before, jnp.concatenate([zero.astype(jnp.uint32), jnp.cumsum(of_seen, dtype=jnp.uint32)]), num)


def weighted_negatives(
    mass: ItemMass, seen: SeenItems, users: Int[Array, " B"], num: int, key: Key[Array, ""]
) -> tuple[Int[Array, "B num"], Bool[Array, " B"]]:
    """Items drawn in proportion to their mass from those that each user does not have, without rejection.

    It is `uniform_negatives` with masses: a whole number r below the mass that the user lacks is drawn, and one
    bisection among the user's items says how much of the mass before it is of seen items; a second one finds the item.

    Args:
      mass: see `mass_of`.
      seen: the items of each user.
      users: int32 [B].
      num: M, drawn with replacement; static.
      key: consumed.

    Returns:
      (items int32 [B, M], where bool [B]). `where` is false for a user who has all items with mass; the item is 0 then.

    Raises:
      JaxrecError: num below 1.

    >>> seen = SeenItems(jnp.array([0, 2]), jnp.array([0, 2]))
    >>> mass = mass_of(jnp.array([5.0, 1.0, 2.0]), seen, 1)
    >>> weighted_negatives(mass, seen, jnp.array([0, 0]), 1, jax.random.key(0))[0].tolist()
    [[1], [1]]
    """
    if num < 1:
        raise JaxrecError(f"num must be at least 1, got {num}")
    indptr, items = jnp.asarray(seen.indptr), jnp.asarray(seen.items)
    lacking = mass.lacking(seen, users)
    where, shape = lacking > 0, (users.shape[0], num)
    rank = _below(jnp.maximum(lacking, 1)[:, None], shape, one_key(key))
    start = jnp.broadcast_to(indptr[users][:, None], shape)
    had = jnp.zeros(shape, jnp.int32)
    if items.shape[0]:

        def beyond(place: jax.Array) -> jax.Array:
            """Whether the mass that the user lacks before the item at a place is more than the rank."""
            before = mass.before[items[jnp.minimum(place, items.shape[0] - 1)]]
            return before - (mass.seen_before[place] - mass.seen_before[start]).astype(jnp.int32) > rank

        place = first_place(beyond, start, jnp.broadcast_to(indptr[users + 1][:, None], shape), items.shape[0])
        had = (mass.seen_before[place] - mass.seen_before[start]).astype(jnp.int32)
    # The first item whose mass reaches beyond the rank; items without mass are passed over.
    drawn = jnp.searchsorted(mass.before[1:], rank + had, side="right").astype(jnp.int32)
    return jnp.where(where[:, None], drawn, 0), where


def _below(bound: jax.Array, shape: tuple[int, int], key: jax.Array) -> jax.Array:
    """Whole numbers uniform in 0..bound - 1, int32: floor(bound x / 2^64) of 64 random bits x.

    `jax.random.randint` takes 32 bits modulo the bound: for one of 2^30 and more some numbers come half as often again.
    """
    high, low = jax.random.bits(key, (2, *shape), jnp.uint32)
    bound = jnp.broadcast_to(bound, shape).astype(jnp.uint32)
    carried = high * bound + _high_product(low, bound)
    return (_high_product(high, bound) + (carried < high * bound).astype(jnp.uint32)).astype(jnp.int32)


def _high_product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The upper half of the 64 bits of a product of uint32."""
    half, mask = jnp.uint32(16), jnp.uint32(0xFFFF)
    a1, a0, b1, b0 = a >> half, a & mask, b >> half, b & mask
    middle = a1 * b0 + (a0 * b0 >> half)
    return a1 * b1 + (middle >> half) + ((middle & mask) + a0 * b1 >> half)


@options
class Popularity(Negatives):
    """Items drawn in proportion to (their interactions)^alpha from those that the user does not have.

    The draw is exact for every user: no rejection, and no pass over the items. An item without interactions has no
    mass for an alpha above 0, so it is never drawn.

    Attributes:
      alpha: 0 draws uniformly, 1 by popularity; .75 is that of word2vec.
      num: M, how many for each positive, with replacement.

    References:
      Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NeurIPS 2013, section
      2.2.

    >>> Popularity(alpha=0.5, num=4).num
    4
    """

    knows_probability: ClassVar[bool] = True

    alpha: float = 0.75
    num: int = static(default=1)

    def __post_init__(self) -> None:
        if self.num < 1:
            raise JaxrecError(f"num must be at least 1, got {self.num}; a loss without negatives takes no sampler")
        if is_number(self.alpha) and not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise JaxrecError(f"alpha must be finite and not negative, got {self.alpha}")

    def prepared(self, data: TrainData) -> ItemMass:
        """The mass of the items, computed once."""
        return mass_of(shares_of(data, self.alpha), data.seen, self.num)

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch; see `jaxrec.sampling.weighted_negatives`."""
        return self.prepared(data)(data, user, item, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """The log-probability of each draw, [B, M]."""
        return self.prepared(data).log_probability(data, user, negatives)


def shares_of(data: TrainData, alpha: float | jax.Array) -> jax.Array:
    """(The share of each item in the interactions)^alpha, [I], 0 for an item without any unless alpha is 0."""
    known = jnp.isfinite(data.log_probability)
    log = jnp.where(known, data.log_probability, 0)
    # By the largest first, so that no power underflows before it is summed.
    power = jnp.exp(jnp.asarray(alpha, log.dtype) * (log - jnp.max(data.log_probability)))
    return jnp.where(known, power, jnp.where(jnp.asarray(alpha, log.dtype) == 0, 1.0, 0.0))
