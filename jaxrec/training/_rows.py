"""Row-sparse training of matrix factorisation: a step reads and writes only the rows of its batch.

So a step does not grow with the tables. `row_rules.py` says how a row moves.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.training._epoch import Info, scan_batches
from jaxrec.training._objective import Objective
from jaxrec.training._row_rules import RowRule, Slots, move_rows, occurrences
from jaxrec.training._state import Batch, TrainData, TrainState

Rows = dict[str, jax.Array]
NEGATIVE = "negative_"


def row_step(
    state: TrainState,
    batch: Batch,
    data: TrainData,
    *,
    objective: Objective,
    rule: RowRule,
    learning_rate: float | jax.Array,
    decay: float,
    steps: int,
) -> tuple[TrainState, Info]:
    """One step of matrix factorisation on the rows of a batch. Pure, and not jitted.

    A row that occurs several times in the batch, also as positive and as negative, gets the sum of its gradients once.
    With SGD and Adagrad it gives what `train_step` gives with `optax.sgd` and `optax.adagrad`, up to rounding: L2 too
    acts on rows of the batch only. Adam is the lazy one of `row_adam`.

    Args:
      state: the state before; its `opt_state` is what `rule.init` gives.
      batch: the positives and their negatives. Rows of places that do not count are left alone.
      data: the interactions.
      objective: of a model whose vectors are rows of its tables, which says so by `user_vectors` and `item_vectors`;
        the tables' names begin with "user" and "item".
      rule: how a row moves.
      learning_rate: in the first epoch.
      decay: what it is multiplied by after every epoch.
      steps: steps in an epoch.

    Returns:
      (the state after, info with `loss` added).

    Raises:
      JaxrecError: a model without `user_vectors`.

    >>> from jaxrec.data._interactions import Interactions
    >>> from jaxrec.models._mf import MF
    >>> from jaxrec.training._row_rules import row_adagrad
    >>> from jaxrec.training._state import init_state, train_data
    >>> model, rule = MF(dim=2, num_users=2, num_items=2), row_adagrad()
    >>> data = train_data(Interactions.from_arrays([0, 1], [0, 1]))
    >>> state = init_state(model.init(jax.random.key(0))["params"], rule, jax.random.key(1))
    >>> batch = Batch(jnp.array([0]), jnp.array([0]), None, jnp.array([[1]]), jnp.array([True]))
    >>> options = {"learning_rate": 0.1, "decay": 1.0, "steps": 2}
    >>> after, info = row_step(state, batch, data, objective=Objective(model), rule=rule, **options)
    >>> bool((after.params["user_embedding"][1] == state.params["user_embedding"][1]).all())
    True
    """
    check_rows(objective)
    params = state.params
    users = [name for name in params if name.startswith("user")]
    items = [name for name in params if name.startswith("item")]
    rows = {
        **{name: params[name][batch.user] for name in users},
        **{name: params[name][batch.item] for name in items},
        **{NEGATIVE + name: params[name][batch.negatives] for name in items},
    }
    (loss, info), gradient = jax.value_and_grad(_rows_loss, has_aux=True)(rows, data, batch, objective)
    rate = learning_rate * jnp.power(jnp.float32(decay), (state.step // steps).astype(jnp.float32))
    num_negatives = batch.negatives.shape[1]
    joined = dict(gradient)
    for name in items:
        negative = gradient[NEGATIVE + name]
        joined[name] = jnp.concatenate([gradient[name], negative.reshape(-1, *negative.shape[2:])])
    sides = (
        (users, batch.user, batch.where),
        (
            items,
            jnp.concatenate([batch.item, batch.negatives.ravel()]),
            jnp.concatenate([batch.where, jnp.repeat(batch.where, num_negatives)]),
        ),
    )
    slots: dict[str, Slots] = cast(Any, state.opt_state)
    moved: Rows = {}
    opt_state: dict[str, Slots] = {}
    count = (state.step + 1).astype(jnp.float32)
    for names, index, where in sides:
        # A rule without memory is linear in the gradient: no occurrences have to be brought together.
        same = occurrences(index, where, params[names[0]].shape[0]) if rule.slots else None
        for name in names:
            if same is None:
                direction, opt_state[name] = rule.direction(joined[name], (), count)
                moved[name] = params[name].at[index].add(-rate * direction)
            else:
                moved[name], opt_state[name] = move_rows(
                    params[name], slots[name], joined[name], same, rule, rate, count
                )
    key, _ = jax.random.split(state.key)  # as `train_step` does, so that both draw the same batches
    return TrainState(moved, opt_state, key, state.step + 1), {**info, "loss": loss}


def _rows_loss(rows: Rows, data: TrainData, batch: Batch, objective: Objective) -> tuple[jax.Array, Info]:
    model = objective.model
    user, ego_user = model.user_vectors(rows)
    positive, ego_positive = model.item_vectors(rows)
    drawn = {name.removeprefix(NEGATIVE): values for name, values in rows.items() if name.startswith(NEGATIVE)}
    negative, ego_negative = model.item_vectors(drawn)
    return objective.of_rows(data, batch, (user, positive, negative), (ego_user, ego_positive, ego_negative))


@functools.cache
def make_row_epoch(
    objective: Objective,
    rule: RowRule,
    learning_rate: float,
    decay: float,
    batch_size: int,
    negatives: int,
    steps: int,
) -> Any:
    """An epoch of row-sparse steps, jitted: epoch(state, data), as `make_epoch` gives. The state is donated.

    Raises:
      JaxrecError: a model without `user_vectors`.

    >>> from jaxrec.models._mf import MF
    >>> from jaxrec.training._row_rules import row_sgd
    >>> epoch = make_row_epoch(Objective(MF(num_users=2, num_items=2)), row_sgd(), 0.1, 1.0, 2, 1, 1)
    """
    check_rows(objective)
    step = functools.partial(
        row_step, objective=objective, rule=rule, learning_rate=learning_rate, decay=decay, steps=steps
    )
    return jax.jit(
        functools.partial(scan_batches, step=step, batch_size=batch_size, negatives=negatives), donate_argnums=0
    )


def check_rows(objective: Objective) -> None:
    """Refuse a model whose vectors are not rows of its tables.

    >>> from jaxrec.models._mf import MF
    >>> check_rows(Objective(MF(num_users=2, num_items=2)))
    """
    if not hasattr(objective.model, "user_vectors"):
        raise JaxrecError(
            f"row-sparse training is for MF, whose vectors are rows of its tables; {type(objective.model).__name__} "
            "mixes rows, so leave `sparse` out"
        )
