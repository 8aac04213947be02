"""Leading eigenpairs against full and scipy's decompositions, on random graphs, hard ones and a real one."""

import os
import pathlib

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st
from reference import spectral as slow

from jaxrec import graph, sparse, spectral
from jaxrec.errors import JaxrecError, MismatchError


def random_graph(size=400, seed=0):
    """A random undirected graph, as a scipy array and a BCOO."""
    made = scipy.sparse.random_array((size, size), density=0.02, rng=seed, dtype=np.float32)
    made = scipy.sparse.csr_array(made + made.T)
    return made, graph.from_scipy(made)


def check_pairs(matrix, pairs, tolerance):
    """Unit eigenvectors, residuals that tell the truth, and small ones."""
    dense = np.asarray(matrix.todense(), np.float64)
    values, vectors, residuals = (np.float64(part) for part in pairs)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=2e-5)
    true = np.linalg.norm(dense @ vectors - vectors * values, axis=0)
    scale = np.linalg.norm(dense, 2)
    np.testing.assert_allclose(residuals, true, atol=1e-5 * scale)
    assert true.max() <= tolerance * scale
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(values))]
    assert np.all(largest > 0)


@pytest.mark.parametrize("which", ["largest", "smallest"])
@pytest.mark.parametrize(("size", "k"), [(60, 60), (60, 3), (400, 5)])  # the first two are small enough to be whole
def test_they_agree_with_a_full_decomposition(size, k, which, key):
    made, matrix = random_graph(size)
    pairs = spectral.leading_eigenpairs(matrix, k, key, which=which)
    values = np.linalg.eigvalsh(np.float64(made.toarray()))
    expected = values[::-1][:k] if which == "largest" else values[:k]
    np.testing.assert_allclose(pairs.values, expected, atol=1e-4 * np.abs(values).max())
    assert pairs.values.dtype == pairs.vectors.dtype == pairs.residuals.dtype == jnp.float32
    check_pairs(matrix, pairs, 1e-2)


@given(st.integers(0, 10**6))
def test_both_ends_of_small_graphs(seed):
    laplacian = spectral.normalized_laplacian(sparse.from_dense(slow.bipartite(seed).astype(np.float32)))
    small = spectral.leading_eigenpairs(laplacian, 4, jax.random.key(seed), which="smallest")
    large = spectral.leading_eigenpairs(laplacian, 4, jax.random.key(seed))
    np.testing.assert_allclose(small.values, 2 - large.values, atol=1e-5)  # bipartite: symmetric about 1
    np.testing.assert_allclose(small.values, np.linalg.eigvalsh(laplacian.todense())[:4], atol=1e-5)


@pytest.mark.parametrize("isolated", ["one", "zero"])
def test_repeated_eigenvalues_are_found_as_often_as_they_occur(isolated, key):
    # 30 single edges, 100 lone nodes and a path of 240: 0 occurs 31 times in L~, and 131 times with networkx's 0.
    made = nx.disjoint_union_all([*[nx.path_graph(2)] * 30, nx.empty_graph(100), nx.path_graph(240)])
    matrix = graph.from_scipy(nx.to_scipy_sparse_array(made, dtype=np.float32))
    laplacian = spectral.normalized_laplacian(matrix, isolated=isolated)
    pairs = spectral.leading_eigenpairs(laplacian, 34, key, which="smallest", oversampling=2)
    # The path has 1 - cos(pi j / 239), j = 0..239.
    path = 1 - np.cos(np.pi * np.arange(1, 4) / 239)
    expected = np.concatenate([np.zeros(31), path]) if isolated == "one" else np.zeros(34)
    np.testing.assert_allclose(pairs.values, expected, atol=1e-3)
    np.testing.assert_allclose(pairs.values[:31], 0, atol=1e-5)
    check_pairs(laplacian, pairs, 2e-2)


@pytest.mark.parametrize("diagonal", [np.zeros(200), np.ones(200), np.arange(200.0), -np.arange(200.0)])
def test_diagonal_matrices_and_nothing_at_all(diagonal, key):
    # The Krylov space of a block stops growing at once where all eigenvalues are equal, and is filled up with others.
    matrix = sparse.from_entries(diagonal.astype(np.float32), np.arange(200), np.arange(200), (200, 200))
    pairs = spectral.leading_eigenpairs(matrix, 3, key, oversampling=5, iterations=40)
    np.testing.assert_allclose(pairs.values, np.sort(diagonal)[::-1][:3], atol=2e-3)
    check_pairs(matrix, pairs, 1e-2)


def test_more_iterations_help_and_residuals_tell(key):
    _, matrix = random_graph()
    exact = np.linalg.eigvalsh(np.float64(matrix.todense()))[::-1][:8]
    errors, residuals = [], []
    for iterations in (2, 4, 32):
        pairs = spectral.leading_eigenpairs(matrix, 8, key, oversampling=4, iterations=iterations)
        assert np.all(np.float64(pairs.values) < exact + 1e-5)  # a projection never overshoots
        errors.append(np.max(exact - np.float64(pairs.values)))
        residuals.append(float(pairs.residuals.max()))
    assert errors[0] > 2 * errors[1] > 20 * errors[2]
    assert residuals[0] > residuals[1] > 10 * residuals[2]
    # Some eigenvalue lies within the residual of each value.
    every = np.linalg.eigvalsh(np.float64(matrix.todense()))
    distance = np.abs(every[None, :] - np.float64(pairs.values)[:, None]).min(axis=1)
    assert np.all(distance <= np.float64(pairs.residuals) + 1e-5)


def test_keys_and_operators(key):
    _, matrix = random_graph()
    one = spectral.leading_eigenpairs(matrix, 5, key)
    for other in (sparse.operator(matrix), sparse.operator(matrix, symmetric=True)):
        for first, second in zip(one, spectral.leading_eigenpairs(other, 5, key), strict=True):
            np.testing.assert_array_equal(first, second)
    other = spectral.leading_eigenpairs(matrix, 5, jax.random.key(1))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5)
    np.testing.assert_allclose(one.vectors[:, 0], other.vectors[:, 0], atol=1e-3)
    traced = jax.eval_shape(lambda op: spectral.leading_eigenpairs(op, 5, key), sparse.operator(matrix, symmetric=True))
    assert [part.shape for part in traced] == [(5,), (400, 5), (5,)]


def test_the_estimate_lies_just_above_the_largest_eigenvalue(key):
    _, matrix = random_graph()
    for laplacian in (spectral.combinatorial_laplacian(matrix), spectral.normalized_laplacian(matrix)):
        exact = np.linalg.eigvalsh(np.float64(laplacian.todense()))[-1]
        estimate = float(spectral.estimate_largest_eigenvalue(laplacian, key))
        assert exact - 1e-5 <= estimate <= 1.01 * exact
        assert estimate < float(spectral.largest_eigenvalue_bound(laplacian))


def test_nothing_is_made_dense(key):
    size = 20_000
    made = scipy.sparse.random_array((size, size), density=4 / size, rng=0, dtype=np.float32)
    operator = sparse.operator(graph.from_scipy(scipy.sparse.csr_array(made + made.T)), symmetric=True)
    run = jax.jit(lambda operator, key: spectral.leading_eigenpairs(operator, 4, key, oversampling=4).values)
    memory = run.lower(operator, key).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * size * size / 40


def movielens():
    """The ratings of MovieLens 100K as a binary matrix R, from a folder on this machine."""
    default = pathlib.Path(__file__).parents[3] / "shared" / "data"
    path = pathlib.Path(os.environ.get("JAXREC_DATA", default)) / "ml-100k" / "u.data"
    if not path.exists():
        pytest.skip("needs ml-100k/u.data in the folder that JAXREC_DATA names")
    user, item = np.loadtxt(path, dtype=np.int64, usecols=(0, 1)).T - 1
    return scipy.sparse.csr_array((np.ones(len(user), np.float32), (user, item)), shape=(943, 1682))


def test_real_interactions_agree_with_scipy(key):
    r = graph.from_scipy(movielens())
    normalized = spectral.normalized_laplacian(graph.adjacency(r))
    pairs = spectral.leading_eigenpairs(normalized, 32, key, which="smallest")
    exact = graph.to_scipy(graph.normalized_adjacency(r)).astype(np.float64)
    values, vectors = scipy.sparse.linalg.eigsh(exact, 32, which="LA", v0=np.ones(2625))
    np.testing.assert_allclose(pairs.values, 1 - values[::-1], atol=1e-4)
    # The first is 0, with the square roots of the degrees as its vector.
    degrees = np.concatenate([np.asarray(part) for part in graph.degrees(r)])
    np.testing.assert_allclose(pairs.vectors[:, 0], np.sqrt(degrees / degrees.sum()), atol=1e-5)
    # The space of the first 16 is scipy's: what is left of one outside of the other has sine below 1e-3.
    mine, theirs = np.float64(pairs.vectors), vectors[:, ::-1][:, :16]
    assert np.linalg.norm(theirs - mine @ (mine.T @ theirs), 2) < 1e-3


def test_bad_input_is_refused(key):
    _, matrix = random_graph(20)
    with pytest.raises(JaxrecError, match=r"k must lie in 1..20 .* got 21"):
        spectral.leading_eigenpairs(matrix, 21, key)
    with pytest.raises(JaxrecError, match="which is 'LA'; pass 'largest' or 'smallest'"):
        spectral.leading_eigenpairs(matrix, 2, key, which="LA")
    with pytest.raises(JaxrecError, match="oversampling is -1; it must be 0 or more"):
        spectral.leading_eigenpairs(matrix, 2, key, oversampling=-1)
    with pytest.raises(JaxrecError, match="iterations is 0; it must be at least 1"):
        spectral.leading_eigenpairs(matrix, 2, key, iterations=0)
    with pytest.raises(JaxrecError, match="iterations is 0; it must be at least 1"):
        spectral.truncated_svd(matrix, 2, key, iterations=0)
    with pytest.raises(MismatchError, match=r"matrix has shape \(2, 3\); it must be square"):
        spectral.leading_eigenpairs(sparse.from_dense(np.ones((2, 3), np.float32)), 1, key)
    directed = sparse.from_dense(np.array([[0, 1], [0, 0]], np.float32))
    for given_matrix in (directed, sparse.operator(directed)):
        with pytest.raises(MismatchError, match=r"the matrix of shape \(2, 2\) is not symmetric"):
            spectral.leading_eigenpairs(given_matrix, 1, key)
