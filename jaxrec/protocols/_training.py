"""What trains: batches, losses, regularizers, negatives, weights of interactions, optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import jax

from jaxrec.errors import JaxrecError
from jaxrec.registry import make

if TYPE_CHECKING:
    from jaxrec.data import Interactions
    from jaxrec.training import TrainData


DEFAULT_BATCH = 1024
"""The positives in a step where nothing is said of them."""

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
    """What is minimized over a batch. An object of a frozen class that carries its options.

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

    def default_batch(self, rows: int) -> int:
        """The size of a batch for so many interactions where none is given, and the optimizer's rate follows it."""
        return DEFAULT_BATCH

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

    @property
    def scales(self) -> bool:
        """Whether `for_batch` gives another rate; only then a loss may choose the size of a batch by the data."""
        return False

    def for_batch(self, batch_size: int) -> Any:
        """The optimizer for batches of a size that was chosen by the data: by default itself."""
        return self

    def transformation(self, steps: int) -> Any:
        """The Optax transformation, for epochs of so many steps."""
        ...
