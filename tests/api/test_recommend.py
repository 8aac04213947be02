"""Lists in the caller's own ids: unknown users, titles, exclusions, short lists, similar items, and files of them."""

import csv
import json

import jax
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxrec
from jaxrec import ItemKNN, Popularity, Random
from jaxrec.api._lookup import item_indices
from jaxrec.errors import JaxrecError, MismatchError, UnknownIdError
from jaxrec.ranking import recommend_lists

TITLES = {
    1: "Heat (1995)",
    2: "Heat (1986)",
    3: "Toy Story (1995)",
    4: "Casino (1995)",
    5: "",
    6: "Up (2009)",
    7: "Solaris (1972)",
    8: "The 400 Blows (1959)",
}
# Popularity: item 1 has 4 users, 3 has 3, 4 and 6 have 2, 2 and 5 have 1. User "dee" has every item but 7 and 8.
HAS = {
    "ann": [1, 3, 4],
    "bob": [1, 3],
    "cy": [1, 6],
    "dee": [1, 2, 3, 4, 5, 6],
    "eve": [],  # in the catalog without an interaction
}


def interactions():
    rows = [(user, item) for user, items in HAS.items() for item in items] + [("eve", 7), ("eve", 8)]
    data = jaxrec.from_arrays(*zip(*rows, strict=True), titles=TITLES)
    return data.select(np.arange(len(rows) - 2))


DATA = interactions()
MODEL = jaxrec.fit(Popularity(), DATA, key=jax.random.key(0))


def items_of(lists, who):
    return [one.item for one in lists[who]]


def test_lists_have_ids_titles_and_scores_best_first():
    lists = jaxrec.recommend(MODEL, ["cy", "bob"], k=3)
    assert list(lists.lists) == ["cy", "bob"]
    assert items_of(lists, "bob") == [4, 6, 2]  # ties go to the lower index
    assert [one.title for one in lists["bob"]] == ["Casino (1995)", "Up (2009)", "Heat (1986)"]
    assert [one.score for one in lists["bob"]] == [2, 2, 1]
    assert items_of(lists, "cy") == [3, 4, 2]
    assert len(lists) == 2
    assert [who for who, _ in lists] == ["cy", "bob"]
    assert not lists.notes


def test_an_item_without_a_title_is_called_by_its_id():
    shown = jaxrec.recommend(MODEL, ["bob"], k=4)["bob"][3]
    assert (shown.item, shown.title) == (5, "5")


def test_all_users_are_those_of_the_data_and_eve_is_told_of():
    with pytest.raises(UnknownIdError, match="'eve' has no interaction in the fitted part"):
        jaxrec.recommend(MODEL, k=1)
    lists = jaxrec.recommend(MODEL, k=1, unknown="skip")
    assert list(lists.lists) == ["ann", "bob", "cy", "dee"]
    assert any("eve" in note or "1 user" in note for note in lists.notes)


def test_one_user_needs_no_list():
    assert items_of(jaxrec.recommend(MODEL, "bob", k=1), "bob") == [4]


@pytest.mark.parametrize("who", ["zoe", "eve"])
def test_unknown_users_raise_or_are_skipped_or_get_what_is_popular(who):
    with pytest.raises(UnknownIdError, match=who):
        jaxrec.recommend(MODEL, ["bob", who], k=2)
    skipped = jaxrec.recommend(MODEL, ["bob", who], k=2, unknown="skip")
    assert list(skipped.lists) == ["bob"]
    assert any("left out" in note for note in skipped.notes)
    popular = jaxrec.recommend(MODEL, [who, "bob"], k=3, unknown="popular")
    assert list(popular.lists) == [who, "bob"]
    assert items_of(popular, who) == [1, 3, 4]
    assert any("most popular" in note for note in popular.notes)


def test_popular_means_popular_whatever_the_model():
    model = jaxrec.fit(Random(), DATA, key=jax.random.key(0))
    lists = jaxrec.recommend(model, ["zoe", "zoe"], k=3, unknown="popular", exclude=["Toy Story"])
    assert items_of(lists, "zoe") == [1, 4, 6]


def test_unknown_users_are_named_with_the_nearest():
    data = jaxrec.from_arrays(["alice", "bernard"], [1, 2])
    model = jaxrec.fit(Popularity(), data, key=jax.random.key(0))
    with pytest.raises(UnknownIdError, match=r"unknown user 'alise': not among the 2 user ids .*did you mean alice"):
        jaxrec.recommend(model, ["alise"], k=1)


def test_numbers_and_texts_of_numbers_are_the_same_user():
    data = jaxrec.from_arrays([42, 7, 7], [1, 1, 2])
    model = jaxrec.fit(Popularity(), data, key=jax.random.key(0))
    assert [one.item for one in jaxrec.recommend(model, ["42"], k=1)["42"]] == [2]
    assert [one.item for one in jaxrec.recommend(model, [42], k=1)[42]] == [2]


def test_seen_items_come_back_when_they_are_asked_for():
    assert items_of(jaxrec.recommend(MODEL, ["bob"], k=2, filter_seen=False), "bob") == [1, 3]
    with pytest.warns(DeprecationWarning, match=r"recommend\(seen=\.\.\.\) is a name of 0.1 .* use filter_seen"):
        assert items_of(jaxrec.recommend(MODEL, ["bob"], k=2, seen=True), "bob") == [1, 3]


def test_excluded_items_never_come_and_candidates_alone_do():
    lists = jaxrec.recommend(MODEL, ["bob"], k=2, exclude=[4, "Up"])
    assert items_of(lists, "bob") == [2, 5]
    lists = jaxrec.recommend(MODEL, ["bob"], k=2, candidates=["Up", 2, 1])
    assert items_of(lists, "bob") == [6, 2]  # item 1 is bob's own
    lists = jaxrec.recommend(MODEL, ["bob"], k=2, candidates=["Up", 2], exclude=[2])
    assert items_of(lists, "bob") == [6]
    assert lists.notes == ("user bob has only 1 items left to recommend, fewer than k=2",)
    with pytest.raises(UnknownIdError, match=r"unknown item 'Heet'.*did you mean Heat"):
        jaxrec.recommend(MODEL, ["bob"], k=2, exclude=["Heet"])
    lists = jaxrec.recommend(MODEL, ["bob"], k=2, exclude=np.array([4, 6]))
    assert items_of(lists, "bob") == [2, 5]


def test_lists_are_short_and_noted_where_items_run_out():
    lists = jaxrec.recommend(MODEL, ["dee", "bob"], k=4)
    assert items_of(lists, "dee") == [7, 8]
    assert len(lists["bob"]) == 4
    assert lists.notes[0] == "user dee has only 2 items left to recommend, fewer than k=4"
    assert lists.notes[1].startswith("2 of 6 places have items without an interaction in the fitted part, such as 7")


def test_a_user_who_has_everything_gets_an_empty_list():
    data = jaxrec.from_arrays(["all", "all", "some"], [1, 2, 1])
    model = jaxrec.fit(ItemKNN(), data, key=jax.random.key(0))
    lists = jaxrec.recommend(model, ["all", "some"], k=2)
    assert lists["all"] == []
    assert items_of(lists, "some") == [2]
    assert lists.notes
    assert "all" in str(lists)


@pytest.mark.parametrize("k", [0, -1, 9])
def test_k_out_of_range_raises(k):
    with pytest.raises(JaxrecError, match=rf"k must lie in 1\.\.8 \(the number of items\), got {k}"):
        jaxrec.recommend(MODEL, ["bob"], k=k)


def test_an_unknown_way_with_unknown_users_raises():
    with pytest.raises(JaxrecError, match=r"unknown must be .* got 'ignore'"):
        jaxrec.recommend(MODEL, ["bob"], unknown="ignore")


@pytest.mark.parametrize(
    ("asked", "item"),
    [
        (4, 4),
        ("4", 4),
        (np.int64(4), 4),
        ("Casino (1995)", 4),
        ("casino", 4),
        ("TOY STORY", 3),
        ("Heat (1986)", 2),
        ("The 400 Blows", 8),
    ],
)
def test_items_are_named_by_id_or_title(asked, item):
    assert DATA.items.ids[item_indices(MODEL, [asked])].tolist() == [item]


def test_ambiguous_titles_list_their_candidates():
    with pytest.raises(UnknownIdError, match=r"2 items are titled 'Heat': 1 \(Heat \(1995\)\), 2 \(Heat \(1986\)\)"):
        jaxrec.similar_items(jaxrec.fit(ItemKNN(), DATA, key=jax.random.key(0)), ["Heat"], k=2)


def test_unknown_titles_name_the_nearest():
    with pytest.raises(UnknownIdError, match=r"unknown item 'Solarix'.*did you mean Solaris \(1972\)"):
        item_indices(MODEL, ["Solarix"])
    with pytest.raises(UnknownIdError, match="unknown item 99: not among the 8 item ids"):
        item_indices(MODEL, [99])
    with pytest.raises(UnknownIdError, match="unknown item ''"):
        item_indices(MODEL, [""])  # item 5 has no title, which is no name


def test_the_list_of_similar_items_is_headed_by_the_title_of_the_item():
    model = jaxrec.fit(ItemKNN(), DATA, key=jax.random.key(0))
    first = str(jaxrec.similar_items(model, ["Toy Story"], k=2)).splitlines()[0]
    assert first == "item Toy Story (1995)  [3]"


def test_similar_items_leave_the_item_itself_out():
    model = jaxrec.fit(ItemKNN(), DATA, key=jax.random.key(0))
    lists = jaxrec.similar_items(model, ["Toy Story", 1], k=7)
    # Item 3 has ann, bob and dee; 1 has those and cy; 4 has ann and dee: 3 / sqrt(12) and 2 / sqrt(6).
    (asked, shown), (second, _) = lists
    assert (asked, second) == (3, 1)
    assert [one.item for one in shown[:2]] == [1, 4]
    np.testing.assert_allclose([one.score for one in shown[:2]], [3 / np.sqrt(12), 2 / np.sqrt(6)], rtol=1e-5)
    assert 3 not in [one.item for one in shown]
    assert lists.kind == "item"


@pytest.mark.parametrize("k", [0, 8])
def test_k_of_similar_items_out_of_range_raises(k):
    with pytest.raises(JaxrecError, match=rf"k must lie in 1\.\.7 \(the number of other items\), got {k}"):
        jaxrec.similar_items(jaxrec.fit(ItemKNN(), DATA, key=jax.random.key(0)), [1], k=k)


@pytest.mark.parametrize("model", [Popularity(), Random()])
def test_models_without_similarities_refuse(model):
    fitted = jaxrec.fit(model, DATA, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match=f"a {fitted.name} model has no similarity"):
        jaxrec.similar_items(fitted, [1], k=2)


def test_predictions_of_pairs():
    np.testing.assert_array_equal(jaxrec.predict(MODEL, ["ann", "bob"], ["Toy Story", 1]), [3, 4])
    assert jaxrec.predict(MODEL, [], []).shape == (0,)
    with pytest.raises(MismatchError, match="users has 1 entries and items has 2"):
        jaxrec.predict(MODEL, ["ann"], [1, 2])
    with pytest.raises(UnknownIdError, match="unknown user 'zoe'"):
        jaxrec.predict(MODEL, ["zoe"], [1])
    with pytest.raises(UnknownIdError, match="unknown item 'Heet'"):
        jaxrec.predict(MODEL, ["ann"], ["Heet"])


ROWS = [("bob", 1, 4, "Casino (1995)", 2.0), ("bob", 2, 6, "Up (2009)", 2.0)]


def test_lists_become_rows_frames_and_files(tmp_path):
    lists = jaxrec.recommend(MODEL, ["bob"], k=2)
    assert list(lists.rows()) == ROWS
    frame = lists.to_frame()
    assert frame.columns.tolist() == ["user", "rank", "item", "title", "score"]
    assert [tuple(row) for row in frame.itertuples(index=False)] == ROWS
    lists.save(tmp_path / "lists.csv")
    with open(tmp_path / "lists.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == frame.columns.tolist()
    assert [(r[0], int(r[1]), int(r[2]), r[3], float(r[4])) for r in rows[1:]] == ROWS
    lists.save(tmp_path / "lists.json")
    assert json.loads((tmp_path / "lists.json").read_text()) == lists.to_dict()
    assert json.loads(json.dumps(lists.to_dict())) == lists.to_dict()
    lists.save(tmp_path / "lists.parquet")
    import pandas

    assert [tuple(r) for r in pandas.read_parquet(tmp_path / "lists.parquet").itertuples(index=False)] == ROWS


def test_another_ending_of_a_file_raises(tmp_path):
    with pytest.raises(JaxrecError, match=r"the ending must be .csv, .json or .parquet"):
        jaxrec.recommend(MODEL, ["bob"], k=2).save(tmp_path / "lists.xlsx")


def test_lists_are_found_by_who_was_asked_for():
    lists = jaxrec.recommend(MODEL, ["bob"], k=1)
    with pytest.raises(KeyError):
        lists["nobody"]
    assert str(lists).startswith("user bob")
    assert "Casino (1995)" in str(lists)


NUMBERS = jaxrec.fit(Popularity(), jaxrec.from_arrays([1, 1, 2, 2, 3], [5, 6, 6, 7, 5]), key=jax.random.key(0))


def columns_of(ids):
    """One list of ids in every form that a caller may have it in."""
    return {
        "list": ids,
        "tuple": tuple(ids),
        "generator": (one for one in ids),
        "set": dict.fromkeys(ids).keys(),
        "numpy": np.array(ids),
        "jax": jax.numpy.array(ids),
        "pandas": pandas.Series(ids),
        "pandas index": pandas.Index(ids),
        "pandas table": pandas.DataFrame({"who": ids}),
        "polars": polars.Series(ids),
        "polars table": polars.DataFrame({"who": ids}),
        "polars lazy": polars.DataFrame({"who": ids}).lazy(),
        "arrow": pyarrow.array(ids),
        "arrow column": pyarrow.chunked_array([ids]),
        "arrow table": pyarrow.table({"who": ids}),
    }


@pytest.mark.parametrize("kind", columns_of([1]))
def test_ids_come_in_any_list_or_column(kind):
    users, items = columns_of([1, 3])[kind], columns_of([5, 7])[kind]
    assert list(jaxrec.recommend(NUMBERS, users, k=1).lists) == [1, 3]
    np.testing.assert_array_equal(jaxrec.predict(NUMBERS, columns_of([1, 3])[kind], items), [2, 1])
    excluded = jaxrec.recommend(NUMBERS, [1], k=2, exclude=columns_of([7])[kind])
    assert excluded.lists == {1: []}
    assert items_of(jaxrec.recommend(NUMBERS, [1], k=1, candidates=columns_of([7])[kind]), 1) == [7]


@pytest.mark.parametrize("one", [1, "1", 1.0, np.int64(1), np.array(1), pyarrow.scalar(1), pandas.Series([1])[0]])
def test_one_id_is_a_list_of_one(one):
    assert list(jaxrec.recommend(NUMBERS, one, k=1).lists) == [1]
    assert jaxrec.predict(NUMBERS, one, np.int64(5)).tolist() == [2]
    similar = jaxrec.similar_items(jaxrec.fit(ItemKNN(), DATA, key=jax.random.key(0)), one, k=1)
    assert list(similar.lists) == [1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jaxrec.recommend("runs/first", [1]), "model is of type str; pass a fitted model"),
        (lambda: jaxrec.predict(Popularity(), [1], [5]), "model is of type Popularity; pass a fitted model"),
        (lambda: jaxrec.similar_items(None, [5]), "model is of type NoneType; pass a fitted model"),
        (lambda: jaxrec.recommend(NUMBERS, {1: "x"}, k=1), "users is a mapping; pass a list of ids"),
        (lambda: jaxrec.recommend(NUMBERS, object, k=1), "users is <class 'object'>; pass one id, or a list of ids"),
        (lambda: jaxrec.recommend(NUMBERS, [[1, 3]], k=1), r"unknown user \[1, 3\]"),
        (lambda: jaxrec.recommend(NUMBERS, np.ones((2, 2)), k=1), r"users has shape \(2, 2\); pass a one-dim"),
        (
            lambda: jaxrec.recommend(NUMBERS, pandas.DataFrame({"user": [1], "age": [2]}), k=1),
            "users is a table with the columns 'user', 'age'; pass one column of ids",
        ),
        (lambda: jaxrec.predict(NUMBERS, None, [5]), "users is None; pass one id, or a list of ids"),
        (lambda: jaxrec.predict(NUMBERS, [1], None), "items is None; pass one id"),
        (lambda: jaxrec.recommend(NUMBERS, [1], k="2"), "k is '2'; pass a whole number of at least 1"),
        (lambda: jaxrec.recommend(NUMBERS, [1], k=2.0), "k is 2.0; pass a whole number"),
        (lambda: jaxrec.recommend(NUMBERS, [1], k=1, filter_seen="no"), "filter_seen is 'no'; pass True or False"),
        (lambda: jaxrec.recommend(NUMBERS, [1], k=1, exclude={"a": 1}), "exclude is a mapping; pass a list of ids"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_words(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()


def test_nothing_excluded_may_be_written_as_none():
    assert items_of(jaxrec.recommend(NUMBERS, [1], k=1, exclude=None), 1) == [7]


def test_interactions_are_no_seen_items_and_the_message_says_how_to_make_them():
    with pytest.raises(
        MismatchError, match=r"seen is of type Interactions; pass SeenItems.*seen_items\(split.fitted\)"
    ):
        recommend_lists(MODEL.scorer, [0], 1, seen=DATA)


def test_a_slip_is_corrected_by_ids_that_are_near_and_a_stranger_by_none():
    data = jaxrec.from_arrays([*range(1, 100), 12345], [1] * 100)
    model = jaxrec.fit(Popularity(), data, key=jax.random.key(0))
    for asked, near in ((0, "did you mean 1?"), (100, "did you mean 99?"), (12354, "did you mean 12345?")):
        with pytest.raises(UnknownIdError) as caught:
            jaxrec.recommend(model, [asked], k=1)
        assert str(caught.value).endswith(near)
    with pytest.raises(UnknownIdError) as caught:
        jaxrec.recommend(model, [5000], k=1)
    assert "did you mean" not in str(caught.value)


def test_many_lists_are_shown_in_part_and_everything_is_escaped():
    data = jaxrec.from_arrays(range(500), [1, 2] * 250, titles={1: "<b>One</b>", 2: "Two & more"})
    lists = jaxrec.recommend(jaxrec.fit(Popularity(), data, key=jax.random.key(0)), k=1)
    shown = repr(lists)
    assert shown.count("\n") <= 40
    assert "... 500 lists in all" in shown
    assert str(lists).count("\n") == 2 * 500 - 1  # what is printed is whole
    page = lists._repr_html_()
    assert "&lt;b&gt;One&lt;/b&gt;" in page
    assert "<b>One" not in page
    assert "Two &amp; more" in page
    assert "Recommendations: 500 lists" in page


def test_an_item_without_data_is_told_of():
    data = jaxrec.from_arrays([1, 1, 2, 2, 3], [5, 6, 6, 7, 8])
    model = jaxrec.fit(ItemKNN(), data.select(data.item != 3), key=jax.random.key(0))
    assert jaxrec.similar_items(model, [5, 8], k=1).notes == (
        "item 8 has no interaction in the fitted part, so its list says little",
    )


def test_places_of_items_without_training_data_are_counted():
    lists = jaxrec.recommend(MODEL, ["ann"], k=5)
    assert [item in items_of(lists, "ann") for item in (7, 8)] == [True, True]
    (note,) = lists.notes
    assert note.startswith("2 of 5 places have items without an interaction in the fitted part, such as 7: nothing was")
    assert jaxrec.recommend(MODEL, ["ann"], k=3).notes == ()
    (note,) = jaxrec.recommend(MODEL, history=[1], k=1, candidates=[8]).notes
    assert note.startswith("1 of 1 places have items without an interaction")
    lists = jaxrec.similar_items(jaxrec.fit(jaxrec.MF(dim=2), DATA, epochs=1, key=jax.random.key(0)), [1], k=7)
    assert lists.notes[0].startswith("2 of 7 places have items without an interaction in the fitted part")


def test_blanks_around_an_id_do_not_make_a_title_of_it():
    data = jaxrec.from_arrays(
        [0, 0, 1, 1, 2, 2], [300, 7, 300, 7, 51662, 8], titles={300: "Quiz Show", 51662: "300 (2007)", 7: "Heat"}
    )
    model = jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0))
    for text in ("300", "300 ", " 300"):
        with pytest.warns(UserWarning, match="is taken for the id of 300 .* also the title of 51662"):
            assert list(jaxrec.similar_items(model, [text], k=1).lists) == [300]
