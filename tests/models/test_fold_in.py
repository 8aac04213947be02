"""Users who were not fitted on: each model's equation against NumPy, written out once more."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from worlds import ITEMS, USERS, middle

import jaxrec
from jaxrec.data import seen_items
from jaxrec.errors import JaxrecError
from jaxrec.fitting._folding import batches
from jaxrec.models import EmbeddingModel, SolvedModel, with_sizes
from jaxrec.models._fold_in import fold_in_of
from jaxrec.models._least_squares import least_squares
from jaxrec.protocols import Solution
from jaxrec.scorers import FactorScorer, TableScorer
from jaxrec.training import train_data

DATA = middle()
R = np.zeros((USERS, ITEMS))
R[DATA.user, DATA.item] = 1
OWN = [np.flatnonzero(row) for row in R]
NORMALIZED = R / np.sqrt(np.maximum(R.sum(1, keepdims=True), 1) * np.maximum(R.sum(0, keepdims=True), 1))
A = np.block([[np.zeros((USERS, USERS)), NORMALIZED], [NORMALIZED.T, np.zeros((ITEMS, ITEMS))]])


def made(model, params=None, task="ranking"):
    """The fold-in of a model with random parameters on the middle world, and its scorer."""
    sized, data = with_sizes(model, USERS, ITEMS), train_data(DATA)
    params = params or sized.init(jax.random.key(1), data.adjacency)["params"]
    scorer = sized.apply({"params": params}, data.adjacency, method="scorer")
    return fold_in_of(sized, {"params": params}, scorer, data, task, None), scorer, params


def vectors(fold_in, data=DATA, ratings=None):
    """The vectors that the fold-in gives the users of the middle world, as if they were new."""
    out = np.zeros((USERS, fold_in.items.shape[1]), np.float32)
    for users, histories in batches(seen_items(data), ratings):
        out[users] = np.asarray(fold_in(histories).users)[: len(users)]
    return out


@pytest.mark.parametrize(("layers", "weights"), [(1, None), (2, (0.5, 0.2, 0.3)), (3, None)])
def test_lightgcn_gives_a_new_user_what_the_graph_gives_a_user_without_a_row(layers, weights):
    model = jaxrec.LightGCN(dim=4, layers=layers, layer_weights=weights, fold_in_noise=math.inf)
    _, _, params = made(model)
    for user in (0, 7):  # the user's own row is 0, so all of it is of the items
        zero = {**params, "user_embedding": params["user_embedding"].at[user].set(0)}
        fold_in, scorer, _ = made(model, zero)
        np.testing.assert_allclose(vectors(fold_in)[user], scorer.users[user], rtol=1e-5, atol=1e-6)


def test_lightgcn_layer_by_layer():
    fold_in, _, params = made(jaxrec.LightGCN(dim=4, layers=3, fold_in_noise=math.inf))
    x = np.concatenate([params["user_embedding"], params["item_embedding"]]).astype(np.float64)
    items, degrees, new = np.array([2, 5, 11]), R.sum(axis=0), np.zeros(4)
    for _ in range(3):
        # e_u^(l+1) = sum over the items of (n d_i)^(-1/2) e_i^(l), and each layer counts 1 / 4.
        new += sum(x[USERS + item] / np.sqrt(len(items) * degrees[item]) for item in items) / 4
        x = A @ x
    data = jaxrec.from_arrays(np.zeros(3, int), items)
    given = dataclasses.replace(DATA, user=data.user, item=items)
    np.testing.assert_allclose(vectors(fold_in, given)[0], new, rtol=1e-5)


def test_lightgcn_solves_for_the_row_of_a_new_user():
    """With propagation in the offset, by NumPy's least squares on the rows of the objective."""
    fold_in, scorer, _ = made(jaxrec.LightGCN(dim=4, layers=2, fold_in_noise=0.3, fold_in_unobserved=0.2))
    given, _, params = made(jaxrec.LightGCN(dim=4, layers=2, fold_in_noise=math.inf))
    passed, found = vectors(given).astype(np.float64), vectors(fold_in)
    users, items = (np.asarray(table, np.float64) for table in (scorer.users, scorer.items))
    np.testing.assert_allclose(users - passed, np.asarray(params["user_embedding"]) / 3, atol=1e-5)
    scores = users @ items.T
    target, overall = scores[R > 0].mean(), scores.mean()
    spread = np.cov((users - passed).T, bias=True)
    root = np.linalg.cholesky(0.3 * (target - overall) ** 2 * np.linalg.inv(spread)).T
    for user in (0, 7):
        q, base = items[OWN[user]], passed[user]
        rows = np.concatenate([root, q, np.sqrt(0.2) * items])
        values = np.concatenate([np.zeros(4), target - q @ base, np.sqrt(0.2) * (overall - items @ base)])
        own = np.linalg.lstsq(rows, values, rcond=None)[0]
        np.testing.assert_allclose(found[user], base + own, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loops", [False, True])
def test_gcn_gives_a_new_user_what_the_graph_gives_a_user_without_a_row(loops):
    model = jaxrec.GCN(dim=4, hidden=5, self_loops=loops)
    _, _, params = made(model)
    zero = {**params, "w0": params["w0"].at[7].set(0)}
    fold_in, scorer, _ = made(model, zero)
    np.testing.assert_allclose(vectors(fold_in)[7], scorer.users[7], rtol=1e-5, atol=1e-6)


def test_an_item_that_nobody_has_hands_nothing_on():
    data = DATA.select(DATA.item != 3)
    sized, tables = with_sizes(jaxrec.LightGCN(dim=4, layers=2, fold_in_noise=math.inf), USERS, ITEMS), train_data(data)
    params = sized.init(jax.random.key(1), tables.adjacency)["params"]
    scorer = sized.apply({"params": params}, tables.adjacency, method="scorer")
    fold_in = fold_in_of(sized, {"params": params}, scorer, tables, "ranking", None)
    given = dataclasses.replace(DATA, user=np.zeros(1, np.int32), item=np.array([3]))
    assert not vectors(fold_in, given)[0].any()


def slow_least_squares(scorer, own, *, fixed, noise, unobserved, ratings=None):
    """The vector of one user, by NumPy's least squares on the rows of the objective."""
    users, items = (np.asarray(table, np.float64) for table in (scorer.users, scorer.items))
    free = items.shape[1] - fixed
    scores, pairs = users @ items.T, R > 0
    target, overall = scores[pairs].mean(), scores.mean()
    q, bias = items[:, :free], items[:, free:].sum(axis=1)
    mean, spread = users[:, :free].mean(axis=0), np.cov(users[:, :free].T, bias=True).reshape(free, free)
    variance = (target - overall) ** 2 if ratings is None else scores.var()
    root = np.linalg.cholesky(noise * variance * np.linalg.inv(spread)).T
    rows, values = [root, q[own]], [root @ mean, (target if ratings is None else ratings) - bias[own]]
    if ratings is None:
        rows.append(np.sqrt(unobserved) * q)
        values.append(np.sqrt(unobserved) * (overall - bias))
    solved = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    return np.concatenate([solved, np.ones(fixed)])


def test_least_squares_for_ranking():
    rng = np.random.default_rng(0)
    users, items = (rng.normal(0.2, 1, (size, 4)).astype(np.float32) for size in (USERS, ITEMS))
    users[:, 3] = 1  # the column of an item's bias
    scorer = FactorScorer(jnp.asarray(users), jnp.asarray(items), dim=3)
    how = {"fixed": 1, "noise": 0.5, "unobserved": 0.3}
    fold_in = least_squares("MF", scorer, train_data(DATA).adjacency, "ranking", **how)
    found = vectors(fold_in)
    for user in (0, 7, 13):
        np.testing.assert_allclose(found[user], slow_least_squares(scorer, OWN[user], **how), rtol=1e-3, atol=1e-4)


def test_least_squares_for_ratings():
    rng = np.random.default_rng(0)
    users, items = (rng.normal(0.5, 1, (size, 4)).astype(np.float32) for size in (USERS, ITEMS))
    users[:, 3] = 1
    scorer = FactorScorer(jnp.asarray(users), jnp.asarray(items), dim=2)
    fold_in = least_squares("MF", scorer, train_data(DATA).adjacency, "rating", fixed=1, noise=0.5)
    assert fold_in.needs_ratings
    ratings = rng.integers(1, 6, len(DATA)).astype(np.float32)
    by_user = DATA.select(np.lexsort((DATA.item, DATA.user)))
    found = vectors(fold_in, by_user, ratings)
    for user in (0, 7):
        given = ratings[by_user.user == user]
        slow = slow_least_squares(scorer, OWN[user], fixed=1, noise=0.5, unobserved=0, ratings=given)
        np.testing.assert_allclose(found[user], slow, rtol=1e-3, atol=1e-4)


def test_svdpp_without_ratings_has_the_mean_and_the_sum_over_its_items():
    fold_in, scorer, params = made(jaxrec.SVDPP(dim=3, mean=3.5), task="rating")
    assert not fold_in.needs_ratings
    y, q = np.asarray(params["implicit_embedding"]), np.asarray(params["item_embedding"])
    found = vectors(fold_in)
    mean = np.asarray(params["user_embedding"]).mean(axis=0)
    for user in (0, 7):
        expected = mean + y[OWN[user]].sum(axis=0) / np.sqrt(len(OWN[user]))
        np.testing.assert_allclose(found[user], [*expected, 3.5, 1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(scorer.items)[:, :3], q)


@pytest.mark.parametrize(("matrix", "l2"), [("binary", 0.0), ("binary", 0.7), ("normalized", 0.02)])
def test_nmf_gives_the_nearest_row_without_a_negative_entry(matrix, l2):
    fitted = jaxrec.fit(jaxrec.NMF(dim=4, matrix=matrix, l2=l2), DATA, key=jax.random.key(0))
    h = np.asarray(fitted.scorer.items, np.float64)
    x = R if matrix == "binary" else NORMALIZED
    found = vectors(fitted.fold_in)
    for user in (0, 7, 13):
        rows, values = np.concatenate([h, np.sqrt(l2) * np.eye(4)]), np.concatenate([x[user], np.zeros(4)])
        np.testing.assert_allclose(found[user], scipy.optimize.nnls(rows, values)[0], rtol=1e-3, atol=1e-4)


def test_nmf_of_ratings_solves_for_what_is_rated():
    data = middle(rated=True)
    fitted = jaxrec.fit(jaxrec.NMF(dim=2, l2=0.1), data, loss="mse", key=jax.random.key(0))
    by_user = data.select(np.lexsort((data.item, data.user)))
    found = vectors(fitted.fold_in, by_user, by_user.rating)
    users, h = (np.asarray(table, np.float64)[:, :2] for table in (fitted.scorer.users, fitted.scorer.items))
    extra = np.mean((users @ h.T)[R > 0] ** 2)
    for user in (0, 7):
        own, ratings = OWN[user], by_user.rating[by_user.user == user]
        ridge = np.sqrt(0.1 * len(own)) * np.eye(2)
        w = scipy.optimize.nnls(np.concatenate([h[own], ridge]), np.concatenate([ratings, np.zeros(2)]))[0]
        y = h[own] @ w
        scale = (y @ ratings + extra) / (y @ y + extra)
        np.testing.assert_allclose(found[user], [*scale * w, 0, ratings.mean()], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("similarity", ["cosine", "normalized"])
def test_userknn_finds_the_neighbors_of_a_new_user(similarity):
    model = jaxrec.UserKNN(neighbors=3, similarity=similarity, shrink=1.0 if similarity == "cosine" else 0.0)
    fitted = jaxrec.fit(model, DATA, key=jax.random.key(0))
    items = np.array([1, 2, 5, 20])
    own = np.zeros(ITEMS)
    own[items] = 1
    if similarity == "cosine":
        likeness = R @ own / (np.sqrt(R.sum(1) * own.sum()) + 1)
    else:
        likeness = NORMALIZED @ (own / np.sqrt(own.sum() * R.sum(0)))
    nearest = np.argsort(-likeness, kind="stable")[:3]
    given = dataclasses.replace(DATA, user=np.zeros(4, np.int32), item=items)
    _, histories = next(iter(batches(seen_items(given.compact()))))
    histories = histories._replace(item=np.where(histories.where, np.pad(items, (0, 60))[None], 0))
    scores = fitted.fold_in(histories).scores(jnp.array([0]))[0]
    np.testing.assert_allclose(scores, likeness[nearest] @ R[nearest], rtol=1e-5)


@pytest.mark.parametrize("model", [jaxrec.EASE(l2=3.0), jaxrec.ItemKNN(neighbors=4)], ids=["ease", "itemknn"])
def test_models_of_items_give_a_new_user_the_scores_of_a_known_one(model):
    fitted = jaxrec.fit(model, DATA, key=jax.random.key(0))
    for users, histories in batches(seen_items(DATA)):
        scores = fitted.fold_in(histories).scores(jnp.arange(len(users), dtype=jnp.int32))
        np.testing.assert_allclose(scores, fitted.scorer.scores(jnp.asarray(users)), rtol=1e-5, atol=1e-6)


def test_a_subclass_with_other_vectors_does_not_take_the_fold_in_of_its_parent():
    class Doubled(jaxrec.LightGCN):
        def __call__(self, adjacency):
            users, items = super().__call__(adjacency)
            return 2 * users, 2 * items

    class Named(jaxrec.LightGCN):
        pass

    assert Doubled.fold_in is EmbeddingModel.fold_in
    assert Named.fold_in is jaxrec.LightGCN.fold_in


@dataclasses.dataclass(frozen=True)
class Table(SolvedModel):
    num_users: int | None = None
    num_items: int | None = None

    def solve(self, data, key):
        return Solution(TableScorer(jnp.ones((self.num_users, self.num_items))))


def test_a_model_that_cannot_says_so():
    fitted = jaxrec.fit(Table(), DATA, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="Table cannot serve new users: its scorer has no with_history"):
        jaxrec.recommend(fitted, history=[3])
    with pytest.raises(JaxrecError, match="no inner products"):
        least_squares("Mine", fitted.scorer, None, "ranking")
