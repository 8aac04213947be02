"""The objective of training: a loss on the rows of a batch plus a penalty on their embeddings."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Batch, Encoded, Loss, Negatives, Regularizer
from jaxrec.pytrees import options, static
from jaxrec.training._state import Params, TrainData

Reduction = Literal["mean", "sum"]
Info = dict[str, jax.Array]


@options
class Objective:
    """A function (params, data, batch, key) -> (loss, info) for any trained model.

    The info has the scalars `ranking` (the loss without the penalty), `penalty` and `count` (the rows that counted).

    Attributes:
      model: with its sizes set; see `jaxrec.protocols.Trained`.
      loss: see `jaxrec.losses`.
      regularizer: on the embeddings of the batch, or None.
      reduction: minimize the "mean" or the "sum" over the rows that count.
      negatives: the sampler, where it chooses among the negatives by their scores; see `jaxrec.protocols.Negatives`.

    Raises:
      JaxrecError: an unknown reduction.

    >>> from jaxrec.losses import BPR, SquaredL2
    >>> from jaxrec.models import MF
    >>> jax.tree.leaves(Objective(MF(num_users=2, num_items=2), BPR(), SquaredL2(0.5)))
    [0.5]
    """

    model: Any = static()
    loss: Loss
    regularizer: Regularizer | None = None
    reduction: Reduction = static(default="mean")
    negatives: Negatives | None = None

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise JaxrecError(f'reduction must be "mean" or "sum", got {self.reduction!r}')

    def __call__(self, params: Params, data: TrainData, batch: Batch, key: jax.Array) -> tuple[jax.Array, Info]:
        """The loss of one batch; the key is consumed."""
        given = (data.adjacency, batch.user, batch.item, batch.negatives)
        if getattr(self.model, "draws_in_training", False):
            key, draw_key = jax.random.split(key)
            given = (*given, draw_key)
        rows = self.model.apply({"params": params}, *given, method="encode")
        return self.of_rows(rows, data, batch, key)

    def of_rows(self, rows: Encoded, data: TrainData, batch: Batch, key: jax.Array) -> tuple[jax.Array, Info]:
        """The loss of one batch whose rows are at hand; the key is consumed."""
        if self.negatives is not None:
            rows, batch = self.negatives.chosen(rows, batch)
        ranking = self.loss(rows, batch, data, key)
        if batch.weight is not None:
            # A loss is a mean by weight. Times the mean weight it is the sum of w l over the number of rows, so that a
            # batch of little weight moves the parameters little.
            ranking = ranking * jnp.sum(jnp.where(batch.where, batch.weight, 0)) / _rows(batch)
        penalty = jnp.zeros((), ranking.dtype)
        if self.regularizer is not None:
            embeddings = rows.embeddings if batch.negatives.shape[1] else rows.embeddings[:2]
            penalty = self.regularizer(embeddings, batch.where)
        count = jnp.sum(batch.where, dtype=jnp.float32)
        if rows.penalty is not None:
            penalty = penalty + jnp.sum(jnp.where(batch.where, rows.penalty, 0)) / jnp.maximum(count, 1)
        loss = ranking + penalty
        if self.reduction == "sum":
            loss = loss * count
        return loss, {"ranking": ranking, "penalty": penalty, "count": count}


def _rows(batch: Batch) -> jax.Array:
    """How many rows count, at least 1."""
    return jnp.maximum(jnp.sum(batch.where, dtype=jnp.float32), 1)
