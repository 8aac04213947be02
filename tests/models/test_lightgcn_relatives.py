"""LightGCN++, SimGCL, XSimGCL and the start from singular vectors, against dense NumPy."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import losses as basic
from reference import propagation as slow

import jaxrec
from jaxrec import MF, SVDPP, LightGCN, graph
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR
from jaxrec.models import EmbeddingModel, LightGCNPP, SimGCL, XSimGCL
from jaxrec.models._simgcl import info_nce, noisy_layers, with_noise
from jaxrec.protocols import Histories
from jaxrec.sparse import spmm
from jaxrec.testing import checkerboard
from jaxrec.training import SGD, Adam, DenseStep, Objective, RowStep, make_batch, train_data

USERS, ITEMS, DIM = 6, 5, 4
PAIRS = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2), (2, 3), (3, 3), (4, 0), (4, 3)]  # user 5, item 4: nothing
SIZES = {"dim": DIM, "num_users": USERS, "num_items": ITEMS}


def interactions(pairs=PAIRS, users=USERS):
    user, item = np.array(pairs).T
    return Interactions(user, item, IdMap(np.arange(users), "user"), IdMap(np.arange(ITEMS), "item"))


DATA = train_data(interactions())
R = slow.biadjacency(PAIRS, USERS, ITEMS)
KEY = jax.random.key(7)


def ego_of(variables):
    tables = variables["params"]
    return np.concatenate([tables["user_embedding"], tables["item_embedding"]]).astype(np.float64)


def dense_lightgcnpp(ego, alpha, beta, gamma, layers, pairs=PAIRS):
    """The recursion one node and one neighbor at a time."""
    neighbors = {node: [] for node in range(len(ego))}
    for user, item in pairs:
        neighbors[user].append(USERS + item)
        neighbors[USERS + item].append(user)
    x, total = ego, np.zeros(ego.shape)
    for _ in range(layers):
        x, unit = np.zeros(ego.shape), basic.unit(x)
        for node, around in neighbors.items():
            for other in around:
                x[node] += unit[other] / (len(around) ** alpha * len(neighbors[other]) ** beta)
        total += x
    return gamma * ego + (1 - gamma) / layers * total


@pytest.mark.parametrize("form", ["operator", "bcoo"])
@pytest.mark.parametrize(("alpha", "beta", "gamma", "layers"), [(0.6, -0.1, 0.2, 2), (0.5, 0.5, 0.0, 3), (0, 1, 1, 1)])
def test_lightgcnpp_is_the_dense_recursion(alpha, beta, gamma, layers, form):
    adjacency = DATA.adjacency if form == "operator" else graph.normalized_adjacency(graph.biadjacency(interactions()))
    model = LightGCNPP(alpha=float(alpha), beta=float(beta), gamma=float(gamma), layers=layers, **SIZES)
    variables = model.init(KEY, adjacency)
    got = np.concatenate(jax.jit(model.apply)(variables, adjacency))
    expected = dense_lightgcnpp(ego_of(variables), alpha, beta, gamma, layers)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_a_user_of_lightgcnpp_is_folded_in_as_a_node_without_a_row_of_its_own():
    model = LightGCNPP(alpha=0.7, beta=0.2, gamma=0.3, layers=2, **SIZES)
    variables = model.init(KEY, DATA.adjacency)
    scorer = model.apply(variables, DATA.adjacency, method="scorer")
    fold_in = model.fold_in(variables, scorer, DATA, "ranking")
    histories = Histories(jnp.array([[0, 3, 2], [1, 0, 0]]), jnp.array([[True, True, True], [True, False, False]]))
    got = fold_in(histories).users
    items = ego_of(variables)
    x, degrees = items, np.array([3, 2, 2, 3, 0])  # of the items
    layers = []
    for _ in range(2):
        layers.append(basic.unit(x)[USERS:])
        whole = dense_lightgcnpp(x, 0.7, 0.2, 0.0, 1)
        x = whole
    for row, own in enumerate([[0, 3, 2], [1]]):
        expected = sum(degrees[i] ** -0.2 * (layers[0][i] + layers[1][i]) for i in own) * len(own) ** -0.7 * 0.7 / 2
        np.testing.assert_allclose(got[row], expected, rtol=1e-4, atol=1e-6)


def test_noise_has_its_length_and_keeps_the_orthant():
    x = jax.random.normal(KEY, (DATA.adjacency.shape[0], 8))
    moved = with_noise(DATA.adjacency, x, 0.3, jax.random.key(1)) - x
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.3, rtol=1e-5)
    assert np.all(np.sign(moved) == np.sign(x))


def slow_info_nce(first, second, nodes, temperature):
    """The mean over the distinct nodes."""
    places = {int(node): at for at, node in enumerate(nodes)}
    a, b = (basic.unit(np.float64(view)) for view in (first, second))
    values = []
    for at in places.values():
        logits = [a[at] @ b[other] / temperature for other in places.values()]
        values.append(basic.logsumexp(logits) - a[at] @ b[at] / temperature)
    return np.mean(values)


def test_the_contrast_is_over_distinct_nodes():
    nodes = np.array([3, 1, 3, 0, 1, 3], np.int32)
    tables = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    first, second = (table[nodes] for table in tables)
    shares = info_nce(first, second, jnp.asarray(nodes), 0.3)
    np.testing.assert_allclose(np.mean(shares), slow_info_nce(first, second, nodes, 0.3), rtol=1e-5)
    once = info_nce(first[[1, 2, 3]], second[[1, 2, 3]], jnp.asarray(nodes[[1, 2, 3]]), 0.3)
    np.testing.assert_allclose(np.mean(once), np.mean(shares), rtol=1e-5)


def batch_of(rows=7):
    index = jnp.arange(10, dtype=jnp.int32)
    return make_batch(DATA, index, index < rows, KEY, negatives=jaxrec.sampling.Uniform(2))[0]


def noisy(model, key):
    x = jnp.concatenate([model.user_embedding, model.item_embedding])
    return noisy_layers(model, DATA.adjacency, key, x, spmm(DATA.adjacency, x))


@pytest.mark.parametrize("kind", [SimGCL, XSimGCL])
def test_the_objective_adds_the_contrast_of_noisy_passes(kind):
    model = kind(layers=2, noise=0.2, contrast_weight=0.7, contrast_temperature=0.3, scale=1.0, **SIZES)
    variables = model.init(KEY, DATA.adjacency)
    batch, key = batch_of(10), jax.random.key(5)
    loss, info = Objective(model, BPR())(variables["params"], DATA, batch, key)
    bound = model.bind(variables)
    _, draw_key = jax.random.split(key)
    if kind is SimGCL:
        (first, _), (second, _) = (noisy(bound, one) for one in jax.random.split(draw_key))
        vectors = slow.propagate(slow.normalized_adjacency(R), ego_of(variables), model.weights_of_layers)
    else:
        first, layers = noisy(bound, draw_key)
        second, vectors = layers[0], np.float64(first)
    contrast = sum(
        slow_info_nce(np.asarray(first)[rows], np.asarray(second)[rows], rows, 0.3)
        for rows in (np.asarray(batch.user), USERS + np.asarray(batch.item))
    )
    np.testing.assert_allclose(info["penalty"], 0.7 * contrast, rtol=1e-4)
    user, item, negatives = (np.asarray(part) for part in (batch.user, batch.item, batch.negatives))
    positive = np.sum(vectors[user] * vectors[USERS + item], axis=1)
    negative = np.einsum("bd,bmd->bm", vectors[user], vectors[USERS + negatives])
    expected = basic.bpr(positive, negative, np.ones(10), np.ones(10, bool))
    np.testing.assert_allclose(info["ranking"], expected, rtol=1e-4)
    other, _ = Objective(model, BPR())(variables["params"], DATA, batch, jax.random.key(6))
    assert loss != other


@pytest.mark.parametrize("kind", [SimGCL, XSimGCL])
def test_ranking_is_without_noise_and_without_the_embeddings_themselves(kind):
    model = kind(layers=2, **SIZES)
    plain = LightGCN(layers=2, layer_weights=(0.0, 0.5, 0.5), **SIZES)
    variables = model.init(KEY, DATA.adjacency)
    for one, other in zip(model.apply(variables, DATA.adjacency), plain.apply(variables, DATA.adjacency), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_noise_the_views_of_simgcl_are_equal_and_weight_0_is_lightgcn():
    model = SimGCL(layers=2, contrast_weight=0.0, noise=0.0, **SIZES)
    plain = LightGCN(layers=2, layer_weights=(0.0, 0.5, 0.5), **SIZES)
    params = model.init(KEY, DATA.adjacency)["params"]
    for one in (model, plain):
        value, slopes = jax.value_and_grad(
            lambda params, one=one: Objective(one, BPR())(params, DATA, batch_of(), KEY)[0]
        )(params)
        assert np.isfinite(value)
        if one is model:
            first = value, slopes
    np.testing.assert_allclose(first[0], value, rtol=1e-6)
    for got, want in zip(jax.tree.leaves(first[1]), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-7)


def test_a_model_that_draws_nothing_gets_no_key_and_keeps_its_bits():
    assert not MF.draws_in_training
    assert SimGCL.draws_in_training
    given = []

    class Watching(LightGCN):
        def encode(self, adjacency, user, item, negatives):
            given.append(len([adjacency, user, item, negatives]))
            return super().encode(adjacency, user, item, negatives)

    model = Watching(layers=1, **SIZES)
    params = model.init(KEY, DATA.adjacency)["params"]
    value = Objective(model, BPR())(params, DATA, batch_of(), KEY)[0]
    assert given == [4]
    np.testing.assert_array_equal(
        value, Objective(LightGCN(layers=1, **SIZES), BPR())(params, DATA, batch_of(), KEY)[0]
    )


class NoisyTables(MF):
    """Draws in training, and has tables."""

    draws_in_training = True


def test_row_sparse_steps_refuse_a_model_that_draws():
    with pytest.raises(JaxrecError, match="NoisyTables draws in every step"):
        RowStep(Objective(NoisyTables(**SIZES), BPR()), SGD(0.1, sparse=True))
    DenseStep(Objective(NoisyTables(**SIZES), BPR()), SGD(0.1))


@pytest.mark.parametrize("kind", [MF, LightGCN, LightGCNPP])
def test_singular_vectors_reproduce_the_best_approximation(kind):
    model = kind(initializer="svd", scale=0.5, **{**SIZES, "dim": 3})
    drawn = model.init(KEY, DATA.adjacency)["params"]
    start = model.initial(drawn, DATA, KEY)
    u, s, vt = np.linalg.svd(slow.normalized(R))
    best = u[:, :3] * s[:3] @ vt[:3]
    users, items = (np.float64(start[name]) for name in ("user_embedding", "item_embedding"))
    product = users @ items.T
    scale = np.sum(product * best) / np.sum(best * best)
    np.testing.assert_allclose(product, scale * best, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.mean(np.concatenate([users, items]) ** 2)), 0.5, rtol=1e-4)
    assert not np.any(users[5])  # a user without an edge
    plain = kind(**{**SIZES, "dim": 3})
    assert plain.initial(drawn, DATA, KEY) is drawn


def test_columns_past_the_rank_stay_as_they_were_drawn():
    model = MF(initializer="svd", **{**SIZES, "dim": 7})
    drawn = model.init(KEY)["params"]
    start = model.initial(drawn, DATA, KEY)
    np.testing.assert_array_equal(start["user_embedding"][:, 5:], drawn["user_embedding"][:, 5:])
    assert np.all(np.any(np.asarray(start["item_embedding"][:, :5] != drawn["item_embedding"][:, :5]), axis=0))


def test_a_fit_starts_from_them_and_learns_in_fewer_epochs():
    options = jaxrec.TrainingOptions(epochs=1, batch_size=32, optimizer=Adam(1e-3), regularizer=None)
    losses = {
        name: jaxrec.fit(MF(dim=4, initializer=name, scale=0.7), checkerboard(), options, key=jax.random.key(1)).info[
            "records"
        ][0]["loss"]
        for name in ("normal", "svd")
    }
    assert losses["svd"] < 0.8 * losses["normal"]


def test_a_model_of_ones_own_starts_from_the_data():
    class Counting(MF):
        def initial(self, params, data, key):
            return {**params, "item_embedding": jnp.full_like(params["item_embedding"], data.user.shape[0])}

    fitted = jaxrec.fit(
        Counting(dim=2), interactions(), epochs=1, loss="logistic", regularizer=None, optimizer=SGD(1e-4), key=KEY
    )
    np.testing.assert_allclose(fitted.variables["params"]["item_embedding"], len(PAIRS), rtol=1e-3)
    assert EmbeddingModel.initial(None, "as drawn", None, None) == "as drawn"


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: LightGCNPP(layers=0), "layers must be at least 1, got 0"),
        (lambda: LightGCNPP(gamma=1.5), r"gamma must lie in \[0, 1\], got 1.5"),
        (lambda: SimGCL(layers=0), "layers must be at least 1"),
        (lambda: SimGCL(noise=-1), "noise must not be negative"),
        (lambda: SimGCL(contrast_weight=-1), "contrast_weight"),
        (lambda: XSimGCL(contrast_temperature=0), "contrast_temperature must be positive"),
        (lambda: XSimGCL(layers=2, contrast_layer=3), r"contrast_layer must lie in 1..2, the layers, got 3"),
        (lambda: MF(initializer="eye"), 'initializer must be "normal" or "xavier" or "svd"'),
        (lambda: SVDPP(initializer="svd"), 'initializer must be "normal" or "xavier", got'),
    ],
)
def test_options_out_of_range_raise(make, word):
    with pytest.raises(JaxrecError, match=word):
        make()


@pytest.mark.parametrize("model", [SimGCL(dim=3, layers=1), XSimGCL(dim=3, layers=1)])
def test_several_train_in_one_program_as_they_do_alone(model):
    keys = list(jax.random.split(KEY))
    how = {"epochs": 2, "batch_size": 32}
    together = jaxrec.fit_many(model, checkerboard(), keys=keys, **how)
    alone = jaxrec.fit(model, checkerboard(), key=keys[1], **how)
    for one, other in zip(together[1].info["records"], alone.info["records"], strict=True):
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
    assert dataclasses.replace(together[1], model=alone.model).name == alone.name


RELATIVES = {
    "lightgcnpp": LightGCNPP(dim=3, layers=2),
    "simgcl": SimGCL(dim=3, layers=1),
    "xsimgcl": XSimGCL(dim=3, layers=2),
    "svd": LightGCN(dim=3, layers=1, initializer="svd"),
}


class Stop(Exception):
    """What a callback raises in place of a kill."""


@pytest.mark.parametrize("name", RELATIVES)
def test_a_fit_that_was_stopped_goes_on_with_the_same_bits(name, tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="checkpoints need Orbax")
    how = {"epochs": 3, "batch_size": 32, "key": KEY}

    def stop(event):
        if event.record.epoch == 2:
            raise Stop

    keep = jaxrec.Checkpoint(tmp_path / "kept", every=1)
    with pytest.raises(Stop):
        jaxrec.fit(RELATIVES[name], checkerboard(), checkpoint=keep, callbacks=[stop], **how)
    resumed = jaxrec.fit(RELATIVES[name], checkerboard(), resume=tmp_path / "kept", **how)
    whole = jaxrec.fit(RELATIVES[name], checkerboard(), **how)
    for one, other in zip(*(jax.tree.leaves(dict(fit.variables)) for fit in (resumed, whole)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", RELATIVES)
def test_an_artifact_gives_the_lists_of_the_model(name, tmp_path):
    pytest.importorskip("flatbuffers", reason="an export needs the extra export")
    fitted = jaxrec.fit(RELATIVES[name], checkerboard(), epochs=1, batch_size=32, key=KEY)
    jaxrec.export(fitted, tmp_path / "served")
    source = tmp_path / "served" / "serve_numpy.py"
    sys.path.insert(0, str(source.parent))
    try:
        names: dict = {"__name__": "serve_numpy", "__file__": str(source)}
        exec(compile(source.read_text(), str(source), "exec"), names)
        served = names["Server"](str(source.parent)).recommend([3, 8], k=4)
    finally:
        sys.path.remove(str(source.parent))
        sys.modules.pop("artifact", None)
    lists = jaxrec.recommend(fitted, [3, 8], k=4)
    for user, shown in lists:
        assert [found[0] for found in served[user]] == [one.item for one in shown]
