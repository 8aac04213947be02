"""Metrics of the full ranking: they take the scores of the whole catalog, not a list that is cut at k."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int

from jaxrec.errors import MismatchError
from jaxrec.types import Array


def auc(
    scores: Float[Array, " I"], relevant: Bool[Array, " I"], where: Bool[Array, " I"] | None = None
) -> Float[Array, ""]:
    r"""The area under the ROC curve of one user: how often a relevant item scores above another one.

    .. math:: \frac{1}{|P| \, |N|} \sum_{p \in P} \sum_{n \in N}
              \left( [s_p > s_n] + \tfrac{1}{2} [s_p = s_n] \right)

    over the relevant items P and all other items N that count. Ties count one half, so constant scores give 0.5, and
    the order of the items does not matter.

    scikit-learn's `roc_auc_score` and RecBole's GAUC of one user are the same number. implicit computes another one
    from the first k places, as if the relevant items below them lay in the middle of the rest.

    The scores are sorted, so the cost grows as I log I whatever the number of relevant items. For a user with few of
    them `auc_of_items` is faster.

    Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009, section 4.1.1, with
    ties as in Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.

    Args:
      scores: float [I], the score of each item of the catalog; -inf and +inf are scores too.
      relevant: bool [I], the user's test items.
      where: bool [I], the items that count: leave out those of the training and validation parts. All by default. What
        the others score, NaN too, does not matter.

    Returns:
      float32 [], from 0 to 1; 0 for a user without a relevant item that counts or without another one, which is finite
      but has no meaning: leave such users out of a mean. NaN if the score of an item that counts is NaN.

    Raises:
      MismatchError: `scores` is not [I], or `relevant` or `where` is of another shape.

    >>> scores = jnp.array([0.9, 0.5, 0.5, 0.1, 7.0])
    >>> relevant = jnp.array([True, False, True, False, False])
    >>> auc(scores, relevant, jnp.array([True, True, True, True, False]))
    Array(0.875, dtype=float32)
    """
    scores, counted = _counted_scores(scores, where)
    if jnp.shape(relevant) != scores.shape:
        raise MismatchError(
            f"relevant has shape {jnp.shape(relevant)}, expected {scores.shape}: one entry for each item"
        )
    relevant = jnp.asarray(relevant).astype(bool) & counted
    others = counted & ~relevant
    num_others = jnp.sum(others, dtype=jnp.int32)
    in_order = jnp.sort(jnp.where(others, scores, np.float32(np.inf)))
    below = jnp.searchsorted(in_order, scores, side="left").astype(jnp.int32)
    # An item that scores +inf would find those that do not count as its equals.
    not_above = jnp.minimum(jnp.searchsorted(in_order, scores, side="right").astype(jnp.int32), num_others)
    return _mean_share(below + not_above, relevant, num_others, jnp.any(counted & jnp.isnan(scores)))


def auc_of_items(
    scores: Float[Array, " I"], items: Int[Array, " R"], where: Bool[Array, " I"] | None = None
) -> Float[Array, ""]:
    """`auc` of a user whose relevant items are given by index: each of them is compared with the whole catalog.

    The cost grows as I times the number of relevant items, without a sort. For a few hundred of them or fewer this is
    the faster way. On CPU lift it over users by `jax.lax.map`, which keeps the scores of one user in the cache and
    stops at the user's own last item; `jax.vmap` goes on to the last item of the user with the most.

    Args:
      scores: float [I], as in `auc`.
      items: int [R], the relevant items of the user, each once, padded with -1; the padding is best at the end.
      where: bool [I], as in `auc`.

    Returns:
      float32 [], as `auc`.

    Raises:
      MismatchError: `scores` is not [I], `items` not [R], or `where` not [I].

    >>> scores, where = jnp.array([0.9, 0.5, 0.5, 0.1, 7.0]), jnp.array([True, True, True, True, False])
    >>> auc_of_items(scores, jnp.array([2, 0, -1]), where)
    Array(0.875, dtype=float32)
    """
    scores, counted = _counted_scores(scores, where)
    if jnp.ndim(items) != 1:
        raise MismatchError(f"items must be those of one user, [R], got shape {jnp.shape(items)}; use jax.vmap")
    # One place of padding more, so that the loop below has a place to read also where there is no item.
    items = jnp.pad(jnp.asarray(items).astype(jnp.int32), (0, 1), constant_values=-1)
    at = jnp.maximum(items, 0)
    relevant = (items >= 0) & counted[at]
    # Padding is sent past the end, where the scatter drops it; as -1 it would count as the last item.
    others = counted.at[jnp.where(items < 0, scores.size, items)].set(False, mode="drop")
    # NaN is neither below nor equal to anything, so one array holds the scores and the mask.
    rest = jnp.where(others, scores, np.float32(np.nan))

    def compare(place: jax.Array, twice: jax.Array) -> jax.Array:
        own = scores[at[place]]
        wins = jnp.sum((rest < own).astype(jnp.int32) + (rest <= own).astype(jnp.int32), dtype=jnp.int32)
        return twice.at[place].set(wins)

    # One item after the other, since XLA's loops on CPU are slower on all at once; and none of the padding at the end.
    last = jnp.max(jnp.where(relevant, np.arange(1, items.size + 1, dtype=np.int32), 0))
    twice = lax.fori_loop(jnp.int32(0), last, compare, jnp.zeros(items.shape, jnp.int32))
    return _mean_share(twice, relevant, jnp.sum(others, dtype=jnp.int32), jnp.any(counted & jnp.isnan(scores)))


def _counted_scores(scores: jax.Array, where: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """The scores as float32 and the mask of the items that count, both [I]."""
    if jnp.ndim(scores) != 1:
        raise MismatchError(f"scores must be those of one user, [I], got shape {jnp.shape(scores)}; use jax.vmap")
    scores = jnp.asarray(scores).astype(jnp.float32)
    if where is None:
        return scores, jnp.ones(scores.shape, jnp.bool_)
    if jnp.shape(where) != scores.shape:
        raise MismatchError(f"where has shape {jnp.shape(where)}, expected {scores.shape}: one entry for each item")
    return scores, jnp.asarray(where).astype(bool)


def _mean_share(twice: jax.Array, relevant: jax.Array, num_others: jax.Array, undefined: jax.Array) -> jax.Array:
    """The mean over relevant items of wins / others, where `twice` counts a win as 2 and a tie as 1."""
    count = jnp.sum(relevant, dtype=jnp.float32)
    # Divided item by item: a sum of counts over many items would not fit the 24 bits of a float32.
    shares = twice.astype(jnp.float32) / (2 * jnp.maximum(num_others, 1).astype(jnp.float32))
    value = jnp.sum(jnp.where(relevant, shares, np.float32(0))) / jnp.maximum(count, np.float32(1))
    return jnp.where(undefined, np.float32(np.nan), jnp.where(num_others > 0, value, np.float32(0)))
