"""Metrics as pure functions of one user: ranking, rating, diversity."""

from jaxrec.metrics.diversity import (
    Distance,
    catalogue_coverage,
    intra_list_distance,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics.ranking import (
    RANKING_METRICS,
    RankingMetric,
    average_precision,
    f1,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from jaxrec.metrics.rating import mae, rmse

__all__ = [
    "RANKING_METRICS",
    "Distance",
    "RankingMetric",
    "average_precision",
    "catalogue_coverage",
    "f1",
    "hit_rate",
    "intra_list_distance",
    "mae",
    "mean_pair_distance",
    "ndcg",
    "pair_distances",
    "precision",
    "recall",
    "reciprocal_rank",
    "rmse",
]
