"""Top-k over the whole catalogue, the evaluator, and the common item space."""

from jaxrec.evaluation.block_topk import top_k
from jaxrec.evaluation.candidates import CandidateRule
from jaxrec.evaluation.comparison import Comparison, compare_models, compare_reports, holm
from jaxrec.evaluation.evaluator import Metrics, evaluate_scorer, resolve_metrics
from jaxrec.evaluation.groups import by_item_group, group_markdown, group_table
from jaxrec.evaluation.item_space import ItemSpace, feature_space, item_space
from jaxrec.evaluation.labels import Groups, activity_groups, popularity_groups
from jaxrec.evaluation.report import Report
from jaxrec.evaluation.rerank import greedy_dpp, mmr, rerank
from jaxrec.evaluation.sampled import SampledMetricsWarning, evaluate_scorer_sampled
from jaxrec.evaluation.seeds import SeedSpread, seed_spread
from jaxrec.evaluation.several_runs import average_reports, paired_difference
from jaxrec.evaluation.tables import comparison_latex, comparison_markdown, comparison_table
from jaxrec.evaluation.topk import TableScorer, recommend_lists, users_per_tile
from jaxrec.evaluation.uncertainty import PairedResult, bootstrap_interval, paired_bootstrap, permutation_test

__all__ = [
    "CandidateRule",
    "Comparison",
    "Groups",
    "ItemSpace",
    "Metrics",
    "PairedResult",
    "Report",
    "SampledMetricsWarning",
    "SeedSpread",
    "TableScorer",
    "activity_groups",
    "average_reports",
    "bootstrap_interval",
    "by_item_group",
    "compare_models",
    "compare_reports",
    "comparison_latex",
    "comparison_markdown",
    "comparison_table",
    "evaluate_scorer",
    "evaluate_scorer_sampled",
    "feature_space",
    "greedy_dpp",
    "group_markdown",
    "group_table",
    "holm",
    "item_space",
    "mmr",
    "paired_bootstrap",
    "paired_difference",
    "permutation_test",
    "popularity_groups",
    "recommend_lists",
    "rerank",
    "resolve_metrics",
    "seed_spread",
    "top_k",
    "users_per_tile",
]
