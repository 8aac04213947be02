"""Items that are added to a fitted model: their vectors, their places in lists, and what is refused."""

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.api._new_items import PENALTIES, ridge
from jaxrec.errors import DataError, JaxrecError, UnknownIdError
from jaxrec.models._ease import bordered
from jaxrec.testing import checkerboard
from jaxrec.training import Adam

BOARD = checkerboard()
GENRES = {100 + item: "even|film" if item % 2 == 0 else "odd|film" for item in range(16)}
DATA = jaxrec.from_arrays(
    BOARD.users.ids[BOARD.user],
    BOARD.items.ids[BOARD.item],
    titles={100: "Heat"},
    item_columns={"genres": GENRES, "year": {item: 1900 + item for item in GENRES}},
)
HOW = {"epochs": 60, "batch_size": 32, "optimizer": Adam(0.05)}
MF = jaxrec.fit(jaxrec.MF(dim=4, bias=True), DATA, key=jax.random.key(0), **HOW)


def firsts(model, k=1):
    return {user: [one.item for one in shown] for user, shown in jaxrec.recommend(model, k=k)}


@pytest.mark.parametrize("model", [MF, jaxrec.fit(jaxrec.LightGCN(dim=8), DATA, key=jax.random.key(0), **HOW)])
def test_an_item_of_even_users_is_for_even_users(model):
    grown = jaxrec.add_items(model, {7: [0, 2, 4, 6], 9: [1, 3, 5]}, titles={7: "Ronin"})
    assert grown.items.ids[-2:].tolist() == [7, 9]
    for user, items in firsts(grown, k=2).items():  # the withheld item and the new one, but for who has the new one
        has = user in {0, 2, 4, 6, 1, 3, 5}
        assert (7 if user % 2 == 0 else 9) not in items if has else (7 if user % 2 == 0 else 9) in items
    assert {one.title for one in jaxrec.recommend(grown, [8], k=2)[8]} == {"Ronin", "108"}
    old, new = (jaxrec.embeddings(one).items for one in (model, grown))
    np.testing.assert_array_equal(new[: len(old)], old)
    assert grown.info["added_items"]["count"] == 2
    assert 0.5 < grown.info["added_items"]["explained"] <= 1


def test_an_item_by_its_columns():
    grown = jaxrec.add_items(MF, columns={7: {"genres": "even|film"}, 9: {"genres": "odd|film|new"}})
    found = firsts(grown, k=2)
    assert all((7 if user % 2 == 0 else 9) in items for user, items in found.items())
    assert grown.item_columns["genres"].tolist()[-2:] == ["even|film", "odd|film|new"]
    assert grown.info["added_items"]["by"] == "columns"


def test_a_grown_model_is_saved_and_serves_new_users(tmp_path):
    grown = jaxrec.add_items(MF, {7: [0, 2, 4, 6]})
    restored = jaxrec.restore(jaxrec.save(grown, tmp_path / "run"))
    given = {"ann": [7, 100, 104], "bo": [101, 103, 105]}
    lists = [jaxrec.recommend(model, interactions=given, k=3) for model in (grown, restored)]
    assert lists[0].to_dict() == lists[1].to_dict()
    assert [shown[0].item % 2 for _, shown in lists[0]] == [0, 1]
    with pytest.raises(JaxrecError, match="the vectors of mf cannot be fitted again"):
        jaxrec.fit(type(grown.model)("mf"), DATA, key=jax.random.key(0))


def test_the_ridge_map_is_the_one_with_the_least_error_on_rows_left_out():
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(12, 5)), rng.normal(size=(3, 5))
    y = x[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(12, 3))

    def slow(x, y, new, penalty, rows):
        z, t = (x - x.mean(axis=0)) / x.std(axis=0), y - y.mean(axis=0)
        weights = np.linalg.solve(z.T @ z + penalty * rows / 100 * np.eye(z.shape[1]), z.T @ t)
        return (new - x.mean(axis=0)) / x.std(axis=0) @ weights + y.mean(axis=0)

    z = (x - x.mean(axis=0)) / x.std(axis=0)
    errors = []
    for penalty in PENALTIES:  # the hat matrix of the centered problem, row by row
        hat = z @ np.linalg.solve(z.T @ z + penalty * 12 / 100 * np.eye(5), z.T) + 1 / 12
        errors.append(sum(np.sum((y[i] - hat[i] @ y) ** 2) / (1 - hat[i, i]) ** 2 for i in range(12)))
    best = int(np.argmin(errors))
    made, explained = ridge(x, y, new)
    np.testing.assert_allclose(made, slow(x, y, new, PENALTIES[best], 12), rtol=1e-6)
    np.testing.assert_allclose(explained, 1 - errors[best] / np.sum((y - y.mean(axis=0)) ** 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"users": {7: [0]}, "columns": {7: {}}}, JaxrecError, "users, or columns, of the new items: one of the two"),
        ({}, JaxrecError, "one of the two"),
        ({"users": {}}, JaxrecError, "pass a mapping from their ids"),
        ({"users": {100: [0]}}, DataError, "item 100 is known to the model already"),
        ({"users": {"7": [0]}}, DataError, "new item '7' is of another type than 100"),
        ({"users": {7: [99]}}, UnknownIdError, "unknown user 99"),
        ({"users": {7: []}}, DataError, "new item 7 has no user; give its columns instead"),
        (
            {"columns": {7: {"length": 3}}},
            DataError,
            r"columns has \['length'\], and the items of the model have genres, y",
        ),
        ({"columns": {7: {}}}, DataError, "columns has no column"),
    ],
)
def test_what_makes_no_item_is_refused(given, kind, message):
    with pytest.raises(kind, match=message):
        jaxrec.add_items(MF, **given)


SOLVED = {
    "ease": jaxrec.EASE(l2=2.0),
    "relaxed": jaxrec.EASE(l2=2.0, dropout=0.3, relax=0.2, item_exponent=0.3),
    "weighted": jaxrec.EASE(l2=0.5, relax=0.2, item_exponent=0.3, user_exponent=1.0),
    "sansa": jaxrec.SANSA(l2=2.0, neighbors=25),
    "rp3beta": jaxrec.RP3Beta(),
    "itemknn": jaxrec.ItemKNN(neighbors=4),
    "normalized": jaxrec.ItemKNN(neighbors=4, similarity="normalized", shrink=1.0),
    "userknn": jaxrec.UserKNN(neighbors=3),
    "popularity": jaxrec.Popularity(),
}
MORE = {7: [0, 2, 4, 6], 9: [1, 3, 5], 11: [0, 1]}


@pytest.mark.parametrize("name", SOLVED)
def test_a_solved_model_is_the_one_that_a_fit_to_the_grown_data_gives(name, tmp_path):
    model = jaxrec.fit(SOLVED[name], DATA, key=jax.random.key(0))
    grown = jaxrec.add_items(model, MORE, titles={7: "Ronin"})
    pairs = [(user, item) for item, users in MORE.items() for user in users]
    refitted = jaxrec.fit(
        SOLVED[name],
        jaxrec.from_arrays(
            [*DATA.users.ids[DATA.user].tolist(), *(user for user, _ in pairs)],
            [*DATA.items.ids[DATA.item].tolist(), *(item for _, item in pairs)],
        ),
        key=jax.random.key(0),
    )
    users = np.arange(grown.num_users, dtype=np.int32)
    order = refitted.items.index(grown.items.ids.tolist())
    wanted = np.asarray(refitted.scorer.scores(refitted.users.index(grown.users.ids.tolist())))[:, order]
    np.testing.assert_allclose(np.asarray(grown.scorer.scores(users)), wanted, rtol=1e-4, atol=1e-5)
    assert grown.info["added_items"] == {"count": 3, "by": "users"}
    restored = jaxrec.restore(jaxrec.save(grown, tmp_path / "run"))
    lists = [jaxrec.recommend(one, k=4).to_dict() for one in (grown, restored)]
    assert lists[0] == lists[1]
    again = jaxrec.add_items(restored, {13: [2, 3]})  # and once more
    assert again.items.ids[-1] == 13
    new = [jaxrec.recommend(one, history=[7, 100], k=4)["new"] for one in (grown, refitted)]
    scores = [[one.score for one in shown] for shown in new]  # many items of a checkerboard have equal ones
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [SOLVED["ease"], SOLVED["userknn"]])
def test_users_who_are_held_out_of_training_are_served_after_items_were_added(model):
    parts = jaxrec.split(DATA, "user_kfold", folds=4, fold=0, order="random", key=jax.random.key(1))
    fitted = jaxrec.fit(model, parts, key=jax.random.key(0))
    grown = jaxrec.add_items(fitted, {7: [0, 2, 4, 6]})
    user = fitted.users.ids[fitted.info["shown_users"][0]].item()
    assert jaxrec.recommend(grown, [user], k=3)[user]


def test_ease_is_bordered_as_the_inverse_of_all_items_is():
    rng = np.random.default_rng(0)
    x = (rng.random((30, 9)) < 0.4).astype(np.float32)

    def slow(x):
        inverse = np.linalg.inv(x.T.astype(np.float64) @ x + 3.0 * np.eye(x.shape[1]))
        weights = -inverse / np.diag(inverse)[None, :]
        np.fill_diagonal(weights, 0)
        return weights.astype(np.float32)

    np.testing.assert_allclose(bordered(slow(x[:, :6]), x.T @ x, 3.0), slow(x), rtol=1e-4, atol=1e-5)


def test_columns_need_vectors():
    model = jaxrec.fit(jaxrec.ItemKNN(), DATA, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match=r"itemknn has no vectors of items, so it needs the users of the new ones"):
        jaxrec.add_items(model, columns={7: {"genres": "even"}})


def test_a_catalog_that_grows_too_large_is_refused():
    model = jaxrec.fit(jaxrec.EASE(max_items=17), DATA, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match=r"EASE would have 18 items, more than max_items=17 allows"):
        jaxrec.add_items(model, {7: [0], 9: [1]})


def test_a_model_without_vectors_says_so():
    model = jaxrec.fit(jaxrec.Random(), DATA, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="random has no vectors of items; fit it again with the new items"):
        jaxrec.add_items(model, {7: [0]})
