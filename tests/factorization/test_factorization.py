"""The factorizations against scikit-learn, against slow NumPy twins, their properties, and their errors."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import nmf as slow
from reference.nmf import drawn
from sklearn.decomposition import NMF as PeerNMF
from sklearn.decomposition._nmf import _initialize_nmf

from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization import masked_nmf, nmf, refit_scales

R = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], np.float64)
LINE = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])


def dense_adjacency():
    """A~ of the example, in float64."""
    users, items = R.sum(axis=1), R.sum(axis=0)
    normal = R / np.sqrt(users)[:, None] / np.sqrt(np.where(items > 0, items, 1))[None, :]
    return np.block([[np.zeros((3, 3)), normal], [normal.T, np.zeros((4, 4))]])


def peer(x, **options):
    """scikit-learn's factors, objective and iterations, and the start that it drew."""
    model = PeerNMF(n_components=2, init="random", random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        w = model.fit_transform(x)
    return w, model.components_, model.n_iter_, _initialize_nmf(x, 2, init="random", random_state=0)


def test_the_peer_draws_its_start_as_documented():
    rng, scale = np.random.RandomState(0), np.sqrt(LINE.mean() / 2)
    h = np.abs(scale * rng.standard_normal((2, 2)))
    w = np.abs(scale * rng.standard_normal((6, 2)))
    start = _initialize_nmf(LINE, 2, init="random", random_state=0)
    np.testing.assert_allclose(start[0], w)
    np.testing.assert_allclose(start[1], h)


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-13), (np.float32, 1e-6)])
@pytest.mark.parametrize("x", [dense_adjacency(), LINE], ids=["adjacency", "line"])
def test_factors_objective_and_iterations_are_those_of_scikit_learn(x, dtype, digits):
    w, h, iterations, start = peer(x)
    with jax.enable_x64(dtype == np.float64):
        made = nmf(sparse.from_dense(x.astype(dtype)), 2, init=tuple(part.astype(dtype) for part in start))
        assert made.w.dtype == made.h.dtype == made.objective.dtype == dtype
        assert int(made.iterations) == iterations
        assert made.converged
        np.testing.assert_allclose(made.w, w, rtol=digits, atol=digits * 10)
        np.testing.assert_allclose(made.h, h, rtol=digits, atol=digits * 10)
        # The objective is a difference from |X|^2, so its last digits are those of |X|^2.
        expected = np.sum((x - w @ h) ** 2)
        np.testing.assert_allclose(made.objective[-1], expected, rtol=0, atol=digits * np.sum(x**2))


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_a_fixed_number_of_iterations_is_that_of_scikit_learn_with_a_penalty_too(solver, penalty):
    options = {"solver": solver, "max_iter": 200, "tol": 0, "alpha_W": penalty / 2, "alpha_H": penalty / 6}
    w, h, _, start = peer(LINE, **options)
    with jax.enable_x64(True):
        made = nmf(sparse.from_dense(LINE), 2, init=start, solver=solver, tol=0, l2=penalty)
        np.testing.assert_allclose(made.w, w, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(made.h, h, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(made.objective[-1], slow.objective(LINE, w, h, penalty), rtol=1e-6, atol=1e-11)


def test_the_example_graph_has_the_printed_factors():
    w = np.array([[0, 0.340767530], [0, 0.417373793], [0, 0.340767530], [0.583954597, 0], [0.337146309, 0]])
    w = np.concatenate([w, [[0, 0], [0.583954597, 0]]])
    h = np.array(
        [[0.599236855, 0.733912241, 0.599236855, 0, 0, 0, 0], [0, 0, 0, 1.02685282, 0.592873174, 0, 1.02685282]]
    )
    _, _, _, start = peer(dense_adjacency())
    with jax.enable_x64(True):
        matrix = graph.normalized_adjacency(sparse.from_dense(R))
        made = nmf(matrix, 2, init=start)
        np.testing.assert_allclose(made.w, w, rtol=0, atol=5e-10)
        np.testing.assert_allclose(made.h, h, rtol=0, atol=5e-9)
    # Any other start has them up to order and scale: the components below are scaled to the same length and sorted.
    for solver in ("cd", "mu"):
        made = nmf(
            graph.normalized_adjacency(sparse.from_dense(R.astype(np.float32))), 2, jax.random.key(3), solver=solver
        )
        order = np.argsort(made.w[0])
        got_w, got_h = np.asarray(made.w)[:, order], np.asarray(made.h)[order]
        scale = np.linalg.norm(w, axis=0) / np.linalg.norm(got_w, axis=0)
        np.testing.assert_allclose(got_w * scale, w, atol=2e-3)
        np.testing.assert_allclose(got_h / scale[:, None], h, atol=2e-3)


def test_the_product_of_the_example_is_by_arithmetic():
    made = nmf(graph.normalized_adjacency(sparse.from_dense(R.astype(np.float32))), 2, jax.random.key(0), tol=1e-7)
    product = np.asarray(made.w @ made.h)
    # The leading singular vectors of R~ are sqrt(d_u / 7) and sqrt(d_i / 7), with the singular value 1.
    block = np.sqrt(np.outer([2, 3, 2], [3, 1, 0, 3])) / 7
    np.testing.assert_allclose(product, np.block([[np.zeros((3, 3)), block], [block.T, np.zeros((4, 4))]]), atol=1e-5)
    printed = [[0.35, 0.2, 0, 0.35], [0.43, 0.25, 0, 0.43], [0.35, 0.2, 0, 0.35]]
    np.testing.assert_array_equal(product[:3, 3:].round(2), np.float32(printed))
    # R~ R~^T has the trace 11/9 and the leading eigenvalue 1; A~ has what is left of R~ twice.
    trace = sum(R[u, i] / (R.sum(axis=1)[u] * R.sum(axis=0)[i]) for u, i in np.argwhere(R))
    assert trace == pytest.approx(11 / 9)
    np.testing.assert_allclose(made.objective[-1], 2 * (11 / 9 - 1), rtol=1e-5)


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_each_solver_agrees_with_its_twin(solver, l2):
    x, _, w, h = drawn(0, 12, 11, 10, dtype=np.float64)
    twin = slow.coordinate_descent if solver == "cd" else slow.multiplicative
    with jax.enable_x64(True):
        made = nmf(sparse.from_dense(x), 10, init=(w, h), solver=solver, max_iter=8, tol=0, l2=l2)
        expected = twin(x, w, h, l2, 8)
        np.testing.assert_allclose(made.w, expected[0], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(made.h, expected[1], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(made.objective, expected[2], rtol=1e-9)


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_each_masked_solver_agrees_with_its_twin(solver, l2):
    x, stored, w, h = drawn(1, 12, 11, 10, dtype=np.float64)
    twin = slow.masked_coordinate_descent if solver == "cd" else slow.masked_multiplicative
    with jax.enable_x64(True):
        made = masked_nmf(sparse.from_dense(x), 10, init=(w, h), solver=solver, max_iter=8, tol=0, l2=l2)
        expected = twin(x, stored, w, h, l2, 8)
        np.testing.assert_allclose(made.objective, expected[2], rtol=1e-7)
        np.testing.assert_allclose(made.w, expected[0], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(made.h, expected[1], rtol=1e-6, atol=1e-8)
        assert not np.any(made.w[0])
        assert not np.any(made.h[:, 1])


@pytest.mark.parametrize("function", [nmf, masked_nmf])
@pytest.mark.parametrize("solver", ["cd", "mu"])
@given(seed=st.integers(0, 2**32 - 1), l2=st.sampled_from([0.0, 0.1, 3.0]))
def test_factors_are_not_negative_and_the_objective_does_not_rise(function, solver, seed, l2):
    x, stored, w, h = drawn(seed)
    made = function(sparse.from_dense(x), 3, init=(w, h), solver=solver, max_iter=20, tol=0, l2=l2)
    for factor in (made.w, made.h):
        assert np.isfinite(factor).all()
        assert (np.asarray(factor) >= 0).all()
    values = np.asarray(made.objective)
    assert (np.diff(values) <= 1e-6 * np.sum(x**2)).all()
    assert values[-1] < values[0]
    if function is nmf:
        expected = slow.objective(np.float64(x), np.float64(made.w), np.float64(made.h), l2)
    else:
        expected = slow.masked_objective(np.float64(x), stored, np.float64(made.w), np.float64(made.h), l2)
    np.testing.assert_allclose(values[-1], expected, rtol=1e-5, atol=2e-6 * np.sum(x**2))


@pytest.mark.parametrize("function", [nmf, masked_nmf])
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.25, 4.0]))
def test_order_and_scale_carry_over(function, seed, scale):
    x, _, w, h = drawn(seed, 12, 11, 10, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(12), rng.permutation(11)
    with jax.enable_x64(True):
        run = lambda x, w, h, l2: function(sparse.from_dense(x), 10, init=(w, h), max_iter=8, tol=0, l2=l2)  # noqa: E731
        plain = run(x, w, h, 0.1)
        permuted = run(x[rows][:, columns], w[rows], h[:, columns], 0.1)
        np.testing.assert_allclose(permuted.w, plain.w[rows], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(permuted.h, plain.h[:, columns], rtol=1e-6, atol=1e-8)
        # Factors of scale^2 X are scale times those of X, where the penalty is in X's units.
        scaled = run(scale**2 * x, scale * w, scale * h, scale**2 * 0.1)
        np.testing.assert_allclose(scaled.w, scale * plain.w, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(scaled.objective, scale**4 * plain.objective, rtol=1e-8)


def test_a_stored_zero_is_a_rating_and_a_missing_entry_is_none():
    x = sparse.from_entries(np.float32([1, 2, 2, 4, 0]), [0, 0, 1, 1, 2], [0, 1, 0, 1, 0], (3, 2))
    made = masked_nmf(x, 1, init=(np.ones((3, 1), np.float32), np.ones((1, 2), np.float32)), l2=0.0)
    # The start predicts 1 everywhere, and the place (2, 1) is in no sum.
    assert made.objective[0].item() == 0 + 1 + 1 + 9 + 1
    np.testing.assert_allclose(made.w @ made.h, [[1, 2], [2, 4], [0, 0]], atol=1e-3)


def test_the_trace_repeats_its_last_value_and_a_zero_start_has_converged():
    x = sparse.from_dense(np.eye(3, dtype=np.float32))
    made = nmf(x, 2, init=(np.zeros((3, 2), np.float32), np.zeros((2, 3), np.float32)))
    assert made.objective.tolist() == [3.0] * 201
    assert (int(made.iterations), bool(made.converged)) == (1, True)
    made = nmf(x, 2, jax.random.key(0))
    done = int(made.iterations)
    assert 1 < done < 200
    assert np.all(made.objective[done:] == made.objective[done])
    assert made.objective[1] > made.objective[done]


def test_the_start_depends_on_the_key_alone_and_jit_changes_nothing(key):
    x = sparse.operator(sparse.from_dense(drawn(5)[0]))
    jitted = jax.jit(lambda x, key: masked_nmf(x, 2, key))
    first, again, other = masked_nmf(x, 2, key), masked_nmf(x, 2, key), jitted(x, jax.random.key(9))
    np.testing.assert_array_equal(first.w, again.w)
    assert np.any(first.w != other.w)
    np.testing.assert_allclose(jitted(x, key).w, first.w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", [nmf, masked_nmf])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_no_array_of_the_program_has_the_size_of_the_dense_matrix(function, solver, key):
    rows = np.arange(257)
    x = sparse.operator(sparse.from_entries(np.ones(257, np.float32), rows, rows % 131, (257, 131)))
    text = jax.jit(lambda x: function(x, 3, key, solver=solver)).lower(x).as_text()
    assert "257x3x" in text or "3x257x" in text
    for shape in ("257x131", "131x257", str(257 * 131)):
        assert shape not in text


def test_more_places_than_an_int32_counts(key):
    x = sparse.from_entries(np.float32([8, 8]), [0, 69_999], [0, 49_999], (70_000, 50_000))
    made = nmf(x, 2, key, max_iter=1)
    # The start has the mean of X, 16 in 3.5e9 places: it adds next to nothing to |X|^2 = 2 * 64.
    assert float(made.objective[0]) == pytest.approx(128, rel=1e-3)
    assert np.isfinite(made.w).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_refitted_scales_are_those_of_the_twin_and_lower_the_error(seed):
    x, stored, w, h = drawn(seed)
    got = refit_scales(sparse.from_dense(x), jnp.asarray(w), jnp.asarray(h))
    expected = slow.refit_scales(np.float64(x), stored, w, h)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
        assert (np.asarray(mine) >= 0).all()
    error = lambda w, h: slow.masked_objective(np.float64(x), stored, np.float64(w), np.float64(h), 0.0)  # noqa: E731
    assert error(*got) <= error(w, h) * (1 + 1e-5)


def test_refitted_scales_of_a_zero_product_are_as_they_were():
    x = sparse.from_dense(drawn(0)[0])
    w, h = refit_scales(x, jnp.zeros((6, 3)), jnp.ones((3, 5)))
    assert not np.any(w)
    assert np.all(h == 1)
    with pytest.raises(MismatchError, match=r"w is float32 of shape \(3, 1\)"):
        refit_scales(x, jnp.zeros((3, 1)), jnp.ones((1, 5)))


EYE = np.eye(3, dtype=np.float32)
START = np.ones((3, 2), np.float32), np.ones((2, 3), np.float32)


@pytest.mark.parametrize("function", [nmf, masked_nmf])
@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (
            EYE - 2 * np.eye(3, k=1, dtype=np.float32),
            {},
            r"matrix has -2.0 at \(0, 1\), and 2 such entries.*shift the scale",
        ),
        (np.where(EYE > 0, np.nan, 0).astype(np.float32), {}, r"matrix has nan at \(0, 0\), and 3 such"),
        (EYE, {"rank": 0}, r"rank must lie in 1..3 for a matrix of shape \(3, 3\), got 0"),
        (EYE, {"rank": 4}, r"rank must lie in 1..3 .* got 4"),
        (EYE * 0, {}, r"matrix of shape \(3, 3\) has no entry"),
        (EYE.astype(np.int32), {}, "matrix must be a sparse float32 or float64 matrix .* got int32"),
        (EYE, {"solver": "als"}, "solver must be .* got 'als'"),
        (EYE, {"max_iter": 0}, "max_iter must be at least 1, got 0"),
        (EYE, {"tol": -1.0}, "tol must be finite and not negative, got -1.0"),
        (EYE, {"l2": float("nan")}, "l2 must be finite and not negative, got nan"),
        (EYE, {"init": None}, r"pass either key, for a random start, or init=\(w, h\)"),
        (
            EYE,
            {"init": (START[1], START[0])},
            r"init w is float32 of shape \(2, 3\), expected float32 of shape \(3, 2\)",
        ),
        (EYE, {"init": (START[0], START[1].astype(np.float16))}, "init h is float16"),
        (EYE, {"init": (START[0], -START[1])}, r"init h has -1.0 at \(0, 0\), and 6 such"),
    ],
)
def test_bad_input_is_told(function, matrix, options, message):
    options = {"rank": 2, "init": START, **options}
    with pytest.raises(JaxrecError, match=message):
        function(sparse.from_dense(matrix), **options)
