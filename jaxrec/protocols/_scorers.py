"""What a scorer may do besides scoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax

from jaxrec.types import Scorer

if TYPE_CHECKING:
    from jaxrec.data import SeenItems


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


@runtime_checkable
class UserRows(Protocol):
    """A scorer that has something of its own for each user, such as a vector.

    >>> import jax.numpy as jnp
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

    >>> import jax.numpy as jnp
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


@runtime_checkable
class ItemParts(Protocol):
    """A scorer whose scores of some items need a part of its arrays alone, so that devices can share the items.

    `scores` of a scorer whose arrays are cut along these axes gives the scores of those items, [B, their number].

    >>> import jax.numpy as jnp
    >>> from jaxrec.scorers import FactorScorer
    >>> scorer = FactorScorer(jnp.ones((2, 1)), jnp.ones((3, 1)), dim=1)
    >>> isinstance(scorer, ItemParts), dict(scorer.item_axes)
    (True, {'items': 0})
    """

    @property
    def item_axes(self) -> Mapping[str, int]:
        """The fields whose arrays have an axis of the items, each with that axis; none where it cannot be parted."""
        ...
