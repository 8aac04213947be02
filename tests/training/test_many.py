"""Several trainings in one program: each ends as it would alone, with its own numbers, and the product stays fast."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxrec.training._many import member_of, stack

from jaxrec.data._interactions import Interactions
from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.fitting._options import make_optimizer
from jaxrec.models import MF, LightGCN
from jaxrec.training import Objective, Settings, init_state, make_epoch, make_many_epoch, train_data, train_many
from jaxrec.training import _many as many

KERNEL = "cpu_csr_sparse_dense_ffi"
USERS, ITEMS, DIM = 9, 7, 3


def counting(bad):
    """An epoch that adds 1 to each member's number; the loss of member m is NaN from the number `bad[m]` on."""

    def epoch(states, settings, data):
        now = states.params + 1
        loss = jnp.where(now >= jnp.array(bad, jnp.float32), jnp.nan, 1 / now)
        return dataclasses.replace(states, params=now), {"loss": loss, "finite": jnp.isfinite(loss)}

    return jax.jit(epoch, donate_argnums=0)


def run(starts, epochs, bad=None, **options):
    states = stack([init_state(jnp.float32(start), optax.sgd(0.1), jax.random.key(0)) for start in starts])
    epoch = counting(bad or [1e6] * len(starts))
    return train_many(states, Settings(), None, epoch, epochs=epochs, every=2, monitor="score", **options)


def test_each_member_stops_after_its_own_validations_without_a_new_best():
    """Member m counts from 100 m, and its score is highest after 2, 6 and 4 epochs."""
    best = [2, 6, 4]
    seen = []

    def validate(member, params):
        number, epoch = divmod(int(params), 100)
        assert number == member
        seen.append((member, epoch))
        return {"score": -abs(epoch - best[member])}

    heard = []
    told = lambda member, record: heard.append((member, record.epoch))  # noqa: E731
    results = run([0, 100, 200], [20] * 3, validate=validate, patience=2, callbacks=(told,))
    assert [result.best_epoch for result in results] == best
    assert [float(result.state.params) for result in results] == [2, 106, 204]
    # Validated every 2 epochs, and stopped 2 validations after the best: nobody is looked at after that.
    assert [len(result.records) for result in results] == [6, 10, 8]
    for member, last in enumerate((6, 10, 8)):
        assert [epoch for who, epoch in seen if who == member] == list(range(2, last + 1, 2))
        assert [epoch for who, epoch in heard if who == member] == list(range(1, last + 1))


def test_each_member_is_kept_at_its_own_number_of_epochs():
    results = run([0, 0, 0], [3, 5, 1])
    assert [float(result.state.params) for result in results] == [3, 5, 1]
    assert [result.best_epoch for result in results] == [3, 5, 1]
    np.testing.assert_allclose([record.train["loss"] for record in results[0].records], 1 / np.arange(1, 4), rtol=1e-6)


def test_a_loss_that_is_not_finite_is_told_with_its_member_and_only_while_it_is_trained():
    with pytest.raises(NonFiniteLossError, match="loss of member 1 is not finite in epoch 3") as caught:
        run([0, 0], [5, 5], bad=[9, 3])
    assert caught.value.state.params == 2
    assert [float(result.state.params) for result in run([0, 0], [5, 2], bad=[9, 3])] == [5, 2]


def test_no_member_raises():
    with pytest.raises(JaxrecError, match="epochs is empty"):
        train_many(None, Settings(), None, None, epochs=[])


def tables():
    user, item = np.nonzero(np.random.default_rng(0).random((USERS, ITEMS)) < 0.4)
    return train_data(Interactions.from_arrays(user, item))


def states_of(model, data, optimizer, number):
    keys = [jax.random.split(jax.random.key(seed)) for seed in range(number)]
    return [init_state(model.init(init, data.adjacency)["params"], optimizer, key) for init, key in keys]


def sized(kind, data, **options):
    items = data.num_items
    return kind(dim=DIM, num_users=data.adjacency.shape[0] - items, num_items=items, **options)


RATES, L2, TEMPERATURE = (0.05, 0.2), (0.0, 0.3), (0.1, 0.5)


@pytest.mark.slow
def test_learning_rate_l2_and_temperature_of_the_members_are_those_of_separate_programs():
    """Two epochs of SGD with momentum and a decay, which multiplies each member's own rate."""
    data = tables()
    model, steps = sized(MF, data), -(-len(data.user) // 8)
    made = functools.partial(make_optimizer, "sgd", momentum=0.9, decay=0.5, steps=steps)
    starts = states_of(model, data, made(1.0), 2)
    settings = Settings(*(jnp.array(values, jnp.float32) for values in (RATES, L2, TEMPERATURE)))
    many = make_many_epoch(Objective(model, loss="softmax"), made(1.0), 8, 2)
    together = stack(starts)
    for _ in range(2):
        together, info = many(together, settings, data)
    for member, start in enumerate(starts):
        objective = Objective(model, loss="softmax", l2=L2[member], temperature=TEMPERATURE[member])
        epoch = make_epoch(objective, made(RATES[member]), 8, 2)
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
    optimizer = optax.adam(0.1)
    epoch = make_many_epoch(Objective(model, loss="bpr"), optimizer, 8, 1)
    settings = Settings(learning_rate=jnp.full(number, 0.1), l2=jnp.full(number, 0.1))
    text = epoch.lower(stack(states_of(model, data, optimizer, number)), settings, data).as_text()
    calls = [line for line in text.splitlines() if f"@{KERNEL}" in line]
    assert len(calls) == 4
    nodes = data.adjacency.shape[0]
    assert all(re.search(rf"-> tensor<{nodes}x{number * DIM}xf32>", line) for line in calls)


def test_large_members_take_the_epoch_one_after_another_to_the_same_bits_as_alone(monkeypatch):
    """Here every member counts as large. Bits are the same because each member's program is that of one alone."""
    monkeypatch.setattr(many, "SMALL", 0)
    data, number = tables(), 2
    model = sized(LightGCN, data, layers=2)
    optimizer = optax.adam(0.1)
    epoch = make_many_epoch(Objective(model, loss="bpr"), optimizer, 7, 1)  # a batch that no other test has compiled
    starts = states_of(model, data, optimizer, number)
    text = epoch.lower(stack(starts), Settings(), data).as_text()
    calls = [line for line in text.splitlines() if f"@{KERNEL}" in line]
    nodes = data.adjacency.shape[0]
    assert len(calls) == 4
    assert all(re.search(rf"-> tensor<{nodes}x{DIM + -DIM % 8}xf32>", line) for line in calls)
    states, info = epoch(stack(starts), Settings(), data)
    alone = make_epoch(Objective(model, loss="bpr"), optimizer, 7, 1)
    for member, start in enumerate(starts):
        after, expected = alone(start, data)
        same = lambda one, other: np.testing.assert_array_equal(one, other)  # noqa: E731
        jax.tree.map(same, member_of(states, member).params, after.params)
        np.testing.assert_array_equal(info["loss"][member], expected["loss"])
