"""`evaluate_rankings`: every form of lists gives the figures of `evaluate`, and every mistake is told."""

import json

import jax
import numpy as np
import pandas
import polars
import pytest

import jaxrec
from jaxrec.errors import DataError, JaxrecError, MismatchError, UnknownIdError
from jaxrec.ranking import item_space

TRUTH = (["ann", "ann", "bob", "eve"], [1, 2, 3, 4])
LISTS = {"ann": [5, 2, 1], "bob": [3], "zoe": [1]}


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 40, size=400, replace=False)
    data = jaxrec.from_arrays([f"u{user:02}" for user in pairs // 40], pairs % 40)
    return jaxrec.split(data, "user_random", test=0.3, valid=0.1, key=jax.random.key(0))


@pytest.fixture(scope="module")
def model(split):
    return jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(0))


@pytest.fixture(scope="module")
def lists(model, split):
    return jaxrec.recommend(model, split.train.users.ids, k=10)


def test_values_by_hand():
    report = jaxrec.evaluate_rankings(LISTS, TRUTH, train=(["ann", "bob"], [5, 1]), k=(1, 2, 3))
    # Ann finds 0, 1 and 2 of her 2 items; Bob finds his one at once; Eve has no list.
    np.testing.assert_allclose(report.per_user["recall@1"], [0, 1, 0])
    np.testing.assert_allclose(report.per_user["recall@2"], [1 / 2, 1, 0])
    np.testing.assert_allclose(report.per_user["recall@3"], [1, 1, 0])
    np.testing.assert_allclose(report.per_user["precision@3"], [2 / 3, 1 / 3, 0], rtol=1e-6)
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    np.testing.assert_allclose(report.per_user["ndcg@3"], [(second + third) / (1 + second), 1, 0], rtol=1e-6)
    # Of the items 1 to 5, the list of Zoe, who is not measured, left out: 5, 2, 1 and 3.
    assert report.mean("coverage@3") == pytest.approx(4 / 5)
    assert report.counts["users_without_list"] == 1
    assert report.counts["lists_without_test_items"] == 1
    assert report.counts["listed_training_pairs"] == 1
    assert report.counts["test_pairs_untrained"] == 3
    assert report.to_frame()["user"].tolist() == ["ann", "bob", "eve"]


def forms(lists, tmp_path):
    rows = pandas.DataFrame(list(lists.rows()), columns=["user", "rank", "item", "title", "score"])
    shuffled = rows.sample(frac=1, random_state=0)
    users = list(lists.lists)
    saved = {}
    for ending in ("csv", "json", "parquet"):
        saved[ending] = tmp_path / f"lists.{ending}"
        lists.save(saved[ending])
    mapping = {user: [one.item for one in suggestions] for user, suggestions in lists}
    (tmp_path / "map.json").write_text(json.dumps({str(user): items for user, items in mapping.items()}))
    no_header = tmp_path / "plain.tsv"
    shuffled[["user", "item", "score"]].to_csv(no_header, sep="\t", header=False, index=False)
    return {
        "recommendations": lists,
        "mapping": mapping,
        "arrays": (users, np.array([mapping[user] for user in users])),
        "frame with rank": shuffled[["rank", "item", "user"]],
        "frame with score": shuffled[["user", "item", "score"]],
        "frame in order": rows[["user", "item"]],
        "polars": polars.from_pandas(shuffled),
        "lazy polars": polars.from_pandas(shuffled).lazy(),
        "arrow": polars.from_pandas(shuffled).to_arrow(),
        "map.json": tmp_path / "map.json",
        "without header": no_header,
        **saved,
    }


NAMES = (
    *("recommendations", "mapping", "arrays", "frame with rank", "frame with score", "frame in order", "polars"),
    *("lazy polars", "arrow"),
    *("map.json", "without header", "csv", "json", "parquet"),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_form_gives_the_figures_of_evaluate(name, model, split, lists, tmp_path):
    expected = jaxrec.evaluate(model, split, k=(3, 10))
    space = item_space(split.train, jax.random.key(0))
    expected = jaxrec.evaluate(model, split, k=(3, 10), space=space)
    got = jaxrec.evaluate_rankings(
        forms(lists, tmp_path)[name], split.test, train=split.fitted, k=(3, 10), item_features=space
    )
    np.testing.assert_array_equal(got.user_ids, expected.user_ids)
    assert set(got.per_user) == set(expected.per_user)
    for value, array in expected.per_user.items():
        np.testing.assert_allclose(got.per_user[value], array, rtol=1e-6, err_msg=value)
    assert got.overall == pytest.approx(dict(expected.overall))
    assert got.counts["listed_training_pairs"] == 0


def test_ids_of_their_own_are_matched_and_distances_follow_the_features():
    truth = jaxrec.from_arrays([1, 2], [10, 30])
    train = jaxrec.from_arrays([1, 2, 3], [20, 10, 30])
    features = {10: [0.0, 0.0], 20: [3.0, 4.0], 77: [9.0, 9.0]}
    frame = pandas.DataFrame({"item": list(features), "x": [0.0, 3.0, 9.0], "name": list("abc"), "y": [0.0, 4.0, 9.0]})
    for given in (features, frame, polars.from_pandas(frame).lazy(), polars.from_pandas(frame).to_arrow()):
        report = jaxrec.evaluate_rankings({1: [10, 20], 2: [10, 30]}, truth, train=train, k=2, item_features=given)
        # The two of user 1 are 5 apart; item 30 has no vector, so the list of user 2 has no pair and no distance.
        np.testing.assert_allclose(report.per_user["ild@2"], [5, np.nan])
        assert report.mean("ild@2") == 5
        assert report.counts["undefined_ild@2"] == 1
        np.testing.assert_allclose(report.per_user["recall@2"], [1, 1])


def test_a_distance_of_the_caller():
    def city_block(x, y):
        return abs(x - y).sum()

    features = {1: [0.0, 0.0], 2: [3.0, 4.0]}
    report = jaxrec.evaluate_rankings({"ann": [1, 2]}, (["ann"], [2]), train=(["ann"], [1]), k=2,
                                      item_features=features, distance=city_block)  # fmt: skip
    assert report.mean("ild@2") == 3 + 4
    assert report.space == "city_block distance in item features of the caller"


def test_evaluate_takes_a_distance(model, split):
    def half(x, y):
        return 0.5

    report = jaxrec.evaluate(model, split, k=(5,), distance=half)
    assert report.space.startswith("half distance in rows of V S")
    np.testing.assert_array_equal(report.per_user["ild@5"], 0.5)


def test_equal_scores_are_ordered_by_item():
    frame = pandas.DataFrame({"user": [1, 1, 1], "item": [30, 10, 20], "score": [0.5, 0.5, 0.9]})
    first = jaxrec.evaluate_rankings(frame, ([1, 1, 1], [10, 20, 30]), k=2, metrics={"first": lambda h, n, k: h[k - 1]})
    assert first.mean("first@2") == 1
    lone = jaxrec.evaluate_rankings(frame, ([1, 2, 2], [10, 20, 30]), k=2)
    assert lone.per_user["recall@2"][0] == 1  # 20, then 10 before 30


def test_ties_are_counted_wherever_scores_are_known(model, split, lists):
    frame = pandas.DataFrame(
        {
            "user": [1, 1, 1, 2, 2, 2, 3, 3, 4, 4],
            "item": [1, 2, 3, 1, 2, 3, 1, 2, 1, 2],
            "score": [9.0, 9, 8, 9, 8, 8, 7, 7, 5, 5],
        }
    )
    truth = ([1, 2, 3], [1, 2, 3])
    # User 1 ties within the first place and at its end, user 2 from place 2 on, user 3 throughout, user 4 has no truth.
    report = jaxrec.evaluate_rankings(frame, truth, k=1)
    assert (report.counts["lists_with_ties"], report.counts["tied_lists"]) == (2, 1)
    assert jaxrec.evaluate_rankings(frame, truth, k=2).counts["lists_with_ties"] == 3
    ranked = frame.assign(rank=[1, 2, 3, 1, 2, 3, 1, 2, 1, 2])
    assert jaxrec.evaluate_rankings(ranked, truth, k=2).counts == jaxrec.evaluate_rankings(frame, truth, k=2).counts
    by_rank = jaxrec.evaluate_rankings(ranked.drop(columns="score"), truth, k=2)
    assert (by_rank.counts["lists_with_ties"], by_rank.counts["tied_lists"]) == (0, 0)
    assert "lists_with_ties" not in jaxrec.evaluate_rankings(LISTS, TRUTH, train=(["ann"], [5]), k=1).counts
    own = jaxrec.evaluate_rankings(lists, split.test, train=split.fitted, k=10)
    scores = [[one.score for one in suggestions] for user, suggestions in lists if user in set(own.user_ids.tolist())]
    assert own.counts["lists_with_ties"] == sum(len(set(own)) < len(own) for own in scores)


def test_constant_scores_are_warned_of():
    frame = pandas.DataFrame({"user": [1, 1, 2, 2, 3, 3], "item": [1, 2, 1, 2, 1, 2], "score": [3, 3, 4, 4, 1, 2]})
    with pytest.warns(
        UserWarning, match=r"2 of 3 lists have one score from first to last: .* these figures say nothing"
    ):
        report = jaxrec.evaluate_rankings(frame, ([1, 2, 3], [1, 2, 1]), k=1)
    assert report.counts["tied_lists"] == 2


MISTAKES = {
    "twice": (({"ann": [1, 2, 1]}, TRUTH), {}, DataError, "1 items are twice in a list, such as item 1 of user 'ann'"),
    "unknown item": (({"ann": [9]}, TRUTH), {}, UnknownIdError, "1 of 1 items, such as 9, are in neither train nor"),
    "k of 0": ((LISTS, TRUTH), {"k": 0}, JaxrecError, "k is 0; pass a whole number of at least 1"),
    "negative k": ((LISTS, TRUTH), {"k": (-1, 2)}, JaxrecError, "k is -1; pass a whole number"),
    "half a k": (
        (LISTS, TRUTH),
        {"k": (1, 2.5)},
        JaxrecError,
        "k is 2.5; pass a whole number of at least 1",
    ),
    "unknown distance": ((LISTS, TRUTH), {"distance": "l1"}, JaxrecError, "distance is 'l1'; choose 'euclidean' or"),
    "k over the catalog": ((LISTS, TRUTH), {"k": 6}, JaxrecError, "k is 6, but the catalog has only 5 items"),
    "NaN score": (
        (pandas.DataFrame({"user": ["ann"], "item": [1], "score": [np.nan]}), TRUTH),
        {},
        DataError,
        "score is nan in row 0",
    ),
    "no list": (({}, TRUTH), {}, DataError, "recommendations has no item"),
    "a user twice": (((["ann", "ann"], [[1], [2]]), TRUTH), {}, DataError, "names a user twice"),
    "lists missing": (((["ann", "bob"], [[1]]), TRUTH), {}, MismatchError, "2 users and 1 lists"),
    "a number": ((3, TRUTH), {}, JaxrecError, "recommendations must be a mapping"),
    "pairs": (
        (LISTS, [(1, 10), (2, 30)]),
        {},
        JaxrecError,
        r"truth is a list of tuples, the first is \(1, 10\); pass \(users, items\)",
    ),
    "no truth": ((LISTS, 3), {}, JaxrecError, "truth must be interactions, a file"),
    "other kind": (
        (LISTS, TRUTH),
        {"train": (["ann"], ["one"])},
        MismatchError,
        "item ids of truth and train differ in kind, 1 and 'one'",
    ),
    "other space": (
        (LISTS, TRUTH),
        {"item_features": jaxrec.ranking.feature_space(np.eye(3))},
        MismatchError,
        "item_features has 3 items and the catalog of train and truth",
    ),
    "uneven features": ((LISTS, TRUTH), {"item_features": {1: [1.0], 2: [1.0, 2.0]}}, MismatchError, "lengths"),
    "no features": ((LISTS, TRUTH), {"item_features": 3}, JaxrecError, "item_features must be a mapping"),
    "unknown metric": ((LISTS, TRUTH), {"metrics": ["ndgc"]}, JaxrecError, "unknown metric 'ndgc'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    arguments, options, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        jaxrec.evaluate_rankings(*arguments, **{"k": 1, "train": (["ann"], [5]), **options})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "no JSON"), ("[1]", "expected an object"), ('{"lists": [{"user": 1}]}', "needs `user` and `items`")],
)
def test_broken_json_is_told(text, message, tmp_path):
    path = tmp_path / "lists.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        jaxrec.evaluate_rankings(path, TRUTH)


def test_columns_of_what_has_none_are_refused():
    with pytest.raises(JaxrecError, match="columns is for files and frames, and neither truth nor train is one"):
        jaxrec.evaluate_rankings({"ann": ["a"]}, (["ann"], ["a"]), columns={"user": "customer"}, k=1)
    frame = pandas.DataFrame({"customer": ["ann"], "sku": ["a"]})
    said = {"user": "customer", "item": "sku"}
    assert jaxrec.evaluate_rankings({"ann": ["a"]}, frame, columns=said, k=1).mean("recall@1") == 1
