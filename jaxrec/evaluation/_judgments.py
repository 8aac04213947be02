"""What lists are measured against: made and checked once for an evaluation, and passed down whole."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.evaluation._choice import Metrics, resolve_metrics, with_companions
from jaxrec.evaluation._item_groups import check_item_groups
from jaxrec.evaluation._training_statistics import TrainingStatistics
from jaxrec.metrics._diversity import Distance, check_distance, distance_name
from jaxrec.protocols import Metric
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._checks import Lengths, check_k, check_seen
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.ranking._topk import recommend_lists
from jaxrec.reports._groups import Groups
from jaxrec.scorers import PopularityScorer


@dataclasses.dataclass(frozen=True, eq=False)
class Judgments:
    """What lists are measured against, and how. `judgments` makes and checks it.

    Attributes:
      truth: the test part.
      relevant: the test items of each user.
      users: int32 [n], every user with a test item, ascending.
      cutoffs: lengths of the lists, ascending.
      metrics: all that is measured, what comes unasked included.
      seen: the items that are masked for each user.
      rule: further items that are left out of the lists.
      left_out: the items that each user cannot get: the seen ones and those of the rule.
      trained: bool [I], the items with training data.
      trained_users: bool [U], the users with training data.
      training: statistics of the training data, or None.
      space: item vectors, or None.
      distance: in that space.
      item_groups: of the I items, or None.
      memory_mb: bound in MiB for the ranking, and again for the measuring.

    >>> truth = Interactions.from_arrays([0, 1], [1, 0])
    >>> judgments(truth, seen=seen_items(truth.select([])), k=1, metrics=["auc"]).metrics[0].higher_is_better
    True
    """

    truth: Interactions
    relevant: SeenItems
    users: np.ndarray
    cutoffs: tuple[int, ...]
    metrics: tuple[Metric, ...]
    seen: SeenItems
    rule: CandidateRule
    left_out: SeenItems
    trained: np.ndarray
    trained_users: np.ndarray
    training: TrainingStatistics | None
    space: ItemSpace | None
    distance: Distance
    item_groups: Groups | None
    memory_mb: float

    @property
    def num_items(self) -> int:
        """I."""
        return self.truth.num_items

    @property
    def among(self) -> dict[str, Any]:
        """What may be recommended, as `recommend_lists` takes it."""
        rule = self.rule
        return {
            "seen": self.left_out,
            "exclude": rule.exclude,
            "candidates": rule.candidates,
            "memory_mb": self.memory_mb,
        }

    @property
    def sizes(self) -> np.ndarray:
        """The number of relevant items of each of the users, int [n]."""
        return np.diff(self.relevant.indptr)[self.users]

    def needs(self, word: str) -> bool:
        """Whether a metric needs it; see `jaxrec.protocols.NEEDS`."""
        return any(word in metric.needs for metric in self.metrics)

    def of(self, over: str) -> tuple[Metric, ...]:
        """The metrics of a kind."""
        return tuple(metric for metric in self.metrics if metric.over == over)

    def depth(self, least: int) -> int:
        """How long the lists must be, at least `least`."""
        return min(max(least, int(self.sizes.max(initial=0))) if self.needs("depth") else least, self.num_items)

    @functools.cached_property
    def grades(self) -> np.ndarray:
        """The rating of each relevant item, float32 [E], in the rows of `relevant`."""
        return grades_of(self.truth)

    @functools.cached_property
    def popular(self) -> np.ndarray:
        """The most popular items that could be recommended to each user, int32 [n, K]."""
        assert self.training is not None
        scorer = PopularityScorer(jnp.asarray(self.training.popularity, jnp.float32), num_users=self.truth.num_users)
        return recommend_lists(scorer, self.users, self.cutoffs[-1], **self.among)[0]

    @functools.cached_property
    def setting(self) -> dict[str, str]:
        """Fingerprints of what must be the same in reports that are averaged."""
        rule, space = self.rule, self.space
        return {
            "test": _digest(*self.relevant),
            "masked": _digest(*self.left_out),
            "catalog": _digest(rule.exclude, rule.candidates, np.array(self.num_items)),
            "space": "" if space is None else f"{space.fingerprint} {distance_name(self.distance)}",
        }


def judgments(
    truth: Interactions,
    *,
    seen: SeenItems,
    k: Lengths = DEFAULT_K,
    metrics: Metrics = DEFAULT_METRICS,
    space: ItemSpace | None = None,
    distance: Distance = "euclidean",
    known: np.ndarray | None = None,
    known_users: np.ndarray | None = None,
    training: TrainingStatistics | None = None,
    rule: CandidateRule | None = None,
    item_groups: Groups | None = None,
    memory_mb: float = 256,
    scores: bool = True,
) -> Judgments:
    """Make and check what lists are measured against.

    Args:
      truth, seen, k, metrics, space, distance, known, known_users, rule, item_groups, memory_mb: as in
        `evaluate_scorer`.
      training: statistics of the training data; None where they are not known.
      scores: whether the score of every item is known, or lists only.

    Raises:
      DataError, MismatchError, JaxrecError: see `evaluate_scorer`.

    >>> truth = Interactions.from_arrays([0, 1], [1, 0])
    >>> made = judgments(truth, seen=seen_items(truth.select([])), k=[2, 1], metrics="recall")
    >>> made.users.tolist(), made.cutoffs, [metric.name for metric in made.metrics]
    ([0, 1], (1, 2), ['recall', 'recall_known', 'coverage'])
    """
    if not len(truth):
        raise DataError(
            "truth has no interaction; there is nothing to evaluate on, choose a split with a larger test part"
        )
    num_users, num_items = truth.num_users, truth.num_items
    check_seen(seen, num_users, num_items)
    seen = SeenItems(np.asarray(seen.indptr), np.asarray(seen.items))
    check_distance(distance)
    if space is not None and space.num_items != num_items:
        raise MismatchError(f"space has {space.num_items:,} items and truth {num_items:,}; make it from one split")
    check_item_groups(item_groups, num_items)
    rule = CandidateRule() if rule is None else rule
    rule.check(num_users, num_items)
    if training is not None:
        training.check(num_users, num_items)
    relevant = seen_items(truth)
    made = Judgments(
        truth=truth,
        relevant=relevant,
        users=np.flatnonzero(np.diff(relevant.indptr)).astype(np.int32),
        cutoffs=check_k(k, num_items),
        metrics=with_companions(resolve_metrics(metrics), distances=space is not None),
        seen=seen,
        rule=rule,
        left_out=rule.with_seen(seen, num_items),
        trained=_trained("known", known, np.bincount(seen.items, minlength=num_items) > 0, "an item"),
        trained_users=_trained("known_users", known_users, np.diff(seen.indptr) > 0, "a user"),
        training=training,
        space=space,
        distance=distance,
        item_groups=item_groups,
        memory_mb=memory_mb,
    )
    for metric in made.metrics:
        _check_needs(metric, made, scores)
        metric.check(truth)
    if made.needs("grades"):
        made.grades  # noqa: B018 - contradicting ratings are refused before anything is ranked
    return made


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


def _check_needs(metric: Metric, made: Judgments, scores: bool) -> None:
    """Refuse a metric whose needs are not there."""
    training = made.training
    missing: Mapping[str, tuple[bool, str]] = {
        "training": (training is None, "needs the training data; pass train"),
        "popular": (training is None, "needs the training data; pass train"),
        "categories": (
            training is None or training.item_categories is None,
            "needs item_categories; pass them, or leave the metric out",
        ),
        "vectors": (made.space is None, "needs vectors of the items; pass a space, or leave the metric out"),
        "grades": (
            made.truth.rating is None,
            "takes the rating of a test item as its gain, and truth has no ratings; keep them, or use 'ndcg'",
        ),
    }
    for word in (one for one in missing if one in metric.needs):
        lacks, told = missing[word]
        if lacks:
            raise JaxrecError(f"the metric {metric.name!r} {told}")
    if metric.over == "scores" and not scores:
        raise JaxrecError(
            f"the metric {metric.name!r} needs the score of every item, and lists have none; use jaxrec.evaluate, or "
            "jaxrec.evaluation.evaluate_scorer with a TableScorer of the system's scores"
        )


def _trained(name: str, given: np.ndarray | None, of_seen: np.ndarray, what: str) -> np.ndarray:
    """Which items or users have training data: as given, or as what is seen says."""
    if given is None:
        return of_seen
    known = np.asarray(given)
    if known.shape != of_seen.shape or known.dtype != bool:
        raise MismatchError(
            f"{name} is {known.dtype}{list(known.shape)}, expected bool[{len(of_seen)}]: one entry {what}"
        )
    return known


def _digest(*arrays: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(b"none" if array is None else np.asarray(array).tobytes())
    return digest.hexdigest()
