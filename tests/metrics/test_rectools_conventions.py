"""RecTools beside this library: what it gives, the arithmetic of its convention, and our number where that differs.

RecTools 0.19.0 needs NumPy below 2 for Python 3.11 and 3.12, so it cannot stand in one environment with this library.
What it gives for the lists below was written down, to eight digits, with the call that gives it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec import metrics

K, USERS, ITEMS = 4, 4, 9
LISTS = np.array([[0, 1, 2, 3], [4, 0, -1, -1], [5, 2, 6, 0]], np.int32)
TRUTH = [{0, 3, 7}, {0}, {0, 1, 2, 6, 8}]
HITS = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]], bool)
RELEVANT = np.array([3, 1, 5], np.int32)
POPULARITY = np.array([4, 2, 1, 0, 0, 3, 0, 0, 0], np.int32)  # training users of each item, four in all
POPULAR = np.array([0, 5, 1, 2], np.int32)
FEATURES = np.array(
    [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1]], np.float32
)

d = lambda *places: sum(1 / math.log2(place + 1) for place in places)  # noqa: E731


def hamming(x, y):
    return jnp.sum(x != y)


def of_hits(metric, **options):
    return jax.vmap(lambda hits, relevant: metric(hits, relevant, **options))(HITS, RELEVANT)


def of_items(metric, *more):
    return jax.vmap(lambda items: metric(items, *more))(LISTS)


# name: (what RecTools gives, its arithmetic for each user, our function of the same convention)
SAME = {
    "Recall(4)": ([0.66666667, 1, 0.6], [2 / 3, 1 / 1, 3 / 5], lambda: of_hits(metrics.recall)),
    "Precision(4)": ([0.5, 0.25, 0.75], [2 / 4, 1 / 4, 3 / 4], lambda: of_hits(metrics.precision)),
    "Precision(4, r_precision=True)": (
        [0.66666667, 1, 0.75],
        [2 / min(4, 3), 1 / min(4, 1), 3 / min(4, 5)],
        lambda: of_hits(metrics.recall, over="min"),
    ),
    "HitRate(4)": ([1, 1, 1], [1, 1, 1], lambda: of_hits(metrics.hit_rate)),
    "F1Beta(4)": (
        [0.57142857, 0.4, 0.66666667],
        [2 * 2 / (4 + 3), 2 * 1 / (4 + 1), 2 * 3 / (4 + 5)],
        lambda: of_hits(metrics.f1),
    ),
    "MAP(4)": (
        [0.5, 0.5, 0.38333333],
        [(1 + 2 / 4) / 3, (1 / 2) / 1, (1 / 2 + 2 / 3 + 3 / 4) / 5],
        lambda: of_hits(metrics.average_precision),
    ),
    "NDCG(4)": (
        [0.55850759, 0.24630239, 0.60961995],
        [d(1, 4) / d(1, 2, 3, 4), d(2) / d(1, 2, 3, 4), d(2, 3, 4) / d(1, 2, 3, 4)],
        lambda: of_hits(metrics.ndcg, ideal="k"),
    ),
    "NDCG(4, divide_by_achievable=True)": (
        [0.67138607, 0.63092975, 0.60961995],
        [d(1, 4) / d(1, 2, 3), d(2) / d(1), d(2, 3, 4) / d(1, 2, 3, 4)],
        lambda: of_hits(metrics.ndcg),
    ),
    "MRR(4)": ([1, 0.5, 0.5], [1 / 1, 1 / 2, 1 / 2], lambda: of_hits(metrics.reciprocal_rank)),
    "MeanInvUserFreq(4)": (  # an item without a training user counts as if one user had it
        [1.25, 1, 1.10375937],
        [
            (math.log2(4 / 4) + math.log2(4 / 2) + math.log2(4 / 1) + math.log2(4 / 1)) / 4,
            (math.log2(4 / 1) + math.log2(4 / 4)) / 2,
            (math.log2(4 / 3) + math.log2(4 / 1) + math.log2(4 / 1) + math.log2(4 / 4)) / 4,
        ],
        lambda: of_items(metrics.novelty, jnp.asarray(POPULARITY), USERS),
    ),
    "AvgRecPopularity(4)": (
        [1.75, 2, 2],
        [(4 + 2 + 1 + 0) / 4, (0 + 4) / 2, (3 + 1 + 0 + 4) / 4],
        lambda: of_items(metrics.average_popularity, jnp.asarray(POPULARITY)),
    ),
    "IntraListDiversity(4, PairwiseHammingDistanceCalculator(features))": (
        [2, 2, 1.16666667],
        [(2 + 2 + 2 + 2 + 2 + 2) / 6, 2 / 1, (1 + 1 + 1 + 0 + 2 + 2) / 6],
        lambda: jax.vmap(lambda items, where: metrics.intra_list_distance(
            jnp.asarray(FEATURES)[items], where, distance=hamming))(LISTS, LISTS >= 0),
    ),
    "CatalogCoverage(4, normalize=True)": (
        [0.77777778],
        [7 / 9],  # all but the last two of nine items
        lambda: [metrics.catalog_coverage(jnp.asarray(LISTS), ITEMS)],
    ),
}  # fmt: skip

# name: (what RecTools gives, its arithmetic, our arithmetic, our function)
DIFFERENT = {
    "NDCG(4)": (
        SAME["NDCG(4)"][0],
        SAME["NDCG(4)"][1],
        [d(1, 4) / d(1, 2, 3), d(2) / d(1), d(2, 3, 4) / d(1, 2, 3, 4)],  # no more hits than there are relevant items
        lambda: of_hits(metrics.ndcg),
    ),
    "MAP(4, divide_by_k=True)": (
        [0.375, 0.125, 0.47916667],
        [(1 + 2 / 4) / 4, (1 / 2) / 4, (1 / 2 + 2 / 3 + 3 / 4) / 4],
        [(1 + 2 / 4) / min(4, 3), (1 / 2) / min(4, 1), (1 / 2 + 2 / 3 + 3 / 4) / min(4, 5)],
        lambda: of_hits(metrics.average_precision, over="min"),
    ),
    "Precision(4, r_precision=True)": (
        SAME["Precision(4, r_precision=True)"][0],
        SAME["Precision(4, r_precision=True)"][1],
        [1 / 3, 0 / 1, 3 / 5],  # the list cut at the number of relevant items
        lambda: of_hits(metrics.r_precision),
    ),
    "Serendipity(4)": (  # how far the rank of each hit lies above its popularity rank, out of nine items
        [0.16666667, 0, 0.25],
        [
            (max(9 / 9 - 9 / 9, 0) + max(6 / 9 - 0, 0)) / 4,
            max(8 / 9 - 9 / 9, 0) / 2,
            (max(8 / 9 - 6 / 9, 0) + max(7 / 9 - 0, 0) + max(6 / 9 - 9 / 9, 0)) / 4,
        ],
        [1 / 4, 0 / 4, 1 / 4],  # the hits outside of the four most popular items: item 3, none, item 6
        lambda: jax.vmap(metrics.serendipity, in_axes=(0, 0, None))(HITS, LISTS, POPULAR),
    ),
}


def test_the_hits_are_those_of_the_lists():
    np.testing.assert_array_equal(HITS, [[i in own for i in row] for row, own in zip(LISTS, TRUTH, strict=True)])
    np.testing.assert_array_equal(RELEVANT, [len(own) for own in TRUTH])
    np.testing.assert_array_equal(np.argsort(-POPULARITY, kind="stable")[:K], POPULAR)


@pytest.mark.parametrize("name", SAME)
def test_the_same_convention(name):
    given, arithmetic, ours = SAME[name]
    np.testing.assert_allclose(given, arithmetic, atol=1e-8)
    np.testing.assert_allclose(ours(), given, atol=1e-6)


@pytest.mark.parametrize("name", DIFFERENT)
def test_both_numbers(name):
    given, arithmetic, own_arithmetic, ours = DIFFERENT[name]
    np.testing.assert_allclose(given, arithmetic, atol=1e-8)
    np.testing.assert_allclose(ours(), own_arithmetic, atol=1e-6)
    assert np.abs(np.subtract(own_arithmetic, given)).max() > 0.05
