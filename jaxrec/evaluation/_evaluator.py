"""The evaluator: one ranking of the whole catalogue for every user with a test item, and all metrics from it."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation._auc_of_users import auc_of_users
from jaxrec.evaluation._beyond import TrainingFacts, check_facts, popularity_of
from jaxrec.evaluation._item_groups import check_item_groups
from jaxrec.evaluation._measure import measure_lists
from jaxrec.evaluation._metric_names import (
    OF_SCORES,
    Metrics,
    check_needs,
    ranking_depth,
    resolve_metrics,
    split_metrics,
)
from jaxrec.metrics._diversity import Distance, check_distance
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.ranking._topk import check_list_length, check_seen, recommend_lists
from jaxrec.reports._groups import Groups
from jaxrec.reports._report import Report
from jaxrec.scorers import PopularityScorer
from jaxrec.types import Scorer

__all__ = ["Metrics", "evaluate_scorer", "measure_lists", "resolve_metrics", "split_metrics"]

_DEFAULT_METRICS = ("recall", "precision", "ndcg")
_TIE_DEPTH = 10  # lists are ranked this deep at least, since the first few places may tie in a sound model


def evaluate_scorer(
    scorer: Scorer,
    truth: Interactions,
    *,
    seen: SeenItems,
    k: int | Sequence[int] = (10, 20),
    metrics: Metrics = _DEFAULT_METRICS,
    space: ItemSpace | None = None,
    distance: Distance = "euclidean",
    known: np.ndarray | None = None,
    facts: TrainingFacts | None = None,
    rule: CandidateRule | None = None,
    item_groups: Groups | None = None,
    memory_mb: float = 256,
    masked: str = "",
    fitted: str = "",
    catalogue: str = "",
) -> Report:
    """Rank the whole catalogue for every user with a test item, and measure the lists.

    Users without a test item are left out and counted. Test items without training data stay in the denominator of
    every metric; "recall_known@k", given whenever recall is, is the recall without them, over the users who have
    another test item (NaN for the rest, which means leave out). Nothing depends on the memory or on the order of the
    interactions, except where the scores themselves do (see `recommend_lists`).

    Besides functions of hits these have a name: "precision_length@k" divides by the items in the list instead of k;
    "r_precision" cuts the list of each user at the number of their test items, and ranks as deep as that asks for;
    "serendipity@k" counts the hits that popularity, ranked under the same mask, does not have in its k;
    "graded_ndcg@k" and "graded_ndcg_exponential@k" take the ratings in `truth` as gains; "auc" compares every test item
    with all other items that are not masked, which may take several times as long as the ranking.

    The distance of a list ("ild@k", given with a `space`) is over its items that have a vector; a list with fewer than
    two of them has 0, stays in the mean, and is counted.

    The counts of the report: `users_evaluated`; `users_without_test_items`; `test_pairs`; `test_pairs_untrained` (their
    item has no training data) and `users_with_untrained_test_items_only`; `test_pairs_masked` (masked as seen, so they
    cannot be found); `untrained_items`; `short_lists@k` (padded: fewer than k items were left); `tied_lists` (one score
    from first to last, ten places deep at least); with a rule those of `CandidateRule.counts`; with a space
    `items_without_vector`, `places_without_vector@k`, `undefined_ild@k` (fewer than two items with a vector). With the
    metric of the name `short_lists_r_precision` (fewer items in the list than in the test), `undefined_graded_ndcg` (no
    test item is rated above 0) and `undefined_auc` (no test item that is not masked, or no other item); the undefined
    ones are left out of the mean.

    Args:
      scorer: the model, see `jaxrec.types.Scorer`.
      truth: the test part; a pair that occurs twice counts once.
      seen: the items that are masked for each user: those of the training part when validation is measured, those of
        the training and validation parts when the test is.
      k: length of the lists, or several, all cut from one ranking.
      metrics: names from `jaxrec.metrics.RANKING_METRICS`, those above and `jaxrec.evaluation.NAMES`; or a
        mapping from a name of your own to a function `(hits [K], num_relevant [], *, k) -> float32 []` of one user,
        which is lifted by `jax.vmap`, with K the largest k.
      space: item vectors that all compared models share; None measures no distance.
      distance: "euclidean" or "cosine" in that space, or a function `(x [r], y [r]) -> number []` of two of its
        vectors, which is lifted by `jax.vmap`; see `jaxrec.metrics.pair_distances`.
      known: bool [I], the items with training data; by default those that occur in `seen`.
      facts: of the training data, for metrics beyond accuracy; by default popularity is counted in `seen`.
      rule: further items that are left out of the lists. Coverage and the like stay over the whole catalogue.
      item_groups: of the I items, see `jaxrec.evaluation.measure_item_groups`.
      memory_mb: bound in MiB for the ranking (see `recommend_lists`), and again for the measuring.
      masked: what `seen` is, in words, for the report.
      fitted: what the model was fitted on, in words.
      catalogue: what could be recommended, in words; by default all items.

    Returns:
      The report, with users in ascending order.

    Raises:
      DataError: `truth` is empty, or has negative or contradicting ratings where a metric takes them as gains.
      MismatchError: scorer, truth, seen, space, known, facts, rule or item_groups are of different users or items.
      JaxrecError: an unknown metric or distance, or a metric that needs ratings or categories that are not there; a k
        below 1 or above I; a score that is NaN or +inf; a rule that leaves no item; a function that gives a distance
        that is not finite.

    Warns:
      UserWarning: more than half of the lists have one score from first to last. Their order is that of the item
      indices, which is not neutral: data sets often list popular items first.

    >>> from jaxrec.data._seen import seen_items
    >>> from jaxrec.scorers import TableScorer
    >>> train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 2, 3])
    >>> test = train.select([1, 3])
    >>> table = TableScorer(jnp.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]))
    >>> report = evaluate_scorer(table, test, seen=seen_items(train.select([0, 2])), k=(1, 3), metrics=["recall"])
    >>> report.mean("recall@1"), report.mean("recall@3")
    (0.5, 1.0)
    """
    started = time.perf_counter()
    num_items = truth.num_items
    cutoffs = _check_cutoffs(k, num_items)
    functions, beyond = split_metrics(metrics)
    check_distance(distance)
    _check_shapes(scorer, truth, seen, space)
    seen = SeenItems(np.asarray(seen.indptr), np.asarray(seen.items))
    trained = _trained_items(seen, known, num_items)
    facts = popularity_of(seen, num_items) if facts is None else facts
    check_needs(beyond, truth, facts, scores=True)
    check_item_groups(item_groups, num_items)
    rule = CandidateRule() if rule is None else rule
    rule.check(truth.num_users, num_items)
    check_facts(facts, truth.num_users, num_items)
    relevant = seen_items(truth)
    users = np.flatnonzero(np.diff(relevant.indptr)).astype(np.int32)

    depth = min(max(*cutoffs, _TIE_DEPTH), num_items)
    deepest = min(ranking_depth(beyond, np.diff(relevant.indptr), depth), num_items)
    left_out = rule.with_seen(seen, num_items)
    among = {"seen": left_out, "exclude": rule.exclude, "candidates": rule.candidates, "memory_mb": memory_mb}
    lists, scores = recommend_lists(scorer, users, depth, **among)
    tied = _tied_lists(scores)
    if deepest > depth:
        lists = _deepened(scorer, users, lists, np.diff(relevant.indptr)[users], deepest, among)
    if 2 * tied > len(users):
        warnings.warn(
            f"{tied:,} of {len(users):,} lists have one score from first to last: the scorer does not tell items "
            "apart, and the order of the item indices decides; these figures say nothing about it",
            UserWarning,
            stacklevel=2,
        )
    popular = None
    if "serendipity" in beyond:
        popularity = PopularityScorer(jnp.asarray(facts.popularity, jnp.float32), num_users=truth.num_users)
        popular, _ = recommend_lists(popularity, users, cutoffs[-1], **among)
    report = measure_lists(
        lists,
        users,
        truth,
        trained=trained,
        cutoffs=cutoffs,
        functions=functions,
        beyond=tuple(name for name in beyond if name not in OF_SCORES),
        facts=facts,
        popular=popular,
        item_groups=item_groups,
        space=space,
        distance=distance,
        memory_mb=memory_mb,
    )
    of_scores, undefined = {}, {}
    if "auc" in beyond:
        of_scores["auc"] = auc_of_users(scorer, users, relevant, **among)
        undefined["undefined_auc"] = int(np.isnan(of_scores["auc"]).sum())
    return dataclasses.replace(
        report,
        per_user={**report.per_user, **of_scores},
        counts={
            **report.counts,
            **undefined,
            "test_pairs_masked": _count_common(relevant, seen, num_items),
            **rule.counts(relevant, num_items),
            "tied_lists": tied,
        },
        seconds=time.perf_counter() - started,
        masked=rule.masked(masked),
        fitted=fitted,
        catalogue=rule.catalogue(catalogue or report.catalogue),
    )


def _check_cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    cutoffs = tuple(k) if isinstance(k, Sequence) else (k,)
    if not cutoffs:
        raise JaxrecError("k is empty; pass at least one length, for example (10, 20)")
    for cut in cutoffs:
        check_list_length(cut, num_items)
    return tuple(sorted({int(cut) for cut in cutoffs}))


def _check_shapes(scorer: Scorer, truth: Interactions, seen: SeenItems, space: ItemSpace | None) -> None:
    if (scorer.num_users, scorer.num_items) != (truth.num_users, truth.num_items):
        raise MismatchError(
            f"the scorer is of {scorer.num_users:,} users and {scorer.num_items:,} items, and truth of "
            f"{truth.num_users:,} and {truth.num_items:,}; evaluate a model on the split that it was made for"
        )
    check_seen(seen, truth.num_users, truth.num_items)
    if space is not None and space.num_items != truth.num_items:
        raise MismatchError(
            f"space has {space.num_items:,} items and truth {truth.num_items:,}; make it from one split"
        )
    if not len(truth):
        raise DataError(
            "truth has no interaction; there is nothing to evaluate on, choose a split with a larger test part"
        )


def _trained_items(seen: SeenItems, known: np.ndarray | None, num_items: int) -> np.ndarray:
    if known is None:
        return np.bincount(np.asarray(seen.items), minlength=num_items) > 0
    known = np.asarray(known)
    if known.shape != (num_items,) or known.dtype != bool:
        raise MismatchError(f"known is {known.dtype}{list(known.shape)}, expected bool[{num_items}]: one entry an item")
    return known


def _deepened(
    scorer: Scorer, users: np.ndarray, lists: np.ndarray, sizes: np.ndarray, deepest: int, among: dict[str, Any]
) -> np.ndarray:
    """Lists [n, deepest] that go at least as deep as each user has relevant items, `sizes` [n], padded with -1."""
    # A deep ranking costs several times a shallow one, and few users need it: they are ranked again in steps of depth.
    done = depth = lists.shape[1]
    out = np.full((len(users), deepest), -1, np.int32)
    out[:, :depth] = lists
    while done < deepest:
        depth = min(4 * done, deepest)
        rows = np.flatnonzero((sizes > done) & (sizes <= depth))
        if len(rows):
            out[rows, :depth] = recommend_lists(scorer, users[rows], depth, **among)[0]
        done = depth
    return out


def _tied_lists(scores: np.ndarray) -> int:
    """How many lists of at least two items have one score throughout; scores are float32 [n, K], -inf is padding."""
    length = np.isfinite(scores).sum(axis=1)
    last = scores[np.arange(len(scores)), np.maximum(length, 1) - 1]
    return int(((length >= 2) & (scores[:, 0] == last)).sum())


def _count_common(a: SeenItems, b: SeenItems, num_items: int) -> int:
    pairs = [
        np.repeat(np.arange(rows.num_users, dtype=np.int64), np.diff(rows.indptr)) * num_items + np.asarray(rows.items)
        for rows in (a, b)
    ]
    return len(np.intersect1d(*pairs, assume_unique=True))
