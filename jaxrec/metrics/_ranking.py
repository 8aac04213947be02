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

Where libraries define a metric otherwise, their definition is an option (`over`, `ideal`, `gain`).
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.types import Array

Gain = Literal["linear", "exponential"]


class RankingMetric(Protocol):
    """A metric of one list: `metric(hits [K], num_relevant [], *, k) -> float32 []`.

    >>> def first_hit(hits, num_relevant, /, *, k=None):
    ...     return hits[0].astype(jnp.float32)
    >>> metric: RankingMetric = first_hit
    >>> jax.vmap(metric)(jnp.array([[True, False], [False, True]]), jnp.array([1, 2]))
    Array([1., 0.], dtype=float32)
    """

    def __call__(self, hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
        """The value for one user."""
        ...


def recall(
    hits: Shaped[Array, " K"],
    num_relevant: Real[Array, ""],
    /,
    *,
    k: int | None = None,
    over: Literal["relevant", "min"] = "relevant",
) -> Float[Array, ""]:
    r"""The share of the relevant items that are in the list.

    .. math:: \mathrm{recall@}k = \frac{1}{|\mathrm{relevant}|} \sum_{i=1}^{k} \mathrm{hit}_i

    RecBole, ranx and the LightGCN code use the same definition. With `over="min"` the divisor is min(k, relevant), the
    most hits that the list could have: Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018,
    section 4.2; the papers on iALS; LensKit. That one can fall as k grows.

    Args:
      hits: bool or float [K], above 0 where the item at this place is relevant.
      num_relevant: int [], how many items are relevant to the user, in the list or not.
      k: the list is cut here, 1 <= k <= K; all of it by default. Static under `jax.jit`.
      over: the divisor, "relevant" for |relevant| or "min" for min(k, |relevant|).

    Returns:
      float32 [], from 0 to 1.

    Raises:
      MismatchError: `hits` is not one-dimensional, `num_relevant` not a scalar, or k longer than the list.
      JaxrecError: k below 1, or another name for an option.

    >>> recall(jnp.array([True, False, True, False]), jnp.array(4))
    Array(0.5, dtype=float32)
    >>> recall(jnp.array([True, False, True, False]), jnp.array(4), k=1, over="min")
    Array(1., dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    return _share(jnp.sum(top), num_relevant, _divisor(num_relevant, top.size, over))


def precision(
    hits: Shaped[Array, " K"],
    num_relevant: Real[Array, ""],
    /,
    *,
    k: int | None = None,
    over: Literal["k", "length"] = "k",
    length: Int[Array, ""] | None = None,
) -> Float[Array, ""]:
    r"""The share of the k places that hold a relevant item.

    .. math:: \mathrm{precision@}k = \frac{1}{k} \sum_{i=1}^{k} \mathrm{hit}_i

    The divisor is k also where the list is shorter, as in RecBole and ranx. With `over="length"` it is min(k, length),
    with the number of items that were listed before the padding, as in LensKit. LensKit leaves an empty list out; here
    it gives 0.

    Args:
      hits, num_relevant, k: as in `recall`.
      over: the divisor, "k" or "length" for min(k, length).
      length: int [], the places of the list that are no padding, needed for "length" and for nothing else. A place
        behind them holds no hit.

    Returns, Raises: as `recall`; also refused is a `length` that is no scalar, missing, or given without need.

    >>> precision(jnp.array([True, False, True, False]), jnp.array(4), k=2)
    Array(0.5, dtype=float32)
    >>> precision(jnp.array([True, False, False, False]), jnp.array(4), over="length", length=jnp.array(2))
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    _check_option("over", over, ("k", "length"))
    if over == "k":
        if length is not None:
            raise JaxrecError("length is given but over is 'k'; pass over='length' to divide by it, or leave it out")
        return _where_relevant(jnp.sum(top) / np.float32(top.size), num_relevant)
    if length is None:
        raise JaxrecError("over is 'length' but length is None; pass the number of places that are no padding")
    if jnp.ndim(length) != 0:
        raise MismatchError(f"length must be one number, got shape {jnp.shape(length)}; use jax.vmap")
    places = jnp.clip(_as_float(length), np.float32(0), np.float32(top.size))
    listed = jnp.where(np.arange(top.size, dtype=np.float32) < places, top, np.float32(0))
    return _where_relevant(jnp.sum(listed) / jnp.maximum(places, np.float32(1)), num_relevant)


def hit_rate(hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None) -> Float[Array, ""]:
    r"""1 if any of the k places holds a relevant item, otherwise 0.

    .. math:: \mathrm{hit\_rate@}k = \max_{i \le k} \mathrm{hit}_i

    RecBole and ranx agree. Some papers divide all hits of all users by all relevant items and use the same name; that
    is a recall over pairs.

    Args, Returns, Raises: as `recall`.

    >>> hit_rate(jnp.array([False, False, True]), jnp.array(1), k=2)
    Array(0., dtype=float32)
    """
    return _where_relevant(jnp.max(_cut(hits, num_relevant, k)), num_relevant)


def f1(hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None) -> Float[Array, ""]:
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


def ndcg(
    hits: Shaped[Array, " K"],
    num_relevant: Real[Array, ""],
    /,
    *,
    k: int | None = None,
    ideal: Literal["min", "k"] = "min",
) -> Float[Array, ""]:
    r"""Discounted cumulative gain with a gain of 0 or 1, over that of the best possible list.

    .. math:: \mathrm{nDCG@}k = \sum_{i=1}^{k} \frac{\mathrm{hit}_i}{\log_2(i + 1)}
              \Big/ \sum_{i=1}^{\min(k, |\mathrm{relevant}|)} \frac{1}{\log_2(i + 1)}

    The ideal list is full to min(k, relevant), as in RecBole, ranx and LightGCN's code. With `ideal="k"` it has k hits
    whatever the user has, RecTools' default: with fewer relevant items 1 is out of reach. Grades: `graded_ndcg`.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with the discount
    log2(i + 1) that has become usual.

    Args:
      hits, num_relevant, k: as in `recall`.
      ideal: how many hits the best list has, "min" for min(k, |relevant|) or "k".

    Returns, Raises: as `recall`.

    >>> ndcg(jnp.array([True, False, False]), jnp.array(1))
    Array(1., dtype=float32)
    >>> ndcg(jnp.array([False, False, True]), jnp.array(1), k=3)
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    _check_option("ideal", ideal, ("min", "k"))
    discount = _discount(top.size)
    # The same sum over the same places as the gain, so that a perfect list gives 1 without a rounding error.
    best = jnp.asarray(discount)
    if ideal == "min":
        best = jnp.where(np.arange(top.size, dtype=np.float32) < _as_float(num_relevant), discount, np.float32(0))
    return _share(jnp.sum(top * discount), num_relevant, jnp.sum(best))


def graded_ndcg(
    gains: Real[Array, " K"], ideal_gains: Real[Array, " M"], /, *, k: int | None = None, gain: Gain = "linear"
) -> Float[Array, ""]:
    r"""Discounted cumulative gain of items that are relevant by grades, over that of the best possible list.

    .. math:: \mathrm{nDCG@}k = \sum_{i=1}^{k} \frac{f(g_i)}{\log_2(i + 1)}
              \Big/ \sum_{i=1}^{\min(k, M)} \frac{f(g^*_i)}{\log_2(i + 1)}

    with g the grade of the item at place i, g* the user's grades from the highest down, and f(g) = g, or
    f(g) = 2^g - 1 with `gain="exponential"`. Grades of 0 and 1 give `ndcg` either way.

    Linear is ranx's "ndcg" and scikit-learn's `ndcg_score`. Exponential is ranx's "ndcg_burges"; Elliot's gain of a
    rating r is the exponential one of the grade r - threshold + 1.

    Source: as `ndcg` (linear); Burges et al., "Learning to rank using gradient descent", ICML 2005 (exponential).

    Args:
      gains: float [K], the grade of the item at each place; 0 for an irrelevant item and for padding.
      ideal_gains: float [M], the grades of all relevant items of the user, listed or not, in any order, padded with 0.
        Grades below 0 count as 0. For the exponential gain keep them below 100, where float32 still holds the sums.
      k: as in `recall`; M may be smaller.
      gain: "linear" or "exponential".

    Returns:
      float32 [], from 0 to 1 if the grades in the list are among `ideal_gains`; 0 for a user without a grade above 0.

    Raises:
      MismatchError: `gains` or `ideal_gains` is not one-dimensional, or k longer than the list.
      JaxrecError: k below 1, or another name of a gain.

    >>> graded_ndcg(jnp.array([0.0, 0.0, 3.0]), jnp.array([3.0]))
    Array(0.5, dtype=float32)
    >>> swapped, grades = jnp.array([1.0, 2.0]), jnp.array([2.0, 1.0])
    >>> [round(float(graded_ndcg(swapped, grades, gain=gain)), 3) for gain in ("linear", "exponential")]
    [0.86, 0.797]
    """
    gains, ideal_gains = jnp.asarray(gains), jnp.asarray(ideal_gains)
    k = _check_list("gains", gains, k)
    if ideal_gains.ndim != 1:
        raise MismatchError(f"ideal_gains must be the grades of one user, [M], got shape {ideal_gains.shape}")
    _check_option("gain", gain, ("linear", "exponential"))
    best = jnp.sort(_gain(ideal_gains, gain), descending=True)[:k]
    best = jnp.pad(best, (0, k - best.size))  # one shape for both sums, so that a perfect list gives 1 exactly
    whole = jnp.sum(best * _discount(k))
    value = jnp.sum(_gain(gains[:k], gain) * _discount(k)) / jnp.where(whole > 0, whole, np.float32(1))
    return jnp.where(whole > 0, value, np.float32(0))


def average_precision(
    hits: Shaped[Array, " K"],
    num_relevant: Real[Array, ""],
    /,
    *,
    k: int | None = None,
    over: Literal["relevant", "min"] = "relevant",
) -> Float[Array, ""]:
    r"""The precision at the place of each hit, summed and divided by the number of relevant items.

    .. math:: \mathrm{AP@}k = \frac{1}{|\mathrm{relevant}|} \sum_{i=1}^{k} \mathrm{hit}_i \cdot \mathrm{precision@}i

    This is the definition of TREC, ranx and RecTools: a relevant item below place k counts as never found. With
    `over="min"` the divisor is min(k, relevant), as in RecBole, implicit and on Kaggle. That one can fall as k grows.

    Source: Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 8.4.

    Args, Returns, Raises: as `recall`.

    >>> average_precision(jnp.array([True, False, False, True]), jnp.array(2))
    Array(0.75, dtype=float32)
    >>> average_precision(jnp.array([True, False, False, True]), jnp.array(2), k=1, over="min")
    Array(1., dtype=float32)
    """
    top = _cut(hits, num_relevant, k)
    places = np.arange(1, top.size + 1, dtype=np.float32)
    return _share(jnp.sum(top * jnp.cumsum(top) / places), num_relevant, _divisor(num_relevant, top.size, over))


def reciprocal_rank(
    hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None
) -> Float[Array, ""]:
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


def r_precision(hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /) -> Float[Array, ""]:
    r"""The precision of the list cut at the number of relevant items, where precision and recall are equal.

    .. math:: \frac{1}{|\mathrm{relevant}|} \sum_{i=1}^{|\mathrm{relevant}|} \mathrm{hit}_i

    The cut is the user's own, so there is no k and no entry in `RANKING_METRICS`. The list must be as long as the most
    relevant items of any user: the places that it lacks count as misses. ranx agrees.

    Source: Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 8.4.

    Args, Returns, Raises: as `recall`, without k; K >= num_relevant.

    >>> r_precision(jnp.array([True, False, True, True]), jnp.array(2))
    Array(0.5, dtype=float32)
    """
    top = _cut(hits, num_relevant, None)
    inside = np.arange(top.size, dtype=np.float32) < _as_float(num_relevant)
    return _share(jnp.sum(jnp.where(inside, top, np.float32(0))), num_relevant)


def capped_recall(
    hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None
) -> Float[Array, ""]:
    """`recall` over min(k, relevant); arguments, result and errors are those of `recall`.

    >>> capped_recall(jnp.array([True, False]), jnp.array(4))
    Array(0.5, dtype=float32)
    """
    return recall(hits, num_relevant, k=k, over="min")


def ndcg_k(hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None) -> Float[Array, ""]:
    """`ndcg` over an ideal list of k hits; arguments, result and errors are those of `ndcg`.

    >>> ndcg_k(jnp.array([True, True]), jnp.array(2))
    Array(1., dtype=float32)
    """
    return ndcg(hits, num_relevant, k=k, ideal="k")


def average_precision_min(
    hits: Shaped[Array, " K"], num_relevant: Real[Array, ""], /, *, k: int | None = None
) -> Float[Array, ""]:
    """`average_precision` over min(k, relevant); arguments, result and errors are as there.

    >>> average_precision_min(jnp.array([True, False]), jnp.array(4))
    Array(0.5, dtype=float32)
    """
    return average_precision(hits, num_relevant, k=k, over="min")


RANKING_METRICS: Mapping[str, RankingMetric] = types.MappingProxyType(
    {
        metric.__name__: metric
        for metric in (
            *(recall, precision, hit_rate, f1, ndcg, average_precision, reciprocal_rank),
            *(capped_recall, ndcg_k, average_precision_min),
        )
    }
)
"""The metrics that have a name, for callers that choose them by one."""


def _cut(hits: jax.Array, num_relevant: jax.Array, k: int | None) -> jax.Array:
    """The first k hits as 0.0 and 1.0."""
    hits = jnp.asarray(hits)
    k = _check_list("hits", hits, k)
    if jnp.ndim(num_relevant) != 0:
        raise MismatchError(f"num_relevant must be one number, got shape {jnp.shape(num_relevant)}; use jax.vmap")
    return (hits[:k].astype(jnp.float32) > 0).astype(jnp.float32)


def _check_list(name: str, row: jax.Array, k: int | None) -> int:
    """The cut, once it is known to lie within the list."""
    if row.ndim != 1 or row.size == 0:
        raise MismatchError(
            f"{name} must be one list, [K] with K >= 1, got shape {row.shape}; lift the metric with jax.vmap"
        )
    if k is None:
        return row.size
    if k < 1:
        raise JaxrecError(f"k is {k}; a list has at least one place, pass k >= 1")
    if k > row.size:
        raise MismatchError(f"k is {k} but the list has {row.size} places; rank at least k items, and pad short lists")
    return k


def _check_option(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise JaxrecError(f"{name} is {value!r}; choose {' or '.join(repr(choice) for choice in choices)}")


def _divisor(num_relevant: jax.Array, k: int, over: str) -> jax.Array:
    _check_option("over", over, ("relevant", "min"))
    return _as_float(num_relevant) if over == "relevant" else jnp.minimum(_as_float(num_relevant), np.float32(k))


def _discount(k: int) -> np.ndarray:
    return (1 / np.log2(np.arange(k) + 2.0)).astype(np.float32)


def _gain(grades: jax.Array, gain: str) -> jax.Array:
    grades = jnp.maximum(grades.astype(jnp.float32), np.float32(0))
    return grades if gain == "linear" else jnp.expm1(grades * np.float32(np.log(2)))


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
