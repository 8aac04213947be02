"""Candidate rules: what the lists may hold, what stays in the denominator, and what the report says of it."""

import jax
import numpy as np
import pytest
from reference import metrics as slow

import jaxrec
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError, UnknownIdError
from jaxrec.evaluation import TrainingStatistics, evaluate_scorer
from jaxrec.ranking import CandidateRule
from jaxrec.scorers import TableScorer

USERS, ITEMS, K = 30, 20, 4


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    pairs = rng.choice(USERS * ITEMS, size=240, replace=False)
    data = jaxrec.from_arrays([*(pairs // ITEMS), *range(USERS)], [*(pairs % ITEMS), *[0] * USERS])
    data = data.select(np.unique(data.user * ITEMS + data.item, return_index=True)[1])
    train = data.select(rng.random(len(data)) < 0.5)
    taken = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    test = data.select(np.array([(u, i) not in taken for u, i in zip(data.user, data.item, strict=True)]))
    return train, test, rng.permuted(np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1)), axis=1)


def sets_of(part):
    sets = [set() for _ in range(USERS)]
    for user, item in zip(part.user.tolist(), part.item.tolist(), strict=True):
        sets[user].add(item)
    return sets


RULES = {
    "exclude": ({3, 7}, [set()] * USERS, None),
    "exclude_for": (set(), [{user % ITEMS, (user + 1) % ITEMS} for user in range(USERS)], None),
    "candidates": (set(), [set()] * USERS, {1, 2, 3, 5, 8, 13}),
    "all of them": ({3}, [{user % ITEMS} for user in range(USERS)], {1, 2, 3, 5, 8, 13}),
    "fewer candidates than places": (set(), [set()] * USERS, {5, 9}),
}


@pytest.mark.parametrize("name", RULES)
def test_lists_and_counts_follow_the_rule(example, name):
    train, test, table = example
    exclude, exclude_for, candidates = RULES[name]
    rows = [(user, item) for user, items in enumerate(exclude_for) for item in items]
    rule = CandidateRule(
        exclude=np.array(sorted(exclude)) if exclude else None,
        exclude_for=seen_from_pairs(*np.array(rows).T, USERS, ITEMS) if rows else None,
        candidates=None if candidates is None else np.array([*candidates, *candidates]),  # twice counts once
    )
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=K, metrics=["recall"], rule=rule)
    seen, relevant = sets_of(train), sets_of(test)
    no_candidates = set() if candidates is None else set(range(ITEMS)) - candidates
    expected = [
        slow.recall(
            slow.ranked(table[user].tolist(), seen[user] | exclude | exclude_for[user] | no_candidates, K),
            relevant[user],
            K,
        )
        for user in report.users
    ]
    np.testing.assert_allclose(report.per_user[f"recall@{K}"], expected, atol=1e-6)
    pairs = list(zip(test.user.tolist(), test.item.tolist(), strict=True))
    told = {}
    if exclude or rows:
        told["test_pairs_excluded"] = sum(item in exclude or item in exclude_for[user] for user, item in pairs)
    if candidates is not None:
        told["test_pairs_not_candidates"] = sum(item not in candidates for _, item in pairs)
        told["candidate_items"] = len(candidates - exclude)
    assert {key: report.counts[key] for key in told} == told
    assert sum(told.values()) > 0
    assert report.counts["test_pairs"] == len(pairs)
    assert not {"test_pairs_excluded", "test_pairs_not_candidates"} - set(told) & set(report.counts)


def test_the_report_says_the_rule(example):
    train, test, table = example
    rule = CandidateRule(np.array([3]), seen_items(train.select([0, 1])), np.array([1, 2, 3]))
    run = lambda **options: evaluate_scorer(  # noqa: E731
        TableScorer(table), test, seen=seen_items(train), k=1, masked="train", **options
    )
    assert run(rule=rule).catalogue == "3 candidates of all 20 items, without 1 excluded"
    assert run(rule=rule).masked == "train, and 2 pairs of the caller"
    assert (run().catalogue, run().masked) == ("all 20 items", "train")


def test_pairs_that_are_masked_apart_from_the_seen_leave_the_trained_items_as_they_are(example):
    train, test, table = example
    kept = train.select(train.item != 5)
    rule = CandidateRule(exclude_for=seen_from_pairs(np.array([0]), np.array([5]), USERS, ITEMS))
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(kept), k=1, rule=rule)
    assert report.counts["test_pairs_untrained"] == (test.item == 5).sum() > 0


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (CandidateRule(exclude=np.array([ITEMS])), DataError, "exclude index 20 at position 0 is outside 0..19"),
        (CandidateRule(candidates=np.array([-1])), DataError, "candidates index -1 at position 0 is outside"),
        (CandidateRule(candidates=np.array([], np.int32)), JaxrecError, "leave no item that could be recommended"),
        (CandidateRule(np.arange(ITEMS)), JaxrecError, "leave no item that could be recommended"),
        (
            CandidateRule(exclude_for=SeenItems(np.array([0, 1]), np.array([1]))),
            MismatchError,
            "seen has 1 users and the scorer 30",
        ),
    ],
)
def test_bad_rules_are_refused(example, rule, error, message):
    train, test, table = example
    with pytest.raises(error, match=message):
        evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=1, rule=rule)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(1)
    pairs = rng.choice(30 * 40, size=400, replace=False)
    data = jaxrec.from_arrays([f"u{user:02}" for user in pairs // 40], pairs % 40 + 100)
    split = jaxrec.split(data, "user_random", test=0.3, valid=0.2, key=jax.random.key(0))
    return jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0)), split


def evaluate(fitted, **options):
    model, split = fitted
    return jaxrec.evaluate(model, split, k=(5,), metrics=["recall"], space=None, **options)


def test_masks_are_those_of_the_parts_that_they_name(fitted):
    model, split = fitted
    told = {"earlier": "train and valid", "train": "train", None: "nothing"}
    parts = {"earlier": [split.train, split.valid], "train": [split.train], None: [split.train.select([])]}
    for mask, words in told.items():
        report = evaluate(fitted, mask=mask)
        expected = evaluate_scorer(model.scorer, split.test, seen=seen_items(*parts[mask]), k=5, metrics=["recall"])
        np.testing.assert_array_equal(report.per_user["recall@5"], expected.per_user["recall@5"])
        assert report.masked == words
        assert report.counts["test_pairs_untrained"] == evaluate(fitted).counts["test_pairs_untrained"]
    assert evaluate(fitted).masked == "train and valid"
    # What a user has takes places of the popular items that they have not, so that less of what is held out is found.
    assert evaluate(fitted, mask=None).mean("recall@5") < evaluate(fitted).mean("recall@5")


def test_ids_of_the_caller_are_turned_into_indices(fitted):
    model, split = fitted
    candidates = [item for item in range(100, 140) if item % 3]
    report = evaluate(fitted, exclude=["101", 104], exclude_for={"u03": [102], "u04": []}, candidates=candidates)
    items, user = model.items, int(model.users.index(["u03"])[0])
    rule = CandidateRule(
        items.index([101, 104]),
        seen_from_pairs(np.array([user]), items.index([102]), model.num_users, model.num_items),
        items.index(candidates),
    )
    expected = evaluate_scorer(model.scorer, split.test, seen=seen_items(split.fitted), k=5, rule=rule)
    np.testing.assert_array_equal(report.per_user["recall@5"], expected.per_user["recall@5"])
    assert report.catalogue == "27 candidates of 40 items, without 2 excluded"  # 13 of 40 are divisible by 3
    assert report.counts["candidate_items"] == 25
    assert report.user_ids is not None


def test_interactions_are_pairs_to_leave_out_whatever_their_catalogue(fitted):
    _, split = fitted
    pairs = split.test.select(np.arange(0, len(split.test), 3))
    own = evaluate(fitted, exclude_for=pairs)
    foreign = jaxrec.from_arrays(pairs.users.ids[pairs.user], pairs.items.ids[pairs.item].astype(str))
    other = evaluate(fitted, exclude_for=foreign)
    assert own.counts["test_pairs_excluded"] == other.counts["test_pairs_excluded"] == len(pairs)
    np.testing.assert_array_equal(own.per_user["recall@5"], other.per_user["recall@5"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mask": "valid"}, JaxrecError, 'mask must be "earlier", "train" or None, got \'valid\''),
        ({"exclude": ["nothing"]}, UnknownIdError, "unknown item 'nothing'"),
        ({"candidates": [99]}, UnknownIdError, "unknown item 99"),
        ({"exclude_for": {"zoe": [100]}}, UnknownIdError, "unknown user 'zoe'"),
        ({"exclude_for": jaxrec.from_arrays(["u03"], [999])}, UnknownIdError, "unknown item 999"),
        ({"exclude_for": [100]}, JaxrecError, "exclude_for is a list; pass a mapping from a user to items"),
    ],
)
def test_what_the_model_does_not_know_is_told(fitted, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(fitted, **options)


def test_measures_of_scores_and_of_popularity_follow_the_rule_too():
    # One user; items 0..4 score 5..1. Item 0 is relevant, and so is item 3; items 1 and 2 are excluded.
    data = Interactions.from_arrays([0] * 5, range(5))
    truth, none = data.select([0, 3]), seen_items(data.select([]))
    table = TableScorer(np.array([[5.0, 4.0, 3.0, 2.0, 1.0]], np.float32))
    training = TrainingStatistics(np.array([1, 9, 8, 7, 0], np.int32), 1)
    rule = CandidateRule(exclude=np.array([1, 2]))
    report = evaluate_scorer(
        table, truth, seen=none, k=2, metrics=("auc", "r_precision", "serendipity"), training=training, rule=rule
    )
    assert report.mean("auc") == 1.0  # both relevant items are above item 4, the only other one that is left
    assert report.mean("r_precision") == 1.0  # the list is 0, 3
    assert report.mean("serendipity@2") == 0.0  # popularity recommends 3 and 0 when 1 and 2 are left out
    free = evaluate_scorer(
        table, truth, seen=none, k=2, metrics=("auc", "r_precision", "serendipity"), training=training
    )
    assert free.mean("auc") == pytest.approx((3 + 1) / 6)
    assert free.mean("r_precision") == 0.5
    assert free.mean("serendipity@2") == 0.5  # item 0 is a hit that popularity (1, 2) does not have
