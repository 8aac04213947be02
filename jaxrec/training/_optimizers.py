"""Named optimizers as frozen objects whose learning rates are leaves, and any Optax transformation beside them.

Constants that Optax rounds in Python, such as the decays of Adam's moments, belong to the structure: as leaves they
would give other bits than `optax.adam` does.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Optimizer
from jaxrec.protocols._training import DEFAULT_BATCH
from jaxrec.pytrees import is_number, options, static
from jaxrec.training._row_rules import RowRule, row_adagrad, row_adam, row_sgd

if TYPE_CHECKING:
    import optax

_ADAM_RATE = 5e-3  # for batches of 1,024

Rate = Any  # a number, or a schedule from the number of steps to one


@options
class Adam(Optimizer):
    """Adam.

    Attributes:
      learning_rate: in the first epoch. None takes .005, and .005 sqrt(B / 1,024) where the loss chose a batch of B
        rows by the data, see `TrainingOptions.batch_size`.
      decay: multiply the learning rate by this after every epoch; None keeps it.
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: keeps the denominator away from 0.
      sparse: move the rows of a batch only, and leave the moments of other rows alone (lazy Adam); for models whose
        vectors are rows of tables, such as MF.

    References:
      Kingma and Ba, Adam, ICLR 2015; Malladi et al., On the SDEs and scaling rules for adaptive gradient algorithms,
      NeurIPS 2022, for the root.

    >>> Adam(1e-3).learning_rate
    0.001
    """

    learning_rate: float | None = None
    decay: float | None = None
    b1: float = static(default=0.9)
    b2: float = static(default=0.999)
    eps: float = static(default=1e-8)
    sparse: bool = static(default=False)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def scales(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether no rate is given."""
        return self.learning_rate is None

    def for_batch(self, batch_size: int) -> Adam:
        """With the rate for batches of so many rows, where none is given.

        >>> Adam().for_batch(4096).learning_rate, Adam(1e-3).for_batch(4096).learning_rate
        (0.01, 0.001)
        """
        if self.learning_rate is not None:
            return self
        return dataclasses.replace(self, learning_rate=_ADAM_RATE * math.sqrt(batch_size / DEFAULT_BATCH))

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The Optax transformation, for epochs of so many steps."""
        import optax

        return optax.adam(_schedule(self, steps), b1=self.b1, b2=self.b2, eps=self.eps)

    def rule(self) -> RowRule:
        """The rule for single rows."""
        return row_adam(self.b1, self.b2, self.eps)


@options
class SGD(Optimizer):
    """Stochastic gradient descent.

    Attributes:
      learning_rate: in the first epoch.
      decay: multiply the learning rate by this after every epoch; None keeps it.
      momentum: None for none.
      sparse: read and write the rows of a batch only; the result is the same.

    Raises:
      JaxrecError: momentum with sparse steps, which would move every row.

    >>> SGD(0.1, momentum=0.9).momentum
    0.9
    """

    learning_rate: float = 0.05
    decay: float | None = None
    momentum: float | None = None
    sparse: bool = static(default=False)

    def __post_init__(self) -> None:
        _check(self)
        if is_number(self.momentum) and not 0 <= self.momentum < 1:
            raise JaxrecError(f"momentum must lie in [0, 1), got {self.momentum}")
        if self.sparse and self.momentum is not None:
            raise JaxrecError(
                f"momentum moves every row and sparse=True only those of a batch, got momentum={self.momentum}; leave "
                "one out, or use Adagrad or Adam"
            )

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The Optax transformation, for epochs of so many steps."""
        import optax

        return optax.sgd(_schedule(self, steps), momentum=self.momentum)

    def rule(self) -> RowRule:
        """The rule for single rows."""
        return row_sgd()


@options
class Adagrad(Optimizer):
    """Adagrad.

    Attributes:
      learning_rate: in the first epoch.
      decay: multiply the learning rate by this after every epoch; None keeps it.
      initial: the sum of squares before the first step.
      eps: keeps the root away from 0.
      sparse: read and write the rows of a batch only; the result is the same.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods, JMLR 12, 2011.

    >>> Adagrad(0.05, sparse=True).sparse
    True
    """

    learning_rate: float = 0.05
    decay: float | None = None
    initial: float = static(default=0.1)
    eps: float = static(default=1e-7)
    sparse: bool = static(default=False)

    def __post_init__(self) -> None:
        _check(self)

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The Optax transformation, for epochs of so many steps."""
        import optax

        return optax.adagrad(_schedule(self, steps), self.initial, self.eps)

    def rule(self) -> RowRule:
        """The rule for single rows."""
        return row_adagrad(self.initial, self.eps)


@options
class OptaxOptimizer(Optimizer):
    """An Optax transformation of the caller; each is compiled once.

    Attributes:
      chain: the transformation.

    >>> import optax
    >>> OptaxOptimizer(optax.adamw(1e-3)).sparse
    False
    """

    chain: optax.GradientTransformation = static()

    @property
    def sparse(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """False: it moves every row."""
        return False

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The transformation itself."""
        return self.chain


def as_optimizer(thing: Any) -> Any:
    """An optimizer object, or an Optax transformation as one.

    >>> import optax
    >>> as_optimizer(optax.sgd(0.1)).sparse
    False
    """
    # An Optax transformation is a pair of functions, init and update.
    if hasattr(thing, "init") and hasattr(thing, "update"):
        return OptaxOptimizer(thing)
    if not hasattr(thing, "transformation"):
        raise JaxrecError(
            f"optimizer is {thing!r}; pass one of jaxrec.training, such as Adam(1e-3), or an Optax transformation"
        )
    return thing


def rate_at(optimizer: Any, step: jax.Array, steps: int) -> jax.Array:
    """The learning rate of a step, float32: learning_rate * decay^(epochs that are over).

    Args:
      optimizer: one of the named ones.
      step: int32, how many steps were taken before.
      steps: in an epoch.

    >>> rate_at(SGD(0.5, decay=0.5), jnp.int32(4), 2).item()
    0.125
    """
    rate = jnp.asarray(_rate(optimizer), jnp.float32)
    if optimizer.decay is None:
        return rate
    return rate * jnp.power(jnp.float32(optimizer.decay), (step // steps).astype(jnp.float32))


def _schedule(optimizer: Any, steps: int) -> Rate:
    return _rate(optimizer) if optimizer.decay is None else lambda step: rate_at(optimizer, step, steps)


def _rate(optimizer: Any) -> Any:
    return _ADAM_RATE if optimizer.learning_rate is None else optimizer.learning_rate


def _check(optimizer: Any) -> None:
    if is_number(optimizer.learning_rate) and not optimizer.learning_rate > 0:
        raise JaxrecError(f"learning_rate must be positive, got {optimizer.learning_rate}")
    if is_number(optimizer.decay) and not 0 < optimizer.decay <= 1:
        raise JaxrecError(f"decay must lie in (0, 1], got {optimizer.decay}")
    for name in ("b1", "b2"):
        if not 0 <= getattr(optimizer, name, 0) < 1:
            raise JaxrecError(f"{name} must lie in [0, 1), got {getattr(optimizer, name)}")
    for name in ("eps", "initial"):
        if not 0 <= getattr(optimizer, name, 0) < math.inf:
            raise JaxrecError(f"{name} must be finite and not negative, got {getattr(optimizer, name)}")
