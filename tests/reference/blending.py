"""Slow, obvious twins of calibrations and blends: one user at a time, in float64."""

import numpy as np


def log_softmax(scores, shown, temperature):
    total = np.log(sum(np.exp(score / temperature) for score, counts in zip(scores, shown, strict=True) if counts))
    return np.array([score / temperature - total for score in scores])


def log_share(scores, shown, power, smoothing):
    masses = [max(score, 0.0) for score in scores]
    total = sum(mass for mass, counts in zip(masses, shown, strict=True) if counts)
    n = sum(shown)
    shares = [((mass / total if total else 1 / n) + smoothing / n) / (1 + smoothing) for mass in masses]
    powers = [max(share, 1e-30) ** power for share in shares]
    below = sum(value for value, counts in zip(powers, shown, strict=True) if counts)
    return np.array([np.log(value / below) for value in powers])


def z_score(scores, shown):
    counted = [score for score, counts in zip(scores, shown, strict=True) if counts]
    mean = sum(counted) / len(counted)
    deviation = (sum((score - mean) ** 2 for score in counted) / len(counted)) ** 0.5
    return np.array([(score - mean) / deviation if deviation else 0.0 for score in scores])


def blended(tables, calibrate, weights, seen):
    """Scores [U, I] of tables [U, I], with `calibrate(scores, shown)` for each and the seen items as sets."""
    out = np.zeros_like(tables[0], dtype=np.float64)
    for user, items in enumerate(seen):
        shown = [item not in items for item in range(out.shape[1])]
        for table, calibration, weight in zip(tables, calibrate, weights, strict=True):
            out[user] += weight * calibration(table[user].astype(np.float64), shown)
    return out


def softmax_loss(scores, seen, held):
    """The mean over users of the mean over their held-out items of -log p, p the softmax over unseen items."""
    losses = []
    for user, items in held.items():
        shown = [item for item in range(scores.shape[1]) if item not in seen[user]]
        total = np.log(sum(np.exp(scores[user, item]) for item in shown))
        losses.append(np.mean([total - scores[user, item] for item in items]))
    return np.mean(losses)
