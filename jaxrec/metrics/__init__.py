"""Metrics as pure functions of one user, or of all lists together: ranking, rating, diversity, novelty, exposure."""

import warnings
from typing import Any

from jaxrec.metrics._auc import auc, auc_of_items
from jaxrec.metrics._categories import category_coverage, category_distribution, category_shares, miscalibration
from jaxrec.metrics._diversity import (
    Distance,
    PairDistance,
    catalog_coverage,
    intra_list_distance,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics._exposure import exposure, gini, personalization, shannon_entropy
from jaxrec.metrics._novelty import average_popularity, long_tail, long_tail_share, novelty, serendipity
from jaxrec.metrics._ranking import (
    RANKING_METRICS,
    Gain,
    RankingMetric,
    average_precision,
    average_precision_min,
    capped_recall,
    f1,
    graded_ndcg,
    hit_rate,
    ndcg,
    ndcg_k,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
)
from jaxrec.metrics._rating import mae, rmse

__all__ = [
    "RANKING_METRICS",
    "Distance",
    "Gain",
    "PairDistance",
    "RankingMetric",
    "auc",
    "auc_of_items",
    "average_popularity",
    "average_precision",
    "average_precision_min",
    "capped_recall",
    "catalog_coverage",
    "category_coverage",
    "category_distribution",
    "category_shares",
    "exposure",
    "f1",
    "gini",
    "graded_ndcg",
    "hit_rate",
    "intra_list_distance",
    "long_tail",
    "long_tail_share",
    "mae",
    "mean_pair_distance",
    "miscalibration",
    "ndcg",
    "ndcg_k",
    "novelty",
    "pair_distances",
    "personalization",
    "precision",
    "r_precision",
    "recall",
    "reciprocal_rank",
    "rmse",
    "serendipity",
    "shannon_entropy",
]

_OLD = {
    "calibration": "miscalibration",
    "catalogue_coverage": "catalog_coverage",
    "exposure_entropy": "shannon_entropy",
    "personalisation": "personalization",
    "recall_min": "capped_recall",
}


def __getattr__(name: str) -> Any:
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _OLD[name]
    warnings.warn(
        f"{__name__}.{name} is a name of 0.1 and goes in 0.3; use {__name__}.{new}", DeprecationWarning, stacklevel=2
    )
    return globals()[new]
