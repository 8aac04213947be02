"""Pairwise softmax (PSL): softmax whose exponential of the gap is replaced by a bounded or slower activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxrec.errors import JaxrecError
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
from jaxrec.losses._segments import check_scores, negative_sums
from jaxrec.protocols import Batch, Encoded
from jaxrec.pytrees import options, static
from jaxrec.types import Array

if TYPE_CHECKING:
    from jaxrec.training import TrainData

Surrogate = Literal["tanh", "relu", "atan"]
_SURROGATES = {"tanh": jnp.tanh, "relu": lambda gap: jnp.maximum(gap, -1), "atan": jnp.arctan}
_LEAST = 1e-6  # ReLU is 0 where the gap is -1, and its logarithm is not finite


def pairwise_softmax(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    surrogate: Surrogate = "tanh",
    temperature: float | Float[Array, ""] = 0.06,
    negative_where: Bool[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Pairwise softmax: the mean of log sum over m of sigma(d_m)^(1/t), with d_m = (n_m - p) / 2.

    sigma is 1 + tanh(d), ReLU(1 + d) or 1 + arctan(d). For cosines d lies in [-1, 1], where sigma lies between the step
    at 0 and e^d, which would give the softmax.

    Args:
      positive: [B], the cosines of users and items that they have.
      negative: [B, M], the cosines of the negatives.
      surrogate: sigma, "tanh", "relu" or "atan".
      temperature: t, positive.
      negative_where: bool [B, M], the negatives that count, or None for all; a row without any does not count.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: a temperature that is not positive, an unknown surrogate.

    Source: Yang et al., PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for Recommendation,
    NeurIPS 2024. Sums stand for its means over the items, which differ by a constant.

    >>> print(f"{pairwise_softmax(jnp.zeros(1), jnp.zeros((1, 3))):.4f}")  # log 3
    1.0986
    """
    check_positive(temperature)
    if surrogate not in _SURROGATES:
        raise JaxrecError(f"surrogate must be one of {', '.join(_SURROGATES)}, got {surrogate!r}")
    check_scores(positive, negative)
    positive, negative = counted(positive, where), counted(negative, where)
    if negative_where is not None:
        same_shape(negative, negative_where, "negative_where")
        negative = jnp.where(negative_where, negative, 0)
    gap = (negative - positive[:, None]) / 2
    powers = jnp.log(jnp.maximum(1 + _SURROGATES[surrogate](gap), _LEAST)) * reciprocal(temperature, gap.dtype)
    sums, where = negative_sums(powers, positive, negative_where, where)
    return masked_mean(sums, weights, where)


@options
class PairwiseSoftmax(CosineLoss):
    """Pairwise softmax (PSL): log sum of sigma((n - p) / 2)^(1/t) over the negatives, with cosines p and n.

    The negatives are those that the fit draws, or without a sampler the items of the other rows.

    Attributes:
      surrogate: sigma, 1 + "tanh", "relu" of 1 + d, or 1 + "atan".
      temperature: t. Half of that of a softmax makes about the same slopes, since the gap is halved.
      accidental_hits: other rows' items that the user may like, as in `InBatchSoftmax`.
      logit_adjustment: add this times log q_c, the log share of the item in the interactions, to cos / (2 t) in
        ranking. 0 ranks by the cosine, as the paper does; None by the inner product.
      chunks: cut the batch into so many runs of rows, whose other items are a row's negatives; see `InBatchSoftmax`.

    References:
      Yang et al., PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for Recommendation, NeurIPS
      2024.

    >>> PairwiseSoftmax("atan").temperature
    0.06
    """

    surrogate: Surrogate = static(default="tanh")
    temperature: float = 0.06
    accidental_hits: AccidentalHits = static(default="same_item")
    logit_adjustment: float | None = 0.0
    chunks: int | None = static(default=None)

    def __post_init__(self) -> None:
        if self.surrogate not in _SURROGATES:
            raise JaxrecError(f"surrogate must be one of {', '.join(_SURROGATES)}, got {self.surrogate!r}")
        check_number(self, "temperature")
        check_hits(self.accidental_hits)
        check_adjustment(self.logit_adjustment)
        check_chunks(self.chunks)

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.pairwise_softmax`."""
        positive, negative, negative_where = compared(rows, batch, data, self.accidental_hits, chunks=self.chunks)
        return pairwise_softmax(
            positive,
            negative,
            surrogate=self.surrogate,
            temperature=self.temperature,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )

    def ranking_temperature(self) -> Any:
        """Twice the temperature, since the gap of a pair is halved."""
        return 2 * self.temperature
