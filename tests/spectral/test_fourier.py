"""The graph Fourier transform: inverse, Parseval, the convolution theorem, and waves on a line and on a ring."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import spectral as slow

from jaxrec import graph, sparse, spectral
from jaxrec.errors import JaxrecError, MismatchError

NODES = 11


def laplacian_of(seed):
    return spectral.normalized_laplacian(sparse.from_dense(slow.bipartite(seed).astype(np.float32)))


def signals(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def ring(size):
    return graph.from_scipy(nx.to_scipy_sparse_array(nx.cycle_graph(size), dtype=np.float32))


@given(st.integers(0, 10**6))
def test_the_transform_has_an_inverse_and_keeps_inner_products(seed):
    laplacian = laplacian_of(seed)
    basis = spectral.fourier_basis(laplacian)
    assert np.all(np.diff(basis.eigenvalues) >= 0)
    np.testing.assert_allclose(basis.eigenvalues, np.linalg.eigvalsh(laplacian.todense()), atol=1e-5)
    restored = (basis.vectors * basis.eigenvalues[None, :]) @ basis.vectors.T
    np.testing.assert_allclose(restored, laplacian.todense(), atol=1e-5)
    x, y = signals(seed, NODES, 3), signals(seed + 1, NODES, 3)
    xhat, yhat = spectral.fourier(x, basis), spectral.fourier(y, basis)
    np.testing.assert_allclose(spectral.inverse_fourier(xhat, basis), x, atol=1e-5)
    np.testing.assert_allclose(jnp.sum(xhat * yhat, axis=0), jnp.sum(x * y, axis=0), atol=1e-4)  # Parseval
    np.testing.assert_allclose(spectral.fourier(x[:, 0], basis), xhat[:, 0], atol=1e-6)
    # x^T L x = sum of lambda |x^|^2: low frequencies are the smooth signals.
    smoothness = jnp.sum(x * sparse.spmm(laplacian, x), axis=0)
    np.testing.assert_allclose(jnp.sum(basis.eigenvalues[:, None] * xhat**2, axis=0), smoothness, atol=1e-4)


@given(st.integers(0, 10**6))
def test_convolution_on_the_nodes_is_a_product_of_transforms(seed):
    basis = spectral.fourier_basis(laplacian_of(seed))
    x, y, z = (signals(seed + i, NODES) for i in range(3))
    both = spectral.convolve(x, y, basis)
    product = spectral.fourier(x, basis) * spectral.fourier(y, basis)
    np.testing.assert_allclose(spectral.fourier(both, basis), product, atol=1e-4)
    np.testing.assert_allclose(both, spectral.convolve(y, x, basis), atol=1e-5)
    sums = spectral.convolve(x, z, basis) + both
    np.testing.assert_allclose(spectral.convolve(x, y + z, basis), sums, atol=1e-4)
    # Convolving with y is the filter whose response is y^.
    yhat = spectral.fourier(y, basis)
    np.testing.assert_allclose(spectral.filter_exact(basis, lambda _: yhat, x), both, atol=1e-5)


def test_a_symmetric_circular_convolution_is_a_filter_of_the_ring():
    size = 12
    kernel = np.zeros(size)
    kernel[[0, 1, -1]] = 0.5, 0.25, 0.25
    x = signals(0, size)
    circular = sum(kernel[shift] * np.roll(x, shift) for shift in range(size))
    # The kernel's discrete Fourier transform is 1/2 + 1/2 cos w, and the ring has lambda = 2 - 2 cos w.
    laplacian = spectral.combinatorial_laplacian(ring(size))
    got = spectral.filter_exact(laplacian, lambda eigenvalues: 1 - eigenvalues / 4, x)
    np.testing.assert_allclose(got, circular, atol=1e-5)


@pytest.mark.parametrize("w", [0.0, 1.0, 2.5])
def test_waves_are_eigenfunctions_of_the_laplace_operator(w):
    # Delta h = lambda h for h = exp(i w x), with lambda = -w^2; Delta is the second derivative on a line.
    x = jnp.linspace(-1.0, 1.0, 5)
    for part in (lambda x: jnp.cos(w * x), lambda x: jnp.sin(w * x)):
        delta = jax.vmap(jax.grad(jax.grad(part)))(x)
        np.testing.assert_allclose(delta, -(w**2) * part(x), atol=1e-5)


@pytest.mark.parametrize("turns", [0, 1, 5, 8])
def test_waves_are_eigenvectors_of_the_ring_with_the_opposite_sign(turns):
    size = 16
    w = 2 * np.pi * turns / size
    nodes = np.arange(size)
    wave = jnp.asarray(np.stack([np.cos(w * nodes), np.sin(w * nodes)], axis=1), jnp.float32)  # exp(i w n), two columns
    laplacian = spectral.combinatorial_laplacian(ring(size))
    eigenvalue = 2 - 2 * np.cos(w)
    np.testing.assert_allclose(sparse.spmm(laplacian, wave), eigenvalue * wave, atol=1e-5)
    basis = spectral.fourier_basis(laplacian)
    assert np.min(np.abs(basis.eigenvalues - eigenvalue)) < 1e-5
    # The wave has no part at other frequencies.
    elsewhere = np.abs(basis.eigenvalues - eigenvalue) > 1e-3
    np.testing.assert_allclose(spectral.fourier(wave, basis)[elsewhere], 0, atol=1e-5)
    # A fine ring of the same length: -L / step^2 comes close to Delta, and the eigenvalue to -w^2 of the line.
    step, length = 1e-3, 2 * np.pi
    frequency = turns * 2 * np.pi / length
    np.testing.assert_allclose(-(2 - 2 * np.cos(frequency * step)) / step**2, -(frequency**2), atol=1e-3)


def test_bad_input_is_refused():
    basis = spectral.fourier_basis(laplacian_of(0))
    with pytest.raises(JaxrecError, match=r"laplacian has 12 nodes, more than max_nodes=11.*raise max_nodes"):
        spectral.fourier_basis(spectral.combinatorial_laplacian(ring(12)), max_nodes=11)
    with pytest.raises(MismatchError, match=r"laplacian has shape \(2, 3\); it must be square"):
        spectral.fourier_basis(sparse.from_dense(np.ones((2, 3), np.float32)))
    with pytest.raises(MismatchError, match=r"laplacian of shape \(2, 2\) is not symmetric"):
        spectral.fourier_basis(sparse.from_dense(np.array([[0, 1], [0, 0]], np.float32)))
    with pytest.raises(MismatchError, match=r"x must be \[11\] or \[11, d\] for a basis of 11 nodes, got \(3,\)"):
        spectral.fourier(jnp.ones(3), basis)
    with pytest.raises(MismatchError, match=r"xhat must be \[11\]"):
        spectral.inverse_fourier(jnp.ones((3, 11)), basis)
    with pytest.raises(MismatchError, match="x is int32 and the basis is float32"):
        spectral.fourier(jnp.ones(11, jnp.int32), basis)
    with pytest.raises(MismatchError, match=r"x has shape \(11,\) and y has shape \(11, 1\)"):
        spectral.convolve(jnp.ones(11), jnp.ones((11, 1)), basis)
