"""Reports: means, intervals, paired differences, means of runs, and tables."""

import json
import math

import numpy as np
import pytest

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.reports import (
    Report,
    average_reports,
    by_item_group,
    comparison_markdown,
    comparison_table,
    paired_difference,
)

Z = 1.959963984540054  # the 97.5% point of the normal distribution


def report(values, users=None, **further):
    users = np.arange(len(values)) if users is None else users
    return Report(np.asarray(users), {"recall@10": np.asarray(values)}, **further)


def test_mean_and_interval_are_the_formula():
    one = report([0.0, 0.5, 0.5, 1.0])
    spread = math.sqrt((0.5**2 + 0 + 0 + 0.5**2) / (4 - 1))
    low, high = one.interval("recall@10")
    assert one.mean("recall@10") == 0.5
    np.testing.assert_allclose([low, high], [0.5 - Z * spread / 2, 0.5 + Z * spread / 2], rtol=1e-6)
    narrow = one.interval("recall@10", level=0.5)
    np.testing.assert_allclose(narrow[1] - 0.5, 0.6744897501960817 * spread / 2, rtol=1e-6)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    within = 0
    for _ in range(1000):
        low, high = report(rng.exponential(1.0, 200)).interval("recall@10", level=0.9)
        within += low <= 1.0 <= high
    # 1,000 trials of probability 0.9 have a standard deviation of 9.5; the skew of the values costs a little.
    assert abs(within - 900) < 40


def test_users_without_a_value_are_left_out():
    one = report([1.0, np.nan, 0.0])
    assert one.mean("recall@10") == 0.5
    assert one.interval("recall@10") == report([1.0, 0.0]).interval("recall@10")


def test_nothing_is_claimed_of_fewer_than_two_users():
    assert all(math.isnan(end) for end in report([0.5]).interval("recall@10"))
    assert math.isnan(report([np.nan]).mean("recall@10"))
    assert report([np.nan]).to_dict()["mean"] == {"recall@10": None}


def test_values_of_all_lists_have_no_interval():
    one = report([0.0, 1.0], overall={"coverage@10": 0.25})
    assert one.mean("coverage@10") == 0.25
    assert one.names == ("recall@10", "coverage@10")
    with pytest.raises(JaxrecError, match=r"no per-user value 'coverage@10' \(it is one number of all lists"):
        one.interval("coverage@10")


def test_the_dictionary_is_plain_json():
    one = report(
        [0.0, 1.0], overall={"coverage@10": 0.25}, counts={"users_evaluated": np.int64(2)}, seconds=1.5, masked="train"
    )
    told = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert told["mean"] == {"recall@10": 0.5, "coverage@10": 0.25}
    np.testing.assert_allclose(told["interval"]["recall@10"], one.interval("recall@10"))
    assert told["counts"] == {"users_evaluated": 2}
    assert (told["seconds"], told["masked"], told["runs"]) == (1.5, "train", 1)


def test_the_text_shows_values_counts_and_settings():
    text = str(
        report(
            [0.5, 0.5],
            overall={"coverage@10": 0.25},
            counts={"users_without_test_items": 3, "tied_lists": 0},
            seconds=1.25,
            masked="training items",
            space="a space",
        )
    )
    assert text.splitlines() == [
        "             mean    95% interval",
        "recall@10    0.5000  0.5000 to 0.5000",
        "coverage@10  0.2500",
        "2 users, 1.2 s",
        "users without test items: 3",
        "masked: training items",
        "item space: a space",
    ]


def test_paired_difference_compares_each_user_with_themselves():
    rng = np.random.default_rng(0)
    b = rng.random(50)
    a = b + 0.01 + 0.001 * rng.normal(size=50)  # a small gain under a large spread between users
    mean, low, high = paired_difference(report(a), report(b), "recall@10")
    difference = np.float32(a) - np.float32(b)
    np.testing.assert_allclose(mean, difference.mean(), rtol=1e-4)
    np.testing.assert_allclose((high - low) / 2, Z * difference.std(ddof=1) / math.sqrt(50), rtol=1e-4)
    assert low > 0
    assert report(a).interval("recall@10")[0] < report(b).interval("recall@10")[1]  # the single intervals overlap
    backwards = paired_difference(report(b), report(a), "recall@10")
    np.testing.assert_allclose(backwards, [-mean, -high, -low])


def test_paired_difference_finds_the_users_in_any_order():
    a, b = report([0.1, 0.2, 0.9], users=[5, 3, 8]), report([0.9, 0.1, 0.2], users=[8, 5, 3])
    np.testing.assert_array_equal(paired_difference(a, b, "recall@10"), [0, 0, 0])


def test_reports_on_different_users_are_refused():
    with pytest.raises(MismatchError, match=r"the reports are on different users \(2 are in one of them only\)"):
        paired_difference(report([1.0, 0.5], users=[1, 2]), report([1.0, 0.5], users=[1, 3]), "recall@10")


def test_means_of_runs_are_taken_user_by_user():
    runs = [
        report([0.0, 1.0], users=[4, 2], overall={"coverage@10": 0.25}, counts={"n": 2, "short": 1}, seconds=1.0),
        report([0.5, 0.25], users=[2, 4], overall={"coverage@10": 0.75}, counts={"n": 2, "short": 2}, seconds=3.0),
    ]
    mean = average_reports(runs)
    np.testing.assert_array_equal(mean.users, [4, 2])
    np.testing.assert_allclose(mean.per_user["recall@10"], [(0.0 + 0.25) / 2, (1.0 + 0.5) / 2])
    assert mean.overall == {"coverage@10": 0.5}
    assert mean.counts == {"n": 2, "short": 1.5}
    assert (mean.seconds, mean.runs) == (2.0, 2)
    assert "mean of 2 runs" in str(mean)


def five_runs():
    """Means .25, .5, .5, .5, .75 and coverage .125 less: the squares of the distances sum to 2 x .25^2."""
    return [
        report([0.5 + shift, 0.5 - shift, 0.5 + further], overall={"coverage@10": 0.5 + further / 3 - 0.125})
        for shift, further in ((0.25, -0.75), (0.5, 0.0), (0.0, 0.0), (0.125, 0.0), (0.25, 0.75))
    ]


T4 = 2.7764451051977987  # the 97.5% point of Student's distribution of 4 degrees


def test_every_value_has_its_spread_over_seeds_beside_its_interval_over_users():
    mean = average_reports(five_runs())
    std = math.sqrt(2 * 0.25**2 / 4)
    for name, centre in (("recall@10", 0.5), ("coverage@10", 0.375)):
        half = T4 * std / math.sqrt(5)
        np.testing.assert_allclose(mean.spread(name), [centre, std, centre - half, centre + half], rtol=1e-6)
    # The mean of each user over the runs: .5 + 1.125 / 5, .5 - 1.125 / 5, .5; the interval over users is of these.
    users = [0.5 + 0.225, 0.5 - 0.225, 0.5]
    half = Z * math.sqrt(2 * 0.225**2 / 2) / math.sqrt(3)
    np.testing.assert_allclose(mean.per_user["recall@10"], users, rtol=1e-6)
    np.testing.assert_allclose(mean.interval("recall@10"), [0.5 - half, 0.5 + half], rtol=1e-6)
    assert mean.spread("recall@10", level=0.5).high < mean.spread("recall@10").high
    told = json.loads(json.dumps(mean.to_dict(), allow_nan=False))["seeds"]
    assert set(told) == {"recall@10", "coverage@10"}
    np.testing.assert_allclose(told["coverage@10"]["values"], [0.125, 0.375, 0.375, 0.375, 0.625])
    np.testing.assert_allclose([told["coverage@10"][field] for field in ("mean", "std")], [0.375, std])


def test_the_text_says_which_chance_is_which():
    half, std, over_users = T4 * math.sqrt(0.125 / 4 / 5), math.sqrt(0.125 / 4), Z * 0.225 / math.sqrt(3)
    lines = str(average_reports(five_runs())).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["mean", "95%", "interval", "over", "users", "std", "over", "seeds", "95%", "interval", "over", "seeds"],
        f"recall@10 0.5000 {0.5 - over_users:.4f} to {0.5 + over_users:.4f} "
        f"{std:.4f} {0.5 - half:.4f} to {0.5 + half:.4f}".split(),
        f"coverage@10 0.3750 {std:.4f} {0.375 - half:.4f} to {0.375 + half:.4f}".split(),
    ]
    assert lines[3:] == [
        "3 users, 0.0 s, mean of 5 runs",
        "over users: these trained models with other users; over seeds: the models trained again",
    ]
    assert "4 seeds: a claim about methods needs at least 5" in str(average_reports(five_runs()[:4])).splitlines()


def test_means_of_means_count_every_run_once():
    runs = five_runs()
    once, twice = (
        average_reports(runs),
        average_reports([average_reports(runs[:3]), runs[3], average_reports(runs[4:])]),
    )
    assert twice.runs == 5
    np.testing.assert_allclose(twice.per_user["recall@10"], once.per_user["recall@10"], rtol=1e-6)
    np.testing.assert_allclose(twice.overall["coverage@10"], once.overall["coverage@10"], rtol=1e-12)
    for name in once.names:
        np.testing.assert_array_equal(twice.seeds[name], once.seeds[name])


def test_one_training_has_no_spread_and_a_value_that_is_missing_in_one_has_none():
    alone = average_reports([report([0.0, 1.0])])
    assert (alone.runs, alone.seeds, alone.to_dict()["seeds"]) == (1, {}, {})
    with pytest.raises(JaxrecError, match="the report is of one training; a spread needs several"):
        alone.spread("recall@10")
    mean = average_reports([report([np.nan, np.nan]), report([0.0, 1.0])])
    assert all(math.isnan(part) for part in mean.spread("recall@10"))
    assert mean.to_dict()["seeds"]["recall@10"]["values"] == [None, 0.5]
    with pytest.raises(JaxrecError, match="the report has no value 'ndcg@10'; it has recall@10"):
        mean.spread("ndcg@10")
    with pytest.raises(JaxrecError, match="level is 95; pass a probability"):
        mean.spread("recall@10", level=95)


def test_runs_without_the_value_of_each_are_refused():
    with pytest.raises(MismatchError, match=r"seeds 'recall@10' has shape None, expected \(2,\), .* average_reports"):
        report([0.0, 1.0], runs=2)
    with pytest.raises(MismatchError, match=r"seeds 'coverage@10' has shape \(3,\), expected \(2,\)"):
        report([1.0], overall={"coverage@10": 0.5}, runs=2, seeds={"recall@10": [0, 1], "coverage@10": [0, 1, 0]})


def test_only_runs_of_one_setting_are_averaged():
    with pytest.raises(
        MismatchError, match="the reports differ in masked: 'train' and ''; average runs of one setting"
    ):
        average_reports(
            [report([1.0], masked="train", setting={"masked": "a"}), report([1.0], setting={"masked": "b"})]
        )
    with pytest.raises(MismatchError, match=r"the reports differ in what they hold \(coverage@10\)"):
        average_reports([report([1.0], overall={"coverage@10": 1.0}), report([1.0])])
    with pytest.raises(MismatchError, match="the reports are on different users"):
        average_reports([report([1.0], users=[0]), report([1.0], users=[1])])
    with pytest.raises(JaxrecError, match="reports is empty; pass at least one"):
        average_reports([])


def test_tables_are_aligned_and_show_half_widths():
    reports = {
        "popularity": report([0.0, 0.5, 0.5, 1.0], overall={"coverage@10": 0.25}),
        "mf": report([0.5, 0.5, 0.5, 0.5], overall={"coverage@10": 0.5}),
    }
    names, extra = ["recall@10", "coverage@10"], {"train s": {"mf": "1.5"}}
    half = Z * math.sqrt((2 * 0.5**2) / 3) / 2
    assert comparison_table(reports, names, extra=extra).splitlines() == [
        "            recall@10      coverage@10  train s",
        f"popularity  0.5000 ±{half:.4f}".replace("±0", "±") + "  0.2500",
        "mf          0.5000 ±.0000  0.5000       1.5",
    ]
    assert comparison_markdown(reports, names, extra=extra).splitlines() == [
        "| | recall@10 | coverage@10 | train s |",
        "|---|---|---|---|",
        f"| popularity | 0.5000 ±{half:.4f} | 0.2500 |  |".replace("±0", "±"),
        "| mf | 0.5000 ±.0000 | 0.5000 | 1.5 |",
    ]


def test_bad_input_is_refused():
    with pytest.raises(MismatchError, match="users names a user twice"):
        report([1.0, 0.5], users=[1, 1])
    with pytest.raises(MismatchError, match=r"per_user 'recall@10' has shape \(2,\), expected \(3,\)"):
        report([1.0, 0.5], users=[1, 2, 3])
    with pytest.raises(JaxrecError, match="no per-user value 'ndcg@10'; it has recall@10"):
        report([1.0]).mean("ndcg@10")
    with pytest.raises(JaxrecError, match="level is 95; pass a probability between 0 and 1"):
        report([1.0, 0.5]).interval("recall@10", level=95)
    with pytest.raises(JaxrecError, match="reports is empty; pass at least one"):
        comparison_table({}, ["recall@10"])


def test_groups_of_a_mean_are_the_means_of_the_groups():
    runs = [
        report([0.0, 0.5, 1.0, np.nan], overall={"coverage@10": 0.5}),
        report([0.5, 0.5, 0.0, 1.0], overall={"coverage@10": 0.25}),
        report([1.0, 0.5, 0.5, 0.0], overall={"coverage@10": 0.25}),
    ]
    labels = ["new", "new", "old", "old"]
    cut = average_reports(runs).by_group(labels)
    averaged = average_reports([run.by_group(labels) for run in runs])
    assert list(cut) == list(averaged) == ["new", "old"]
    for groups in (cut, averaged, average_reports([average_reports(runs[:2]), runs[2]]).by_group(labels)):
        assert groups["new"].runs == 3
        np.testing.assert_allclose(groups["new"].per_user["recall@10"], [0.5, 0.5])
        np.testing.assert_allclose(groups["new"].seeds["recall@10"], [0.25, 0.5, 0.75])
        np.testing.assert_allclose(groups["old"].seeds["recall@10"], [1.0, 0.5, 0.25])
        assert groups["new"].spread("recall@10").std == pytest.approx(0.25)
        assert groups["new"].overall == {}
    with pytest.raises(MismatchError, match="the reports differ in their groups: new, old and a"):
        average_reports([runs[0].by_group(labels), runs[1].by_group(["a"] * 4)])
    lone = report([1.0], runs=2, seeds={"recall@10": [0, 2]})
    with pytest.raises(JaxrecError, match="the mean of 2 trainings and lacks their reports; make it with average_rep"):
        lone.by_group(["a"])


def test_groups_of_items_of_a_mean_keep_their_seeds():
    runs = [
        Report(
            np.arange(2), {"recall@5": np.zeros(2), "recall@5 [a [b]]": np.full(2, value)}, {"exposure@5 [c]": value}
        )
        for value in (0.25, 0.75)
    ]
    parts = by_item_group(average_reports(runs))
    assert list(parts) == ["a [b]", "c"]
    np.testing.assert_allclose(parts["a [b]"].seeds["recall@5"], [0.25, 0.75])
    assert parts["c"].spread("exposure@5").mean == 0.5
    assert list(parts["a [b]"].by_group(["u", "v"])["u"].per_user) == ["recall@5"]


def test_labels_are_in_natural_order():
    groups = report(np.zeros(5)).by_group(["10", "b", "2", "a11", "a2"])
    assert list(groups) == ["2", "10", "a2", "a11", "b"]


def test_means_without_users_who_were_never_trained_stand_beside():
    one = report(
        [0.0, 0.5, 1.0], users=[4, 7, 9], trained=np.array([False, True, True]), user_ids=np.array(list("abc"))
    )
    assert one.mean("recall@10") == 0.5
    assert one.of_trained_users().mean("recall@10") == 0.75
    assert one.of_trained_users().user_ids.tolist() == ["b", "c"]
    assert one.to_dict()["mean_of_trained_users"] == {"recall@10": 0.75}
    assert "without users untrained: recall@10 0.7500" in str(one)
    groups = one.by_group({"a": "x", "b": "x", "c": "y"})
    assert [group.trained.tolist() for group in groups.values()] == [[False, True], [True]]
    several = average_reports([one, report([0.5, 0.5, 0.5], users=[9, 4, 7], trained=np.array([True, False, True]),
                                           user_ids=np.array(list("cab")))])  # fmt: skip
    assert several.of_trained_users().mean("recall@10") == (0.5 + 1.0 + 0.5 + 0.5) / 4
    whole = report([0.0, 1.0], trained=np.ones(2, bool))
    assert whole.of_trained_users() is whole
    assert "mean_of_trained_users" not in whole.to_dict()
    assert math.isnan(report([0.0, 1.0], trained=np.zeros(2, bool)).of_trained_users().mean("recall@10"))
    with pytest.raises(MismatchError, match="trained has 1 entries, expected 2: one for each user"):
        report([0.0, 1.0], trained=np.ones(1, bool))
