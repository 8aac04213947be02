"""Losses against slow NumPy twins: value, gradient, masks, weights, extreme inputs, and the messages of bad input."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from reference import losses as slow

from jaxrec import losses
from jaxrec.errors import JaxrecError, MismatchError

B, M, D = 6, 3, 4
RNG = np.random.default_rng(0)
HITS = RNG.random((B, B)) < 0.7
NEGATIVE_WHERE = RNG.random((B, M)) < 0.6
LOG_Q = np.log(RNG.random(B)).astype(np.float32)


class Case(NamedTuple):
    """A loss, its twin, the shapes of its arguments, and options: arrays are traced, plain numbers are not."""

    name: str
    twin: object
    shapes: tuple
    options: tuple = ()

    def draw(self, seed=1):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=shape).astype(np.float32) for shape in self.shapes]

    def plain(self):
        return {name: value for name, value in self.options if not isinstance(value, np.ndarray)}

    def arrays(self, weights=None, where=None):
        rows = {
            "weights": np.ones(B, np.float32) if weights is None else weights,
            "where": np.ones(B, bool) if where is None else where,
        }
        return rows | {name: value for name, value in self.options if isinstance(value, np.ndarray)}

    def slowly(self, arguments, arrays):
        return self.twin(*[np.float64(a) for a in arguments], **arrays, **self.plain())


PROGRAMS = {}


def value_and_gradients(case, arguments, arrays):
    """The loss and its gradient in every argument, in one program for each case."""
    key = (case.name, case.shapes, *(name for name, _ in case.options))
    if key not in PROGRAMS:
        loss, plain = getattr(losses, case.name), case.plain()
        PROGRAMS[key] = jax.jit(jax.value_and_grad(lambda rows, arrays: loss(*rows, **arrays, **plain)))
    return jax.device_get(PROGRAMS[key](arguments, arrays))


def case(name, twin, *shapes, **options):
    label = "-".join([name, *(str(len(shape)) for shape in shapes), *options])
    return pytest.param(Case(name, twin, shapes, tuple(options.items())), id=label)


CASES = [
    case("bpr", slow.bpr, (B,), (B,)),
    case("bpr", slow.bpr, (B,), (B, M)),
    case("mse", slow.mse, (B,), (B,)),
    case("logistic", slow.logistic, (B,), (B,)),
    case("softmax", slow.softmax, (B,), (B, M)),
    case("softmax", slow.softmax, (B,), (B, M), temperature=0.3),
    case("softmax", slow.softmax, (B,), (B, M), negative_where=NEGATIVE_WHERE),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D)),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D), cosine=False, temperature=2.0),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D), mask=HITS),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D), log_probability=LOG_Q, mask=HITS),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D), groups=2),
    case("in_batch_softmax", slow.in_batch_softmax, (B, D), (B, D), groups=3, log_probability=LOG_Q, mask=HITS[:, :2]),
]
SCORES, EMBEDDINGS = CASES[4].values[0], CASES[7].values[0]
WHERE = np.array([True, True, False, True, False, True])
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 1.5, 1.0], np.float32)
ROWS = {
    "plain": (None, None),
    "where": (None, WHERE),
    "weights": (WEIGHTS, None),
    "both": (WEIGHTS, WHERE),
    "one": (None, np.arange(B) == 2),
}


def close(got, expected):
    """1e-5 relative; where terms of the size of 1 cancel, a few units in their last place."""
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=max(1e-6 * np.max(np.abs(expected)), 3e-7))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_agree_with_the_twin(case, rows):
    arguments, arrays = case.draw(), case.arrays(*ROWS[rows])
    value, gradients = value_and_gradients(case, arguments, arrays)
    assert value.shape == ()
    close(value, case.slowly(arguments, arrays))
    expected = slow.gradient(lambda *arguments: case.slowly(arguments, arrays), *arguments)
    for got, want in zip(gradients, expected, strict=True):
        close(got, want)


@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[6], CASES[10]])
def test_no_weights_and_no_mask_are_ones_and_true(case):
    arguments, arrays = case.draw(), case.arrays()
    del arrays["weights"], arrays["where"]
    loss = jax.jit(lambda *rows: getattr(losses, case.name)(*rows, **arrays, **case.plain()))
    close(loss(*arguments), case.slowly(arguments, case.arrays()))


@pytest.mark.parametrize("case", [CASES[6], CASES[10]])
def test_forward_and_reverse_mode_agree_with_differences(case):
    arrays = case.arrays(WEIGHTS, WHERE)
    loss = jax.jit(lambda *rows: getattr(losses, case.name)(*rows, **arrays, **case.plain()))
    check_grads(loss, case.draw(), order=1, rtol=0.02, atol=0.02)


def spoilt(array, where, bad):
    """The array with the values of `bad` in turn at the places that do not count."""
    array = np.array(array)
    array[~where] = np.resize(np.float32(bad), array[~where].shape)
    return array


@pytest.mark.parametrize("bad", [(np.nan,), (np.inf, -np.inf), (-np.inf, np.nan, np.inf)])
@pytest.mark.parametrize("case", CASES)
def test_masked_rows_do_not_count_whatever_they_hold(case, bad):
    clean, arrays = case.draw(), case.arrays(WEIGHTS, WHERE)
    expected, expected_slopes = value_and_gradients(case, clean, arrays)
    rows = {name: spoilt(arrays[name], WHERE, bad) for name in ("weights", "log_probability") if name in arrays}
    value, slopes = value_and_gradients(case, [spoilt(array, WHERE, bad) for array in clean], arrays | rows)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for got, want in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(got[WHERE], want[WHERE], rtol=1e-5, atol=1e-7)
        assert not np.any(got[~WHERE])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_masked_negatives_do_not_count_whatever_they_hold(bad):
    case = CASES[6].values[0]
    (positive, negative), arrays = case.draw(), case.arrays()
    expected, expected_slopes = value_and_gradients(case, [positive, negative], arrays)
    dirty = spoilt(negative, NEGATIVE_WHERE, bad)
    value, slopes = value_and_gradients(case, [positive, dirty], arrays)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for got, want in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert not np.any(slopes[1][~NEGATIVE_WHERE])


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("case", CASES)
def test_nothing_that_counts_gives_0_with_a_gradient_of_0(case, bad):
    arguments = [np.full(shape, bad, np.float32) for shape in case.shapes]
    value, slopes = value_and_gradients(case, arguments, case.arrays(where=np.zeros(B, bool)))
    assert value == 0
    assert not any(np.any(slope) for slope in slopes)


@pytest.mark.parametrize("case", CASES)
def test_weights_of_0_give_0(case):
    value, slopes = value_and_gradients(case, case.draw(), case.arrays(weights=np.zeros(B, np.float32)))
    assert value == 0
    assert not any(np.any(slope) for slope in slopes)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1)])
@pytest.mark.parametrize("scale", [1e4, 1e-14, 1e-30, 0.0])
@pytest.mark.parametrize("case", CASES)
def test_extreme_scores_give_finite_values_and_gradients(case, scale, signs):
    arguments = [np.full(shape, sign * scale, np.float32) for sign, shape in zip(signs, case.shapes, strict=True)]
    value, slopes = value_and_gradients(case, arguments, case.arrays())
    assert np.isfinite(value)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_a_lost_pair_costs_its_margin():
    # softplus(2e4) = 2e4 to float32; a won pair costs nothing.
    low, high, zero = (np.array([score], np.float32) for score in (-1e4, 1e4, 0))
    assert losses.bpr(low, high) == 2e4
    assert losses.bpr(high, low) == 0
    assert losses.logistic(high, zero) == 1e4
    assert losses.softmax(low, high[:, None]) == 2e4


@pytest.mark.parametrize("length", [1e-14, 1e-25, 1.0, 1e15, 1e25])
def test_unit_is_of_length_1_and_keeps_zero(length):
    vectors = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32) * np.float32(length)
    np.testing.assert_allclose(jax.jit(losses.unit)(vectors), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    # The derivative of v / |v| is (1 - v v^T / |v|^2) / |v|: here (16, -12) / 25 / (5 length) for the first entry.
    slope = jax.jit(jax.grad(lambda v: jnp.sum(losses.unit(v)[:, 0])))(vectors)
    np.testing.assert_allclose(slope, [[0.128 / length, -0.096 / length], [0.0, 0.0]], rtol=1e-5)


def test_equal_cosines_cost_the_logarithm_of_the_batch():
    for rows in (np.zeros((B, D), np.float32), np.ones((B, D), np.float32)):
        value, slopes = value_and_gradients(EMBEDDINGS, [rows, rows], EMBEDDINGS.arrays())
        np.testing.assert_allclose(value, np.log(B), rtol=1e-6)
        assert all(np.isfinite(slope).all() for slope in slopes)


def test_accidental_hits_are_left_out_by_the_mask_but_never_the_row_itself():
    users, items = EMBEDDINGS.draw()
    nothing = losses.in_batch_softmax(users, items, mask=np.zeros((B, B), bool))
    assert abs(float(nothing)) < 1e-6  # each row against itself alone: log 1
    same = np.vstack([items[:3], items[:1], items[4:]])  # row 3 has the item of row 0
    masked = np.ones((B, B), bool)
    masked[0, 3] = masked[3, 0] = False
    ones, true = np.ones(B), np.ones(B, bool)
    expected = slow.in_batch_softmax(np.float64(users), np.float64(same), ones, true, mask=masked)
    np.testing.assert_allclose(losses.in_batch_softmax(users, same, mask=masked), expected, rtol=1e-5)
    assert losses.in_batch_softmax(users, same, mask=masked) < losses.in_batch_softmax(users, same)


def test_groups_are_what_a_mask_of_blocks_would_be():
    users, items = EMBEDDINGS.draw()
    blocks = np.kron(np.eye(2, dtype=bool), np.ones((B // 2, B // 2), bool))
    grouped, masked = (
        losses.in_batch_softmax(users, items, groups=2),
        losses.in_batch_softmax(users, items, mask=blocks),
    )
    np.testing.assert_allclose(grouped, masked, rtol=1e-6)
    alone = losses.in_batch_softmax(users, items, groups=B)  # each row against itself: log 1
    assert abs(float(alone)) < 1e-6


@pytest.mark.parametrize("groups", [0, 4, B + 1])
def test_groups_that_do_not_divide_the_batch_raise(groups):
    with pytest.raises(JaxrecError, match=f"groups must divide the {B} rows of the batch, got {groups}"):
        losses.in_batch_softmax(TABLE, TABLE, groups=groups)


def test_a_constant_log_probability_changes_nothing():
    users, items = EMBEDDINGS.draw()
    plain = losses.in_batch_softmax(users, items)
    corrected = losses.in_batch_softmax(users, items, log_probability=jnp.full(B, -3.0))
    np.testing.assert_allclose(corrected, plain, rtol=1e-5)


@pytest.mark.parametrize("where", [None, WHERE])
@pytest.mark.parametrize(("fast", "twin"), [(losses.l2, slow.l2), (losses.l2_norms, slow.l2_norms)])
def test_penalties_agree_with_their_twins(fast, twin, where):
    rng = np.random.default_rng(2)
    tables = [rng.normal(size=shape).astype(np.float32) for shape in ((B, D), (B, D), (B, M, D))]
    rows = np.ones(B, bool) if where is None else where

    def slowly(*tables):
        return twin(tables, rows)

    program = jax.jit(jax.value_and_grad(functools.partial(fast, where=where), argnums=(0, 1, 2)))
    value, slopes = jax.device_get(program(*tables))
    close(value, slowly(*[np.float64(t) for t in tables]))
    for got, expected in zip(slopes, slow.gradient(slowly, *tables), strict=True):
        close(got, expected)
    if where is None:
        return
    dirty = [np.where(where.reshape(-1, *[1] * (t.ndim - 1)), t, np.float32(np.nan)) for t in tables]
    again, slopes = jax.device_get(program(*dirty))
    np.testing.assert_allclose(again, value, rtol=1e-6)
    assert all(np.isfinite(slope).all() and not np.any(slope[~where]) for slope in slopes)


@pytest.mark.parametrize("fast", [losses.l2, losses.l2_norms])
def test_penalties_of_nothing_are_0_with_a_gradient_of_0(fast):
    for table, where in ((jnp.zeros((B, D)), None), (jnp.full((B, D), jnp.nan), np.zeros(B, bool))):
        value, slope = jax.jit(jax.value_and_grad(functools.partial(fast, where=where)))(table)
        assert value == 0
        assert not np.any(slope)


def test_a_row_that_occurs_twice_counts_twice():
    # (9 + 16) / 2 for each of two rows, over a batch of 2; and the norm of (3, 4, 3, 4) over 2.
    twice = jnp.array([[3.0, 4.0], [3.0, 4.0]])
    assert losses.l2(twice) == 12.5
    np.testing.assert_allclose(losses.l2_norms(twice), np.sqrt(50.0) / 2, rtol=1e-6)


@given(st.lists(st.floats(-50, 50, width=32), min_size=B, max_size=B), st.floats(-20, 20, width=32))
def test_bpr_sees_differences_only(scores, shift):
    positive = np.array(scores, np.float32)
    negative = positive[::-1].copy()
    value = losses.bpr(positive, negative)
    np.testing.assert_allclose(losses.bpr(positive + shift, negative + shift), value, rtol=1e-4, atol=1e-4)
    assert value >= np.log(2.0) - 1e-5  # the differences sum to 0, and softplus is convex


@given(st.permutations(range(B)))
def test_the_order_of_rows_does_not_count(order):
    order = np.array(order)
    positive, negative = CASES[1].values[0].draw()
    value = losses.bpr(positive, negative, weights=WEIGHTS, where=WHERE)
    moved = losses.bpr(positive[order], negative[order], weights=WEIGHTS[order], where=WHERE[order])
    np.testing.assert_allclose(moved, value, rtol=1e-5)


ROW, COLUMN, TABLE = jnp.zeros(B), jnp.zeros((B, 1)), jnp.zeros((B, D))
BAD_SHAPES = {
    "bpr-length": (losses.bpr, (ROW, jnp.zeros(B + 1)), {}),
    "bpr-one": (losses.bpr, (ROW, jnp.zeros(1)), {}),
    "bpr-scalar": (losses.bpr, (jnp.zeros(()), jnp.zeros(())), {}),
    "bpr-column": (losses.bpr, (COLUMN, ROW), {}),
    "bpr-rank": (losses.bpr, (ROW, jnp.zeros((B, 1, 1))), {}),
    "mse-one": (losses.mse, (ROW, jnp.zeros(1)), {}),
    "mse-column": (losses.mse, (ROW, COLUMN), {}),
    "logistic-one": (losses.logistic, (ROW, jnp.zeros(1)), {}),
    "softmax-row": (losses.softmax, (ROW, ROW), {}),
    "softmax-length": (losses.softmax, (ROW, jnp.zeros((1, M))), {}),
    "softmax-mask": (losses.softmax, (ROW, jnp.zeros((B, M))), {"negative_where": np.ones((1, M), bool)}),
    "batch-length": (losses.in_batch_softmax, (TABLE, jnp.zeros((B + 1, D))), {}),
    "batch-width": (losses.in_batch_softmax, (TABLE, jnp.zeros((B, D + 1))), {}),
    "batch-row": (losses.in_batch_softmax, (ROW, ROW), {}),
    "batch-mask": (losses.in_batch_softmax, (TABLE, TABLE), {"mask": np.ones((B, 1), bool)}),
    "batch-mask-of-groups": (losses.in_batch_softmax, (TABLE, TABLE), {"mask": np.ones((B, B), bool), "groups": 2}),
    "batch-log": (losses.in_batch_softmax, (TABLE, TABLE), {"log_probability": jnp.zeros(1)}),
    "l2-length": (losses.l2, (TABLE, jnp.zeros((1, D))), {}),
    "l2-where": (losses.l2, (TABLE,), {"where": np.ones(1, bool)}),
    "norms-where": (losses.l2_norms, (TABLE,), {"where": np.ones((B, 1), bool)}),
    "weights-one": (losses.bpr, (ROW, ROW), {"weights": jnp.ones(1)}),
    "weights-column": (losses.mse, (ROW, ROW), {"weights": jnp.ones((B, 1))}),
    "where-one": (losses.logistic, (ROW, ROW), {"where": np.ones(1, bool)}),
    "where-negatives": (losses.bpr, (ROW, jnp.zeros((B, M))), {"where": np.ones((B, M), bool)}),
    "batch-where": (losses.in_batch_softmax, (TABLE, TABLE), {"where": np.ones(1, bool)}),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_shapes_that_do_not_fit_raise_and_say_which(name):
    loss, arguments, options = BAD_SHAPES[name]
    with pytest.raises(MismatchError, match=r"shape|\(\d*,?.*\)"):
        loss(*arguments, **options)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("loss", [losses.softmax, losses.in_batch_softmax])
def test_a_temperature_that_is_not_positive_raises(loss, temperature):
    arguments = (ROW, jnp.zeros((B, M))) if loss is losses.softmax else (TABLE, TABLE)
    with pytest.raises(JaxrecError, match="temperature"):
        loss(*arguments, temperature=temperature)


def test_no_penalised_table_raises():
    with pytest.raises(JaxrecError, match="embeddings"):
        losses.l2()
