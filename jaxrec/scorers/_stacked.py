"""The scorer of a network that takes the scores of other models as further features of a pair."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import HistoryScorer, UserRows, VectorScorer
from jaxrec.pytrees import register
from jaxrec.scorers._likeness import vectors_at
from jaxrec.scorers._networks import NetworkScorer


@register
@dataclasses.dataclass(frozen=True)
class StackedScorer:
    """Scores of a network over graph features and the scores of other models, its members.

    The first layer of the network has a column for each feature of the graph, and then one for each member. The
    network standardizes them all alike, by the means and spreads of its learning. A score that is not finite counts
    as 0.

    Attributes:
      graph: the network and the features of the graph; its network takes M features more than these.
      members: the scorers of the M members, see `jaxrec.types.Scorer`.

    >>> from jaxrec.scorers import FeatureNetwork, GraphFeatures, Lane, TableScorer
    >>> from jaxrec.sparse import from_dense, operator
    >>> r, ones = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))), jnp.ones(3)
    >>> features = GraphFeatures(r, (ones,), (Lane(jnp.ones(2), 0, 0),), ones, jnp.ones((3, 1)), ones, ends=(1,))
    >>> skip = jnp.array([[0.0, 0.0, 0.0, 0.0, 1.0]])  # of the four features of the graph nothing, and the member
    >>> weights = jnp.zeros((1, 5)), jnp.zeros((1, 1))
    >>> network = FeatureNetwork(jnp.zeros(5), jnp.ones(5), weights, (jnp.zeros(1),), skip)
    >>> graph = NetworkScorer(SeenItems(jnp.array([0, 1]), jnp.array([0])), features, network, candidates=None)
    >>> StackedScorer(graph, (TableScorer(jnp.array([[1.0, 2.0, 4.0]])),)).scores(jnp.array([0])).tolist()
    [[1.0, 2.0, 4.0]]
    """

    graph: NetworkScorer
    members: tuple[Any, ...]

    @property
    def num_users(self) -> int:
        """U."""
        return self.graph.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return self.graph.num_items

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return self.graph.scores_with(
            self.graph.history, users, lambda items: member_scores(self.members, users, items)
        )

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def similarities(self, items: jax.Array) -> jax.Array:
        """Score all items for a user who has one of the items (int32 [B]) alone, [B, I], by the graph.

        The members take no part: each is as if at its mean.
        """
        size, network = self.graph.features.size, self.graph.network
        first, *others = network.weights
        alone = dataclasses.replace(
            network,
            shift=network.shift[:size],
            scale=network.scale[:size],
            weights=(first[..., :size], *others),
            skip=network.skip[..., :size],
        )
        return dataclasses.replace(self.graph, network=alone).similarities(items)

    def replaced(self, rows: jax.Array, others: StackedScorer) -> StackedScorer:
        """The scorer in which the users `rows` (int32 [n]) have what the n users of another one have; rows past U drop.

        Raises:
          JaxrecError: a member that has nothing of its own for each user, and does not ask for the items alone.
        """
        history = replaced_rows(self.graph.history, np.asarray(rows), others.graph.history)
        members = []
        for mine, theirs in zip(self.members, others.members, strict=True):
            if isinstance(mine, UserRows):
                members.append(mine.replaced(rows, theirs))
            elif isinstance(mine, HistoryScorer):
                members.append(mine.with_history(history))
            else:
                raise JaxrecError(
                    f"a member has a {type(mine).__name__}, which has no method `replaced`, so it cannot serve users "
                    "who are held out of training; leave this member out, or use another split"
                )
        return StackedScorer(self.graph.with_history(history), tuple(members))


def member_scores(members: tuple[Any, ...], users: jax.Array, items: jax.Array | None) -> jax.Array:
    """The scores that M members give items int32 [B, C] of users int32 [B], [M, B, C]; all items, [M, B, I], for None.

    >>> from jaxrec.scorers import FactorScorer, TableScorer
    >>> factors = FactorScorer(jnp.ones((1, 1)), jnp.array([[3.0], [4.0]]), dim=1)
    >>> member_scores((TableScorer(jnp.array([[1.0, 2.0]])), factors), jnp.array([0]), jnp.array([[1, 0, 1]])).tolist()
    [[[2.0, 1.0, 2.0]], [[4.0, 3.0, 4.0]]]
    """
    made = jnp.stack([_scores_at(member, users, items) for member in members])
    return jnp.where(jnp.isfinite(made), made, 0)


def _scores_at(member: Any, users: jax.Array, items: jax.Array | None) -> jax.Array:
    if items is None:
        return member.scores(users)
    if isinstance(member, VectorScorer):
        return vectors_at(member.items, member.users[users][:, :, None], items)[:, :, 0]
    return jnp.take_along_axis(member.scores(users), items, axis=1)


def replaced_rows(history: SeenItems, rows: np.ndarray, others: SeenItems) -> SeenItems:
    """The items of each user, where the users `rows` (int32 [n]) have those of n others; rows past U drop.

    >>> two, one = SeenItems(np.array([0, 1, 3]), np.array([7, 8, 9])), SeenItems(np.array([0, 2]), np.array([4, 5]))
    >>> made = replaced_rows(two, np.array([0]), one)
    >>> made.indptr.tolist(), made.items.tolist()
    ([0, 2, 4], [4, 5, 8, 9])
    """
    (starts, items), (other_starts, other_items) = (map(np.asarray, each) for each in (history, others))
    kept = rows < len(starts) - 1
    counts, where = np.diff(starts), starts[:-1].astype(np.int64)
    source = np.concatenate([items, other_items])
    counts[rows[kept]] = np.diff(other_starts)[kept]
    where[rows[kept]] = len(items) + other_starts[:-1][kept]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    at = np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts) + np.repeat(where, counts)
    return SeenItems(jnp.asarray(indptr), jnp.asarray(source[at].astype(np.int32)))
