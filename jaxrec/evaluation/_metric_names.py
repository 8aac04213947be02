"""The metrics of a report by name: which are functions of the hits of a list, and what the others need."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, JaxrecError
from jaxrec.evaluation._beyond import NAMES, TrainingFacts, check_names
from jaxrec.metrics._ranking import RANKING_METRICS, Gain, RankingMetric

Metrics = Sequence[str] | Mapping[str, RankingMetric]
"""Names, or a mapping from a name of your own to a function of one user."""

GRADED: Mapping[str, Gain] = types.MappingProxyType({"graded_ndcg": "linear", "graded_ndcg_exponential": "exponential"})
"""The metrics whose gains are the ratings of the test items."""

OF_LISTS = ("precision_length", "r_precision", "serendipity", *GRADED)
"""The metrics of accuracy that need more of a list than its hits."""

OF_SCORES = ("auc",)
"""The metrics that need the score of every item, not a list."""

_OWN = ("recall_known", "ild", "coverage")  # a report has these without being asked
_HIGHEST_GRADE = 100.0  # float32 holds the sums of 2^grade - 1 below it


def split_metrics(metrics: Metrics) -> tuple[Mapping[str, RankingMetric], tuple[str, ...]]:
    """The functions of hits, and the names of all other metrics.

    Raises:
      JaxrecError: see `resolve_metrics`.

    >>> functions, others = split_metrics(["recall", "novelty", "auc"])
    >>> list(functions), others
    (['recall'], ('novelty', 'auc'))
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    if isinstance(metrics, Mapping):
        return resolve_metrics(metrics), ()
    more = (*NAMES, *OF_LISTS, *OF_SCORES)
    others = tuple(dict.fromkeys(name for name in metrics if name in more))
    functions = [name for name in metrics if name not in more]
    return resolve_metrics(functions) if functions or not others else {}, others


def resolve_metrics(metrics: Metrics) -> Mapping[str, RankingMetric]:
    """The functions behind the names of metrics; a mapping is returned as it is, once checked.

    Raises:
      JaxrecError: an unknown name, a value that is no function, a name that a report gives itself, or no metric.

    >>> list(resolve_metrics(["recall", "f1"]))
    ['recall', 'f1']
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    if not metrics:
        raise JaxrecError("metrics is empty; name at least one, for example 'recall'")
    if isinstance(metrics, Mapping):
        for name, function in metrics.items():
            if not isinstance(name, str) or not callable(function):
                raise JaxrecError(f"metric {name!r} is {function!r}; pass a mapping from a name to a function")
            if name in _OWN:
                raise JaxrecError(f"metric {name!r} has a name that every report uses itself; choose another name")
        return types.MappingProxyType(dict(metrics))
    for name in metrics:
        if name in (*NAMES, *OF_LISTS, *OF_SCORES):
            raise JaxrecError(f"the metric {name!r} is no function of hits; pass its name to an evaluation")
        if name not in RANKING_METRICS:
            raise JaxrecError(
                f"unknown metric {name!r}; choose from "
                f"{', '.join((*RANKING_METRICS, *OF_LISTS, *OF_SCORES, *NAMES))}, or pass {{name: function}}"
            )
    return types.MappingProxyType({name: RANKING_METRICS[name] for name in metrics})


def check_needs(names: Sequence[str], truth: Interactions, facts: TrainingFacts | None, *, scores: bool) -> None:
    """Check that what the named metrics need is there.

    Args:
      names: as `split_metrics` gives them; others need nothing.
      truth: the test part.
      facts: of the training data, or None.
      scores: whether the score of every item is known, or lists only.

    Raises:
      JaxrecError: no training data, categories, scores or ratings for a metric that needs them; a rating that is too
        high for the exponential gain.
      DataError: a negative rating, or a pair with two different ones.

    >>> check_needs(["r_precision"], Interactions.from_arrays([0], [0]), None, scores=False)
    """
    check_names([name for name in names if name in NAMES], facts)
    for name in names:
        if name in OF_SCORES and not scores:
            raise JaxrecError(
                f"the metric {name!r} needs the score of every item, and lists have none; use jaxrec.evaluate, or "
                "jaxrec.evaluation.evaluate_scorer with a TableScorer of the system's scores"
            )
        if name == "serendipity" and facts is None:
            raise JaxrecError(f"the metric {name!r} needs the training data; pass train")
        if name in GRADED:
            _check_grades(name, truth)


def ranking_depth(names: Sequence[str], sizes: np.ndarray, depth: int) -> int:
    """How long the lists must be: as the most relevant items of any user where "r_precision" is asked for.

    Args:
      names: as `split_metrics` gives them.
      sizes: int [U], the number of relevant items of each user.
      depth: what the rest needs.

    >>> ranking_depth(["r_precision"], np.array([3, 12]), 10), ranking_depth(["auc"], np.array([3, 12]), 10)
    (12, 10)
    """
    return max(depth, int(sizes.max(initial=0))) if "r_precision" in names else depth


def grades_of(truth: Interactions) -> np.ndarray:
    """The rating of each pair of a user and an item, in the order of `seen_items(truth)`.

    Raises:
      DataError: there is no rating, or a pair has two different ones.

    >>> grades_of(Interactions.from_arrays([0, 1, 0], [1, 0, 0], [5, 2, 3]))
    array([3., 5., 2.], dtype=float32)
    """
    if truth.rating is None:
        raise DataError("truth has no ratings, which are the grades; keep the ratings of the data")
    pair = truth.user.astype(np.int64) * truth.num_items + truth.item
    order = np.argsort(pair, kind="stable")
    pair, rating = pair[order], truth.rating[order]
    again = np.diff(pair, prepend=-1) == 0
    differ = again & (rating != np.roll(rating, 1))
    if differ.any():
        at = order[np.argmax(differ)]
        raise DataError(
            f"truth rates {int(differ.sum()):,} pairs twice and differently, such as item "
            f"{truth.items.ids[truth.item[at]]!s} of user {truth.users.ids[truth.user[at]]!s}; choose one rating with "
            "jaxrec.data.deduplicate"
        )
    return rating[~again]


def _check_grades(name: str, truth: Interactions) -> None:
    if truth.rating is None:
        raise JaxrecError(
            f"the metric {name!r} takes the rating of a test item as its gain, and truth has no ratings; keep them, or "
            "use 'ndcg'"
        )
    highest = _HIGHEST_GRADE if GRADED[name] == "exponential" else np.inf
    for bad, error, why in (
        (truth.rating < 0, DataError, "a gain is 0 or more; move the scale, as rating - rating.min()"),
        (truth.rating >= highest, JaxrecError, "2^rating does not fit float32 from 100 on; use a smaller scale"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            raise error(
                f"the metric {name!r} takes ratings as gains, and {int(bad.sum()):,} of {len(truth):,} in truth do not "
                f"fit, the first {truth.rating[at]:g} (user {truth.users.ids[truth.user[at]]!s}, item "
                f"{truth.items.ids[truth.item[at]]!s}); {why}"
            )
    grades_of(truth)
