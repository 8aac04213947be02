"""The scorer of a small network over features of the graph of interactions, among candidates or over all items."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import register, static
from jaxrec.scorers._histories import unit_sums, with_own
from jaxrec.scorers._likeness import Lane, lanes_at, likeness_for, vectors_at, weighed
from jaxrec.sparse import SparseOperator, spmm

_FLOOR = 1e-9  # of a lane, under its logarithm
_CURVE = 100.0  # low-pass scores are of the order of 1e-3 to 1e-1
_BLOCK = 512  # items at a time where all of them go through the network


@register
@dataclasses.dataclass(frozen=True)
class GraphFeatures:
    """What the graph says of users, given their histories, and items.

    For each lane its product with the Gram matrix, and for each end in `ends` the low-pass score of so many vectors.
    `table` makes features of them: the logarithm of each lane, each low-pass score, curved by the inverse hyperbolic
    sine, and the logarithms of both degrees.

    Attributes:
      interactions: R [V, I], binary.
      owns: scales of the items of a history, each [I].
      lanes: products with the Gram matrix.
      scale: [I], of the first lane in the linear score that candidates are chosen by.
      vectors: [I, k].
      item_degrees: float32 [I], at least 1.
      ends: ascending; static.

    >>> GraphFeatures(None, (), (1, 2, 3), None, None, None, ends=(8, 16)).size
    7
    """

    interactions: SparseOperator
    owns: tuple[jax.Array, ...]
    lanes: tuple[Lane, ...]
    scale: jax.Array
    vectors: jax.Array
    item_degrees: jax.Array
    ends: tuple[int, ...] = static()

    @property
    def size(self) -> int:
        """F, the number of features."""
        return len(self.lanes) + len(self.ends) + 2

    def of_users(self, history: SeenItems, users: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """The lanes, each [I, B], and the coordinates [B, k] of users (int32 [B])."""
        alike, placed = likeness_for(self.lanes, self.interactions, history, users, self.owns)
        return tuple(self._over_all(alike, *each) for each in placed), self._coordinates(history, users)

    def _over_all(self, alike: jax.Array, place: int, lane: Lane) -> jax.Array:
        return spmm(self.interactions.T, weighed(alike[:, :, place], lane).T)

    def _coordinates(self, history: SeenItems, users: jax.Array) -> jax.Array:
        (sums,) = unit_sums(history, users, self.vectors, (self.item_degrees**-0.5,))
        return sums

    def low_pass(self, sums: jax.Array, items: jax.Array) -> jax.Array:
        """The low-pass scores [ends, B, C] of B users with coordinates [B, k] at items int32 [B, C] of each."""
        rank = self.vectors.shape[1]
        passes = jnp.arange(rank, dtype=jnp.int32)[:, None] < jnp.asarray(self.ends, jnp.int32)[None, :]
        of_users = jnp.where(passes[None], sums[:, :, None], 0)  # [B, k, ends]
        return jnp.moveaxis(vectors_at(self.vectors, of_users, items), 2, 0)

    def low_pass_of_all(self, sums: jax.Array, items: jax.Array) -> jax.Array:
        """The same [ends, C, B] at items int32 [C] that all users share."""
        vectors, starts = self.vectors[items], (0, *self.ends[:-1])
        bands = [vectors[:, at:end] @ sums[:, at:end].T for at, end in zip(starts, self.ends, strict=True)]
        return jnp.cumsum(jnp.stack(bands), axis=0)

    def table(self, lanes: jax.Array, low: jax.Array, item_degrees: jax.Array, user_degrees: jax.Array) -> jax.Array:
        """The features [F, ...] of lanes [L, ...], low-pass scores [ends, ...] and degrees that broadcast to [...]."""
        degrees = [jnp.log(jnp.broadcast_to(one, low.shape[1:]))[None] for one in (item_degrees, user_degrees)]
        return jnp.concatenate([jnp.log(jnp.maximum(lanes, _FLOOR)), jnp.arcsinh(_CURVE * low), *degrees])

    def of_candidates(
        self, history: SeenItems, users: jax.Array, count: int
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Choose candidates, int32 [B, C], with their lanes [L, B, C] and low-pass scores [ends, B, C].

        The last of the four arrays is the linear score [I, B] that they are chosen by.
        """
        alike, placed = likeness_for(self.lanes, self.interactions, history, users, self.owns)
        linear = self.scale[:, None] * self._over_all(alike, *placed[0])
        open_items = with_own(history, users, linear, -1.0).T
        _, found = jax.lax.top_k(open_items, min(count, linear.shape[0]))
        lanes = lanes_at(self.interactions, alike, placed, found)
        return found, lanes, self.low_pass(self._coordinates(history, users), found), linear


@register
@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """Hidden layers with SiLU, and a linear skip, over standardized features.

    Several networks of one shape have their arrays in one, along a leading axis, and the mean of their logits counts.

    Attributes:
      shift: [F], the mean of each feature.
      scale: [F], the reciprocal of its standard deviation.
      weights: matrices from each layer to the next, [h, F] first and [1, g] last; [N, h, F] of N networks.
      biases: of the hidden layers, [h] or [N, h].
      skip: [1, F] or [N, 1, F].

    >>> ones = jnp.ones((1, 1))
    >>> network = FeatureNetwork(jnp.zeros(1), jnp.ones(1), (ones, ones), (jnp.zeros(1),), ones)
    >>> [f"{logit:.3f}" for logit in network(jnp.array([[0.0, 1.0]])).tolist()]  # 1 / (1 + exp(-1)), and 1
    ['0.000', '1.731']
    """

    shift: jax.Array
    scale: jax.Array
    weights: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]
    skip: jax.Array

    def __call__(self, features: jax.Array) -> jax.Array:
        """The logits [...] of features [F, ...]."""
        x = (features.reshape(features.shape[0], -1) - self.shift[:, None]) * self.scale[:, None]
        hidden = x
        for weight, bias in zip(self.weights, self.biases, strict=False):
            hidden = jax.nn.silu(weight @ hidden + bias[..., None])
        logits = self.weights[-1] @ hidden + self.skip @ x  # [1, ...] or [N, 1, ...]
        return jnp.mean(logits.reshape(-1, *features.shape[1:]), axis=0)


@register
@dataclasses.dataclass(frozen=True)
class NetworkScorer:
    """Scores of a network over graph features: of the best candidates of a linear score, or of all items.

    What the network does not score is ranked below what it scores, in the order of the linear score. Candidates are
    items that the user does not have.

    Attributes:
      history: the items of each user who is scored.
      features: of the graph.
      network: from features to a logit.
      candidates: C, how many items of a user are candidates; None for all items; static.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r, ones = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))), jnp.ones(3)
    >>> features = GraphFeatures(r, (ones,), (Lane(jnp.ones(2), 0, 0),), ones, jnp.ones((3, 1)), ones, ends=(1,))
    >>> skip = jnp.array([[0.0, 0.0, 1.0, 0.0]])  # the logarithm of the degree of the item, 0 here
    >>> nothing = (jnp.zeros((1, 4)), jnp.zeros((1, 1)))
    >>> network = FeatureNetwork(jnp.zeros(4), jnp.ones(4), nothing, (jnp.zeros(1),), skip)
    >>> scorer = NetworkScorer(SeenItems(jnp.array([0, 1]), jnp.array([0])), features, network, candidates=1)
    >>> scorer.scores(jnp.array([0])).tolist()  # item 1 is the candidate; the others are below
    [[-1.0, 0.0, -2.0]]
    """

    history: SeenItems
    features: GraphFeatures
    network: FeatureNetwork
    candidates: int | None = static(default=400)

    @property
    def num_users(self) -> int:
        """The number of users of `history`."""
        return self.history.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return self.features.item_degrees.shape[0]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return self._scores(self.history, users)

    def _scores(self, history: SeenItems, users: jax.Array) -> jax.Array:
        return self.scores_with(history, users)

    def scores_with(
        self, history: SeenItems, users: jax.Array, further: Callable[[jax.Array | None], jax.Array] | None = None
    ) -> jax.Array:
        """Score all items [B, I], where the network takes G further features beside those of the graph.

        Args:
          history: the items of each user.
          users: int32 [B].
          further: from items int32 [B, C] of each user to [G, B, C], and from None, for all items, to [G, B, I].
        """
        features, degrees = self.features, degrees_of(history, users)
        if self.candidates is None:
            lanes, sums = features.of_users(history, users)
            return self._of_all(lanes, sums, degrees, None if further is None else jnp.swapaxes(further(None), 1, 2)).T
        found, at_found, low, linear = features.of_candidates(history, users, self.candidates)
        table = features.table(at_found, low, features.item_degrees[found], degrees[:, None])
        logits = self.network(table if further is None else jnp.concatenate([table, further(found)]))
        rows = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]
        return below(linear.T, jnp.min(logits, axis=1)).at[rows, found].set(logits)

    def _of_all(
        self, lanes: tuple[jax.Array, ...], sums: jax.Array, degrees: jax.Array, further: jax.Array | None
    ) -> jax.Array:
        """The logits of all items, [I, B], a block of items at a time; `further` is [G, I, B]."""
        features, size = self.features, min(_BLOCK, self.num_items)
        blocks = -(-self.num_items // size)

        def one(at: jax.Array) -> jax.Array:
            items = jnp.minimum(at + jnp.arange(size, dtype=jnp.int32), self.num_items - 1)
            low, of_items = features.low_pass_of_all(sums, items), features.item_degrees[items][:, None]
            at_items = jnp.stack([lane[items] for lane in lanes])
            table = features.table(at_items, low, of_items, degrees[None, :])
            return self.network(table if further is None else jnp.concatenate([table, further[:, items]]))

        logits = jax.lax.map(one, jnp.arange(blocks, dtype=jnp.int32) * size)
        return logits.reshape(blocks * size, -1)[: self.num_items]

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def with_history(self, history: SeenItems) -> NetworkScorer:
        """The scorer for users with these items, also for those who were not fitted on."""
        return dataclasses.replace(self, history=jax.tree.map(jnp.asarray, history))

    def similarities(self, items: jax.Array) -> jax.Array:
        """Score all items for a user who has one of the items (int32 [B]) alone, [B, I]."""
        alone = SeenItems(jnp.arange(items.shape[0] + 1, dtype=jnp.int32), items)
        return self._scores(alone, jnp.arange(items.shape[0], dtype=jnp.int32))


def degrees_of(history: SeenItems, users: jax.Array) -> jax.Array:
    """The numbers of items of users, float32 [B], at least 1.

    >>> import numpy as np
    >>> degrees_of(SeenItems(np.array([0, 3, 3]), np.arange(3)), jnp.array([0, 1])).tolist()
    [3.0, 1.0]
    """
    indptr = jnp.asarray(history.indptr)
    return jnp.maximum(indptr[users + 1] - indptr[users], 1).astype(jnp.float32)


def below(linear: jax.Array, least: jax.Array) -> jax.Array:
    """Scores [B, I] in the order of the linear score, between 1 and 2 below the least [B] of the others.

    >>> below(jnp.array([[1.0, 5.0, 3.0]]), jnp.array([0.0])).tolist()
    [[-2.0, -1.0, -1.5]]
    """
    low, high = jnp.min(linear, axis=1, keepdims=True), jnp.max(linear, axis=1, keepdims=True)
    spread = jnp.where(high > low, high - low, 1)
    return least[:, None] - 2 + (linear - low) / spread
