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
