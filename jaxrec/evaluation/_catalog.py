"""The catalog of metrics: each an object over a pure function of `jaxrec.metrics`, found by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, JaxrecError
from jaxrec.metrics import _ranking as ranking
from jaxrec.metrics._auc import auc_of_items
from jaxrec.metrics._categories import category_coverage, miscalibration
from jaxrec.metrics._diversity import catalog_coverage, mean_pair_distance
from jaxrec.metrics._exposure import gini, personalization, shannon_entropy
from jaxrec.metrics._novelty import average_popularity, long_tail_share, novelty, serendipity
from jaxrec.protocols import AllLists, Metric, RatedPairs, UserList, UserScores

DEFAULT_K = (10, 20)
DEFAULT_METRICS = ("recall", "precision", "ndcg")
MAIN_METRICS = ("recall", "ndcg")
"""Where there is room for two metrics."""

SHARE = (0.0, 1.0)
POSITIVE = (0.0, float("inf"))
"""Bounds of values."""

_HIGHEST_GRADE = 100.0  # float32 holds the sums of 2^grade - 1 below it


@dataclasses.dataclass(frozen=True)
class OfHits(Metric):
    """A metric that is a function of the hits of a list.

    Attributes:
      name: of the metric.
      function: `(hits [K], num_relevant [], *, k) -> number []`, such as those of `jaxrec.metrics`.
      also, bounds: see `jaxrec.protocols.Metric`.

    >>> OfHits("recall", ranking.recall)(UserList(jnp.array([True, False]), jnp.int32(4)), k=2).item()
    0.25
    """

    name: str
    function: Callable[..., Any]
    also: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """The function of the hits."""
        return self.function(user.hits, user.num_relevant, k=k)


def num_hits(hits: jax.Array, num_relevant: jax.Array, /, *, k: int | None = None) -> jax.Array:
    """The hits among the first k places.

    >>> num_hits(jnp.array([True, False, True]), jnp.int32(9), k=2).item()
    1
    """
    return jnp.sum(hits[:k], dtype=jnp.int32)


recall = OfHits("recall", ranking.recall, also=("recall_known",), bounds=SHARE)
precision = OfHits("precision", ranking.precision, bounds=SHARE)
hit_rate = OfHits("hit_rate", ranking.hit_rate, bounds=SHARE)
f1 = OfHits("f1", ranking.f1, bounds=SHARE)
ndcg = OfHits("ndcg", ranking.ndcg, bounds=SHARE)
average_precision = OfHits("average_precision", ranking.average_precision, bounds=SHARE)
reciprocal_rank = OfHits("reciprocal_rank", ranking.reciprocal_rank, bounds=SHARE)
ap = OfHits("ap", ranking.average_precision, bounds=SHARE)  # by their short names
mrr = OfHits("mrr", ranking.reciprocal_rank, bounds=SHARE)
capped_recall = OfHits("capped_recall", ranking.capped_recall, bounds=SHARE)
ndcg_k = OfHits("ndcg_k", ranking.ndcg_k, bounds=SHARE)
average_precision_min = OfHits("average_precision_min", ranking.average_precision_min, bounds=SHARE)
hits = OfHits("hits", num_hits, bounds=POSITIVE)

OF_GROUPS = (recall, ndcg, hits)
"""What is measured for each group of items."""


class RecallKnown(Metric):
    """Recall on warm items: without the test items that have no training data."""

    name = "recall_known"
    needs = frozenset({"trained"})
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for a user without a warm test item."""
        value = ranking.recall(user.hits & user.trained, user.num_relevant_trained, k=k)
        return jnp.where(user.num_relevant_trained > 0, value, jnp.nan)


class PrecisionLength(Metric):
    """Precision over the items in the list instead of k."""

    name = "precision_length"
    needs = frozenset({"items"})
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.precision`."""
        length = jnp.sum(user.listed >= 0, dtype=jnp.int32)
        return ranking.precision(user.hits, user.num_relevant, k=k, over="length", length=length)


class RPrecision(Metric):
    """Precision of the list cut at the number of relevant items."""

    name = "r_precision"
    needs = frozenset({"depth"})
    at_k = False
    bounds = SHARE

    def __call__(self, user: UserList, *, k: None) -> jax.Array:
        """See `jaxrec.metrics.r_precision`."""
        return ranking.r_precision(user.deep_hits, user.num_relevant)


class Serendipity(Metric):
    """The share of places with a hit that popularity does not have."""

    name = "serendipity"
    needs = frozenset({"items", "popular"})
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.serendipity`."""
        return serendipity(user.hits[:k], user.listed[:k], user.popular[:k])


@dataclasses.dataclass(frozen=True)
class GradedNDCG(Metric):
    """nDCG with the ratings of the test items as gains.

    Attributes:
      name: of the metric.
      gain: "linear" or "exponential".

    >>> GradedNDCG("graded_ndcg_exponential", "exponential").undefined
    'undefined_graded_ndcg'
    """

    name: str = "graded_ndcg"
    gain: ranking.Gain = "linear"
    needs = frozenset({"grades"})
    undefined = "undefined_graded_ndcg"
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for a user without a rating above 0."""
        value = ranking.graded_ndcg(user.grades, user.ideal_grades, k=k, gain=self.gain)
        return jnp.where(user.ideal_grades[0] > 0, value, jnp.nan)

    def check(self, truth: Interactions) -> None:
        """Refuse ratings that are no gains."""
        assert truth.rating is not None
        highest = _HIGHEST_GRADE if self.gain == "exponential" else np.inf
        for bad, error, why in (
            (truth.rating < 0, DataError, "a gain is 0 or more; move the scale, as rating - rating.min()"),
            (truth.rating >= highest, JaxrecError, "2^rating does not fit float32 from 100 on; use a smaller scale"),
        ):
            if bad.any():
                at = int(np.argmax(bad))
                raise error(
                    f"the metric {self.name!r} takes ratings as gains, and {int(bad.sum()):,} of {len(truth):,} in "
                    f"truth do not fit, the first {truth.rating[at]:g} (user {truth.users.ids[truth.user[at]]!s}, item "
                    f"{truth.items.ids[truth.item[at]]!s}); {why}"
                )


graded_ndcg_exponential = GradedNDCG("graded_ndcg_exponential", "exponential")


class AUC(Metric):
    """The share of pairs of a relevant and another item in which the relevant one scores higher."""

    name = "auc"
    over = "scores"
    at_k = False
    undefined = "undefined_auc"
    bounds = SHARE

    def __call__(self, user: UserScores, *, k: None) -> jax.Array:
        """See `jaxrec.metrics.auc`."""
        return auc_of_items(user.scores, user.relevant, user.candidates)


class IntraListDistance(Metric):
    """The mean distance between two items of a list that have a vector."""

    name = "ild"
    needs = frozenset({"vectors"})
    bounds = POSITIVE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for a list with fewer than two vectors; see `jaxrec.metrics.intra_list_distance`."""
        value = mean_pair_distance(user.distances[:k, :k], user.placed[:k])
        return jnp.where(jnp.sum(user.placed[:k], dtype=jnp.int32) < 2, jnp.nan, value)


class Coverage(Metric):
    """The share of the catalog that is in at least one list."""

    name = "coverage"
    over = "lists"

    def __call__(self, lists: AllLists, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.catalog_coverage`."""
        return catalog_coverage(lists.listed, lists.exposure.shape[0])


class Novelty(Metric):
    """The mean self-information of the items of a list, in bits."""

    name = "novelty"
    needs = frozenset({"items", "training"})
    bounds = POSITIVE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for an empty list; see `jaxrec.metrics.novelty`."""
        return _of_some(user, novelty(user.listed[:k], user.popularity, user.num_training_users))


class AveragePopularity(Metric):
    """The mean number of training interactions of the items of a list."""

    name = "average_popularity"
    needs = frozenset({"items", "training"})
    higher_is_better = False
    bounds = POSITIVE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for an empty list; see `jaxrec.metrics.average_popularity`."""
        return _of_some(user, average_popularity(user.listed[:k], user.popularity))


class LongTail(Metric):
    """The share of a list outside of the most popular items with 80% of the training interactions."""

    name = "long_tail"
    needs = frozenset({"items", "training"})
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for an empty list; see `jaxrec.metrics.long_tail_share`."""
        return _of_some(user, long_tail_share(user.listed[:k], user.long_tail))


class Miscalibration(Metric):
    """The divergence of the categories of a list from those of the user's history."""

    name = "miscalibration"
    needs = frozenset({"items", "categories"})
    higher_is_better = False
    bounds = POSITIVE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """NaN for a user without a history; see `jaxrec.metrics.miscalibration`."""
        value = miscalibration(user.listed[:k], user.history, user.categories)
        return jnp.where(jnp.sum(user.history) > 0, value, jnp.nan)


class CategoryCoverage(Metric):
    """The share of the categories that a list has."""

    name = "category_coverage"
    needs = frozenset({"items", "categories"})
    bounds = SHARE

    def __call__(self, user: UserList, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.category_coverage`."""
        return category_coverage(user.listed[:k], user.categories)


class Gini(Metric):
    """The Gini index of exposure over the whole catalog."""

    name = "gini"
    over = "lists"
    higher_is_better = False

    def __call__(self, lists: AllLists, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.gini`."""
        return gini(lists.exposure)


class ShannonEntropy(Metric):
    """The Shannon entropy of exposure, in nats."""

    name = "shannon_entropy"
    over = "lists"

    def __call__(self, lists: AllLists, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.shannon_entropy`."""
        return shannon_entropy(lists.exposure)


class Personalization(Metric):
    """The mean distance between the lists of two users."""

    name = "personalization"
    over = "lists"

    def __call__(self, lists: AllLists, *, k: int) -> jax.Array:
        """See `jaxrec.metrics.personalization`."""
        return personalization(lists.exposure, lists.listed.shape[0], k)


class RMSE(Metric):
    """The root mean squared error of predicted ratings."""

    name = "rmse"
    over = "ratings"
    at_k = False
    higher_is_better = False
    bounds = POSITIVE

    def __call__(self, pairs: RatedPairs, *, k: None) -> np.ndarray:
        """The squared errors."""
        return (pairs.predicted - pairs.actual) ** 2

    def of_mean(self, mean: Any) -> Any:
        """The root."""
        return mean**0.5


class MAE(Metric):
    """The mean absolute error of predicted ratings."""

    name = "mae"
    over = "ratings"
    at_k = False
    higher_is_better = False
    bounds = POSITIVE

    def __call__(self, pairs: RatedPairs, *, k: None) -> np.ndarray:
        """The absolute errors."""
        return abs(pairs.predicted - pairs.actual)


DEFAULT_RATING_METRICS = ("rmse", "mae")


def _of_some(user: UserList, value: jax.Array) -> jax.Array:
    return jnp.where(user.listed[0] < 0, jnp.nan, value)
