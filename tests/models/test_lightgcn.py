"""LightGCN against dense NumPy propagation: embeddings, the objective and its gradient; layers and bad options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import losses as slow_losses
from reference import propagation as slow

from jaxrec import MF, LightGCN, graph, sparse
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import BPR, SquaredL2
from jaxrec.protocols import Encoded
from jaxrec.testing import adjacency_of, checkerboard
from jaxrec.training import Batch, Objective, train_data

USERS, ITEMS, DIM = 6, 5, 4
PAIRS = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2), (2, 3), (3, 3), (4, 0), (4, 3)]  # user 5, item 4: nothing
BATCH = [(0, 1, 3), (2, 0, 4), (2, 3, 1), (4, 0, 2), (0, 0, 2)]


def interactions():
    user, item = np.array(PAIRS).T
    return Interactions(user, item, IdMap(np.arange(USERS), "user"), IdMap(np.arange(ITEMS), "item"))


def normal():
    return slow.normalized_adjacency(slow.biadjacency(PAIRS, USERS, ITEMS))


DATA = train_data(interactions())


def weights_of(model):
    return model.layer_weights or [1 / (model.layers + 1)] * (model.layers + 1)


MODELS = [
    LightGCN(dim=DIM, layers=layers, layer_weights=weights, initializer=initializer, num_users=USERS, num_items=ITEMS)
    for layers, weights, initializer in [
        (0, None, "normal"),
        (1, None, "normal"),
        (3, None, "xavier"),
        (2, (0.0, 0.0, 1.0), "normal"),
        (2, (0.5, -0.25, 2.0), "xavier"),
    ]
]


@pytest.mark.parametrize("form", ["operator", "bcoo"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.layers}-{model.layer_weights}")
def test_embeddings_are_the_dense_propagation(model, form, key):
    adjacency = DATA.adjacency if form == "operator" else graph.normalized_adjacency(graph.biadjacency(interactions()))
    variables = model.init(key, adjacency)
    ego = np.concatenate([variables["params"][name] for name in ("user_embedding", "item_embedding")])
    users, items = jax.jit(model.apply)(variables, adjacency)
    assert users.shape == (USERS, DIM)
    assert items.shape == (ITEMS, DIM)
    assert users.dtype == items.dtype == jnp.float32
    expected = slow.propagate(normal(), ego, weights_of(model))
    np.testing.assert_allclose(np.concatenate([users, items]), expected, rtol=1e-5, atol=1e-7)
    before = model.apply(variables, method="embeddings")
    np.testing.assert_array_equal(np.concatenate(before), ego)
    scorer = jax.jit(functools.partial(model.apply, method="scorer"))(variables, adjacency)
    scores = jax.jit(lambda scorer, users: scorer.scores(users))(scorer, np.arange(USERS, dtype=np.int32))
    np.testing.assert_allclose(scores, expected[:USERS] @ expected[USERS:].T, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.layers}-{model.layer_weights}")
def test_the_objective_and_its_gradient_agree_with_dense_numpy(model, key):
    params = jax.tree.map(lambda table: 5 * table, model.init(key, DATA.adjacency)["params"])
    ego = np.concatenate([params["user_embedding"], params["item_embedding"]]).astype(np.float64)
    user, positive, negative = (jnp.array(column, jnp.int32) for column in zip(*BATCH, (5, 4, 0), strict=True))
    where = jnp.array([True] * len(BATCH) + [False])  # the last row fills the batch and must not count
    batch = Batch(user, positive, None, negative[:, None], where)
    l2 = 0.3
    objective = Objective(model, BPR(), SquaredL2(l2))
    (value, info), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(params, DATA, batch, key)

    def slowly(ego):
        return slow.bpr_objective(ego, USERS, normal(), weights_of(model), BATCH, l2)

    expected, slopes = slowly(ego)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(
        info["ranking"], slow.bpr_objective(ego, USERS, normal(), weights_of(model), BATCH, 0.0)[0], rtol=1e-5
    )
    assert info["count"] == len(BATCH)
    got = np.concatenate([gradient["user_embedding"], gradient["item_embedding"]])
    np.testing.assert_allclose(got, slopes, rtol=1e-5, atol=1e-6 * np.abs(slopes).max())
    # The twin's gradient was derived on paper; differences of its own value agree.
    (differences,) = slow_losses.gradient(lambda ego: slowly(ego)[0], ego)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6, atol=1e-8)


def test_0_layers_are_matrix_factorisation(key):
    gcn, mf = (
        LightGCN(dim=DIM, layers=0, num_users=USERS, num_items=ITEMS),
        MF(dim=DIM, num_users=USERS, num_items=ITEMS),
    )
    variables = mf.init(key)
    assert jax.tree.structure(variables) == jax.tree.structure(gcn.init(key, DATA.adjacency))
    for one, other in zip(gcn.apply(variables, DATA.adjacency), mf.apply(variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_on_one_layer_give_the_power_of_the_adjacency(key):
    for layer in range(3):
        weights = tuple(float(layer == other) for other in range(3))
        model = LightGCN(dim=DIM, layers=2, layer_weights=weights, num_users=USERS, num_items=ITEMS)
        variables = model.init(key, DATA.adjacency)
        ego = np.concatenate(model.apply(variables, method="embeddings"))
        expected = np.linalg.matrix_power(normal(), layer) @ ego
        got = np.concatenate(model.apply(variables, DATA.adjacency))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_the_response_is_what_propagation_makes_of_each_eigenvector(model):
    values, vectors = np.linalg.eigh(normal())
    tables = np.repeat(vectors[:, [0, 3, -1]], [1, 1, 2], axis=1).astype(np.float32)  # three frequencies, DIM columns
    variables = {"params": {"user_embedding": tables[:USERS], "item_embedding": tables[USERS:]}}
    propagated = np.concatenate(model.apply(variables, DATA.adjacency))
    gains = np.asarray(model.response(jnp.asarray(values[[0, 3, -1, -1]], jnp.float32)))
    np.testing.assert_allclose(propagated, tables * gains, atol=1e-6)


def test_nodes_without_an_edge_keep_their_share_of_layer_0(key):
    model = LightGCN(dim=DIM, layers=3, num_users=USERS, num_items=ITEMS)
    variables = model.init(key, DATA.adjacency)
    users, items = model.apply(variables, DATA.adjacency)
    np.testing.assert_allclose(users[5], variables["params"]["user_embedding"][5] / 4, rtol=1e-6)
    np.testing.assert_allclose(items[4], variables["params"]["item_embedding"][4] / 4, rtol=1e-6)


def test_the_native_kernel_carries_every_layer_forward_and_back(key):
    model = LightGCN(dim=DIM, layers=3, num_users=USERS, num_items=ITEMS)
    params = model.init(key, DATA.adjacency)["params"]

    def loss(params, adjacency):
        users, items = model.apply({"params": params}, adjacency)
        return jnp.sum(jnp.sin(users)) + jnp.sum(jnp.sin(items))

    text = jax.jit(jax.grad(loss)).lower(params, DATA.adjacency).as_text()
    assert text.count("@cpu_csr_sparse_dense_ffi") == 6
    assert DATA.adjacency.transposed is None  # symmetric: one copy serves both ways


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.layers}-{model.layer_weights}")
def test_the_rows_of_a_batch_are_those_of_the_tables_and_so_is_their_gradient(model, key):
    params = model.init(key, DATA.adjacency)["params"]
    users, items, negatives = (
        np.array([0, 2, 0, 5], np.int32),
        np.array([1, 0, 1, 4], np.int32),
        np.array([[3, 1], [4, 4], [3, 1], [0, 2]], np.int32),
    )

    def by_rows(params):
        rows = model.apply({"params": params}, DATA.adjacency, users, items, negatives, method="encode")
        return *rows[:3], *rows.embeddings

    def by_tables(params):
        all_users, all_items = model.apply({"params": params}, DATA.adjacency)
        ego_users, ego_items = model.apply({"params": params}, method="embeddings")
        return (all_users[users], all_items[items], all_items[negatives], ego_users[users], ego_items[items],
                ego_items[negatives])  # fmt: skip

    for got, expected in zip(jax.jit(by_rows)(params), jax.jit(by_tables)(params), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    scalar = lambda rows: sum(jnp.sum(jnp.sin(3 * part)) for part in rows)  # noqa: E731
    got, expected = (jax.jit(jax.grad(lambda params, of=of: scalar(of(params))))(params) for of in (by_rows, by_tables))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), got, expected)


def test_a_small_batch_of_a_larger_graph_takes_the_last_layer_for_its_rows_alone(key):
    """With 70 nodes, 12 rows of a batch are few: another path than above, to the same loss, gradient and step."""
    rng = np.random.default_rng(0)
    pairs = np.argwhere(rng.random((40, 30)) < 0.1)
    larger = Interactions(*pairs.T, IdMap(np.arange(40), "user"), IdMap(np.arange(30), "item"))
    data = train_data(larger)
    model = LightGCN(dim=8, layers=3, num_users=40, num_items=30)
    params = model.init(key, data.adjacency)["params"]
    at = rng.choice(len(pairs), 4, replace=False)
    users, items = (jnp.asarray(column[at], jnp.int32) for column in pairs.T)
    batch = Batch(users, items, None, jnp.array([[3], [29], [0], [7]]), jnp.array([True, True, True, False]))
    objective = Objective(model, BPR(), SquaredL2(0.1))

    def by_tables(params):
        tables, ego = (
            model.apply({"params": params}, data.adjacency),
            model.apply({"params": params}, method="embeddings"),
        )
        rows = lambda pair: (pair[0][users], pair[1][items], pair[1][batch.negatives])  # noqa: E731
        return objective.of_rows(Encoded(*rows(tables), rows(ego)), data, batch, key)[0]

    step = jax.jit(jax.value_and_grad(lambda params, data: objective(params, data, batch, key)[0]))
    got, expected = step(params, data), jax.jit(jax.value_and_grad(by_tables))(params)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7), got[1], expected[1])
    calls = [line for line in step.lower(params, data).as_text().splitlines() if "@cpu_csr_sparse_dense_ffi" in line]
    assert len(calls) == 7  # two whole layers, the last in its two ways, and three back
    assert sum(line.rstrip().endswith("-> tensor<12x8xf32>") for line in calls) == 1
    assert sum("tensor<13x8xf32>" in line for line in calls) == 1  # back from the batch's rows and one of zeros


def test_a_step_makes_no_table_of_zeros_for_each_layer(key):
    rng = np.random.default_rng(0)
    pairs = np.argwhere(rng.random((40, 30)) < 0.1)
    data = train_data(Interactions(*pairs.T, IdMap(np.arange(40), "user"), IdMap(np.arange(30), "item")))
    model = LightGCN(dim=DIM, layers=3, num_users=40, num_items=30)
    params = model.init(key, data.adjacency)["params"]
    batch = Batch(jnp.array([0, 2]), jnp.array([1, 0]), None, jnp.array([[3], [4]]), jnp.array([True, True]))
    text = gradient_text(model, params, data, batch, key)
    whole = f"tensor<70x{DIM}xf32>"
    adds = [line for line in text.splitlines() if "stablehlo.add" in line and f": {whole}" in line]
    assert not adds


def test_a_batch_of_many_rows_takes_them_from_the_sum_of_the_layers_once(key):
    model = LightGCN(dim=DIM, layers=3, num_users=USERS, num_items=ITEMS)
    params = model.init(key, DATA.adjacency)["params"]
    batch = Batch(jnp.array([0, 2]), jnp.array([1, 0]), None, jnp.array([[3], [4]]), jnp.array([True, True]))
    text = gradient_text(model, params, DATA, batch, key)
    assert text.count("@cpu_csr_sparse_dense_ffi") == 6
    assert text.count('"stablehlo.scatter"(') == 3  # users, items and negatives, whatever the number of layers


def gradient_text(model, params, data, batch, key):
    loss = jax.jit(jax.grad(lambda *args: Objective(model, BPR())(*args, key)[0]))
    return loss.lower(params, data, batch).as_text()


def test_several_seeds_in_one_program(key):
    model = LightGCN(dim=DIM, layers=2, num_users=USERS, num_items=ITEMS)
    keys = jax.random.split(key, 3)
    run = lambda key, adjacency: model.apply(model.init(key, adjacency), adjacency)  # noqa: E731
    several = jax.jit(jax.vmap(run, in_axes=(0, None)))(keys, DATA.adjacency)
    for at in range(3):
        one = jax.jit(run)(keys[at], DATA.adjacency)
        np.testing.assert_allclose(several[0][at], one[0], rtol=1e-5, atol=1e-7)


BAD = {
    "dim": ({"dim": 0}, "dim must be at least 1, got 0"),
    "layers": ({"layers": -1}, "layers.*-1"),
    "weights": ({"layers": 2, "layer_weights": (1.0, 1.0)}, "layer_weights.*2.*3|layer_weights.*3.*2"),
    "initializer": ({"initializer": "he"}, "initializer.*'he'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_raise(name):
    options, message = BAD[name]
    with pytest.raises(JaxrecError, match=message):
        LightGCN(**options)


def test_an_adjacency_of_another_size_raises(key):
    model = LightGCN(dim=DIM, num_users=USERS, num_items=ITEMS)
    variables = model.init(key, DATA.adjacency)
    other = sparse.operator(sparse.from_dense(np.eye(USERS + ITEMS + 1, dtype=np.float32)), symmetric=True)
    with pytest.raises(MismatchError, match=f"{USERS + ITEMS + 1}"):
        model.apply(variables, other)


def test_weights_given_as_a_list_stay_hashable():
    assert hash(LightGCN(layers=1, layer_weights=[0.5, 0.5])) == hash(LightGCN(layers=1, layer_weights=(0.5, 0.5)))


def test_products_in_bfloat16_give_the_same_rows_in_training_and_in_ranking(key):
    data = checkerboard()
    adjacency = adjacency_of(data)
    model = LightGCN(dim=8, layers=2, moved="bfloat16", num_users=17, num_items=17)
    variables = model.init(key, adjacency)
    users, items = model.apply(variables, adjacency)
    user, item, negatives = jnp.array([0, 3]), jnp.array([5, 0]), jnp.array([[1], [2]])
    rows = model.apply(variables, adjacency, user, item, negatives, method="encode")
    np.testing.assert_allclose(rows.user, users[user], rtol=1e-6)
    np.testing.assert_allclose(rows.negative[:, 0], items[negatives[:, 0]], rtol=1e-6)
    exact, _ = model.clone(moved="float32").apply(variables, adjacency)
    assert 0 < np.abs(users - exact).max() < 2**-8 * np.abs(exact).max()
    assert users.dtype == variables["params"]["user_embedding"].dtype == jnp.float32
