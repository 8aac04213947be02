"""Lists of users who were not fitted on: what may be given, what is told, and what compiles nothing anew."""

import jax
import numpy as np
import pytest
from worlds import ITEMS, USERS, middle

import jaxrec
from jaxrec.errors import DataError, JaxrecError, UnknownIdError
from jaxrec.fitting._folding import batches
from jaxrec.losses import InBatchSoftmax
from jaxrec.testing import checkerboard, compiled
from jaxrec.training import Adam

BOARD = checkerboard()
TITLES = {100 + item: f"Film {item} (19{50 + item})" for item in range(16)}
TITLED = jaxrec.from_arrays(BOARD.users.ids[BOARD.user], BOARD.items.ids[BOARD.item], titles=TITLES)
KNN = jaxrec.fit(jaxrec.ItemKNN(), TITLED, key=jax.random.key(0))
EVEN = [100, 104, 106, 108, 110, 112, 114]  # of the even items all but 102


def best(lists, who="new"):
    return lists[who][0].item


@pytest.mark.parametrize(
    "history",
    [
        EVEN,
        [str(item) for item in EVEN],
        np.array(EVEN),
        [TITLES[item] for item in EVEN],
        [TITLES[item].split(" (")[0].lower() for item in EVEN],
        (item for item in EVEN),
        dict.fromkeys(EVEN, 1).keys(),
    ],
    ids=["ids", "texts", "array", "titles", "short titles", "generator", "keys"],
)
def test_one_history(history):
    lists = jaxrec.recommend(KNN, history=history, k=3)
    assert best(lists) == 102
    assert list(lists.lists) == ["new"]
    assert lists.notes == ()
    assert not {one.item for one in lists["new"]} & set(EVEN)


def test_one_item_is_a_history():
    assert best(jaxrec.recommend(KNN, history=100, k=1)) == best(jaxrec.recommend(KNN, history=["100"], k=1))
    assert best(jaxrec.recommend(KNN, history=TITLES[100], k=1)) % 2 == 0


def test_several_users_as_a_mapping_or_as_interactions():
    odd = [101, 103, 105, 107, 109, 111, 113]
    mapping = jaxrec.recommend(KNN, interactions={"ann": EVEN, "bo": odd}, k=2)
    assert [best(mapping, who) for who in ("ann", "bo")] == [102, 115]
    data = jaxrec.from_arrays(["bo"] * 7 + ["ann"] * 7, [*odd, *EVEN])
    assert jaxrec.recommend(KNN, interactions=data, k=2).to_dict()["lists"] == mapping.to_dict()["lists"]
    # A catalog may have users without any interaction: nobody asks for their lists.
    assert list(jaxrec.recommend(KNN, interactions=data.select(data.user == 1), k=2).lists) == ["bo"]


def test_lists_obey_the_other_options():
    assert best(jaxrec.recommend(KNN, history=EVEN, k=1, exclude=[102])) != 102
    assert [one.item for one in jaxrec.recommend(KNN, history=EVEN, k=2, candidates=[101, 102])["new"]] == [102, 101]
    everything = jaxrec.recommend(KNN, history=EVEN, k=16, filter_seen=False)["new"]
    assert set(EVEN) <= {one.item for one in everything}
    short = jaxrec.recommend(KNN, history=EVEN, k=16)
    assert len(short["new"]) == 9
    assert short.notes == ("user new has only 9 items left to recommend, fewer than k=16",)


def test_unknown_items_are_refused_or_left_out_and_told():
    with pytest.raises(UnknownIdError, match="unknown item 'Ronin'"):
        jaxrec.recommend(KNN, history=[*EVEN, "Ronin"])
    lists = jaxrec.recommend(KNN, history=[*EVEN, "Ronin", 7], k=1, unknown="skip")
    assert best(lists) == 102
    assert lists.notes == ("2 of the new users' items are unknown to the model and left out: 'Ronin', 7",)


def test_users_of_whom_the_model_knows_nothing():
    given = {"ann": EVEN, "bo": [], "cy": [7]}
    with pytest.raises(UnknownIdError, match="7"):
        jaxrec.recommend(KNN, interactions=given)
    with pytest.raises(UnknownIdError, match="new user 'bo' has no item with an interaction in the fitted part"):
        jaxrec.recommend(KNN, interactions={"ann": EVEN, "bo": []})
    skipped = jaxrec.recommend(KNN, interactions=given, k=1, unknown="skip")
    assert list(skipped.lists) == ["ann"]
    assert skipped.notes[-1] == "2 new users without an item that was fitted on left out: 'bo', 'cy'"
    popular = jaxrec.recommend(KNN, interactions=given, k=1, unknown="popular")
    assert list(popular.lists) == ["ann", "bo", "cy"]
    assert best(popular, "bo") == best(popular, "cy") == 100  # all items have 7 users; the first one leads
    with pytest.raises(UnknownIdError, match="new user 'new'"):
        jaxrec.recommend(KNN, history=[])


def test_an_item_without_a_fitted_interaction_says_nothing():
    model = jaxrec.fit(jaxrec.LightGCN(dim=4), BOARD, epochs=1, key=jax.random.key(0))
    with pytest.raises(UnknownIdError, match="no item with an interaction"):  # its scores would all be 0
        jaxrec.recommend(model, history=[999])
    lists = jaxrec.recommend(model, history=[999, 100], k=2)
    assert "1 of the new users' items have no interaction in the fitted part, so they say nothing" in lists.notes
    assert 999 not in {one.item for one in lists["new"]}


def test_a_known_user_is_treated_as_new_and_told():
    lists = jaxrec.recommend(KNN, interactions={0: [101], "x": [101]}, k=1)
    assert best(lists, 0) == best(lists, "x")  # although user 0 likes even items
    assert "1 of the 2 users are known to the model" in lists.notes[0]


def test_repeats_count_once_and_are_told():
    lists = jaxrec.recommend(KNN, history=[*EVEN, "100", 104], k=3)
    assert lists.notes == ("2 repeats of an item in one history count once",)
    once = jaxrec.recommend(KNN, history=EVEN, k=3)
    assert lists.to_dict()["lists"] == once.to_dict()["lists"]


def test_ratings_without_an_effect_are_told():
    lists = jaxrec.recommend(KNN, history=dict.fromkeys(EVEN, 5) | {101: 0}, k=1)
    assert lists.notes == (
        "itemknn ranks, so the ratings of new users have no effect: every item counts as a liking; 1 of them are 0 or "
        "less",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"users": [0], "history": EVEN}, "exclude one another"),
        ({"interactions": {"a": EVEN}, "history": EVEN}, "exclude one another"),
        ({"interactions": [(1, 2)]}, "interactions is of type list; pass a mapping from users to items"),
        ({"interactions": {}}, "interactions has no user"),
        ({"history": [[100, 104], [106]]}, r"history has \[100, 104\] where an item should stand"),
        ({"history": {100: "good"}}, "history has the rating 'good'; pass a number for each item"),
        ({"history": {100: float("nan")}}, "history has the rating nan for item 100; pass finite numbers"),
        ({"interactions": {"a": {100: 5}, "b": [100]}}, "ratings for some users and none for others"),
        ({"history": BOARD}, "history is Interactions; pass them as interactions="),
        ({"history": [None]}, "unknown item None"),
        ({"history": EVEN, "k": 0}, "k must lie in 1..16"),
        ({"history": 3.5}, "unknown item 3.5"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(given, message):
    with pytest.raises(JaxrecError, match=message) as caught:
        jaxrec.recommend(KNN, **given)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_a_model_of_ratings_asks_for_ratings_of_its_scale():
    data = middle(rated=True)
    model = jaxrec.fit(jaxrec.MF(dim=2, bias=True), data, loss="mse", epochs=30, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="mf predicts ratings, and so needs those of new users"):
        jaxrec.recommend(model, history=[1, 2])
    with pytest.raises(DataError, match="1 ratings of new users lie outside of the model's scale 1 to 5, the first 7"):
        jaxrec.recommend(model, history={1: 7})
    low, high = (jaxrec.recommend(model, history=dict.fromkeys(range(8), value), k=3) for value in (1, 5))
    # Who rates everything with 5 will rate higher than who rates everything with 1.
    assert low["new"][0].score + 1 < high["new"][0].score


def test_users_who_are_held_out_are_measured_by_their_fold_in():
    """On the checkerboard the held-out users' lists must be of their own parity, whatever the model."""
    board = BOARD.select(BOARD.user < 16)
    split = jaxrec.split(board, "user_kfold", folds=4, test=0.2, valid=0.2, key=jax.random.key(0))
    training = {"loss": "bpr", "epochs": 40, "optimizer": Adam(0.05), "batch_size": 32}
    for model, how in (
        (jaxrec.LightGCN(dim=8, layers=2), training),
        (jaxrec.MF(dim=4), training),
        (jaxrec.NMF(dim=2), {}),
        (jaxrec.UserKNN(neighbors=3), {}),
        (jaxrec.EASE(l2=2.0), {}),
    ):
        fitted = jaxrec.fit(model, split, key=jax.random.key(0), **how)
        report = jaxrec.evaluate(fitted, split, k=2, metrics="recall", space=None)
        assert report.mean("recall@2") == 1, model  # of 8 items a user has 6, so one or two are left
        shown = np.unique(split.test.user)
        assert fitted.info["shown_users"] == shown.tolist()
        # The same users, as if they were new to the model, get the same lists.
        name = split.train.users.ids[shown[0]].item()
        own = split.train.items.ids[split.fold_in.item[split.fold_in.user == shown[0]]].tolist()
        again = jaxrec.recommend(fitted, history=own, k=2)["new"]
        known = jaxrec.recommend(fitted, [name], k=2)[name]
        np.testing.assert_allclose([one.score for one in again], [one.score for one in known], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [jaxrec.MF(dim=2, bias=True), jaxrec.SVDPP(dim=2), jaxrec.NMF(dim=2)],
    ids=lambda model: type(model).__name__,
)
def test_ratings_of_held_out_users_are_predicted_from_those_that_they_show(model):
    """Every user rates all items alike, so what they show says all, and nobody else's ratings do."""
    user, item = np.divmod(np.arange(20 * 12), 12)
    data = jaxrec.from_arrays(user, item, 1.0 + user % 5)
    split = jaxrec.split(data, "user_kfold", folds=4, valid=0.0, key=jax.random.key(0))
    how = {} if isinstance(model, jaxrec.NMF) else {"epochs": 60, "optimizer": Adam(0.05), "batch_size": 64}
    fitted = jaxrec.fit(model, split, loss="mse", key=jax.random.key(0), **how)
    assert jaxrec.evaluate_ratings(fitted, split).mean("rmse") < 0.6  # their mean alone has 1.4


def test_the_loss_adjusts_the_scorer_of_new_users_as_that_of_the_fitted():
    loss = InBatchSoftmax(temperature=0.2, logit_adjustment=0.5)
    fitted = jaxrec.fit(jaxrec.LightGCN(dim=4), middle(), loss=loss, epochs=2, key=jax.random.key(0))
    _, histories = next(batches(fitted.seen))
    scorer = fitted.fold_in(histories)
    np.testing.assert_allclose(scorer.items, fitted.scorer.items, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(scorer.users[:, :4], axis=1), 5, rtol=1e-5)  # 1 / 0.2
    assert (np.asarray(scorer.users[:, 4]) == 1).all()


MODELS = {
    "lightgcn": jaxrec.LightGCN(dim=4),
    "mf": jaxrec.MF(dim=4),
    "ease": jaxrec.EASE(l2=2.0),
    "itemknn": jaxrec.ItemKNN(neighbors=4),
}


@pytest.mark.parametrize("name", MODELS)
def test_another_k_or_number_of_users_compiles_nothing(name):
    how = {"epochs": 1} if name in ("lightgcn", "mf") else {}
    fitted = jaxrec.fit(MODELS[name], middle(), key=jax.random.key(0), **how)
    histories = {f"u{at}": [at % ITEMS, (3 * at + 1) % ITEMS][: 1 + at % 2] for at in range(64)}
    jaxrec.recommend(fitted, [0], k=1)
    jaxrec.recommend(fitted, history=[0], k=1)
    with compiled() as programs:
        for k in (2, 10, ITEMS):
            jaxrec.recommend(fitted, list(range(k % USERS + 1)), k=k)
            jaxrec.recommend(fitted, history=list(range(k)), k=k)
        jaxrec.recommend(fitted, interactions=histories, k=5)
    assert programs == []


def test_embeddings_are_in_the_order_asked_and_give_the_scores():
    fitted = jaxrec.fit(jaxrec.MF(dim=4, bias=True), TITLED, loss="bpr", epochs=1, key=jax.random.key(0))
    found = jaxrec.embeddings(fitted, users=["3", 0], items=["film 4", 101])
    assert found.users.shape == found.items.shape == (2, 6)
    assert found.dim == 4
    predicted = jaxrec.predict(fitted, [3, 3, 0, 0], [104, 101, 104, 101])
    np.testing.assert_allclose((found.users @ found.items.T).ravel(), predicted, rtol=1e-5, atol=1e-6)
    whole = jaxrec.embeddings(fitted)
    assert whole.users.shape == (fitted.num_users, 6)
    np.testing.assert_array_equal(whole.users[fitted.users.index([3, 0])], found.users)
    with pytest.raises(JaxrecError, match="itemknn has no vectors of users and items"):
        jaxrec.embeddings(KNN)
    with pytest.raises(UnknownIdError, match="unknown user 77"):
        jaxrec.embeddings(fitted, users=[77])
