"""Scorers: frozen pytrees that compute the scores of given users for every item.

A scorer is all that evaluation and recommendation know of a model, and all that `jaxrec.save` writes of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._keys import key_from_data
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.pytrees import register, static
from jaxrec.scorers._histories import row_sums
from jaxrec.sparse import SparseOperator, spmm
from jaxrec.vectors import unit

__all__ = [
    "FactorScorer",
    "ItemWeightScorer",
    "PopularityScorer",
    "RandomScorer",
    "TableScorer",
    "UserWeightScorer",
    "with_popularity",
]


@register
@dataclasses.dataclass(frozen=True)
class FactorScorer:
    """Scores as inner products: score(u, i) = <users[u], items[i]>.

    Attributes:
      users: [U, w].
      items: [I, w].
      dim: d, static; the first d columns are the embedding, further columns hold biases and count only in the score.

    >>> scorer = FactorScorer(jnp.ones((2, 1)), jnp.array([[3.0], [5.0]]), dim=1)
    >>> scorer.scores(jnp.array([0])).tolist()
    [[3.0, 5.0]]
    """

    item_axes: ClassVar[Mapping[str, int]] = {"items": 0}

    users: jax.Array
    items: jax.Array
    dim: int = static()

    @property
    def num_users(self) -> int:
        """U."""
        return self.users.shape[0]

    @property
    def num_items(self) -> int:
        """I."""
        return self.items.shape[0]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return self.users[users] @ self.items.T

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.sum(self.users[users] * self.items[items], axis=1)

    def replaced(self, rows: jax.Array, others: FactorScorer) -> FactorScorer:
        """The scorer in which the users `rows` (int32 [n]) have the vectors of another one; rows past U drop."""
        return dataclasses.replace(self, users=self.users.at[rows].set(others.users, mode="drop"))

    def similarities(self, items: jax.Array) -> jax.Array:
        """Compute the cosines of the embeddings of items (int32 [B]) and of all items, [B, I]; 0 for a zero vector."""
        vectors = self.items[:, : self.dim]
        norms = jnp.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / jnp.where(norms > 0, norms, 1)
        return unit[items] @ unit.T


@functools.partial(jax.jit, static_argnames="cosine")
def with_popularity(
    scorer: FactorScorer,
    log_probability: jax.Array,
    *,
    weight: float | jax.Array,
    temperature: float | jax.Array = 1.0,
    cosine: bool = True,
) -> FactorScorer:
    """Add the popularity of items to the scores (logit adjustment): score(u, i) = sim(u, i) / t + weight log p_i.

    An item is a negative of the in-batch softmax as often as it is popular. The softmax therefore learns
    sim(u, i) / t = log p(i | u) - log p_i, up to a constant of the user: how much more likely the item is for this user
    than for any user. Weight 1 ranks items by p(i | u) itself; smaller weights rank popular items lower.

    Args:
      scorer: the scorer of a model trained with in-batch softmax.
      log_probability: [I], log p_i, with p_i the share of item i in the interactions. An item without interactions
        (-inf) gets the value of the rarest item that has some.
      weight: weight of log p_i.
      temperature: t, the temperature of the training.
      cosine: True if sim is the cosine, False if it is the inner product.

    Returns:
      A scorer with one more column; `dim` is unchanged, so similar items are found by the embeddings alone.

    Raises:
      MismatchError: another number of items.

    References:
      Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (adjustment after training).
      Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019
        (correction in training).

    >>> plain = FactorScorer(jnp.array([[2.0]]), jnp.array([[3.0], [-5.0]]), dim=1)
    >>> adjusted = with_popularity(plain, jnp.log(jnp.array([0.5, 0.5])), weight=1.0, temperature=0.5)
    >>> [f"{score:.3f}" for score in adjusted.scores(jnp.array([0]))[0].tolist()]  # 2 and -2, less log 2
    ['1.307', '-2.693']
    """
    if log_probability.shape != (scorer.num_items,):
        raise MismatchError(f"log_probability has shape {log_probability.shape}, expected ({scorer.num_items},)")
    users, items = scorer.users, scorer.items
    if cosine:
        users, items = unit(users), unit(items)
    known = jnp.isfinite(log_probability)
    rarest = jnp.min(log_probability, where=known, initial=0)
    prior = weight * jnp.where(known, log_probability, rarest)
    return FactorScorer(
        jnp.concatenate([users / temperature, jnp.ones((scorer.num_users, 1), users.dtype)], axis=1),
        jnp.concatenate([items, prior[:, None].astype(items.dtype)], axis=1),
        dim=scorer.dim,
    )


@register
@dataclasses.dataclass(frozen=True)
class ItemWeightScorer:
    """Scores as sums over the user's items: score(u, i) = sum over j in history(u) of weights[j, i].

    Attributes:
      history: the items of each user.
      weights: [I, I] dense or sparse; weights[j, i] is the contribution of item j to the score of item i.
      longest: the length of the longest history, static.

    >>> history = SeenItems(jnp.array([0, 1]), jnp.array([1]))
    >>> scorer = ItemWeightScorer(history, jnp.array([[0.0, 2.0], [4.0, 0.0]]), longest=1)
    >>> scorer.scores(jnp.array([0])).tolist()
    [[4.0, 0.0]]
    """

    history: SeenItems
    weights: jax.Array | SparseOperator
    longest: int = static()

    @property
    def item_axes(self) -> Mapping[str, int]:
        """A part of the items has its columns of dense weights; sparse ones are not parted."""
        return {} if isinstance(self.weights, SparseOperator) else {"weights": 1}

    @property
    def num_users(self) -> int:
        """U."""
        return self.history.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return self.weights.shape[0]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        if not isinstance(self.weights, SparseOperator) and self._few:
            return row_sums(self.history, users, self.weights, self.longest)
        start, stop = self.history.indptr[users], self.history.indptr[users + 1]
        at = start[:, None] + jnp.arange(self.longest, dtype=jnp.int32)[None, :]
        inside = at < stop[:, None]
        # Places outside the row go to an index past the end, where `mode="drop"` leaves them out.
        items = jnp.where(inside, self.history.items[jnp.where(inside, at, 0)], self.num_items)
        rows = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]
        histories = jnp.zeros((users.shape[0], self.num_items), self._dtype).at[rows, items].add(1, mode="drop")
        if isinstance(self.weights, SparseOperator):
            return spmm(self.weights.T, histories.T).T
        return histories @ self.weights

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def with_history(self, history: SeenItems) -> ItemWeightScorer:
        """The scorer for users with these items, also for those who were not fitted on."""
        longest = int(np.diff(np.asarray(history.indptr)).max(initial=1))
        # At least 64, and a power of two, so that histories of other lengths find the compiled program.
        longest = max(64, 1 << max(longest - 1, 0).bit_length())
        return dataclasses.replace(self, history=jax.tree.map(jnp.asarray, history), longest=longest)

    def similarities(self, items: jax.Array) -> jax.Array:
        """Return the weights of items (int32 [B]) and all items, [B, I]: sparse columns (neighbors), or dense rows."""
        if isinstance(self.weights, SparseOperator):
            # Column i holds the neighbors of i. Row i holds the items that have i as a neighbor: none for a rare item.
            chosen = (jnp.arange(self.num_items, dtype=jnp.int32)[:, None] == items[None, :]).astype(self._dtype)
            return spmm(self.weights, chosen).T
        return self.weights[items]

    @property
    def _few(self) -> bool:
        """Whether users have so few of the items that sums of rows cost less than a dense product, a 30th a term."""
        return 32 * self.history.items.shape[0] < self.num_users * self.num_items

    @property
    def _dtype(self) -> jnp.dtype:
        return self.weights.data.dtype if isinstance(self.weights, SparseOperator) else self.weights.dtype


@register
@dataclasses.dataclass(frozen=True)
class UserWeightScorer:
    """Scores as sums over neighbors: score(u, i) = sum over j of weights[u, j] R[neighbors[u, j], i].

    Attributes:
      history: R [V, I], binary, of the users who may be neighbors.
      weights: [U, k], the weight of each of the k neighbors.
      neighbors: int32 [U, k], their rows in `history`, distinct within a row.

    >>> from jaxrec.sparse import from_dense, operator
    >>> history = operator(from_dense(jnp.array([[1.0, 0.0], [1.0, 1.0]])))
    >>> scorer = UserWeightScorer(history, jnp.array([[0.5], [2.0]]), jnp.array([[1], [0]]))
    >>> scorer.scores(jnp.array([0])).tolist()
    [[0.5, 0.5]]
    """

    history: SparseOperator
    weights: jax.Array
    neighbors: jax.Array

    @property
    def num_users(self) -> int:
        """U."""
        return self.weights.shape[0]

    @property
    def num_items(self) -> int:
        """I."""
        return self.history.shape[1]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]; the neighbor weights take another array [B, V]."""
        rows = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]
        weights = jnp.zeros((users.shape[0], self.history.shape[0]), self.weights.dtype)
        weights = weights.at[rows, self.neighbors[users]].add(self.weights[users])
        return spmm(self.history.T, weights.T).T

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def replaced(self, rows: jax.Array, others: UserWeightScorer) -> UserWeightScorer:
        """The scorer in which the users `rows` (int32 [n]) have the neighbors of another one; rows past U drop."""
        weights = self.weights.at[rows].set(others.weights, mode="drop")
        neighbors = self.neighbors.at[rows].set(others.neighbors, mode="drop")
        return dataclasses.replace(self, weights=weights, neighbors=neighbors)

    def similarities(self, items: jax.Array) -> jax.Array:
        """Compute the cosines of the R columns of items (int32 [B]) and of all items, [B, I]; 0 for an empty one."""
        chosen = (jnp.arange(self.num_items, dtype=jnp.int32)[:, None] == items[None, :]).astype(self.weights.dtype)
        together = spmm(self.history.T, spmm(self.history, chosen)).T
        norms = jnp.sqrt(jnp.diff(self.history.T.indptr).astype(self.weights.dtype))
        norms = norms[items][:, None] * norms[None, :]
        return jnp.where(norms > 0, together / jnp.where(norms > 0, norms, 1), 0)


@register
@dataclasses.dataclass(frozen=True)
class PopularityScorer:
    """The same scores for every user: the number of users of each item.

    Attributes:
      counts: float32 [I].
      num_users: U, static.

    >>> PopularityScorer(jnp.array([3.0, 1.0]), num_users=2).scores(jnp.array([1])).tolist()
    [[3.0, 1.0]]
    """

    item_axes: ClassVar[Mapping[str, int]] = {"counts": 0}

    counts: jax.Array
    num_users: int = static()

    @property
    def num_items(self) -> int:
        """I."""
        return self.counts.shape[0]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return jnp.broadcast_to(self.counts, (users.shape[0], self.num_items))

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return self.counts[items]

    def with_history(self, history: SeenItems) -> PopularityScorer:
        """The scorer for users with these items; whoever they are, they get the same scores."""
        return dataclasses.replace(self, num_users=history.num_users)

    def similarities(self, items: jax.Array) -> jax.Array:
        """Raise: popularity defines no similarity of items."""
        raise JaxrecError("a popularity model has no similarity between items; use itemknn, ease, mf or lightgcn")


@register
@dataclasses.dataclass(frozen=True)
class RandomScorer:
    """Scores drawn uniformly from [0, 1), the same for the same key, user and item.

    Attributes:
      key_data: uint32, the data of a `jax.random` key.
      num_users: U, static.
      num_items: I, static.

    >>> scorer = RandomScorer(jax.random.key_data(jax.random.key(0)), 2, 3)
    >>> first, again = (scorer.scores(jnp.array([1], jnp.int32)) for _ in range(2))
    >>> first.shape, bool((first == again).all())
    ((1, 3), True)
    """

    key_data: jax.Array
    num_users: int = static()
    num_items: int = static()

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        key = key_from_data(self.key_data)
        draw = lambda user: jax.random.uniform(jax.random.fold_in(key, user), (self.num_items,))  # noqa: E731
        return jax.vmap(draw)(users)

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def with_history(self, history: SeenItems) -> RandomScorer:
        """The scorer for users with these items; whoever they are, row u has the scores of user u."""
        return dataclasses.replace(self, num_users=history.num_users)

    def similarities(self, items: jax.Array) -> jax.Array:
        """Raise: random scores define no similarity of items."""
        raise JaxrecError("a random model has no similarity between items; use itemknn, ease, mf or lightgcn")


@register
@dataclasses.dataclass(frozen=True, eq=False)
class TableScorer:
    """Scores that are known already: for rankings of other systems, and for tests.

    Attributes:
      table: float32 [U, I].

    >>> TableScorer(jnp.array([[1.0, 9.0], [7.0, 2.0]])).scores(jnp.array([1])).tolist()
    [[7.0, 2.0]]
    """

    item_axes: ClassVar[Mapping[str, int]] = {"table": 1}

    table: jax.Array

    @property
    def num_users(self) -> int:
        """U."""
        return self.table.shape[0]

    @property
    def num_items(self) -> int:
        """I."""
        return self.table.shape[1]

    def scores(self, users: jax.Array) -> jax.Array:
        """Look up the scores of users (int32 [B]), [B, I]."""
        return self.table[users]
