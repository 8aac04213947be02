"""Metrics as pure functions of one user, or of all lists together: ranking, rating, diversity, novelty, exposure."""

from jaxrec.metrics._auc import auc, auc_of_items
from jaxrec.metrics._categories import calibration, category_coverage, category_distribution, category_shares
from jaxrec.metrics._diversity import (
    Distance,
    PairDistance,
    catalogue_coverage,
    intra_list_distance,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics._exposure import exposure, exposure_entropy, gini, personalisation
from jaxrec.metrics._novelty import average_popularity, long_tail, long_tail_share, novelty, serendipity
from jaxrec.metrics._ranking import (
    RANKING_METRICS,
    Gain,
    RankingMetric,
    average_precision,
    average_precision_min,
    f1,
    graded_ndcg,
    hit_rate,
    ndcg,
    ndcg_k,
    precision,
    r_precision,
    recall,
    recall_min,
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
    "calibration",
    "catalogue_coverage",
    "category_coverage",
    "category_distribution",
    "category_shares",
    "exposure",
    "exposure_entropy",
    "f1",
    "gini",
    "graded_ndcg",
    "hit_rate",
    "intra_list_distance",
    "long_tail",
    "long_tail_share",
    "mae",
    "mean_pair_distance",
    "ndcg",
    "ndcg_k",
    "novelty",
    "pair_distances",
    "personalisation",
    "precision",
    "r_precision",
    "recall",
    "recall_min",
    "reciprocal_rank",
    "rmse",
    "serendipity",
]
