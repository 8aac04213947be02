"""Graph convolution against dense NumPy: classifier, recommender, dropout, loss and adjacency; and bad input."""

import re

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from reference import gcn as slow
from reference import losses as slow_losses

from jaxrec import TrainingOptions, graph, losses, sparse
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.models._gcn import GCN, GCNClassifier, drop, transposed_order
from jaxrec.testing import ModelConformance
from jaxrec.training import Adam

NODES, FEATURES, HIDDEN, CLASSES = 7, 5, 4, 3
RNG = np.random.default_rng(0)
EDGES = [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (4, 5)]  # node 6 has no edge
X = np.where(RNG.random((NODES, FEATURES)) < 0.4, RNG.random((NODES, FEATURES)), 0).astype(np.float32)
X[6] = 0  # and no feature


def dense_graph(edges=EDGES, size=NODES):
    a = np.zeros((size, size), np.float32)
    for i, j in edges:
        a[i, j] = a[j, i] = 1
    return a


A = slow.renormalized(dense_graph())
ADJACENCY = sparse.operator(graph.renormalized_adjacency(sparse.from_dense(dense_graph())), symmetric=True)
FORMS = {"dense": jnp.asarray, "numpy": np.asarray, "bcoo": sparse.from_dense}
FORMS["operator"] = lambda x: sparse.operator(sparse.from_dense(x))
MODEL = GCNClassifier(hidden=HIDDEN, classes=CLASSES)
init = jax.jit(MODEL.init)
jitted_drop = jax.jit(drop, static_argnums=1)


class TestGCNWithSelfLoops(ModelConformance):
    model = GCN(dim=8, hidden=16, self_loops=True, initializer="uniform")
    options = TrainingOptions(epochs=40, batch_size=32, optimizer=Adam(0.02), regularizer=0.01)


@pytest.mark.parametrize("form", FORMS)
def test_log_probabilities_are_the_dense_ones(form, key):
    features = FORMS[form](X)
    variables = init(key, features, ADJACENCY)
    got = np.asarray(jax.jit(MODEL.apply)(variables, features, ADJACENCY))
    assert got.dtype == jnp.float32
    w0, w1 = (variables["params"][name] for name in ("w0", "w1"))
    assert set(variables["params"]) == {"w0", "w1"}  # no bias
    np.testing.assert_allclose(got, slow.log_softmax(slow.two_layers(A, X, w0, w1)), rtol=1e-5, atol=1e-6)
    # Node 6 has neither features nor edges, so all classes are alike.
    np.testing.assert_allclose(got[6], np.full(CLASSES, -np.log(CLASSES)), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_of_the_loss_agrees_with_differences(form, key):
    features = FORMS[form](X)
    params = init(key, features, ADJACENCY)["params"]
    shown, targets = np.array([0, 3, 5]), np.array([2, 0, 1])

    def loss(params):
        return losses.nll(MODEL.apply({"params": params}, features, ADJACENCY)[shown], targets)

    def slowly(w0, w1):
        return slow.nll(slow.log_softmax(slow.two_layers(A, X, w0, w1))[shown], targets)

    gradient = jax.jit(jax.grad(loss))(params)
    expected = slow_losses.gradient(slowly, params["w0"], params["w1"])
    for name, want in zip(("w0", "w1"), expected, strict=True):
        np.testing.assert_allclose(gradient[name], want, rtol=1e-4, atol=1e-6)


def test_dropout_needs_a_key_and_can_be_left_out(key):
    features = FORMS["operator"](X)
    variables = init(key, features, ADJACENCY)
    with pytest.raises(JaxrecError, match=re.escape('pass rngs={"dropout": key} to apply')):
        MODEL.apply(variables, features, ADJACENCY, deterministic=False)
    without = MODEL.clone(dropout=0.0).apply(variables, features, ADJACENCY, deterministic=False)
    np.testing.assert_array_equal(without, MODEL.apply(variables, features, ADJACENCY))
    rngs = {"dropout": jax.random.key(5)}
    first, second = (MODEL.apply(variables, features, ADJACENCY, deterministic=False, rngs=rngs) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != without)


def test_dropout_under_vmap_and_with_its_order_given_is_the_same(key):
    features, keys = FORMS["operator"](X), jax.random.split(key, 3)
    order = transposed_order(features)

    def gradient(key, order):
        start, dropout = jax.random.split(key)
        params = MODEL.init(start, features, ADJACENCY)["params"]

        def loss(params):
            rngs = {"dropout": dropout}
            out = MODEL.apply({"params": params}, features, ADJACENCY, deterministic=False, rngs=rngs, order=order)
            return jnp.sum(jnp.square(out))

        return jax.grad(loss)(params)

    together = jax.device_get(jax.jit(jax.vmap(lambda key: gradient(key, order)))(keys))
    alone_of = jax.jit(lambda key: gradient(key, None))
    for i in range(3):
        alone = alone_of(keys[i])
        for name in alone:
            np.testing.assert_allclose(together[name][i], alone[name], rtol=1e-5, atol=1e-6)


def random_matrix(seed, symmetric):
    """Twelve entries at random places; always as many, so that nothing is compiled anew."""
    rng = np.random.default_rng(seed)
    if symmetric:
        dense = np.zeros((5, 5), np.float32)
        rows, columns = np.triu_indices(5, 1)
        chosen = rng.choice(10, 6, replace=False)
        dense[rows[chosen], columns[chosen]] = rng.uniform(0.5, 1, 6)
        return dense + dense.T
    dense = np.zeros(30, np.float32)
    dense[rng.choice(30, 12, replace=False)] = rng.uniform(0.5, 1, 12)
    return dense.reshape(6, 5)


def as_dense(matrix):
    out = np.zeros(matrix.shape, np.float32)
    rows, columns = np.asarray(matrix.indices).T if isinstance(matrix, BCOO) else (matrix.rows, matrix.columns)
    out[np.asarray(rows), np.asarray(columns)] = np.asarray(matrix.data)
    return out


@given(st.integers(0, 1000), st.sampled_from([0.5, 0.25, 0.8]), st.booleans())
def test_a_dropped_operator_and_its_transpose_lose_the_same_entries(seed, rate, symmetric):
    dense = random_matrix(seed, symmetric)
    matrix = sparse.operator(sparse.from_dense(dense), symmetric=symmetric)
    dropped = jitted_drop(matrix, rate, jax.random.key(seed))
    np.testing.assert_array_equal(as_dense(dropped.T), as_dense(dropped).T)
    kept = as_dense(dropped) != 0
    np.testing.assert_allclose(as_dense(dropped), np.where(kept, dense / (1 - rate), 0), rtol=1e-6)
    given_order = jitted_drop(matrix, rate, jax.random.key(seed), order=transposed_order(matrix))
    np.testing.assert_array_equal(given_order.data, dropped.data)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.6, 0.8, 0.99])
def test_the_share_that_is_dropped_is_the_rate(rate):
    size = 40_001  # no multiple of what one random word gives
    dropped = np.asarray(drop(jnp.full(size, 3.0), rate, jax.random.key(1)))
    kept = dropped != 0
    # Five standard deviations of the mean of so many draws.
    assert abs(kept.mean() - (1 - rate)) <= 5 * np.sqrt(rate * (1 - rate) / size)
    np.testing.assert_allclose(dropped[kept], 3 / (1 - rate), rtol=1e-6)
    following = np.corrcoef(kept[1:], kept[:-1])[0, 1] if rate else 0.0
    assert abs(following) <= 5 / np.sqrt(size)  # neighbors share a random word, and are independent all the same


def test_a_dropped_bcoo_keeps_its_places():
    matrix = sparse.from_dense(np.ones((3, 4), np.float32))
    dropped = drop(matrix, 0.5, jax.random.key(0))
    assert isinstance(dropped, BCOO)
    np.testing.assert_array_equal(dropped.indices, matrix.indices)
    assert set(np.unique(dropped.data).tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(("initializer", "bound"), [("glorot", np.sqrt(6 / 340)), ("uniform", 1 / np.sqrt(40))])
def test_the_first_weights_are_uniform_within_their_bound(initializer, bound, key):
    model = GCNClassifier(hidden=40, classes=2, initializer=initializer)
    features, adjacency = np.ones((2, 300), np.float32), sparse.from_dense(np.eye(2, dtype=np.float32))
    w0 = np.asarray(jax.jit(model.init)(key, features, adjacency)["params"]["w0"])
    assert w0.shape == (300, 40)
    assert 0.999 * bound < np.abs(w0).max() <= bound
    np.testing.assert_allclose(w0.std(), bound / np.sqrt(3), rtol=0.02)  # of a uniform law on [-b, b]


BIPARTITE = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], np.float32)  # item 2 has nobody


@pytest.mark.parametrize("form", ["operator", "bcoo"])
@pytest.mark.parametrize("self_loops", [False, True])
def test_the_recommender_is_the_dense_one_with_the_identity_as_features(self_loops, form, key):
    r = sparse.from_dense(BIPARTITE)
    adjacency = graph.normalized_adjacency(r)
    if form == "operator":
        adjacency = sparse.operator(adjacency, symmetric=True)
    model = GCN(dim=3, hidden=4, self_loops=self_loops, num_users=3, num_items=4)
    variables = jax.jit(model.init)(key, adjacency)
    users, items = jax.device_get(jax.jit(model.apply)(variables, adjacency))
    w0, w1 = (variables["params"][name] for name in ("w0", "w1"))
    a = np.zeros((7, 7))
    a[:3, 3:], a[3:, :3] = BIPARTITE, BIPARTITE.T
    expected = slow.two_layers(slow.renormalized(a, self_loops), np.eye(7), w0, w1)
    np.testing.assert_allclose(np.concatenate([users, items]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(model.apply(variables, adjacency, method="embeddings")), w0)
    assert np.any(items[2] != 0) == self_loops


EXAMPLE = np.array(
    [
        [-2.1383, -0.6961, -1.1747, 2.1168, -1.4791],
        [1.8073, 1.5682, 0.5385, 1.5459, -0.0277],
        [1.3852, -1.1378, 0.1540, -0.5693, 1.8205],
    ],
    np.float32,
)
TARGETS = np.array([1, 0, 4], np.int32)


def test_nll_of_the_example_and_its_gradient():
    value, slope = jax.value_and_grad(lambda x: losses.nll(jax.nn.log_softmax(x, axis=1), TARGETS))(EXAMPLE)
    assert f"{value:.4f}" == "1.5746"
    softmax = np.exp(slow.log_softmax(EXAMPLE))
    np.testing.assert_allclose(slope, (softmax - np.eye(5)[TARGETS]) / 3, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("targets", [TARGETS, jnp.asarray(TARGETS), TARGETS.astype(np.int64)])
@pytest.mark.parametrize("where", [None, np.array([True, False, True])])
@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0, 3.0], np.float32)])
def test_nll_agrees_with_its_twin(weights, where, targets):
    table = slow.log_softmax(EXAMPLE)
    arrays = {"weights": weights, "where": where}
    expected = slow.nll(table, TARGETS, **arrays)
    table = table.astype(np.float32)
    np.testing.assert_allclose(losses.nll(table, targets, **arrays), expected, rtol=1e-6)
    jitted = jax.jit(lambda table: losses.nll(table, targets, **arrays))  # the targets are no tracers here
    np.testing.assert_allclose(jitted(table), expected, rtol=1e-6)
    slope = jax.grad(lambda table: losses.nll(table, targets, **arrays))(table)
    want = slow_losses.gradient(lambda table: slow.nll(table, TARGETS, **arrays), table)[0]
    np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_do_not_count_may_hold_anything(bad):
    table, where = slow.log_softmax(EXAMPLE).astype(np.float32), np.array([True, False, True])
    dirty, targets = table.copy(), np.array([1, -9, 4], np.int32)
    dirty[1] = bad
    value, slope = jax.value_and_grad(lambda table: losses.nll(table, targets, where=where))(dirty)
    np.testing.assert_allclose(value, losses.nll(table[[0, 2]], targets[[0, 2]]), rtol=1e-6)
    assert np.isfinite(slope).all()
    assert not np.any(slope[1])
    value, slope = jax.value_and_grad(lambda table: losses.nll(table, targets, where=np.zeros(3, bool)))(dirty)
    assert value == 0
    assert not np.any(slope)


def test_an_impossible_class_that_is_not_the_target_costs_nothing():
    table = jnp.array([[0.0, -jnp.inf]])
    value, slope = jax.value_and_grad(losses.nll)(table, jnp.array([0]))
    assert value == 0
    np.testing.assert_array_equal(slope, [[-1.0, 0.0]])
    assert losses.nll(table, jnp.array([1])) == np.inf


@pytest.mark.parametrize("target", [-1, 5])
def test_labels_outside_the_classes_are_told(target):
    targets = np.array([1, 0, target], np.int32)
    with pytest.raises(JaxrecError, match=rf"targets\[2\] is {target}, outside the classes 0..4; mask rows"):
        losses.nll(EXAMPLE, targets)
    assert np.isnan(jax.jit(losses.nll)(EXAMPLE, targets))  # traced, they cannot be looked at


def test_targets_of_another_shape_or_kind_are_told():
    with pytest.raises(MismatchError, match=r"targets \(B,\), got \(3, 5\) and \(2,\)"):
        losses.nll(EXAMPLE, TARGETS[:2])
    with pytest.raises(MismatchError, match=r"got \(3, 5\) and \(3, 1\)"):
        losses.nll(EXAMPLE, TARGETS[:, None])
    with pytest.raises(JaxrecError, match=r"whole numbers.*float32"):
        losses.nll(EXAMPLE, TARGETS.astype(np.float32))
    with pytest.raises(MismatchError, match="weights"):
        losses.nll(EXAMPLE, TARGETS, weights=jnp.ones(1))
    with pytest.raises(MismatchError, match="where"):
        losses.nll(EXAMPLE, TARGETS, where=np.ones((3, 5), bool))


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda e: e[0] < e[1])), st.booleans())
def test_the_renormalised_adjacency_is_the_dense_one(edges, self_loops):
    a = dense_graph(sorted(edges), 6) * np.float32(2)  # all weights 2
    for weighted in (True, False):
        got = graph.renormalized_adjacency(sparse.from_dense(a), self_loops=self_loops, weighted=weighted)
        assert got.indices_sorted
        assert got.unique_indices
        got = as_dense(got)
        expected = slow.renormalized(a if weighted else a / 2, self_loops)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert np.abs(np.linalg.eigvalsh(got)).max() <= 1 + 1e-6


def test_an_isolated_node_keeps_its_self_loop_alone():
    got = np.asarray(graph.renormalized_adjacency(sparse.from_dense(dense_graph())).todense())
    np.testing.assert_array_equal(got[6], np.eye(7)[6])
    bare = graph.renormalized_adjacency(sparse.from_dense(dense_graph()), self_loops=False)
    assert not np.any(bare.todense()[6])


def test_self_loops_of_the_graph_are_left_out_and_counted():
    a = dense_graph()
    looped = a + np.diag(np.array([3, 1, 0, 0, 0, 0, 1], np.float32))
    with pytest.warns(UserWarning, match="^3 self-loops of the graph were left out$"):
        got = graph.renormalized_adjacency(sparse.from_dense(looped))
    np.testing.assert_allclose(got.todense(), slow.renormalized(a), rtol=1e-6)


def test_weights_are_an_option_on_the_karate_club():
    club = nx.karate_club_graph()
    weights = nx.to_numpy_array(club, dtype=np.float32)
    assert weights.max() == 7
    ones = nx.to_numpy_array(club, weight=None, dtype=np.float32)
    for weighted, expected in ((True, weights), (False, ones)):
        got = graph.renormalized_adjacency(sparse.from_dense(weights), weighted=weighted)
        np.testing.assert_allclose(got.todense(), slow.renormalized(expected), rtol=1e-6)


def test_padding_and_zeros_are_no_edges():
    indices = jnp.array([[0, 1], [1, 0], [0, 0], [2, 2]], jnp.int32)  # the last lies outside
    padded = BCOO((jnp.array([1.0, 1.0, 0.0, 5.0]), indices), shape=(2, 2))
    np.testing.assert_allclose(graph.renormalized_adjacency(padded).todense(), np.full((2, 2), 0.5), rtol=1e-6)


def test_a_graph_without_nodes_or_edges():
    nothing = BCOO((jnp.zeros(0), jnp.zeros((0, 2), jnp.int32)), shape=(3, 3))
    np.testing.assert_array_equal(graph.renormalized_adjacency(nothing).todense(), np.eye(3))


BAD_GRAPHS = {
    "one way": (
        [1, 1, 1],
        [(0, 1), (1, 0), (2, 0)],
        r"directed: the edge \(2, 0\) of weight 1 has no equal edge \(0, 2\)",
    ),
    "two weights": ([1, 2], [(0, 1), (1, 0)], r"directed: the edge \(0, 1\) of weight 1 has no equal edge \(1, 0\)"),
    "negative": ([1, 1, -1, -1], [(0, 1), (1, 0), (1, 2), (2, 1)], r"\(1, 2\) has weight -1; .* weighted=False"),
    "not a number": ([np.nan, np.nan], [(0, 1), (1, 0)], r"\(0, 1\) has weight nan"),
    "twice": ([1, 1, 1, 1], [(0, 1), (0, 1), (1, 0), (1, 0)], r"\(0, 1\) is given more than once"),
}


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_a_graph_that_is_not_undirected_and_positive_is_refused(case):
    data, places, match = BAD_GRAPHS[case]
    matrix = BCOO((jnp.array(data, jnp.float32), jnp.array(places, jnp.int32)), shape=(3, 3))
    with pytest.raises(MismatchError, match=match):
        graph.renormalized_adjacency(matrix)


def test_an_adjacency_that_is_not_square_is_refused():
    with pytest.raises(MismatchError, match=r"square.*\(3, 4\)"):
        graph.renormalized_adjacency(sparse.from_dense(BIPARTITE))


def test_weights_that_differ_are_no_matter_where_they_are_not_used():
    matrix = sparse.from_dense(np.array([[0, 2], [-3, 0]], np.float32))
    got = graph.renormalized_adjacency(matrix, weighted=False)
    np.testing.assert_allclose(got.todense(), np.full((2, 2), 0.5), rtol=1e-6)


def test_features_and_nodes_that_differ_in_number_are_told(key):
    with pytest.raises(MismatchError, match=r"features has 5 nodes and the adjacency has shape \(7, 7\)"):
        MODEL.init(key, X[:5], ADJACENCY)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GCNClassifier(hidden=0), "hidden must be at least 1, got 0"),
        (lambda: GCNClassifier(classes=1), "classes must be at least 2, got 1"),
        (lambda: GCNClassifier(dropout=1.0), r"dropout must lie in \[0, 1\), got 1.0"),
        (lambda: GCNClassifier(initializer="normal"), '"glorot" or "uniform", got \'normal\''),
        (lambda: GCN(dim=0), "dim must be at least 1, got 0"),
        (lambda: GCN(hidden=-1), "hidden must be at least 1, got -1"),
        (lambda: GCN(initializer="xavier"), '"glorot" or "uniform", got \'xavier\''),
        (lambda: drop(jnp.ones(3), -0.1, jax.random.key(0)), r"dropout must lie in \[0, 1\), got -0.1"),
    ],
)
def test_bad_options_are_told(make, match):
    with pytest.raises(JaxrecError, match=match):
        make()
