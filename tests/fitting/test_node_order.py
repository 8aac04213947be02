"""Fits on one device with the nodes in the order of clusters: the draws, models and checkpoints of the data's order."""

import jax
import numpy as np
import optax
import pytest

import jaxrec
from jaxrec import sparse
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import BPR
from jaxrec.models._node_order import ranks_of
from jaxrec.parallel import Layout, placed_operator, placement_for
from jaxrec.pytrees import options, static
from jaxrec.sampling import Uniform
from jaxrec.sparse import spmm
from jaxrec.training import train_data

KEY = jax.random.key(3)
ORDERED = Layout(order="clusters")
USERS, ITEMS = 150, 100
HOW = {"batch_size": 2**17, "epochs": 20, "optimizer": jaxrec.training.Adam(0.01), "regularizer": 1e-4, "loss": BPR()}


def communities():
    """Interactions in five communities whose users and items are drawn, so that they are scattered in the data."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 5, USERS), rng.integers(0, 5, ITEMS)
    likely = np.where(users[:, None] == items[None, :], 0.4, 0.03)
    return jaxrec.from_arrays(*np.nonzero(rng.random((USERS, ITEMS)) < likely))


DATA = communities()


def fit(model, **more):
    return jaxrec.fit(model, DATA, key=KEY, **{**HOW, **more})


MODELS = [
    jaxrec.LightGCN(dim=8, layers=2),
    jaxrec.GCN(dim=8),
    jaxrec.models.LightGCNPP(dim=8, layers=2),
    jaxrec.models.SimGCL(dim=8, layers=1),  # which draws for every node
    jaxrec.models.XSimGCL(dim=8, layers=2),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_losses_of_20_steps_and_parameters_are_those_of_the_order_of_the_data(model):
    # The data have one batch, so an epoch is a step.
    plain, ordered = fit(model), fit(model, mesh=ORDERED)
    losses = [[each["loss"] for each in fitted.info["records"]] for fitted in (plain, ordered)]
    assert len(losses[0]) == 20
    assert losses[0][-1] < losses[0][0] - 1e-3
    # A loss above 1 has fewer digits behind the point.
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-6 * max(1, losses[0][0]))
    for one, other in zip(*(jax.tree.leaves((m.variables, m.scorer)) for m in (ordered, plain)), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert ordered.info["mesh"]["order"] == "clusters"
    assert "mesh" not in plain.info


def test_nodes_that_are_alike_lie_near_one_another():
    adjacency = train_data(DATA).adjacency
    ranks = ranks_of(adjacency, USERS, ORDERED)
    made = placement_for(adjacency, USERS, ORDERED, ranks)
    for places, size, of_side in ((made.users, USERS, ranks[:USERS]), (made.items, ITEMS, ranks[USERS:])):
        assert sorted(places) == list(range(size))
        assert (np.diff(of_side[np.argsort(places)]) >= 0).all()
    # Of two neighbors in a row of the adjacency, the places are nearer than those in the data.
    columns, nodes = np.asarray(adjacency.columns), made.nodes
    inside = np.diff(np.asarray(adjacency.rows)) == 0
    placed = [np.sort(nodes[columns[start:end]]) for start, end in zip(adjacency.indptr, adjacency.indptr[1:])]  # noqa: B905
    gaps = np.concatenate([np.diff(row) for row in placed])
    assert np.median(gaps) < np.median(np.diff(columns)[inside])


def test_a_placed_product_has_the_bits_of_the_order_of_the_data():
    from jaxrec.parallel import placed_operator

    adjacency = train_data(DATA).adjacency
    made = placement_for(adjacency, USERS, ORDERED, ranks_of(adjacency, USERS, ORDERED))
    matrix = placed_operator(adjacency, made, ORDERED.mesh())
    x = np.random.default_rng(1).normal(size=(USERS + ITEMS, 24)).astype(np.float32)
    placed = spmm(matrix.operand, made.placed(x, "nodes"))
    np.testing.assert_array_equal(made.back(np.asarray(placed), "nodes"), spmm(adjacency, x))


def test_a_fit_goes_on_with_and_without_the_order(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="checkpoints need Orbax")

    class Stop(Exception):
        pass

    def stop(event):
        if event.record.epoch == 3:
            raise Stop

    model, how = jaxrec.LightGCN(dim=8, layers=1), {"epochs": 4}
    whole = fit(model, **how).variables["params"]["item_embedding"]
    for name, first, then in (("with", None, ORDERED), ("without", ORDERED, None)):
        with pytest.raises(Stop):
            fit(model, mesh=first, checkpoint=jaxrec.Checkpoint(tmp_path / name), callbacks=[stop], **how)
        with pytest.raises(MismatchError, match="equal bits cannot be promised"):
            fit(model, mesh=then, resume=tmp_path / name, **how)
        with pytest.warns(UserWarning, match="nodes by clusters.*equal bits are not promised"):
            found = fit(model, mesh=then, resume=tmp_path / name, other_machine=True, **how)
        assert len(found.info["records"]) == 4
        np.testing.assert_allclose(found.variables["params"]["item_embedding"], whole, rtol=0, atol=1e-5)


class Own(jaxrec.LightGCN):
    def __call__(self, adjacency):
        users, items = super().__call__(adjacency)
        return 2 * users, items


def test_code_that_goes_by_the_numbers_of_the_data_finds_the_adjacency_in_its_order():
    adjacency = train_data(DATA).adjacency
    ranks = ranks_of(adjacency, USERS, ORDERED)
    placed = placed_operator(adjacency, placement_for(adjacency, USERS, ORDERED, ranks), ORDERED.mesh())
    x = jax.random.normal(KEY, (USERS + ITEMS, 3))
    rows = np.array([0, USERS, 3, USERS + ITEMS - 1])
    assert placed.shape == adjacency.shape
    assert (np.asarray(placed.operand.data) != np.asarray(adjacency.data)).any()
    np.testing.assert_array_equal(sparse.degrees_of(placed), sparse.degrees_of(adjacency))
    for one in (placed, placed.T):
        np.testing.assert_array_equal(spmm(one, x), spmm(adjacency, x))
    np.testing.assert_array_equal(sparse.spmm_rows(placed, x, rows), spmm(adjacency, x)[rows])
    np.testing.assert_array_equal(sparse.user_nodes(placed, rows[:1]), rows[:1])
    np.testing.assert_array_equal(sparse.item_nodes(placed, np.array([2]), USERS), [USERS + 2])
    users, items = sparse.part_nodes(placed, x, USERS)
    np.testing.assert_array_equal(sparse.join_nodes(placed, users, items), x)
    gradient = jax.grad(lambda x: (spmm(placed, x) ** 2).sum())(x)
    np.testing.assert_array_equal(gradient, jax.grad(lambda x: (spmm(adjacency, x) ** 2).sum())(x))


@options
class ByDegree(Uniform):
    """Negatives among as many of the first items as the user has."""

    num: int = static(default=2)

    def __call__(self, data, user, item, key):
        negatives, possible = super().__call__(data, user, item, key)
        return jax.numpy.minimum(negatives, sparse.degrees_of(data.adjacency)[user][:, None]), possible


def test_a_sampler_that_asks_the_adjacency_draws_the_same():
    plain, ordered = (fit(LIGHTGCN, mesh=mesh, negatives=ByDegree(), epochs=3) for mesh in (None, ORDERED))
    np.testing.assert_allclose(ordered.scorer.items, plain.scorer.items, rtol=0, atol=1e-5)


@options
class Reads(Uniform):
    num: int = static(default=1)

    def __call__(self, data, user, item, key):
        return data.adjacency.indptr[user], user >= 0


LIGHTGCN = jaxrec.LightGCN(dim=8, layers=1)
NOISY = optax.noisy_sgd(0.1, key=0)


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        (jaxrec.MF(dim=8), {}, "MF multiplies by no adjacency here"),
        (jaxrec.LightGCN(dim=8, layers=0), {}, "LightGCN multiplies by no adjacency here"),
        (Own(dim=8), {}, "Own does not say that it can be split by rows"),
        (LIGHTGCN, {"optimizer": NOISY}, "moves a table otherwise where its rows lie elsewhere"),
        (LIGHTGCN, {"negatives": Reads()}, "another order than the data, so it has no 'indptr'"),
    ],
)
def test_what_cannot_have_another_order_is_refused_in_a_sentence(model, more, message):
    with pytest.raises(JaxrecError, match=message):
        fit(model, mesh=ORDERED, epochs=1, **more)


def test_a_solved_model_has_no_order():
    with pytest.raises(JaxrecError, match="EASE is solved, and only trained models have an order of nodes"):
        jaxrec.fit(jaxrec.EASE(), DATA, key=KEY, mesh=ORDERED)


def test_lists_have_no_order():
    ranked = jaxrec.fit(jaxrec.Popularity(), DATA, key=KEY)
    with pytest.raises(JaxrecError, match='order is for training, and ranking has no use for it, got "clusters"'):
        jaxrec.recommend(ranked, k=2, mesh=ORDERED)
    with pytest.raises(JaxrecError, match="blocks are of products in training, and ranking has none, got 3; leave it"):
        jaxrec.recommend(ranked, k=2, mesh=jaxrec.parallel.Layout(blocks=3))


def test_another_order_is_refused():
    with pytest.raises(JaxrecError, match='order must be "data" or "clusters", got \'degree\''):
        Layout(order="degree")


def test_a_layout_says_its_order():
    assert str(ORDERED) == "1 device (nodes by clusters)"
    assert str(Layout(rows=2, order="clusters")) == "2 devices (2 x rows, nodes by clusters)"
