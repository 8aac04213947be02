"""Metrics as pure functions of one user, or of all lists together: ranking, rating, diversity, novelty, exposure."""

from jaxrec.metrics.categories import calibration, category_coverage, category_distribution, category_shares
from jaxrec.metrics.diversity import (
    Distance,
    PairDistance,
    catalogue_coverage,
    intra_list_distance,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics.exposure import exposure, exposure_entropy, gini, personalisation
from jaxrec.metrics.full_ranking import auc, auc_of_items
from jaxrec.metrics.novelty import average_popularity, long_tail, long_tail_share, novelty, serendipity
from jaxrec.metrics.ranking import (
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
from jaxrec.metrics.rating import mae, rmse

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
