"""The evaluator: metrics of full rankings, of given lists, of sampled candidates and of ratings."""

from typing import Any

from jaxrec._moved import old_name
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS, DEFAULT_RATING_METRICS
from jaxrec.evaluation._choice import Metrics, resolve_metrics
from jaxrec.evaluation._evaluator import evaluate_scorer
from jaxrec.evaluation._item_groups import measure_item_groups
from jaxrec.evaluation._judgments import Judgments, judgments
from jaxrec.evaluation._measure import measure_lists
from jaxrec.evaluation._ratings import evaluate_rating_scorer, predict_pairs
from jaxrec.evaluation._sampled import SampledMetricsWarning, evaluate_scorer_sampled
from jaxrec.evaluation._tradeoff import CurvePoint, accuracy_diversity_curve, curve_rows
from jaxrec.evaluation._training_statistics import TrainingStatistics, category_table, training_statistics
from jaxrec.reports._values import ValueName, higher_is_better, split_value_name

__all__ = [
    "DEFAULT_K",
    "DEFAULT_METRICS",
    "DEFAULT_RATING_METRICS",
    "CurvePoint",
    "Judgments",
    "Metrics",
    "SampledMetricsWarning",
    "TrainingStatistics",
    "ValueName",
    "accuracy_diversity_curve",
    "category_table",
    "curve_rows",
    "evaluate_rating_scorer",
    "evaluate_scorer",
    "evaluate_scorer_sampled",
    "higher_is_better",
    "judgments",
    "measure_item_groups",
    "measure_lists",
    "predict_pairs",
    "resolve_metrics",
    "split_value_name",
    "training_statistics",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, ("jaxrec.ranking", "jaxrec.reports", "jaxrec.statistics", "jaxrec.scorers"))
