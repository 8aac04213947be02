"""The evaluator: every value and count against a slow evaluation, and what must not change the result."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow
from reference.metric_cases import jaccard, slow_jaccard

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation import TrainingStatistics, evaluate_scorer
from jaxrec.metrics import RANKING_METRICS, recall
from jaxrec.ranking import feature_space
from jaxrec.scorers import TableScorer

USERS, ITEMS, CUTS = 70, 40, (3, 7)


def interactions(user, item, num_users=USERS, num_items=ITEMS):
    ids = IdMap(np.arange(num_users), "user"), IdMap(np.arange(num_items), "item")
    return Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32), *ids)


@pytest.fixture(scope="module")
def example():
    """A train and a test part with all the odd cases, scores with many ties, and item features for most items."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        cut = ITEMS - 2 if user == 1 else ITEMS if user == 2 else rng.integers(1, 20)
        # The last three items are nowhere in train, except for the two users who have seen (nearly) everything.
        train += [(user, item) for item in items[:cut] if item < ITEMS - 3]
        size = 0 if user % 9 == 0 else rng.integers(1, 8)
        test += [(user, item) for item in items[cut : cut + size]]
    test += [(20, ITEMS - 1), (20, ITEMS - 1)]  # a pair twice
    test = [pair for pair in test if pair[0] != 21] + [(21, ITEMS - 1)]  # nothing but an untrained item
    test += [(22, train[[pair[0] for pair in train].index(22)][1])]  # a masked pair
    train, test = (interactions(*zip(*pairs, strict=True)) for pairs in (train, test))
    table = rng.integers(0, 5, (USERS, ITEMS)).astype(np.float32)
    known = rng.random(ITEMS) < 0.7
    features = np.where(known[:, None], rng.normal(size=(ITEMS, 3)), np.nan).astype(np.float32)
    return train, test, table, feature_space(features, known=known)


def slow_evaluation(train, test, table, space, cuts):
    """Per-user values by name, in ascending order of users, and the lists."""
    seen, relevant = ([set() for _ in range(table.shape[0])] for _ in range(2))
    for part, sets in ((train, seen), (test, relevant)):
        for user, item in zip(part.user.tolist(), part.item.tolist(), strict=True):
            sets[user].add(item)
    trained = set(train.item.tolist())
    users = [user for user in range(table.shape[0]) if relevant[user]]
    lists = [slow.ranked(table[user].tolist(), seen[user], max(cuts)) for user in users]
    values = {}
    for k in cuts:
        for name, metric in slow.RANKING.items():
            values[f"{name}@{k}"] = [
                metric(listed, relevant[user], k) for user, listed in zip(users, lists, strict=True)
            ]
        values[f"recall_known@{k}"] = [
            slow.recall(listed, relevant[user] & trained, k) if relevant[user] & trained else np.nan
            for user, listed in zip(users, lists, strict=True)
        ]
        values[f"ild@{k}"] = distances_of(lists, k, space, slow.euclidean)
    return users, values, lists


def distances_of(lists, k, space, distance, vectors=None):
    """The mean distance within each list; NaN, which means leave out, for a list with fewer than two vectors."""
    vectors = space.vectors if vectors is None else vectors
    placed = [[item >= 0 and space.known[item] for item in listed[:k]] for listed in lists]
    return [
        slow.intra_list_distance(vectors[listed[:k]], there, distance) if sum(there) > 1 else np.nan
        for listed, there in zip(lists, placed, strict=True)
    ]


def test_every_value_agrees_with_a_slow_evaluation(example):
    train, test, table, space = example
    report = evaluate_scorer(
        TableScorer(table), test, seen=seen_items(train), k=CUTS, metrics=list(RANKING_METRICS), space=space
    )
    users, expected, lists = slow_evaluation(train, test, table, space, CUTS)
    np.testing.assert_array_equal(report.users, users)
    assert set(report.per_user) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(report.per_user[name], values, atol=1e-6, rtol=0, err_msg=name)
        np.testing.assert_allclose(report.mean(name), np.nanmean(values), atol=1e-6)
    for k in CUTS:
        covered = slow.catalog_coverage([listed[:k] for listed in lists], ITEMS)
        np.testing.assert_allclose(report.overall[f"coverage@{k}"], covered, rtol=1e-6)


def test_everything_that_is_left_out_is_counted(example):
    train, test, table, space = example
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, space=space)
    pairs = set(zip(test.user.tolist(), test.item.tolist(), strict=True))
    trained = set(train.item.tolist())
    users, _, lists = slow_evaluation(train, test, table, space, CUTS)
    places = {k: [item for listed in lists for item in listed[:k] if item >= 0] for k in CUTS}
    with_vector = {
        k: [sum(item >= 0 and bool(space.known[item]) for item in listed[:k]) for listed in lists] for k in CUTS
    }
    _, _, deep = slow_evaluation(train, test, table, space, (10,))
    scores = [[table[user][item] for item in listed if item >= 0] for user, listed in zip(users, deep, strict=True)]
    tied = sum(len(own) >= 2 and len(set(own)) == 1 for own in scores)
    assert report.counts == {
        "users_evaluated": len(users),
        "users_without_test_items": USERS - len(users),
        "users_untrained": len(set(users) - set(train.user.tolist())),
        "test_pairs": len(pairs),
        "test_pairs_disliked": 0,
        "test_pairs_untrained": sum(item not in trained for _, item in pairs),
        "users_with_untrained_test_items_only": len(users) - len({user for user, item in pairs if item in trained}),
        "test_pairs_masked": 1,
        "untrained_items": ITEMS - len(trained),
        **{f"short_lists@{k}": sum(listed[k - 1] < 0 for listed in lists) for k in CUTS},
        "tied_lists": tied,
        "lists_with_ties": sum(
            any(one == other for one, other in itertools.pairwise(own[: max(CUTS) + 1])) for own in scores
        ),
        "items_without_vector": int((~space.known).sum()),
        **{f"places_without_vector@{k}": sum(not space.known[item] for item in places[k]) for k in CUTS},
        **{f"undefined_ild@{k}": sum(count < 2 for count in with_vector[k]) for k in CUTS},
    }
    odd = ("users_with_untrained_test_items_only", "short_lists@7", "undefined_ild@3", "tied_lists")
    assert all(report.counts[name] > 0 for name in odd)


def test_memory_and_tiles_change_nothing(example, monkeypatch):
    train, test, table, space = example
    run = lambda memory: evaluate_scorer(  # noqa: E731
        TableScorer(table), test, seen=seen_items(train), k=CUTS, space=space, memory_mb=memory
    )
    whole = run(256)
    monkeypatch.setattr("jaxrec.evaluation._measure._TILE", 7)
    tiled = run(0.05)
    assert tiled.overall == whole.overall
    assert tiled.counts == whole.counts
    for name in whole.per_user:
        np.testing.assert_allclose(tiled.per_user[name], whole.per_user[name], rtol=1e-6, err_msg=name)


def test_the_order_of_interactions_changes_nothing(example):
    train, test, table, space = example
    rng = np.random.default_rng(1)
    reports = [
        evaluate_scorer(TableScorer(table), one, seen=seen_items(two), k=CUTS, space=space)
        for one, two in (
            (test, train),
            (test.select(rng.permutation(len(test))), train.select(rng.permutation(len(train)))),
        )
    ]
    for name in reports[0].per_user:
        np.testing.assert_array_equal(reports[0].per_user[name], reports[1].per_user[name])


def test_the_order_of_users_changes_nothing(example):
    train, test, table, space = example
    order = np.random.default_rng(2).permutation(USERS)  # user u becomes order[u]
    moved = np.empty_like(table)
    moved[order] = table
    parts = [interactions(order[part.user], part.item) for part in (train, test)]
    before = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, space=space)
    after = evaluate_scorer(TableScorer(moved), parts[1], seen=seen_items(parts[0]), k=CUTS, space=space)
    assert after.overall == before.overall
    place = np.argsort(order[before.users])
    for name, values in before.per_user.items():
        np.testing.assert_array_equal(after.per_user[name], values[place], err_msg=name)


def test_new_names_for_the_items_change_nothing(example):
    train, test, _, space = example
    rng = np.random.default_rng(3)
    table = rng.permuted(np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1)), axis=1)  # without ties
    order = rng.permutation(ITEMS)  # item i becomes order[i]
    moved = np.empty_like(table)
    moved[:, order] = table
    vectors, known = np.empty_like(space.vectors), np.empty_like(space.known)
    vectors[order], known[order] = space.vectors, space.known
    parts = [interactions(part.user, order[part.item]) for part in (train, test)]
    before = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, space=space)
    after = evaluate_scorer(
        TableScorer(moved), parts[1], seen=seen_items(parts[0]), k=CUTS, space=feature_space(vectors, known=known)
    )
    assert after.overall == before.overall
    assert after.counts == before.counts
    for name, values in before.per_user.items():
        np.testing.assert_allclose(after.per_user[name], values, rtol=1e-6, err_msg=name)


def test_items_that_are_known_can_be_stated(example):
    train, test, table, _ = example
    known = np.zeros(ITEMS, bool)
    known[:10] = True
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=7, metrics=["recall"], known=known)
    kept = test.select(known[test.item])
    _, expected, _ = slow_evaluation(train, kept, table, feature_space(np.eye(ITEMS)), (7,))
    np.testing.assert_allclose(report.mean("recall_known@7"), np.mean(expected["recall@7"]), atol=1e-6)
    assert report.counts["untrained_items"] == ITEMS - 10


def test_a_metric_of_the_caller(example):
    train, test, table, _ = example

    def first_place(hits, num_relevant, *, k=None):
        return hits[0] & (num_relevant > 0)

    run = lambda metrics: evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=1, metrics=metrics)  # noqa: E731
    report = run({"first": first_place})
    assert set(report.per_user) == {"first@1"}
    np.testing.assert_array_equal(report.per_user["first@1"], run(["hit_rate"]).per_user["hit_rate@1"])
    assert "recall_known@1" in run({"found": recall}).per_user


def test_a_perfect_scorer_is_perfect(example):
    _, test, _, _ = example
    table = np.zeros((USERS, ITEMS), np.float32)
    table[test.user, test.item] = 1 + test.item.astype(np.float32)  # no ties at the top
    none = seen_items(test.select(np.zeros(len(test), bool)))
    report = evaluate_scorer(TableScorer(table), test, seen=none, k=ITEMS, metrics=["recall", "ndcg", "precision"])
    assert report.mean(f"recall@{ITEMS}") == 1.0
    assert report.mean(f"ndcg@{ITEMS}") == 1.0
    expected = len(set(zip(test.user, test.item, strict=True))) / (ITEMS * len(np.unique(test.user)))
    np.testing.assert_allclose(report.mean(f"precision@{ITEMS}"), expected, rtol=1e-6)


def test_padding_is_not_an_item():
    train, test = interactions([0, 1], [1, 2], 2, 3), interactions([0, 1], [0, 0], 2, 3)
    table = TableScorer(np.array([[3, 2, 1], [1, 2, 3]], np.float32))
    report = evaluate_scorer(
        table, test, seen=seen_items(train), k=3, metrics=["precision"], space=feature_space(np.eye(3))
    )
    # Each list holds two items and one place of padding: the one hit, item 0, counts once; the two items one pair.
    np.testing.assert_allclose(report.per_user["precision@3"], [1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(report.per_user["ild@3"], np.sqrt([2, 2]), rtol=1e-6)


def test_cosine_distance_and_what_the_report_says(example):
    train, test, table, space = example
    report = evaluate_scorer(
        TableScorer(table),
        test,
        seen=seen_items(train),
        k=3,
        space=space,
        distance="cosine",
        masked="training items",
        fitted="train",
    )
    _, _, lists = slow_evaluation(train, test, table, space, (3,))
    expected = distances_of(lists, 3, space, slow.cosine)
    np.testing.assert_allclose(report.per_user["ild@3"], expected, atol=1e-6)
    assert report.names == ("recall@3", "precision@3", "ndcg@3", "recall_known@3", "ild@3", "coverage@3")
    assert (report.masked, report.fitted, report.catalogue) == ("training items", "train", "all 40 items")
    assert report.space == "cosine distance in item features of the caller"
    assert report.seconds > 0


def test_a_distance_of_the_caller_between_sets_of_categories(example):
    train, test, table, _ = example
    categories = np.random.default_rng(5).random((ITEMS, 4)) < 0.3
    assert not categories.any(axis=1).all()
    space = feature_space(categories, known=categories.any(axis=1), description="sets of genres")
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, space=space, distance=jaccard)
    _, _, lists = slow_evaluation(train, test, table, space, CUTS)
    for k in CUTS:
        expected = distances_of(lists, k, space, slow_jaccard, categories)
        np.testing.assert_allclose(report.per_user[f"ild@{k}"], expected, atol=1e-6)
    assert report.space == "jaccard distance in sets of genres"


def test_constant_scores_are_warned_of(example):
    train, test, _, _ = example
    constant = TableScorer(jnp.zeros((USERS, ITEMS)))
    for k in (1, 10):
        with pytest.warns(UserWarning, match=r"61 of 61 lists have one score from first to last: .* these figures say"):
            report = evaluate_scorer(constant, test, seen=seen_items(train), k=k)
        assert report.counts["tied_lists"] == 61


def test_a_tie_of_a_few_users_is_counted_without_a_warning(example):
    train, test, table, _ = example
    table = np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1))
    table[10:13] = 0
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=5)
    assert report.counts["tied_lists"] == 3
    assert report.counts["lists_with_ties"] == 3


@pytest.mark.parametrize(("place", "counted"), [(3, 1), (4, 1), (5, 0)])
def test_ties_are_counted_to_the_place_behind_the_longest_list(place, counted):
    scores = np.arange(9, 0, -1, dtype=np.float32)
    scores[place] = scores[place + 1]  # the first place is 0, and a list of 5 ends with 4
    users, items = IdMap(np.arange(1), "user"), IdMap(np.arange(9), "item")
    test = Interactions(np.zeros(1, np.int32), np.array([8], np.int32), users, items)
    report = evaluate_scorer(TableScorer(scores[None]), test, seen=seen_items(test.select([])), k=5)
    assert (report.counts["lists_with_ties"], report.counts["tied_lists"]) == (counted, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, JaxrecError, "k is 0; pass a whole number of at least 1"),
        ({"k": -3}, JaxrecError, "k is -3; pass a whole number of at least 1"),
        ({"k": (2, 2.5)}, JaxrecError, "k is 2.5; pass a whole number of at least 1"),
        ({"scorer": TableScorer(np.full((USERS, ITEMS), np.nan, np.float32))}, JaxrecError, "hold NaN or"),
        (
            {"truth": interactions([0], [0], USERS, 41)},
            MismatchError,
            "the scorer is of 70 users and 40 items, and truth of 70 and 41",
        ),
        (
            {"training": TrainingStatistics(np.ones(41, np.int32), 70)},
            MismatchError,
            "training.popularity has 41 rows and truth 40 items; make the statistics from the same split",
        ),
        (
            {"training": TrainingStatistics(np.ones(40, np.int32), 70, np.ones((40, 2)), np.ones((69, 2)))},
            MismatchError,
            "training.history has 69 rows and truth 70 users",
        ),
        ({"distance": 3}, JaxrecError, "distance is 3; choose 'euclidean' or 'cosine', or pass a function"),
        (
            {"distance": lambda x, y: jnp.abs(x - y), "space": feature_space(np.eye(40))},
            MismatchError,
            r"distance <lambda> gives float32\[40\] for two vectors \[40\], expected one real number; sum over",
        ),
        (
            {"distance": lambda x, y: jnp.sum(x - y) / jnp.sum(0 * x), "space": feature_space(np.eye(40))},
            JaxrecError,
            "distance <lambda> gives nan for the list of user 1, and .* more; give a finite number",
        ),
        ({"k": ()}, JaxrecError, "k is empty; pass at least one length"),
        ({"k": (10, 41)}, JaxrecError, "k is 41, but the catalog has only 40 items"),
        ({"metrics": ["recal"]}, JaxrecError, "unknown metric 'recal'; choose from recall, precision"),
        ({"metrics": []}, JaxrecError, "metrics is empty; name at least one"),
        ({"metrics": {"mine": 3}}, JaxrecError, "metric 'mine' is 3; pass a mapping from a name to a function"),
        ({"known": np.ones(3, bool)}, MismatchError, r"known is bool\[3\], expected bool\[40\]"),
        ({"space": feature_space(np.eye(3))}, MismatchError, "space has 3 items and truth 40"),
        (
            {"scorer": TableScorer(np.zeros((3, 40), np.float32))},
            MismatchError,
            "the scorer is of 3 users and 40 items",
        ),
        ({"truth": interactions([], [])}, DataError, "truth has no interaction; there is nothing to evaluate on"),
        ({"seen": seen_items(interactions([0], [0], 3))}, MismatchError, "seen has 3 users and the scorer 70"),
        ({"distance": "l1", "space": feature_space(np.eye(40))}, JaxrecError, "distance is 'l1'; choose 'euclidean'"),
    ],
)
def test_bad_input_is_refused(example, change, error, message):
    train, test, table, _ = example
    given = {"scorer": TableScorer(table), "truth": test, "seen": seen_items(train), **change}
    with pytest.raises(error, match=message):
        evaluate_scorer(given.pop("scorer"), given.pop("truth"), **given)
