"""Adaptive temperature (Adap-tau): a softmax whose temperatures follow from the scores, one for all and one a user."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxrec.errors import JaxrecError
from jaxrec.losses._means import counted, masked_mean, same_shape
from jaxrec.losses._rows import (
    AccidentalHits,
    Compared,
    CosineLoss,
    by_cosine,
    check_adjustment,
    check_chunks,
    check_hits,
    check_number,
    compared,
)
from jaxrec.losses._segments import check_scores, first_places, negative_sums, segment_mean, sizes
from jaxrec.protocols import Batch, Encoded, Negatives
from jaxrec.pytrees import options, static
from jaxrec.types import Array
from jaxrec.vectors import unit

if TYPE_CHECKING:
    from jaxrec.training import TrainData

_LEAST_LOG = 0.1  # of the odds below; where half of all pairs are interactions it would be 0


def adaptive_softmax(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    inverse: float | Float[Array, ""],
    user_inverse: Float[Array, " B"],
    negative_where: Bool[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Softmax with a temperature for each user: the mean of log sum over m of e^(n_m / t_u), less p / t_0.

    Args:
      positive: [B], the scores of items that the users have.
      negative: [B, M], the scores of the negatives.
      inverse: 1 / t_0.
      user_inverse: [B], 1 / t_u.
      negative_where: bool [B, M], the negatives that count, or None for all; a row without any does not count.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.

    Source: Chen et al., Adap-tau: Adaptively Modulating Embedding Magnitude for Recommendation, WWW 2023, in the form
    of the authors' code.

    >>> scores = jnp.zeros(1), jnp.zeros((1, 3))
    >>> print(f"{adaptive_softmax(*scores, inverse=jnp.array(9.0), user_inverse=jnp.ones(1)):.4f}")  # log 3
    1.0986
    """
    check_scores(positive, negative)
    positive, user_inverse = counted(positive, where), counted(user_inverse, where)
    same_shape(positive, user_inverse, "user_inverse")
    scaled = counted(negative, where) * user_inverse[:, None]
    sums, where = negative_sums(scaled, positive, negative_where, where)
    return masked_mean(sums - inverse * positive, weights, where)


def overall_inverse(
    gap: Float[Array, ""], *, num_users: int, num_items: int, num_pairs: int, least_gap: float | Float[Array, ""] = 0.3
) -> Float[Array, ""]:
    """The closed form of one temperature for all: 1 / t_0 = log(U I / (2 E)) / (mean cosine of E pairs - of all pairs).

    Args:
      gap: the mean cosine of the interactions less that of all pairs.
      num_users: U; static.
      num_items: I; static.
      num_pairs: E; static.
      least_gap: the gap counts as at least this.

    Returns:
      1 / t_0, without a gradient.

    Source: Chen et al., Adap-tau, WWW 2023, Adap-tau_0, in the form of the authors' code.

    >>> t = 1 / overall_inverse(jnp.array(0.7), num_users=29_858, num_items=40_981, num_pairs=810_128)
    >>> print(f"{t:.3f}")  # of Gowalla
    0.106
    """
    odds = max(math.log(num_users) + math.log(num_items) - math.log(2 * num_pairs), _LEAST_LOG)
    gap = jnp.maximum(gap, jnp.asarray(least_gap, gap.dtype))
    return jax.lax.stop_gradient(odds / gap)


def user_factors(
    losses: Float[Array, " B"],
    segment: Int[Array, " B"],
    where: Bool[Array, " B"],
    *,
    weights: Float[Array, " B"] | None = None,
    regularization: float | Float[Array, ""] = 1.0,
) -> Float[Array, " B"]:
    """How much each user's inverse temperature differs from that of all: e^(-W(max((L_u - L) / r, -1/e))).

    Users whose loss L_u is above the mean L, who are hard to fit, get a higher temperature. W is Lambert's function.

    Args:
      losses: [B], of each row at temperature 1.
      segment: int32 [B], a number below B for each user.
      where: bool [B], the rows that count.
      weights: [B], of the rows in L_u, or None for ones; a user whose rows weigh nothing does not count in L.
      regularization: r; a greater one holds the factors nearer to 1.

    Returns:
      [B], without a gradient.

    Source: Chen et al., Adap-tau, WWW 2023, after Castells et al., SuperLoss, NeurIPS 2020.

    >>> factors = user_factors(jnp.array([0.0, 4.0]), jnp.array([0, 1]), jnp.ones(2, bool))
    >>> bool(factors[0] > 1 > factors[1])
    True
    """
    own = segment_mean(losses, segment, where, weights)
    if weights is not None:
        where = where & (segment_mean(weights, segment, where) > 0)
    share = where.astype(own.dtype) / sizes(segment, where)
    mean = jnp.sum(share * own) / jnp.maximum(jnp.sum(share), 1)
    # The slope of W at -1/e is infinite, and the factors have none.
    given = jax.lax.stop_gradient((own - mean) / jnp.asarray(regularization, own.dtype))
    return jnp.exp(-lambert_w(given))


def lambert_w(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Lambert's function on its main branch, W e^W = x, for x of at least -1/e; smaller values count as -1/e.

    >>> lambert_w(jnp.array([0.0, jnp.e, -1 / jnp.e])).round(3).tolist()
    [0.0, 1.0, -1.0]
    """
    x = jnp.maximum(x, -math.exp(-1))
    # Starts: a series at the branch point, log x - log log x far away; then Halley's iteration, which triples the
    # digits.
    root = jnp.sqrt(jnp.maximum(2 * (math.e * x + 1), 0))
    near = -1 + root - root * root / 3
    far = jnp.log(jnp.maximum(x, 3)) - jnp.log(jnp.log(jnp.maximum(x, 3)))
    w = jnp.where(x < 0, near, jnp.where(x > 3, far, x / (1 + x)))
    for _ in range(4):
        over = w - x * jnp.exp(-w)
        below = (w + 1) - (w + 2) * over / (2 * (w + 1) + 1e-12)
        # At the branch point the slope vanishes, and the start is exact.
        w = jnp.where(root < 1e-2, near, w - over / jnp.where(jnp.abs(below) > 1e-12, below, 1))
    return w


@options
class AdaptiveTemperature(CosineLoss):
    """Softmax with adaptive temperatures (Adap-tau): log sum of e^(n/t_u) - p/t_0, with cosines p and n.

    t_0 follows from the cosines and the density of the data, see `jaxrec.losses.overall_inverse`, and t_u from the loss
    of the user, see `jaxrec.losses.user_factors`. No temperature has to be searched.

    It differs from the authors' code in when and on what these are computed. There t_0 is computed once an epoch from
    all pairs, without the fifth of the users who have least, and a gap of .7 stands in for the first epochs; t_u comes
    from the user's losses in the epoch before. Here both are computed in every step from the rows of the batch, so
    nothing is carried from step to step: the mean cosine of all pairs is that of the mean user and the mean item of the
    batch, each user weighted by 1 / (their number of items), and items by 1 / q, with q the probability to be in the
    batch or to be drawn; and L_u is the mean loss of the user's rows in the batch. The means over interactions are by
    their weights where they have some. In small batches t_0 and t_u are noisy. A sampler that does not know its
    probabilities is taken for a uniform one, and one that chooses by the scores is refused.

    The negatives are those that the fit draws, or without a sampler the items of the other rows.

    Attributes:
      regularization: r, how near t_u stays to t_0.
      personal: whether users have temperatures of their own; False is Adap-tau_0.
      least_gap: the gap of the mean cosines counts as at least this, which bounds 1 / t_0 at the start.
      accidental_hits: other rows' items that the user may like, as in `InBatchSoftmax`.
      logit_adjustment: add this times log q_c, the log share of the item in the interactions, to the cosine in ranking;
        it is not divided by a temperature, since that is not kept. 0 ranks by the cosine, as the paper does for MF;
        None by the inner product.
      chunks: cut the batch into so many runs of rows, whose other items are a row's negatives; see `InBatchSoftmax`.

    References:
      Chen et al., Adap-tau: Adaptively Modulating Embedding Magnitude for Recommendation, WWW 2023.

    >>> AdaptiveTemperature(personal=False).default_negatives() is None
    True
    """

    regularization: float = 1.0
    personal: bool = static(default=True)
    least_gap: float = 0.3
    accidental_hits: AccidentalHits = static(default="same_item")
    logit_adjustment: float | None = 0.0
    chunks: int | None = static(default=None)

    def __post_init__(self) -> None:
        check_number(self, "regularization")
        check_number(self, "least_gap")
        check_hits(self.accidental_hits)
        check_adjustment(self.logit_adjustment)
        check_chunks(self.chunks)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse also negatives that are chosen by their scores: all pairs would seem as alike as the hardest."""
        super().check(batch_size=batch_size, negatives=negatives)
        if getattr(negatives, "chooses", False):
            raise JaxrecError(
                f"AdaptiveTemperature estimates the mean cosine of all pairs from its negatives, and {negatives} "
                "chooses the most alike; use a sampler that draws, such as Uniform(64), or leave negatives out"
            )

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.adaptive_softmax`."""
        positive, negative, negative_where = scored = compared(
            rows, batch, data, self.accidental_hits, chunks=self.chunks
        )
        inverse = overall_inverse(
            _gap(rows, batch, data, positive),
            num_users=data.seen.num_users,
            num_items=data.num_items,
            num_pairs=data.user.shape[0],
            least_gap=self.least_gap,
        )
        factors = self._factors(scored, batch) if self.personal else jnp.ones_like(positive)
        return adaptive_softmax(
            positive,
            negative,
            inverse=inverse,
            user_inverse=inverse * factors,
            negative_where=negative_where,
            weights=batch.weight,
            where=batch.where,
        )

    def _factors(self, scored: Compared, batch: Batch) -> jax.Array:
        positive, negative, negative_where = jax.lax.stop_gradient(scored)
        sums, where = negative_sums(counted(negative, batch.where), positive, negative_where, batch.where)
        losses = sums - counted(positive, where)
        segment = first_places(batch.user, where)
        return user_factors(losses, segment, where, weights=batch.weight, regularization=self.regularization)

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks by the cosine and the popularity of items; see `logit_adjustment`."""
        return scorer if self.logit_adjustment is None else by_cosine(scorer, data, self.logit_adjustment)


def _gap(rows: Encoded, batch: Batch, data: TrainData, positive: jax.Array) -> jax.Array:
    """The mean cosine of the interactions less that of all pairs, estimated from a batch; without a gradient."""
    where = batch.where
    users, items = (unit(counted(jax.lax.stop_gradient(part), where)) for part in (rows.user, rows.positive))
    indptr = jnp.asarray(data.seen.indptr)
    counts = (indptr[batch.user + 1] - indptr[batch.user]).astype(users.dtype)
    of_user = jnp.where(where, 1 / jnp.maximum(counts, 1), 0)
    of_item = jnp.where(where, jnp.exp(-_finite(data.log_probability[batch.item])), 0)
    if batch.negatives.shape[1]:
        items = unit(counted(jax.lax.stop_gradient(rows.negative), where)).reshape(-1, users.shape[1])
        log_q = jnp.zeros(batch.negatives.shape, users.dtype) if batch.log_q is None else _finite(batch.log_q)
        # By the largest first, so that nothing overflows; the scale cancels.
        of_item = jnp.where(where[:, None], jnp.exp(jnp.min(log_q) - log_q), 0).reshape(-1)
    mean_user = jnp.sum(of_user[:, None] * users, axis=0) / jnp.maximum(jnp.sum(of_user), 1e-30)
    mean_item = jnp.sum(of_item[:, None] * items, axis=0) / jnp.maximum(jnp.sum(of_item), 1e-30)
    own = masked_mean(counted(jax.lax.stop_gradient(positive), where), batch.weight, where)
    return own - jnp.sum(mean_user * mean_item)


def _finite(log_probability: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(log_probability), log_probability, 0)
