"""Several trainings in one program: each has its own numbers, and the product stays fast."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from epochs import epoch_of, make_epoch

from jaxrec.data import Interactions
from jaxrec.losses import BPR, SampledSoftmax, SquaredL2
from jaxrec.models import MF, LightGCN
from jaxrec.pytrees import stack, structure_of
from jaxrec.sampling import Uniform
from jaxrec.training import SGD, Adam, DenseStep, Objective, init_state, train_data
from jaxrec.training import _epoch as many
from jaxrec.training._epoch import member_of

KERNEL = "cpu_csr_sparse_dense_ffi"
USERS, ITEMS, DIM = 9, 7, 3


def tables():
    user, item = np.nonzero(np.random.default_rng(0).random((USERS, ITEMS)) < 0.4)
    return train_data(Interactions.from_arrays(user, item))


def states_of(model, data, optimizer, number):
    keys = [jax.random.split(jax.random.key(seed)) for seed in range(number)]
    return [init_state(model.init(init, data.adjacency)["params"], optimizer, key) for init, key in keys]


def sized(kind, data, **options):
    items = data.num_items
    return kind(dim=DIM, num_users=data.adjacency.shape[0] - items, num_items=items, **options)


RATES, WEIGHTS, TEMPERATURES = (0.05, 0.2), (0.0, 0.3), (0.1, 0.5)


def run_many(states, steps, sampler, data, batch_size):
    stacked, samplers = stack(steps), stack([sampler] * len(steps))
    structure = structure_of((stacked, samplers))
    return many.run_epoch_of_many, (stack(states), stacked, samplers, data), {
        "batch_size": batch_size, "structure": structure}  # fmt: skip


@pytest.mark.slow
def test_learning_rate_weight_and_temperature_of_the_members_are_those_of_separate_programs():
    """Two epochs of SGD with momentum and a decay, which multiplies each member's own rate."""
    data = tables()
    model, length = sized(MF, data), -(-len(data.user) // 8)
    steps = [
        DenseStep(Objective(model, SampledSoftmax(t), SquaredL2(w)), SGD(rate, 0.5, 0.9), length)
        for rate, w, t in zip(RATES, WEIGHTS, TEMPERATURES, strict=True)
    ]
    starts = states_of(model, data, steps[0], 2)
    program, arguments, how = run_many(starts, steps, Uniform(2), data, 8)
    together = arguments[0]
    for _ in range(2):
        together, info = program(together, *arguments[1:], **how)
    for member, start in enumerate(starts):
        loss, weight = SampledSoftmax(TEMPERATURES[member]), SquaredL2(WEIGHTS[member])
        epoch = make_epoch(Objective(model, loss, weight), SGD(RATES[member], 0.5, 0.9), 8, 2, length)
        for _ in range(2):
            start, expected = epoch(start, data)
        got = member_of(together, member)
        for one, other in zip(jax.tree.leaves(got.params), jax.tree.leaves(start.params), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(info["loss"][member], expected["loss"], rtol=1e-5)
        assert (expected["penalty"] > 0) == (member == 1)
        assert jnp.array_equal(jax.random.key_data(got.key), jax.random.key_data(start.key))


def test_the_product_of_all_members_is_one_call_of_the_native_kernel():
    """Two layers are two products forward and two backward in a step; folded, each has S d columns."""
    data, number = tables(), 8
    model = sized(LightGCN, data, layers=2)
    steps = [DenseStep(Objective(model, BPR(), SquaredL2(0.1)), Adam(0.1))] * number
    program, arguments, how = run_many(states_of(model, data, steps[0], number), steps, Uniform(), data, 8)
    text = program.lower(*arguments, **how).as_text()
    calls = [line for line in text.splitlines() if f"@{KERNEL}" in line]
    assert len(calls) == 4
    nodes = data.adjacency.shape[0]
    assert all(re.search(rf"-> tensor<{nodes}x{number * DIM}xf32>", line) for line in calls)


def test_large_members_take_the_epoch_one_after_another_to_the_same_bits_as_alone(monkeypatch):
    """Here every member counts as large. Bits are the same because each member's program is that of one alone."""
    monkeypatch.setattr(many, "SMALL", 0)
    data, number = tables(), 2
    model = sized(LightGCN, data, layers=2)
    step = DenseStep(Objective(model, BPR()), Adam(0.1))
    starts = states_of(model, data, step, number)
    # A batch that no other test has compiled.
    program, arguments, how = run_many(starts, [step] * number, Uniform(), data, 7)
    text = program.lower(*arguments, **how).as_text()
    calls = [line for line in text.splitlines() if f"@{KERNEL}" in line]
    nodes = data.adjacency.shape[0]
    assert len(calls) == 4
    assert all(re.search(rf"-> tensor<{nodes}x{DIM + -DIM % 8}xf32>", line) for line in calls)
    states, info = program(*arguments, **how)
    alone = epoch_of(step, 7, 1)
    for member, start in enumerate(starts):
        after, expected = alone(start, data)
        same = lambda one, other: np.testing.assert_array_equal(one, other)  # noqa: E731
        jax.tree.map(same, member_of(states, member).params, after.params)
        np.testing.assert_array_equal(info["loss"][member], expected["loss"])
