"""One step of training: the gradient of a loss on a batch, and the update of all parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import jax

from jaxrec.protocols import Batch
from jaxrec.pytrees import options, static
from jaxrec.training._objective import Info, Objective
from jaxrec.training._state import Params, TrainData, TrainState

if TYPE_CHECKING:
    import optax

LossFunction = Callable[[Params, Any, Any, jax.Array], tuple[jax.Array, Info]]


class Step(Protocol):
    """A step of training: a pytree, so that its numbers are arguments of the program.

    >>> from jaxrec.losses import BPR
    >>> from jaxrec.models import MF
    >>> from jaxrec.training import SGD
    >>> step: Step = DenseStep(Objective(MF(dim=2, num_users=2, num_items=2), BPR()), SGD(0.1))
    >>> [float(number) for number in jax.tree.leaves(step)]
    [0.1]
    """

    def init(self, params: Params) -> Any:
        """The state of the optimizer before the first step."""
        ...

    def __call__(self, state: TrainState, batch: Batch, data: TrainData) -> tuple[TrainState, Info]:
        """(the state after, info with `loss` added)."""
        ...


@options
class DenseStep:
    """A step that updates all parameters, by any Optax transformation.

    Attributes:
      objective: see `Objective`.
      optimizer: see `jaxrec.training.as_optimizer`.
      steps: in an epoch, for a learning rate that decays.

    >>> import jax.numpy as jnp
    >>> from jaxrec.losses import BPR
    >>> from jaxrec.models import MF
    >>> from jaxrec.training import SGD
    >>> model = MF(dim=2, num_users=2, num_items=2)
    >>> step = DenseStep(Objective(model, BPR()), SGD(0.1))
    >>> step.init(model.init(jax.random.key(0))["params"]) is not None
    True
    """

    objective: Objective
    optimizer: Any
    steps: int = static(default=1)

    def init(self, params: Params) -> Any:
        """The state of the Optax transformation."""
        return self.optimizer.transformation(self.steps).init(params)

    def __call__(self, state: TrainState, batch: Batch, data: TrainData) -> tuple[TrainState, Info]:
        """See `train_step`."""
        return train_step(
            state, batch, data, loss_fn=self.objective, optimizer=self.optimizer.transformation(self.steps)
        )


def train_step(
    state: TrainState, batch: Any, data: Any, *, loss_fn: LossFunction, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Info]:
    """Take one step: the gradient of the loss on a batch, and the optimizer's update. Pure, and not jitted.

    Args:
      state: the state before.
      batch: what the loss function takes as a batch.
      data: what the loss function takes as data (the adjacency); an argument, so that it is no constant.
      loss_fn: (params, data, batch, key) -> (loss, info of scalars).
      optimizer: any Optax transformation.

    Returns:
      (the state after, info with `loss` added).

    >>> import jax.numpy as jnp, optax
    >>> from jaxrec.training import init_state
    >>> loss = lambda params, data, batch, key: (jnp.sum((params - batch) ** 2), {})
    >>> state = init_state(jnp.zeros(()), optax.sgd(0.5), jax.random.key(0))
    >>> state, info = train_step(state, jnp.ones(()), None, loss_fn=loss, optimizer=optax.sgd(0.5))
    >>> state.params.item(), info["loss"].item()
    (1.0, 1.0)
    """
    import optax

    key, loss_key = jax.random.split(state.key)
    (loss, info), gradient = jax.value_and_grad(loss_fn, has_aux=True)(state.params, data, batch, loss_key)
    # Optax mixes an integer count with floats, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
    return TrainState(params, opt_state, key, state.step + 1), {**info, "loss": loss}


@functools.cache
def make_step(
    loss_fn: LossFunction, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Any, Any], tuple[TrainState, Info]]:
    """`train_step` for one loss and one optimizer, jitted: step(state, batch, data). The state is donated.

    The same arguments give the same function, so nothing is compiled twice.

    >>> import jax.numpy as jnp, optax
    >>> loss = lambda params, data, batch, key: (jnp.sum((params - batch) ** 2), {})
    >>> step = make_step(loss, optax.sgd(0.5))
    """
    return jax.jit(functools.partial(train_step, loss_fn=loss_fn, optimizer=optimizer), donate_argnums=0)
