"""Several trainings in one program: states that are stacked and mapped over, each stopped by its own validation."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrec.errors import JaxrecError
from jaxrec.training._epoch import Info, scan_batches, train_epoch
from jaxrec.training._loop import EpochRecord, LoopResult, Watch, not_finite
from jaxrec.training._objective import Objective
from jaxrec.training._row_rules import RowRule
from jaxrec.training._rows import check_rows, row_step
from jaxrec.training._state import Params, TrainData, TrainState

# Parameters of a member. Below, `vmap` saves a third on CPU; above, it costs more than one member after another.
SMALL = 2**16

MemberCallback = Callable[[int, EpochRecord], None]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Settings:
    """The numbers in which S trainings differ. None where they share the one that the program was made with.

    Attributes:
      learning_rate: float32 [S]; it multiplies the updates, so the optimiser must have been made with a rate of 1.
      l2: float32 [S], the coefficient of the L2 term.
      temperature: float32 [S], of the softmax.

    >>> jax.tree.leaves(Settings(l2=jnp.array([0.0, 0.5])))[0].shape
    (2,)
    """

    learning_rate: jax.Array | None = None
    l2: jax.Array | None = None
    temperature: jax.Array | None = None

    def of(self, objective: Objective) -> Objective:
        """The objective with the coefficients of one training; to be called inside the mapped program."""
        given = {"l2": self.l2, "temperature": self.temperature}
        return dataclasses.replace(objective, **{name: value for name, value in given.items() if value is not None})


def stack(members: Sequence[Any]) -> Any:
    """One pytree with a leading axis [S] from S pytrees of one structure.

    >>> stack([{"w": jnp.zeros(3)}, {"w": jnp.ones(3)}])["w"].shape
    (2, 3)
    """
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


@jax.jit
def member_of(stacked: Any, member: int | jax.Array) -> Any:
    """One member of a stacked pytree, copied. The number is an argument, so all members share one program.

    >>> member_of({"w": jnp.array([[1.0], [5.0]])}, 1)["w"].tolist()
    [5.0]
    """
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, member, keepdims=False), stacked)


@functools.cache
def make_many_epoch(
    objective: Objective, optimizer: optax.GradientTransformation, batch_size: int, negatives: int
) -> Any:
    """`train_epoch` for S trainings at once, jitted: epoch(states, settings, data). The states are donated.

    The states and settings have a leading axis [S]; the data are shared. `vmap` maps over the members, so a sparse
    product is computed once for all, with their columns side by side. On CPU, members of more than 2^16 parameters take
    the epoch one after another inside the program: there a wide product costs what narrow ones cost together, and
    laying columns side by side comes on top.

    Args:
      objective: its `l2` and `temperature` give way to those of the settings.
      optimizer: any Optax transformation; with a rate of 1 where the settings have learning rates.
      batch_size: B.
      negatives: M, drawn anew for each positive; 0 for none.

    Returns:
      A function that gives (states, info), every entry of the info [S]; see `train_epoch`.

    >>> from jaxrec.models._mf import MF
    >>> epoch = make_many_epoch(Objective(MF(num_users=2, num_items=2)), optax.sgd(0.5), 2, 1)
    """

    def train_member(state: TrainState, settings: Settings, data: TrainData) -> tuple[TrainState, Info]:
        return train_epoch(
            state,
            data,
            loss_fn=settings.of(objective),
            optimizer=_scaled(optimizer, settings.learning_rate),
            batch_size=batch_size,
            negatives=negatives,
        )

    return _mapped(train_member)


@functools.cache
def make_many_row_epoch(
    objective: Objective,
    rule: RowRule,
    learning_rate: float,
    decay: float,
    batch_size: int,
    negatives: int,
    steps: int,
) -> Any:
    """An epoch of row-sparse steps for S trainings at once, jitted; see `make_row_epoch` and `make_many_epoch`.

    Args:
      objective: its `l2` and `temperature` give way to those of the settings.
      rule: how a row moves.
      learning_rate: in the first epoch, unless the settings have learning rates.
      decay: what it is multiplied by after every epoch.
      batch_size: B.
      negatives: M.
      steps: steps in an epoch.

    Raises:
      JaxrecError: a model without `user_vectors`.

    >>> from jaxrec.models._mf import MF
    >>> from jaxrec.training._row_rules import row_sgd
    >>> epoch = make_many_row_epoch(Objective(MF(num_users=2, num_items=2)), row_sgd(), 0.1, 1.0, 2, 1, 1)
    """
    check_rows(objective)

    def train_member(state: TrainState, settings: Settings, data: TrainData) -> tuple[TrainState, Info]:
        rate = learning_rate if settings.learning_rate is None else settings.learning_rate
        own = settings.of(objective)
        step = functools.partial(row_step, objective=own, rule=rule, learning_rate=rate, decay=decay, steps=steps)
        return scan_batches(state, data, step=step, batch_size=batch_size, negatives=negatives)

    return _mapped(train_member)


def _mapped(train_member: Callable[..., Any]) -> Any:
    def together(states: TrainState, settings: Settings, data: TrainData) -> tuple[TrainState, Info]:
        return jax.vmap(train_member, in_axes=(0, 0, None))(states, settings, data)

    def one_by_one(states: TrainState, settings: Settings, data: TrainData) -> tuple[TrainState, Info]:
        return jax.lax.map(lambda member: train_member(*member, data), (states, settings))

    def train_many_epoch(states: TrainState, settings: Settings, data: TrainData) -> tuple[TrainState, Info]:
        if parameters_of_a_member(states.params) <= SMALL:
            return together(states, settings, data)
        return jax.lax.platform_dependent(states, settings, data, cpu=one_by_one, default=together)

    return jax.jit(train_many_epoch, donate_argnums=0)


def parameters_of_a_member(params: Params) -> int:
    """How many numbers one of S stacked members has.

    >>> parameters_of_a_member({"w": jnp.zeros((8, 5, 2)), "b": jnp.zeros((8, 2))})
    12
    """
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(params))


def _scaled(optimizer: optax.GradientTransformation, rate: jax.Array | None) -> optax.GradientTransformation:
    """The optimiser with its updates multiplied by a rate; its state stays as it is."""
    if rate is None:
        return optimizer

    def update(updates: Any, state: optax.OptState, params: Any = None) -> tuple[Any, optax.OptState]:
        updates, state = optimizer.update(updates, state, params)
        return jax.tree.map(lambda leaf: rate * leaf, updates), state

    return optax.GradientTransformation(optimizer.init, update)


def train_many(
    states: TrainState,
    settings: Settings,
    data: Any,
    epoch: Any,
    *,
    epochs: Sequence[int],
    validate: Callable[[int, Params], Mapping[str, float]] | None = None,
    every: int = 5,
    monitor: str = "ndcg@10",
    patience: int | None = None,
    tolerance: float = 0.0,
    callbacks: tuple[MemberCallback, ...] = (),
) -> list[LoopResult]:
    """Run S trainings side by side, and keep of each its best state; `train` for each, in one program.

    The program goes on until all have stopped. What a member does after it has stopped is computed and not looked at.

    Args:
      states: the states before, each leaf [S, ...]; they are donated.
      settings: in what they differ.
      data: passed to every epoch.
      epoch: (states, settings, data) -> (states, info), as `make_many_epoch` gives.
      epochs: S numbers, how many each member does at the most.
      validate: (the number of a member, its params) -> metrics, or None; see `train`.
      every: epochs between two validations.
      monitor: the metric to maximise; "rmse" and "mae" are minimised.
      patience: stop a member after this many validations without a new best; None runs all its epochs.
      tolerance: stop a member when its loss summed over an epoch changes by less than this; 0 never stops so.
      callbacks: each is called with the number of a member and the record of every epoch of it.

    Returns:
      S results. The seconds in them are those of all members together.

    Raises:
      JaxrecError: no member; epochs, every or patience below 1; a metric that `validate` does not give.
      NonFiniteLossError: a loss or parameter of a member that has not stopped became infinite or NaN; its `state` is
        the one of this member before that epoch.

    >>> def step(states, settings, data):
    ...     return states + 1, {"loss": 1.0 / (states + 1), "finite": states > -1, "skipped": 0 * states}
    >>> results = train_many(jnp.zeros(2), Settings(), None, jax.jit(step), epochs=[3, 5])
    >>> [result.state.item() for result in results]
    [3.0, 5.0]
    """
    if not epochs:
        raise JaxrecError("epochs is empty; pass one number for each member")
    watches = [Watch(number, every=every, monitor=monitor, patience=patience, tolerance=tolerance) for number in epochs]
    started = time.perf_counter()
    compiled = epoch.lower(states, settings, data).compile()
    compile_seconds = time.perf_counter() - started
    while not all(watch.stopped for watch in watches):
        good = jax.tree.map(jnp.copy, states)  # the epoch donates the states, so they are kept by copy
        started = time.perf_counter()
        states, infos = compiled(states, settings, data)
        infos = jax.device_get(infos)
        seconds = time.perf_counter() - started
        for member, watch in enumerate(watches):
            if watch.stopped:
                continue
            info = {name: values[member].item() for name, values in infos.items()}
            state = functools.partial(member_of, states, member)
            if not info.pop("finite"):
                raise not_finite(watch.number, info["loss"], member_of(good, member), f" of member {member}")
            record = EpochRecord(watch.number, seconds, info)
            if validate is not None and watch.validates:
                record = watch.validated(record, functools.partial(validate, member, state().params))
            watch.take(record, state)
            for callback in callbacks:
                callback(member, record)
    return [watch.result(compile_seconds) for watch in watches]
