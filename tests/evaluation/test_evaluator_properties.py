"""What must not change a report, for any data: names of users and items, order, memory; and what re-ranking keeps."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from reference.metric_cases import city_block

import jaxrec
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.evaluation import evaluate_scorer, training_statistics
from jaxrec.metrics import RANKING_METRICS
from jaxrec.ranking import MMR, GreedyDPP, feature_space, rerank
from jaxrec.scorers import TableScorer

USERS, ITEMS, CUTS = 32, 24, (1, 5, 12)
RULES = {"mmr": MMR, "dpp": lambda trade_off, _: GreedyDPP(trade_off)}
NAMES = (
    "novelty",
    "average_popularity",
    "long_tail",
    "miscalibration",
    "category_coverage",
    "gini",
    "shannon_entropy",
    "personalization",
)
METRICS = (*RANKING_METRICS, *NAMES)


@st.composite
def data(draw):
    """Train and test as pairs [E, 2], scores without ties, features, categories, and a generator for what changes.

    Every user has as many items as in every other example, so that all arrays have one shape and one program serves
    them: 1 to 20 training items (few are left to recommend), 0 to 3 test items, some of which nobody had in training.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    train, test = [], []
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        few, more = 1 + user % 20, user % 4
        train += [(user, item) for item in items[:few]]
        test += [(user, item) for item in items[few : few + more]]
    scores = rng.permuted(np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1)), axis=1)
    features = rng.normal(size=(ITEMS, 3)).astype(np.float32)
    known, categories = rng.random(ITEMS) < 0.8, rng.random((ITEMS, 4)) < 0.4
    return np.array(train), np.array(test), scores, features, known, categories, rng


def report_of(train, test, scores, features, known, categories, distance="euclidean", memory_mb=256.0):
    ids = IdMap(np.arange(USERS), "user"), IdMap(np.arange(ITEMS), "item")
    seen, truth = (Interactions(*pairs.T.astype(np.int32), *ids) for pairs in (train, test))
    return evaluate_scorer(
        TableScorer(scores),
        truth,
        seen=seen_items(seen),
        k=CUTS,
        metrics=METRICS,
        space=feature_space(features, known=known),
        distance=distance,
        training=training_statistics(seen, categories),
        memory_mb=memory_mb,
    )


# The head of the catalog is cut where popularity ties, and ties go by the names of the items.
BY_NAME = tuple(f"long_tail@{k}" for k in CUTS)


def assert_same(after, before, users=None, but=()):
    """The same values, where `users` gives the new name of each user."""
    assert after.counts == before.counts
    for name, value in before.overall.items():
        np.testing.assert_allclose(after.overall[name], value, atol=2e-6, err_msg=name)
    place = np.argsort(before.users if users is None else users[before.users])
    for name, values in before.per_user.items():
        if name not in but:
            np.testing.assert_allclose(after.per_user[name], values[place], rtol=1e-5, atol=1e-6, err_msg=name)


@hypothesis.settings(max_examples=12)
@hypothesis.given(data(), st.sampled_from(["euclidean", city_block]))
def test_new_names_for_users_and_items_change_nothing(example, distance):
    train, test, scores, features, known, categories, rng = example
    before = report_of(train, test, scores, features, known, categories, distance)
    users, items = rng.permutation(USERS), rng.permutation(ITEMS)  # user u becomes users[u]
    moved = [np.empty_like(array) for array in (scores, features, known, categories)]
    moved[0][np.ix_(users, items)] = scores
    for new, old in zip(moved[1:], (features, known, categories), strict=True):
        new[items] = old
    pairs = [np.stack([users[part[:, 0]], items[part[:, 1]]], axis=1) for part in (train, test)]
    assert_same(report_of(*pairs, *moved, distance), before, users, but=BY_NAME)


@hypothesis.settings(max_examples=12)
@hypothesis.given(data())
def test_the_order_of_interactions_and_a_pair_that_is_there_twice_change_nothing(example):
    train, test, *rest, rng = example
    before = report_of(train, test, *rest)
    after = report_of(rng.permutation(train), rng.permutation(test), *rest)
    assert_same(after, before)
    twice = report_of(train, np.concatenate([test, test[:1]]), *rest)
    assert_same(twice, before)


@hypothesis.settings(max_examples=6)
@hypothesis.given(data(), st.sampled_from([0.04, 0.06]))
def test_the_memory_changes_nothing(example, memory):
    *given, _ = example
    assert_same(report_of(*given, city_block, memory), report_of(*given, city_block))


def lists_of(scores, train):
    left = scores.copy()
    left[tuple(train.T)] = -np.inf
    order = np.argsort(-left, axis=1)
    return {user: [item for item in row if left[user, item] > -np.inf] for user, row in enumerate(order.tolist())}


@hypothesis.settings(max_examples=8)
@hypothesis.given(data())
def test_rankings_from_elsewhere_see_neither_names_nor_order_nor_memory(example):
    train, test, scores, features, _, _, rng = example
    lists = {user: items for user, items in lists_of(scores, train).items() if items}
    names = [name for name in METRICS if name not in ("miscalibration", "category_coverage")]

    def run(lists, test, train, features, memory_mb=256.0):
        return jaxrec.evaluate_rankings(
            lists, test, train=train, k=CUTS, metrics=names, item_features=features, distance=city_block,
            memory_mb=memory_mb,
        )  # fmt: skip

    pair = lambda part: (part[:, 0].tolist(), part[:, 1].tolist())  # noqa: E731
    vectors = dict(enumerate(features.tolist()))
    # Every item and user is in train, so that the catalog does not depend on the example.
    whole = np.concatenate([train, np.stack([np.full(ITEMS, USERS), np.arange(ITEMS)], axis=1)])
    before = run(lists, pair(test), pair(whole), vectors)

    users, items = rng.permutation(USERS + 1), rng.permutation(ITEMS)
    user_ids, item_ids = [f"u{name:02}" for name in users], [f"i{name:02}" for name in items]  # others come first
    named = lambda part: ([user_ids[u] for u in part[:, 0]], [item_ids[i] for i in part[:, 1]])  # noqa: E731
    renamed = {user_ids[user]: [item_ids[item] for item in lists[user]] for user in rng.permutation(list(lists))}
    new_vectors = {item_ids[item]: vectors[item] for item in rng.permutation(ITEMS)}
    after = run(renamed, named(rng.permutation(test)), named(rng.permutation(whole)), new_vectors, 0.05)

    assert after.counts == before.counts
    place = np.argsort([user_ids[user] for user in before.user_ids])
    assert after.user_ids.tolist() == [user_ids[user] for user in before.user_ids[place]]
    for name, values in before.per_user.items():
        if name not in BY_NAME:
            np.testing.assert_allclose(after.per_user[name], values[place], rtol=1e-5, atol=1e-6, err_msg=name)
    for name, value in before.overall.items():
        np.testing.assert_allclose(after.overall[name], value, atol=2e-6, err_msg=name)


@hypothesis.settings(max_examples=12)
@hypothesis.given(data())
def test_values_of_a_report_are_bounded_and_rise_with_k_where_they_must(example):
    *given, _ = example
    report = report_of(*given)
    for name, values in report.per_user.items():
        kind = name.partition("@")[0]
        defined = values[~np.isnan(values)]
        assert (defined >= 0).all(), name
        if kind not in ("novelty", "average_popularity", "miscalibration", "ild"):
            assert (defined <= 1 + 1e-6).all(), name
    for name in ("recall", "recall_known", "hit_rate", "average_precision", "reciprocal_rank", "category_coverage"):
        for less, more in itertools.pairwise(CUTS):
            smaller, larger = report.per_user[f"{name}@{less}"], report.per_user[f"{name}@{more}"]
            assert not (smaller > larger + 1e-6).any(), name
    for k in CUTS:
        assert 0 <= report.overall[f"gini@{k}"] <= 1
        assert 0 <= report.overall[f"personalization@{k}"] <= 1
        assert 0 <= report.overall[f"shannon_entropy@{k}"] <= np.log(ITEMS) + 1e-5
    coverage = [report.overall[f"coverage@{k}"] for k in CUTS]
    assert coverage == sorted(coverage)


@pytest.mark.parametrize("method", ["mmr", "dpp"])
@hypothesis.given(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000]), st.sampled_from(["euclidean", "cosine", city_block])
)
def test_re_ranked_lists_are_subsets_without_repeats_and_at_1_the_first_of_the_list(method, seed, spread, distance):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(ITEMS)[:8] for _ in range(4)]).astype(np.int32)
    lengths = rng.integers(0, 9, (4, 1))
    lists[np.arange(8) >= lengths] = -1
    scores = -np.sort(-rng.integers(0, spread, lists.shape), axis=1).astype(np.float32)  # sorted, many equal
    vectors = rng.integers(-1, 2, (ITEMS, 3)).astype(np.float32)
    for trade_off in (0.0, 0.4, 1.0):
        made, values = rerank(lists, scores, vectors, 5, RULES[method](trade_off, distance))
        for own, mine, length in zip(lists.tolist(), made.tolist(), lengths[:, 0], strict=True):
            kept = mine[: min(5, length)]
            assert len(set(kept)) == len(kept)
            assert set(kept) <= set(own) - {-1}
            assert mine[len(kept) :] == [-1] * (5 - len(kept))
        if trade_off == 1:
            np.testing.assert_array_equal(made, lists[:, :5])
            np.testing.assert_array_equal(values, np.where(made < 0, -np.inf, scores[:, :5]))
