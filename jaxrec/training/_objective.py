"""What training minimises: a loss on the scores of a batch plus an L2 term on its embeddings."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp

from jaxrec import losses
from jaxrec.errors import JaxrecError
from jaxrec.sampling import contains
from jaxrec.sparse import SparseMatrix
from jaxrec.training._state import Batch, Params, TrainData

LossName = Literal["bpr", "softmax", "logistic", "mse"]
PenaltyForm = Literal["squared", "norm"]
HitMask = Literal["none", "item", "seen"]
Reduction = Literal["mean", "sum"]


class EmbeddingModel(Protocol):
    """A Flax module whose users and items have vectors, with inner products as scores."""

    def apply(self, variables: Any, *args: Any, method: Any = None) -> Any:
        """`apply(variables, adjacency)` gives (users [U, w], items [I, w]); `method="ego"` what L2 acts on."""
        ...


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss function of (params, data, batch, key) for any model with embeddings.

    A model may give the rows of a batch without tables of all nodes, by `batch_rows(adjacency, users, items,
    negatives)`; see LightGCN. A model may add a penalty of its own: `with_penalty(adjacency)` then gives (users, items,
    penalty [U]), the last for each rating of a user.

    Calling it gives (loss, info): a scalar, and the scalars `ranking` (the loss without L2), `penalty` and `count` (the
    rows that counted). With plain numbers it is hashable, so it can be a static argument. Inside a program `l2` and
    `temperature` may be traced values (`dataclasses.replace`), which are not checked.

    Attributes:
      model: an embedding model, with its sizes set.
      loss: "bpr", "softmax", "logistic" (the positives against the batch's negatives) or "mse" (on the ratings).
      l2: the coefficient of the L2 term.
      l2_form: "squared" (LightGCN: half the squared rows of the batch over its size) or "norm" (RecBole: the norms of
        the batch's tables, not squared, over its size).
      temperature: of the softmax.
      cosine: whether the softmax compares by cosine, or by inner product.
      groups: softmax in the batch: how many runs of rows the batch is cut into; a row's negatives are of its own run.
      mask_hits: softmax in the batch: which other rows' items are no negatives; "none" are left out, "item" leaves out
        the row's own item, "seen" every item that the user has (B x B searches a step, so it costs).
      correct_popularity: softmax in the batch: subtract the log probability of each item to be in the batch.
      reduction: whether what is minimised is the "mean" or the "sum" over the rows that count.

    Raises:
      JaxrecError: an unknown loss or form, a negative l2, a temperature that is not positive.

    >>> from jaxrec.models._mf import MF
    >>> Objective(MF(num_users=2, num_items=2), loss="bpr").l2
    0.0
    """

    model: Any
    loss: LossName = "bpr"
    l2: float | jax.Array = 0.0
    l2_form: PenaltyForm = "squared"
    temperature: float | jax.Array = 0.12
    cosine: bool = True
    groups: int = 1
    mask_hits: HitMask = "none"
    correct_popularity: bool = False
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        if self.loss not in ("bpr", "softmax", "logistic", "mse"):
            raise JaxrecError(f'loss must be "bpr", "softmax", "logistic" or "mse", got {self.loss!r}')
        if self.l2_form not in ("squared", "norm"):
            raise JaxrecError(f'l2_form must be "squared" or "norm", got {self.l2_form!r}')
        if self.reduction not in ("mean", "sum"):
            raise JaxrecError(f'reduction must be "mean" or "sum", got {self.reduction!r}')
        if self.mask_hits not in ("none", "item", "seen"):
            raise JaxrecError(f'mask_hits must be "none", "item" or "seen", got {self.mask_hits!r}')
        if isinstance(self.l2, (int, float)) and not self.l2 >= 0:  # a traced one cannot be looked at
            raise JaxrecError(f"l2 must not be negative, got {self.l2}")
        if isinstance(self.temperature, (int, float)) and not self.temperature > 0:
            raise JaxrecError(f"temperature must be positive, got {self.temperature}")
        if self.groups < 1:
            raise JaxrecError(f"groups must be at least 1, got {self.groups}")

    @property
    def penalised(self) -> bool:
        """Whether there is an L2 term: its coefficient is not 0, or not known before the program runs."""
        return not isinstance(self.l2, (int, float)) or self.l2 > 0

    def __call__(
        self, params: Params, data: TrainData, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of one batch. The key is not used: none of these losses is random."""
        del key
        variables = {"params": params}
        adjacency: SparseMatrix = data.adjacency
        if hasattr(self.model, "batch_rows"):
            indices = (batch.user, batch.item, batch.negatives)
            vectors, ego = self.model.apply(variables, adjacency, *indices, method="batch_rows")
            return self.of_rows(data, batch, vectors, ego)
        own_penalty = None
        if hasattr(self.model, "with_penalty"):
            users, items, own_penalty = self.model.apply(variables, adjacency, method="with_penalty")
        else:
            users, items = self.model.apply(variables, adjacency)
        vectors = (users[batch.user], items[batch.item], items[batch.negatives])
        ego: tuple[jax.Array, ...] = ()
        if self.penalised:
            ego_users, ego_items = self.model.apply(variables, method="ego")
            ego = (ego_users[batch.user], ego_items[batch.item], ego_items[batch.negatives])
        return self.of_rows(data, batch, vectors, ego, None if own_penalty is None else own_penalty[batch.user])

    def of_rows(
        self,
        data: TrainData,
        batch: Batch,
        vectors: tuple[jax.Array, jax.Array, jax.Array],
        ego: tuple[jax.Array, ...],
        own_penalty: jax.Array | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of one batch whose rows are at hand.

        Args:
          data: the interactions.
          batch: B positives with M negatives.
          vectors: of the users [B, w], of their items [B, w] and of the negatives [B, M, w].
          ego: the embeddings of the same that L2 acts on; not used without L2.
          own_penalty: [B], what the model adds itself, or None.

        Returns:
          (loss, info) as for a call.
        """
        ranking = self._ranking(data, batch, *vectors)
        penalty = jnp.zeros((), ranking.dtype)
        if self.penalised:
            form = losses.l2 if self.l2_form == "squared" else losses.l2_norms
            rows = ego if batch.negatives.shape[1] else ego[:2]
            penalty = self.l2 * form(*rows, where=batch.where)
        count = jnp.sum(batch.where, dtype=jnp.float32)
        if own_penalty is not None:
            penalty = penalty + jnp.sum(jnp.where(batch.where, own_penalty, 0)) / jnp.maximum(count, 1)
        loss = ranking + penalty
        if self.reduction == "sum":
            loss = loss * count
        return loss, {"ranking": ranking, "penalty": penalty, "count": count}

    def _ranking(
        self, data: TrainData, batch: Batch, user: jax.Array, positive: jax.Array, negative: jax.Array
    ) -> jax.Array:
        score = jnp.sum(user * positive, axis=1)
        if self.loss == "mse":
            if batch.rating is None:
                raise JaxrecError('loss="mse" needs ratings, and the batch has none')
            return losses.mse(score, batch.rating, where=batch.where)
        if self.loss in ("bpr", "logistic") and not negative.shape[1]:
            raise JaxrecError(f'loss="{self.loss}" needs negatives, and the batch has none')
        if self.loss == "bpr":
            return losses.bpr(score, jnp.sum(user[:, None] * negative, axis=2), where=batch.where)
        if self.loss == "logistic":
            drawn = jnp.sum(user[:, None] * negative, axis=2)
            scores = jnp.concatenate([score[:, None], drawn], axis=1)
            labels = jnp.concatenate([jnp.ones_like(score)[:, None], jnp.zeros_like(drawn)], axis=1)
            where = jnp.broadcast_to(batch.where[:, None], scores.shape)
            return losses.logistic(scores, labels, where=where)
        if negative.shape[1]:
            if self.cosine:
                user, positive, negative = losses.unit(user), losses.unit(positive), losses.unit(negative)
            return losses.softmax(
                jnp.sum(user * positive, axis=1),
                jnp.sum(user[:, None] * negative, axis=2),
                temperature=self.temperature,
                where=batch.where,
            )
        mask = None
        if self.mask_hits != "none":
            size = batch.item.shape[0]
            run = size // self.groups
            others = jnp.repeat(batch.item.reshape(self.groups, run), run, axis=0)  # [B, B / G]
            if self.mask_hits == "item":
                mask = batch.item[:, None] != others
            else:
                mask = ~contains(data.seen, jnp.broadcast_to(batch.user[:, None], others.shape), others)
        log_probability = None
        if self.correct_popularity:
            log_probability = data.log_probability[batch.item]
        return losses.in_batch_softmax(
            user,
            positive,
            temperature=self.temperature,
            cosine=self.cosine,
            groups=self.groups,
            log_probability=log_probability,
            mask=mask,
            where=batch.where,
        )
