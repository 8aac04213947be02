"""The options of `fit`, shared by Python callers and the command line."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal

import optax

from jaxrec.errors import JaxrecError
from jaxrec.training._objective import HitMask, LossName, Objective, PenaltyForm, Reduction

OptimizerName = Literal["adam", "sgd", "adagrad"]


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How a model is trained. The defaults are the published ones where there are any.

    Attributes:
      loss: "bpr" (pairs), "softmax" (one positive against many; on the cosine, with a temperature), "logistic" (each
        score alone) or "mse" (on the ratings). Softmax in the batch with neither `correct_popularity` nor
        `popularity_prior` is strong on sparse data such as Gowalla and falls to the level of popularity on MovieLens;
        BPR is the safe choice.
      batch_size: positives in a step.
      learning_rate: of the optimiser.
      decay: what the learning rate is multiplied by after every epoch.
      optimizer: "adam", "sgd" or "adagrad"; `fit` also takes any Optax transformation.
      momentum: of "sgd".
      sparse: read and write only the rows of a batch, so that a step does not grow with the tables; for MF, without
        momentum. "sgd" and "adagrad" give the same as without it; "adam" is then the lazy one, which leaves the moments
        of other rows alone.
      reduction: whether the loss of a batch is the "mean" or the "sum" over its rows. With "sum" and "sgd" a batch does
        nearly what its rows would do one after another, as rating models are usually trained.
      l2: coefficient of the L2 term on the embeddings of the batch.
      l2_form: "squared" (LightGCN: half the squares over the batch size) or "norm" (RecBole: norms, not squared).
      negatives: drawn for each positive; 0 for in-batch negatives with "softmax". "mse" needs none and draws none.
      temperature: of the softmax.
      cosine: softmax on the cosine (else on the inner product).
      groups: in-batch softmax: cut the batch into this many runs, and compare a row with the items of its own run only.
        It must divide the batch size. A large batch in runs costs as little as the small batch, and saves propagations.
      mask_hits: in-batch softmax: other rows' items that are no negatives; "none", "item" (the same item) or "seen"
        (every item that the user has).
      correct_popularity: in-batch softmax: correct for how often an item comes into a batch.
      popularity_prior: in-batch softmax: correct for it in ranking instead, not in training. Items are ranked by
        sim / temperature + this times the log of the share of the interactions that an item has; 1 is the theory, .7 to
        .9 were best on Gowalla. None ranks by the inner product of the embeddings. See `models.with_popularity`.
      epochs: passes over the interactions, at the most.
      eval_every: epochs between two validations.
      patience: stop after so many validations without a new best; 0 never stops early.
      monitor: the validation metric to maximise; for ratings (loss "mse") "rmse" is minimised instead of the default.
      tolerance: stop when the loss summed over an epoch changes by less than this; 0 never stops so.
      rating_scale: the lowest and the highest rating that there can be, such as 1 and 5. Others are refused, and
        predictions are clipped to it; None takes the extremes of the training part.
      validate: measure the validation part while training; without it, both parts are trained on for `epochs` epochs.
      refit: train again on train and validation part, with the number of epochs that validation chose.

    Raises:
      JaxrecError: a value out of range, or options that do not go together.

    >>> FitOptions(loss="softmax", negatives=0, temperature=0.2).temperature
    0.2
    """

    loss: LossName = "bpr"
    batch_size: int = 1024
    learning_rate: float = 5e-3
    decay: float = 1.0
    optimizer: OptimizerName = "adam"
    momentum: float = 0.0
    sparse: bool = False
    reduction: Reduction = "mean"
    l2: float = 1e-2
    l2_form: PenaltyForm = "squared"
    negatives: int = 1
    temperature: float = 0.12
    cosine: bool = True
    groups: int = 1
    mask_hits: HitMask = "none"
    correct_popularity: bool = False
    popularity_prior: float | None = None
    epochs: int = 100
    eval_every: int = 5
    patience: int = 4
    monitor: str = "ndcg@10"
    tolerance: float = 0.0
    rating_scale: tuple[float, float] | None = None
    validate: bool = True
    refit: bool = True

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("negatives", 0), ("epochs", 1), ("eval_every", 1), ("patience", 0)):
            if getattr(self, name) < least:
                raise JaxrecError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise JaxrecError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.optimizer not in ("adam", "sgd", "adagrad"):
            raise JaxrecError(f'optimizer must be "adam", "sgd" or "adagrad", got {self.optimizer!r}')
        if not 0 < self.decay <= 1:
            raise JaxrecError(f"decay must lie in (0, 1], got {self.decay}")
        if not 0 <= self.momentum < 1 or (self.momentum and self.optimizer != "sgd"):
            raise JaxrecError(
                f'momentum must lie in [0, 1) and goes with "sgd" only, got {self.momentum} with {self.optimizer!r}'
            )
        if self.sparse and self.momentum:
            raise JaxrecError(
                f"sparse=True moves rows without momentum, got momentum={self.momentum}; use momentum=0, or "
                'optimizer="adagrad" or "adam"'
            )
        if self.negatives == 0 and self.loss in ("bpr", "logistic"):
            raise JaxrecError(f"negatives=0 leaves the loss {self.loss!r} nothing to compare with; use 1 or more")
        if self.groups > 1 and (self.loss != "softmax" or self.negatives or self.batch_size % self.groups):
            raise JaxrecError(
                f'groups={self.groups} goes with loss="softmax" and negatives=0, and must divide the batch size of '
                f"{self.batch_size}"
            )
        if self.popularity_prior is not None:
            if not 0 <= self.popularity_prior < math.inf:
                raise JaxrecError(
                    f"popularity_prior must be a number that is not negative, got {self.popularity_prior}; None ranks "
                    "by the inner product"
                )
            if self.loss != "softmax" or self.negatives or self.correct_popularity:
                raise JaxrecError(
                    f'popularity_prior={self.popularity_prior} goes with loss="softmax", negatives=0 and '
                    f"correct_popularity=False, got {self.loss!r}, {self.negatives} and {self.correct_popularity}; "
                    "other trainings leave the popularity of items in their scores"
                )
        if self.rating_scale is not None:
            if len(self.rating_scale) != 2 or not -math.inf < self.rating_scale[0] < self.rating_scale[1] < math.inf:
                raise JaxrecError(f"rating_scale must be (lowest, highest), such as (1, 5), got {self.rating_scale}")
            object.__setattr__(self, "rating_scale", tuple(map(float, self.rating_scale)))
        Objective(  # checks what it shares with these options
            None,
            loss=self.loss,
            l2=self.l2,
            l2_form=self.l2_form,
            temperature=self.temperature,
            groups=self.groups,
            mask_hits=self.mask_hits,
            reduction=self.reduction,
        )

    @property
    def drawn_negatives(self) -> int:
        """The negatives that are drawn for each positive: none for "mse"."""
        return 0 if self.loss == "mse" else self.negatives


@functools.cache
def make_optimizer(
    name: OptimizerName, learning_rate: float, *, momentum: float = 0.0, decay: float = 1.0, steps: int = 1
) -> optax.GradientTransformation:
    """The Optax transformation of a name; the same arguments give the same object, so nothing is compiled twice.

    Args:
      name: "adam", "sgd" or "adagrad".
      learning_rate: in the first epoch.
      momentum: of "sgd".
      decay: what the learning rate is multiplied by after every epoch.
      steps: steps in an epoch; it counts only with a decay.

    >>> make_optimizer("adam", 1e-3) is make_optimizer("adam", 1e-3)
    True
    """
    rate: Any = learning_rate
    if decay != 1:
        rate = optax.exponential_decay(learning_rate, transition_steps=steps, decay_rate=decay, staircase=True)
    if name == "sgd":
        return optax.sgd(rate, momentum=momentum or None)
    return {"adam": optax.adam, "adagrad": optax.adagrad}[name](rate)
