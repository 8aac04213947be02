"""A subclass trains and scores its own vectors, whatever faster way its parent has to the rows of a batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import MF, SVDPP, LightGCN
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, SquaredL2
from jaxrec.models import EmbeddingModel
from jaxrec.testing import checkerboard
from jaxrec.training import SGD, Adam, Objective, make_batch, train_data

WEIGHT = 0.3


def stretch(vectors):
    """What the subclasses below do to the vectors of users: as good as any other thing that a parent does not do."""
    users, items = vectors
    return users * np.linspace(0.5, 2.0, users.shape[1], dtype=np.float32)[None, :], jnp.tanh(items)


class OwnLightGCN(LightGCN):
    def __call__(self, adjacency):
        return stretch(super().__call__(adjacency))


class OwnMF(MF):
    def __call__(self, adjacency=None):
        return stretch(super().__call__(adjacency))


class OwnSVDPP(SVDPP):
    def __call__(self, adjacency):
        return stretch(super().__call__(adjacency))


class Grandchild(OwnLightGCN):
    layers: int = 1


class Stretched:
    """A mixin that is no Flax module."""

    def __call__(self, adjacency):
        return stretch(super().__call__(adjacency))


class Mixed(Stretched, LightGCN):
    """No method of its own, and yet other vectors than LightGCN's."""


CLASSES = [OwnLightGCN, OwnMF, OwnSVDPP, Grandchild, Mixed]


@pytest.fixture(scope="module")
def data():
    return checkerboard()


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def setting(request, data):
    tables = train_data(data)
    more = {"implicit_l2": 0.5} if issubclass(request.param, SVDPP) else {}
    model = request.param(dim=3, num_users=data.num_users, num_items=data.num_items, **more)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tables.adjacency)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), shapes)
    return model, params, tables


@jax.jit
def drawn_batch(tables, index, where, key):
    return make_batch(tables, index, where, key, negatives=BPR().default_negatives())


def by_hand(model, params, tables, batch):
    """The BPR loss with its L2 term, from the vectors of all nodes by the subclass's own call, row by row."""
    history = np.zeros((model.num_users, model.num_items), bool)
    history[np.asarray(tables.user), np.asarray(tables.item)] = True
    users, items = model.apply({"params": params}, tables.adjacency)
    own_users, own_items = model.apply({"params": params}, tables.adjacency, method="embeddings")
    loss, penalty = [], []
    triples = zip(*(np.asarray(part).ravel() for part in (batch.user, batch.item, batch.negatives)), strict=True)
    for user, item, negative in triples:
        gap = jnp.dot(users[user], items[item]) - jnp.dot(users[user], items[negative])
        loss.append(jnp.log1p(jnp.exp(-gap)))
        rows = (own_users[user], own_items[item], own_items[negative])
        penalty.append(WEIGHT * sum(jnp.sum(jnp.square(row)) for row in rows) / 2)
        if isinstance(model, SVDPP):  # the parent's own term, on y of the user's items
            own = np.flatnonzero(history[user])
            penalty.append(model.implicit_l2 / 2 * jnp.sum(jnp.square(params["implicit_embedding"][own])))
    return (sum(loss) + sum(penalty)) / len(loss)


def test_the_gradient_is_that_of_its_own_vectors(setting):
    model, params, tables = setting
    index, where = jnp.arange(4, dtype=jnp.int32) * 3, jnp.ones(4, bool)
    batch, _ = drawn_batch(tables, index, where, jax.random.key(0))
    objective = Objective(model, BPR(), SquaredL2(WEIGHT))
    key = jax.random.key(0)
    (loss, _), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(params, tables, batch, key)
    expected, slopes = jax.jit(jax.value_and_grad(lambda tree: by_hand(model, tree, tables, batch)))(params)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for name, slope in slopes.items():
        np.testing.assert_allclose(gradient[name], slope, rtol=1e-4, atol=1e-6, err_msg=name)
    modules = [kind for kind in type(model).__mro__[1:] if hasattr(kind, "clone")]  # no mixin
    parent = modules[0](dim=3, num_users=model.num_users, num_items=model.num_items)
    other, _ = jax.jit(Objective(parent, BPR(), SquaredL2(WEIGHT)))(params, tables, batch, key)
    assert type(model) is Grandchild or abs(other - loss) > 1e-3


def test_it_scores_its_own_vectors(setting):
    model, params, tables = setting
    users, items = jax.device_get(jax.jit(model.apply)({"params": params}, tables.adjacency))
    scorer = jax.jit(functools.partial(model.apply, method="scorer"))({"params": params}, tables.adjacency)
    every = np.arange(model.num_users, dtype=np.int32)
    scores = np.asarray(scorer.scores(jnp.asarray(every)))
    # The last user and item have no edge, and SVD++ scores them by the biases alone.
    np.testing.assert_allclose(scores[:-1, :-1], (users @ items.T)[:-1, :-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", CLASSES)
def test_it_is_named_saved_and_restored(cls, data, tmp_path):
    fitted = jaxrec.fit(cls(dim=2), data, epochs=1, key=jax.random.key(0))
    assert fitted.name == f"{cls.__module__}:{cls.__name__}"
    assert str(fitted).startswith(f"{cls.__name__} fitted on")
    folder = jaxrec.save(fitted, tmp_path / "run")
    with pytest.raises(JaxrecError, match=rf"kinds=\[{cls.__name__}\]"):
        jaxrec.restore(folder)
    restored = jaxrec.restore(folder, kinds=[cls])
    assert restored.model == fitted.model
    assert restored.name == fitted.name
    users = jnp.arange(data.num_users, dtype=jnp.int32)
    np.testing.assert_array_equal(restored.scorer.scores(users), fitted.scorer.scores(users))


def test_row_sparse_steps_of_other_vectors_than_the_tables_are_refused(data):
    optimizer = SGD(0.1, sparse=True)
    with pytest.raises(JaxrecError, match="OwnMF mixes rows"):
        jaxrec.fit(OwnMF(dim=2), data, optimizer=optimizer, epochs=1, key=jax.random.key(0))


class Reflected(MF):
    """The items' vectors with another sign, by tables: so that row-sparse steps go on to work."""

    def __call__(self, adjacency=None):
        users, items = super().__call__(adjacency)
        return users, -items

    @property
    def user_tables(self):
        return ("user_embedding",)

    item_tables = ("item_embedding",)

    def user_vectors(self, rows):
        return rows["user_embedding"], rows["user_embedding"]

    def item_vectors(self, rows):
        return -rows["item_embedding"], rows["item_embedding"]


@pytest.mark.parametrize("optimizer", [SGD(0.5), SGD(0.5, sparse=True)], ids=["dense", "sparse"])
def test_tables_of_its_own_are_trained_row_by_row(optimizer, data):
    how = {"loss": BPR(), "epochs": 3, "batch_size": 32, "key": jax.random.key(0)}
    own = jaxrec.fit(Reflected(dim=3), data, optimizer=optimizer, **how)
    records = [record["loss"] for record in own.info["records"]]
    assert records[-1] < records[0]
    users, items = (own.variables["params"][f"{side}_embedding"] for side in ("user", "item"))
    expected = -(np.asarray(items) @ np.asarray(users)[0])
    np.testing.assert_allclose(own.scorer.scores(jnp.array([0], jnp.int32))[0], expected, rtol=1e-5)


def test_dense_and_row_sparse_steps_agree_for_tables_of_its_own(data):
    how = {"epochs": 3, "batch_size": 32, "key": jax.random.key(0)}
    dense, sparse = (
        jaxrec.fit(Reflected(dim=3), data, optimizer=SGD(0.5, sparse=rows), **how) for rows in (False, True)
    )
    for name, table in dense.variables["params"].items():
        np.testing.assert_allclose(sparse.variables["params"][name], table, rtol=1e-4, atol=1e-6)


def test_a_model_with_its_own_encode_keeps_it():
    class Own(LightGCN):
        def __call__(self, adjacency):
            return super().__call__(adjacency)

        def encode(self, adjacency, user, item, negatives):
            return super().encode(adjacency, user, item, negatives)

    class Same(LightGCN):
        dim: int = 5

    assert Own.encode is not EmbeddingModel.encode
    assert Same.encode is LightGCN.encode
    assert Adam(0.1).sparse is False
