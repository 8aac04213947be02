"""Slow versions of sampling: what a user lacks, by sets, and a chi-square statistic by its definition."""

import numpy as np


def missing(seen, user, num_items):
    """The items that a user does not have, ascending, from the compressed rows of what each user has."""
    own = set(np.asarray(seen.items)[int(seen.indptr[user]) : int(seen.indptr[user + 1])].tolist())
    return [item for item in range(num_items) if item not in own]


def chi_square(draws, expected):
    """sum of (count - expected)^2 / expected over the values that may be drawn.

    Args:
      draws: the values drawn.
      expected: for each value that may be drawn, its probability.

    Returns:
      The statistic, with len(expected) - 1 degrees of freedom. Infinite if another value was drawn.
    """
    draws = np.asarray(draws).ravel().tolist()
    if not set(draws) <= set(expected):
        return np.inf
    return sum((draws.count(value) - p * len(draws)) ** 2 / (p * len(draws)) for value, p in expected.items())
