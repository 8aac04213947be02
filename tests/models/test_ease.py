"""EASE and its relatives against closed forms in float64, their optimality, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import jaxrec
from jaxrec import EASE
from jaxrec.errors import JaxrecError
from jaxrec.models import _ease, _host_inverse
from jaxrec.training import train_data

USERS, ITEMS = 30, 8


def random_x(seed=0):
    x = (np.random.default_rng(seed).random((USERS, ITEMS)) < 0.4).astype(np.float64)
    x[4], x[:, 3] = 0, 0
    return x


def fitted(x, l2, **numbers):
    data = jaxrec.from_arrays(*np.indices(x.shape).reshape(2, -1)).select(x.ravel() > 0)
    return EASE(l2=l2, num_users=USERS, num_items=ITEMS, **numbers).apply({}, train_data(data).adjacency)


def closed_form(x, l2):
    """B_ij = -P_ij / P_jj off the diagonal, P = (X^T X + l2 I)^-1 (Steck, equation 8)."""
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    b = np.zeros(p.shape)
    for i in range(len(b)):
        for j in range(len(b)):
            if i != j:
                b[i, j] = -p[i, j] / p[j, j]
    return b


def relative(x, l2, *, dropout=0.0, relax=0.0, user_exponent=0.0):
    """B of all relatives: column j by the Lagrange multiplier of its constraint."""
    user_weight = np.maximum(x.sum(axis=1), 1) ** -user_exponent
    g = (x * user_weight[:, None]).T @ x
    ridge = l2 + dropout / (1 - dropout) * np.diag(g)
    b = np.zeros(g.shape)
    for j in range(len(g)):
        column = np.linalg.solve(g + np.diag(ridge), g[:, j])  # without the constraint
        if column[j] > relax:
            step = np.linalg.solve(g + np.diag(ridge), np.eye(len(g))[j])
            column = column - step * (column[j] - relax) / step[j]
        b[:, j] = column
    return b


@pytest.mark.parametrize("l2", [0.5, 10.0, 300.0])
def test_weights_and_scores_are_the_closed_form(l2):
    x = random_x()
    scorer = fitted(x, l2)
    b = closed_form(x, l2)
    np.testing.assert_allclose(scorer.weights, b, rtol=1e-4, atol=1e-6)
    assert not np.any(np.diagonal(scorer.weights))
    scores = scorer.scores(jnp.arange(USERS, dtype=jnp.int32))
    np.testing.assert_allclose(scores, x @ b, rtol=1e-4, atol=1e-5)


def test_no_other_weights_with_a_zero_diagonal_cost_less():
    x, l2 = random_x(), 5.0

    def cost(b):
        return np.sum((x - x @ b) ** 2) + l2 * np.sum(b**2)

    b = np.asarray(fitted(x, l2).weights, np.float64)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.normal(size=b.shape) * 0.01
        np.fill_diagonal(step, 0)
        assert cost(b) < cost(b + step)


RELATIVES = {
    "edlae": {"dropout": 0.3},
    "lae": {"relax": 1.0},
    "rlae": {"relax": 0.4},
    "rdlae": {"dropout": 0.3, "relax": 0.2},
    "weighted users": {"user_exponent": 0.7},
    "all": {"dropout": 0.2, "relax": 0.1, "user_exponent": 0.5},
}


@pytest.mark.parametrize("numbers", RELATIVES.values(), ids=RELATIVES)
def test_relatives_are_ridge_regressions_with_a_bounded_diagonal(numbers):
    x = random_x()
    b = relative(x, 2.0, **numbers)
    weights = np.asarray(fitted(x, 2.0, **numbers).weights)
    np.testing.assert_allclose(weights, b, rtol=1e-4, atol=1e-6)
    bound = numbers.get("relax", 0.0)
    assert weights.diagonal().max() <= bound + 1e-6
    if bound in (0.1, 0.2, 0.4):  # of some columns it binds, and not of the item that nobody has
        assert 0 < np.isclose(weights.diagonal(), bound).sum() < ITEMS


def test_the_item_exponent_scales_rows_and_columns_by_degrees():
    x = random_x()
    scale = np.maximum(x.sum(axis=0), 1) ** 0.3
    expected = scale[:, None] * closed_form(x, 2.0) / scale[None, :]
    np.testing.assert_allclose(fitted(x, 2.0, item_exponent=0.3).weights, expected, rtol=1e-4, atol=1e-6)


def test_dropout_is_the_mean_over_dropped_inputs():
    """For each column, the mean normal equations of inputs that are kept with probability 1 - p and scaled up."""
    x, l2, p = random_x(), 2.0, 0.3
    b = np.asarray(fitted(x, l2, dropout=p, relax=1.0).weights, np.float64)
    rng = np.random.default_rng(3)
    left, right = np.zeros((ITEMS, ITEMS)), np.zeros((ITEMS, ITEMS))
    for _ in range(4000):
        kept = x * (rng.random(x.shape) > p) / (1 - p)
        left += kept.T @ kept
        right += kept.T @ x
    np.testing.assert_allclose(b, np.linalg.solve(left / 4000 + l2 * np.eye(ITEMS), right / 4000), atol=0.005)


def test_an_item_that_nobody_has_has_no_weights():
    weights = fitted(random_x(), 1.0).weights
    assert not np.any(weights[3])
    assert not np.any(weights[:, 3])


def wide_x():
    """Fewer rows than columns, weighted, float32."""
    rng = np.random.default_rng(2)
    x = (rng.random((700, 1100)) < rng.random(1100)[None, :] ** 3 * 0.3).astype(np.float32)
    return x * rng.random((700, 1)).astype(np.float32)


@pytest.mark.parametrize("invert", [_host_inverse.penalized_inverse, _host_inverse.inverse_over_rows])
def test_both_ways_to_the_inverse_are_that_of_float64(invert):
    """Over more than one tile of rows, with a ridge of its own for each column."""
    x, ridge = wide_x(), np.linspace(2.0, 40.0, 1100).astype(np.float32)
    exact = np.linalg.inv(x.T.astype(np.float64) @ x + np.diag(ridge))
    got = invert(scipy.sparse.csr_array(x), ridge)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact, atol=2e-6 * exact.max())


@pytest.mark.parametrize(("size", "block"), [(1, 4), (8, 4), (37, 5), (300, 64)])
def test_the_sweeps_of_a_large_matrix_give_its_inverse(monkeypatch, size, block):
    """Whole blocks, a last one that is shorter, products in several pieces, and nothing read below the diagonal."""
    rng = np.random.default_rng(size)
    half = rng.normal(size=(size, 2 * size)).astype(np.float32)
    matrix = half @ half.T + np.eye(size, dtype=np.float32)
    exact = np.linalg.inv(matrix.astype(np.float64))
    monkeypatch.setattr(_host_inverse, "_COLUMNS", 7)
    upper = np.triu(matrix)
    swept = _host_inverse.swept(upper, block=block)
    assert swept is upper
    np.testing.assert_allclose(np.triu(swept), np.triu(exact), atol=3e-6 * np.abs(exact).max())
    monkeypatch.setattr(_host_inverse, "_LAPACK", 0)
    place = matrix.ctypes.data
    inverse = _host_inverse.invert(matrix)
    np.testing.assert_allclose(inverse, exact, atol=3e-6 * np.abs(exact).max())
    assert inverse.ctypes.data == place


def test_a_matrix_that_is_not_positive_definite_is_refused_by_both_ways(monkeypatch):
    for most in (4, 0):
        monkeypatch.setattr(_host_inverse, "_LAPACK", most)
        with pytest.raises(JaxrecError, match="of 2 rows is not positive definite in float32; raise l2"):
            _host_inverse.invert(np.array([[1.0, 2.0], [2.0, 1.0]], np.float32))


def test_a_wide_matrix_is_inverted_over_its_rows_where_that_fits(monkeypatch):
    x, ridge = scipy.sparse.csr_array(wide_x()), np.ones(1100, np.float32)
    taken = []
    monkeypatch.setattr(_host_inverse, "_WORTH", 1e6)
    monkeypatch.setattr(_host_inverse, "inverse_over_rows", lambda *_: taken.append("rows"))
    monkeypatch.setattr(_host_inverse, "available_bytes", lambda: 4 * (1100**2 + 700**2))
    assert _host_inverse.penalized_inverse(x, ridge) is None
    monkeypatch.setattr(_host_inverse, "available_bytes", lambda: 4 * (1100**2 + 700**2) - 1)
    assert _host_inverse.penalized_inverse(x, ridge) is not None
    assert taken == ["rows"]


def test_the_inverse_and_the_weights_are_made_in_one_array_that_jax_shares():
    rng = np.random.default_rng(0)
    matrix = _host_inverse.aligned_square(600)
    matrix[:] = np.eye(600) * 50 + (half := rng.random((600, 600))) + half.T
    exact, place = np.linalg.inv(matrix.astype(np.float64)), matrix.ctypes.data
    inverse = _host_inverse.invert(matrix)
    np.testing.assert_allclose(inverse, exact, atol=1e-6)
    weights = _ease.weights_in_place(inverse, np.full(600, 1e-3, np.float32), relax=0.0, scale=np.ones(600, np.float32))
    assert weights.ctypes.data == place
    if jax.default_backend() == "cpu":
        assert _host_inverse.shared(weights).unsafe_buffer_pointer() == place


def test_short_histories_are_summed_by_rows_and_long_ones_multiplied():
    """300 items: with 4 a user the rows of these items are read, with 100 it is a dense product."""
    rng = np.random.default_rng(1)
    table = jnp.asarray(rng.normal(size=(300, 300)).astype(np.float32))
    for count, few in ((4, True), (100, False)):
        sizes = rng.integers(0, 2 * count, 20)
        sizes[3] = 0
        rows = [np.sort(rng.permutation(300)[:size]) for size in sizes]
        history = jaxrec.data.SeenItems(
            jnp.asarray(np.concatenate([[0], np.cumsum(sizes)]), jnp.int32),
            jnp.asarray(np.concatenate(rows), jnp.int32),
        )
        scorer = jaxrec.scorers.ItemWeightScorer(history, table, int(sizes.max()))
        assert scorer._few is few
        users = np.array([3, 0, 19, 3, 7], np.int32)
        expected = np.stack([np.asarray(table, np.float64)[rows[user]].sum(axis=0) for user in users])
        got = jax.jit(lambda scorer, users: scorer.scores(users))(scorer, users)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_users_without_any_item_score_nothing():
    history = jaxrec.data.SeenItems(jnp.zeros(3, jnp.int32), jnp.zeros(0, jnp.int32))
    scorer = jaxrec.scorers.ItemWeightScorer(history, jnp.ones((4, 4)), 1)
    assert scorer.scores(jnp.array([0, 1], jnp.int32)).tolist() == [[0.0] * 4] * 2


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"l2": 0.0}, "l2 must be positive, got 0.0"),
        ({"l2": -1.0}, "l2 must be positive, got -1.0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
        ({"relax": 1.5}, "relax must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"item_exponent": float("nan")}, "item_exponent must be a finite number, got nan"),
        ({"user_exponent": float("inf")}, "user_exponent must be a finite number, got inf"),
    ],
)
def test_a_number_out_of_its_range_raises(numbers, message):
    with pytest.raises(JaxrecError, match=message):
        EASE(**numbers)


def test_a_catalogue_that_is_too_large_raises_and_says_how_much_memory_it_needs():
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    with pytest.raises(JaxrecError, match=r"GiB for 3 items.*max_items=2 allows; raise max_items"):
        jaxrec.fit(EASE(max_items=2), data, key=jax.random.key(0))


def test_a_catalogue_that_does_not_fit_the_memory_raises_with_bytes_and_remedy(monkeypatch):
    monkeypatch.setattr(_host_inverse, "available_bytes", lambda: 30.0)
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    with pytest.raises(JaxrecError, match=r"EASE needs 36 bytes for 3 items, and 30 are available; .* use sansa"):
        jaxrec.fit(EASE(), data, key=jax.random.key(0))


def test_a_matrix_that_is_not_positive_definite_raises():
    with pytest.raises(JaxrecError, match="2 rows is not positive definite in float32; raise l2"):
        _host_inverse.invert(np.array([[1.0, 2.0], [2.0, 1.0]], np.float32))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"max": "1000", "current": "700", "stat": "anon 5\ninactive_file 100\n"}, 400.0),
        ({"max": "max", "current": "700", "stat": "inactive_file 100\n"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_the_limit_of_a_control_group_counts(files, expected, tmp_path):
    for name, text in files.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert _host_inverse._of_group(tmp_path) == expected
