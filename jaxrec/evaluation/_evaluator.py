"""The evaluator: one ranking of the whole catalog for every user with a test item, and all metrics from it."""

from __future__ import annotations

import dataclasses
import time
import warnings

import numpy as np
from jax.sharding import Mesh

from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import common_pairs
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._auc_of_users import measure_scores
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.evaluation._choice import Metrics
from jaxrec.evaluation._judgments import Judgments, judgments
from jaxrec.evaluation._measure import count_undefined, measure_lists, value_names
from jaxrec.evaluation._training_statistics import TrainingStatistics, statistics_of_seen
from jaxrec.metrics._diversity import Distance
from jaxrec.parallel import Layout
from jaxrec.progress import work
from jaxrec.protocols import Reranker
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._checks import Lengths
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.ranking._reranking import RERANK_DEPTH, check_rerank_depth, chosen_reranker, rerank
from jaxrec.ranking._topk import recommend_lists
from jaxrec.reports._groups import Groups
from jaxrec.reports._report import Report
from jaxrec.types import Scorer

_TIE_DEPTH = 10  # lists are ranked this deep at least, since the first few places may tie in a sound model
_RANKING, _MEASURING, _OVER_SCORES = 3, 1, 12  # about how long each takes, for the time that is left


def evaluate_scorer(
    scorer: Scorer,
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
    reranker: Reranker | str | None = None,
    rerank_depth: int = RERANK_DEPTH,
    memory_mb: float = 256,
    masked: str = "",
    fitted: str = "",
    catalogue: str = "",
    facts: TrainingStatistics | None = None,
    mesh: int | Layout | Mesh | None = None,
) -> Report:
    """Rank the whole catalog for every user with a test item, and measure the lists.

    Users without a test item are left out and counted. Test items without training data stay in the denominator of
    every metric; "recall_known@k", given whenever recall is, is recall on warm items. A value of NaN leaves the user
    out of the mean. Distances ("ild@k", given with a `space`) are over the items of a list that have a vector; a list
    with fewer than two of them has none, and is left out of the mean. Users without training data stay in the means;
    `Report.of_trained_users` gives those without them. Nothing depends on the memory or on the order of the
    interactions, except where the scores themselves do (see `recommend_lists`).

    Counts of the report:

    ======================================  =========================================================================
    users_evaluated                         users with a test item
    users_without_test_items                the others
    users_untrained                         of those evaluated, users without training data
    test_pairs                              pairs of a user and a test item
    test_pairs_untrained                    of items without training data
    test_pairs_disliked                     with a rating of 0 or less, which count as relevant all the same
    users_with_untrained_test_items_only    users with none but such
    test_pairs_masked                       masked as seen, so they cannot be found
    untrained_items                         items without training data
    short_lists@k                           lists with fewer than k items
    tied_lists                              lists of one score from first to last, ten places deep at least
    lists_with_ties                         lists with two neighbors of one score, within the largest k and one place
                                            behind it; there the order of the catalog decides
    test_pairs_excluded, ...                with a rule, those of `CandidateRule.counts`
    items_without_vector                    with a space
    places_without_vector@k                 with a space, places of items without a vector
    undefined_ild@k                         with a space, lists with fewer than two items with a vector
    short_lists_r_precision                 lists with fewer items than the user has test items
    undefined_graded_ndcg, undefined_auc    users without a value: no rating above 0; no pair to compare
    ======================================  =========================================================================

    Args:
      scorer: the model, see `jaxrec.types.Scorer`.
      truth: the test part; a pair that occurs twice counts once.
      seen: the items that are masked for each user: those of the training part when validation is measured, those of
        the training and validation parts when the test is.
      k: length of the lists, or several, all cut from one ranking.
      metrics: names, `jaxrec.protocols.Metric` objects, and mappings from a name of your own to a function
        `(hits [K], num_relevant [], *, k) -> number []` of one user, with K the largest k; one or several, mixed. See
        `jaxrec.evaluation.resolve_metrics`. "auc" may take several times as long as the ranking.
      space: item vectors that all compared models share; None measures no distance.
      distance: "euclidean" or "cosine" in that space, or a function `(x [r], y [r]) -> number []` of two of its
        vectors, which is lifted by `jax.vmap`; see `jaxrec.metrics.pair_distances`.
      known: bool [I], the items with training data; by default those that occur in `seen`.
      known_users: bool [U], the users with training data; by default those who have a seen item.
      training: statistics of the training data, for metrics beyond accuracy; by default popularity is counted in
        `seen`.
      rule: further items that are left out of the lists. Coverage and the like stay over the whole catalog.
      item_groups: of the I items, for "recall@k [label]" and the like.
      reranker: what chooses the items of the longest list from the best `rerank_depth` of a user, a name or an object
        such as `jaxrec.ranking.MMR(0.7)`, by the vectors of `space`; None keeps the model's order. Metrics of scores,
        such as AUC, are of the model as it is; what goes deeper than the lists sees the other items behind them.
      rerank_depth: how many items it chooses from, at least the longest k.
      memory_mb: bound in MiB for the ranking (see `recommend_lists`), and again for the measuring.
      masked: description of `seen`, for the report.
      fitted: name of what the model was fitted on, for the report.
      catalogue: description of what could be recommended; by default all items.
      facts: `training`, as 0.1 named it.
      mesh: several devices that share the users while they are ranked, see `recommend_lists`. The lists come to the
        host in the order of the users and are measured there, so the report has the bits of one device.

    Returns:
      The report, with users in ascending order.

    Raises:
      DataError: `truth` is empty, or has negative or contradicting ratings where a metric takes them as gains.
      MismatchError: scorer, truth, seen, space, known, training, rule or item_groups are of different users or items.
      JaxrecError: an unknown metric or distance, or a metric that needs ratings or categories that are not there; a k
        below 1 or above I; a score that is NaN or +inf; a rule that leaves no item; a function that gives a distance
        that is not finite.

    Warns:
      UserWarning: more than half of the lists have one score from first to last. Their order is that of the item
      indices, which is not neutral: data sets often list popular items first.

    >>> from jaxrec.data import seen_items
    >>> from jaxrec.scorers import TableScorer
    >>> train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 2, 3])
    >>> test = train.select([1, 3])
    >>> table = TableScorer(np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]], np.float32))
    >>> report = evaluate_scorer(table, test, seen=seen_items(train.select([0, 2])), k=(1, 3), metrics=["recall"])
    >>> report.mean("recall@1"), report.mean("recall@3")
    (0.5, 1.0)
    """
    started = time.perf_counter()
    if facts is not None:
        if training is not None:
            raise JaxrecError("training and facts are given, two names of one thing; pass training alone")
        warnings.warn("facts is a name of 0.1 and goes in 0.3; use training", DeprecationWarning, stacklevel=2)
        training = facts
    check_same_catalog(scorer, truth)
    judged = judgments(
        truth,
        seen=seen,
        k=k,
        metrics=metrics,
        space=space,
        distance=distance,
        known=known,
        known_users=known_users,
        training=statistics_of_seen(seen, truth.num_items) if training is None else training,
        rule=rule,
        item_groups=item_groups,
        memory_mb=memory_mb,
    )
    chosen = None if reranker is None else chosen_reranker(reranker, distance=distance)
    over_scores = judged.of("scores")
    with work("evaluating", _RANKING + _MEASURING + (_OVER_SCORES if over_scores else 0)):
        with work("", share=_RANKING):
            lists, tied, some = _rank(scorer, judged, chosen, rerank_depth, mesh)
        if 2 * tied > len(lists):
            warnings.warn(
                f"{tied:,} of {len(lists):,} lists have one score from first to last: the scorer does not tell items "
                "apart, and the order of the item indices decides; these figures say nothing about it",
                UserWarning,
                stacklevel=2,
            )
        with work("", share=_MEASURING):
            report = measure_lists(lists, judged)
        with work("", share=_OVER_SCORES):
            of_scores = measure_scores(over_scores, scorer, judged.users, judged.relevant, **judged.among)
    per_user = {**report.per_user, **of_scores}
    rule, num_items = judged.rule, judged.num_items
    order = [name for one in judged.metrics for name in value_names(one, judged.cutoffs) if name in per_user]
    return dataclasses.replace(
        report,
        per_user={name: per_user[name] for name in dict.fromkeys([*order, *per_user])},
        counts={
            **report.counts,
            **count_undefined(over_scores, judged.cutoffs, of_scores),
            "test_pairs_masked": common_pairs(judged.relevant, judged.seen, num_items=num_items),
            **rule.counts(judged.relevant, num_items),
            "tied_lists": tied,
            "lists_with_ties": some,
        },
        seconds=time.perf_counter() - started,
        masked=rule.masked(masked),
        fitted=fitted,
        catalogue=rule.catalogue(catalogue or report.catalogue),
        setting={
            **report.setting,
            "fitted": fitted,
            **({} if chosen is None else {"reranker": f"{chosen!r} of {rerank_depth}"}),
        },
    )


def check_same_catalog(scorer: Scorer, truth: Interactions) -> None:
    """Check that a scorer is of the users and items of the test part.

    Raises:
      MismatchError: it is not.

    >>> from jaxrec.scorers import TableScorer
    >>> check_same_catalog(TableScorer(np.zeros((1, 1), np.float32)), Interactions.from_arrays([0], [7]))
    """
    if (scorer.num_users, scorer.num_items) != (truth.num_users, truth.num_items):
        raise MismatchError(
            f"the scorer is of {scorer.num_users:,} users and {scorer.num_items:,} items, and truth of "
            f"{truth.num_users:,} and {truth.num_items:,}; evaluate a model on the split that it was made for"
        )


def _rank(
    scorer: Scorer,
    judged: Judgments,
    reranker: Reranker | None = None,
    rerank_depth: int = RERANK_DEPTH,
    mesh: int | Layout | Mesh | None = None,
) -> tuple[np.ndarray, int, int]:
    """The lists int32 [n, K] as deep as the metrics need; how many have one score throughout, and how many ties."""
    longest = judged.cutoffs[-1]
    shallow = min(max(longest, _TIE_DEPTH), judged.num_items)
    depth = min(max(longest + 1, shallow), judged.num_items)
    if reranker is not None:
        check_rerank_depth(rerank_depth, longest)
        depth = min(max(depth, rerank_depth), judged.num_items)
    lists, scores = recommend_lists(scorer, judged.users, depth, **judged.among, mesh=mesh)
    tied, some = _tied_lists(scores[:, :shallow]), _lists_with_ties(scores[:, : longest + 1])
    order = None if reranker is None else _reranked(lists, scores, judged, reranker, rerank_depth)
    if judged.depth(depth) > depth:
        lists = _deepened(scorer, judged, lists)
    return lists if order is None else chosen_first(lists, order), tied, some


def _reranked(
    lists: np.ndarray, scores: np.ndarray, judged: Judgments, reranker: Reranker, rerank_depth: int
) -> np.ndarray:
    if judged.space is None:
        raise JaxrecError("reranker chooses by vectors of the items; pass a space, or leave the re-ranker out")
    return rerank(lists[:, :rerank_depth], scores[:, :rerank_depth], judged.space, judged.cutoffs[-1], reranker)[0]


def chosen_first(lists: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Put some items of each list in front, in their order, and the others behind them in that of the list.

    Args:
      lists: int32 [n, K], -1 for padding.
      chosen: int32 [n, k], items of the same list, -1 for padding; k <= K.

    >>> chosen_first(np.array([[4, 2, 7, -1]]), np.array([[7, 4]])).tolist()
    [[7, 4, 2, -1]]
    """
    row = np.arange(len(lists), dtype=np.int64)[:, None] * (int(lists.max(initial=0)) + 2)
    first = np.isin(row + lists + 1, row + chosen + 1) & (lists >= 0)
    rest = np.take_along_axis(lists, np.argsort(first, axis=1, kind="stable"), axis=1)
    return np.concatenate([chosen, rest[:, : lists.shape[1] - chosen.shape[1]]], axis=1).astype(lists.dtype)


def _deepened(scorer: Scorer, judged: Judgments, lists: np.ndarray) -> np.ndarray:
    """Lists [n, K] that go at least as deep as each user has relevant items, padded with -1."""
    # A deep ranking costs several times a shallow one, and few users need it: they are ranked again in steps of depth.
    done = depth = lists.shape[1]
    deepest, sizes = judged.depth(depth), judged.sizes
    out = np.full((len(lists), deepest), -1, np.int32)
    out[:, :depth] = lists
    while done < deepest:
        depth = min(4 * done, deepest)
        rows = np.flatnonzero((sizes > done) & (sizes <= depth))
        if len(rows):
            out[rows, :depth] = recommend_lists(scorer, judged.users[rows], depth, **judged.among)[0]
        done = depth
    return out


def _lists_with_ties(scores: np.ndarray) -> int:
    """How many lists have two neighbors of one score; scores are float32 [n, K], -inf is padding."""
    return int(((scores[:, 1:] == scores[:, :-1]) & np.isfinite(scores[:, 1:])).any(axis=1).sum())


def _tied_lists(scores: np.ndarray) -> int:
    """How many lists of at least two items have one score throughout; scores are float32 [n, K], -inf is padding."""
    length = np.isfinite(scores).sum(axis=1)
    last = scores[np.arange(len(scores)), np.maximum(length, 1) - 1]
    return int(((length >= 2) & (scores[:, 0] == last)).sum())
