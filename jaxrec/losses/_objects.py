"""Losses as frozen objects: each carries its own options only, and is a pytree with its numbers as leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.losses import _functions as functions
from jaxrec.losses._rows import (
    AccidentalHits,
    ChunkedLoss,
    Similarity,
    adjusted,
    check_adjustment,
    check_chunks,
    check_division,
    check_hits,
    check_temperature,
    chunks_of,
    need,
    negative_scores,
    no_hits,
    scores,
    temperature_of,
)
from jaxrec.protocols import Batch, Encoded, Loss, Negatives, Task
from jaxrec.protocols._training import DEFAULT_BATCH
from jaxrec.pytrees import is_number, options, static
from jaxrec.sampling._objects import Uniform

if TYPE_CHECKING:
    from jaxrec.training import TrainData

_LARGEST_BATCH = 8192  # that the data choose


@options
class BPR(Loss):
    """Bayesian personalized ranking: -log sigmoid(s+ - s-), the mean over the negatives of each positive.

    References:
      Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    >>> BPR().default_negatives()
    Uniform(num=1)
    """

    takes_weights: ClassVar[bool] = True

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.bpr`."""
        return functions.bpr(scores(rows), negative_scores(rows), weights=batch.weight, where=batch.where)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse a fit without negatives."""
        need(self, negatives)


@options
class Logistic(Loss):
    """Binary cross-entropy: log(1 + exp(s)) - y s, with y = 1 for positives and 0 for the batch's negatives.

    References:
      He et al., Neural Collaborative Filtering, WWW 2017, equation 7.

    >>> Logistic().task
    'ranking'
    """

    takes_weights: ClassVar[bool] = True

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.logistic`."""
        score, drawn = scores(rows), negative_scores(rows)
        every = jnp.concatenate([score[:, None], drawn], axis=1)
        labels = jnp.concatenate([jnp.ones_like(score)[:, None], jnp.zeros_like(drawn)], axis=1)
        where = jnp.broadcast_to(batch.where[:, None], every.shape)
        weights = None if batch.weight is None else jnp.broadcast_to(batch.weight[:, None], every.shape)
        return functions.logistic(every, labels, weights=weights, where=where)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse a fit without negatives."""
        need(self, negatives)


@options
class SampledSoftmax(Loss):
    """Softmax cross-entropy of one positive against drawn negatives, -log(e^(p/t) / (e^(p/t) + sum of e^(n/t))).

    With the logQ correction each of the M negatives has n / t - log(M q), with q the probability that the sampler drew
    it with. The sum then estimates, without bias, the sum over all items that the user lacks, whatever the sampler.

    Attributes:
      temperature: t; None takes 13.5 / (log I)^2 for cosines in a catalog of I items, such as .23 for 2,000 and .12 for
        40,000, and .3 at the most, and 1 for inner products; see `experiments/defaults`.
      similarity: p and n are the "cosine" or the "dot" product of the vectors.
      logq_correction: subtract log(M q) from the logit of each negative. It needs a sampler that knows q, such as
        `jaxrec.sampling.Popularity`.
      logit_adjustment: add this times log q_c, the log share of the item in the interactions, to p / t in ranking; 0
        ranks by p. None ranks by the inner product of the vectors, also where p is a cosine: a graph model gives
        popular items longer ones, so their popularity counts.

    References:
      Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, TOIS 42(4), 2024. Bengio and
      Senecal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language Model, IEEE
      Transactions on Neural Networks 19(4), 2008, for the correction.

    >>> SampledSoftmax(temperature=0.2).default_negatives()
    Uniform(num=64)
    """

    takes_weights: ClassVar[bool] = True

    temperature: float | None = None
    similarity: Similarity = static(default="cosine")
    logq_correction: bool = static(default=False)
    logit_adjustment: float | None = None

    def __post_init__(self) -> None:
        check_temperature(self)
        check_adjustment(self.logit_adjustment)

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.softmax`."""
        cosine = self.similarity == "cosine"
        return functions.softmax(
            scores(rows, cosine=cosine),
            negative_scores(rows, cosine=cosine),
            temperature=temperature_of(self, data),
            log_probability=batch.log_q if self.logq_correction else None,
            weights=batch.weight,
            where=batch.where,
        )

    def default_negatives(self) -> Negatives | None:
        """64 uniform negatives for each positive."""
        return Uniform(64)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse a fit without negatives, and a correction by what the sampler does not know."""
        need(self, negatives)
        if self.logq_correction and not getattr(negatives, "knows_probability", False):
            raise JaxrecError(
                f"logq_correction needs the probabilities of the draws, and {type(negatives).__name__} does not know "
                "them; leave it out, or use Uniform or Popularity"
            )

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks as `logit_adjustment` says."""
        return adjusted(self, scorer, data)


@options
class InBatchSoftmax(ChunkedLoss):
    """Softmax cross-entropy in which the items of the other rows are the negatives of each row.

    With z_bc = sim(user_b, item_c) / t, the loss is the mean of logsumexp_c z_bc - z_bb. An item comes into a batch as
    often as it is popular, so training pushes popular items down. Two options correct for it: the logQ correction in
    training, and logit adjustment in ranking, which is on as the loss comes.

    Attributes:
      temperature: t; None takes 13.5 / (log I)^2 for cosines in a catalog of I items, such as .23 for 2,000 and .12 for
        40,000, and .3 at the most, and 1 for inner products; see `experiments/defaults`.
      similarity: sim is the "cosine" or the "dot" product of the vectors.
      chunks: cut the batch into so many runs of rows; a row's negatives come from its own run. It divides the batch
        size. A large batch in chunks costs as little as the small batch, and saves propagations. None keeps up to 2,048
        rows together, and takes runs of 512 where more rows are a multiple of it.
      accidental_hits: other rows' items that the user may like: "keep" them as negatives, leave out the "same_item" as
        the row's own, or every item that the user has, "seen" (B x B searches a step, so it costs).
      logq_correction: subtract log q_c, the log share of the interactions of item c, from z_bc in training.
      logit_adjustment: add this times log q_c to sim / t in ranking; 1 is the theory, .7 to .9 were best on Gowalla.
        None ranks by the inner product of the vectors. "auto" is 1, and None with the logQ correction. See
        `jaxrec.scorers.with_popularity`.

    References:
      Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019, equation 5,
      for the logQ correction; Menon et al., Long-tail learning via logit adjustment, ICLR 2021.

    >>> InBatchSoftmax(temperature=0.2).default_negatives() is None
    True
    >>> InBatchSoftmax().logit_adjustment, InBatchSoftmax(logq_correction=True).logit_adjustment
    (1.0, None)
    """

    takes_weights: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True

    temperature: float | None = None
    similarity: Similarity = static(default="cosine")
    chunks: int | None = static(default=None)
    accidental_hits: AccidentalHits = static(default="same_item")
    logq_correction: bool = static(default=False)
    logit_adjustment: float | Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.logit_adjustment, str):
            if self.logit_adjustment != "auto":
                raise JaxrecError(f'logit_adjustment must be a number, None or "auto", got {self.logit_adjustment!r}')
            object.__setattr__(self, "logit_adjustment", None if self.logq_correction else 1.0)
        check_temperature(self)
        check_chunks(self.chunks)
        check_hits(self.accidental_hits)
        check_adjustment(self.logit_adjustment)
        if self.logq_correction and self.logit_adjustment is not None:
            raise JaxrecError(
                "logq_correction and logit_adjustment correct for popularity both, in training and in ranking; choose "
                "one"
            )

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.in_batch_softmax`."""
        chunks = chunks_of(self.chunks, batch.item.shape[0])
        return functions.in_batch_softmax(
            rows.user,
            rows.positive,
            temperature=temperature_of(self, data),
            cosine=self.similarity == "cosine",
            groups=chunks,
            log_probability=data.log_probability[batch.item] if self.logq_correction else None,
            mask=no_hits(batch, data, self.accidental_hits, chunks),
            weights=batch.weight,
            where=batch.where,
        )

    def default_negatives(self) -> Negatives | None:
        """None: the batch has them."""
        return None

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse drawn negatives, and chunks of unequal size."""
        if negatives is not None:
            raise JaxrecError(
                f"InBatchSoftmax takes its negatives from the batch, got negatives={negatives}; leave them out, or use "
                "SampledSoftmax"
            )
        check_division(self.chunks, batch_size)

    def default_batch(self, rows: int) -> int:
        """A 64th of the interactions as a power of two, from 1,024 to 8,192; 1,024 where `chunks` is given.

        >>> [InBatchSoftmax().default_batch(rows) for rows in (100_000, 200_000, 800_000, 10**7)]
        [1024, 2048, 8192, 8192]
        """
        if self.chunks is not None:
            return DEFAULT_BATCH
        return min(max(1 << max(rows // 64, 1).bit_length() - 1, DEFAULT_BATCH), _LARGEST_BATCH)

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer with the popularity of items put back, where `logit_adjustment` says so."""
        return adjusted(self, scorer, data)


@options
class SquaredError(Loss):
    """The squared error of predicted ratings, (s - r)^2.

    Attributes:
      scale: the lowest and the highest rating that there can be, such as (1, 5). Data outside are refused, and
        predictions are clipped to it. None takes the extremes of the training part.

    >>> SquaredError(scale=(1, 5)).scale
    (1.0, 5.0)
    """

    task: ClassVar[Task] = "rating"
    takes_weights: ClassVar[bool] = True

    scale: tuple[float, float] | None = static(default=None, metadata={"flag": "rating_scale"})

    def __post_init__(self) -> None:
        if self.scale is None:
            return
        pair = isinstance(self.scale, (tuple, list)) and len(self.scale) == 2 and all(map(is_number, self.scale))
        if not pair or not -math.inf < self.scale[0] < self.scale[1] < math.inf:
            raise JaxrecError(f"scale must be (lowest, highest), such as (1, 5), got {self.scale}")
        object.__setattr__(self, "scale", (float(self.scale[0]), float(self.scale[1])))

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.mse`."""
        if batch.rating is None:
            raise JaxrecError("SquaredError needs ratings, and the batch has none")
        return functions.mse(scores(rows), batch.rating, weights=batch.weight, where=batch.where)

    def default_negatives(self) -> Negatives | None:
        """None: it learns from ratings."""
        return None

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse drawn negatives, which have no rating."""
        if negatives is not None:
            raise JaxrecError(f"SquaredError learns from ratings, got negatives={negatives}; leave them out")
