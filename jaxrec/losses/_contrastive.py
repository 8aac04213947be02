"""Cosine contrastive loss (CCL) of SimpleX: positives are drawn to cosine 1, negatives pushed below a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxrec.errors import JaxrecError
from jaxrec.losses._means import counted, masked_mean, same_shape
from jaxrec.losses._rows import (
    AccidentalHits,
    ChunkedLoss,
    by_cosine,
    check_chunks,
    check_drawn,
    check_hits,
    check_number,
    compared,
)
from jaxrec.losses._segments import check_scores
from jaxrec.protocols import Batch, Encoded, Negatives
from jaxrec.pytrees import options, static
from jaxrec.sampling._objects import Uniform
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData


def cosine_contrastive(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    margin: float | Float[Array, ""] = 0.4,
    negative_weight: float | Float[Array, ""] = 10.0,
    negative_where: Bool[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Cosine contrastive loss: the mean of (1 - p) + w / M times the sum over m of max(0, n_m - margin).

    Args:
      positive: [B], the cosines of users and items that they have.
      negative: [B, M], the cosines of the negatives.
      margin: negatives below it cost nothing.
      negative_weight: w.
      negative_where: bool [B, M], the negatives that count, or None for all; M is their number in each row.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.

    Source: Mao et al., SimpleX: A Simple and Strong Baseline for Collaborative Filtering, CIKM 2021, equation 1.

    >>> loss = cosine_contrastive(jnp.array([0.5]), jnp.array([[0.75, 0.25]]), margin=0.25, negative_weight=2.0)
    >>> loss.item()  # 0.5 + (0.5 + 0) 2 / 2
    1.0
    """
    check_scores(positive, negative)
    positive, negative = counted(positive, where), counted(negative, where)
    count = jnp.full(positive.shape, max(negative.shape[1], 1), positive.dtype)
    if negative_where is not None:
        same_shape(negative, negative_where, "negative_where")
        negative = jnp.where(negative_where, negative, -jnp.inf)
        count = jnp.maximum(jnp.sum(negative_where, axis=1, dtype=positive.dtype), 1)
    above = jnp.sum(jnp.maximum(negative - jnp.asarray(margin, positive.dtype), 0), axis=1) / count
    return masked_mean(1 - positive + jnp.asarray(negative_weight, positive.dtype) * above, weights, where)


@options
class CosineContrastive(ChunkedLoss):
    """The cosine contrastive loss of SimpleX: 1 - cos+ plus w times the mean over negatives of max(0, cos- - margin).

    It wants many negatives: the paper takes up to 1,000 or more, with w of 10 to 1,000 and margins of 0 to 0.9 by data
    set. Lists are ranked by the cosine.

    Attributes:
      margin: negatives below it cost nothing.
      negative_weight: w.
      accidental_hits: for a fit whose negatives are the items of the other rows, as in `InBatchSoftmax`.
      in_batch: take the items of the other rows for negatives, and draw none; the paper draws.
      chunks: with the items of other rows, as in `InBatchSoftmax`.

    References:
      Mao et al., SimpleX: A Simple and Strong Baseline for Collaborative Filtering, CIKM 2021, equation 1.

    >>> CosineContrastive(margin=0.2).default_negatives()
    Uniform(num=64)
    """

    takes_weights: ClassVar[bool] = True

    margin: float = 0.4
    negative_weight: float = 10.0
    in_batch: bool = static(default=False)
    accidental_hits: AccidentalHits = static(default="same_item")
    chunks: int | None = static(default=None)

    @property
    def compares_rows(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the negatives are the items of other rows."""
        return self.in_batch

    def __post_init__(self) -> None:
        check_number(self, "margin", -1.0, above=False)
        check_number(self, "negative_weight", above=False)
        check_hits(self.accidental_hits)
        check_chunks(self.chunks)

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.cosine_contrastive`."""
        positive, negative, negative_where = compared(rows, batch, data, self.accidental_hits, chunks=self.chunks)
        return cosine_contrastive(
            positive,
            negative,
            margin=self.margin,
            negative_weight=self.negative_weight,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )

    def default_negatives(self) -> Negatives | None:
        """64 uniform negatives for each positive; None where the batch has them."""
        return None if self.in_batch else Uniform(64)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse drawn negatives beside those of the batch, and an option for the latter without them."""
        if self.in_batch and negatives is not None:
            raise JaxrecError(f"in_batch=True takes the items of other rows, got negatives={negatives}; leave one out")
        check_drawn(self, batch_size, negatives)

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks by the cosine."""
        return by_cosine(scorer, data)
