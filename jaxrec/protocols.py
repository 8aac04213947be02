"""What may come from outside: models, losses, regularizers, samplers, metrics and the like, each as a protocol.

Every protocol but the scorer's is also a base class that brings the defaults along, so `class Mine(Loss)` writes down
only what differs. A class need not derive from it: having the same attributes is enough. What has options is a frozen
dataclass; `jaxrec.pytrees.options` makes it a pytree, with numbers as leaves, so that other numbers compile nothing.

The letters of shapes are those of `jaxrec.types`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import jax

from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.data import SeenItems
    from jaxrec.training import EpochRecord, TrainData

__all__ = [
    "Batch",
    "Callback",
    "EmbeddingTables",
    "Encoded",
    "EpochEvent",
    "HistoryScorer",
    "Loss",
    "Model",
    "Negatives",
    "Optimizer",
    "Regularizer",
    "Scorer",
    "Solution",
    "Solved",
    "StageInfo",
    "Task",
    "Trained",
]

Task = Literal["ranking", "rating"]
"""What a fit is for: lists of items, or predicted ratings."""


class Batch(NamedTuple):
    """B positives with their negatives.

    Attributes:
      user: int32 [B].
      item: int32 [B], items that the users have.
      rating: float32 [B] or None.
      negatives: int32 [B, M], items that the users do not have; M may be 0.
      where: bool [B], the rows that count.

    >>> import jax.numpy as jnp
    >>> Batch(jnp.array([0]), jnp.array([1]), None, jnp.zeros((1, 0), jnp.int32), jnp.array([True])).rating is None
    True
    """

    user: jax.Array
    item: jax.Array
    rating: jax.Array | None
    negatives: jax.Array
    where: jax.Array


class Encoded(NamedTuple):
    """What a model makes of a batch: vectors whose inner products are the scores, and what a regularizer acts on.

    Attributes:
      user: [B, w].
      positive: [B, w], the vectors of the items.
      negative: [B, M, w]; M may be 0.
      embeddings: rows [B, ...] or [B, M, ...] of the parameters of the same users, items and negatives.
      penalty: [B], what the model itself adds to the loss of each row, or None.

    >>> import jax.numpy as jnp
    >>> Encoded(jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones((2, 0, 3))).penalty is None
    True
    """

    user: jax.Array
    positive: jax.Array
    negative: jax.Array
    embeddings: tuple[jax.Array, ...] = ()
    penalty: jax.Array | None = None


class Loss(Protocol):
    """What is minimised over a batch. An object of a frozen class that carries its options.

    >>> import jax.numpy as jnp
    >>> from jaxrec import losses
    >>> from jaxrec.pytrees import options
    >>> @options
    ... class Hinge(Loss):
    ...     margin: float = 1.0
    ...
    ...     def __call__(self, rows, batch, data, key):
    ...         gap = jnp.sum(rows.user[:, None] * (rows.positive[:, None] - rows.negative), axis=2)
    ...         return losses.masked_mean(jnp.maximum(self.margin - gap, 0).mean(axis=1), where=batch.where)
    >>> jax.tree.leaves(Hinge(margin=0.5))
    [0.5]
    """

    task: ClassVar[Task] = "ranking"
    """What a model that is trained with it predicts. "rating" needs ratings."""

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The mean over the rows that count.

        Args:
          rows: what the model makes of the batch.
          batch: B positives, `where` says which of them count.
          data: all interactions that are trained on.
          key: consumed; for losses that draw.

        Returns:
          A scalar; 0, with a gradient of 0, where no row counts.
        """
        ...

    def default_negatives(self) -> Negatives | None:
        """The sampler for a fit that names none; None where the loss needs no drawn negatives."""
        from jaxrec.sampling import Uniform

        return Uniform(1)

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse what does not go with the loss, with a `JaxrecError`."""

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks for a model trained with this loss: by default the model's own."""
        return scorer


class Regularizer(Protocol):
    """A penalty on the embeddings of a batch, its coefficient included.

    >>> import jax.numpy as jnp
    >>> from jaxrec.pytrees import options
    >>> @options
    ... class Largest(Regularizer):
    ...     weight: float = 0.1
    ...
    ...     def __call__(self, embeddings, where):
    ...         return self.weight * sum(jnp.max(jnp.abs(rows)) for rows in embeddings)
    >>> print(f"{Largest()((jnp.array([[3.0, -4.0]]),), jnp.array([True])):.1f}")
    0.4
    """

    def __call__(self, embeddings: tuple[jax.Array, ...], where: jax.Array) -> jax.Array:
        """The penalty, a scalar.

        Args:
          embeddings: `Encoded.embeddings`, rows [B, ...] or [B, M, ...].
          where: bool [B], the rows that count.
        """
        ...


class Negatives(Protocol):
    """A sampler of items that users do not have.

    >>> import jax.numpy as jnp
    >>> from jaxrec.pytrees import options, static
    >>> @options
    ... class First(Negatives):
    ...     num: int = static(default=1)
    ...
    ...     def __call__(self, data, user, item, key):
    ...         return jnp.zeros((user.shape[0], self.num), jnp.int32), jnp.ones(user.shape[0], bool)
    >>> First(2)(None, jnp.array([0, 1, 2]), None, None)[0].shape
    (3, 2)
    """

    @property
    def num(self) -> int:
        """M, how many are drawn for each positive; static."""
        ...

    def __call__(
        self, data: TrainData, user: jax.Array, item: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draw negatives for a batch.

        Args:
          data: all interactions that are trained on.
          user: int32 [B].
          item: int32 [B], the positives.
          key: consumed.

        Returns:
          (int32 [B, M], bool [B]: whether the user has a possible negative; other rows do not count).
        """
        ...


class Optimizer(Protocol):
    """How parameters move. Any Optax transformation is taken too, and is compiled once each.

    With `sparse`, steps read and write the rows of a batch only; `rule()`, a `jaxrec.training.RowRule`, and
    `learning_rate` then say how a row moves.

    >>> import optax
    >>> from jaxrec.pytrees import options
    >>> @options
    ... class Lion(Optimizer):
    ...     learning_rate: float = 1e-3
    ...
    ...     def transformation(self, steps):
    ...         return optax.lion(self.learning_rate)
    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> jaxrec.fit(jaxrec.MF(dim=2), data, optimizer=Lion(0.1), epochs=1, key=jax.random.key(0)).info["best_epoch"]
    1
    """

    sparse: ClassVar[bool] = False
    """Whether steps touch the rows of a batch only."""

    def transformation(self, steps: int) -> Any:
        """The Optax transformation, for epochs of so many steps."""
        ...


class Model(Protocol):
    """Whatever ends in a scorer. `jaxrec.fit` sets the sizes, and trains or solves.

    A Flax module is cloned with its sizes, another frozen dataclass is replaced.
    """

    num_users: int | None
    num_items: int | None


@runtime_checkable
class Trained(Protocol):
    """A Flax module that is trained by gradients. `jaxrec.models.EmbeddingModel` brings all but `__call__`.

    >>> import flax.linen as nn
    >>> import jaxrec
    >>> from jaxrec.models import EmbeddingModel
    >>> class Tables(EmbeddingModel):
    ...     dim: int = 8
    ...     num_users: int | None = None
    ...     num_items: int | None = None
    ...
    ...     @nn.compact
    ...     def __call__(self, adjacency):
    ...         draw = nn.initializers.normal(0.1)
    ...         sizes = {"users": self.num_users, "items": self.num_items}
    ...         return tuple(self.param(side, draw, (size, self.dim)) for side, size in sizes.items())
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> jaxrec.fit(Tables(), data, epochs=1, key=jax.random.key(0)).scorer.num_items
    3
    """

    def lazy_init(self, *args: Any, **kwargs: Any) -> Any:
        """Flax: the initial variables, from shapes."""
        ...

    def apply(self, variables: Any, *args: Any, method: Any = None) -> Any:
        """Flax: call a method below with the variables."""
        ...

    def encode(self, adjacency: Any, user: jax.Array, item: jax.Array, negatives: jax.Array) -> Encoded:
        """The rows of a batch.

        Args:
          adjacency: A~ [N, N], a `SparseOperator`.
          user: int32 [B].
          item: int32 [B].
          negatives: int32 [B, M].
        """
        ...

    def scorer(self, adjacency: Any) -> Scorer:
        """What ranking and prediction need."""
        ...


class EmbeddingTables(Protocol):
    """A trained model whose vectors are rows of tables: the capability that row-sparse steps need.

    `jaxrec.models.MF` has it. A model that lacks it is trained by dense steps.
    """

    @property
    def user_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each user."""
        ...

    @property
    def item_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each item."""
        ...

    def user_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """From rows of the user tables: (vectors [..., w], what a regularizer acts on [..., d])."""
        ...

    def item_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """The same of item tables."""
        ...


class Solution(NamedTuple):
    """What a solved model is.

    Attributes:
      scorer: see `jaxrec.types.Scorer`.
      variables: arrays that are worth keeping beside it.
      info: further entries of `FittedModel.info`, as plain JSON values.

    >>> Solution(None).variables
    {}
    """

    scorer: Any
    variables: Mapping[str, Any] = {}
    info: Mapping[str, Any] = {}


@runtime_checkable
class Solved(Protocol):
    """A model that is solved from data and a key, without gradients.

    >>> import jaxrec
    >>> from jaxrec.models import SolvedModel
    >>> from jaxrec.scorers import PopularityScorer
    >>> @dataclasses.dataclass(frozen=True)
    ... class Newest(SolvedModel):
    ...     num_users: int | None = None
    ...     num_items: int | None = None
    ...
    ...     def solve(self, data, key):
    ...         return Solution(PopularityScorer(jax.numpy.arange(self.num_items) * 1.0, num_users=self.num_users))
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "a"])
    >>> jaxrec.recommend(jaxrec.fit(Newest(), data, key=jax.random.key(0)), ["v"], k=1)["v"][0].item
    'b'
    """

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """The solution.

        Args:
          data: the interactions, with the adjacency A~ [N, N].
          key: consumed.
        """
        ...


@runtime_checkable
class HistoryScorer(Protocol):
    """A scorer that also serves users who were not fitted on: the capability of folding in."""

    def with_history(self, history: SeenItems) -> Scorer:
        """The same scorer for users with these items, U rows, old and new."""
        ...


@dataclasses.dataclass(frozen=True)
class StageInfo:
    """What a callback is told when a stage of training starts.

    Attributes:
      name: "fit" or "refit".
      model: the name of the model's class.
      epochs: how many at the most, one number for each member.
      monitor: the validation metric to watch, or "" where nothing is validated.
      settings: the options of the fit, as plain JSON values.

    >>> StageInfo("fit", "MF", (5,)).members
    1
    """

    name: str
    model: str
    epochs: tuple[int, ...]
    monitor: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def members(self) -> int:
        """How many models are trained together."""
        return len(self.epochs)


@dataclasses.dataclass(frozen=True)
class EpochEvent:
    """What a callback is told when an epoch of a member is over.

    Attributes:
      record: `epoch`, `seconds`, `train` and `valid`, see `jaxrec.training.EpochRecord`.
      params: a function that gives the parameters after the epoch; they are copied when it is called.
      member: the number of the model among those that are trained together.
      best: whether validation found this epoch the best so far.

    >>> EpochEvent(None, lambda: {}).member
    0
    """

    record: EpochRecord
    params: Callable[[], Any]
    member: int = 0
    best: bool = False


class Callback(Protocol):
    """Something that is told of every epoch, and may stop a training. A plain function of the event will do too.

    >>> class Printer(Callback):
    ...     def __call__(self, event):
    ...         print(event.record.epoch, sorted(event.params()))
    ...         return event.record.epoch == 2
    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=9, callbacks=[Printer()], key=jax.random.key(0))
    1 ['item_embedding', 'user_embedding']
    2 ['item_embedding', 'user_embedding']
    """

    def start(self, stage: StageInfo) -> None:
        """A stage of training starts; a callback may serve several, one after another."""

    def __call__(self, event: EpochEvent) -> bool | None:
        """An epoch is over; True stops this member after it."""
        ...

    def finish(self) -> None:
        """The stage is over, also after an error."""
