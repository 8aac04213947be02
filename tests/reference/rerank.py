"""Re-ranking by its definition: every extension of the chosen set is tried, with NumPy in float64."""

import numpy as np


def relevance(scores):
    scores = np.asarray(scores, np.float64)
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 0 else np.zeros(len(scores))


def mmr(scores, vectors, k, theta, distance):
    table = np.array([[distance(a, b) for b in vectors] for a in vectors])
    table = table / table.max() if table.max() > 0 else table
    r, chosen = relevance(scores), []
    while len(chosen) < min(k, len(r)):
        gains = {
            i: theta * r[i] + (1 - theta) * min((table[i, j] for j in chosen), default=1.0)
            for i in range(len(r))
            if i not in chosen
        }
        chosen.append(max(gains, key=lambda i: (gains[i], -i)))
    return chosen


def greedy_dpp(scores, vectors, k, theta):
    """For sets in which every candidate adds a direction: no determinant is 0."""
    vectors = np.asarray(vectors, np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    s, r, chosen = unit @ unit.T, relevance(scores), []
    np.fill_diagonal(s, 1)  # as it is but for rounding, which would decide between candidates that are equal

    def log_det(items):
        return np.linalg.slogdet(s[np.ix_(items, items)])[1] if items else 0.0

    while len(chosen) < min(k, len(r)):
        gains = {
            i: theta * r[i] + (1 - theta) * (log_det([*chosen, i]) - log_det(chosen))
            for i in range(len(r))
            if i not in chosen
        }
        chosen.append(max(gains, key=lambda i: (gains[i], -i)))
    return chosen


def greedy_dpp_of_any_rank(scores, vectors, k, theta, least=1e-6):
    """The same with the ratio of two determinants as a squared distance: from a unit vector to the span of the chosen.

    It also exists where the determinants are 0, and then counts as `least`; where it does for all, scores decide.
    """
    vectors = np.asarray(vectors, np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    r, chosen = relevance(scores), []
    while len(chosen) < min(k, len(r)):
        free = [i for i in range(len(r)) if i not in chosen]
        span = unit[chosen].T
        ratio = dict.fromkeys(free, 1.0)  # before the first choice, exactly: rounding would decide between equals
        for i in free if chosen else ():
            away = unit[i] - span @ np.linalg.lstsq(span, unit[i], rcond=1e-9)[0]
            ratio[i] = max(float(away @ away), least)
        if max(ratio.values()) == least:
            gains = {i: r[i] for i in free}
        else:
            gains = {i: theta * r[i] + (1 - theta) * np.log(ratio[i]) for i in free}
        chosen.append(max(gains, key=lambda i: (gains[i], -i)))
    return chosen
