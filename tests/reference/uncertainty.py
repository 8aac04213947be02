"""Slow, obvious versions of the bootstrap, the tests and Holm's correction: loops over resamples, in float64."""

import itertools
import statistics

import jax
import numpy as np

NORMAL = statistics.NormalDist()


def picks(key, resamples, n):
    """The users of every resample, [resamples][n]: the draws that the library documents."""
    return [np.asarray(jax.random.randint(jax.random.fold_in(key, r), (n,), 0, n)) for r in range(resamples)]


def signs(key, permutations, n):
    """The signs of every pattern, [permutations][n]: bit i of the random words, lowest first, 1 for minus."""
    out = []
    for r in range(permutations):
        words = jax.random.bits(jax.random.fold_in(key, r), (n // 32 + (n % 32 > 0),), np.uint32).tolist()
        out.append([-1 if (words[i // 32] >> (i % 32)) & 1 else 1 for i in range(n)])
    return out


def means(values, drawn):
    return [sum(float(values[user]) for user in users) / len(users) for users in drawn]


def quantile(values, share):
    """Between the two nearest of the sorted values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2)
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def percentile_interval(values, drawn, level):
    of_resamples = means(values, drawn)
    return quantile(of_resamples, (1 - level) / 2), quantile(of_resamples, (1 + level) / 2)


def bca_interval(values, drawn, level):
    """Efron and Tibshirani 1993, equations 14.9 to 14.15, with the jackknife written out."""
    of_resamples, n = means(values, drawn), len(values)
    mean = sum(values) / n
    below = sum(1.0 if m < mean - 1e-7 else 0.5 if m < mean + 1e-7 else 0.0 for m in of_resamples)
    z0 = NORMAL.inv_cdf(below / len(drawn))
    without = [(sum(values) - value) / (n - 1) for value in values]
    centre = sum(without) / n
    a = sum((centre - w) ** 3 for w in without) / (6 * sum((centre - w) ** 2 for w in without) ** 1.5)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        z = z0 + NORMAL.inv_cdf(share)
        ends.append(quantile(of_resamples, NORMAL.cdf(z0 + z / (1 - a * z))))
    return tuple(ends)


def bootstrap_p(a, b, drawn, tolerance=1e-6):
    difference = [float(x) - float(y) for x, y in zip(a, b, strict=True)]
    seen = sum(difference) / len(difference)
    beyond = sum(abs(m - seen) >= abs(seen) - tolerance for m in means(difference, drawn))
    return (1 + beyond) / (1 + len(drawn))


def permutation_p(difference, patterns, tolerance=1e-6):
    seen = abs(sum(difference)) - tolerance
    beyond = sum(abs(sum(s * d for s, d in zip(pattern, difference, strict=True))) >= seen for pattern in patterns)
    return (1 + beyond) / (1 + len(patterns))


def exact_permutation_p(difference, tolerance=1e-6):
    patterns = list(itertools.product((-1, 1), repeat=len(difference)))
    seen = abs(sum(difference)) - tolerance
    return sum(abs(np.dot(pattern, difference)) >= seen for pattern in patterns) / len(patterns)


def holm_refused(p_values, level):
    """Holm's procedure itself: from the lowest p up, refuse while p <= level / (how many are left), then stop."""
    refused = [False] * len(p_values)
    left = len(p_values)
    for at in sorted(range(len(p_values)), key=lambda at: p_values[at]):
        if p_values[at] > level / left:
            break
        refused[at] = True
        left -= 1
    return refused
