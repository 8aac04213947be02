"""Row-sparse steps: a step reads and writes only the rows of its batch, so it does not grow with the tables.

`_row_rules.py` says how a row moves.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Batch, EmbeddingTables, Encoded
from jaxrec.pytrees import options, static
from jaxrec.training._objective import Info, Objective
from jaxrec.training._optimizers import rate_at
from jaxrec.training._row_rules import Slots, move_rows, occurrences
from jaxrec.training._state import Params, TrainData, TrainState
from jaxrec.training._step import DenseStep

Rows = dict[str, jax.Array]
NEGATIVE = "negative_"


@options
class RowStep:
    """A step on the rows of a batch.

    A row that occurs several times in the batch, also as positive and as negative, gets the sum of its gradients once.
    With SGD and Adagrad it gives what `DenseStep` gives, up to rounding: the penalty too acts on rows of the batch
    only. Adam is the lazy one, see `jaxrec.training.row_adam`.

    Attributes:
      objective: of a model whose vectors are rows of its tables; see `jaxrec.protocols.EmbeddingTables`.
      optimizer: with a `rule()` and a learning rate, such as `Adam(sparse=True)`.
      steps: in an epoch, for a learning rate that decays.

    Raises:
      JaxrecError: a model whose vectors are no rows of tables.

    >>> from jaxrec.losses import BPR
    >>> from jaxrec.models import MF
    >>> from jaxrec.training import Adagrad, Batch, init_state, train_data
    >>> import jaxrec
    >>> model = MF(dim=2, num_users=2, num_items=2)
    >>> step = RowStep(Objective(model, BPR()), Adagrad(0.1, sparse=True))
    >>> state = init_state(model.init(jax.random.key(0))["params"], step, jax.random.key(1))
    >>> batch = Batch(jnp.array([0]), jnp.array([0]), None, jnp.array([[1]]), jnp.array([True]))
    >>> after, info = step(state, batch, train_data(jaxrec.from_arrays([0, 1], [0, 1])))
    >>> bool((after.params["user_embedding"][1] == state.params["user_embedding"][1]).all())
    True
    """

    objective: Objective
    optimizer: Any
    steps: int = static(default=1)

    def __post_init__(self) -> None:
        model = getattr(self.objective, "model", None)
        if isinstance(self.objective, Objective) and not getattr(model, "user_tables", None):
            raise JaxrecError(
                f"row-sparse steps are for models whose vectors are rows of tables, such as MF; {type(model).__name__} "
                "mixes rows, so leave sparse=True out"
            )
        if getattr(model, "draws_in_training", False):
            raise JaxrecError(
                f"{type(model).__name__} draws in every step, which row-sparse steps do not; leave sparse=True out"
            )

    def init(self, params: Params) -> Any:
        """The slots of the rule for each table."""
        return self.optimizer.rule().init(params)

    def __call__(self, state: TrainState, batch: Batch, data: TrainData) -> tuple[TrainState, Info]:
        """(the state after, info with `loss` added). Rows of places that do not count are left alone."""
        params, rule = state.params, self.optimizer.rule()
        model = cast(EmbeddingTables, self.objective.model)
        users, items = model.user_tables, model.item_tables
        batch = self._chosen(params, batch)
        rows = {
            **{name: params[name][batch.user] for name in users},
            **{name: params[name][batch.item] for name in items},
            **{NEGATIVE + name: params[name][batch.negatives] for name in items},
        }
        key, loss_key = jax.random.split(state.key)
        (loss, info), gradient = jax.value_and_grad(_rows_loss, has_aux=True)(
            rows, data, batch, loss_key, self.objective
        )
        rate = rate_at(self.optimizer, state.step, self.steps)
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
        return TrainState(moved, opt_state, key, state.step + 1), {**info, "loss": loss}

    def _chosen(self, params: Params, batch: Batch) -> Batch:
        """The batch with the negatives that its sampler keeps, so that no row of the others is moved."""
        sampler, model = self.objective.negatives, cast(EmbeddingTables, self.objective.model)
        if sampler is None:
            return batch
        user, _ = model.user_vectors({name: params[name][batch.user] for name in model.user_tables})
        drawn, _ = model.item_vectors({name: params[name][batch.negatives] for name in model.item_tables})
        return sampler.chosen(Encoded(user, user, drawn), batch)[1]


def step_for(objective: Objective, optimizer: Any, steps: int = 1) -> RowStep | DenseStep:
    """The step of an optimizer: on all parameters, or on the rows of the batch where it is sparse.

    >>> from jaxrec.losses import BPR
    >>> from jaxrec.models import MF
    >>> from jaxrec.training import SGD
    >>> type(step_for(Objective(MF(num_users=2, num_items=2), BPR()), SGD(0.1, sparse=True))).__name__
    'RowStep'
    """
    return (RowStep if optimizer.sparse else DenseStep)(objective, optimizer, steps)


def _rows_loss(
    rows: Rows, data: TrainData, batch: Batch, key: jax.Array, objective: Objective
) -> tuple[jax.Array, Info]:
    model = cast(EmbeddingTables, objective.model)
    user, own_user = model.user_vectors(rows)
    positive, own_positive = model.item_vectors(rows)
    drawn = {name.removeprefix(NEGATIVE): values for name, values in rows.items() if name.startswith(NEGATIVE)}
    negative, own_negative = model.item_vectors(drawn)
    encoded = Encoded(user, positive, negative, (own_user, own_positive, own_negative))
    return objective.of_rows(encoded, data, batch, key)
