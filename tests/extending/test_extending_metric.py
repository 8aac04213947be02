"""A metric from outside: the suite, evaluate, validation, the command line, and a registered name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from examples.extending.metric import RankBiasedPrecision
from jaxrec.protocols import Metric
from jaxrec.testing import MetricConformance

PLACE = "examples.extending.metric:RankBiasedPrecision"


class TestRankBiasedPrecision(MetricConformance):
    metric = RankBiasedPrecision(persistence=0.5)


def test_the_value_is_the_formula():
    lists, truth = {"ann": [1, 3, 2], "bob": [3, 1, 2]}, (["ann", "ann", "bob", "eve"], [1, 2, 1, 3])
    report = jaxrec.evaluate_rankings(lists, truth, k=(2, 3), metrics=["recall", RankBiasedPrecision(0.5)])
    # Ann has hits at places 1 and 3, Bob at place 2, Eve has no list; the weights are 1/2, 1/4 and 1/8.
    assert report.mean("rbp@2") == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert report.mean("rbp@3") == pytest.approx((1 / 2 + 1 / 8 + 1 / 4) / 3)


def test_it_is_measured_beside_names_and_watched_in_training(split):
    metric = RankBiasedPrecision()
    validation = jaxrec.Validation(every=1, monitor="rbp@3", metrics=["recall", metric], k=3)
    how = {"epochs": 3, "batch_size": 32, "validation": validation, "key": jax.random.key(0)}
    fitted = jaxrec.fit(jaxrec.MF(dim=4), split, **how)
    watched = [record["valid"]["rbp@3"] for record in fitted.info["records"] if "valid" in record]
    assert fitted.info["valid"]["rbp@3"] == max(watched)
    assert 1 + int(np.argmax(watched)) == fitted.info["best_epoch"]
    report = jaxrec.evaluate(fitted, split, k=3, metrics=["recall", metric], space=None)
    assert 0 <= report.mean("rbp@3") <= 1 - 0.8**3


def test_a_fit_that_watched_it_is_saved_and_restored(split, tmp_path):
    validation = jaxrec.Validation(every=1, monitor="rbp@3", metrics=[RankBiasedPrecision(0.5)], k=3)
    how = {"epochs": 1, "batch_size": 32, "validation": validation, "key": jax.random.key(0)}
    fitted = jaxrec.fit(jaxrec.MF(dim=4), split, **how)
    folder = jaxrec.save(fitted, tmp_path / "run")
    with pytest.raises(jaxrec.JaxrecError, match=PLACE):
        jaxrec.restore(folder)
    assert jaxrec.restore(folder, kinds=[RankBiasedPrecision]).options == fitted.options


def test_the_command_line_takes_it(ratings, cli, tmp_path):
    run = tmp_path / "run"
    fit = ("--model", "itemknn", "--neighbors", "5", "--out", run, "-k", "3", "--no-distances")
    assert cli("fit", ratings, *fit).status == 0
    document = cli("evaluate", run, "-k", "3", "--no-distances", "--metrics", "recall", PLACE).json
    assert {"recall@3", "rbp@3"} <= set(document["mean"])


def test_a_registered_name_is_as_good_as_a_built_in_one():
    jaxrec.registry.register("metric", "rbp", RankBiasedPrecision)
    try:
        report = jaxrec.evaluate_rankings({"ann": [1, 3]}, (["ann", "eve"], [1, 3]), k=2, metrics=["rbp"])
        # Ann has a hit at the first place, Eve has no list.
        assert report.mean("rbp@2") == pytest.approx(0.2 / 2)
    finally:
        jaxrec.registry.unregister("metric", "rbp")


class Misses(Metric):
    """The places without a hit: a metric without options, and with another direction."""

    name = "misses"
    higher_is_better = False

    def __call__(self, user, *, k):
        return jnp.sum(~user.hits[:k], dtype=jnp.int32)


class TestMisses(MetricConformance):
    metric = Misses()


def test_metrics_without_options_and_of_the_catalog_are_saved_by_place_and_name(split, tmp_path):
    metrics = [Misses(), jaxrec.registry.make("metric", "hit_rate")]
    validation = jaxrec.Validation(every=1, monitor="misses@3", metrics=metrics, k=3)
    how = {"epochs": 2, "batch_size": 32, "validation": validation, "key": jax.random.key(0)}
    fitted = jaxrec.fit(jaxrec.MF(dim=4), split, **how)
    watched = [record["valid"]["misses@3"] for record in fitted.info["records"] if "valid" in record]
    assert fitted.info["valid"]["misses@3"] == min(watched)
    restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"), kinds=[Misses])
    assert restored.options.validation.metrics == (Misses(), "hit_rate")
