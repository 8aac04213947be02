"""Metrics, and what they measure; calibrations of scores, and rerankers of lists."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxrec.data import Interactions


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
