"""The tests of a metric."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.data.splitting import Split
from jaxrec.evaluation import resolve_metrics
from jaxrec.protocols import NEEDS, Metric, UserList
from jaxrec.testing._worlds import SIZE, checkerboard

OVER = ("user", "scores", "lists", "ratings")
K = 4


class MetricConformance:
    """The tests of a metric. A subclass sets `metric`.

    They ask for a name and needs that exist, a value of all lists of an evaluation, the same with `jax.vmap` as one
    user after another, no influence of what lies beyond k, and a direction that hits bear out.

    Attributes:
      metric: the metric.
      counts_hits: False for a metric that more hits do not make better.
      watched: False for a metric that cannot be watched in training, since validation has no categories or distances.

    >>> class TestRecall(MetricConformance):
    ...     metric = resolve_metrics("recall")[0]
    """

    metric: ClassVar[Metric]
    counts_hits: ClassVar[bool] = True
    watched: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def split(cls) -> Split:
        """The rated checkerboard, a part of it held out, with two categories of items."""
        data = checkerboard(rated=True)
        held = np.random.default_rng(0).random(len(data)) < 0.3
        return Split(data.select(~held), data.select(np.zeros(len(data), bool)), data.select(held), method="random")

    @pytest.fixture(scope="class")
    @classmethod
    def report(cls, split: Split) -> Any:
        """What an evaluation says of it."""
        if cls.metric.over == "ratings":
            loss = jaxrec.losses.SquaredError(scale=(1, 5))
            fitted = jaxrec.fit(jaxrec.MF(dim=2, bias=True), split, loss=loss, epochs=2, key=jax.random.key(0))
            return jaxrec.evaluate_ratings(fitted, split, metrics=[cls.metric])
        fitted = jaxrec.fit(jaxrec.Random(), split, key=jax.random.key(0))
        parity = np.eye(2, dtype=np.float32)[np.arange(split.train.num_items) % 2]
        return jaxrec.evaluate(fitted, split, k=(2, K), metrics=[cls.metric], item_categories=parity)

    def value_names(self) -> list[str]:
        """The names of its values in a report of lists of 2 and of 4."""
        return [f"{self.metric.name}@{k}" for k in (2, K)] if self.metric.at_k else [self.metric.name]

    def call(self, hits: Any, num_relevant: Any, metric: Any = None) -> Any:
        """The value of a list of which only the hits count."""
        metric = self.metric if metric is None else metric
        return metric(UserList(hits, num_relevant), k=K if metric.at_k else None)

    def hits_alone(self) -> None:
        """Skip a test for a metric that looks at more than the hits."""
        if self.metric.over != "user" or self.metric.needs:
            pytest.skip("this metric looks at more than hits")

    def test_it_says_what_it_is(self):
        metric = self.metric
        assert resolve_metrics([metric], over=OVER) == (metric,)
        assert metric.over in OVER
        assert set(metric.needs) <= set(NEEDS)
        assert isinstance(metric.at_k, bool)
        assert isinstance(metric.higher_is_better, bool)

    def test_a_copy_is_equal_and_traced_once_with_it(self):
        copied = copy.copy(self.metric)
        assert copied == self.metric
        assert hash(copied) == hash(self.metric)
        chex.clear_trace_counter()
        call = jax.jit(chex.assert_max_traces(lambda metric, x: x, 1), static_argnums=0)
        call(self.metric, 1.0)
        call(copied, 1.0)

    def test_an_evaluation_has_its_values(self, report):
        for name in self.value_names():
            value = report.mean(name)
            assert math.isnan(value) or math.isfinite(value)

    def test_users_one_by_one_and_vmap_give_the_same(self):
        self.hits_alone()
        hits = jax.random.bernoulli(jax.random.key(0), 0.4, (16, K))
        relevant = jnp.maximum(jnp.sum(hits, axis=1, dtype=jnp.int32), 1)
        together = jax.vmap(self.call)(hits, relevant)
        assert together.shape == (16,)
        for at in range(16):
            np.testing.assert_allclose(together[at], self.call(hits[at], relevant[at]), rtol=1e-6)

    def test_what_lies_beyond_k_has_no_influence(self):
        self.hits_alone()
        if not self.metric.at_k:
            pytest.skip("this metric has no k")
        hits = jnp.array([True, False, True, False])
        longer = jnp.concatenate([hits, jnp.array([True, True])])
        np.testing.assert_array_equal(self.call(longer, jnp.int32(5)), self.call(hits, jnp.int32(5)))

    def test_a_list_without_hits_has_a_value(self):
        self.hits_alone()
        value = self.call(jnp.zeros(K, bool), jnp.int32(3))
        assert np.ndim(value) == 0
        assert not np.isinf(value)

    def test_more_hits_are_better(self):
        self.hits_alone()
        if not self.counts_hits:
            pytest.skip("more hits do not make this metric better")
        better = 1 if self.metric.higher_is_better else -1
        values = [float(self.call(jnp.arange(K) < number, jnp.int32(K))) * better for number in range(K + 1)]
        assert values == sorted(values)
        assert values[-1] > values[0]

    def test_it_can_be_watched_in_training(self, split):
        if self.metric.over == "ratings" or not self.watched:
            pytest.skip("this metric is not watched in a fit that ranks")
        name = self.value_names()[-1]
        parts = Split(split.train, split.test, split.valid, method="random")
        validation = jaxrec.Validation(every=1, monitor=name, metrics=["recall", self.metric], k=(2, K))
        fitted = jaxrec.fit(
            jaxrec.MF(dim=2),
            parts,
            validation=validation,
            refit=False,
            epochs=2,
            batch_size=SIZE,
            key=jax.random.key(0),
        )
        values = [record["valid"][name] for record in fitted.info["records"]]
        best = max(values) if self.metric.higher_is_better else min(values)
        assert fitted.info["valid"][name] == best
