"""Sizes of a batch and rates that the data choose where none is given."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.fitting import TrainingOptions
from jaxrec.losses import BPR, InBatchSoftmax, SquaredError
from jaxrec.training import SGD, Adam

KEY = jax.random.key(0)
LARGE = 1_000_000


def numbers(options, rows):
    made = options.settled(rows)
    return made.batch_size, round(made.optimizer.learning_rate, 6)


@pytest.mark.parametrize(
    ("rows", "batch"), [(1, 1024), (131_071, 1024), (131_072, 2048), (524_288, 8192), (10**9, 8192)]
)
def test_a_batch_is_a_64th_of_the_interactions_and_the_rate_grows_with_its_root(rows, batch):
    assert numbers(TrainingOptions(), rows) == (batch, round(0.005 * math.sqrt(batch / 1024), 6))


GIVEN = {
    "a batch keeps the rate": (TrainingOptions(batch_size=4096), (4096, 0.005)),
    "a rate keeps the batch": (TrainingOptions(optimizer=Adam(0.02)), (1024, 0.02)),
    "both": (TrainingOptions(batch_size=256, optimizer=Adam(0.02)), (256, 0.02)),
    "sums over the rows": (TrainingOptions(reduction="sum"), (1024, 0.005)),
    "another optimizer": (TrainingOptions(optimizer=SGD()), (1024, 0.05)),
    "another loss": (TrainingOptions(loss=BPR()), (1024, 0.005)),
    "ratings": (TrainingOptions(loss=SquaredError()), (1024, 0.005)),
    "chunks": (TrainingOptions(loss=InBatchSoftmax(chunks=4)), (1024, 0.005)),
}


@pytest.mark.parametrize("given", GIVEN)
def test_what_is_given_is_kept(given):
    options, expected = GIVEN[given]
    assert numbers(options, LARGE) == expected


def test_settled_options_stay():
    once = TrainingOptions().settled(LARGE)
    assert once.settled(10) == once
    assert dataclasses.replace(once, batch_size=None, optimizer=Adam()) == TrainingOptions()


def pairs(rows):
    flat = np.random.default_rng(0).choice(2000 * 400, size=rows, replace=False)
    return jaxrec.from_arrays(flat // 400, flat % 400)


def test_a_fit_of_many_pairs_is_that_with_the_numbers_given():
    data, how = pairs(140_000), {"epochs": 1, "validation": None, "key": KEY}
    chosen = jaxrec.fit(jaxrec.MF(dim=2), data, **how)
    rate = 0.005 * math.sqrt(2)
    assert (chosen.options.batch_size, chosen.options.optimizer.learning_rate) == (2048, rate)
    given = jaxrec.fit(jaxrec.MF(dim=2), data, batch_size=2048, optimizer=Adam(rate), **how)
    jax.tree.map(np.testing.assert_array_equal, chosen.variables, given.variables)
    assert given.options == chosen.options


def test_members_share_the_batch_of_the_first():
    data, how = pairs(140_000), {"epochs": 1, "validation": None, "keys": [KEY, KEY]}
    both = jaxrec.fit_many(jaxrec.MF(dim=2), data, optimizer=[Adam(), Adam(0.001)], **how)
    assert [(each.options.batch_size, each.options.optimizer.learning_rate) for each in both] == [
        (2048, 0.005 * math.sqrt(2)),
        (2048, 0.001),
    ]
    turned = jaxrec.fit_many(jaxrec.MF(dim=2), data, optimizer=[Adam(0.001), Adam()], **how)
    assert [(each.options.batch_size, each.options.optimizer.learning_rate) for each in turned] == [
        (1024, 0.001),
        (1024, 0.005),
    ]


def test_a_third_partys_optimizer_and_loss_need_not_know():
    class Plain:
        sparse = False

        def transformation(self, steps):
            import optax

            return optax.sgd(0.1)

    made = TrainingOptions(optimizer=Plain()).settled(LARGE)
    assert made.batch_size == 1024
    assert isinstance(made.optimizer, Plain)


@pytest.mark.parametrize(("rows", "chunks"), [(2048, 1), (4096, 8), (4100, 1), (8192, 16)])
def test_in_batch_softmax_compares_runs_of_512_rows_in_large_batches(rows, chunks):
    rng = np.random.default_rng(1)
    data = pairs(10_000)
    tables = jaxrec.training.train_data(data)
    at = rng.integers(0, 10_000, rows)
    user, item = np.asarray(tables.user)[at], np.asarray(tables.item)[at]
    batch = jaxrec.protocols.Batch(
        jax.numpy.asarray(user),
        jax.numpy.asarray(item),
        None,
        jax.numpy.zeros((rows, 0), jax.numpy.int32),
        jax.numpy.ones(rows, bool),
    )
    vectors = jax.random.normal(KEY, (2, rows, 8))
    encoded = jaxrec.protocols.Encoded(vectors[0], vectors[1], jax.numpy.zeros((rows, 0, 8)))
    mine, given = InBatchSoftmax(0.2), InBatchSoftmax(0.2, chunks=chunks)
    assert mine(encoded, batch, tables, KEY) == given(encoded, batch, tables, KEY)
