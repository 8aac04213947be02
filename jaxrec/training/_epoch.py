"""One step and one epoch of training, each a single jitted program with a donated state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrec.errors import JaxrecError
from jaxrec.sampling import shuffled_batches, uniform_negatives
from jaxrec.training._state import Batch, Params, TrainData, TrainState

Info = dict[str, jax.Array]
LossFunction = Callable[[Params, Any, Any, jax.Array], tuple[jax.Array, Info]]
StepFunction = Callable[[TrainState, Batch, TrainData], tuple[TrainState, Info]]


def train_step(
    state: TrainState, batch: Any, data: Any, *, loss_fn: LossFunction, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Info]:
    """One step: the gradient of the loss on a batch, and the optimiser's update. Pure, and not jitted.

    Args:
      state: the state before.
      batch: what the loss function takes as a batch.
      data: what the loss function takes as data (the adjacency); an argument, so that it is no constant.
      loss_fn: (params, data, batch, key) -> (loss, info of scalars).
      optimizer: any Optax transformation.

    Returns:
      (the state after, info with `loss` added).

    >>> from jaxrec.training._state import init_state
    >>> loss = lambda params, data, batch, key: (jnp.sum((params - batch) ** 2), {})
    >>> state = init_state(jnp.zeros(()), optax.sgd(0.5), jax.random.key(0))
    >>> state, info = train_step(state, jnp.ones(()), None, loss_fn=loss, optimizer=optax.sgd(0.5))
    >>> state.params.item(), info["loss"].item()
    (1.0, 1.0)
    """
    key, loss_key = jax.random.split(state.key)
    (loss, info), gradient = jax.value_and_grad(loss_fn, has_aux=True)(state.params, data, batch, loss_key)
    # Optax mixes an integer count with floats, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
    return TrainState(params, opt_state, key, state.step + 1), {**info, "loss": loss}


def train_epoch(
    state: TrainState,
    data: TrainData,
    *,
    loss_fn: LossFunction,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    negatives: int,
) -> tuple[TrainState, Info]:
    """One pass over all interactions in random order, as one scan. Pure, and not jitted.

    Args:
      state: the state before.
      data: the interactions to train on.
      loss_fn: see `train_step`; its info must hold `count`, the rows that counted.
      optimizer: any Optax transformation.
      batch_size: B; the last batch is filled up and masked, so no interaction is left out.
      negatives: M, drawn anew for each positive; 0 for none.

    Returns:
      (the state after, info): the means over the epoch's rows of what the loss function reports; `total`, the loss
      without its penalty summed over the rows; `finite`, whether all losses and all parameters are finite; `skipped`,
      the rows without a possible negative.

    >>> from jaxrec.data._interactions import Interactions
    >>> from jaxrec.models._mf import MF
    >>> from jaxrec.training._objective import Objective
    >>> from jaxrec.training._state import init_state, train_data
    >>> model = MF(dim=2, num_users=2, num_items=2)
    >>> data = train_data(Interactions.from_arrays(["u", "v"], ["a", "b"]))
    >>> state = init_state(model.init(jax.random.key(0))["params"], optax.sgd(0.1), jax.random.key(1))
    >>> state, info = train_epoch(
    ...     state, data, loss_fn=Objective(model), optimizer=optax.sgd(0.1), batch_size=1, negatives=1
    ... )
    >>> state.step.item(), info["finite"].item()
    (2, True)
    """
    step = functools.partial(train_step, loss_fn=loss_fn, optimizer=optimizer)
    return scan_batches(state, data, step=step, batch_size=batch_size, negatives=negatives)


def scan_batches(
    state: TrainState, data: TrainData, *, step: StepFunction, batch_size: int, negatives: int
) -> tuple[TrainState, Info]:
    """Draw the batches of an epoch and take a step on each, as one scan. Pure, and not jitted.

    Args:
      state: the state before.
      data: the interactions to train on.
      step: (state, batch, data) -> (state, info), see `train_step`.
      batch_size: B; see `train_epoch`.
      negatives: M; see `train_epoch`.

    Returns:
      As `train_epoch`.

    >>> from jaxrec.data._interactions import Interactions
    >>> from jaxrec.training._state import train_data
    >>> data = train_data(Interactions.from_arrays(["u", "v"], ["a", "b"]))
    >>> state = TrainState((), (), jax.random.key(0), jnp.zeros((), jnp.int32))
    >>> step = lambda state, batch, data: (state, {"loss": jnp.float32(0.5), "count": jnp.sum(batch.where) * 1.0})
    >>> scan_batches(state, data, step=step, batch_size=1, negatives=0)[1]["loss"].item()
    0.5
    """
    key, order_key, negative_key = jax.random.split(state.key, 3)
    index, where = shuffled_batches(data.user.shape[0], batch_size, order_key)
    negative_keys = jax.random.split(negative_key, index.shape[0])

    def body(state: TrainState, draw: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[TrainState, Info]:
        batch, skipped = make_batch(data, *draw, negatives=negatives)
        state, info = step(state, batch, data)
        return state, {**info, "skipped": skipped}

    state = TrainState(state.params, state.opt_state, key, state.step)
    state, infos = jax.lax.scan(body, state, (index, where, negative_keys))
    counts = infos.pop("count")
    skipped = jnp.sum(infos.pop("skipped"))
    share = counts / jnp.maximum(jnp.sum(counts), 1)
    finite = jnp.all(jnp.isfinite(infos["loss"]))
    for leaf in jax.tree.leaves(state.params):
        finite = finite & jnp.all(jnp.isfinite(leaf))
    means = {name: jnp.sum(values * share) for name, values in infos.items()}
    total = jnp.sum(infos.get("ranking", infos["loss"]) * counts)
    return state, {**means, "total": total, "finite": finite, "skipped": skipped}


def make_batch(
    data: TrainData, index: jax.Array, where: jax.Array, key: jax.Array, *, negatives: int
) -> tuple[Batch, jax.Array]:
    """The batch at the given places of the interactions, with negatives drawn for it.

    Args:
      data: the interactions.
      index: int32 [B], places in 0..E-1.
      where: bool [B], the places that count.
      key: consumed.
      negatives: M; 0 for none.

    Returns:
      (batch, int32 scalar: the rows of users who have every item, which are masked because they have no negative).

    >>> from jaxrec.data._interactions import Interactions
    >>> from jaxrec.training._state import train_data
    >>> data = train_data(Interactions.from_arrays(["u", "v"], ["a", "b"]))
    >>> batch, skipped = make_batch(data, jnp.array([1]), jnp.array([True]), jax.random.key(0), negatives=1)
    >>> batch.user.tolist(), batch.negatives.tolist()
    ([1], [[0]])
    """
    user, item = data.user[index], data.item[index]
    drawn, possible = jnp.zeros((index.shape[0], 0), jnp.int32), jnp.ones_like(where)
    if negatives:
        drawn, possible = uniform_negatives(data.seen, user, negatives, data.num_items, key)
    rating = None if data.rating is None else data.rating[index]
    skipped = jnp.sum(where & ~possible, dtype=jnp.int32)
    return Batch(user, item, rating, drawn, where & possible), skipped


@functools.cache
def make_step(
    loss_fn: LossFunction, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Any, Any], tuple[TrainState, Info]]:
    """`train_step` for one loss and one optimiser, jitted: step(state, batch, data). The state is donated.

    The same arguments give the same function, so nothing is compiled twice.

    >>> loss = lambda params, data, batch, key: (jnp.sum((params - batch) ** 2), {})
    >>> step = make_step(loss, optax.sgd(0.5))
    """
    return jax.jit(functools.partial(train_step, loss_fn=loss_fn, optimizer=optimizer), donate_argnums=0)


@functools.cache
def make_epoch(loss_fn: LossFunction, optimizer: optax.GradientTransformation, batch_size: int, negatives: int) -> Any:
    """`train_epoch` for one setting, jitted: epoch(state, data). The state is donated.

    The same arguments give the same function, so nothing is compiled twice.

    Raises:
      JaxrecError: a batch size below 1 or negative negatives.

    >>> from jaxrec.models._mf import MF
    >>> from jaxrec.training._objective import Objective
    >>> epoch = make_epoch(Objective(MF(num_users=2, num_items=2)), optax.sgd(0.5), 2, 1)
    """
    if batch_size < 1:
        raise JaxrecError(f"batch_size must be at least 1, got {batch_size}")
    if negatives < 0:
        raise JaxrecError(f"negatives must not be negative, got {negatives}")
    return jax.jit(
        functools.partial(
            train_epoch, loss_fn=loss_fn, optimizer=optimizer, batch_size=batch_size, negatives=negatives
        ),
        donate_argnums=0,
    )
