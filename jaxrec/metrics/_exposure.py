"""How a model spreads its lists over the catalog: figures of all lists together, made from a count for each item.

None of them is a mean over users, so an interval over users does not exist for them. They also depend on the number of
users: with few lists, most of a large catalog cannot appear. Compare them over the same users and the same k.

>>> lists = jnp.array([[0, 1], [0, 2], [0, -1]])
>>> counts = exposure(lists, num_items=4)
>>> counts
Array([3, 1, 1, 0], dtype=int32)
>>> round(float(gini(counts)), 4), round(float(personalization(counts, num_users=3, k=2)), 4)
(0.45, 0.5)
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.types import Array


def exposure(lists: Int[Array, "U k"], num_items: int) -> Int[Array, " I"]:
    r"""How many places of all lists each item has.

    .. math:: c_i = \sum_u \sum_{j=1}^{k} [L_{uj} = i]

    Counts of several chunks of users add up to those of all users. An item that is twice in one list counts twice; then
    c_i is no longer a number of users, which `personalization` needs, so check lists from elsewhere for duplicates.

    Args:
      lists: int [U, k], the item index at each place, below I; -1 for padding, which is not counted.
      num_items: I, static under `jax.jit`. An index of I or above has no place in the result and is not counted.

    Returns:
      int32 [I], all zeros where no list holds an item.

    Raises:
      MismatchError: `lists` is not [U, k].
      JaxrecError: `lists` has no integers, or I is below 1.

    >>> exposure(jnp.array([[2, 0], [2, -1]]), num_items=3)
    Array([1, 0, 2], dtype=int32)
    """
    if jnp.ndim(lists) != 2:
        raise MismatchError(f"lists must be [U, k], got shape {jnp.shape(lists)}; exposure is of all lists together")
    lists = jnp.asarray(lists)
    if not jnp.issubdtype(lists.dtype, jnp.integer):
        raise JaxrecError(f"lists has dtype {lists.dtype}; pass item indices as integers, -1 for padding")
    if num_items < 1:
        raise JaxrecError(f"num_items is {num_items}; pass the size of the catalog")
    lists = lists.astype(jnp.int32)
    # Padding is sent past the end, where the scatter drops it; as -1 it would count as the last item.
    at = jnp.where(lists < 0, num_items, lists)
    return jnp.zeros(num_items, jnp.int32).at[at].add(1, mode="drop")


def gini(counts: Real[Array, " I"]) -> Float[Array, ""]:
    r"""The Gini index of exposure over the whole catalog: 0 if all items have the same, near 1 if one has all.

    .. math:: G = \frac{\sum_{j=1}^{I} (2 j - I - 1) \, c_{(j)}}{I \sum_{j=1}^{I} c_{(j)}}

    with the counts in rising order, and items that no list holds as zeros. One item with all exposure gives 1 - 1/I.
    RecBole uses the same formula. Castells, Hurley and Vargas ("Novelty and diversity in recommender systems",
    Recommender Systems Handbook, 2015) divide by I - 1 instead of I, so that one item gives 1. Code that leaves the
    zeros out measures only how even the listed items are, and gives far smaller figures.

    Source: Fleder and Hosanagar, "Blockbuster culture's next rise or fall: the impact of recommender systems on sales
    diversity", Management Science 2009.

    Args:
      counts: int or float [I], not negative, from `exposure`.

    Returns:
      float32 [], from 0 to 1 - 1/I; 0 where nothing is exposed, which has no meaning.

    Raises:
      MismatchError: `counts` is not [I] with I >= 1.

    >>> gini(jnp.array([2, 2, 2, 2])), gini(jnp.array([0, 8, 0, 0]))
    (Array(0., dtype=float32), Array(0.75, dtype=float32))
    """
    counts = _check_counts(counts)
    size = counts.size
    rising = jnp.sort(counts)
    # The j-th smallest and the j-th largest have opposite weights. Taken as pairs nothing cancels: all terms are
    # positive, and equal counts give exactly 0.
    half = size // 2
    gap = (rising[::-1][:half] - rising[:half]).astype(jnp.float32)
    weight = ((size - 1 - 2 * np.arange(half)) / size).astype(np.float32)
    return jnp.sum(weight * (gap / _total(counts)))


def shannon_entropy(counts: Real[Array, " I"], *, normalized: bool = False) -> Float[Array, ""]:
    r"""The Shannon entropy of exposure, in nats: high if the places are spread evenly over many items.

    .. math:: H = - \sum_{i : c_i > 0} p_i \ln p_i, \qquad p_i = c_i \Big/ \sum_j c_j

    The logarithm is natural. exp(H) is the number of items that would give the same entropy with equal exposure.
    Elliot takes bits (divide by ln 2). RecBole divides H by the number of items that are listed at all.

    Source: Castells, Hurley and Vargas, "Novelty and diversity in recommender systems", Recommender Systems Handbook,
    2015.

    Args:
      counts: int or float [I], not negative, from `exposure`.
      normalized: divide by ln I, the entropy of equal exposure of the whole catalog. Static under `jax.jit`.

    Returns:
      float32 [], from 0 to ln I, or from 0 to 1 if normalized; 0 where nothing is exposed or I is 1.

    Raises:
      MismatchError: `counts` is not [I] with I >= 1.

    >>> round(float(shannon_entropy(jnp.array([5, 5, 0, 0]))), 4)  # ln 2
    0.6931
    >>> round(float(shannon_entropy(jnp.array([5, 5, 0, 0]), normalized=True)), 4)  # ln 2 / ln 4
    0.5
    """
    counts = _check_counts(counts)
    share = counts.astype(jnp.float32) / _total(counts)
    # The logarithm never sees a 0, so value and gradient stay finite.
    terms = jnp.where(share > 0, -share * jnp.log(jnp.where(share > 0, share, np.float32(1))), np.float32(0))
    whole = math.log(counts.size) if normalized and counts.size > 1 else 1.0
    return jnp.sum(terms) / np.float32(whole)


def personalization(counts: Real[Array, " I"], num_users: int | Int[Array, ""], k: int) -> Float[Array, ""]:
    r"""How different the lists of two users are: the mean inter-list distance over all pairs of users.

    .. math:: \frac{2}{U (U - 1)} \sum_{u < v} \Big( 1 - \frac{|L_u \cap L_v|}{k} \Big)
              = 1 - \frac{1}{k} \sum_i \frac{c_i}{U} \cdot \frac{c_i - 1}{U - 1}

    The left side is the definition, the right side is what is computed. An item with c_i users is common to
    c_i (c_i - 1) / 2 pairs, so the counts are enough and no pair of users is formed. Each factor is a share between
    0 and 1: no count is squared, and millions of users neither overflow nor lose digits. The result is right to about
    1e-6, not relative to its size.

    The divisor is k also for short lists: padding is common to no pair. A user with an empty list has distance 1 from
    everybody, and equal lists that are short have a distance above 0. Other code takes the cosine of the lists, which
    for full lists is the same number.

    Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010.

    Args:
      counts: int or float [I], from `exposure` of lists cut at k without duplicates. With a duplicate the formula
        counts a user as a pair with itself, and the result is too small.
      num_users: U, the number of lists, empty ones included.
      k: the length of the lists, padding included. Static under `jax.jit`.

    Returns:
      float32 [], from 0 (all lists equal) to 1 (no item in two lists); 0 for a single user, who has no pair.

    Raises:
      MismatchError: `counts` is not [I] with I >= 1, or `num_users` not a scalar.
      JaxrecError: k or a concrete `num_users` below 1.

    >>> personalization(jnp.array([2, 1, 1]), num_users=2, k=2)  # lists {0, 1} and {0, 2}
    Array(0.5, dtype=float32)
    """
    counts = _check_counts(counts)
    check_num_users(num_users)
    if k < 1:
        raise JaxrecError(f"k is {k}; pass the length of the lists, k >= 1")
    users = jnp.asarray(num_users)
    # One is taken off before the cast: as float32, numbers above 2^24 have no digit left for it.
    others = (users - 1).astype(jnp.float32)
    of_users = counts.astype(jnp.float32) / users.astype(jnp.float32)
    of_others = (counts - 1).astype(jnp.float32) / jnp.maximum(others, np.float32(1))
    common = jnp.sum(of_users * of_others) / np.float32(k)
    return jnp.where(others > 0, jnp.maximum(np.float32(1) - common, np.float32(0)), np.float32(0))


def check_num_users(num_users: int | jax.Array) -> None:
    """Check that a number of users is a scalar and, where its value is known, at least 1.

    Raises:
      MismatchError: it is not a scalar.
      JaxrecError: it is below 1.

    >>> check_num_users(3)
    """
    if jnp.ndim(num_users) != 0:
        raise MismatchError(f"num_users must be one number, got shape {jnp.shape(num_users)}")
    if isinstance(num_users, int | np.integer) and num_users < 1:
        raise JaxrecError(f"num_users is {num_users}; pass the number of users, at least 1")


def _check_counts(counts: jax.Array) -> jax.Array:
    counts = jnp.asarray(counts)
    if counts.ndim != 1 or counts.size == 0:
        raise MismatchError(f"counts must be [I], one number for each item, got shape {counts.shape}; see exposure")
    return counts


def _total(counts: jax.Array) -> jax.Array:
    """The sum of the counts, 1 where it is 0 so that it can divide."""
    total = jnp.sum(counts.astype(jnp.float32))
    return jnp.where(total > 0, total, np.float32(1))
