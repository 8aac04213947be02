"""Laplacians against loops and networkx, what is known of their spectra, and the messages of bad input."""

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from reference import spectral as slow

from jaxrec import graph, sparse, spectral
from jaxrec.errors import JaxrecError, MismatchError

# Users 0..2 and items 100..103; nobody chose item 102.
EXAMPLE = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], np.float32)

seeds = st.integers(0, 10**6)


def bcoo(dense):
    return sparse.from_dense(np.asarray(dense, np.float32))


def karate_club():
    return graph.from_scipy(nx.to_scipy_sparse_array(nx.karate_club_graph(), weight=None, dtype=np.float32))


def eigenvalues(matrix):
    return np.linalg.eigvalsh(np.asarray(matrix.todense(), np.float64))


@given(seeds)
def test_both_agree_with_loops(seed):
    a = slow.bipartite(seed)
    a[0, 0] = 2 * (seed % 2)  # a self-loop, every other time
    np.testing.assert_allclose(spectral.combinatorial_laplacian(bcoo(a)).todense(), slow.combinatorial_laplacian(a))
    for isolated in ("one", "zero"):
        got = spectral.normalized_laplacian(bcoo(a), isolated=isolated)
        np.testing.assert_allclose(got.todense(), slow.normalized_laplacian(a, isolated), atol=1e-6)
        assert got.indices_sorted
        assert got.unique_indices
        assert got.data.dtype == jnp.float32


@given(seeds)
def test_what_is_known_of_the_spectra_of_bipartite_graphs(seed):
    a = slow.bipartite(seed)
    normalized, combinatorial = spectral.normalized_laplacian(bcoo(a)), spectral.combinatorial_laplacian(bcoo(a))
    values = eigenvalues(normalized)
    assert values[0] > -1e-6
    assert values[-1] < 2 + 1e-6
    np.testing.assert_allclose(values, 2 - values[::-1], atol=1e-5)  # symmetric about 1
    graph_of_a = nx.from_numpy_array(a)
    components, isolated = nx.number_connected_components(graph_of_a), nx.number_of_isolates(graph_of_a)
    assert np.sum(values < 1e-4) == components - isolated
    assert np.sum(eigenvalues(combinatorial) < 1e-4) == components
    zero = eigenvalues(spectral.normalized_laplacian(bcoo(a), isolated="zero"))
    assert np.sum(np.abs(zero) < 1e-4) == components
    np.testing.assert_allclose(combinatorial.todense().sum(axis=1), 0, atol=1e-6)
    # x^T L x sums the squared differences over the edges, so no eigenvalue is negative.
    x = np.random.default_rng(seed).normal(size=len(a))
    differences = sum((x[n] - x[m]) ** 2 for n, m in graph_of_a.edges)
    np.testing.assert_allclose(x @ np.asarray(combinatorial.todense(), np.float64) @ x, differences, rtol=1e-5)


def test_the_example_follows_the_notebook_and_networkx_on_request():
    a = graph.adjacency(bcoo(EXAMPLE))
    # R~ R~^T has trace 1/3 + 5/9 + 1/3 = 1 + 2/9, so the singular values of R~ are 1, sqrt(2)/3 and 0.
    second = np.sqrt(2) / 3
    one = [0, 1 - second, 1, 1, 1, 1 + second, 2]
    np.testing.assert_allclose(np.round(one, 3), [0, 0.529, 1, 1, 1, 1.471, 2])
    np.testing.assert_allclose(eigenvalues(spectral.normalized_laplacian(a)), one, atol=1e-6)
    zero = [0, 0, 1 - second, 1, 1, 1 + second, 2]
    np.testing.assert_allclose(eigenvalues(spectral.normalized_laplacian(a, isolated="zero")), zero, atol=1e-6)
    both = graph.normalized_adjacency(bcoo(EXAMPLE)).todense()
    np.testing.assert_allclose(spectral.normalized_laplacian(a).todense(), np.eye(7) - both, atol=1e-6)
    np.testing.assert_array_equal(
        spectral.combinatorial_laplacian(a).todense(), graph.laplacian(bcoo(EXAMPLE)).todense()
    )


@pytest.mark.parametrize("make", [nx.karate_club_graph, lambda: nx.cycle_graph(7), lambda: nx.empty_graph(3)])
def test_networkx_agrees(make):
    made = make()
    a = graph.from_scipy(nx.to_scipy_sparse_array(made, weight="weight", dtype=np.float32))  # 1 to 7 in the karate club
    expected = nx.laplacian_matrix(made).toarray()
    np.testing.assert_allclose(spectral.combinatorial_laplacian(a).todense(), expected, atol=1e-5)
    expected = nx.normalized_laplacian_matrix(made).toarray()
    np.testing.assert_allclose(spectral.normalized_laplacian(a, isolated="zero").todense(), expected, atol=1e-6)


def test_whole_numbers_become_float32_and_padding_is_no_entry():
    whole = sparse.from_dense(np.array([[0, 1], [1, 0]], np.int32))
    padded = BCOO((jnp.array([1.0, 1.0, 9.0]), jnp.array([[0, 1], [1, 0], [2, 2]])), shape=(2, 2))
    for a in (whole, padded):
        got = spectral.combinatorial_laplacian(a)
        assert got.data.dtype == jnp.float32
        np.testing.assert_array_equal(got.todense(), [[1, -1], [-1, 1]])


@given(seeds)
def test_the_bound_holds(seed):
    a = slow.bipartite(seed)
    for matrix in (bcoo(a), bcoo(-a), spectral.combinatorial_laplacian(bcoo(a))):
        bound = float(spectral.largest_eigenvalue_bound(matrix))
        assert bound >= eigenvalues(matrix)[-1] - 1e-5
        assert bound == float(spectral.largest_eigenvalue_bound(sparse.operator(matrix)))
    assert bound == 2 * a.sum(axis=1).max()


def test_bad_graphs_are_refused():
    directed = bcoo([[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    for make in (spectral.combinatorial_laplacian, spectral.normalized_laplacian):
        with pytest.raises(MismatchError, match=r"adjacency has shape \(3, 4\); it must be square"):
            make(bcoo(EXAMPLE))
        with pytest.raises(MismatchError, match=r"adjacency is not symmetric: see .*; a Laplacian needs an undirected"):
            make(directed)
        with pytest.raises(MismatchError, match=r"not symmetric: see \(0, 1\) and \(1, 0\)"):
            make(bcoo([[0, 1], [3, 0]]))
        with pytest.raises(JaxrecError, match=r"adjacency has -1.0 at \(0, 1\).*weights of 0 or more"):
            make(bcoo([[0, -1], [-1, 0]]))
        with pytest.raises(JaxrecError, match=r"adjacency has nan at \(0, 1\).*finite weights"):
            make(bcoo([[0, np.nan], [np.nan, 0]]))
    with pytest.raises(JaxrecError, match="isolated is 'none'; pass 'one' or 'zero'"):
        spectral.normalized_laplacian(karate_club(), isolated="none")
    with pytest.raises(MismatchError, match=r"matrix has shape \(3, 4\); it must be square"):
        spectral.largest_eigenvalue_bound(bcoo(EXAMPLE))
