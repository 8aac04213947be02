"""What may come from outside: models, losses, regularizers, samplers, metrics and the like, each as a protocol.

Every protocol but the scorer's is also a base class that brings the defaults along, so `class Mine(Loss)` writes down
only what differs. A class need not derive from it: having the same attributes is enough. What has options is a frozen
dataclass; `jaxrec.pytrees.options` makes it a pytree, with numbers as leaves, so that other numbers compile nothing.

The letters of shapes are those of `jaxrec.types`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.registry import make
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from jaxrec.data import Interactions, SeenItems
    from jaxrec.data.splitting import Split
    from jaxrec.training import EpochRecord, TrainData

__all__ = [
    "NEEDS",
    "AddsItems",
    "AllLists",
    "Batch",
    "Calibration",
    "Callback",
    "EmbeddingTables",
    "Encoded",
    "EpochEvent",
    "FiltersGraph",
    "FoldIn",
    "Histories",
    "HistoryScorer",
    "Loss",
    "Metric",
    "Model",
    "Negatives",
    "Optimizer",
    "RatedPairs",
    "Reader",
    "Recipe",
    "Regularizer",
    "Reranker",
    "Scorer",
    "Solution",
    "Solved",
    "Splitter",
    "StageInfo",
    "Task",
    "Trained",
    "UserList",
    "UserRows",
    "UserScores",
    "VectorScorer",
    "Weights",
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
      weight: float32 [B], the weight of each interaction, 1 on average over all of them; or None for ones.
      log_q: float32 [B, M], the log-probability with which each negative was drawn, or None where the sampler does not
        say.

    >>> import jax.numpy as jnp
    >>> Batch(jnp.array([0]), jnp.array([1]), None, jnp.zeros((1, 0), jnp.int32), jnp.array([True])).rating is None
    True
    """

    user: jax.Array
    item: jax.Array
    rating: jax.Array | None
    negatives: jax.Array
    where: jax.Array
    weight: jax.Array | None = None
    log_q: jax.Array | None = None


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

    takes_weights: ClassVar[bool] = False
    """Whether it weighs the rows by `Batch.weight`; a fit with weights refuses a loss that does not."""

    compares_rows: ClassVar[bool] = False
    """Whether it compares all rows of a batch with one another, B x B; then a mesh of devices shares the rows."""

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The mean over the rows that count, weighted by `batch.weight` where there is one: sum(w l) / sum(w).

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
        return make("negatives", "uniform")  # by name, since samplers are in a room above this file

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse what does not go with the loss, with a `JaxrecError`."""

    def batch_for(self, batch_size: int, rows: int) -> int:
        """The size of a batch where there are only so many interactions: no larger than they fill.

        It is a multiple of 1,024 where it is less than `batch_size`, so that few shapes are compiled.
        """
        return min(batch_size, -(-rows // 1024) * 1024)

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

    num: int
    """M, how many there are for each positive; static."""

    knows_probability: ClassVar[bool] = False
    """Whether `log_probability` says how likely each draw is, which a correction by logQ needs."""

    chooses: ClassVar[bool] = False
    """Whether it draws `drawn` negatives and keeps `num` of them by their scores, see `chosen`."""

    @property
    def drawn(self) -> int:
        """How many are drawn for each positive, before it chooses among them."""
        return self.num

    def prepared(self, data: TrainData) -> Negatives:
        """The sampler with what it computes once for all batches of a training; by default itself."""
        return self

    def draw(self, data: TrainData, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw for a batch of which some rows may not count; by default as for one whose rows all count."""
        return self(data, batch.user, batch.item, key)

    def log_probability(self, data: TrainData, user: jax.Array, negatives: jax.Array) -> jax.Array:
        """The log-probability of each draw for its user, float32 [B, M]; see `knows_probability`."""
        raise JaxrecError(f"{type(self).__name__} does not know how likely its draws are; leave logq_correction out")

    def chosen(self, rows: Encoded, batch: Batch) -> tuple[Encoded, Batch]:
        """The batch with `num` of its negatives, see `chooses`; by default with all of them."""
        return rows, batch

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


class Weights(Protocol):
    """A rule that gives every interaction a weight in the loss. A frozen object with its options.

    >>> import jaxrec
    >>> from jaxrec.pytrees import options
    >>> @options
    ... class FirstRows(Weights):
    ...     rest: float = 0.5
    ...
    ...     def __call__(self, part):
    ...         return [1.0] + [self.rest] * (len(part) - 1)
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> fitted = jaxrec.fit(jaxrec.MF(dim=2), data, weights=FirstRows(), epochs=1, key=jax.random.key(0))
    >>> fitted.info["notes"]
    ['weights by FirstRows(rest=0.5): 0.75 to 1.5 after division by their mean']
    """

    def __call__(self, part: Interactions) -> Any:
        """The weights of the interactions that are trained on, [E]: finite, not negative, not all 0."""
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

    sparse: bool = False
    """Whether steps touch the rows of a batch only."""

    def transformation(self, steps: int) -> Any:
        """The Optax transformation, for epochs of so many steps."""
        ...


class Model(Protocol):
    """Whatever ends in a scorer. `jaxrec.fit` sets the sizes, and trains or solves.

    A model with `fold_in(variables, scorer, data, task)`, see `FoldIn`, also serves users who were not fitted on; the
    bases bring it along, and `serves_new_users` says whether splits may hold users out of training.

    A Flax module is cloned with its sizes, another frozen dataclass is replaced.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> model: Model = jaxrec.MF(dim=8)
    >>> fitted = jaxrec.fit(model, data, epochs=1, key=jax.random.key(0))
    >>> model.num_items, fitted.model.num_items
    (None, 3)
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

    >>> from jaxrec.models import MF, LightGCN
    >>> MF(dim=8).user_tables, MF(dim=8).item_tables
    (('user_embedding',), ('item_embedding',))
    >>> LightGCN(dim=8).user_tables
    ()
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
    """A scorer that also serves users who were not fitted on: the capability of folding in.

    >>> import jaxrec
    >>> from jaxrec.data import seen_items
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    >>> knn: HistoryScorer = jaxrec.fit(jaxrec.models.ItemKNN(neighbors=1), data, key=jax.random.key(0)).scorer
    >>> one_more_user = jaxrec.from_arrays([0, 0, 1, 2], [0, 1, 1, 0])
    >>> knn.num_users, knn.with_history(seen_items(one_more_user)).num_users
    (2, 3)
    """

    def with_history(self, history: SeenItems) -> Scorer:
        """The same scorer for users with these items, U rows, old and new."""
        ...


class Histories(NamedTuple):
    """What B users have who were not fitted on, in L places each.

    Attributes:
      item: int32 [B, L].
      where: bool [B, L], the places that count; they come first.
      rating: float32 [B, L], or None where there are no ratings.

    >>> import numpy as np
    >>> Histories(np.array([[3, 0]]), np.array([[True, False]])).rating is None
    True
    """

    item: Any
    where: Any
    rating: Any = None


@runtime_checkable
class FoldIn(Protocol):
    """From what new users have to a scorer of these users: what `fold_in` of a model gives.

    `jaxrec.models.EmbeddingModel.fold_in` solves for the vector of a user, `SolvedModel.fold_in` asks the scorer for
    `with_history`. A model overrides it where its own equations say more.

    >>> import jaxrec
    >>> import numpy as np
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "a", "b", "c"])
    >>> fitted = jaxrec.fit(jaxrec.EASE(l2=1.0), data, key=jax.random.key(0))
    >>> fold_in: FoldIn = fitted.fold_in
    >>> scorer = fold_in(Histories(np.array([[0]], np.int32), np.array([[True]])))
    >>> scorer.num_users, int(scorer.scores(jnp.array([0]))[0].argmax())
    (1, 1)
    """

    @property
    def needs_ratings(self) -> bool:
        """Whether histories must have ratings."""
        ...

    def __call__(self, histories: Histories) -> Scorer:
        """The scorer of the B users; histories of one shape compile nothing twice."""
        ...


@runtime_checkable
class AddsItems(Protocol):
    """A model whose equations are solved for further items without training, see `jaxrec.add_items`.

    >>> import jaxrec
    >>> from jaxrec.models import EASE, MF
    >>> isinstance(EASE(), AddsItems), isinstance(MF(), AddsItems)
    (True, False)
    """

    def with_items(self, scorer: Any, data: TrainData) -> Scorer:
        """The scorer for old and new items.

        Args:
          scorer: of the fitted model, for its I items.
          data: who has what, of all items; the new ones come behind the I old ones.
        """
        ...


@runtime_checkable
class FiltersGraph(Protocol):
    """A model that is a linear filter of the graph: what it makes of each frequency can be drawn.

    >>> from jaxrec.models import EASE, LightGCN
    >>> isinstance(LightGCN(), FiltersGraph), isinstance(EASE(), FiltersGraph)
    (True, False)
    """

    def response(self, eigenvalues: jax.Array) -> jax.Array:
        """The gain of each frequency.

        Args:
          eigenvalues: [n] of the normalized adjacency A~, in -1..1, descending; 1 is the smoothest. They are those of a
            bipartite graph, so with each its negative is there.

        Returns:
          [n], up to what the model makes of degrees besides.

        Raises:
          JaxrecError: a part of the model is no linear filter.
        """
        ...


@runtime_checkable
class UserRows(Protocol):
    """A scorer that has something of its own for each user, such as a vector.

    >>> from jaxrec.scorers import FactorScorer, PopularityScorer
    >>> vectors = FactorScorer(jnp.ones((2, 1)), jnp.ones((3, 1)), dim=1)
    >>> isinstance(vectors, UserRows), isinstance(PopularityScorer(jnp.ones(3), num_users=2), UserRows)
    (True, False)
    """

    def replaced(self, rows: jax.Array, others: Any) -> Scorer:
        """The scorer in which the users `rows` (int32 [n]) have what the n users of another one have.

        Rows past the last user are padding, and are dropped.
        """
        ...


@runtime_checkable
class VectorScorer(Protocol):
    """A scorer whose scores are inner products of vectors of users and of items.

    >>> from jaxrec.scorers import FactorScorer
    >>> scorer = FactorScorer(jnp.ones((2, 1)), jnp.ones((3, 1)), dim=1)
    >>> isinstance(scorer, VectorScorer)
    True
    """

    users: Any
    """[U, w]."""

    items: Any
    """[I, w]."""

    dim: int
    """d, the columns that are the embedding; the others carry biases."""


@dataclasses.dataclass(frozen=True)
class StageInfo:
    """What a callback is told when a stage of training starts.

    Attributes:
      name: "fit" or "refit".
      model: the name of the model's class.
      epochs: how many at the most, one number for each member.
      monitor: the validation metric to watch, or "" where nothing is validated.
      settings: the options of the fit, as plain JSON values.
      done: the epochs that an earlier process has done, of a fit that is resumed.

    >>> StageInfo("fit", "MF", (5,)).members
    1
    """

    name: str
    model: str
    epochs: tuple[int, ...]
    monitor: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    done: int = 0

    @property
    def members(self) -> int:
        """How many models are trained together."""
        return len(self.epochs)

    @property
    def label(self) -> str:
        """The model and the stage, as a person reads them: "8 x MF, fit"."""
        several = f"{self.members} x " if self.members > 1 else ""
        return ", ".join(part for part in (f"{several}{self.model}".rstrip(), self.name) if part)


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

    only_writes: ClassVar[bool] = False
    """Whether it writes what it is told, and neither stops a training nor asks for parameters. Of several processes
    only the first tells it; all others tell what stops, in the same order."""

    def start(self, stage: StageInfo) -> None:
        """A stage of training starts; a callback may serve several, one after another."""

    def __call__(self, event: EpochEvent) -> bool | None:
        """An epoch is over; True stops this member after it."""
        ...

    def finish(self) -> None:
        """The stage is over, also after an error."""

    def checkpoint_state(self) -> Any:
        """What a checkpoint is to keep of the callback, as plain JSON values; None for nothing."""
        return None

    def resume_from(self, state: Any) -> None:
        """Take back what `checkpoint_state` gave; called after `start` where a fit is resumed."""


class Calibration(Protocol):
    """What makes the scores of a model comparable with those of others, user by user. An object of `pytrees.options`.

    Its numbers are positive; `jaxrec.blend` learns them on a log scale.

    >>> from jaxrec.pytrees import options
    >>> @options
    ... class OfLargest(Calibration):
    ...     by: float = 1.0
    ...
    ...     def __call__(self, scores, where):
    ...         return self.by * (scores - jnp.max(scores, axis=1, keepdims=True, where=where, initial=-jnp.inf))
    >>> OfLargest()(jnp.array([[1.0, 3.0, 9.0]]), jnp.array([[True, True, False]])).tolist()
    [[-2.0, 0.0, 6.0]]
    """

    def __call__(self, scores: jax.Array, where: jax.Array) -> jax.Array:
        """The calibrated scores, which go up with the scores.

        Args:
          scores: float32 [B, I], finite.
          where: bool [B, I], the items that the user can be shown, and that count.

        Returns:
          float32 [B, I], finite, of the other items too.
        """
        ...

    def slope(self, scores: jax.Array, where: jax.Array) -> jax.Array | None:
        """What one more of a score adds, [B, 1], where that is one number for all items of a user; else None.

        Blends that are exported need it.
        """
        return None


NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "items": "the items at the places, not the hits alone; sampled candidates lack them",
        "trained": "the items with training data",
        "training": "the popularity of each item in training, and how many users it has",
        "categories": "the categories of each item, and their shares in each user's history",
        "grades": "the ratings of the test items",
        "popular": "the most popular items that could be recommended to each user",
        "depth": "lists as long as the most relevant items of any user",
        "vectors": "vectors of the items, and the distances between those of a list",
    }
)
"""What a metric may ask for in `needs`, beside the hits."""


class UserList(NamedTuple):
    """The list of one user, with what the needs of the metric ask for; the rest is None. K is the largest k.

    Attributes:
      hits: bool [K], whether the item at each place is relevant.
      num_relevant: int32 [], the relevant items of the user, in the list or not.
      listed: int32 [K], the item at each place, -1 for padding ("items").
      trained: bool [K], whether it has training data; False for padding ("trained").
      num_relevant_trained: int32 [], the relevant items with training data ("trained").
      popularity: int32 [I], the training interactions of each item ("training").
      num_training_users: int32 [], the users with training data ("training").
      long_tail: bool [I], the items outside of the most popular ones with 80% of the interactions ("training").
      categories: float32 [I, C], above 0 where the item is of the category ("categories").
      history: float32 [C], the shares of the categories in the user's training items; 0 without any ("categories").
      grades: float32 [K], the user's rating of the item at each place, 0 without a hit ("grades").
      ideal_grades: float32 [K], the user's highest ratings in descending order, padded with 0 ("grades").
      popular: int32 [K], the most popular items that could be recommended to the user, -1 for padding ("popular").
      deep_hits: bool [D], the hits of a list as long as the most relevant items of any user ("depth").
      vectors: float32 [K, r], 0 for an item without a vector ("vectors").
      placed: bool [K], whether the item has a vector ("vectors").
      distances: float32 [K, K], between the vectors ("vectors").

    >>> UserList(jnp.array([True, False]), jnp.int32(1)).listed is None
    True
    """

    hits: jax.Array
    num_relevant: jax.Array
    listed: Any = None
    trained: Any = None
    num_relevant_trained: Any = None
    popularity: Any = None
    num_training_users: Any = None
    long_tail: Any = None
    categories: Any = None
    history: Any = None
    grades: Any = None
    ideal_grades: Any = None
    popular: Any = None
    deep_hits: Any = None
    vectors: Any = None
    placed: Any = None
    distances: Any = None


class UserScores(NamedTuple):
    """The scores of all items for one user.

    Attributes:
      scores: float32 [I].
      candidates: bool [I], the items that could be recommended to the user.
      relevant: int32 [R], the relevant items, -1 for padding.

    >>> UserScores(jnp.zeros(3), jnp.ones(3, bool), jnp.array([2, -1])).relevant.shape
    (2,)
    """

    scores: jax.Array
    candidates: jax.Array
    relevant: jax.Array


class AllLists(NamedTuple):
    """The lists of all users, cut at k.

    Attributes:
      listed: int32 [n, k], the items, -1 for padding.
      exposure: int32 [I], the places that each item has in them.
      popularity: int32 [I], the training interactions of each item, or None ("training").

    >>> AllLists(jnp.array([[1, -1]]), jnp.array([0, 1])).popularity is None
    True
    """

    listed: jax.Array
    exposure: jax.Array
    popularity: Any = None


class RatedPairs(NamedTuple):
    """Ratings of n pairs of a user and an item.

    Attributes:
      predicted: float64 [n].
      actual: float64 [n].

    >>> RatedPairs(jnp.array([4.0]), jnp.array([5.0])).actual.shape
    (1,)
    """

    predicted: Any
    actual: Any


class Metric(Protocol):
    """A figure of an evaluation: a pure function of one user, which is lifted by `jax.vmap`, or of all lists.

    Two metrics of one class with equal attributes are equal, and are compiled once.

    >>> class FirstHit(Metric):
    ...     name = "first_hit"
    ...
    ...     def __call__(self, user, *, k):
    ...         return user.hits[0]
    >>> import jaxrec
    >>> lists = {"ann": [1, 3], "bob": [1, 3]}
    >>> report = jaxrec.evaluate_rankings(lists, (["ann", "bob"], [1, 3]), k=2, metrics=["recall", FirstHit()])
    >>> report.mean("first_hit@2")
    0.5
    """

    name: str
    """The values are NAME@k, or NAME where `at_k` is False."""

    over: Literal["user", "scores", "lists", "ratings"] = "user"
    """What it is given: a `UserList`, `UserScores`, `AllLists`, or `RatedPairs`."""

    needs: frozenset[str] = frozenset()
    """What it asks for, words of `NEEDS`."""

    at_k: bool = True
    """Whether there is a value for each k; otherwise k is None."""

    higher_is_better: bool = True
    """The direction, for tables and early stopping."""

    also: tuple[str, ...] = ()
    """Names of metrics that are measured along with it."""

    undefined: str = ""
    """The count, in a report, of users without a value (NaN); "" counts none."""

    bounds: tuple[float, float] | None = None
    """The lowest and highest value that there can be, which intervals keep to; infinite for none, None for neither."""

    def __call__(self, given: Any, /, *, k: Any) -> Any:
        """The value, a number; NaN leaves the user out of the mean.

        Args:
          given: see `over`. With "ratings" the result is a number for each pair, and `of_mean` makes the value of their
            mean.
          k: the list is cut here; a Python integer, or None where `at_k` is False.
        """
        ...

    def of_mean(self, mean: Any) -> Any:
        """For "ratings": the value, from the mean over pairs."""
        return mean

    def check(self, truth: Interactions) -> None:
        """Refuse a test part that the metric makes no sense of, with a `JaxrecError`."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *sorted(vars(self).items())))


class Reranker(Protocol):
    """A rule that chooses k of the candidates of a user. A pytree, so that other numbers compile nothing.

    >>> from jaxrec.pytrees import options
    >>> from jaxrec.ranking import rerank
    >>> @options
    ... class Last(Reranker):
    ...     def __call__(self, scores, vectors, k, *, where):
    ...         return jnp.arange(scores.shape[0] - 1, scores.shape[0] - 1 - k, -1, dtype=jnp.int32)
    >>> rerank([[7, 5, 6]], [[3.0, 2.0, 1.0]], jnp.zeros((9, 1)), 2, Last())[0].tolist()
    [[6, 5]]
    """

    def __call__(self, scores: jax.Array, vectors: jax.Array, k: int, *, where: jax.Array) -> jax.Array:
        """The places of the chosen candidates, in order.

        Args:
          scores: float32 [n], of the candidates.
          vectors: float32 [n, d], of the candidates.
          k: static, 1 <= k <= n.
          where: bool [n], the candidates that count.

        Returns:
          int32 [k], -1 where none is left.
        """
        ...

    def refuses(self, vectors: jax.Array, where: jax.Array) -> Any:
        """Whether the vectors cannot be used, a traced bool, with `fault` as the reason."""
        return jnp.bool_(False)

    @property
    def fault(self) -> str:
        """The reason of `refuses`, as words that "of list 3" follows."""
        return "the vectors cannot be used"


class Reader(Protocol):
    """A file format: an object that turns a file into interactions.

    >>> import pathlib, tempfile
    >>> import jaxrec
    >>> class Arrows(Reader):
    ...     def reads(self, name, start):
    ...         return name.endswith(".arrows")
    ...
    ...     def __call__(self, path):
    ...         return jaxrec.from_arrays(*zip(*(line.split(" -> ") for line in path.read_text().splitlines())))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "likes.arrows")
    ...     _ = path.write_text("ann -> heat\\nbo -> jaws\\n")
    ...     jaxrec.read(path, format=Arrows()).counts()
    {'users': 2, 'items': 2, 'interactions': 2}
    """

    def reads(self, name: str, start: bytes) -> bool:
        """Whether a file is of this format, for `format="auto"` once the reader has a name; by default no.

        Args:
          name: of the file, without its folder.
          start: its first bytes, at most 65,536, after gzip.
        """
        return False

    def __call__(self, path: Path) -> Interactions:
        """Read a file that exists.

        Raises:
          DataError: the file is not of this format.
        """
        ...


class Recipe(Protocol):
    """What chooses a model for a split and fits it, by a word of `jaxrec fit --model`: a frozen dataclass of options.

    `jaxrec.fitting.Auto` is one; an entry point of the group "jaxrec.recipe" adds others.

    >>> import jaxrec
    >>> @dataclasses.dataclass(frozen=True)
    ... class ByCatalog(Recipe):
    ...     most: int = 10_000
    ...
    ...     def __call__(self, split, *, key, refit=True, on_try=None):
    ...         model = jaxrec.EASE(l2=5.0) if split.train.num_items <= self.most else jaxrec.ItemKNN()
    ...         return jaxrec.fit(model, split, refit=refit, key=key)
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> ByCatalog()(split, key=jax.random.key(0)).name
    'ease'
    """

    def __call__(self, split: Split, *, key: jax.Array, refit: Any = True, on_try: Any = None) -> Any:
        """Choose and fit.

        Args:
          split: that decides.
          key: consumed.
          refit: as in `jaxrec.fit`.
          on_try: told of each model that is tried, as an object whose `str` is shown; or None.

        Returns:
          A `jaxrec.fitting.FittedModel`.
        """
        ...


class Splitter(Protocol):
    """A rule for the held-out interactions. A frozen dataclass with its options.

    >>> import jaxrec
    >>> from jaxrec.data.splitting import Split
    >>> @dataclasses.dataclass(frozen=True)
    ... class LastRows(Splitter):
    ...     test: int = 1
    ...
    ...     def __call__(self, data, key):
    ...         train, test = data.select(slice(None, -self.test)), data.select(slice(-self.test, None))
    ...         return Split(train, data.select([]), test, "last_rows")
    >>> parts = jaxrec.split(jaxrec.from_arrays([1, 1, 2], [5, 6, 5]), LastRows(test=1))
    >>> {name: len(part) for name, part in parts.parts().items()}
    {'train': 2, 'valid': 0, 'test': 1}
    """

    def __call__(self, data: Interactions, key: jax.Array | None) -> Split:
        """Split interactions.

        Args:
          data: E interactions.
          key: consumed; None for `jax.random.key(0)`.
        """
        ...

    def rounds(self) -> tuple[Splitter, ...]:
        """The splits of a cross-validation, one splitter each; by default this one alone."""
        return (self,)
