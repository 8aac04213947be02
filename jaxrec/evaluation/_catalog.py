"""The catalog of metrics: each an object over a pure function of `jaxrec.metrics`, found by its name."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec import registry
from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, JaxrecError
from jaxrec.metrics import _ranking as ranking
from jaxrec.metrics._auc import auc_of_items
from jaxrec.metrics._categories import category_coverage, miscalibration
from jaxrec.metrics._diversity import catalog_coverage, mean_pair_distance
from jaxrec.metrics._exposure import gini, personalization, shannon_entropy
from jaxrec.metrics._novelty import average_popularity, long_tail_share, novelty, serendipity
from jaxrec.protocols import NEEDS, AllLists, Metric, RatedPairs, UserList, UserScores
from jaxrec.reports._values import OLD_METRIC_NAMES

Metrics = str | Metric | Mapping[str, Callable[..., Any]] | Sequence[str | Metric | Mapping[str, Callable[..., Any]]]
"""Names, metrics, and mappings from a name of your own to a function `(hits [K], num_relevant [], *, k)`, mixed."""

DEFAULT_K = (10, 20)
DEFAULT_METRICS = ("recall", "precision", "ndcg")
MAIN_METRICS = ("recall", "ndcg")
"""Where there is room for two metrics."""

SHARE = (0.0, 1.0)
POSITIVE = (0.0, float("inf"))
"""Bounds of values."""

_OVER = ("user", "scores", "lists", "ratings")
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


def resolve_metrics(metrics: Metrics, *, over: Sequence[str] = _OVER[:3]) -> tuple[Metric, ...]:
    """The metrics that are meant by names, objects and functions.

    Args:
      metrics: names of the registry, `jaxrec.protocols.Metric` objects or classes, and mappings from a name of your own
        to a function `(hits [K], num_relevant [], *, k) -> number []`; one of them, or several in a sequence.
      over: the kinds of metrics that can be measured here.

    Returns:
      The metrics in the order given, each once.

    Raises:
      JaxrecError: an unknown name, something that is no metric, two metrics of one name, a metric of another kind, or
        none at all.

    >>> [metric.name for metric in resolve_metrics(["recall", {"mine": ranking.recall}, Gini()])]
    ['recall', 'mine', 'gini']
    """
    words = (metrics,) if isinstance(metrics, (str, Mapping)) or callable(metrics) else metrics
    found: dict[str, Metric] = {}
    for word in words:
        for metric in _some(word):
            if found.setdefault(metric.name, metric) != metric:
                raise JaxrecError(f"two metrics are named {metric.name!r}; give each its own name")
            if metric.over not in over:
                raise JaxrecError(_elsewhere(metric))
    if not found:
        raise JaxrecError("metrics is empty; name at least one, for example 'recall'")
    return tuple(found.values())


def with_companions(metrics: Iterable[Metric], *, distances: bool) -> tuple[Metric, ...]:
    """The metrics with those that every report has unasked: what they bring along, distances, and coverage.

    Raises:
      JaxrecError: one of the metrics has a name that a report uses itself.

    >>> [metric.name for metric in with_companions([recall], distances=True)]
    ['recall', 'recall_known', 'ild', 'coverage']
    """
    metrics = tuple(metrics)
    unasked = {name: registry.make("metric", name) for name in (*recall.also, IntraListDistance.name, Coverage.name)}
    for metric in metrics:
        if unasked.get(metric.name, metric) != metric:
            raise JaxrecError(f"metric {metric.name!r} has a name that every report uses itself; choose another name")
    more = [registry.make("metric", name) for metric in metrics for name in metric.also]
    more += [IntraListDistance(), Coverage()] if distances else [Coverage()]
    return tuple({metric.name: metric for metric in (*metrics, *more)}.values())


def _some(word: Any) -> list[Metric]:
    """The metrics behind a word, an object or a mapping."""
    if isinstance(word, Mapping):
        return [_of_function(name, function) for name, function in word.items()]
    if isinstance(word, str):
        if word in OLD_METRIC_NAMES:
            new = OLD_METRIC_NAMES[word]
            warnings.warn(
                f"the metric {word!r} is a name of 0.1 and goes in 0.3; use {new!r}", DeprecationWarning, stacklevel=5
            )
            return [_renamed(registry.make("metric", new), word)]
        # Entry points are looked at for names of others only, since reading them takes time.
        if word not in registry.BUILT_IN["metric"] and word not in registry.names("metric"):
            raise JaxrecError(
                f"unknown metric {word!r}; choose from {', '.join(registry.names('metric'))}, or pass a metric or "
                "{name: function} of your own"
            )
    made = registry.make("metric", word)
    name = getattr(made, "name", None)
    if not isinstance(name, str) or not callable(made):
        raise JaxrecError(
            f"{word!r} is no metric; pass a name, {{name: function}}, or an object of a class that derives from "
            "jaxrec.protocols.Metric"
        )
    _check_name(name)
    metric = cast(Metric, made)
    if metric.over not in _OVER:
        raise JaxrecError(f"the metric {name!r} is over {metric.over!r}; choose one of {', '.join(_OVER)}")
    if unknown := sorted(set(metric.needs) - set(NEEDS)):
        raise JaxrecError(f"the metric {name!r} needs {unknown[0]!r}, which is none of {', '.join(NEEDS)}")
    return [metric]


def _of_function(name: Any, function: Any) -> Metric:
    if not isinstance(name, str) or not callable(function):
        raise JaxrecError(f"metric {name!r} is {function!r}; pass a mapping from a name to a function")
    _check_name(name)
    # A function that is in the catalog brings along what it brings along there.
    return OfHits(name, function, recall.also if function is recall.function else ())


def _check_name(name: str) -> None:
    if not name or "@" in name or " [" in name:
        raise JaxrecError(f"metric {name!r} has a name with '@' or ' [', which values use for k and groups; rename it")


def _renamed(metric: Metric, name: str) -> Metric:
    """A copy under another name."""
    if dataclasses.is_dataclass(metric):
        return dataclasses.replace(metric, name=name)  # pyright: ignore[reportArgumentType]
    copy = type(metric)()
    copy.name = name
    return copy


def _elsewhere(metric: Metric) -> str:
    if metric.over == "ratings":
        return f"the metric {metric.name!r} is of predicted ratings; pass it to jaxrec.evaluate_ratings"
    return f"the metric {metric.name!r} is of ranked items, not of predicted ratings; pass it to jaxrec.evaluate"


def _of_some(user: UserList, value: jax.Array) -> jax.Array:
    return jnp.where(user.listed[0] < 0, jnp.nan, value)
