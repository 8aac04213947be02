"""What loss objects take of a batch: scores, the items of other rows as negatives, and checks of shared options."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.losses._means import counted
from jaxrec.protocols import Batch, Encoded, Loss, Negatives
from jaxrec.pytrees import is_number
from jaxrec.sampling._functions import contains
from jaxrec.scorers import with_popularity
from jaxrec.vectors import cosines, inner_products, unit

if TYPE_CHECKING:
    from jaxrec.training import TrainData

Similarity = Literal["cosine", "dot"]
AccidentalHits = Literal["keep", "same_item", "seen"]


class Compared(NamedTuple):
    """The score of each row's item, and those of its negatives.

    Attributes:
      positive: [B].
      negative: [B, M].
      negative_where: bool [B, M], the negatives that count, or None for all.

    >>> Compared(jnp.zeros(2), jnp.zeros((2, 3))).negative_where is None
    True
    """

    positive: jax.Array
    negative: jax.Array
    negative_where: jax.Array | None = None


_TOGETHER, _RUN = 2048, 512  # the rows that are compared, of small batches and of larger ones


def chunks_of(chunks: int | None, size: int) -> int:
    """Into how many runs a batch is cut, whose rows are compared with each other: `chunks`, or by the size.

    Up to 2,048 rows are compared with each other, and more in runs of 512 where they are a multiple of it.

    >>> [chunks_of(None, size) for size in (1024, 2048, 4096, 4100)], chunks_of(2, 1024)
    ([1, 1, 8, 1], 2)
    """
    if chunks is not None:
        return chunks
    return 1 if size <= _TOGETHER or size % _RUN else size // _RUN


def compared(
    rows: Encoded,
    batch: Batch,
    data: TrainData,
    hits: AccidentalHits,
    *,
    cosine: bool = True,
    chunks: int | None = 1,
) -> Compared:
    """The scores of a batch: against the drawn negatives, or where none are drawn against the other rows' items.

    Args:
      rows: what the model makes of the batch.
      batch: B positives.
      data: what is trained on.
      hits: other rows' items that the user may like; see `no_hits`.
      cosine: whether scores are cosines, or inner products.
      chunks: runs of rows, see `chunks_of`; a row has the items of its own run only, so M = B / chunks.

    >>> rows = Encoded(jnp.eye(2), jnp.eye(2), jnp.zeros((2, 0, 2)))
    >>> batch = Batch(jnp.arange(2), jnp.arange(2), None, jnp.zeros((2, 0), jnp.int32), jnp.ones(2, bool))
    >>> compared(rows, batch, None, "same_item").negative_where.tolist()
    [[False, True], [True, False]]
    """
    if batch.negatives.shape[1]:
        return Compared(scores(rows, cosine=cosine), negative_scores(rows, cosine=cosine))
    user, item = counted(rows.user, batch.where), counted(rows.positive, batch.where)
    if cosine:
        user, item = unit(user), unit(item)
    size = user.shape[0]
    count = chunks_of(chunks, size)
    run = size // count
    allowed = no_hits(batch, data, hits, count)
    others = (batch.where.reshape(count, 1, run) & ~jnp.eye(run, dtype=bool)[None]).reshape(size, run)
    products = jnp.einsum("gbd,gcd->gbc", user.reshape(count, run, -1), item.reshape(count, run, -1))
    negative = products.reshape(size, run)
    return Compared(jnp.sum(user * item, axis=1), negative, others if allowed is None else others & allowed)


def no_hits(batch: Batch, data: TrainData, hits: AccidentalHits, chunks: int = 1) -> jax.Array | None:
    """The other rows' items that are negatives, bool [B, B / chunks]; None for all.

    Args:
      batch: B positives.
      data: what is trained on.
      hits: "keep" all of them, leave out the "same_item" as the row's own, or every item that the user has, "seen".
      chunks: runs of rows; a row has the items of its own run only.
    """
    if hits == "keep":
        return None
    size = batch.item.shape[0]
    run = size // chunks
    others = jnp.repeat(batch.item.reshape(chunks, run), run, axis=0)
    if hits == "same_item":
        return batch.item[:, None] != others
    return ~contains(data.seen, jnp.broadcast_to(batch.user[:, None], others.shape), others)


def drawn_with(batch: Batch, data: TrainData, shape: tuple[int, ...]) -> jax.Array | None:
    """The log-probability of each negative of `compared`, of this shape; None where the sampler does not say.

    Items of other rows come as often as their share of the interactions.
    """
    if batch.negatives.shape[1]:
        return batch.log_q
    size, run = shape
    of_item = data.log_probability[batch.item].reshape(size // run, run)
    return jnp.repeat(of_item, run, axis=0)


def scores(rows: Encoded, *, cosine: bool = False) -> jax.Array:
    """The inner products, or the cosines, of users and their items, [B]."""
    user, positive = (unit(rows.user), unit(rows.positive)) if cosine else (rows.user, rows.positive)
    return jnp.sum(user * positive, axis=1)


def negative_scores(rows: Encoded, *, cosine: bool = False) -> jax.Array:
    """The inner products, or the cosines, of users and their negatives, [B, M]."""
    return (cosines if cosine else inner_products)(rows.user, rows.negative)


def by_cosine(scorer: Any, data: TrainData, weight: Any = 0.0, temperature: Any = 1.0) -> Any:
    """The scorer that ranks by cos / t + weight log q; see `jaxrec.scorers.with_popularity`."""
    return with_popularity(scorer, data.log_probability, weight=weight, temperature=temperature, cosine=True)


def adjusted(loss: Any, scorer: Any, data: TrainData) -> Any:
    """The scorer that ranks by sim / t and the popularity of items, as the loss's `logit_adjustment` says.

    Args:
      loss: with the options `logit_adjustment`, None for the scorer as it is, `similarity` and `temperature`.
      scorer: of inner products.
      data: what was trained on.
    """
    if loss.logit_adjustment is None:
        return scorer
    return with_popularity(
        scorer,
        data.log_probability,
        weight=loss.logit_adjustment,
        temperature=temperature_of(loss, data),
        cosine=loss.similarity == "cosine",
    )


def need(loss: Loss, negatives: Negatives | None) -> None:
    """Refuse a fit without a sampler."""
    if negatives is None:
        raise JaxrecError(
            f"{type(loss).__name__} compares with drawn negatives, and there is no sampler; pass negatives=1, or a "
            "sampler of jaxrec.sampling"
        )


RULE = 13.5
"""c of the rule for temperatures, t = c / (log I)^2; chosen in experiments/defaults."""
WARMEST = 0.3
"""The highest temperature by the rule, that of all catalogs below some 800 items."""


def temperature_of(loss: Any, data: TrainData) -> Any:
    """The temperature of a loss: its own or, where it is None, that of `rule` for cosines, and 1 for inner products.

    Two cosines differ by 2 at the most, so the softmax can make an item at most exp(2 / t) times as likely as another.
    The more items there are among which one must stand out, the lower must t be. The rule gives .23 for 2,000 items,
    .16 for 10,000 and .12 for 40,000.
    """
    if loss.temperature is not None:
        return loss.temperature
    return 1.0 if loss.similarity == "dot" else rule(data.log_probability.shape[0])


def rule(num_items: int) -> float:
    """The temperature of cosines in a catalog of so many items.

    >>> [round(rule(items), 2) for items in (100, 2_000, 40_000)]
    [0.3, 0.23, 0.12]
    """
    return min(WARMEST, RULE / math.log(max(num_items, 3)) ** 2)


def check_temperature(loss: Any) -> None:
    """Check the options `temperature` and `similarity` of a loss."""
    if is_number(loss.temperature) and not loss.temperature > 0:
        raise JaxrecError(f"temperature must be positive, got {loss.temperature}")
    if loss.similarity not in ("cosine", "dot"):
        raise JaxrecError(f'similarity must be "cosine" or "dot", got {loss.similarity!r}')


def check_number(loss: Any, name: str, low: float = 0.0, *, above: bool = True) -> None:
    """Check a number of a loss; what is traced or stacked cannot be looked at."""
    value = getattr(loss, name)
    if is_number(value) and not (math.isfinite(value) and (value > low if above else value >= low)):
        raise JaxrecError(f"{name} must be finite and {'above' if above else 'at least'} {low:g}, got {value}")


def check_hits(hits: AccidentalHits) -> None:
    """Check the option `accidental_hits`."""
    if hits not in ("keep", "same_item", "seen"):
        raise JaxrecError(f'accidental_hits must be "keep", "same_item" or "seen", got {hits!r}')


def check_adjustment(adjustment: float | str | None) -> None:
    """Check the option `logit_adjustment`; its word is resolved by then."""
    if is_number(adjustment) and not 0 <= float(adjustment) < math.inf:
        raise JaxrecError(
            f"logit_adjustment must be finite and not negative, got {adjustment}; None ranks by the inner product"
        )


def check_chunks(chunks: int | None) -> None:
    """Check the option `chunks`."""
    if chunks is not None and chunks < 1:
        raise JaxrecError(f"chunks must be at least 1, got {chunks}")


def check_division(chunks: int | None, batch_size: int) -> None:
    """Refuse chunks of unequal size."""
    if batch_size % chunks_of(chunks, batch_size):
        raise JaxrecError(f"chunks must divide the batch size of {batch_size}, got {chunks}")


def check_drawn(loss: Any, batch_size: int, negatives: Negatives | None) -> None:
    """Refuse options for the negatives of the batch where negatives are drawn, and chunks of unequal size."""
    for name in ("accidental_hits", "chunks"):
        value = getattr(loss, name)
        if negatives is not None and value != getattr(type(loss), name):
            raise JaxrecError(
                f"{name}={value!r} is about the items of other rows, and negatives={negatives} are drawn; leave one of "
                "them out"
            )
    if negatives is None:
        check_division(loss.chunks, batch_size)


class ChunkedLoss(Loss):
    """The base of losses whose negatives may be the items of other rows; a subclass has the option `chunks`."""

    def batch_for(self, batch_size: int, rows: int) -> int:
        """As for any loss; in given chunks it stays, since the negatives of a row come from its chunk."""
        own: Any = self
        return batch_size if (own.chunks or 1) > 1 else super().batch_for(batch_size, rows)


class CosineLoss(ChunkedLoss):
    """The base of losses of cosines: negatives are those that a fit draws or, without a sampler, the other rows' items.

    A subclass has the options `temperature`, `accidental_hits`, `logit_adjustment` and `chunks`.
    """

    takes_weights: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True

    def default_negatives(self) -> Negatives | None:
        """None: the batch has them."""
        return None

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse options for the negatives of the batch where negatives are drawn, and chunks of unequal size."""
        check_drawn(self, batch_size, negatives)

    def ranking_temperature(self) -> Any:
        """What the cosine is divided by in ranking."""
        own: Any = self
        return own.temperature

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks by the cosine and the popularity of items; see `logit_adjustment`."""
        own: Any = self
        if own.logit_adjustment is None:
            return scorer
        return by_cosine(scorer, data, own.logit_adjustment, self.ranking_temperature())
