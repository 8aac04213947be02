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
    negative_where: Bool[Array, "B M"] | None = None,
) -> Float[Array, " B"]:
    """Estimate the score that the first K of I items reach, from those of an item that the user has and M others.

    Of a uniform sample of n of I items, the (K n / I)-th largest score estimates the K-th largest of all. Here n is
    M + 1, and the place is rounded, and at least 1. There is no gradient.

    Args:
      positive: [B].
      negative: [B, M].
      top: K; static.
      num_items: I; static.
      negative_where: bool [B, M], the negatives that count, or None for all.

    Returns:
      [B].

    >>> top_threshold(jnp.array([5.0]), jnp.array([[1.0, 7.0, 3.0]]), top=2, num_items=4).tolist()  # all of 4 items
    [5.0]
    """
    others = negative if negative_where is None else jnp.where(negative_where, negative, -jnp.inf)
    sample = jax.lax.stop_gradient(jnp.concatenate([positive[:, None], others], axis=1))
    place = min(max(round(top * sample.shape[1] / num_items), 1), sample.shape[1])
    found = jax.lax.top_k(sample, place)[0][:, -1]
    return jnp.where(jnp.isfinite(found), found, sample[:, 0])


@options
class SoftmaxAtK(CosineLoss):
    """Softmax at K (SL@K): sigmoid((p - beta) / t_w) log sum of e^((n - p) / t), with cosines p and n.

    beta estimates the score that the first K items of the user reach. It is found in every step from the row's own
    negatives, see `jaxrec.losses.top_threshold`. The paper keeps one for each user, found every few epochs among all
    positives and a sample; that takes the scores of items which a batch does not have. And here the factor has no
    gradient.

    The negatives are those that the fit draws, or without a sampler the items of the other rows. These are popular
    ones, so beta is higher then than of uniform draws.

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
        size = {"top": self.top, "num_items": data.num_items}
        return softmax_at_k(
            positive,
            negative,
            threshold=top_threshold(positive, negative, negative_where=negative_where, **size),
            temperature=self.temperature,
            weight_temperature=self.weight_temperature,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )
