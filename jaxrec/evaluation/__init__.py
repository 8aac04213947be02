"""Top-k over the whole catalogue, the evaluator, and the common item space."""

from jaxrec.evaluation.evaluator import Metrics, evaluate_scorer, resolve_metrics
from jaxrec.evaluation.item_space import ItemSpace, feature_space, item_space
from jaxrec.evaluation.report import (
    Report,
    average_reports,
    comparison_markdown,
    comparison_table,
    paired_difference,
)
from jaxrec.evaluation.topk import TableScorer, recommend_lists, top_k, users_per_tile

__all__ = [
    "ItemSpace",
    "Metrics",
    "Report",
    "TableScorer",
    "average_reports",
    "comparison_markdown",
    "comparison_table",
    "evaluate_scorer",
    "feature_space",
    "item_space",
    "paired_difference",
    "recommend_lists",
    "resolve_metrics",
    "top_k",
    "users_per_tile",
]
