"""Metrics that need more of a list than its hits: precision of the length, R-precision, serendipity, graded nDCG."""

import functools

import jax
import numpy as np
import pytest
from reference import beyond_accuracy
from reference import metrics as slow
from sklearn.metrics import roc_auc_score

import jaxrec
from jaxrec import metrics as functions
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation import evaluate_scorer, judgments, measure_lists, resolve_metrics
from jaxrec.evaluation._judgments import grades_of
from jaxrec.ranking import feature_space
from jaxrec.scorers import TableScorer

OF_LISTS = ("precision_length", "r_precision", "serendipity", "graded_ndcg", "graded_ndcg_exponential")
USERS, ITEMS, CUTS = 50, 40, (3, 7)


def interactions(user, item, rating=None, num_users=USERS, num_items=ITEMS):
    ids = IdMap(np.arange(num_users), "user"), IdMap(np.arange(num_items), "item")
    return Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32), *ids, rating)


@pytest.fixture(scope="module")
def example():
    """Train, test with ratings of 0 to 5, and scores with many ties; some have more test items than candidates."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        cut = ITEMS - 4 if user == 1 else rng.integers(1, 20)
        train += [(user, item) for item in items[:cut]]
        size = 0 if user % 9 == 0 else 20 if user in (1, 2) else rng.integers(1, 8)
        start = cut - 2 if user % 5 == 0 else 0 if user == 1 else cut  # some test items are in train
        test += [(user, item) for item in items[start : start + size]]
    rating = rng.integers(0, 6, len(test)).astype(np.float32)
    users = np.array([user for user, _ in test])
    rating[users == 4] = 0  # nothing that user 4 chose is worth anything
    test = [*test, test[-1]]  # a pair twice, with one rating
    rating = np.append(rating, rating[-1])
    table = rng.integers(0, 9, (USERS, ITEMS)).astype(np.float32)
    return interactions(*zip(*train, strict=True)), interactions(*zip(*test, strict=True), rating), table


def slow_values(train, test, table, cuts):
    """Per-user values by name, of the users with a test item."""
    seen, relevant = ([set(part.item[part.user == user].tolist()) for user in range(USERS)] for part in (train, test))
    popularity = np.bincount(train.item, minlength=ITEMS).tolist()
    values = {}
    for user in np.unique(test.user).tolist():
        own = test.user == user
        grades = dict(zip(test.item[own].tolist(), test.rating[own].tolist(), strict=True))
        listed = slow.ranked(table[user].tolist(), seen[user], ITEMS)
        popular = slow.ranked(popularity, seen[user], ITEMS)
        found = {"r_precision": slow.r_precision(listed, relevant[user])}
        for k in cuts:
            found[f"precision_length@{k}"] = slow.precision_of_length(listed, relevant[user], k)
            found[f"serendipity@{k}"] = beyond_accuracy.serendipity(listed[:k], relevant[user], popular[:k])
            for name, gain in (("graded_ndcg", lambda g: g), ("graded_ndcg_exponential", lambda g: 2**g - 1)):
                value = slow.graded_ndcg(listed, grades, k, gain) if max(grades.values()) > 0 else np.nan
                found[f"{name}@{k}"] = value
        for name, value in found.items():
            values.setdefault(name, []).append(value)
    return values


def evaluated(train, test, table, metrics=OF_LISTS, **options):
    return evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, metrics=list(metrics), **options)


def test_every_value_agrees_with_a_slow_evaluation(example):
    train, test, table = example
    report = evaluated(*example)
    expected = slow_values(train, test, table, CUTS)
    assert set(report.per_user) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(report.per_user[name], values, atol=1e-6, rtol=0, err_msg=name)
    assert report.counts["undefined_graded_ndcg"] == np.isnan(expected["graded_ndcg@3"]).sum() >= 1
    relevant, seen = ([len(np.unique(part.item[part.user == user])) for user in report.users] for part in (test, train))
    short = sum(size > ITEMS - had for size, had in zip(relevant, seen, strict=True))
    assert report.counts["short_lists_r_precision"] == short >= 1


def test_memory_and_the_other_metrics_change_nothing(example, monkeypatch):
    space = feature_space(np.random.default_rng(1).normal(size=(ITEMS, 3)).astype(np.float32))
    usual = ("recall", "precision", "ndcg")
    whole = evaluated(*example, (*usual, *OF_LISTS, "auc", "gini"), space=space)
    monkeypatch.setattr("jaxrec.evaluation._measure._TILE", 7)
    tiled = evaluated(*example, (*usual, *OF_LISTS, "auc", "gini"), space=space, memory_mb=0.08)
    plain = evaluated(*example, usual, space=space)
    assert tiled.counts == whole.counts
    assert plain.counts.items() < whole.counts.items()  # ranking deeper for R-precision changes no other count
    assert plain.overall.items() < whole.overall.items()
    for name, values in whole.per_user.items():
        np.testing.assert_allclose(tiled.per_user[name], values, rtol=1e-6, err_msg=name)
        if name in plain.per_user:
            np.testing.assert_allclose(plain.per_user[name], values, rtol=1e-6, err_msg=name)
    assert whole.names[:3] == ("recall@3", "recall@7", "precision@3")
    assert {"r_precision", "auc", "graded_ndcg@7", "gini@7"} < set(whole.names)


def test_the_order_of_users_and_interactions_changes_nothing(example):
    train, test, table = example
    rng = np.random.default_rng(2)
    order, rows = rng.permutation(USERS), rng.permutation(len(test))  # user u becomes order[u]
    moved = np.empty_like(table)
    moved[order] = table
    other = interactions(order[test.user[rows]], test.item[rows], test.rating[rows])
    before = evaluated(*example)
    after = evaluated(interactions(order[train.user], train.item), other, moved)
    place = np.argsort(order[before.users])
    for name, values in before.per_user.items():
        np.testing.assert_array_equal(after.per_user[name], values[place], err_msg=name)


LISTS = {"ann": [5, 2, 1], "bob": [3]}
TRUTH = (["ann", "ann", "ann", "bob", "eve"], [1, 2, 4, 3, 4], [4, 3, 1, 2, 5])
TRAIN = (["ann", "bob", "cy", "cy", "dee"], [5, 1, 2, 3, 2])


def test_lists_of_elsewhere_by_hand():
    names = ["r_precision", "precision_length", "serendipity", "graded_ndcg", "graded_ndcg_exponential"]
    report = jaxrec.evaluate_rankings(LISTS, TRUTH, train=TRAIN, k=(1, 2), metrics=names)
    # Ann has 3 relevant items; her list of 3 holds two of them, though k is 2. The list of Eve is empty.
    np.testing.assert_allclose(report.per_user["r_precision"], [2 / 3, 1, 0], rtol=1e-6)
    assert report.counts["short_lists_r_precision"] == 1
    # Bob's list has one item, which is a hit: 1/1 of its length at k = 2, where precision is 1/2.
    np.testing.assert_allclose(report.per_user["precision_length@2"], [1 / 2, 1, 0], rtol=1e-6)
    # Two have item 2, one has 1, 3 and 5. Without 5, Ann's popular two are 2 and 1: her hit, 2, is among them. Without
    # 1, Bob's are 2 and 3: his hit is among them at k = 2, and is not at k = 1.
    np.testing.assert_allclose(report.per_user["serendipity@1"], [0, 1, 0])
    np.testing.assert_allclose(report.per_user["serendipity@2"], [0, 0, 0])
    # Ann's list has the grades 0, 3, the best has 4, 3; Bob's has the only one.
    second = 1 / np.log2(3)
    np.testing.assert_allclose(report.per_user["graded_ndcg@2"], [3 * second / (4 + 3 * second), 1, 0], rtol=1e-6)
    exponential = [7 * second / (15 + 7 * second), 1, 0]
    np.testing.assert_allclose(report.per_user["graded_ndcg_exponential@2"], exponential, rtol=1e-6)


def test_lists_that_are_shorter_than_the_test_part_of_a_user_miss_the_rest():
    report = jaxrec.evaluate_rankings({"ann": [1]}, TRUTH, k=1, metrics=["r_precision"])
    np.testing.assert_allclose(report.per_user["r_precision"], [1 / 3, 0, 0], rtol=1e-6)
    assert report.counts["short_lists_r_precision"] == 3


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 40, size=400, replace=False)
    data = jaxrec.from_arrays(pairs // 40, pairs % 40, rng.integers(1, 6, 400))
    split = jaxrec.split(data, "user_random", test=0.3, valid=0.1, key=jax.random.key(0))
    return jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(0)), split


def test_a_model_and_its_lists_have_the_same_figures(fitted):
    model, split = fitted
    expected = jaxrec.evaluate(model, split, k=CUTS, metrics=[*OF_LISTS, "auc"], space=None)
    deep = jaxrec.recommend(model, split.train.users.ids, k=split.train.num_items)
    got = jaxrec.evaluate_rankings(deep, split.test, train=split.fitted, k=CUTS, metrics=OF_LISTS)
    for name, values in got.per_user.items():
        np.testing.assert_allclose(expected.per_user[name], values, rtol=1e-6, err_msg=name)
    assert set(expected.per_user) - set(got.per_user) == {"auc"}
    scores = np.asarray(model.scorer.scores(np.arange(30)))
    for row, user in enumerate(expected.users.tolist()):  # neither training nor validation items count
        chosen, had = (part.item[part.user == user] for part in (split.test, split.fitted))
        counted = np.setdiff1d(np.arange(split.train.num_items), had)
        peer = roc_auc_score(np.isin(counted, chosen), scores[user, counted])
        np.testing.assert_allclose(expected.per_user["auc"][row], peer, rtol=1e-6)


def test_other_definitions_come_from_functions_by_name(fitted):
    model, split = fitted
    variants = {
        "recall of min": functools.partial(functions.recall, over="min"),
        "ndcg of k": functools.partial(functions.ndcg, ideal="k"),
        "ap of min": functools.partial(functions.average_precision, over="min"),
    }
    by_name = ["capped_recall", "ndcg_k", "average_precision_min"]
    lists = jaxrec.recommend(model, split.train.users.ids, k=7)
    for measure in (
        functools.partial(jaxrec.evaluate, model, split, space=None),
        functools.partial(jaxrec.evaluate_rankings, lists, split.test, train=split.fitted),
    ):
        mine, named = (measure(k=CUTS, metrics=metrics) for metrics in (variants, by_name))
        for own, name in zip(variants, by_name, strict=True):
            np.testing.assert_array_equal(mine.per_user[f"{own}@7"], named.per_user[f"{name}@7"])
        assert len(mine.per_user) == 6
    one = jaxrec.evaluate(model, split, k=CUTS, metrics="capped_recall", space=None)
    np.testing.assert_array_equal(one.per_user["capped_recall@3"], mine.per_user["recall of min@3"])


def test_a_rating_twice_is_one_grade():
    grades = grades_of(interactions([1, 0, 1], [4, 2, 4], [3.0, 5.0, 3.0]))
    np.testing.assert_array_equal(grades, [5, 3])


GRADES = (["ann", "bob"], [1, 2])
MISTAKES = {
    "scores": (["auc"], (*GRADES, [1, 1]), JaxrecError, "'auc' needs the score of every item, and lists have none"),
    "no train": (["serendipity"], GRADES, JaxrecError, "'serendipity' needs the training data; pass train"),
    "no rating": (["graded_ndcg"], GRADES, JaxrecError, "the metric 'graded_ndcg' takes the rating .* no ratings"),
    "negative": (["graded_ndcg"], (*GRADES, [1, -2]), DataError, r"1 of 2 .* the first -2 \(user bob, item 2\)"),
    "high": (["graded_ndcg_exponential"], (*GRADES, [1, 100]), JaxrecError, "the first 100 .* use a smaller scale"),
    "twice": (
        ["graded_ndcg"],
        (["ann", "ann"], [1, 1], [3, 4]),
        DataError,
        "truth rates 1 pairs twice and differently, such as item 1 of user ann; choose one rating with .*deduplicate",
    ),
    "own name": ({"ild": functions.recall}, GRADES, JaxrecError, "'ild' has a name that every report uses itself"),
    "four parts": (["recall"], (*GRADES, [1, 2], [1, 2]), JaxrecError, r"\(users, items, ratings\), got tuple"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    metrics, truth, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        jaxrec.evaluate_rankings({"ann": [1], "bob": [2]}, truth, k=1, metrics=metrics)


def test_high_ratings_are_fine_as_linear_gains():
    report = jaxrec.evaluate_rankings({"ann": [1]}, (["ann", "ann"], [1, 2], [100, 300]), k=1, metrics=["graded_ndcg"])
    assert report.mean("graded_ndcg@1") == pytest.approx(100 / 300)


def test_an_unknown_name_is_told_with_those_that_there_are():
    with pytest.raises(JaxrecError, match=r"unknown metric 'aucc'; choose from recall.*, r_precision.*, auc, novelty"):
        resolve_metrics(["aucc"])


def test_lists_must_fit(example):
    train, test, _ = example
    judged = judgments(test, seen=seen_items(train), k=3, metrics="recall")
    lists = np.zeros((len(judged.users), 3), np.int32)
    for wrong, told in ((lists[:, :2], r"\(43, 2\)"), (lists[1:], r"\(42, 3\)"), (lists[0], r"\(3,\)")):
        with pytest.raises(MismatchError, match=rf"lists has shape {told}, expected \[43, 3\] or longer lists"):
            measure_lists(wrong, judged)


def test_missing_ratings_are_told_of_a_model_too(example):
    train, test, table = example
    with pytest.raises(JaxrecError, match="truth has no ratings; keep them, or use 'ndcg'"):
        evaluated(train, interactions(test.user, test.item), table, ["graded_ndcg"])
