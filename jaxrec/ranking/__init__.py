"""Exact top-k over the whole catalog, candidate rules, re-ranking, and item vectors."""

from jaxrec.ranking._block_topk import top_k
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._greedy import greedy_dpp, mmr
from jaxrec.ranking._item_vectors import ItemSpace, common_space, feature_space, item_space
from jaxrec.ranking._reranking import MMR, GreedyDPP, rerank
from jaxrec.ranking._topk import recommend_lists, users_per_tile

__all__ = [
    "MMR",
    "CandidateRule",
    "GreedyDPP",
    "ItemSpace",
    "common_space",
    "feature_space",
    "greedy_dpp",
    "item_space",
    "mmr",
    "recommend_lists",
    "rerank",
    "top_k",
    "users_per_tile",
]
