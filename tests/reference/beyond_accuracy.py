"""Slow, obvious versions of the metrics beyond accuracy: Python loops over lists, users and pairs, in float64."""

import itertools
import math


def without_padding(listed):
    return [int(item) for item in listed if item >= 0]


def exposure(lists, num_items):
    counts = [0] * num_items
    for listed in lists:
        for item in without_padding(listed):
            counts[item] += 1
    return counts


def gini(counts):
    """The mean absolute difference of two items (each with each, and with itself), over twice the mean."""
    mean = sum(counts) / len(counts)
    if mean == 0:
        return 0.0
    differences = [abs(float(a) - float(b)) for a in counts for b in counts]
    return sum(differences) / len(differences) / (2 * mean)


def shannon_entropy(counts):
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts if count > 0)


def personalization(lists, k):
    distances = [
        1 - len(set(without_padding(a)) & set(without_padding(b))) / k for a, b in itertools.combinations(lists, 2)
    ]
    return sum(distances) / len(distances) if distances else 0.0


def mean_of(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def novelty(listed, popularity, num_users):
    return mean_of(-math.log2(max(int(popularity[item]), 1) / num_users) for item in without_padding(listed))


def average_popularity(listed, popularity):
    return mean_of(float(popularity[item]) for item in without_padding(listed))


def long_tail(popularity, share):
    """Take the most popular items one by one until they have the share; what is left is the tail."""
    tail = sorted(range(len(popularity)), key=lambda item: (-popularity[item], item))
    gathered = 0
    while gathered < share * sum(popularity):
        gathered += popularity[tail.pop(0)]
    return set(tail)


def long_tail_share(listed, tail):
    return mean_of(1.0 if item in tail else 0.0 for item in without_padding(listed))


def serendipity(listed, relevant, popular):
    found = set(without_padding(listed)) & set(relevant)
    return len(found - set(without_padding(popular))) / len(listed)


def categories_of(item, table):
    return [category for category, member in enumerate(table[item]) if member > 0]


def category_distribution(listed, table):
    shares, voters = [0.0] * len(table[0]), 0
    for item in without_padding(listed):
        categories = categories_of(item, table)
        if categories:
            voters += 1
        for category in categories:
            shares[category] += 1 / len(categories)
    return [share / voters for share in shares] if voters else shares


def miscalibration(listed, history, table, smoothing=0.01):
    divergence = 0.0
    for p, q in zip(history, category_distribution(listed, table), strict=True):
        if p > 0:
            divergence += p * math.log(p / ((1 - smoothing) * q + smoothing * p))
    return divergence


def category_coverage(listed, table):
    in_catalogue = {category for item in range(len(table)) for category in categories_of(item, table)}
    in_list = {category for item in without_padding(listed) for category in categories_of(item, table)}
    return len(in_list) / len(in_catalogue) if in_catalogue else 0.0
