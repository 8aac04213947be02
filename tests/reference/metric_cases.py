"""Every metric with arguments for many users at once, and what its slow twin gives for each of them.

The lists come from scores with many ties, of which the lower item goes first; some are short and two are empty; every
sixth user has no relevant item; the relevant items have grades.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from reference import beyond_accuracy as beyond
from reference import metrics as slow

from jaxrec import metrics, registry

USERS, ITEMS, LENGTH, MOST, CATEGORIES, GROUPS = 48, 50, 20, 30, 5, 4
CUTS = (1, 5, 10, 20)
# What the catalog takes from a function of `jaxrec.metrics` with another name than its own.
FUNCTIONS = {
    "recall_known": "recall",
    "precision_length": "precision",
    "ap": "average_precision",
    "mrr": "reciprocal_rank",
    "graded_ndcg_exponential": "graded_ndcg",
    "ild": "intra_list_distance",
    "coverage": "catalog_coverage",
    "long_tail": "long_tail_share",
}
OF_HITS = tuple(
    name
    for name in registry.names("metric")
    if name not in ("hits", "ap", "mrr") and hasattr(registry.make("metric", name), "function")
)
NUM_USERS = 9  # of the training data, so that the largest popularity has no information
GAINS = {"linear": lambda grade: grade, "exponential": lambda grade: 2**grade - 1}


class Case(NamedTuple):
    """One metric with one choice of its options."""

    metric: str  # the public name
    function: Callable[..., Any]  # of one user: the rows of `rows`, then `shared`
    rows: tuple[np.ndarray, ...]  # one row for each user (or for each group of users)
    shared: tuple[np.ndarray, ...]  # the same for all
    expected: np.ndarray  # the value of the slow twin for each row


class Example(NamedTuple):
    """What the cases are made of: arrays with one row for each user, and tables with one for each item."""

    lists: np.ndarray  # int32 [U, K], -1 for padding
    truth: list[dict[int, int]]  # the grades of the relevant items of each user
    seen: list[set[int]]
    scores: np.ndarray  # float32 [U, I]
    popularity: np.ndarray  # int32 [I]
    categories: np.ndarray  # bool [I, C]
    features: np.ndarray  # float32 [I, d]


def jaccard(x, y):
    """A distance of a caller: of the sets of the places that are not 0."""
    either = jnp.sum(jnp.maximum(x, y))
    return 1 - jnp.sum(jnp.minimum(x, y)) / jnp.where(either > 0, either, 1)


def city_block(x, y):
    """Another one."""
    return jnp.sum(jnp.abs(x - y))


def slow_jaccard(x, y):
    a, b = set(np.flatnonzero(x).tolist()), set(np.flatnonzero(y).tolist())
    return 1 - len(a & b) / len(a | b) if a | b else 1.0


def slow_city_block(x, y):
    return sum(abs(float(a) - float(b)) for a, b in zip(x, y, strict=True))


DISTANCES = {
    "euclidean": ("euclidean", slow.euclidean),
    "cosine": ("cosine", slow.cosine),
    "jaccard": (jaccard, slow_jaccard),
    "city_block": (city_block, slow_city_block),
}


@functools.cache
def example() -> Example:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 4, (USERS, ITEMS)).astype(np.float32)
    lists, truth, seen = [], [], []
    for user in range(USERS):
        size = ITEMS if user in (1, 20) else rng.integers(0, ITEMS - 1)  # leaves short and empty lists
        seen.append(set(rng.permutation(ITEMS)[:size].tolist()))
        lists.append(slow.ranked(scores[user].tolist(), seen[-1], LENGTH))
        size = 0 if user % 6 == 0 else rng.integers(1, MOST)
        chosen = rng.permutation(ITEMS)[:size].tolist()
        truth.append(dict(zip(chosen, rng.integers(1, 5, size).tolist(), strict=True)))
    categories = rng.random((ITEMS, CATEGORIES)) < 0.3
    categories[7] = False
    return Example(
        np.array(lists, np.int32),
        truth,
        seen,
        scores,
        rng.integers(0, NUM_USERS + 1, ITEMS).astype(np.int32),
        categories,
        rng.random((ITEMS, 4)).astype(np.float32),
    )


def padded(sets: list, width: int) -> np.ndarray:
    return np.array([[*sorted(own), *[-1] * (width - len(own))] for own in sets], np.int32)


def indicator(sets: list) -> np.ndarray:
    return np.array([np.isin(np.arange(ITEMS), list(own)) for own in sets])


@functools.cache
def cases() -> dict[str, Case]:
    """The cases by a label that says the metric and its options."""
    return _accuracy() | _items() | _distances() | _all_lists() | _ratings()


def _accuracy() -> dict[str, Case]:
    lists, truth, seen, scores, *_ = example()
    listed = lists.tolist()
    hits = np.array([slow.hits_of(*pair) for pair in zip(listed, truth, strict=True)], bool)
    counts = np.array([len(own) for own in truth], np.int32)
    lengths = (lists >= 0).sum(axis=1).astype(np.int32)
    gains = np.array([[own.get(item, 0) for item in row] for row, own in zip(listed, truth, strict=True)], np.float32)
    ideal = np.array([[*own.values(), *[0] * (MOST - len(own))] for own in truth], np.float32)
    relevant, counted = indicator(truth), ~indicator(seen)

    def twin(function, *options):
        return np.array([function(*pair, *options) for pair in zip(listed, truth, strict=True)])

    def of_length(hits, n, length, k):
        return metrics.precision(hits, n, k=k, over="length", length=length)

    made = {"r_precision": Case("r_precision", metrics.r_precision, (hits, counts), (), twin(slow.r_precision))}
    for k in CUTS:
        for name in OF_HITS:
            metric = registry.make("metric", name).function
            expected = twin(slow.RANKING[name], k)
            made[f"{name}@{k}"] = Case(name, functools.partial(metric, k=k), (hits, counts), (), expected)
        made[f"precision_of_length@{k}"] = Case(
            "precision", functools.partial(of_length, k=k), (hits, counts, lengths), (),
            twin(slow.precision_of_length, k),
        )  # fmt: skip
        for gain, function in GAINS.items():
            made[f"graded_ndcg_{gain}@{k}"] = Case(
                "graded_ndcg", functools.partial(metrics.graded_ndcg, k=k, gain=gain), (gains, ideal), (),
                twin(slow.graded_ndcg, k, function),
            )  # fmt: skip
    areas = [
        slow.auc(own, set(some), set(np.flatnonzero(mask).tolist()))
        for own, some, mask in zip(scores, truth, counted, strict=True)
    ]
    made["auc"] = Case("auc", metrics.auc, (scores, relevant, counted), (), np.array(areas))
    rows = (scores, padded(truth, MOST), counted)
    made["auc_of_items"] = Case("auc_of_items", metrics.auc_of_items, rows, (), np.array(areas))
    return made


def _items() -> dict[str, Case]:
    lists, truth, seen, _, popularity, categories, _ = example()
    tail = np.asarray(metrics.long_tail(popularity))
    tail_items = beyond.long_tail(popularity.tolist(), 0.8)
    hits = np.array([slow.hits_of(*pair) for pair in zip(lists.tolist(), truth, strict=True)], bool)
    popular = np.array([slow.ranked(popularity.tolist(), own, LENGTH) for own in seen], np.int32)
    past = padded(seen, ITEMS)
    history = np.array([beyond.category_distribution(own, categories) for own in past], np.float32)
    groups = np.stack([np.roll(categories, shift, axis=0) for shift in range(GROUPS)])
    shares = groups / np.maximum(groups.sum(axis=2, keepdims=True), 1)
    each = lambda function, *more: np.array([function(own, *more) for own in lists])  # noqa: E731
    pairs = [(beyond.serendipity, lists, truth, popular), (beyond.miscalibration, lists, history)]
    surprise, divergence = (np.array([f(*row) if f is beyond.serendipity else f(*row, categories)
                            for row in zip(*rows, strict=True)]) for f, *rows in pairs)  # fmt: skip
    by_popularity = each(beyond.average_popularity, popularity)
    return {
        "novelty": Case(
            "novelty", lambda items, table: metrics.novelty(items, table, NUM_USERS), (lists,), (popularity,),
            each(beyond.novelty, popularity, NUM_USERS),
        ),
        "average_popularity": Case(
            "average_popularity", metrics.average_popularity, (lists,), (popularity,), by_popularity
        ),
        "long_tail_share": Case(
            "long_tail_share", metrics.long_tail_share, (lists,), (tail,), each(beyond.long_tail_share, tail_items)
        ),
        "serendipity": Case("serendipity", metrics.serendipity, (hits, lists, popular), (), surprise),
        "miscalibration": Case("miscalibration", metrics.miscalibration, (lists, history), (categories,), divergence),
        "category_distribution": Case(
            "category_distribution", metrics.category_distribution, (lists,), (categories,),
            each(beyond.category_distribution, categories),
        ),
        "category_coverage": Case(
            "category_coverage", metrics.category_coverage, (lists,), (categories,),
            each(beyond.category_coverage, categories),
        ),
        "category_shares": Case("category_shares", metrics.category_shares, (groups,), (), shares),
    }  # fmt: skip


def listed_vectors(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The vectors [U, K, d] of the items of each list, of categories for Jaccard; and where there are any."""
    lists, *_, categories, features = example()
    table = categories.astype(np.float32) if name == "jaccard" else features
    where = lists >= 0
    if name == "jaccard":  # an item without a category has no vector, as in a feature space with `known`
        where &= table[lists].any(axis=2)
    return np.where(where[:, :, None], table[lists], np.float32(0)), where


def _distances() -> dict[str, Case]:
    made = {}
    for name, (distance, twin) in DISTANCES.items():
        vectors, where = listed_vectors(name)
        expected = [slow.intra_list_distance(*row, twin) for row in zip(vectors, where, strict=True)]
        made[f"ild_{name}"] = Case(
            "intra_list_distance", functools.partial(metrics.intra_list_distance, distance=distance),
            (vectors, where), (), np.array(expected),
        )  # fmt: skip
        few = vectors[:, :6]
        table = [[[twin(x, y) if i != j else 0.0 for j, y in enumerate(own)] for i, x in enumerate(own)] for own in few]
        made[f"pairs_{name}"] = Case(
            "pair_distances", functools.partial(metrics.pair_distances, distance=distance), (few,), (), np.array(table)
        )
    tables, where = np.array(made["pairs_euclidean"].expected, np.float32), where[:, :6]
    means = [
        beyond.mean_of(own[i, j] for i in range(6) for j in range(i) if mask[i] and mask[j])
        for own, mask in zip(tables.astype(np.float64), where, strict=True)
    ]
    made["mean_pair_distance"] = Case(
        "mean_pair_distance", metrics.mean_pair_distance, (tables, where), (), np.array(means)
    )
    return made


def _all_lists() -> dict[str, Case]:
    groups = example().lists.reshape(GROUPS, USERS // GROUPS, LENGTH)
    counts = np.array([beyond.exposure(own, ITEMS) for own in groups], np.int32)
    entropy = np.array([beyond.shannon_entropy(own) for own in counts.tolist()])
    normalized = functools.partial(metrics.shannon_entropy, normalized=True)
    return {
        "exposure": Case("exposure", lambda own: metrics.exposure(own, ITEMS), (groups,), (), counts),
        "gini": Case("gini", metrics.gini, (counts,), (), np.array([beyond.gini(own) for own in counts.tolist()])),
        "shannon_entropy": Case("shannon_entropy", metrics.shannon_entropy, (counts,), (), entropy),
        "entropy_normalized": Case("shannon_entropy", normalized, (counts,), (), entropy / np.log(ITEMS)),
        "personalization": Case(
            "personalization", lambda own: metrics.personalization(own, USERS // GROUPS, LENGTH), (counts,), (),
            np.array([beyond.personalization(own, LENGTH) for own in groups]),
        ),
        "coverage": Case(
            "catalog_coverage", lambda own: metrics.catalog_coverage(own, ITEMS), (groups,), (),
            np.array([slow.catalog_coverage(own.tolist(), ITEMS) for own in groups]),
        ),
    }  # fmt: skip


def _ratings() -> dict[str, Case]:
    rng = np.random.default_rng(4)
    actual = rng.integers(1, 6, (USERS, 15)).astype(np.float32)
    predicted = (actual + rng.normal(size=actual.shape)).astype(np.float32)
    where = rng.random(actual.shape) < 0.8
    where[2] = False
    made = {}
    for name, twin in (("rmse", slow.rmse), ("mae", slow.mae)):
        metric, rows = getattr(metrics, name), zip(predicted, actual, where, strict=True)
        expected = np.array([twin(p.tolist(), a.tolist(), w) for p, a, w in rows])
        single = lambda p, a, w, metric=metric: metric(p, a, where=w)  # noqa: E731
        made[name] = Case(name, single, (predicted, actual, where), (), expected)
    return made


def lifted(case: Case) -> Callable[..., Any]:
    """The function of a case over all rows at once."""
    return jax.vmap(case.function, in_axes=(0,) * len(case.rows) + (None,) * len(case.shared))
