"""What is legal and may mislead is told: names with two meanings, users and items without training, dislikes."""

import warnings

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.api._lookup import item_indices
from jaxrec.data.splitting import Split

KEY = jax.random.key(0)
TITLES = {300: "Quiz Show (1994)", 51662: "300 (2007)", 7: "Heat (1995)", 8: "2012"}
FILMS = jaxrec.fit(
    jaxrec.ItemKNN(), jaxrec.from_arrays([0, 0, 1, 1, 2, 2], [300, 7, 300, 7, 51662, 8], titles=TITLES), key=KEY
)
DOUBLE = r"'300' is taken for the id of 300 \(Quiz Show \(1994\)\), and is also the title of 51662 \(300 \(2007\)\)"


def test_an_id_that_is_also_a_title_is_told_wherever_items_are_named():
    with pytest.warns(UserWarning, match=f"items: {DOUBLE}; name that one by its id"):
        lists = jaxrec.similar_items(FILMS, ["300"], k=1)
    assert list(lists.lists) == [300]
    with pytest.warns(UserWarning, match=f"exclude: {DOUBLE}"):
        assert {one.item for one in jaxrec.recommend(FILMS, [0], k=2, exclude=["300"])[0]} == {51662, 8}
    with pytest.warns(UserWarning, match=f"candidates: {DOUBLE}"):
        jaxrec.recommend(FILMS, [2], k=1, candidates=["300", "7"])
    with pytest.warns(UserWarning, match=DOUBLE):
        jaxrec.predict(FILMS, [0], ["300"])


def test_names_of_one_meaning_are_not_told():
    # A number is an id; whole titles and titles that are no id have one meaning; 8 is titled 2012, which is no id.
    assert item_indices(FILMS, [300, "300 (2007)", "2012", "Heat", "51662"]).tolist() == [2, 3, 1, 0, 3]


def test_several_are_told_at_once():
    titles = {"a": "b", "b": "c", "c": "d"}
    model = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays([0, 0, 0], list(titles), titles=titles), key=KEY)
    with pytest.warns(
        UserWarning, match=r"'b' is taken for the id of b \(c\), .* of a \(b\) \(and 1 more such\)"
    ) as told:
        assert item_indices(model, ["b", "c"]).tolist() == [1, 2]
    assert len(told) == 1


def late_users():
    """A split in which nothing is known of users 8 and 9, and of item 5."""
    user, item = np.repeat(np.arange(10), 4), np.tile(np.arange(4), 10)
    item = (item + user) % 5
    item[-1] = 5
    data = jaxrec.from_arrays(user, item)
    return Split(data.select(user < 8), data.select([]), data.select(user >= 8), "by hand")


def test_users_without_training_are_counted_and_their_scores_told():
    split = late_users()
    model = jaxrec.fit(jaxrec.MF(dim=2), split, epochs=1, key=KEY)
    for mask in ("earlier", None):
        report = jaxrec.evaluate(model, split, k=2, space=None, mask=mask)
        assert report.counts["users_untrained"] == 2
        assert dict(zip(report.user_ids.tolist(), report.trained.tolist(), strict=True)) == {8: False, 9: False}
    with pytest.warns(
        UserWarning, match="2 users have no interaction in the fitted part, such as 8: nothing was learned"
    ):
        jaxrec.predict(model, [8, 9, 0], [0, 1, 2])
    with pytest.warns(UserWarning, match="1 item has no interaction in the fitted part, such as 5"):
        jaxrec.predict(model, [0], [5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jaxrec.predict(model, [0, 1], [0, 1])


@pytest.mark.parametrize(("ratings", "low"), [([1, -1, 1, -1, -1], 3), ([1, 0, 5, 4, 3], 1), ([0] * 5, 5)])
def test_dislikes_are_told_where_a_model_ranks(ratings, low):
    data = jaxrec.from_arrays([1, 1, 2, 2, 3], [7, 8, 7, 8, 9], ratings)
    told = f"{low} of 5 interactions have a rating of 0 or less, and a model that ranks takes each for a liking"
    with pytest.warns(UserWarning, match=told):
        jaxrec.fit(jaxrec.Popularity(), data, key=KEY)
    with pytest.warns(UserWarning, match=told):
        jaxrec.fit_many(jaxrec.MF(dim=2), data, epochs=1, keys=[KEY])


def test_low_ratings_are_no_dislikes_to_a_model_of_ratings():
    data = jaxrec.from_arrays([1, 1, 2, 2, 3], [7, 8, 7, 8, 8], [1, -1, 1, -1, 0])
    fitted = jaxrec.fit(jaxrec.MF(dim=2, bias=True), data, loss="mse", epochs=1, key=KEY)
    assert fitted.info["task"] == "rating"


def test_disliked_test_items_count_as_relevant_and_are_counted():
    truth = ([1, 1, 2], [7, 8, 8], [5, -1, 0])
    report = jaxrec.evaluate_rankings({1: [8], 2: [8]}, truth, train=([1], [9]), k=1, metrics=["recall"])
    assert report.counts["test_pairs_disliked"] == 2
    assert report.mean("recall@1") == (1 / 2 + 1) / 2
