"""One step and one epoch: against SGD in NumPy, every interaction once, the same bits, nothing compiled twice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from epochs import make_epoch
from reference import propagation as slow

import jaxrec
from jaxrec import MF, LightGCN
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, SquaredL2
from jaxrec.training import (
    SGD,
    Adagrad,
    Adam,
    Batch,
    Objective,
    as_optimizer,
    init_state,
    make_step,
    train_data,
    train_step,
)
from jaxrec.training._epoch import make_batch
from jaxrec.training._optimizers import rate_at

USERS, ITEMS, DIM = 6, 8, 3
PAIRS = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 3), (3, 4), (3, 5), (4, 6), (4, 7), (5, 2)]  # 11, each once


def interactions():
    return jaxrec.from_arrays(*zip(*PAIRS, strict=True))


DATA = train_data(interactions())


def close_state(first, second, **tolerance):
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("layers", [0, 2])
def test_steps_are_those_of_sgd_in_numpy(layers, key):
    model = LightGCN(dim=DIM, layers=layers, scale=1.0, num_users=USERS, num_items=ITEMS)
    params = model.init(key, DATA.adjacency)["params"]
    ego = np.concatenate([params["user_embedding"], params["item_embedding"]]).astype(np.float64)
    normal = slow.normalized_adjacency(slow.biadjacency(PAIRS, USERS, ITEMS))
    rate, l2 = 0.3, 0.1
    step = make_step(Objective(model, BPR(), SquaredL2(l2)), optax.sgd(rate))
    state = init_state(params, optax.sgd(rate), key)
    for triples in ([(0, 0, 5), (1, 2, 0), (0, 1, 5)], [(4, 6, 1), (5, 2, 3), (2, 3, 7)]):
        user, positive, negative = (jnp.array(column, jnp.int32) for column in zip(*triples, strict=True))
        batch = Batch(user, positive, None, negative[:, None], jnp.ones(3, bool))
        state, info = step(state, batch, DATA)
        loss, slope = slow.bpr_objective(ego, USERS, normal, [1 / (layers + 1)] * (layers + 1), triples, l2)
        np.testing.assert_allclose(info["loss"], loss, rtol=1e-5)
        ego = ego - rate * slope
        got = np.concatenate([state.params["user_embedding"], state.params["item_embedding"]])
        np.testing.assert_allclose(got, ego, rtol=1e-5, atol=1e-6)
    assert state.step == 2


def visits(params, data, batch, key):
    """A loss whose negative gradient counts how often each pair is in a batch where it counts."""
    del data, key
    seen = jnp.where(batch.where, params[batch.user, batch.item], 0)
    return -jnp.sum(seen), {"count": jnp.sum(batch.where, dtype=jnp.float32)}


@pytest.mark.parametrize("batch_size", [1, 4, 11, 64])
def test_an_epoch_visits_every_interaction_once(batch_size, key):
    state = init_state(jnp.zeros((USERS, ITEMS)), optax.sgd(1.0), key)
    epoch = make_epoch(visits, optax.sgd(1.0), batch_size, 1)
    for times in (1, 2):
        state, info = epoch(state, DATA)
        np.testing.assert_array_equal(state.params, times * slow.biadjacency(PAIRS, USERS, ITEMS))
        assert state.step == times * -(-len(PAIRS) // batch_size)
        assert info["finite"]
        assert info["skipped"] == 0


def test_the_order_of_an_epoch_is_random_and_changes(key):
    def clock(params, data, batch, key):
        """The gradient puts the number of the step on the pair: params counts the steps in its last entry."""
        del data, key
        now = jax.lax.stop_gradient(params["now"])
        loss = -jnp.sum(jnp.where(batch.where, params["when"][batch.user, batch.item] * now, 0)) - params["now"]
        return loss, {"count": jnp.sum(batch.where, dtype=jnp.float32)}

    epoch = make_epoch(clock, optax.sgd(1.0), 1, 1)
    orders = []
    state = init_state({"when": jnp.zeros((USERS, ITEMS)), "now": jnp.zeros(())}, optax.sgd(1.0), key)
    for _ in range(2):
        before = np.asarray(state.params["when"])
        state, _ = epoch(state, DATA)
        when = np.asarray(state.params["when"]) - before
        orders.append([when[pair] % len(PAIRS) for pair in PAIRS])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(PAIRS)))
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


def test_what_an_epoch_reports_is_the_mean_over_interactions_not_over_batches(key):
    def items_as_loss(params, data, batch, key):
        count = jnp.sum(batch.where, dtype=jnp.float32)
        mean = jnp.sum(jnp.where(batch.where, batch.item.astype(jnp.float32), 0)) / count
        return mean + 0 * params, {"count": count, "other": 2 * mean}

    state = init_state(jnp.zeros(()), optax.sgd(0.1), key)
    _, info = make_epoch(items_as_loss, optax.sgd(0.1), 4, 0)(state, DATA)  # batches of 4, 4 and 3
    expected = np.mean([item for _, item in PAIRS])
    np.testing.assert_allclose(info["loss"], expected, rtol=1e-6)
    np.testing.assert_allclose(info["other"], 2 * expected, rtol=1e-6)
    np.testing.assert_allclose(info["total"], expected * len(PAIRS), rtol=1e-6)


def mf_state(key, optimizer):
    model = MF(dim=DIM, num_users=USERS, num_items=ITEMS)
    return Objective(model, BPR(), SquaredL2(0.01)), init_state(model.init(key)["params"], optimizer, key)


def test_the_same_key_gives_the_same_bits_and_another_key_others(key):
    adam = optax.adam(0.1)
    results = []
    for seed in (0, 0, 1):
        objective, state = mf_state(key, adam)
        state = init_state(state.params, adam, jax.random.key(seed))
        for _ in range(2):
            state, _ = make_epoch(objective, adam, 4, 1)(state, DATA)
        results.append(state)
    close_state(results[0], results[1], rtol=0, atol=0)
    with pytest.raises(AssertionError):
        close_state(results[0], results[2], rtol=0, atol=0)


def test_nothing_is_compiled_twice_between_epochs(key):
    traces = []

    def counted(params, data, batch, key):
        traces.append(1)
        return visits(params, data, batch, key)

    epoch = make_epoch(counted, optimizer := optax.sgd(1.0), 3, 1)
    state = init_state(jnp.zeros((USERS, ITEMS)), optax.sgd(1.0), key)
    state, _ = epoch(state, DATA)
    once = len(traces)
    for _ in range(3):
        state, _ = epoch(state, DATA)
    assert len(traces) == once
    make_epoch(counted, optimizer, 3, 1)(state, DATA)
    assert len(traces) == once
    state = init_state(jnp.zeros((USERS, ITEMS)), optimizer, key)
    make_epoch(counted, optax.sgd(1.0), 3, 1)(state, DATA)  # another object of an optimizer is another program
    assert len(traces) > once


def test_the_same_arguments_give_the_same_function():
    sgd = optax.sgd(0.1)
    model = MF(dim=DIM, num_users=USERS, num_items=ITEMS)
    assert make_step(Objective(model, BPR()), sgd) is make_step(Objective(model.clone(), BPR()), sgd)
    assert make_step(Objective(model, BPR()), sgd) is not make_step(Objective(model, BPR(), SquaredL2(0.5)), sgd)


def test_the_state_is_donated_and_the_callers_parameters_are_not(key):
    sgd = optax.sgd(1.0)
    params = jnp.zeros((USERS, ITEMS))
    batch = Batch(*jnp.zeros((2, 1), jnp.int32), None, jnp.zeros((1, 0), jnp.int32), jnp.ones(1, bool))
    for advance in (
        lambda state: make_epoch(visits, sgd, 4, 1)(state, DATA),
        lambda s: make_step(visits, sgd)(s, batch, DATA),
    ):
        state = init_state(params, sgd, key)
        after, _ = advance(state)
        assert state.params.is_deleted()
        assert not params.is_deleted()
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


OPTIMIZERS = {
    "adam with a schedule": lambda: optax.adam(optax.cosine_decay_schedule(0.05, 40)),
    "clipped adamw": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.05)),
    "lion": lambda: optax.lion(0.02),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimiser_lowers_the_loss(name, key):
    optimizer = OPTIMIZERS[name]()
    objective, state = mf_state(key, optimizer)
    epoch = make_epoch(objective, optimizer, 4, 2)
    losses = []
    for _ in range(30):
        state, info = epoch(state, DATA)
        losses.append(float(info["loss"]))
    np.testing.assert_allclose(losses[0], np.log(2), rtol=0.25)  # before it has learnt anything
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in jax.tree.leaves((state.params, state.opt_state)))


def test_a_step_alone_fits_a_line_to_targets(key):
    """`train_step` knows nothing of recommending: here it is least squares, y = 2 x - 1."""
    x = jnp.linspace(-1, 1, 16)
    batch = {"x": x, "y": 2 * x - 1}

    def loss_fn(params, data, batch, key):
        del data, key
        return jaxrec.losses.mse(params["slope"] * batch["x"] + params["offset"], batch["y"]), {}

    sgd = optax.sgd(0.5)
    state = init_state({"slope": jnp.zeros(()), "offset": jnp.zeros(())}, sgd, key)
    step = jax.jit(functools.partial(train_step, loss_fn=loss_fn, optimizer=sgd))
    first = None
    for _ in range(60):
        state, info = step(state, batch, None)
        first = info["loss"] if first is None else first
    np.testing.assert_allclose(first, np.mean(np.square(batch["y"])), rtol=1e-6)
    np.testing.assert_allclose([state.params["slope"], state.params["offset"]], [2, -1], rtol=1e-4)
    assert state.step == 60


def test_each_step_gets_a_key_of_its_own(key):
    def noisy(params, data, batch, key):
        return params * jax.random.normal(key), {}

    sgd = optax.sgd(1.0)
    state, steps = init_state(jnp.zeros(()), sgd, key), []
    for _ in range(4):
        before = state.params
        state, _ = train_step(state, None, None, loss_fn=noisy, optimizer=sgd)
        steps.append(float(state.params - before))
    assert len(set(steps)) == 4


def test_users_who_have_everything_are_masked_and_counted(key):
    pairs = [(0, item) for item in range(3)] + [(1, 0), (1, 1)]  # user 0 has every item
    data = train_data(jaxrec.from_arrays(*zip(*pairs, strict=True)))
    state = init_state(jnp.zeros((2, 3)), optax.sgd(1.0), key)
    state, info = make_epoch(visits, optax.sgd(1.0), 2, 1)(state, data)
    np.testing.assert_array_equal(state.params, [[0, 0, 0], [1, 1, 0]])
    assert info["skipped"] == 3
    assert info["finite"]
    # Without negatives there is nothing to miss.
    state = init_state(jnp.zeros((2, 3)), optax.sgd(1.0), key)
    state, info = make_epoch(visits, optax.sgd(1.0), 2, 0)(state, data)
    np.testing.assert_array_equal(state.params, [[1, 1, 1], [1, 1, 0]])
    assert info["skipped"] == 0


def test_an_epoch_in_which_nothing_counts_is_finite(key):
    data = train_data(jaxrec.from_arrays([0, 0], [0, 1]))  # the only user has everything
    sgd = optax.sgd(0.1)
    model = MF(dim=DIM, num_users=1, num_items=2)
    params = model.init(key)["params"]
    state, info = make_epoch(Objective(model, BPR(), SquaredL2(0.1)), sgd, 4, 1)(init_state(params, sgd, key), data)
    assert info["finite"]
    assert info["loss"] == 0
    assert info["skipped"] == 2
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_finite_is_false_when_a_loss_or_a_parameter_is_not(key):
    def overflow(params, data, batch, key):
        return jnp.sum(params * 1e30), {"count": jnp.ones(())}

    sgd = optax.sgd(1e30)
    for batch_size in (4, 64):  # in one batch the loss is 0, and only the parameters overflow
        _, info = make_epoch(overflow, sgd, batch_size, 1)(init_state(jnp.zeros(2), sgd, key), DATA)
        assert not info["finite"]
        assert (batch_size == 4) != bool(np.isfinite(info["loss"]))


def test_batches_hold_the_interactions_and_their_ratings(key):
    data = train_data(jaxrec.from_arrays([0, 0, 1], [0, 1, 1], rating=[5, 3, 1]))
    batch, _ = make_batch(data, jnp.array([2, 0]), jnp.array([True, False]), key, negatives=None)
    assert (batch.user.tolist(), batch.item.tolist(), batch.rating.tolist()) == ([1, 0], [1, 0], [1, 5])
    assert batch.negatives.shape == (2, 0)
    assert batch.where.tolist() == [True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(0.0), r"learning_rate.*0\.0"),
        (lambda: Adam(0.1, decay=1.5), r"decay.*1\.5"),
        (lambda: SGD(0.1, momentum=1.0), r"momentum.*1\.0"),
        (lambda: SGD(0.1, momentum=0.5, sparse=True), "momentum moves every row"),
        (lambda: as_optimizer(object()), "optimizer is"),
    ],
)
def test_bad_optimizers_raise(make, message):
    with pytest.raises(JaxrecError, match=message):
        make()


@pytest.mark.parametrize(
    ("named", "plain"),
    [
        (Adam(0.05), optax.adam(0.05)),
        (SGD(0.05), optax.sgd(0.05)),
        (SGD(0.05, momentum=0.9), optax.sgd(0.05, momentum=0.9)),
        (Adagrad(0.05), optax.adagrad(0.05)),
    ],
)
def test_named_optimizers_give_the_bits_of_optax(named, plain, key):
    objective, start = mf_state(key, as_optimizer(plain).transformation(1))
    one, _ = make_epoch(objective, plain, 4, 1)(start, DATA)
    _, start = mf_state(key, named.transformation(1))
    other, _ = make_epoch(objective, named, 4, 1)(start, DATA)
    close_state(one, other, rtol=0, atol=0)


def test_the_learning_rate_decays_after_every_epoch():
    rates = [rate_at(SGD(0.8, decay=0.5), jnp.int32(step), 3).item() for step in range(7)]
    np.testing.assert_allclose(rates, [0.8] * 3 + [0.4] * 3 + [0.2], rtol=1e-6)


def test_no_interaction_raises():
    empty = interactions().select(np.zeros(0, np.int64))
    with pytest.raises(JaxrecError, match="no interaction"):
        train_data(empty)
