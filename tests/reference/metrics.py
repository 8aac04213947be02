"""Slow, obvious versions of the metrics: Python loops over lists of items and sets of relevant items, in float64."""

import itertools
import math

import numpy as np


def hits_of(listed, relevant):
    """1 at each place of the list that holds a relevant item; -1 is padding and never one."""
    return [1 if item >= 0 and item in relevant else 0 for item in listed]


def recall(listed, relevant, k):
    if not relevant:
        return 0.0
    return len(set(listed[:k]) & set(relevant)) / len(relevant)


def precision(listed, relevant, k):
    return len(set(listed[:k]) & set(relevant)) / k


def hit_rate(listed, relevant, k):
    return 1.0 if set(listed[:k]) & set(relevant) else 0.0


def f1(listed, relevant, k):
    p, r = precision(listed, relevant, k), recall(listed, relevant, k)
    return 0.0 if p + r == 0 else 2 * p * r / (p + r)


def ndcg(listed, relevant, k):
    if not relevant:
        return 0.0
    gain = 0.0
    for place, item in enumerate(listed[:k], start=1):
        if item in relevant:
            gain += 1 / math.log2(place + 1)
    best = 0.0
    for place in range(1, min(k, len(relevant)) + 1):
        best += 1 / math.log2(place + 1)
    return gain / best


def average_precision(listed, relevant, k):
    if not relevant:
        return 0.0
    total = 0.0
    for place, item in enumerate(listed[:k], start=1):
        if item in relevant:
            total += precision(listed, relevant, place)
    return total / len(relevant)


def reciprocal_rank(listed, relevant, k):
    for place, item in enumerate(listed[:k], start=1):
        if item in relevant:
            return 1 / place
    return 0.0


def capped_recall(listed, relevant, k):
    if not relevant:
        return 0.0
    return len(set(listed[:k]) & set(relevant)) / min(k, len(relevant))


def ndcg_k(listed, relevant, k):
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(listed[:k], start=1) if item in relevant)
    return gain / sum(1 / math.log2(place + 1) for place in range(1, k + 1))


def average_precision_min(listed, relevant, k):
    if not relevant:
        return 0.0
    return average_precision(listed, relevant, k) * len(relevant) / min(k, len(relevant))


RANKING = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "f1": f1,
    "ndcg": ndcg,
    "average_precision": average_precision,
    "reciprocal_rank": reciprocal_rank,
    "capped_recall": capped_recall,
    "ndcg_k": ndcg_k,
    "average_precision_min": average_precision_min,
}


def precision_of_length(listed, relevant, k):
    listed = [item for item in listed[:k] if item >= 0]
    return sum(item in relevant for item in listed) / len(listed) if listed else 0.0


def r_precision(listed, relevant):
    if not relevant:
        return 0.0
    return sum(item in relevant for item in listed[: len(relevant)]) / len(relevant)


def graded_ndcg(listed, grades, k, gain):
    """`grades` gives the grade of each relevant item by its index."""

    def dcg(values):
        return sum(gain(value) / math.log2(place + 1) for place, value in enumerate(values[:k], start=1))

    best = dcg(sorted(grades.values(), reverse=True))
    return dcg([grades.get(item, 0) for item in listed]) / best if best > 0 else 0.0


def auc(scores, relevant, counted):
    pairs = [(p, n) for p in relevant & counted for n in counted - relevant]
    wins = sum(1.0 if scores[p] > scores[n] else 0.5 if scores[p] == scores[n] else 0.0 for p, n in pairs)
    return wins / len(pairs) if pairs else 0.0


def rmse(predicted, actual, where):
    errors = [(p - a) ** 2 for p, a, w in zip(predicted, actual, where, strict=True) if w]
    return math.sqrt(sum(errors) / len(errors)) if errors else 0.0


def mae(predicted, actual, where):
    errors = [abs(p - a) for p, a, w in zip(predicted, actual, where, strict=True) if w]
    return sum(errors) / len(errors) if errors else 0.0


def euclidean(x, y):
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True)))


def cosine(x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    length = math.sqrt(x @ x) * math.sqrt(y @ y)
    return 1.0 if length == 0 else 1 - (x @ y) / length


def intra_list_distance(vectors, where, distance):
    kept = [vector for vector, keep in zip(vectors, where, strict=True) if keep]
    distances = [distance(x, y) for x, y in itertools.combinations(kept, 2)]
    return sum(distances) / len(distances) if distances else 0.0


def catalog_coverage(lists, num_items):
    return len({item for listed in lists for item in listed if item >= 0}) / num_items


def ranked(scores, left_out, k):
    """The k best items by (score descending, index ascending) that are not left out, padded with -1."""
    order = sorted(
        (item for item in range(len(scores)) if item not in left_out), key=lambda item: (-scores[item], item)
    )
    order = [item for item in order if scores[item] != -math.inf]
    return order[:k] + [-1] * (k - len(order[:k]))
