"""Slow float64 versions of the ranking losses with negatives, one row and one term at a time."""

import numpy as np
from reference.losses import logsumexp, unit, weighted_mean


def counting(where, negative_where):
    """The rows that count: those with a negative."""
    return [bool(one) and any(some) for one, some in zip(where, negative_where, strict=True)]


def kept(values, mask):
    return [value for value, one in zip(values, mask, strict=True) if one]


def bilateral_softmax(positive, negative, weights, where, negative_where, owner, temperature, positive_temperature):
    """-log of the weighted mean of e^(p/t1) over the owner's rows + t2/t1 log sum of e^(n/t2)."""
    where = counting(where, negative_where)

    def row(b):
        same = [c for c in range(len(owner)) if owner[c] == owner[b] and where[c] and weights[c] > 0]
        total = sum(weights[c] * np.exp(positive[c] / positive_temperature) for c in same)
        drawn = logsumexp([n / temperature for n in kept(negative[b], negative_where[b])])
        share = np.log(total / sum(weights[c] for c in same)) if same else 0.0
        return temperature / positive_temperature * drawn - share

    return weighted_mean(row, weights, where)


def pairwise_softmax(positive, negative, weights, where, negative_where, surrogate, temperature):
    """log sum of sigma((n - p) / 2)^(1/t)."""
    sigma = {
        "tanh": lambda d: 1 + np.tanh(d),
        "relu": lambda d: max(1 + d, 0.0),
        "atan": lambda d: 1 + np.arctan(d),
    }[surrogate]

    def row(b):
        return np.log(
            sum(sigma((n - positive[b]) / 2) ** (1 / temperature) for n in kept(negative[b], negative_where[b]))
        )

    return weighted_mean(row, weights, counting(where, negative_where))


def softmax_at_k(
    positive, negative, weights, where, negative_where, threshold, temperature, weight_temperature, at=None
):
    """sigmoid((p - beta) / t_w) log sum of e^((n - p) / t); the factor is of the scores `at`, which are fixed."""
    at = positive if at is None else at

    def row(b):
        factor = 1 / (1 + np.exp(-(at[b] - threshold[b]) / weight_temperature))
        return factor * logsumexp([(n - positive[b]) / temperature for n in kept(negative[b], negative_where[b])])

    return weighted_mean(row, weights, counting(where, negative_where))


def cosine_contrastive(positive, negative, weights, where, negative_where, margin, negative_weight):
    """1 - p + w times the mean of max(0, n - margin)."""

    def row(b):
        negatives = kept(negative[b], negative_where[b])
        above = sum(max(n - margin, 0.0) for n in negatives) / max(len(negatives), 1)
        return 1 - positive[b] + negative_weight * above

    return weighted_mean(row, weights, where)


def adaptive_softmax(positive, negative, weights, where, negative_where, inverse, user_inverse):
    """log sum of e^(n / t_u) - p / t_0."""

    def row(b):
        return logsumexp([n * user_inverse[b] for n in kept(negative[b], negative_where[b])]) - inverse * positive[b]

    return weighted_mean(row, weights, counting(where, negative_where))


def alignment(users, items, weights, where):
    """|u - i|^2 of unit vectors."""
    users, items = unit(users), unit(items)
    return weighted_mean(lambda b: np.sum((users[b] - items[b]) ** 2), weights, where)


def uniformity(vectors, weights, where):
    """log of the mean over pairs of different rows of e^(-2 |x - y|^2), pairs weighted by the product."""
    x, total, norm = unit(vectors), 0.0, 0.0
    for b in range(len(x)):
        for c in range(b):
            if where[b] and where[c]:
                total += weights[b] * weights[c] * np.exp(-2 * np.sum((x[b] - x[c]) ** 2))
                norm += weights[b] * weights[c]
    return np.log(total / norm) if norm else 0.0
