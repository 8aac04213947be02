"""Vectors and lists for users who were not fitted on: what the `fold_in` of the models gives, each a pytree."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import FoldIn, Histories, HistoryScorer, Loss, Task
from jaxrec.pytrees import register, static
from jaxrec.scorers import FactorScorer, UserWeightScorer
from jaxrec.sparse import SparseOperator, spmm
from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.training import TrainData


@dataclasses.dataclass(frozen=True)
class OfHistory:
    """New users of a scorer that asks for nothing but their items, see `jaxrec.protocols.HistoryScorer`.

    Attributes:
      scorer: of the fitted model.

    >>> from jaxrec.scorers import PopularityScorer
    >>> fold_in = OfHistory(PopularityScorer(jnp.ones(3), num_users=9))
    >>> fold_in(Histories(np.array([[2], [1]]), np.ones((2, 1), bool))).num_users
    2
    """

    scorer: HistoryScorer
    needs_ratings: bool = False

    def __call__(self, histories: Histories) -> Scorer:
        """The scorer of the B users."""
        return self.scorer.with_history(rows_of(histories))


def rows_of(histories: Histories) -> SeenItems:
    """The items of each user as compressed rows; their array is as long as all places, used or not.

    >>> rows_of(Histories(np.array([[4, 2], [7, 0]]), np.array([[True, True], [True, False]])))
    SeenItems of 2 users: 4 pairs
    >>> rows_of(Histories(np.array([[4, 2], [7, 0]]), np.array([[True, True], [True, False]]))).indptr.tolist()
    [0, 2, 3]
    """
    item, where = np.asarray(histories.item, np.int32), np.asarray(histories.where, bool)
    # Ascending within each user, as everywhere; what does not count comes last.
    ordered = np.sort(np.where(where, item, np.iinfo(np.int32).max), axis=1)
    items = np.zeros(item.size, np.int32)
    items[: where.sum()] = ordered[ordered < np.iinfo(np.int32).max]
    return SeenItems(np.concatenate([[0], np.cumsum(where.sum(axis=1))]).astype(np.int32), items)


@dataclasses.dataclass(frozen=True)
class AdjustedFoldIn:
    """A fold-in whose scorers are adjusted by the loss, as that of the fitted model is.

    Attributes:
      fold_in: of the model.
      loss: that it was trained with.
      data: that it was trained on.
    """

    fold_in: FoldIn
    loss: Loss
    data: TrainData

    @property
    def needs_ratings(self) -> bool:
        """Whether histories must have ratings."""
        return self.fold_in.needs_ratings

    def __call__(self, histories: Histories) -> Any:
        """The scorer of the B users."""
        return self.loss.adjust(self.fold_in(histories), self.data)


def fold_in_of(model: Any, variables: Any, scorer: Any, data: TrainData, task: Task, loss: Loss | None) -> FoldIn:
    """What makes lists for new users of a model.

    Args:
      model: with its sizes set.
      variables: that were fitted.
      scorer: of the model, before a loss adjusts it.
      data: that it was fitted on.
      task: what it predicts.
      loss: that it was trained with; None for a model that was solved.

    Raises:
      JaxrecError: a model that cannot.

    >>> import jax, jaxrec
    >>> fitted = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays([0, 1], [0, 1]), key=jax.random.key(0))
    >>> fold_in_of(fitted.model, {}, fitted.scorer, None, "ranking", None).needs_ratings
    False
    """
    own = getattr(model, "fold_in", None)
    if own is None:
        if isinstance(scorer, HistoryScorer):
            return OfHistory(scorer)
        raise JaxrecError(
            f"{type(model).__name__} cannot serve new users: it has no fold_in; fit it again with these users, or "
            "derive it from jaxrec.models.EmbeddingModel or SolvedModel"
        )
    made = own(variables, scorer, data, task)
    return made if loss is None else AdjustedFoldIn(made, loss, data)


@register
@dataclasses.dataclass(frozen=True)
class PropagatedUsers:
    """Users whose vector is a sum over their items, as graph convolution gives it to a node without a row of its own.

    With n items, e_u = (n + loops)^(-1/2) sum over i of sums_i. With self-loops, what the hidden layer of the user
    itself adds comes to it: (n + 1)^(-1) relu((n + 1)^(-1/2) sum over i of own_i) W.

    Attributes:
      items: [I, w], the vectors of the items.
      sums: [I, w], what each item hands on, divided by the root of its degree.
      own: [I, h], or None; what each item hands to the hidden layer of the user.
      weight: W [h, w], or None.
      loops: 1 where the graph has self-loops, else 0; static.
      dim: d, static.
      exponent: of n + loops in place of 1/2; static.

    >>> fold_in = PropagatedUsers(jnp.ones((2, 1)), jnp.array([[3.0], [5.0]]), None, None, loops=0, dim=1)
    >>> fold_in(Histories(jnp.array([[0, 1, 1, 0]]), jnp.ones((1, 4), bool))).users.tolist()  # 16 / sqrt(4)
    [[8.0]]
    """

    items: jax.Array
    sums: jax.Array
    own: jax.Array | None
    weight: jax.Array | None
    loops: int = static()
    dim: int = static()
    needs_ratings: bool = static(default=False)
    exponent: float = static(default=0.5)

    def __call__(self, histories: Histories) -> FactorScorer:
        """The scorer of the B users."""
        return _propagated(self, histories)


@jax.jit
def _propagated(fold_in: PropagatedUsers, histories: Histories) -> FactorScorer:
    count = jnp.sum(histories.where, axis=1, keepdims=True, dtype=jnp.float32) + fold_in.loops
    some = jnp.maximum(count, 1)
    power = jax.lax.rsqrt(some) if fold_in.exponent == 0.5 else some**-fold_in.exponent
    scale = jnp.where(count > 0, power, 0)
    users = scale * summed(fold_in.sums, histories)
    if fold_in.own is not None and fold_in.weight is not None:
        hidden = jax.nn.relu(scale * summed(fold_in.own, histories))
        users = users + jnp.square(scale) * (hidden @ fold_in.weight)
    return FactorScorer(users, fold_in.items, dim=fold_in.dim)


def summed(table: jax.Array, histories: Histories) -> jax.Array:
    """The sum of the rows of a table [I, w] over the items of each user, [B, w].

    >>> summed(jnp.array([[1.0], [10.0]]), Histories(jnp.array([[1, 1]]), jnp.array([[True, False]]))).tolist()
    [[10.0]]
    """
    return jnp.sum(jnp.where(histories.where[:, :, None], table[histories.item], 0), axis=1)


@register
@dataclasses.dataclass(frozen=True)
class NonNegativeUsers:
    """Users of a non-negative factorization: w >= 0 with the least squared error of their row, item vectors fixed.

    Of who has what, the row has a value at the items of the user and 0 elsewhere: |x - w H|^2 + l2 |w|^2. Of ratings,
    only what is rated counts: sum of (r - <w, h_i>)^2 + l2 n |w|^2, then one factor that takes the shrinkage back, as
    `jaxrec.factorization.refit_scales` does, and the two columns of `jaxrec.models.NMF` for the means.

    Attributes:
      items: [I, w], the vectors of the items.
      values: [I], the value of each item in a row.
      gram: [d, d], H H^T; None for ratings.
      l2: scalar.
      extra: scalar, the mean square of the products over the fitted pairs.
      normalized: divide the values by the root of n; static.
      dim: d, static.
      needs_ratings: static.

    >>> h = jnp.array([[1.0], [1.0]])
    >>> fold_in = NonNegativeUsers(h, jnp.ones(2), h.T @ h, jnp.array(0.0), jnp.array(0.0), False, dim=1)
    >>> fold_in(Histories(jnp.array([[1]]), jnp.array([[True]]))).users.tolist()  # nearest to (0, 1)
    [[0.5]]
    """

    items: jax.Array
    values: jax.Array
    gram: jax.Array | None
    l2: jax.Array
    extra: jax.Array
    normalized: bool = static()
    dim: int = static()
    needs_ratings: bool = static(default=False)

    def __call__(self, histories: Histories) -> FactorScorer:
        """The scorer of the B users."""
        return _non_negative(self, histories)


@jax.jit
def _non_negative(fold_in: NonNegativeUsers, histories: Histories) -> FactorScorer:
    where = histories.where.astype(jnp.float32)
    count = jnp.maximum(jnp.sum(where, axis=1), 1)
    h = fold_in.items[histories.item][:, :, : fold_in.dim] * where[:, :, None]
    ridge = fold_in.l2 * jnp.eye(fold_in.dim, dtype=h.dtype)
    if fold_in.gram is None:
        value = histories.rating * where
        gram = jnp.einsum("blf,blg->bfg", h, h, precision="highest") + count[:, None, None] * ridge[None]
    else:
        value = fold_in.values[histories.item] * where
        if fold_in.normalized:
            value = value * jax.lax.rsqrt(count)[:, None]
        gram = jnp.broadcast_to((fold_in.gram + ridge)[None], (where.shape[0], *ridge.shape))
    users = _least_non_negative(gram, jnp.einsum("blf,bl->bf", h, value, precision="highest"))
    if fold_in.gram is not None:
        return FactorScorer(users, fold_in.items, dim=fold_in.dim)
    predicted = jnp.einsum("blf,bf->bl", h, users, precision="highest")
    below = jnp.sum(jnp.square(predicted), axis=1) + fold_in.extra
    scale = (jnp.sum(value * predicted, axis=1) + fold_in.extra) / jnp.where(below > 0, below, 1)
    means = jnp.stack([jnp.zeros_like(count), jnp.sum(value, axis=1) / count], axis=1)
    return FactorScorer(jnp.concatenate([users * scale[:, None], means], axis=1), fold_in.items, dim=fold_in.dim)


_SWEEPS, _SETTLED = 200, 1e-5


def _least_non_negative(gram: jax.Array, target: jax.Array) -> jax.Array:
    """The w >= 0 [B, d] that minimizes w^T gram w - 2 w^T target, by coordinate descent from 0."""

    def one(f: jax.Array, w: jax.Array) -> jax.Array:
        gradient = jnp.sum(gram[:, f] * w, axis=1) - target[:, f]
        curvature = gram[:, f, f]
        moved = jnp.maximum(w[:, f] - gradient / jnp.where(curvature > 0, curvature, 1), 0)
        return w.at[:, f].set(jnp.where(curvature > 0, moved, 0))

    def sweep(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        w, _, done = state
        after = jax.lax.fori_loop(0, w.shape[1], one, w)
        return after, jnp.max(jnp.abs(after - w)), done + 1

    def going(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        w, change, done = state
        return (done < _SWEEPS) & (change > _SETTLED * jnp.max(w))

    start = (jnp.zeros_like(target), jnp.asarray(jnp.inf, target.dtype), jnp.int32(0))
    return jax.lax.while_loop(going, sweep, start)[0]


@register
@dataclasses.dataclass(frozen=True)
class NeighborUsers:
    """Users with the neighbors that they have among the fitted ones; see `jaxrec.models.UserKNN`.

    Attributes:
      history: R [V, I], binary.
      of_item: [I], what an item in common adds: 1, or 1 / |U_i| with "normalized".
      of_user: [V], the root of the degree of each user.
      shrink: scalar, added to the product of the roots.
      neighbors: k, static.

    >>> from jaxrec.sparse import from_dense, operator
    >>> history = operator(from_dense(jnp.array([[1.0, 1.0], [0.0, 1.0]])))
    >>> fold_in = NeighborUsers(history, jnp.ones(2), jnp.sqrt(jnp.array([2.0, 1.0])), jnp.array(0.0), neighbors=1)
    >>> fold_in(Histories(jnp.array([[1]]), jnp.array([[True]]))).scores(jnp.array([0])).tolist()
    [[0.0, 1.0]]
    """

    history: SparseOperator
    of_item: jax.Array
    of_user: jax.Array
    shrink: jax.Array
    neighbors: int = static()
    needs_ratings: bool = static(default=False)

    def __call__(self, histories: Histories) -> UserWeightScorer:
        """The scorer of the B users."""
        return _nearest_users(self, histories)


@jax.jit
def _nearest_users(fold_in: NeighborUsers, histories: Histories) -> UserWeightScorer:
    size, num_items = histories.item.shape[0], fold_in.history.shape[1]
    rows = jnp.arange(size, dtype=jnp.int32)[:, None]
    item = jnp.where(histories.where, histories.item, num_items)  # dropped, being past the end
    own = jnp.zeros((size, num_items), jnp.float32).at[rows, item].set(1, mode="drop") * fold_in.of_item[None, :]
    count = jnp.sum(histories.where, axis=1, dtype=jnp.float32)
    norms = jnp.sqrt(count)[:, None] * fold_in.of_user[None, :] + fold_in.shrink
    likeness = spmm(fold_in.history, own.T).T
    likeness = jnp.where(norms > 0, likeness / jnp.where(norms > 0, norms, 1), 0)
    weights, neighbors = jax.lax.top_k(likeness, min(fold_in.neighbors, likeness.shape[1]))
    return UserWeightScorer(fold_in.history, weights, neighbors)
