"""The accuracy-diversity curve: one model's candidates re-ranked at several trade-offs, each measured in full."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.evaluation._catalog import MAIN_METRICS
from jaxrec.evaluation._choice import Metrics
from jaxrec.evaluation._evaluator import check_same_catalog
from jaxrec.evaluation._judgments import judgments
from jaxrec.evaluation._measure import measure_lists
from jaxrec.evaluation._training_statistics import TrainingStatistics, statistics_of_seen
from jaxrec.metrics._diversity import Distance
from jaxrec.protocols import Reranker
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.ranking._reranking import chosen_reranker, rerank
from jaxrec.ranking._topk import recommend_lists
from jaxrec.reports._report import Report
from jaxrec.types import Scorer

TRADE_OFFS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


class CurvePoint(NamedTuple):
    """One point of an accuracy-diversity curve.

    Attributes:
      trade_off: from 1 (the lists as the model ranks them) down to 0 (diversity alone).
      report: what the lists at this trade-off measure.

    >>> CurvePoint(1.0, Report(np.arange(1), {"ndcg@20": np.array([0.5])})).report.mean("ndcg@20")
    0.5
    """

    trade_off: float
    report: Report


def accuracy_diversity_curve(
    scorer: Scorer,
    truth: Interactions,
    *,
    seen: SeenItems,
    space: ItemSpace,
    k: int = 20,
    trade_offs: Sequence[float] = TRADE_OFFS,
    candidates: int = 100,
    reranker: Reranker | str | None = None,
    distance: Distance = "euclidean",
    metrics: Metrics = MAIN_METRICS,
    known: np.ndarray | None = None,
    training: TrainingStatistics | None = None,
    memory_mb: float = 256,
    method: str | None = None,
) -> list[CurvePoint]:
    """Rank once, re-rank the candidates at each trade-off, and measure accuracy and diversity of every result.

    The ranking is made once, `candidates` deep; each trade-off then chooses k of them (see
    `jaxrec.ranking`). At a trade-off of 1 the lists are the model's own.

    Args:
      scorer: the model, see `jaxrec.types.Scorer`.
      truth: the test part.
      seen: what is masked for each user, as in `evaluate_scorer`.
      space: item vectors, of the re-ranking and of the distances that are reported.
      k: length of the lists.
      trade_offs: from 0 to 1, in the order of the points.
      candidates: how many of the best items of a user are re-ranked; at least k.
      reranker: a frozen object with a field `trade_off`, which is replaced at each point, or a name; by default
        `jaxrec.ranking.MMR` with the distance of the report.
      distance: of the report.
      metrics, known, training, memory_mb: as in `evaluate_scorer`.
      method: the reranker's name, as 0.1 took it.

    Returns:
      A point for each trade-off. Its report has recall, "ild@k", coverage and what `metrics` asks for; its `seconds`
      are those of re-ranking and measuring, without the ranking.

    Raises:
      JaxrecError: no trade-off, or one outside 0..1; k outside 1..candidates; candidates above the number of items.
      DataError: `truth` is empty.

    >>> from jaxrec.data import seen_items
    >>> from jaxrec.ranking import feature_space
    >>> from jaxrec.scorers import TableScorer
    >>> data = Interactions.from_arrays([0, 0, 0, 0], [0, 1, 2, 3])
    >>> table = TableScorer(np.array([[0.0, 3.0, 2.9, 2.0]], np.float32))
    >>> points = accuracy_diversity_curve(
    ...     table, data.select([1]), seen=seen_items(data.select([0])), k=2, candidates=3, trade_offs=(1.0, 0.5),
    ...     space=feature_space(np.array([[0.0], [0.0], [0.1], [5.0]])))
    >>> [(point.trade_off, round(point.report.mean("ild@2"), 3)) for point in points]
    [(1.0, 0.1), (0.5, 5.0)]
    """
    if not trade_offs:
        raise JaxrecError("trade_offs is empty; pass at least one number from 0 to 1")
    if not 1 <= k <= candidates:
        raise JaxrecError(f"k must lie in 1..candidates, got k={k} and candidates={candidates}")
    check_same_catalog(scorer, truth)
    judged = judgments(
        truth,
        seen=seen,
        k=k,
        metrics=metrics,
        space=space,
        distance=distance,
        known=known,
        training=statistics_of_seen(seen, truth.num_items) if training is None else training,
        memory_mb=memory_mb,
        scores=False,
    )
    rule = chosen_reranker(reranker, method=method, distance=distance)
    if not any(field.name == "trade_off" for field in dataclasses.fields(rule)):  # pyright: ignore[reportArgumentType]
        raise JaxrecError(f"reranker is {rule!r} without a field trade_off, which the curve goes along")
    lists, scores = recommend_lists(scorer, judged.users, candidates, seen=seen, memory_mb=memory_mb)
    points = []
    for trade_off in trade_offs:
        started = time.perf_counter()
        at = dataclasses.replace(rule, trade_off=trade_off)  # pyright: ignore[reportArgumentType]
        report = measure_lists(rerank(lists, scores, space, k, at)[0], judged)
        took = time.perf_counter() - started
        points.append(CurvePoint(float(trade_off), dataclasses.replace(report, seconds=took)))
    return points


def curve_rows(points: Sequence[CurvePoint], names: Sequence[str], *, level: float = 0.95) -> list[dict[str, Any]]:
    """A curve as plain numbers, for JSON or a frame: a row for each point.

    Args:
      points: of `accuracy_diversity_curve`.
      names: values of the reports, such as "ndcg@20" and "ild@20".
      level: the probability of the intervals over users.

    Returns:
      Rows of `trade_off`, and of each name its mean, with NAME_low and NAME_high where it is a per-user value.

    >>> report = Report(np.arange(2), {"ndcg@20": np.array([0.5, 0.5])}, {"coverage@20": 0.25})
    >>> curve_rows([CurvePoint(1.0, report)], ["ndcg@20", "coverage@20"])
    [{'trade_off': 1.0, 'ndcg@20': 0.5, 'ndcg@20_low': 0.5, 'ndcg@20_high': 0.5, 'coverage@20': 0.25}]
    """
    rows = []
    for trade_off, report in points:
        row: dict[str, Any] = {"trade_off": trade_off}
        for name in names:
            row[name] = report.mean(name)
            if name in report.per_user:
                row[f"{name}_low"], row[f"{name}_high"] = report.interval(name, level)
        rows.append(row)
    return rows
