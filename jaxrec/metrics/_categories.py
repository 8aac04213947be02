"""Categories (genres, brands) of one user's list: how well they fit the user's history, and how many are covered.

The categories of the catalog are a table [I, C] with a value above 0 where the item belongs to the category. Every
function takes one list, -1 for padding, and is lifted over users by `jax.vmap`:

>>> table = jnp.array([[1, 0], [0, 1], [1, 1]])
>>> lists = jnp.array([[0, 1], [0, -1]])
>>> jax.vmap(category_coverage, in_axes=(0, None))(lists, table)
Array([1. , 0.5], dtype=float32)

An item that is twice in a list counts twice in a distribution and once in the coverage. An index outside the catalog
gives NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._novelty import take_listed
from jaxrec.types import Array


def miscalibration(
    items: Int[Array, " k"],
    history: Float[Array, " C"],
    item_categories: Shaped[Array, "I C"],
    *,
    smoothing: float = 0.01,
) -> Float[Array, ""]:
    r"""How far the categories of the list are from those of the user's history: KL divergence in nats, 0 is best.

    .. math:: \mathrm{KL}(p \,\|\, \tilde q) = \sum_{c : p_c > 0} p_c \ln \frac{p_c}{\tilde q_c},
              \qquad \tilde q = (1 - \alpha) \, q + \alpha \, p

    p is the distribution of the history and q that of the list, both from `category_distribution`; alpha is the
    smoothing, which keeps the value finite where the list lacks a category. It also bounds it: the maximum is
    ln(1 / alpha), 4.605 by default, and depends on alpha alone, so compare only values of one alpha. A list without any
    categorised item (an empty one too) has q = 0 and gets the maximum by the formula.

    Every place of the list weighs the same here; the paper allows a weight by rank.

    Source: Steck, "Calibrated recommendations", RecSys 2018, with alpha = 0.01.

    Args:
      items: int [k], the list, -1 for padding.
      history: float [C], p: not negative, with sum 1, from `category_distribution`.
      item_categories: bool, int or float [I, C], above 0 where the item belongs to the category.
      smoothing: alpha, between 0 and 1, both left out. Static under `jax.jit`.

    Returns:
      float32 [], from 0 to ln(1 / alpha); 0 for a history of zeros, which has no meaning: leave such users out.

    Raises:
      MismatchError: `items` is not [k], `item_categories` not [I, C], or `history` not [C].
      JaxrecError: `items` has no integers, or alpha is not between 0 and 1.

    >>> table = jnp.array([[1, 0], [0, 1]])
    >>> history = jnp.array([0.5, 0.5])
    >>> miscalibration(jnp.array([0, 1]), history, table) < 1e-6
    Array(True, dtype=bool)
    >>> round(float(miscalibration(jnp.array([0, 0]), history, table)), 4)  # (ln(.5 / .995) + ln(.5 / .005)) / 2
    1.9585
    """
    table = _check_table(item_categories)
    if jnp.shape(history) != table.shape[1:]:
        raise MismatchError(
            f"history has shape {jnp.shape(history)}, expected {table.shape[1:]}: one share for each category; "
            "lift the metric with jax.vmap"
        )
    if not 0 < smoothing < 1:
        raise JaxrecError(f"smoothing is {smoothing}; pass a number between 0 and 1, as 0.01")
    p = jnp.asarray(history).astype(jnp.float32)
    q = category_distribution(items, table)
    smooth = np.float32(1 - smoothing) * q + np.float32(smoothing) * p
    some = p > 0
    ratio = jnp.log(jnp.where(some, p, np.float32(1))) - jnp.log(jnp.where(some, smooth, np.float32(1)))
    # The divergence is never negative; its rounding error may be.
    return jnp.maximum(jnp.sum(jnp.where(some, p * ratio, np.float32(0))), np.float32(0))


def category_distribution(items: Int[Array, " n"], item_categories: Shaped[Array, "I C"]) -> Float[Array, " C"]:
    r"""The shares of the categories in a list of items: a history or a recommendation.

    .. math:: p_c = \frac{1}{n} \sum_{j=1}^{n} \frac{[i_j \in c]}{\text{number of categories of } i_j}

    An item gives each of its categories an equal part of its one vote. The n items are those with a category; items
    without one are left out, so the shares have the sum 1.

    With many users of long histories, a padded table [U, H] of them is wasteful. The rows of the product of the binary
    interaction matrix [U, I] with `category_shares`, divided by their sums, are the same distributions.

    Source: Steck, "Calibrated recommendations", RecSys 2018, p(g|u) and q(g|u) with equal weights.

    Args:
      items: int [n], the item indices, -1 for padding.
      item_categories: bool, int or float [I, C], above 0 where the item belongs to the category.

    Returns:
      float32 [C], with sum 1; all zeros if no item has a category.

    Raises:
      MismatchError: `items` is not [n], or `item_categories` not [I, C].
      JaxrecError: `items` has no integers.

    >>> table = jnp.array([[1, 0], [1, 1], [0, 0]])  # the last item has no category
    >>> category_distribution(jnp.array([0, 1, 2, -1]), table)
    Array([0.75, 0.25], dtype=float32)
    """
    votes, _ = take_listed(items, category_shares(item_categories))
    sums = jnp.sum(votes, axis=0)
    total = jnp.sum(sums)
    return sums / jnp.where(total > 0, total, np.float32(1))


def category_shares(item_categories: Shaped[Array, "I C"]) -> Float[Array, "I C"]:
    """The table of categories with each item's row divided by the number of its categories.

    Args:
      item_categories: bool, int or float [I, C], above 0 where the item belongs to the category.

    Returns:
      float32 [I, C]; the rows have the sum 1, or 0 for an item without a category.

    Raises:
      MismatchError: `item_categories` is not [I, C] with I and C of at least 1.

    >>> category_shares(jnp.array([[1, 1], [0, 0]]))
    Array([[0.5, 0.5],
           [0. , 0. ]], dtype=float32)
    """
    member = _membership(item_categories)
    return member / jnp.maximum(jnp.sum(member, axis=1, keepdims=True), np.float32(1))


def category_coverage(items: Int[Array, " k"], item_categories: Shaped[Array, "I C"]) -> Float[Array, ""]:
    r"""The share of the catalog's categories that at least one item of the list has.

    .. math:: \frac{\big| \bigcup_{j=1}^{k} C(i_j) \big|}{\big| \bigcup_{i=1}^{I} C(i) \big|}

    The divisor counts the categories that some item of the catalog has; a column without any item can never be
    covered and is left out. It does not depend on the user or on k, so a list of few items with few categories each
    cannot reach 1.

    Source: subtopic recall of Zhai, Cohen and Lafferty, "Beyond independent relevance: methods and evaluation metrics
    for subtopic retrieval", SIGIR 2003, with the categories of the catalog as subtopics.

    Args:
      items: int [k], the list, -1 for padding.
      item_categories: bool, int or float [I, C], above 0 where the item belongs to the category.

    Returns:
      float32 [], from 0 to 1; 0 for an empty list and where no item has a category.

    Raises:
      MismatchError: `items` is not [k], or `item_categories` not [I, C].
      JaxrecError: `items` has no integers.

    >>> table = jnp.array([[1, 0, 0], [1, 1, 0]])  # no item has the last category
    >>> category_coverage(jnp.array([0, -1]), table)
    Array(0.5, dtype=float32)
    """
    member = _membership(item_categories)
    of_place, _ = take_listed(items, member)
    # As numbers 0 and 1 and not as booleans, so that the NaN of an unknown item is not lost in a comparison.
    found = jnp.sum(jnp.max(of_place, axis=0, initial=np.float32(0)))
    return found / jnp.maximum(jnp.sum(jnp.max(member, axis=0)), np.float32(1))


def _check_table(item_categories: jax.Array) -> jax.Array:
    table = jnp.asarray(item_categories)
    if table.ndim != 2 or 0 in table.shape:
        raise MismatchError(
            f"item_categories must be [I, C], a row for an item and a column for a category, got shape {table.shape}"
        )
    return table


def _membership(item_categories: jax.Array) -> jax.Array:
    """1.0 where the item belongs to the category, otherwise 0.0."""
    return (_check_table(item_categories).astype(jnp.float32) > 0).astype(jnp.float32)
