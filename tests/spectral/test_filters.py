"""Responses, exact filters and Chebyshev filters against float64 decompositions, closed forms and each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from reference import spectral as slow

from jaxrec import graph, sparse, spectral
from jaxrec.errors import JaxrecError, MismatchError

seeds = st.integers(0, 10**6)
UNIT = (0.0, 2.0)
heat = functools.partial(spectral.heat_kernel, time=2.0)
low = functools.partial(spectral.low_pass, cutoff=0.7)
cubic = functools.partial(spectral.polynomial, coefficients=[0.5, -1.0, 0.0, 0.25])


# One program for an order and a shape, instead of one for each of their operations.
coefficients_of = jax.jit(spectral.chebyshev_coefficients, static_argnums=(0, 1, 2), static_argnames="damping")
response_of = jax.jit(spectral.chebyshev_response, static_argnums=2)


def laplacians(seed):
    a = sparse.from_dense(slow.bipartite(seed).astype(np.float32))
    return spectral.normalized_laplacian(a), spectral.combinatorial_laplacian(a)


def signals(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_responses_are_what_they_say():
    values = jnp.array([0.0, 0.5, 0.7, 2.0])
    np.testing.assert_allclose(heat(values), np.exp([0, -1, -1.4, -4]), rtol=1e-6)
    np.testing.assert_array_equal(low(values), [1, 1, 1, 0])
    expected = [0.5, 0.5 - 0.5 + 0.25 / 8, 0.5 - 0.7 + 0.25 * 0.343, 0.5 - 2 + 2]
    np.testing.assert_allclose(cubic(values), expected, atol=1e-6)
    with pytest.raises(JaxrecError, match=r"coefficients has shape \(0,\); pass one or more"):
        spectral.polynomial(values, [])


@given(seeds)
def test_exact_filters_agree_with_float64(seed):
    x = signals(seed, 11, 2)
    for laplacian in laplacians(seed):
        for h, twin in (
            (heat, lambda v: np.exp(-2 * v)),
            (cubic, lambda v: 0.5 - v + 0.25 * v**3),
        ):
            got = spectral.filter_exact(laplacian, h, x)
            expected = slow.filtered(laplacian.todense(), twin, np.float64(x))
            np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)
            one = spectral.filter_exact(spectral.fourier_basis(laplacian), h, x[:, 0])
            np.testing.assert_allclose(one, got[:, 0], atol=1e-4, rtol=1e-4)
        # An ideal filter is a projection: the second time there is nothing left to do.
        smooth = spectral.filter_exact(laplacian, low, x)
        np.testing.assert_allclose(spectral.filter_exact(laplacian, low, smooth), smooth, atol=1e-5)


def test_coefficients_of_the_heat_kernel_are_bessel_functions():
    # exp(-s (1 + t)) = sum of (2 - [j = 0]) (-1)^j exp(-s) I_j(s) T_j(t), here with lambda = s (1 + t) / time.
    for time, high in ((1.0, 2.0), (0.1, 300.0)):
        s, j = time * high / 2, np.arange(60)
        expected = np.where(j == 0, 1, 2) * (-1.0) ** j * scipy.special.ive(j, s)
        got = spectral.chebyshev_coefficients(lambda v, t=time: spectral.heat_kernel(v, time=t), 59, (0.0, high))
        np.testing.assert_allclose(got, expected, atol=2e-6)


def test_coefficients_of_a_jump_and_of_polynomials():
    angle = np.arccos(0.7 - 1)  # t = lambda - 1 on [0, 2]
    j = np.arange(1, 20)
    expected = np.concatenate([[1 - angle / np.pi], -2 * np.sin(j * angle) / (np.pi * j)])
    np.testing.assert_allclose(spectral.chebyshev_coefficients(low, 19, UNIT), expected, atol=2 / (8 * 20))
    # A polynomial of degree 3 has no coefficients beyond, and is met exactly between the nodes too.
    c = spectral.chebyshev_coefficients(cubic, 6, (-1.0, 4.0))
    np.testing.assert_allclose(c[4:], 0, atol=1e-5)
    values = jnp.linspace(-1.0, 4.0, 33)
    np.testing.assert_allclose(spectral.chebyshev_response(c, values, (-1.0, 4.0)), cubic(values), atol=2e-5)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=6), st.floats(-5, 5), st.floats(0.5, 9))
def test_the_response_is_the_sum_of_cosines(coefficients, start, length):
    values = np.linspace(start, start + length, 9)
    expected = sum(c * slow.chebyshev(j, 2 * (values - start) / length - 1) for j, c in enumerate(coefficients))
    got = spectral.chebyshev_response(coefficients, jnp.asarray(values, jnp.float32), (start, start + length))
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_the_error_falls_with_the_order_and_damping_takes_ripples_away():
    values = np.linspace(0.0, 2.0, 2001, dtype=np.float32)
    ideal, errors = np.asarray(low(jnp.asarray(values))), []
    for order in (2, 4, 8, 16):
        c = coefficients_of(heat, order, UNIT)
        errors.append(np.abs(np.asarray(response_of(c, values, UNIT)) - np.exp(-2 * values)).max())
    assert errors[0] > 5 * errors[1] > 250 * errors[2]
    assert errors[3] < 1e-6
    for order in (20, 80):
        plain = np.asarray(response_of(coefficients_of(low, order, UNIT), values, UNIT))
        assert 0.07 < float(plain.max()) - 1 < 0.11  # Gibbs: about 9%, whatever the order
        assert 0.07 < -float(plain.min()) < 0.11
        c = coefficients_of(low, order, UNIT, damping="jackson")
        damped = np.asarray(response_of(c, values, UNIT))
        assert damped.min() > -1e-5
        assert damped.max() < 1 + 1e-5
        far = np.abs(values - 0.7) > 3 * np.pi / order
        np.testing.assert_allclose(damped[far], ideal[far], atol=0.02)


def test_jackson_factors_come_from_their_kernel():
    # The kernel 1/2 + sum of g[j] cos(j a) is nowhere negative, which is what takes the ripples away.
    g = np.float64(spectral.jackson_damping(12))
    assert g[0] == 1
    assert np.all(np.diff(g) < 0)
    assert g[-1] > 0
    angles = np.linspace(0, np.pi, 500)
    assert (0.5 + np.cos(np.outer(angles, np.arange(1, 13))) @ g[1:]).min() > -1e-5
    # Among such kernels of this order its first factor is the largest, cos(pi / (order + 2)).
    np.testing.assert_allclose(g[1], np.cos(np.pi / 14), rtol=1e-6)


@given(seeds)
def test_chebyshev_filters_equal_exact_ones_and_are_linear(seed):
    x, y = signals(seed, 11, 3), signals(seed + 1, 11, 3)
    normalized, combinatorial = laplacians(seed)
    for laplacian, interval, order in (
        (normalized, UNIT, 16),
        (combinatorial, (0.0, spectral.largest_eigenvalue_bound(combinatorial)), 32),
    ):
        operator = sparse.operator(laplacian, symmetric=True)
        c = spectral.chebyshev_coefficients(heat, order, interval)
        got = spectral.chebyshev_filter(operator, c, x, interval)
        expected = slow.filtered(laplacian.todense(), lambda v: np.exp(-2 * v), np.float64(x))
        np.testing.assert_allclose(got, expected, atol=2e-5)
        np.testing.assert_allclose(spectral.filter_exact(laplacian, heat, x), got, atol=2e-5)
        np.testing.assert_allclose(spectral.chebyshev_filter(laplacian, c, x[:, 0], interval), got[:, 0], atol=1e-5)
        combined = spectral.chebyshev_filter(operator, c, 2 * x - y, interval)
        np.testing.assert_allclose(combined, 2 * got - spectral.chebyshev_filter(operator, c, y, interval), atol=1e-4)


def test_short_series_and_a_polynomial_are_exact():
    laplacian, _ = laplacians(3)
    dense, x = np.float64(laplacian.todense()), signals(3, 11)
    t = dense - np.eye(11)  # the interval [0, 2] shifted to [-1, 1]
    powers = [np.eye(11), t, 2 * t @ t - np.eye(11), 4 * t @ t @ t - 3 * t]
    for k in (1, 2, 3, 4):
        c = [1.0, -0.5, 0.25, 2.0][:k]
        expected = sum(value * power for value, power in zip(c, powers, strict=False)) @ np.float64(x)
        np.testing.assert_allclose(spectral.chebyshev_filter(laplacian, c, x, UNIT), expected, atol=1e-5)
    c = spectral.chebyshev_coefficients(cubic, 3, UNIT)
    expected = (0.5 * np.eye(11) - dense + 0.25 * dense @ dense @ dense) @ np.float64(x)
    np.testing.assert_allclose(spectral.chebyshev_filter(laplacian, c, x, UNIT), expected, atol=1e-5)


def test_gradients_in_the_signal_the_coefficients_and_the_time():
    laplacian, _ = laplacians(5)
    operator, x, w = sparse.operator(laplacian, symmetric=True), signals(5, 11, 2), signals(6, 11, 2)
    c = spectral.chebyshev_coefficients(heat, 8, UNIT)

    def value(c, x):
        return jnp.sum(w * spectral.chebyshev_filter(operator, c, x, UNIT))

    in_c, in_x = jax.grad(value, argnums=(0, 1))(c, x)
    # The filter is a symmetric matrix, so its gradient is itself; it is linear in each coefficient.
    np.testing.assert_allclose(in_x, spectral.chebyshev_filter(operator, c, w, UNIT), atol=1e-5)
    each = [value(row, x) for row in jnp.eye(9)]
    np.testing.assert_allclose(in_c, each, atol=1e-5)

    def diffused(time):
        h = functools.partial(spectral.heat_kernel, time=time)
        return value(spectral.chebyshev_coefficients(h, 16, UNIT), x)

    expected = -np.sum(w * slow.filtered(laplacian.todense(), lambda v: v * np.exp(-0.5 * v), np.float64(x)))
    np.testing.assert_allclose(jax.jit(jax.grad(diffused))(0.5), expected, rtol=1e-4, atol=1e-5)


def test_vmap_over_filters_and_over_signals():
    operator = sparse.operator(laplacians(7)[0], symmetric=True)
    x = signals(7, 4, 11, 2)
    bank = jnp.stack([spectral.chebyshev_coefficients(h, 6, UNIT) for h in (heat, cubic, low)])
    got = jax.vmap(lambda c: spectral.chebyshev_filter(operator, c, x[0], UNIT))(bank)
    expected = [spectral.chebyshev_filter(operator, c, x[0], UNIT) for c in bank]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    got = jax.vmap(lambda x: spectral.chebyshev_filter(operator, bank[0], x, UNIT))(x)
    expected = [spectral.chebyshev_filter(operator, bank[0], one, UNIT) for one in x]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_nothing_is_made_dense():
    size = 5000
    made = scipy.sparse.random_array((size, size), density=4 / size, rng=0, dtype=np.float32)
    operator = sparse.operator(spectral.normalized_laplacian(graph.from_scipy(made + made.T)), symmetric=True)
    x = jnp.ones((size, 4))
    c = spectral.chebyshev_coefficients(heat, 12, UNIT)

    def value(operator, c, x):
        return jnp.sum(spectral.chebyshev_filter(operator, c, x, UNIT) ** 2)

    compiled = jax.jit(jax.grad(value, argnums=(1, 2))).lower(operator, c, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * size * size / 10  # measured: a fortieth


def test_bad_input_is_refused():
    laplacian, x = laplacians(0)[0], jnp.ones(11)
    with pytest.raises(JaxrecError, match="order is -1; it must be 0 or more"):
        spectral.chebyshev_coefficients(heat, -1, UNIT)
    with pytest.raises(JaxrecError, match="order is -2; it must be 0 or more"):
        spectral.jackson_damping(-2)
    with pytest.raises(JaxrecError, match=r"interval is \(2.0, 0.0\); it must be \(low, high\) with low < high"):
        spectral.chebyshev_coefficients(heat, 3, (2.0, 0.0))
    with pytest.raises(JaxrecError, match="damping is 'lanczos'; pass 'none' or 'jackson'"):
        spectral.chebyshev_coefficients(heat, 3, UNIT, damping="lanczos")
    with pytest.raises(MismatchError, match=r"h returned float32\[\] for eigenvalues float32\[32\]"):
        spectral.chebyshev_coefficients(jnp.sum, 3, UNIT)
    with pytest.raises(MismatchError, match="h returned bool"):
        spectral.filter_exact(laplacian, lambda v: v < 1, x)
    with pytest.raises(MismatchError, match=r"x must be \[11\] or \[11, d\] .*got \(3,\)"):
        spectral.chebyshev_filter(laplacian, [1.0], jnp.ones(3), UNIT)
    with pytest.raises(MismatchError, match="matrix is float32 and x is int32"):
        spectral.chebyshev_filter(laplacian, [1.0], jnp.ones(11, jnp.int32), UNIT)
    with pytest.raises(MismatchError, match="coefficients are int32 and x is float32"):
        spectral.chebyshev_filter(laplacian, jnp.ones(2, jnp.int32), x, UNIT)
    with pytest.raises(JaxrecError, match=r"coefficients has shape \(0,\)"):
        spectral.chebyshev_filter(laplacian, [], x, UNIT)
    with pytest.raises(JaxrecError, match=r"interval is \(nan, 2.0\)"):
        spectral.chebyshev_filter(laplacian, [1.0], x, (np.nan, 2.0))
    with pytest.raises(MismatchError, match=r"matrix has shape \(2, 3\); it must be square"):
        spectral.chebyshev_filter(sparse.from_dense(np.ones((2, 3), np.float32)), [1.0], x, UNIT)


@pytest.mark.parametrize(("response", "option"), [(spectral.low_pass, "cutoff"), (spectral.heat_kernel, "time")])
def test_a_response_is_no_maker_of_responses(response, option):
    with pytest.raises(JaxrecError, match=rf"eigenvalues is 1\.0; .* pass functools.partial\(\w+, {option}=\.\.\.\)"):
        response(1.0)
    with pytest.raises(JaxrecError, match=rf"eigenvalues is 1\.0; .*{option}"):
        response(1.0, **{option: 2.0})
    with pytest.raises(JaxrecError, match=f"{option} is not given"):
        response(jnp.ones(3))
