"""Top-k over the whole catalogue, the evaluator, and the common item space."""

from jaxrec.evaluation.comparison import Comparison, compare_models, compare_reports, holm
from jaxrec.evaluation.evaluator import Metrics, evaluate_scorer, resolve_metrics
from jaxrec.evaluation.item_space import ItemSpace, feature_space, item_space
from jaxrec.evaluation.report import Report, average_reports, paired_difference
from jaxrec.evaluation.rerank import greedy_dpp, mmr, rerank
from jaxrec.evaluation.seeds import SeedSpread, seed_spread
from jaxrec.evaluation.tables import comparison_latex, comparison_markdown, comparison_table
from jaxrec.evaluation.topk import TableScorer, recommend_lists, top_k, users_per_tile
from jaxrec.evaluation.uncertainty import PairedResult, bootstrap_interval, paired_bootstrap, permutation_test

__all__ = [
    "Comparison",
    "ItemSpace",
    "Metrics",
    "PairedResult",
    "Report",
    "SeedSpread",
    "TableScorer",
    "average_reports",
    "bootstrap_interval",
    "compare_models",
    "compare_reports",
    "comparison_latex",
    "comparison_markdown",
    "comparison_table",
    "evaluate_scorer",
    "feature_space",
    "greedy_dpp",
    "holm",
    "item_space",
    "mmr",
    "paired_bootstrap",
    "paired_difference",
    "permutation_test",
    "recommend_lists",
    "rerank",
    "resolve_metrics",
    "seed_spread",
    "top_k",
    "users_per_tile",
]
