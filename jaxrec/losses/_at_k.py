"""Softmax at K (SL@K): softmax whose rows weigh by whether their item is among the first K of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxrec._checks import whole
from jaxrec.errors import JaxrecError
from jaxrec.losses._means import check_positive, counted, masked_mean, reciprocal
from jaxrec.losses._rows import (
    AccidentalHits,
    CosineLoss,
    check_adjustment,
    check_chunks,
    check_hits,
    check_number,
    compared,
    drawn_with,
)
from jaxrec.losses._segments import negative_sums
from jaxrec.protocols import Batch, Encoded
from jaxrec.pytrees import options, static
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData


def softmax_at_k(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    threshold: Float[Array, " B"],
    temperature: float | Float[Array, ""] = 0.12,
    weight_temperature: float | Float[Array, ""] = 0.2,
    negative_where: Bool[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Softmax at K: sigmoid((p - beta) / t_w) times log of the sum over m of e^((n_m - p) / t), the mean over rows.

    A row whose item stands far below the user's first K, by its score p against the threshold beta, weighs little: it
    cannot come into the list. The factor has no gradient: with one, the loss would fall by pushing p down.

    Args:
      positive: [B], the scores of items that the users have.
      negative: [B, M], the scores of the negatives.
      threshold: [B], beta, the score that the first K items of each user reach; see `top_threshold`.
      temperature: t, positive.
      weight_temperature: t_w, of the factor, positive.
      negative_where: bool [B, M], the negatives that count, or None for all; a row without any does not count.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: a temperature that is not positive.

    Source: Yang et al., Breaking the Top-K Barrier: Advancing Top-K Ranking Metrics Optimization in Recommender
    Systems, KDD 2025.

    >>> scores = jnp.zeros(1), jnp.zeros((1, 3))
    >>> print(f"{softmax_at_k(*scores, threshold=jnp.zeros(1)):.4f}")  # log 3 / 2
    0.5493
    """
    check_positive(temperature)
    check_positive(weight_temperature, "weight_temperature")
    positive = counted(positive, where)
    scale = reciprocal(temperature, positive.dtype)
    sums, where = negative_sums(counted(negative, where) * scale, positive, negative_where, where)
    gap = (positive - counted(threshold, where)) * reciprocal(weight_temperature, positive.dtype)
    factor = jax.lax.stop_gradient(jax.nn.sigmoid(gap))
    return masked_mean(factor * (sums - positive * scale), weights, where)


def top_threshold(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    top: int,
    num_items: int,
    log_probability: Float[Array, "B M"] | None = None,
    negative_where: Bool[Array, "B M"] | None = None,
) -> Float[Array, " B"]:
    """Estimate the score that the first K of I items reach, from those of an item that the user has and M draws.

    A negative that is one of n draws, each with probability q, stands for 1 / (n q) items, and the item that the user
    has for itself. The threshold is the largest score such that the items with at least this score are K, by these
    numbers (Horvitz and Thompson), or the smallest score where all are fewer. Where one draw stands for more than K
    items, as of 64 uniform draws from 40,000 items, that is the largest negative or the positive, whatever K. It is
    found by 12 bisections, so it is off by at most a 4,096th of the range of a row's scores. There is no gradient.

    Args:
      positive: [B].
      negative: [B, M].
      top: K; static.
      num_items: I; static.
      log_probability: [B, M], log q; None for uniform draws from the I - 1 other items.
      negative_where: bool [B, M], the negatives that count, or None for all.

    Returns:
      [B].

    Source: Horvitz and Thompson, A generalization of sampling without replacement from a finite universe, JASA 47,
    1952.

    >>> top_threshold(jnp.array([5.0]), jnp.array([[1.0, 7.0, 3.0]]), top=2, num_items=4).tolist()  # all of 4 items
    [5.0]
    """
    positive, negative = jax.lax.stop_gradient((positive, negative))
    rows = {"positive": positive, "negative": negative, "counts": negative_where, "log_probability": log_probability}

    def found(row: dict[str, jax.Array | None]) -> jax.Array:
        return _threshold(**row, top=top, num_items=num_items)  # pyright: ignore[reportArgumentType]

    # Some rows at a time, which stay in the cache while they are read again and again.
    return jax.lax.map(found, rows, batch_size=_ROWS)


_ROWS = 512
_BISECTIONS = 12
_LARGEST_LOG = 60.0  # of a number of items; more would overflow in float32


def _threshold(
    positive: jax.Array,
    negative: jax.Array,
    counts: jax.Array | None,
    log_probability: jax.Array | None,
    *,
    top: int,
    num_items: int,
) -> jax.Array:
    """The threshold of a row."""
    counts = jnp.ones_like(negative, bool) if counts is None else counts
    draws = jnp.maximum(jnp.sum(counts), 1).astype(negative.dtype)
    if log_probability is None:
        items = jnp.asarray(num_items - 1, negative.dtype)
    else:
        items = jnp.exp(jnp.minimum(-log_probability.astype(negative.dtype), _LARGEST_LOG))
    items = jnp.where(counts, items, 0)
    wanted = (top - 1e-6 * top) * draws  # as are the items, n times their number

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) / 2
        above = jnp.sum(jnp.where(negative >= middle, items, 0)) + jnp.where(positive >= middle, draws, 0)
        reached = above >= wanted
        return jnp.where(reached, middle, low), jnp.where(reached, high, middle)

    smallest = jnp.minimum(positive, jnp.min(jnp.where(counts, negative, jnp.inf), initial=jnp.inf))
    largest = jnp.maximum(positive, jnp.max(jnp.where(counts, negative, -jnp.inf), initial=-jnp.inf))
    above = jnp.nextafter(largest, jnp.full_like(largest, jnp.inf))
    _, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (smallest, above))
    below = jnp.max(jnp.where(counts & (negative < high), negative, -jnp.inf), initial=-jnp.inf)
    return jnp.maximum(below, jnp.where(positive < high, positive, smallest))


@options
class SoftmaxAtK(CosineLoss):
    """Softmax at K (SL@K): sigmoid((p - beta) / t_w) log sum of e^((n - p) / t), with cosines p and n.

    beta estimates the score that the first K items of the user reach. It is found in every step from the row's own
    item and its negatives, each of which stands for as many items as its probability says, see
    `jaxrec.losses.top_threshold`. The paper keeps one for each user, found every few epochs among all positives and a
    sample; that takes the scores of items which a batch does not have. And here the factor has no gradient.

    The negatives are those that the fit draws, or without a sampler the items of the other rows. A sampler that does
    not know its probabilities is taken for a uniform one. A uniform sample of fewer than I / K of I items cannot tell
    one K from another: beta is the largest score then.

    Attributes:
      top: K, the length of the lists that count.
      temperature: t.
      weight_temperature: t_w.
      accidental_hits: other rows' items that the user may like, as in `InBatchSoftmax`; those left out are no part of
        the sample for beta.
      logit_adjustment: add this times log q_c, the log share of the item in the interactions, to cos / t in ranking. 0
        ranks by the cosine, as the paper does; None by the inner product.
      chunks: cut the batch into so many runs of rows, whose other items are a row's negatives; see `InBatchSoftmax`.

    References:
      Yang et al., Breaking the Top-K Barrier: Advancing Top-K Ranking Metrics Optimization in Recommender Systems, KDD
      2025.

    >>> SoftmaxAtK(top=10).weight_temperature
    0.2
    """

    top: int = static(default=20)
    temperature: float = 0.12
    weight_temperature: float = 0.2
    accidental_hits: AccidentalHits = static(default="same_item")
    logit_adjustment: float | None = 0.0
    chunks: int | None = static(default=None)

    def __post_init__(self) -> None:
        whole("top", self.top, 1)
        check_number(self, "temperature")
        check_number(self, "weight_temperature")
        check_hits(self.accidental_hits)
        check_adjustment(self.logit_adjustment)
        check_chunks(self.chunks)

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.softmax_at_k`."""
        if self.top >= data.num_items:
            raise JaxrecError(
                f"top is {self.top}, and there are {data.num_items} items; lists of all items rank nothing"
            )
        positive, negative, negative_where = compared(rows, batch, data, self.accidental_hits, chunks=self.chunks)
        threshold = top_threshold(
            positive,
            negative,
            top=self.top,
            num_items=data.num_items,
            log_probability=drawn_with(batch, data, negative.shape),
            negative_where=negative_where,
        )
        return softmax_at_k(
            positive,
            negative,
            threshold=threshold,
            temperature=self.temperature,
            weight_temperature=self.weight_temperature,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )
