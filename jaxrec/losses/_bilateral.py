"""Bilateral softmax (BSL): a temperature for the negatives of a user, and one for the positives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxrec.losses._means import check_positive, counted, masked_mean, reciprocal, same_shape
from jaxrec.losses._rows import (
    AccidentalHits,
    CosineLoss,
    check_adjustment,
    check_chunks,
    check_hits,
    check_number,
    compared,
)
from jaxrec.losses._segments import first_places, log_mean_exp, negative_sums
from jaxrec.protocols import Batch, Encoded
from jaxrec.pytrees import options, static
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData


def bilateral_softmax(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    temperature: float | Float[Array, ""] = 0.12,
    positive_temperature: float | Float[Array, ""] = 0.12,
    owner: Int[Array, " B"] | None = None,
    negative_where: Bool[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Bilateral softmax: the log-mean-exp of a user's positives against the log-sum-exp of the negatives.

    .. math:: -\log \frac{1}{|P|} \sum_{i \in P} e^{p_i / t_1} + \frac{t_2}{t_1} \log \sum_m e^{n_m / t_2}

    The mean over rows; P are the rows of the batch with the same owner as the row. A temperature t_1 of the positives
    gives less weight to positives of a low score, which are often noise. With one row for each owner t_1 scales the
    loss and does nothing else. Times t_1 it is the loss of the paper up to a constant.

    Args:
      positive: [B], the scores of items that the users have.
      negative: [B, M], the scores of the negatives.
      temperature: t_2, of the negatives, positive.
      positive_temperature: t_1, of the positives, positive.
      owner: int32 [B], the user of each row; None for one row a user.
      negative_where: bool [B, M], the negatives that count, or None for all; a row without any does not count.
      weights: [B], not negative, or None for ones; positives of a user are averaged by them too.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: a temperature that is not positive.

    Source: Wu et al., BSL: Understanding and Improving Softmax Loss for Recommendation, ICDE 2024, the equation of BSL
    and algorithm 1.

    >>> scores = jnp.zeros(1), jnp.zeros((1, 4))
    >>> print(f"{bilateral_softmax(*scores, temperature=0.2, positive_temperature=0.1):.4f}")  # 2 log 4
    2.7726
    """
    check_positive(temperature)
    check_positive(positive_temperature, "positive_temperature")
    positive = counted(positive, where)
    scale, own = reciprocal(temperature, positive.dtype), reciprocal(positive_temperature, positive.dtype)
    sums, where = negative_sums(counted(negative, where) * scale, positive, negative_where, where)
    owner = jnp.arange(positive.shape[0], dtype=jnp.int32) if owner is None else owner
    same_shape(positive, owner, "owner")
    first = first_places(owner, where)
    together = log_mean_exp(positive * own, first, weights, where)
    return masked_mean(own * jnp.asarray(temperature, positive.dtype) * sums - together, weights, where)


@options
class BilateralSoftmax(CosineLoss):
    """Bilateral softmax (BSL): -log mean of e^(p/t1) over a user's positives + (t2/t1) log sum of e^(n/t2).

    Scores are cosines. The negatives are those that the fit draws, or without a sampler the items of the other rows.
    The paper's mean over all positives of a user is that over the user's rows in the batch here, so that t1 matters
    where batches are large beside the number of users.

    Attributes:
      temperature: t2, of the negatives.
      positive_temperature: t1, of the positives.
      accidental_hits: other rows' items that the user may like, as in `InBatchSoftmax`.
      logit_adjustment: add this times log q_c, the log share of the item in the interactions, to cos / t2 in ranking. 0
        ranks by the cosine, as the paper does; None by the inner product.
      chunks: cut the batch into so many runs of rows, whose other items are a row's negatives; see `InBatchSoftmax`.

    References:
      Wu et al., BSL: Understanding and Improving Softmax Loss for Recommendation, ICDE 2024.

    >>> BilateralSoftmax(temperature=0.1).default_negatives() is None
    True
    """

    temperature: float = 0.12
    positive_temperature: float = 0.12
    accidental_hits: AccidentalHits = static(default="same_item")
    logit_adjustment: float | None = 0.0
    chunks: int | None = static(default=None)

    def __post_init__(self) -> None:
        check_number(self, "temperature")
        check_number(self, "positive_temperature")
        check_hits(self.accidental_hits)
        check_adjustment(self.logit_adjustment)
        check_chunks(self.chunks)

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.bilateral_softmax`."""
        positive, negative, negative_where = compared(rows, batch, data, self.accidental_hits, chunks=self.chunks)
        return bilateral_softmax(
            positive,
            negative,
            temperature=self.temperature,
            positive_temperature=self.positive_temperature,
            owner=batch.user,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )
