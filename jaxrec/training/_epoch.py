"""One epoch of training as one scan, for one model or for several that differ in their numbers."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrec.protocols import Batch, Negatives
from jaxrec.sampling._functions import shuffled_batches
from jaxrec.training._objective import Info
from jaxrec.training._state import Params, TrainData, TrainState
from jaxrec.training._step import Step

# Parameters of a member. Below, `vmap` saves a third on CPU; above, it costs more than one member after another.
SMALL = 2**16


def train_epoch(
    state: TrainState, step: Step, negatives: Negatives | None, data: TrainData, *, batch_size: int
) -> tuple[TrainState, Info]:
    """Pass once over all interactions in random order. Pure, and not jitted.

    Args:
      state: the state before.
      step: (state, batch, data) -> (state, info); its info must hold `loss` and `count`, the rows that counted.
      negatives: the sampler, drawn anew for each positive; None for none.
      data: the interactions to train on.
      batch_size: B; the last batch is filled up and masked, so no interaction is left out.

    Returns:
      (the state after, info): the means over the epoch's rows of what the step reports; `total`, the loss without its
      penalty summed over the rows; `finite`, whether all losses and all parameters are finite; `skipped`, the rows
      without a possible negative.

    >>> import jaxrec
    >>> from jaxrec.losses import BPR
    >>> from jaxrec.sampling import Uniform
    >>> from jaxrec.training import SGD, DenseStep, Objective, init_state, train_data
    >>> model = jaxrec.MF(dim=2, num_users=2, num_items=2)
    >>> step = DenseStep(Objective(model, BPR()), SGD(0.1))
    >>> state = init_state(model.init(jax.random.key(0))["params"], step, jax.random.key(1))
    >>> data = train_data(jaxrec.from_arrays(["u", "v"], ["a", "b"]))
    >>> state, info = train_epoch(state, step, Uniform(), data, batch_size=1)
    >>> state.step.item(), info["finite"].item()
    (2, True)
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
    held = getattr(step, "held", None)  # of a step on several devices, after which arrays lie where they lay
    state = state if held is None else held(state)
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
    data: TrainData, index: jax.Array, where: jax.Array, key: jax.Array, *, negatives: Negatives | None
) -> tuple[Batch, jax.Array]:
    """Make the batch at the given places of the interactions, with negatives drawn for it.

    Args:
      data: the interactions.
      index: int32 [B], places in 0..E-1.
      where: bool [B], the places that count.
      key: consumed.
      negatives: the sampler, or None.

    Returns:
      (batch, int32 scalar: the rows of users who have every item, which are masked because they have no negative).

    >>> import jaxrec
    >>> from jaxrec.sampling import Uniform
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays(["u", "v"], ["a", "b"]))
    >>> batch, skipped = make_batch(data, jnp.array([1]), jnp.array([True]), jax.random.key(0), negatives=Uniform())
    >>> batch.user.tolist(), batch.negatives.tolist()
    ([1], [[0]])
    """
    user, item = data.user[index], data.item[index]
    rating = None if data.rating is None else data.rating[index]
    weight = None if data.weight is None else data.weight[index]
    batch = Batch(user, item, rating, jnp.zeros((index.shape[0], 0), jnp.int32), where, weight)
    if negatives is None:
        return batch, jnp.zeros((), jnp.int32)
    if hasattr(negatives, "draw"):
        drawn, possible = negatives.draw(data, batch, key)
    else:
        drawn, possible = negatives(data, user, item, key)
    log_q = negatives.log_probability(data, user, drawn) if getattr(negatives, "knows_probability", False) else None
    skipped = jnp.sum(where & ~possible, dtype=jnp.int32)
    return batch._replace(negatives=drawn, where=where & possible, log_q=log_q), skipped


# One function for all trainings: what differs in numbers only is an argument, so it is compiled once for each kind of
# step and each shape. The state is donated.
@functools.partial(jax.jit, static_argnames=("batch_size", "structure"), donate_argnums=0)
def run_epoch(
    state: TrainState, step: Step, negatives: Negatives | None, data: TrainData, *, batch_size: int, structure: int
) -> tuple[TrainState, Info]:
    """`train_epoch`, jitted. The state is donated; `structure` is that of step and sampler, see `structure_of`."""
    return train_epoch(state, step, negatives, data, batch_size=batch_size)


@functools.partial(jax.jit, static_argnames=("batch_size", "structure"), donate_argnums=0)
def run_epoch_of_many(
    states: TrainState, steps: Step, negatives: Negatives | None, data: TrainData, *, batch_size: int, structure: int
) -> tuple[TrainState, Info]:
    """`train_epoch` for S trainings at once, jitted. The states are donated.

    States, steps and samplers have a leading axis [S]; the data are shared. `vmap` maps over the members, so a sparse
    product is computed once for all, with their columns side by side. On CPU, members of more than 2^16 parameters take
    the epoch one after another inside the program: there a wide product costs what narrow ones cost together, and
    laying columns side by side comes on top.
    """

    def member(state: TrainState, step: Step, negatives: Negatives | None, data: TrainData) -> tuple[TrainState, Info]:
        return train_epoch(state, step, negatives, data, batch_size=batch_size)

    def together(*arguments: Any) -> tuple[TrainState, Info]:
        return jax.vmap(member, in_axes=(0, 0, 0, None))(*arguments)

    def one_by_one(states: TrainState, steps: Step, negatives: Any, data: TrainData) -> tuple[TrainState, Info]:
        return jax.lax.map(lambda each: member(each[0], each[1], each[2], data), (states, steps, negatives))

    if parameters_of_a_member(states.params) <= SMALL:
        return together(states, steps, negatives, data)
    return jax.lax.platform_dependent(states, steps, negatives, data, cpu=one_by_one, default=together)


@jax.jit
def member_of(stacked: Any, member: int | jax.Array) -> Any:
    """One member of a stacked pytree, copied. The number is an argument, so all members share one program.

    >>> member_of({"w": jnp.array([[1.0], [5.0]])}, 1)["w"].tolist()
    [5.0]
    """
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, member, keepdims=False), stacked)


def parameters_of_a_member(params: Params) -> int:
    """The number of parameters of one of S stacked members.

    >>> parameters_of_a_member({"w": jnp.zeros((8, 5, 2)), "b": jnp.zeros((8, 2))})
    12
    """
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(params))
