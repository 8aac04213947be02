"""What training reads and writes: the state, the data on the device, and a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._keys import one_key
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import JaxrecError
from jaxrec.graph import adjacency_operator
from jaxrec.pytrees import register
from jaxrec.sparse import SparseOperator

if TYPE_CHECKING:
    import optax

Params = Any


@register
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes in training, in one pytree.

    Attributes:
      params: the parameters of the model.
      opt_state: the state of the Optax transformation, or the slots of a row rule for each table.
      key: the key that the next step splits.
      step: int32 scalar, how many steps were taken.

    >>> import optax
    >>> init_state({"w": jnp.zeros(2)}, optax.sgd(0.1), jax.random.key(0)).step.item()
    0
    """

    params: Params
    opt_state: optax.OptState
    key: jax.Array
    step: jax.Array


class Initializable(Protocol):
    """A thing with a state of its own before the first step: a step of training, or an Optax transformation."""

    @property
    def init(self) -> Callable[[Any], Any]:
        """The function from the parameters to that state."""
        ...


def init_state(params: Params, optimizer: Initializable, key: jax.Array) -> TrainState:
    """The state before the first step.

    Args:
      params: the parameters of the model. They are copied, because the steps donate the state.
      optimizer: any Optax transformation, or a step of training.
      key: consumed; it drives shuffling, negatives and the loss.

    >>> import optax
    >>> init_state({"w": jnp.zeros(2)}, optax.adam(0.1), jax.random.key(0)).params["w"].tolist()
    [0.0, 0.0]
    """
    # The key is copied too: a donated key that the caller still holds would be gone.
    params, key = jax.tree.map(jnp.copy, params), jnp.copy(one_key(key))
    return TrainState(params, optimizer.init(params), key, jnp.zeros((), jnp.int32))


@register
@dataclasses.dataclass(frozen=True)
class TrainData:
    """The interactions that are trained on, on the device. It is an argument of every step, never a constant in it.

    Attributes:
      adjacency: A~ [N, N] of these interactions.
      user: int32 [E].
      item: int32 [E].
      rating: float32 [E] or None.
      seen: the items of each user; negatives are drawn from the others.
      log_probability: float32 [I], log of the share of the interactions that each item has; -inf without any.
      weight: float32 [E], the weight of each interaction in the loss, 1 on average; or None for ones.
      order: int32 [E], the place of each interaction in the data before they were sorted, ascending in the order in
        which the data have them; None where they stand in that order. See `Interactions.order`.

    >>> data = Interactions.from_arrays(["u", "u"], ["a", "b"])
    >>> train_data(data).adjacency.shape
    (3, 3)
    """

    adjacency: SparseOperator
    user: jax.Array
    item: jax.Array
    rating: jax.Array | None
    seen: SeenItems
    log_probability: jax.Array
    weight: jax.Array | None = None
    order: jax.Array | None = None

    @property
    def num_items(self) -> int:
        """I."""
        return self.log_probability.shape[0]


def train_data(interactions: Interactions, weight: np.ndarray | None = None) -> TrainData:
    """Put interactions on the device, with the adjacency and the rows that training needs.

    Args:
      interactions: E of them.
      weight: float32 [E], of each in the loss, or None for ones; see `jaxrec.training.weights_of`. The adjacency and
        the popularity of the items count interactions, whatever they weigh.

    Raises:
      JaxrecError: no interaction at all.
      MismatchError: 2^30 pairs or more.

    >>> train_data(Interactions.from_arrays(["u", "u"], ["a", "b"])).seen.items.tolist()
    [0, 1]
    """
    if len(interactions) == 0:
        raise JaxrecError("there is no interaction to train on; loosen the filters or the split")
    seen = seen_items(interactions)
    counts = np.bincount(interactions.item, minlength=interactions.num_items)
    with np.errstate(divide="ignore"):
        log_probability = np.log(counts / counts.sum()).astype(np.float32)
    return TrainData(
        adjacency=adjacency_operator(seen, interactions.num_items),
        user=jnp.asarray(interactions.user),
        item=jnp.asarray(interactions.item),
        rating=None if interactions.rating is None else jnp.asarray(interactions.rating),
        seen=jax.tree.map(jnp.asarray, seen),
        log_probability=jnp.asarray(log_probability),
        weight=None if weight is None else jnp.asarray(weight),
        order=None if interactions.order is None else jnp.asarray(interactions.order),
    )
