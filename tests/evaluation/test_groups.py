"""Groups of users and of items: labels in every form, figures by hand and against loops, and tables."""

import dataclasses
import math

import jax
import numpy as np
import pandas
import pytest
from reference import groups as slow
from reference import metrics as slow_metrics

import jaxrec
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation import _item_groups as groups_module
from jaxrec.evaluation import evaluate_scorer
from jaxrec.reports import (
    Groups,
    Report,
    activity_groups,
    by_item_group,
    group_markdown,
    group_table,
    popularity_groups,
)
from jaxrec.reports._groups import as_groups
from jaxrec.scorers import TableScorer

VALUES = {"recall@5": np.array([0.0, 0.5, 1.0, 0.25]), "ndcg@5": np.array([0.0, 0.25, 0.75, np.nan])}


@pytest.fixture
def report():
    return Report(
        np.array([1, 3, 4, 7]),
        VALUES,
        {"coverage@5": 0.5},
        {"users_evaluated": 4, "test_pairs": 9},
        masked="train",
        user_ids=np.array([10, 30, 40, 70]),
    )


FORMS = {
    "array": ["old", "new", "old", "new"],
    "numpy": np.array(["old", "new", "old", "new"]),
    "series": pandas.Series(["old", "new", "old", "new"], index=[9, 8, 7, 6]),
    "mapping": {10: "old", 30: "new", 40: "old", 70: "new", 99: "elsewhere"},
    "mapping of text": {"10": "old", "30": "new", "40": "old", "70": "new"},
    "groups by id": Groups(("new", "old"), np.array([1, 0, 1]), np.array([10, 30, 40]), other=0),
    "groups by index": Groups(("new", "old"), np.array([1, 1, 1, 0, 1, 1, 1, 0])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_gives_the_same_groups(report, form):
    groups = report.by_group(FORMS[form])
    assert list(groups) == ["new", "old"]
    assert groups["new"].user_ids.tolist() == [30, 70]
    assert groups["new"].users.tolist() == [3, 7]
    assert groups["old"].mean("recall@5") == (0 + 1) / 2
    assert groups["new"].mean("ndcg@5") == 0.25  # the other user has no value
    spread = math.sqrt(2 * 0.125**2)
    half = 1.959963984540054 * spread / math.sqrt(2)
    np.testing.assert_allclose(groups["new"].interval("recall@5"), [0.375 - half, 0.375 + half], rtol=1e-6)


def test_values_of_all_lists_are_left_out_of_groups(report):
    group = report.by_group(FORMS["array"])["new"]
    assert (group.overall, group.counts, group.masked) == ({}, {"users_evaluated": 2}, "train")
    with pytest.raises(JaxrecError, match="no per-user value 'coverage@5'"):
        group.mean("coverage@5")


def test_labels_may_be_numbers_and_where_no_ids_are_known_indices_are_ids(report):
    nameless = dataclasses.replace(report, user_ids=None)
    groups = nameless.by_group({1: 25, 3: 3, 4: 25, 7: 100})
    assert [(label, len(group.users)) for label, group in groups.items()] == [(3, 1), (25, 2), (100, 1)]
    mixed = nameless.by_group([1, "b", 1, "a"])  # which cannot be sorted but as text
    assert list(mixed) == [1, "a", "b"]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            {10: "old"},
            MismatchError,
            'of 4 users have no group, such as 30; give every user a label, for example "other"',
        ),
        ({30: "new", "30": "old"}, JaxrecError, "user '30' has two labels, 'new' and 'old', by number and by text"),
        (["old"], MismatchError, "there are 1 labels of 4 users; give one label each"),
        ("old!", JaxrecError, "the user groups are 'old!'; pass Groups, a mapping"),
        (["old", None, "old", "new"], JaxrecError, "user 30 has the label None; give it one"),
        ([1.0, 2.0, 1.0, np.nan], JaxrecError, "user 70 has the label nan; give it one"),
        ([["a"], ["a"], ["a"], ["b"]], JaxrecError, "a label of a user cannot name a group: .*; use text or numbers"),
        ([1, "1", 1, 1], JaxrecError, "two groups have labels that read alike"),
        (Groups(("a",), np.zeros(2)), MismatchError, "the groups are of 2 users, and user 7 is not among them"),
        (Groups(("a",), np.zeros(2), np.array([10, 30])), MismatchError, "2 of 4 users have no group, such as 40"),
    ],
)
def test_labels_that_do_not_fit_are_refused(report, labels, error, message):
    with pytest.raises(error, match=message):
        report.by_group(labels)


def test_groups_that_make_no_sense_are_refused():
    with pytest.raises(JaxrecError, match=r"of must be groups in 0\.\.1"):
        Groups(("a", "b"), np.array([0, 2]))
    with pytest.raises(MismatchError, match="ids has 1 entries and of 2"):
        Groups(("a",), np.array([0, 0]), np.array([1]))


@pytest.mark.parametrize(
    ("bounds", "names", "of"),
    [
        ((2, 4), ("0", "1", "2-3", "4 or more"), [3, 2, 1]),
        ((1,), ("0", "1 or more"), [1, 1, 1]),
        ((10, 50), ("0", "1-9", "10-49", "50 or more"), [1, 1, 1]),
        (np.array([3, 4, 5]), ("0", "1-2", "3", "4", "5 or more"), [3, 2, 1]),
    ],
)
def test_activity_is_counted_in_training(bounds, names, of):
    train = Interactions.from_arrays(["a"] * 4 + ["b"] * 3 + ["c"], [0, 1, 2, 3, 0, 1, 2, 0])
    groups = activity_groups(train, bounds)
    assert groups.names == names
    assert groups.of.tolist() == of


def test_a_user_without_training_is_in_the_group_of_none():
    train = Interactions.from_arrays(["a"] * 4 + ["b"], [0, 1, 2, 3, 0])
    without = train.select(np.arange(4))  # b has nothing
    report = Report(np.arange(3), {"recall@5": np.array([0.25, 0.5, 1.0])}, user_ids=np.array(["a", "b", "zoe"]))
    groups = report.by_group(activity_groups(without, (4, 5)))
    assert [(label, group.user_ids.tolist()) for label, group in groups.items()] == [("0", ["b", "zoe"]), ("4", ["a"])]


@pytest.mark.parametrize("bounds", [(), (0, 5), (5, 5), (5, 3), (2.5,), (True,)])
def test_bounds_that_are_no_rising_counts_are_refused(bounds):
    with pytest.raises(JaxrecError, match="pass ascending whole numbers of at least 1"):
        activity_groups(Interactions.from_arrays([0], [0]), bounds)


def test_head_and_tail_are_those_of_the_long_tail():
    train = Interactions.from_arrays([*range(6), *range(2), 0, 1], ["a"] * 6 + ["b"] * 2 + ["c", "d"])
    groups = popularity_groups(train)  # a and b have 8 of 10
    assert (groups.names, groups.of.tolist()) == (("head", "tail"), [0, 0, 1, 1])
    assert popularity_groups(train, share=0.5).of.tolist() == [0, 1, 1, 1]
    assert groups.at(np.array([0]), np.array(["new"]), "item").tolist() == [1]


def test_tables_have_a_row_a_group_with_its_users_and_intervals(report):
    groups = report.by_group(["old", "new", "old", "new"])
    half = 1.959963984540054 * 0.5  # of 0 and 1: s / sqrt(2) = 1 / 2

    def bounds(mean, half):
        """Both reach past 0 and 1, so the intervals are those of the logit."""
        middle, wide = np.log(mean / (1 - mean)), half / (mean * (1 - mean))
        return [1 / (1 + np.exp(-(middle + sign * wide))) for sign in (-1, 1)]

    low, high = bounds(0.375, 0.75 * half)
    assert group_markdown(groups, ["ndcg@5", "recall@5"]).splitlines() == [
        "| | ndcg@5 | recall@5 | users |",
        "|---|---|---|---|",
        "| new | 0.2500 | 0.3750 ±.2450 | 1 |",  # one of the two has an nDCG
        f"| old | 0.3750 [{low:.4f}, {high:.4f}] | 0.5000 ±{bounds(0.5, half)[1] - 0.5:.4f} | 2 |".replace("±0.", "±.")
        .replace("[0.", "[.")
        .replace(", 0.", ", ."),
    ]
    assert group_table(groups).splitlines()[0].split() == ["recall@5", "ndcg@5", "users"]
    with pytest.raises(JaxrecError, match="groups is empty"):
        group_table({})


USERS, ITEMS, CUTS = 25, 20, (3, 6)


def interactions(user, item):
    ids = IdMap(np.arange(USERS), "user"), IdMap(np.arange(ITEMS), "item")
    return Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32), *ids)


@pytest.fixture(scope="module")
def example():
    """A user who has seen nearly everything has a short list; item 7 is in a group of its own that no test pair has."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        items = rng.permutation([item for item in range(ITEMS) if item != 7])
        cut = ITEMS - 3 if user == 1 else rng.integers(2, 8)
        train += [(user, item) for item in items[:cut]]
        test += [(user, item) for item in items[cut : cut + (0 if user % 6 == 5 else rng.integers(1, 6))]]
    table = rng.permuted(np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1)), axis=1)
    labels = np.where(np.arange(ITEMS) == 7, "lone", np.where(np.arange(ITEMS) % 3 == 0, "threes", "others"))
    return *(interactions(*zip(*pairs, strict=True)) for pairs in (train, test)), table, labels


def test_groups_of_items_agree_with_loops(example, monkeypatch):
    monkeypatch.setattr(groups_module, "_TILE", 7)  # several tiles, the last one not full
    train, test, table, labels = example
    groups = as_groups(labels, None, ITEMS, "item")
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=CUTS, item_groups=groups)
    seen, relevant = seen_items(train), seen_items(test)
    lists = [slow_metrics.ranked(table[user].tolist(), set(seen.of(user).tolist()), max(CUTS)) for user in report.users]
    for label in ("lone", "others", "threes"):
        group = set(np.flatnonzero(labels == label).tolist())
        for k in CUTS:
            values = [
                slow.of_item_group(listed, set(relevant.of(user).tolist()), group, k)
                for user, listed in zip(report.users, lists, strict=True)
            ]
            for name in ("recall", "ndcg", "hits"):
                expected = [np.nan if value is None else value[name] for value in values]
                np.testing.assert_allclose(report.per_user[f"{name}@{k} [{label}]"], expected, atol=1e-6)
            share = slow.exposure_share(lists, group, k)
            np.testing.assert_allclose(report.overall[f"exposure@{k} [{label}]"], share)
        np.testing.assert_allclose(report.overall[f"catalogue_share [{label}]"], len(group) / ITEMS)
        trained = sum(item in group for item in train.item.tolist()) / len(train)
        np.testing.assert_allclose(report.overall[f"training_share [{label}]"], trained)
    assert np.isnan(report.mean("recall@3 [lone]"))
    assert report.counts["short_lists@6"] > 0


def test_figures_of_item_groups_by_hand():
    truth = (["ann", "ann", "bob"], [1, 2, 3])
    train = (["ann", "bob", "eve", "eve"], [4, 4, 4, 1])
    groups = {1: "old", 2: "new", 3: "new", 4: "old"}
    report = jaxrec.evaluate_rankings({"ann": [1, 3, 2], "bob": [4]}, truth, train=train, k=(1, 3), item_groups=groups)
    parts = by_item_group(report)
    assert list(parts) == ["new", "old"]
    # Of the new items Ann finds 2 at place 3, where it has half the gain of a first place; Bob does not find 3.
    np.testing.assert_allclose(parts["new"].per_user["recall@3"], [1, 0])
    np.testing.assert_allclose(parts["new"].per_user["ndcg@3"], [1 / 2, 0])
    np.testing.assert_allclose(parts["new"].per_user["hits@1"], [0, 0])
    np.testing.assert_allclose(parts["old"].per_user["recall@1"], [1, np.nan])
    assert parts["new"].overall == {"exposure@1": 0, "exposure@3": 2 / 4, "catalogue_share": 2 / 4, "training_share": 0}
    assert parts["old"].overall["exposure@1"] == 1
    table = group_markdown(parts, ["recall@3", "exposure@3", "catalogue_share"]).splitlines()
    assert table[0] == "| | recall@3 | exposure@3 | catalogue_share | users |"
    assert table[3] == "| old | 1.0000 | 0.5000 | 0.5000 | 1 |"
    assert (
        "training_share"
        not in by_item_group(jaxrec.evaluate_rankings({"ann": [1]}, truth, k=1, item_groups=groups))["new"].overall
    )


def test_groups_of_users_and_items_of_a_fitted_model():
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 40, size=400, replace=False)
    data = jaxrec.from_arrays(pairs // 40, pairs % 40)
    split = jaxrec.split(data, "user_random", test=0.3, valid=0.0, key=jax.random.key(0))
    model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0))
    groups = popularity_groups(split.train)
    report = jaxrec.evaluate(model, split, k=(5,), metrics=["recall"], space=None, item_groups=groups)
    parts = by_item_group(report)
    assert parts["head"].overall["exposure@5"] == 1  # popularity recommends nothing else
    assert parts["tail"].mean("recall@5") == 0
    hits = sum(np.nansum(part.per_user["hits@5"]) for part in parts.values())
    truths = np.bincount(split.test.user, minlength=data.num_users)[report.users]
    assert hits == pytest.approx(float((report.per_user["recall@5"] * truths).sum()))
    users = report.by_group(activity_groups(split.train, (5, 10)))
    assert sum(len(group.users) for group in users.values()) == len(report.users)
    assert {"recall@5", "recall@5 [tail]"} <= set(users["5-9"].per_user)
    with pytest.raises(MismatchError, match="39 of 40 items have no group, such as 1"):
        jaxrec.evaluate(model, split, k=(5,), item_groups={0: "a"})


def test_groups_of_items_that_do_not_fit_are_refused(example):
    train, test, table, _ = example
    run = lambda groups: evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=3, item_groups=groups)  # noqa: E731
    with pytest.raises(MismatchError, match="item_groups is of 3 items, expected 20"):
        run(Groups(("a",), np.zeros(3)))
    with pytest.raises(JaxrecError, match="item_groups has 101 groups, and each is measured for every user"):
        run(Groups(tuple(range(101)), np.zeros(ITEMS)))
    with pytest.raises(JaxrecError, match="the report has no groups of items"):
        by_item_group(Report(np.arange(1), {"recall@3": np.zeros(1)}))
