"""Adagrad and lazy Adam on rows: slow twins, dense Optax, PyTorch's formulas, and no work that grows with the table."""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import row_rules as slow

import jaxrec
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, NormL2, SquaredError, SquaredL2
from jaxrec.pytrees import structure_of
from jaxrec.sampling import Uniform
from jaxrec.training import (
    SGD,
    Adagrad,
    Adam,
    Batch,
    DenseStep,
    Objective,
    RowStep,
    TrainData,
    init_state,
    make_step,
    row_adagrad,
    row_adam,
    train_data,
)
from jaxrec.training._epoch import run_epoch
from jaxrec.training._row_rules import move_rows, occurrences

OPTIMIZERS = {
    name: kind(0.1, decay=0.9, sparse=True) for name, kind in (("sgd", SGD), ("adagrad", Adagrad), ("adam", Adam))
}
NAMES = tuple(OPTIMIZERS)
jitted_step = jax.jit(lambda step, state, batch, data: step(state, batch, data))
jitted_move = jax.jit(move_rows, static_argnames="rule")
jitted_occurrences = jax.jit(occurrences, static_argnums=2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=6, max_size=6))
def test_each_row_of_the_batch_stands_once_and_every_place_finds_it(places):
    index, where = (np.array(values) for values in zip(*places, strict=True))
    row, place = (np.asarray(part) for part in jitted_occurrences(jnp.array(index, jnp.int32), jnp.array(where), 9))
    assert sorted(set(index[where].tolist())) == row[row < 9].tolist()
    assert np.all(np.diff(row) > 0)  # what the scatters are promised
    assert (row[place[where]] == index[where]).all()
    assert (row[place[~where]] >= 9).all()  # dropped


@pytest.mark.parametrize("shape", [(7, 3), (7,)])
@pytest.mark.parametrize("name", NAMES)
def test_several_steps_are_those_of_the_slow_twin(name, shape):
    rng = np.random.default_rng(0)
    rule = OPTIMIZERS[name].rule()
    table = rng.normal(size=shape)
    slots = [np.full(shape, value) for value in rule.slots]
    fast = jnp.array(table, jnp.float32), rule.init({"w": jnp.array(table, jnp.float32)})["w"]
    for count in range(1, 6):
        index = rng.integers(0, 7, 6).astype(np.int32)
        index[3] = index[0]  # at least one row twice
        where = np.array([True, True, True, True, False, True])
        gradient = rng.normal(size=(6, *shape[1:])) * where.reshape(-1, *(1,) * (len(shape) - 1))
        same = jitted_occurrences(jnp.array(index), jnp.array(where), 7)
        fast = jitted_move(*fast, jnp.array(gradient, jnp.float32), same, rule, jnp.float32(0.1), jnp.float32(count))
        getattr(slow, name)(table, slots, index, gradient, where, 0.1, count)
    np.testing.assert_allclose(fast[0], table, rtol=1e-5, atol=1e-6)
    for got, expected in zip(fast[1], slots, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_a_row_that_occurs_twice_is_summed_before_the_square():
    same = jitted_occurrences(jnp.array([1, 1]), jnp.array([True, True]), 2)
    rule, one = row_adagrad(initial=0.0), jnp.float32(1)
    table, (squares,) = jitted_move(jnp.zeros(2), (jnp.zeros(2),), jnp.array([3.0, 4.0]), same, rule, one, one)
    assert squares.tolist() == [0.0, (3 + 4) ** 2]  # not 3^2 + 4^2 = 25
    np.testing.assert_allclose(table, [0.0, -7 / np.sqrt(49)], rtol=1e-6)


def test_lazy_adam_is_the_formula_of_the_sparse_adam_of_pytorch():
    # torch.optim.SparseAdam: step_size = lr sqrt(1 - b2^t) / (1 - b1^t), row -= step_size m / (sqrt(v) + eps). A row
    # gets the gradient 2 in step 1, is away in step 2, and gets -1 in step 3.
    first, second = 0.1 * 2.0, 0.001 * 2.0**2
    expected = 1.0 - 0.5 * np.sqrt(1 - 0.999) / (1 - 0.9) * first / (np.sqrt(second) + 1e-8)
    first, second = 0.9 * first + 0.1 * -1.0, 0.999 * second + 0.001 * 1.0
    expected -= 0.5 * np.sqrt(1 - 0.999**3) / (1 - 0.9**3) * first / (np.sqrt(second) + 1e-8)
    table, slots = jnp.ones(2), (jnp.zeros(2), jnp.zeros(2))
    for count, (row, gradient) in enumerate([(0, 2.0), (1, 5.0), (0, -1.0)], start=1):
        same = jitted_occurrences(jnp.array([row]), jnp.array([True]), 2)
        rate, number = jnp.float32(0.5), jnp.float32(count)
        table, slots = jitted_move(table, slots, jnp.array([gradient]), same, row_adam(), rate, number)
    np.testing.assert_allclose(table[0], expected, rtol=1e-5)
    np.testing.assert_allclose(slots[0][0], first, rtol=1e-5)


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_pytorch_moves_the_same_rows_the_same_way(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    start = rng.normal(size=(6, 3)).astype(np.float32)
    weight = torch.nn.Parameter(torch.tensor(start))
    if name == "adam":
        rule, peer = row_adam(), torch.optim.SparseAdam([weight], lr=0.1)
    else:
        rule = row_adagrad(initial=0.1, eps=1e-12)
        peer = torch.optim.Adagrad([weight], lr=0.1, initial_accumulator_value=0.1, eps=0.0)
    table, slots = jnp.array(start), rule.init({"w": jnp.array(start)})["w"]
    for count in range(1, 5):
        index, gradient = rng.integers(0, 6, 5), rng.normal(size=(5, 3)).astype(np.float32)
        with torch.sparse.check_sparse_tensor_invariants():  # PyTorch warns where nobody says whether it should check
            weight.grad = torch.sparse_coo_tensor(torch.tensor(index[None]), torch.tensor(gradient), (6, 3))
            peer.step()
        same = jitted_occurrences(jnp.array(index, jnp.int32), jnp.ones(5, bool), 6)
        rate, number = jnp.float32(0.1), jnp.float32(count)
        table, slots = jitted_move(table, slots, jnp.array(gradient), same, rule, rate, number)
    np.testing.assert_allclose(table, weight.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("bias", "loss", "regularizer", "negatives"),
    [
        # Every loss without a bias and the squares are also compared in `test_rows`, with SGD.
        pytest.param(False, BPR(), None, Uniform(2), marks=pytest.mark.slow),
        (True, SquaredError(), NormL2(0.1), None),
    ],
)
def test_a_fit_by_adagrad_is_the_same_as_with_dense_updates(data, bias, loss, regularizer, negatives):
    # L2 is on the rows of the batch in both, so the dense gradient of the others is 0, which moves nothing.
    options = {"loss": loss, "regularizer": regularizer, "batch_size": 16, "epochs": 3, "negatives": negatives}
    dense, sparse = (
        jaxrec.fit(
            jaxrec.MF(dim=4, bias=bias),
            data,
            optimizer=Adagrad(0.05, decay=0.9, sparse=sparse),
            key=jax.random.key(1),
            **options,
        ).variables
        for sparse in (False, True)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), dense, sparse)


def test_lazy_adam_is_dense_adam_for_rows_that_are_in_every_batch(data):
    model = jaxrec.MF(dim=4, bias=True, num_users=data.num_users, num_items=data.num_items)
    tables, objective = train_data(data), Objective(model, BPR(), SquaredL2(0.1))
    rows = RowStep(objective, Adam(0.1, sparse=True))
    params = model.init(jax.random.key(0))["params"]
    batch = Batch(jnp.array([3, 3, 4]), jnp.array([5, 7, 5]), None, jnp.array([[9], [5], [7]]), jnp.ones(3, bool))
    dense = init_state(params, optax.adam(0.1), jax.random.key(1))
    lazy = init_state(params, rows, jax.random.key(1))
    step = make_step(objective, optax.adam(0.1))
    for _ in range(4):
        dense, _ = step(dense, batch, tables)
        lazy, _ = jitted_step(rows, lazy, batch, tables)
    # A user bias has the gradient of L2 alone in BPR, and both start at 0: no row differs in what is compared.
    for name in params:
        np.testing.assert_allclose(lazy.params[name], dense.params[name], rtol=1e-4, atol=1e-6)


def test_lazy_adam_leaves_rows_and_moments_outside_the_batch_alone(data):
    model = jaxrec.MF(dim=4, num_users=data.num_users, num_items=data.num_items)
    tables, rows = train_data(data), RowStep(Objective(model, BPR(), SquaredL2(0.1)), Adam(0.1, sparse=True))
    state = init_state(model.init(jax.random.key(0))["params"], rows, jax.random.key(1))
    here, away = jnp.array([True, True]), jnp.array([True, False])
    first = Batch(jnp.array([3, 2]), jnp.array([5, 7]), None, jnp.array([[9], [5]]), here)
    second = Batch(
        jnp.array([1, 2]), jnp.array([7, 5]), None, jnp.array([[8], [9]]), away
    )  # the second place is filling
    before, _ = jitted_step(rows, state, first, tables)
    after, _ = jitted_step(rows, before, second, tables)
    for old, new in ((before.params, after.params), (before.opt_state, after.opt_state)):
        for side, expected in (("user_embedding", [1]), ("item_embedding", [7, 8])):
            for a, b in zip(jax.tree.leaves(old[side]), jax.tree.leaves(new[side]), strict=True):
                assert np.flatnonzero((a != b).any(axis=1)).tolist() == expected


def test_the_learning_rate_decays_after_every_epoch(data):
    # With Adam a first step has the length of the rate, so the rate can be read off: 0.1 * 0.5^(5 // 2).
    model = jaxrec.MF(dim=1, num_users=data.num_users, num_items=data.num_items)
    rows = RowStep(Objective(model, BPR()), Adam(0.1, 0.5, b1=0.0, b2=0.0, sparse=True), steps=2)
    state = init_state(model.init(jax.random.key(0))["params"], rows, jax.random.key(1))
    state = type(state)(state.params, state.opt_state, state.key, jnp.int32(5))
    batch = Batch(jnp.array([3]), jnp.array([5]), None, jnp.array([[9]]), jnp.array([True]))
    after, _ = jitted_step(rows, state, batch, train_data(data))
    moved = np.abs(after.params["user_embedding"] - state.params["user_embedding"])[3, 0]
    np.testing.assert_allclose(moved, 0.1 * 0.5**2, rtol=1e-4)


NUM_USERS, NUM_ITEMS, WIDTH = 100_003, 200_017, 4  # sizes that nothing else has


# The suite takes XLA's older emitter of kernels, which writes scatters in another way; here users' programs are read.
OLDER = "--xla_cpu_use_fusion_emitters=false"
KERNELS = {"xla_cpu_use_fusion_emitters": True} if OLDER in os.environ.get("XLA_FLAGS", "") else None


def compiled_epoch(optimizer, kind=RowStep):
    """An epoch compiled for large tables, which are not made."""
    seen = SeenItems(jnp.zeros(NUM_USERS + 1, jnp.int32).at[1:].set(90), jnp.arange(90, dtype=jnp.int32))
    data = TrainData(None, jnp.zeros(90, jnp.int32), jnp.arange(90, dtype=jnp.int32), None, seen, jnp.zeros(NUM_ITEMS))
    model = jaxrec.MF(dim=WIDTH, bias=True, num_users=NUM_USERS, num_items=NUM_ITEMS)
    step = kind(Objective(model, BPR(), SquaredL2(0.1)), optimizer, 12)
    state = jax.eval_shape(lambda key: init_state(model.init(key)["params"], step, key), jax.random.key(0))
    structure = structure_of(step)
    return run_epoch.lower(state, step, Uniform(1), data, batch_size=8, structure=structure).compile(KERNELS)


def table_operations(text):
    """The operations of a compiled program, outside of its entry, whose result has as many rows as a table."""
    found, inside = set(), False
    result = re.compile(rf"\s+(?:ROOT )?%\S+ = \w+\[(?:{NUM_USERS}|{NUM_ITEMS})\b[\d,]*\]\S* ([\w-]+)\(")
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")):
            inside = line.startswith("%")
        if inside and (match := result.match(line)):
            found.add(match[1])
    return found - {"parameter", "get-tuple-element", "fusion", "bitcast"}  # what a fusion holds is listed by itself


# Adam keeps two tables beside each parameter, Adagrad one and SGD none.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "adam" else pytest.mark.slow) for name in NAMES]
)
def test_the_loop_does_nothing_to_a_table_but_scatter_into_it(name):
    compiled = compiled_epoch(OPTIMIZERS[name])
    # The entry checks once that all parameters are finite; the rest is the loop.
    assert table_operations(compiled.as_text()) <= {"scatter", "is-finite"}
    # A scatter that is not in place would need room for another table.
    assert compiled.memory_analysis().temp_size_in_bytes < NUM_ITEMS * WIDTH * 4


def test_a_dense_step_would_be_noticed():
    assert {"multiply", "add"} <= table_operations(compiled_epoch(Adam(0.1), DenseStep).as_text())


def test_what_a_rule_cannot_do_is_refused():
    with pytest.raises(JaxrecError, match=r"b1 must lie in \[0, 1\), got 1.0"):
        row_adam(b1=1.0)
    with pytest.raises(JaxrecError, match="initial must not be negative"):
        row_adagrad(initial=-1.0)
    with pytest.raises(JaxrecError, match="eps must be positive"):
        row_adagrad(eps=0.0)
    with pytest.raises(JaxrecError, match="too long for batches of 4 places"):
        jitted_occurrences(jnp.zeros(4, jnp.int32), jnp.ones(4, bool), 2**31 - 3)
