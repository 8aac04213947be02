"""The options of a training: one frozen object that carries the objects it consists of."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from jaxrec import registry
from jaxrec._checks import check_kinds, number, whole
from jaxrec.errors import JaxrecError
from jaxrec.fitting._validation import Validation
from jaxrec.losses import InBatchSoftmax, SquaredL2
from jaxrec.protocols import Loss, Negatives, Optimizer, Regularizer, Weights
from jaxrec.protocols._training import DEFAULT_BATCH
from jaxrec.pytrees import is_number
from jaxrec.sampling import Uniform
from jaxrec.training import Adam, Objective, TrainData, as_optimizer

Refit = Literal["fitted", "all"] | bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is trained. `jaxrec.fit` takes the same by keyword.

    Names stand for objects with their defaults, as `loss="logistic"`.

    Attributes:
      loss: see `jaxrec.losses`; `experiments/defaults` has the figures that the default was chosen by.
      regularizer: on the embeddings of a batch, or a number, the weight of `SquaredL2`; None for none.
      negatives: the sampler, or a number of uniform ones; None takes what the loss has by default.
      optimizer: one of `jaxrec.training`, or any Optax transformation.
      batch_size: positives in a step. None takes 1,024; with in-batch softmax and an optimizer without a given rate a
        64th of the interactions as a power of two, from 1,024 to 8,192, and the rate grows with its root. The options
        of a fitted model have both as numbers.
      epochs: passes over the interactions, at the most.
      reduction: minimize the "mean" or the "sum" over the rows of a batch. With "sum" and SGD a batch does nearly what
        its rows would do one after another, as rating models are usually trained.
      tolerance: stop when the loss summed over an epoch changes by less than this; 0 never stops so.
      validation: how the number of epochs is chosen on the validation part; None trains on the training and the
        validation part for `epochs` epochs.
      refit: train again, for the epochs that validation chose, on the training and validation part (True), or on all
        parts, the test part too, for a model that goes into use ("all"); or keep the validated model (False).
      weights: a rule for the weight of each interaction in the loss, such as `jaxrec.training.TimeDecay(half_life=90)`;
        None for ones. Weights are divided by their mean, and do not touch the regularizer.

    Raises:
      JaxrecError: a value out of range, or objects that do not go together.

    >>> from jaxrec.losses import BPR
    >>> TrainingOptions(epochs=5).sampler, TrainingOptions(loss=BPR()).sampler
    (None, Uniform(num=1))
    """

    loss: Loss = InBatchSoftmax()
    regularizer: Regularizer | None = SquaredL2()
    negatives: Negatives | None = None
    optimizer: Optimizer = Adam()
    batch_size: int | None = None
    epochs: int = 100
    reduction: Literal["mean", "sum"] = "mean"
    tolerance: float = 0.0
    validation: Validation | None = Validation()
    refit: Refit = True
    weights: Weights | None = None

    def __post_init__(self) -> None:
        regularizer, negatives = self.regularizer, self.negatives
        if is_number(regularizer):
            regularizer = SquaredL2(regularizer)
        if is_number(negatives):
            negatives = Uniform(whole("negatives", negatives, 1))
        made = {
            "loss": _made("loss", self.loss),
            "regularizer": None if regularizer is None else _made("regularizer", regularizer),
            "negatives": None if negatives is None else _made("negatives", negatives),
            "optimizer": as_optimizer(registry.make("optimizer", self.optimizer)),
            "weights": None if self.weights is None else _made("weights", self.weights),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
            check_kinds(value)
        for name in ("batch_size", "epochs"):
            value = getattr(self, name)
            if name == "epochs" or value is not None:
                object.__setattr__(self, name, whole(name, value, 1))
        if not isinstance(self.reduction, str) or self.reduction not in ("mean", "sum"):
            raise JaxrecError(f'reduction must be "mean" or "sum", got {self.reduction!r}')
        object.__setattr__(self, "tolerance", number("tolerance", self.tolerance))
        if not self.tolerance >= 0:
            raise JaxrecError(f"tolerance must not be negative, got {self.tolerance}")
        if self.validation is not None and not isinstance(self.validation, Validation):
            raise JaxrecError(f"validation must be a Validation or None, got {self.validation!r}")
        if isinstance(self.refit, np.bool_):
            object.__setattr__(self, "refit", bool(self.refit))
        if not isinstance(self.refit, (bool, str)) or self.refit not in (True, False, "fitted", "all"):
            raise JaxrecError(f'refit must be True, False or "all", got {self.refit!r}')
        self.loss.check(batch_size=self.batch_size or DEFAULT_BATCH, negatives=self.sampler)

    def settled(self, rows: int, together: int | None = None) -> TrainingOptions:
        """The options for so many interactions, with the size of a batch and the rate of the optimizer as numbers.

        Args:
          rows: the interactions that are trained on.
          together: the size of a batch that was chosen for all members of a fit; None chooses it.

        >>> made = TrainingOptions().settled(1_000_000)
        >>> made.batch_size, round(made.optimizer.learning_rate, 4)
        (8192, 0.0141)
        """
        optimizer, size = self.optimizer, DEFAULT_BATCH
        for_batch = getattr(optimizer, "for_batch", functools.partial(Optimizer.for_batch, optimizer))
        if self.batch_size is None and together is not None:
            size = together
        elif self.batch_size is None and getattr(optimizer, "scales", False) and self.reduction == "mean":
            default = getattr(self.loss, "default_batch", functools.partial(Loss.default_batch, self.loss))
            size = default(rows)
        return dataclasses.replace(self, batch_size=self.batch_size or size, optimizer=for_batch(size))

    @property
    def sampler(self) -> Negatives | None:
        """The sampler that is used: the one given, or the loss's own."""
        return self.loss.default_negatives() if self.negatives is None else self.negatives

    def sampler_for(self, data: TrainData) -> Negatives | None:
        """The sampler with what it computes once for these data."""
        prepare = getattr(self.sampler, "prepared", None)
        return self.sampler if prepare is None else prepare(data)

    def objective(self, model: Any) -> Objective:
        """The objective of a model with its sizes set."""
        chooses = getattr(self.sampler, "chooses", False)
        return Objective(model, self.loss, self.regularizer, self.reduction, self.sampler if chooses else None)


def _made(kind: str, thing: Any) -> Any:
    found = registry.make(kind, thing)
    if not callable(found):
        raise JaxrecError(
            f"{kind} is {thing!r}; pass an object such as those of jaxrec, or one of {registry.names(kind)}"
        )
    return found


def members_of(options: TrainingOptions, given: dict[str, Any], size: int) -> list[TrainingOptions]:
    """The options of S members: what is a list is one value for each of them.

    Args:
      options: what they share.
      given: field to a value for all, or to a list of S values.
      size: S.

    Raises:
      JaxrecError: a list of another length, or values that do not go together.

    >>> from jaxrec.losses import InBatchSoftmax
    >>> losses = [InBatchSoftmax(t) for t in (0.1, 0.2)]
    >>> [each.loss.temperature for each in members_of(TrainingOptions(), {"loss": losses}, 2)]
    [0.1, 0.2]
    """
    lists = {name: value for name, value in given.items() if isinstance(value, Sequence) and not _word(value)}
    for name, values in lists.items():
        if len(values) != size:
            raise JaxrecError(f"{name} has {len(values)} values and there are {size} keys; give one for each key")
    shared = {name: value for name, value in given.items() if name not in lists}
    return [
        dataclasses.replace(options, **shared, **{name: values[at] for name, values in lists.items()})
        for at in range(size)
    ]


def _word(value: Any) -> bool:
    # A word, or an Optax transformation, which is a tuple of two functions.
    return isinstance(value, (str, tuple))
