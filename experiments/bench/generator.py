"""Generated interactions of any size with power-law degrees."""

from __future__ import annotations

import jax
import numpy as np

from jaxrec.data import IdMap, Interactions
from jaxrec.errors import JaxrecError

_ROUNDS = 100


def generator_of(key: jax.Array) -> np.random.Generator:
    """Make a NumPy generator, seeded with the words of a JAX key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def power_law(
    num: int,
    num_users: int,
    num_items: int,
    key: jax.Array,
    *,
    user_exponent: float = 0.6,
    item_exponent: float = 0.8,
) -> Interactions:
    r"""Draw distinct user-item pairs with Zipf weights.

    .. math:: P(u, i) \propto (u + 10)^{-a} (i + 10)^{-b}

    u and i are ranks from 1, assigned to users and items in random order. Pairs are drawn in rounds, without repeats,
    until there are enough; so the largest degrees are slightly below the law. The shift by 10 keeps the largest degrees
    from saturation by repeats.

    Args:
      num: E, the number of pairs.
      num_users: U.
      num_items: I.
      key: consumed; the same key gives the same pairs.
      user_exponent: a.
      item_exponent: b.

    Returns:
      E interactions, ordered by user and then item. Users and items without interactions stay in the catalog.

    Raises:
      JaxrecError: more than half of all pairs, or too few draws because the exponents are steep.

    >>> data = power_law(1000, 100, 80, jax.random.key(0))
    >>> len(data), data.num_users, data.num_items
    (1000, 100, 80)
    """
    if not 1 <= num <= num_users * num_items // 2:
        raise JaxrecError(f"num must lie in 1..{num_users * num_items // 2}, half of all pairs, got {num}")
    rng = generator_of(key)
    users, items = _Zipf(rng, num_users, user_exponent), _Zipf(rng, num_items, item_exponent)
    pairs = np.empty(0, np.int64)
    for _ in range(_ROUNDS):
        lacking = num - len(pairs)
        if lacking <= 0:
            break
        size = int(lacking * 1.1) + 16
        drawn = users.draw(size).astype(np.int64) * num_items + items.draw(size)
        pairs = np.sort(np.concatenate([pairs, drawn]))
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    else:
        raise JaxrecError(
            f"only {len(pairs):,} distinct pairs of {num:,} after {_ROUNDS} rounds; ask for fewer, or for smaller "
            "exponents"
        )
    kept = np.sort(rng.choice(len(pairs), num, replace=False, shuffle=False))
    pairs = pairs[kept]
    return Interactions(
        (pairs // num_items).astype(np.int32),
        (pairs % num_items).astype(np.int32),
        IdMap(np.arange(num_users), "user"),
        IdMap(np.arange(num_items), "item"),
        notes=(f"drawn with Zipf weights, exponents {user_exponent} and {item_exponent}",),
    )


class _Zipf:
    """Draws from 0..size-1 by inversion of the cumulative weights, with ranks assigned at random."""

    def __init__(self, rng: np.random.Generator, size: int, exponent: float) -> None:
        weights = (np.arange(1, size + 1) + 10.0) ** -exponent
        self._rng, self._cumulative, self._names = rng, np.cumsum(weights), rng.permutation(size)

    def draw(self, count: int) -> np.ndarray:
        places = np.searchsorted(self._cumulative, self._rng.random(count) * self._cumulative[-1], side="right")
        return self._names[np.minimum(places, len(self._names) - 1)]
