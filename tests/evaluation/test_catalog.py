"""The catalog of metrics: every name, metrics from outside, mixtures, directions, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import metrics as functions
from jaxrec import registry
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation import _measure as measure_module
from jaxrec.evaluation import (
    category_table,
    evaluate_scorer_sampled,
    higher_is_better,
    judgments,
    resolve_metrics,
    split_value_name,
)
from jaxrec.protocols import NEEDS, Metric
from jaxrec.scorers import TableScorer

LISTS = {"ann": [1, 2, 3], "bob": [2, 3, 1]}
TRUTH = (["ann", "ann", "bob"], [2, 3, 1], [4, 2, 5])
TRAIN = (["ann", "bob", "eve"], [1, 2, 2])
LABELS = {1: "war|drama", 2: "comedy", 3: {"drama"}}


class FirstHit(Metric):
    name = "first_hit"

    def __call__(self, user, *, k):
        place = (1 + jnp.argmax(user.hits[:k])).astype(jnp.float32)
        return jnp.where(jnp.any(user.hits[:k]), place, jnp.nan)


@dataclasses.dataclass(frozen=True)
class Known(Metric):
    """Of the items, the grades and the training data; lower is better."""

    scale: float = 1.0
    name: str = "known"
    needs = frozenset({"items", "training", "grades"})
    higher_is_better = False

    def __call__(self, user, *, k):
        counts = user.popularity[jnp.maximum(user.listed[:k], 0)]
        return self.scale * jnp.sum(counts).astype(jnp.float32) + jnp.max(user.grades[:k])


class Places(Metric):
    name = "places"
    over = "lists"

    def __call__(self, lists, *, k):
        return jnp.sum(lists.exposure)


class Bias(Metric):
    name = "bias"
    over = "ratings"
    at_k = False
    higher_is_better = False

    def __call__(self, pairs, *, k):
        return pairs.predicted - pairs.actual


def measured(metrics, **options):
    return jaxrec.evaluate_rankings(LISTS, TRUTH, train=TRAIN, k=(1, 3), metrics=metrics, **options)


def test_names_objects_classes_and_functions_are_mixed():
    mine = {"last": lambda hits, num_relevant, *, k: hits[k - 1]}
    report = measured(["recall", FirstHit(), Places, mine, Known(2.0)])
    assert report.names == (
        "recall@1", "recall@3", "first_hit@1", "first_hit@3", "last@1", "last@3", "known@1", "known@3",
        "recall_known@1", "recall_known@3", "places@1", "places@3", "coverage@1", "coverage@3",
    )  # fmt: skip
    np.testing.assert_array_equal(report.per_user["first_hit@3"], [2, 3])
    np.testing.assert_array_equal(report.per_user["first_hit@1"], [np.nan, np.nan])
    np.testing.assert_array_equal(report.per_user["last@3"], [1, 1])
    # Item 1 has one training user, item 2 two, item 3 none; Ann's grades are 4 and 2, Bob's is 5.
    np.testing.assert_array_equal(report.per_user["known@3"], [2 * 3 + 4, 2 * 3 + 5])
    assert (report.overall["places@1"], report.overall["places@3"]) == (2, 6)
    assert report.lower == {"known@1", "known@3"}


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_name_is_measured_and_has_a_direction(name):
    (metric,) = resolve_metrics(name, over=("user", "scores", "lists", "ratings"))
    assert metric.name == name
    assert metric == registry.make("metric", name)
    assert hash(metric) == hash(registry.make("metric", name))
    assert set(metric.needs) <= set(NEEDS)
    assert higher_is_better(f"{name}@5 [tail]") == metric.higher_is_better
    if metric.over in ("user", "lists"):
        space = {1: [0.0], 2: [1.0], 3: [3.0]}
        report = measured(name, item_features=space, item_categories=LABELS)
        assert np.isfinite(report.mean(f"{name}@3" if metric.at_k else name))


def test_which_way_is_better():
    lower = {"rmse", "mae", "user_rmse", "miscalibration@5", "average_popularity@5", "gini@5", "gini@5 (sampled 9)"}
    lower |= {"calibration@5", "popularity@5"}  # names of older reports
    assert not any(higher_is_better(name) for name in lower)
    assert all(higher_is_better(name) for name in ("recall@5", "entropy@5", "mine@5", "hits@5 [a]", "auc", "ild@3"))
    assert not higher_is_better("known@9", [FirstHit(), Known()])


def test_names_of_values_have_three_parts():
    for name, parts in {
        "recall@10": ("recall", 10, None),
        "recall@10 [tail]": ("recall", 10, "tail"),
        "catalogue_share [a [b]]": ("catalogue_share", None, "a [b]"),
        "exposure@5 [x@3]": ("exposure", 5, "x@3"),
        "user_rmse": ("user_rmse", None, None),
    }.items():
        assert tuple(split_value_name(name)) == parts
        assert str(split_value_name(name)) == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("calibration", "miscalibration"),
        ("personalisation", "personalization"),
        ("entropy", "shannon_entropy"),
        ("popularity", "average_popularity"),
        ("recall_min", "capped_recall"),
    ],
)
def test_old_names_warn_and_keep_the_names_of_their_values(old, new):
    with pytest.warns(DeprecationWarning, match=f"the metric '{old}' is a name of 0.1 and goes in 0.3; use '{new}'"):
        before = measured([old], item_categories=LABELS)
    after = measured([new], item_categories=LABELS)
    assert before.mean(f"{old}@3") == after.mean(f"{new}@3")
    function = {"entropy": "exposure_entropy", "popularity": None}.get(old, old)
    if function:
        with pytest.warns(DeprecationWarning, match=f"jaxrec.metrics.{function} is a name of 0.1"):
            assert getattr(functions, function) is getattr(functions, new)


def test_equal_metrics_are_compiled_once():
    measure_module._measure_tile.clear_cache()  # a full cache of the process would drop an entry for each that it takes
    measured([FirstHit()])
    once = measure_module._measure_tile._cache_size()
    measured([FirstHit()])
    measured(FirstHit)
    assert measure_module._measure_tile._cache_size() == once == 1
    assert Known(1.0) != Known(2.0)


class Wide(Metric):
    name = "wide"

    def __call__(self, user, *, k):
        return user.hits


class Greedy(FirstHit):
    name = "greedy"
    needs = frozenset({"everything"})


class At(FirstHit):
    name = "hit@1"


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([], JaxrecError, "metrics is empty"),
        (
            ["recal"],
            JaxrecError,
            "unknown metric 'recal'; choose from recall, .*, or pass a metric or {name",
        ),
        ([3], JaxrecError, "3 is no metric; pass a name, {name: function}, or an object of a class that derives from"),
        ([functions.recall], JaxrecError, "is no metric; pass a name, {name: function}"),
        ([{"recall": functions.ndcg}, "recall"], JaxrecError, "two metrics are named 'recall'; give each its own name"),
        ([{"coverage": functions.ndcg}], JaxrecError, "'coverage' has a name that every report uses itself"),
        (["rmse"], JaxrecError, "the metric 'rmse' is of predicted ratings; pass it to jaxrec.evaluate_ratings"),
        ([Greedy()], JaxrecError, "the metric 'greedy' needs 'everything', which is none of items, trained"),
        ([At()], JaxrecError, "metric 'hit@1' has a name with '@' or"),
        ([Wide()], MismatchError, r"the metric 'wide' gives shape \(3,\) for a user, expected one number"),
        (["ild"], JaxrecError, "the metric 'ild' needs vectors of the items; pass a space"),
    ],
)
def test_what_is_no_metric_is_refused(metrics, error, message):
    with pytest.raises(error, match=message):
        measured(metrics)


def test_sampled_lists_take_functions_of_hits_alone():
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    table, seen = TableScorer(np.arange(6, dtype=np.float32).reshape(2, 3)), jaxrec.data.seen_items(data.select([0]))
    run = lambda metrics: evaluate_scorer_sampled(  # noqa: E731
        table, data.select([1, 2]), jax.random.key(0), seen=seen, sampled=4, k=2, metrics=metrics
    )
    for name in ("precision_length", "gini", "r_precision", "auc"):
        with pytest.raises(JaxrecError, match=f"the metric '{name}' is no function of hits"):
            run([name])
    with pytest.warns(jaxrec.evaluation.SampledMetricsWarning):
        assert run([FirstHit(), "recall"]).names == ("first_hit@2 (sampled 4)", "recall@2 (sampled 4)")


def test_a_metric_of_ratings():
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 0], [1.0, 3.0, 5.0])
    scorer = jaxrec.scorers.FactorScorer(jnp.ones((2, 1)), jnp.array([[2.0], [2.0]]), dim=1)
    report = jaxrec.evaluation.evaluate_rating_scorer(scorer, data, metrics=["mae", Bias()])
    assert report.names == ("user_mae", "user_bias", "mae", "bias")
    assert report.mean("bias") == pytest.approx((1 - 1 - 3) / 3)
    np.testing.assert_allclose(report.per_user["user_bias"], [0, -3])
    assert report.lower == {"mae", "user_mae", "bias", "user_bias"}
    with pytest.raises(JaxrecError, match="the metric 'recall' is of ranked items, not of predicted ratings"):
        jaxrec.evaluation.evaluate_rating_scorer(scorer, data, metrics=["recall"])


@pytest.mark.parametrize("k", [2, (2,), [2], np.array([2, 2]), np.int64(2), range(2, 3), np.array(2)])
def test_every_form_of_k_is_taken_everywhere(k):
    assert jaxrec.evaluate_rankings(LISTS, TRUTH, k=k, metrics="recall").names[0] == "recall@2"
    truth = jaxrec.from_arrays([0, 0], [0, 1])
    assert judgments(truth, seen=jaxrec.data.seen_items(truth.select([])), k=k).cutoffs == (2,)


@pytest.mark.parametrize("k", [True, 2.0, np.array([1.0, 2.0]), 0, (1, 0), "2", None, np.array([True]), 4])
def test_other_forms_of_k_are_refused_everywhere_alike(k):
    truth = jaxrec.from_arrays([0, 0], [0, 1])
    message = "pass a whole number of at least 1|pass k <= "
    with pytest.raises(JaxrecError, match=message):
        jaxrec.evaluate_rankings(LISTS, TRUTH, k=k)
    with pytest.raises(JaxrecError, match=message):
        judgments(truth, seen=jaxrec.data.seen_items(truth.select([])), k=k)


CATEGORIES = [[0, 1, 1], [1, 0, 0], [0, 1, 0]]  # comedy, drama, war


@pytest.mark.parametrize(
    "given",
    [
        LABELS,
        ["war|drama", "comedy", "drama"],
        [["war", "drama"], {"comedy"}, ("drama",)],
        np.array(["drama|war", "comedy", "drama"]),
        "genres",
        CATEGORIES,
        np.array(CATEGORIES, bool),
    ],
)
def test_categories_in_every_form_are_one_table(given):
    columns = {"genres": {1: "war|drama", 2: "comedy", 3: "drama"}}
    data = jaxrec.data.Interactions.from_arrays(["a"] * 3, [1, 2, 3], item_columns=columns)
    np.testing.assert_array_equal(category_table(given, data)[0], CATEGORIES)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("color", JaxrecError, "item_categories is 'color', and the items have no columns"),
        ({9: "war"}, JaxrecError, "item_categories names none of the 3 items, but 9 and the like"),
        (["war"], MismatchError, "item_categories has labels of 1 items, expected 3"),
        (["", None, float("nan")], JaxrecError, "item_categories has no label"),
        (np.ones((2, 2)), MismatchError, r"item_categories has shape \(2, 2\), expected \[3, C\]"),
    ],
)
def test_categories_that_do_not_fit_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        category_table(given, jaxrec.from_arrays(["a"] * 3, [1, 2, 3]))


def test_the_space_of_a_training_part_is_made_once(monkeypatch):
    from jaxrec.ranking import _item_vectors as module

    monkeypatch.setattr(module, "_SPACES", {})
    split = jaxrec.split(jaxrec.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 0, 2]), "user_random", test=0.5,
                         key=jax.random.key(0))  # fmt: skip
    again = dataclasses.replace(split, train=split.train.select(np.arange(len(split.train))))
    first = module.common_space(split.train, rank=1)
    assert module.common_space(again.train, rank=1) is first
    for rank in range(2, 3 + module._MOST_SPACES):
        assert module.common_space(split.train, rank=rank) is not first
    assert len(module._SPACES) == module._MOST_SPACES
    assert module.common_space(split.train, rank=1) is not first
