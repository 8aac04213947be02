"""Slow, obvious sampled metrics: Python loops over test items and the negatives that they are given."""

import math


def rank_among(scores, item, negatives):
    """The place of an item before and behind the negatives, by (score descending, index ascending)."""
    ahead = 0
    for other in negatives:
        if scores[other] > scores[item] or (scores[other] == scores[item] and other < item):
            ahead += 1
    return 1 + ahead


def recall(rank, k):
    return 1.0 if rank <= k else 0.0


def ndcg(rank, k):
    return 1 / math.log2(rank + 1) if rank <= k else 0.0


def reciprocal_rank(rank, k):
    return 1 / rank if rank <= k else 0.0


def binomial_hit_rate(n, better, of, k):
    """The chance of at most k - 1 better ones among n draws with replacement, `better` of `of` being better."""
    p = better / of
    return sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k))
