"""Accuracy of a ranked list: pure functions of one user, lifted over users by `jax.vmap`.

Every function takes the hits of one list and the number of the user's relevant items, and cuts the list at `k`:

>>> import functools
>>> hits = jnp.array([[True, False, True], [False, False, False]])
>>> num_relevant = jnp.array([2, 5])
>>> jax.vmap(functools.partial(recall, k=3))(hits, num_relevant)
Array([1., 0.], dtype=float32)

Conventions that all of them share. Relevant items are the user's test items. A list with fewer than k items is padded,
and padding counts as a miss. A user without a relevant item gets 0 here, which is finite but has no meaning: leave such
users out of a mean, as the evaluator does.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError, MismatchError


class RankingMetric(Protocol):
    """A metric of one list: `metric(hits [K], num_relevant [], *, k) -> float32 []`."""

    def __call__(self, hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
        """The value for one user."""
        ...


def recall(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""The share of the relevant items that are in the list.

    .. math:: \mathrm{recall@}k = \frac{1}{|\mathrm{relevant}|} \sum_{i=1}^{k} \mathrm{hit}_i

    RecBole, ranx and the LightGCN code use the same definition. The papers on Mult-VAE and iALS, and LensKit, divide by
    min(k, relevant) instead.

    Args:
      hits: bool or float [K], above 0 where the item at this place is relevant.
      num_relevant: int [], how many items are relevant to the user, in the list or not.
      k: the list is cut here, 1 <= k <= K; all of it by default. Static under `jax.jit`.

    Returns:
      float32 [], from 0 to 1.

    Raises:
      MismatchError: `hits` is not one-dimensional, `num_relevant` not a scalar, or k longer than the list.
      JaxrecError: k below 1.

    >>> recall(jnp.array([True, False, True, False]), jnp.array(4))
    Array(0.5, dtype=float32)
    """
    return _share(jnp.sum(_cut(hits, num_relevant, k)), num_relevant)


def precision(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""The share of the k places that hold a relevant item.

    .. math:: \mathrm{precision@}k = \frac{1}{k} \sum_{i=1}^{k} \mathrm{hit}_i

    The divisor is k also where the list is shorter, as in RecBole and ranx. LensKit divides by the length of the list.

    Args, Returns, Raises: as `recall`.

    >>> precision(jnp.array([True, False, True, False]), jnp.array(4), k=2)
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    return _where_relevant(jnp.sum(top) / np.float32(top.size), num_relevant)


def hit_rate(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""1 if any of the k places holds a relevant item, otherwise 0.

    .. math:: \mathrm{hit\_rate@}k = \max_{i \le k} \mathrm{hit}_i

    RecBole and ranx agree. Some papers divide all hits of all users by all relevant items and use the same name; that
    is a recall over pairs.

    Args, Returns, Raises: as `recall`.

    >>> hit_rate(jnp.array([False, False, True]), jnp.array(1), k=2)
    Array(0., dtype=float32)
    """
    return _where_relevant(jnp.max(_cut(hits, num_relevant, k)), num_relevant)


def f1(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""The harmonic mean of precision and recall of one user.

    .. math:: \mathrm{F1@}k = \frac{2 P R}{P + R} = \frac{2 \sum_{i=1}^{k} \mathrm{hit}_i}{k + |\mathrm{relevant}|}

    Averaged over users, this is the mean of their F1, as in ranx. Some code computes one F1 from the mean precision and
    the mean recall, which is another number.

    Args, Returns, Raises: as `recall`.

    >>> f1(jnp.array([True, False, True, False]), jnp.array(4))
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    return _where_relevant(2 * jnp.sum(top) / (np.float32(top.size) + _as_float(num_relevant)), num_relevant)


def ndcg(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""Discounted cumulative gain with a gain of 0 or 1, over that of the best possible list.

    .. math:: \mathrm{nDCG@}k = \sum_{i=1}^{k} \frac{\mathrm{hit}_i}{\log_2(i + 1)}
              \Big/ \sum_{i=1}^{\min(k, |\mathrm{relevant}|)} \frac{1}{\log_2(i + 1)}

    The ideal list is full to min(k, relevant), as in RecBole, ranx and LightGCN's code. RecTools takes an ideal of
    k hits whatever the user has.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with the discount
    log2(i + 1) that has become usual.

    Args, Returns, Raises: as `recall`.

    >>> ndcg(jnp.array([True, False, False]), jnp.array(1))
    Array(1., dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    discount = (1 / np.log2(np.arange(top.size) + 2.0)).astype(np.float32)
    # The same sum over the same places as the gain, so that a perfect list gives 1 without a rounding error.
    ideal = jnp.where(np.arange(top.size, dtype=np.float32) < _as_float(num_relevant), discount, np.float32(0))
    return _share(jnp.sum(top * discount), num_relevant, jnp.sum(ideal))


def average_precision(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""The precision at the place of each hit, summed and divided by the number of relevant items.

    .. math:: \mathrm{AP@}k = \frac{1}{|\mathrm{relevant}|} \sum_{i=1}^{k} \mathrm{hit}_i \cdot \mathrm{precision@}i

    This is the definition of TREC and ranx: a relevant item below place k counts as never found. RecBole and Kaggle
    divide by min(k, relevant).

    Source: Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 8.4.

    Args, Returns, Raises: as `recall`.

    >>> average_precision(jnp.array([True, False, False, True]), jnp.array(2))
    Array(0.75, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    places = np.arange(1, top.size + 1, dtype=np.float32)
    return _share(jnp.sum(top * jnp.cumsum(top) / places), num_relevant)


def reciprocal_rank(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    r"""1 over the place of the first hit, 0 without a hit.

    .. math:: \mathrm{RR@}k = 1 / \min \{ i \le k : \mathrm{hit}_i = 1 \}

    RecBole and ranx agree.

    Source: Voorhees, "The TREC-8 question answering track report", 1999.

    Args, Returns, Raises: as `recall`.

    >>> reciprocal_rank(jnp.array([False, True, True]), jnp.array(2))
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    places = np.arange(1, top.size + 1, dtype=np.float32)
    return _where_relevant(jnp.max(top / places), num_relevant)


RANKING_METRICS: Mapping[str, RankingMetric] = types.MappingProxyType(
    {
        "recall": recall,
        "precision": precision,
        "hit_rate": hit_rate,
        "f1": f1,
        "ndcg": ndcg,
        "average_precision": average_precision,
        "reciprocal_rank": reciprocal_rank,
    }
)
"""The metrics that have a name, for callers that choose them by one."""


def _cut(hits: jax.Array, num_relevant: jax.Array, k: int | None) -> jax.Array:
    """The first k hits as 0.0 and 1.0."""
    hits = jnp.asarray(hits)
    if hits.ndim != 1 or hits.size == 0:
        raise MismatchError(
            f"hits must be one list, [K] with K >= 1, got shape {hits.shape}; lift the metric with jax.vmap"
        )
    if jnp.ndim(num_relevant) != 0:
        raise MismatchError(f"num_relevant must be one number, got shape {jnp.shape(num_relevant)}; use jax.vmap")
    if k is None:
        k = hits.size
    if k < 1:
        raise JaxrecError(f"k is {k}; a list has at least one place, pass k >= 1")
    if k > hits.size:
        raise MismatchError(f"k is {k} but the list has {hits.size} places; rank at least k items, and pad short lists")
    return (hits[:k].astype(jnp.float32) > 0).astype(jnp.float32)


def _as_float(num_relevant: jax.Array) -> jax.Array:
    return jnp.asarray(num_relevant).astype(jnp.float32)


def _share(value: jax.Array, num_relevant: jax.Array, whole: jax.Array | None = None) -> jax.Array:
    """`value / whole`, 0 for a user without a relevant item; the divisor is replaced so that gradients stay finite."""
    whole = _as_float(num_relevant) if whole is None else whole
    return _where_relevant(value / jnp.where(_any_relevant(num_relevant), whole, np.float32(1)), num_relevant)


def _where_relevant(value: jax.Array, num_relevant: jax.Array) -> jax.Array:
    return jnp.where(_any_relevant(num_relevant), value, np.float32(0))


def _any_relevant(num_relevant: jax.Array) -> jax.Array:
    return jnp.asarray(num_relevant) > 0
