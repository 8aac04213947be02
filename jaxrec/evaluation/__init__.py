"""The evaluator: metrics of full rankings, of given lists, of sampled candidates and of ratings."""

from typing import Any

from jaxrec._moved import old_name
from jaxrec.evaluation._beyond import TrainingFacts, training_facts
from jaxrec.evaluation._evaluator import evaluate_scorer
from jaxrec.evaluation._measure import measure_lists
from jaxrec.evaluation._metric_names import Metrics, resolve_metrics
from jaxrec.evaluation._ratings import evaluate_rating_scorer, predict_pairs
from jaxrec.evaluation._sampled import SampledMetricsWarning, evaluate_scorer_sampled
from jaxrec.evaluation._tradeoff import CurvePoint, accuracy_diversity_curve, curve_rows

__all__ = [
    "CurvePoint",
    "Metrics",
    "SampledMetricsWarning",
    "TrainingFacts",
    "accuracy_diversity_curve",
    "curve_rows",
    "evaluate_rating_scorer",
    "evaluate_scorer",
    "evaluate_scorer_sampled",
    "measure_lists",
    "predict_pairs",
    "resolve_metrics",
    "training_facts",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, ("jaxrec.ranking", "jaxrec.reports", "jaxrec.statistics", "jaxrec.scorers"))


DEFAULT_K = (10, 20)
DEFAULT_METRICS = ("recall", "precision", "ndcg")


def higher_is_better(name, metrics=()):
    return name.split("@")[0] not in ("rmse", "mae")


def split_value_name(name):
    a, _, b = name.partition("@")
    return a, (int(b) if b else None), None
