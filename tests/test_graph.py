"""The graph's matrices against dense NumPy and networkx, their round trips, and the messages of bad input."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from reference import propagation as slow

from jaxrec import graph, sparse
from jaxrec.data import SeenItems, seen_items
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, MismatchError

USERS, ITEMS = 5, 6


def interactions(pairs, num_users=USERS, num_items=ITEMS):
    user, item = np.array(pairs, np.int64).reshape(-1, 2).T
    return Interactions(user, item, IdMap(np.arange(num_users), "user"), IdMap(np.arange(num_items), "item"))


def dense_of(matrix):
    """The matrix as the sum of its stored entries, and a check of its flags."""
    indices = np.asarray(matrix.indices)
    assert indices.dtype == np.int32
    assert matrix.data.dtype == jnp.float32
    keys = indices[:, 0].astype(np.int64) * matrix.shape[1] + indices[:, 1]
    if matrix.indices_sorted:
        assert np.all(np.diff(keys) >= 0)
    if matrix.unique_indices:
        assert len(set(keys.tolist())) == len(keys)
    out = np.zeros(matrix.shape)
    np.add.at(out, tuple(indices.T), np.asarray(matrix.data))
    return out


def random_pairs(seed):
    """Pairs of a random bipartite graph in which user 1 and item 2 have none; some pairs come twice."""
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(np.ones((USERS, ITEMS)))
    pairs = rng.permutation(pairs[(pairs[:, 0] != 1) & (pairs[:, 1] != 2)])[:10]
    return rng.permutation(np.concatenate([pairs, pairs[:2]]))


MATRICES = {
    "biadjacency": (lambda r: r, lambda r: r),
    "adjacency": (graph.adjacency, slow.adjacency),
    "degree_matrix": (graph.degree_matrix, lambda r: np.diag(slow.adjacency(r).sum(axis=1))),
    "laplacian": (graph.laplacian, slow.laplacian),
    "normalized_biadjacency": (graph.normalized_biadjacency, slow.normalized),
    "normalized_adjacency": (graph.normalized_adjacency, slow.normalized_adjacency),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MATRICES)
def test_matrices_are_the_dense_ones(name, seed):
    pairs = random_pairs(seed)
    fast, twin = MATRICES[name]
    matrix = fast(graph.biadjacency(interactions(pairs)))
    assert isinstance(matrix, BCOO)
    assert matrix.indices_sorted
    expected = twin(slow.biadjacency(pairs, USERS, ITEMS))
    np.testing.assert_allclose(dense_of(matrix), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["adjacency", "laplacian", "normalized_adjacency"])
def test_matrices_under_jit_are_the_same(name):
    r = graph.biadjacency(interactions(random_pairs(0)))
    fast = MATRICES[name][0]
    np.testing.assert_allclose(dense_of(jax.jit(fast)(r)), dense_of(fast(r)), rtol=1e-6)


def test_the_example_of_three_users_and_four_items():
    r = slow.biadjacency([(0, 0), (0, 3), (1, 0), (1, 1), (1, 3), (2, 0), (2, 3)], 3, 4)
    np.testing.assert_array_equal(r, [[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]])
    got = dense_of(graph.normalized_biadjacency(graph.biadjacency(interactions(np.argwhere(r), 3, 4))))
    # 1 / sqrt(2 * 3), 1 / sqrt(3 * 3), 1 / sqrt(3 * 1); the third item has nobody.
    np.testing.assert_allclose(got[0], [1 / np.sqrt(6), 0, 0, 1 / np.sqrt(6)], rtol=1e-6)
    expected = [[0.41, 0, 0, 0.41], [0.33, 0.58, 0, 0.33], [0.41, 0, 0, 0.41]]
    np.testing.assert_array_equal(got.round(2), expected)


def test_weights_are_the_entries_and_their_sums_the_degrees():
    data = interactions([(0, 0), (0, 1), (1, 0)], 2, 2)
    r = graph.biadjacency(data, np.array([4.0, 5.0, 1.0], np.float32))
    np.testing.assert_array_equal(dense_of(r), [[4, 5], [1, 0]])
    users, items = graph.degrees(r)
    np.testing.assert_array_equal(users, [9, 1])
    np.testing.assert_array_equal(items, [5, 5])
    expected = slow.normalized(np.array([[4.0, 5.0], [1.0, 0.0]]))
    np.testing.assert_allclose(dense_of(graph.normalized_biadjacency(r)), expected, rtol=1e-6)


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=5, max_size=5))
def test_eigenvalues_of_the_normalised_adjacency_lie_within_1(pairs):
    pairs = sorted(pairs)
    a = dense_of(graph.normalized_adjacency(graph.biadjacency(interactions(pairs, 4, 4))))
    np.testing.assert_array_equal(a, a.T)
    eigenvalues = np.linalg.eigvalsh(a)
    assert np.abs(eigenvalues).max() <= 1 + 1e-6
    np.testing.assert_allclose(eigenvalues.max(), 1, rtol=1e-6)  # of D^(1/2) 1 on any component with an edge
    np.testing.assert_allclose(eigenvalues, -eigenvalues[::-1], atol=1e-6)  # bipartite: the spectrum is symmetric


def test_rows_of_the_laplacian_sum_to_0_and_it_is_positive_semidefinite():
    laplacian = dense_of(graph.laplacian(graph.biadjacency(interactions(random_pairs(1)))))
    np.testing.assert_array_equal(laplacian.sum(axis=1), 0)
    assert np.linalg.eigvalsh(laplacian).min() > -1e-5


def test_isolated_nodes_get_0_and_never_an_infinity():
    r = graph.biadjacency(interactions(np.zeros((0, 2)), 3, 2))
    for name, (fast, _) in MATRICES.items():
        assert not np.any(dense_of(fast(r))), name
    r = graph.biadjacency(interactions([(0, 0)], 2, 2), np.array([0.0], np.float32))
    assert not np.any(dense_of(graph.normalized_adjacency(r)))


def random_graph(seed):
    """A marked bipartite networkx graph with isolated nodes on both sides."""
    made = nx.bipartite.gnmk_random_graph(6, 5, 12, seed=seed)
    made.add_node("lone user", bipartite=0)
    made.add_node("lone item", bipartite=1)
    return nx.relabel_nodes(made, {node: f"n{node}" for node in range(11)})


@pytest.mark.parametrize("seed", range(3))
def test_adjacency_and_laplacian_are_those_of_networkx(seed):
    made = random_graph(seed)
    r, data = graph.from_networkx(made)
    nodes = [*data.users.ids.tolist(), *data.items.ids.tolist()]
    assert sorted(nodes) == sorted(made.nodes)
    expected = nx.to_numpy_array(made, nodelist=nodes)
    np.testing.assert_array_equal(dense_of(graph.adjacency(r)), expected)
    np.testing.assert_array_equal(dense_of(graph.laplacian(r)), nx.laplacian_matrix(made, nodelist=nodes).toarray())
    np.testing.assert_array_equal(np.concatenate(graph.degrees(r)), [made.degree[node] for node in nodes])


def test_round_trip_through_networkx():
    made = random_graph(3)
    r, data = graph.from_networkx(made)
    back = graph.to_networkx(r, data.users.ids.tolist(), data.items.ids.tolist())
    assert set(back.nodes) == set(made.nodes)
    assert {frozenset(edge) for edge in back.edges} == {frozenset(edge) for edge in made.edges}
    assert nx.get_node_attributes(back, "bipartite") == nx.get_node_attributes(made, "bipartite")
    again, _ = graph.from_networkx(back)
    np.testing.assert_array_equal(dense_of(again), dense_of(r))


def test_weights_stay_on_the_edges():
    r = graph.biadjacency(interactions([(0, 0), (1, 1)], 2, 2), np.array([4.0, 2.5], np.float32))
    made = graph.to_networkx(r)
    assert made.edges[("user", 1), ("item", 1)]["weight"] == 2.5
    assert made.number_of_nodes() == 4


def test_sides_can_be_given_in_any_order_of_nodes():
    made = nx.Graph([("a", 1), (2, "a"), ("b", 2)])  # nothing is marked, and ids are of two types
    r, data = graph.from_networkx(made, users=["b", "a"], items=[1, 2])
    at = {user: data.users.index([user])[0] for user in ("a", "b")}
    dense = dense_of(r)
    one, two = data.items.index([1, 2])
    assert dense[at["a"], one] == dense[at["a"], two] == dense[at["b"], two] == 1
    assert dense.sum() == 3


def test_round_trip_through_scipy():
    r = graph.biadjacency(interactions(random_pairs(2)))
    there = graph.to_scipy(r)
    assert scipy.sparse.issparse(there)
    np.testing.assert_array_equal(there.toarray(), dense_of(r))
    for made in (there, there.tocoo(), there.tocsc(), scipy.sparse.csr_matrix(there)):
        back = graph.from_scipy(made)
        assert back.indices_sorted
        assert back.unique_indices
        np.testing.assert_array_equal(dense_of(back), dense_of(r))


def test_scipy_entries_of_0_are_left_out_and_repeated_ones_are_summed():
    made = scipy.sparse.coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    back = graph.from_scipy(made)
    assert back.nse == 1
    np.testing.assert_array_equal(dense_of(back), [[0, 3], [0, 0]])


def test_weights_that_do_not_fit_raise():
    data = interactions([(0, 0), (0, 1)], 1, 2)
    with pytest.raises(MismatchError, match=r"weights has shape \(3,\), expected \(2,\)"):
        graph.biadjacency(data, np.ones(3, np.float32))
    with pytest.raises(MismatchError, match=r"\(0, 0\) is given more than once"):
        graph.biadjacency(interactions([(0, 0), (0, 0)], 1, 1), np.ones(2, np.float32))


def test_networkx_graphs_without_two_sides_raise():
    with pytest.raises(DataError, match="bipartite"):
        graph.from_networkx(nx.Graph([("a", "b")]))
    triangle = nx.Graph([("a", "b"), ("b", "c"), ("a", "c")])
    with pytest.raises(DataError, match="edge between two users, 'a' and 'b'"):
        graph.from_networkx(triangle, users=["a", "b"], items=["c"])


def test_names_that_do_not_fit_raise():
    r = graph.biadjacency(interactions([(0, 0)], 1, 1))
    with pytest.raises(MismatchError, match="users has 2 names for 1 nodes"):
        graph.to_networkx(r, ["u", "v"], ["a"])
    with pytest.raises(MismatchError, match="share the name 'a'"):
        graph.to_networkx(r, ["a"], ["a"])


def assert_same_operator(made, expected, *, ulps):
    """The same places to the bit, and the same entries within units of the last place."""
    for name in ("rows", "columns", "indptr"):
        one, other = (np.asarray(getattr(matrix, name)) for matrix in (made, expected))
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert made.shape == expected.shape
    assert made.transposed is None
    assert made.data.dtype == jnp.float32
    # As the suite compiles, a root that is fused into a gather is rounded in another way than one that is not.
    np.testing.assert_array_max_ulp(np.asarray(made.data), np.asarray(expected.data), ulps)


@pytest.mark.parametrize("rows", [None, True])
@given(st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), min_size=1, max_size=40))
def test_the_operator_of_the_pairs_is_that_of_the_matrices(rows, pairs):
    data = interactions(pairs)
    expected = sparse.operator(graph.normalized_adjacency(graph.biadjacency(data)), symmetric=True)
    made = graph.adjacency_operator(seen_items(data), ITEMS, rows=rows)
    assert_same_operator(made, expected, ulps=4)
    assert (made.stored_rows is None) == (rows is None)


@pytest.mark.slow
def test_the_operator_of_the_pairs_has_the_bits_of_the_matrices_as_users_compile():
    program = (
        "import jax, jaxrec; from jaxrec import graph, sparse; from jaxrec.training import train_data\n"
        "from test_graph import assert_same_operator\n"
        "for sizes in ((500, 301, 30_000), (3_001, 2_000, 300_000)):\n"
        "    data = jaxrec.generate(*sizes, jax.random.key(0))\n"
        "    matrices = sparse.operator(graph.normalized_adjacency(graph.biadjacency(data)), symmetric=True)\n"
        "    assert_same_operator(train_data(data).adjacency, matrices, ulps=0)\n"
    )
    tests = pathlib.Path(__file__).parent
    paths = os.pathsep.join([str(tests.parent), str(tests)])
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)


def test_an_adjacency_of_more_entries_than_pointers_count_is_refused():
    items = np.broadcast_to(np.int32(0), 2**30)  # of four bytes in all
    with pytest.raises(MismatchError, match="a matrix of 2,147,483,648 entries"):
        graph.adjacency_operator(SeenItems(np.array([0, 2**30], np.int32), items), 1)
