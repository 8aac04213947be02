"""The container of interactions: what it accepts, what it refuses, and what selecting keeps."""

import dataclasses

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data._filters import deduplicate, k_core, min_rating, prepare
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import TEST, TRAIN, Interactions, check_index, check_rating, check_timestamp
from jaxrec.data._seen import seen_items
from jaxrec.data.reading import read, to_frame, to_networkx, to_scipy
from jaxrec.data.splitting import split
from jaxrec.errors import DataError, JaxrecError
from jaxrec.reports import Report

USERS, ITEMS = IdMap(np.array(["ann", "bo"]), "user"), IdMap(np.array([10, 20, 30]), "item")
rows = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abcd"), st.integers(1, 10), st.integers(0, 99)), max_size=20
)


def small(**columns):
    return Interactions(**{"user": [0, 0, 1], "item": [0, 2, 0], "users": USERS, "items": ITEMS, **columns})


@given(rows)
def test_from_arrays_gives_the_ids_back(given_rows):
    user, item, rating, timestamp = ([row[at] for row in given_rows] for at in range(4))
    data = Interactions.from_arrays(user, item, rating, timestamp)
    assert data.users.ids[data.user].tolist() == user
    assert data.items.ids[data.item].tolist() == item
    assert data.rating.tolist() == rating
    assert data.timestamp.tolist() == timestamp
    assert (data.user.dtype, data.item.dtype) == (np.int32, np.int32)
    assert (data.rating.dtype, data.timestamp.dtype) == (np.float32, np.int64)
    assert data.counts() == {"users": len(set(user)), "items": len(set(item)), "interactions": len(user)}


@given(rows.filter(bool), st.randoms())
def test_indices_do_not_depend_on_the_order_of_rows(given_rows, random):
    shuffled = random.sample(given_rows, len(given_rows))
    one, other = (
        Interactions.from_arrays([r[0] for r in some], [r[1] for r in some]) for some in (given_rows, shuffled)
    )
    assert one.same_catalog(other)
    assert one.users.ids.tolist() == sorted({row[0] for row in given_rows})


def test_titles_and_columns_follow_their_items():
    data = Interactions.from_arrays(
        [1, 1], [20, 10], titles={10: "Ten", 99: "Unused"}, item_columns={"year": {20: 1999}, "genre": {10: "war"}}
    )
    assert data.items.ids.tolist() == [10, 20]
    assert data.titles.tolist() == ["Ten", ""]
    assert data.item_columns["genre"].tolist() == ["war", ""]
    np.testing.assert_array_equal(data.item_columns["year"], [np.nan, 1999])
    assert data.notes == ("title: 1 of 2 are of items without interactions, left out",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": [0, 0]}, "user has 2 entries and item has 3; they must be of one length"),
        ({"user": [0, -1, 1]}, r"user index -1 at position 1 is outside 0\.\.1"),
        ({"item": [0, 3, 1]}, r"item index 3 at position 1 is outside 0\.\.2; pass the caller's ids to Interactions"),
        ({"item": np.array([0, 2**64 - 1, 1], dtype=np.uint64)}, "item index 18446744073709551615 at position 1"),
        ({"user": [0.0, 1.0, 1.0]}, "user must be one-dimensional and of whole numbers"),
        ({"user": [[0], [0, 1]]}, "user is not an array"),
        ({"rating": [1, 2]}, r"rating has shape \(2,\), expected \(3,\): one rating for each interaction"),
        ({"rating": [1, float("nan"), 2]}, "rating at position 1 is nan; remove the row or give it a finite rating"),
        ({"rating": [1, 2, float("inf")]}, "rating at position 2 is inf"),
        ({"rating": [1, None, 2]}, "rating at position 1 is nan"),
        ({"rating": [1e39, 2, 3]}, r"rating at position 0 is 1e\+39"),
        ({"rating": ["5", "x", "1"]}, "rating must be numbers: got dtype <U1"),
        ({"rating": np.array([5, "1", 2], dtype=object)}, "rating must be numbers: got the text '1'"),
        ({"timestamp": [1, 2]}, r"timestamp has shape \(2,\)"),
        ({"timestamp": [1, 2.5, 3]}, r"timestamp at position 1 is 2.5, which is not a whole number of 64 bits; round"),
        ({"timestamp": [1, float("nan"), 3]}, "timestamp at position 1 is nan"),
        ({"timestamp": [1, 1e30, 3]}, r"timestamp at position 1 is 1e\+30"),
        ({"timestamp": np.array([1, 2**63, 3], dtype=np.uint64)}, "timestamp at position 1 is 9223372036854775808"),
        ({"timestamp": ["1", "2", "3"]}, "timestamp must be whole numbers or dates, got dtype <U1"),
        (
            {"timestamp": np.array(["2020-01-01", "NaT", "2020-01-01"], "datetime64[s]")},
            r"position 1 is missing \(NaT\)",
        ),
        (
            {"rating": np.ma.array([5, 1, 2], mask=[False, True, False])},
            "rating at position 1 is masked; leave the rows that are masked out of all columns",
        ),
        ({"timestamp": np.ma.array([1, 2, 3], mask=[False, False, True])}, "timestamp at position 2 is masked"),
        ({"part": [0, 3, 0]}, r"part index 3 at position 1 is outside 0\.\.2"),
        ({"part": [0, 1]}, "part has 2 entries and user has 3"),
        ({"titles": ["a", "b"]}, r"item column 'title' has shape \(2,\), expected \(3,\)"),
        ({"item_columns": {"year": [1]}}, r"item column 'year' has shape \(1,\), expected \(3,\)"),
        ({"users": ["ann", "bo"]}, "users is of type list; pass an IdMap, or use from_arrays"),
    ],
)
def test_bad_columns_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        small(**columns)


def test_more_ids_than_int32_can_count_are_refused():
    with pytest.raises(DataError, match="2,147,483,648 items do not fit in int32 indices"):
        check_index([0], 2**31, "item")


def test_dates_become_unix_seconds():
    dates = np.array(["1970-01-02", "1969-12-31T23:59:59"], dtype="datetime64[ms]")
    assert check_timestamp(dates, 2).tolist() == [24 * 60 * 60, -1]
    assert check_timestamp([3.0, -4.0], 2).tolist() == [3, -4]
    assert check_rating([True, False], 2).tolist() == [1.0, 0.0]


def test_the_arrays_are_read_only_and_those_of_the_caller_are_left_alone():
    arrays = {
        "user": np.array([0, 0, 1], dtype=np.int32),
        "item": np.array([0, 2, 0], dtype=np.int32),
        "rating": np.array([1, 2, 3], dtype=np.float32),
        "timestamp": np.array([1, 2, 3]),
        "part": np.array([TRAIN, TRAIN, TEST], dtype=np.uint8),
        "titles": np.array(["a", "b", "c"]),
    }
    year = np.array([1, 2, 3])
    data = small(**arrays, item_columns={"year": year})
    before = dataclasses.replace(data).fingerprint()
    for name, array in (*arrays.items(), ("year", year)):
        array[:] = array[::-1].copy()  # still the caller's own, and writable
        held = data.item_columns["year"] if name == "year" else getattr(data, name)
        with pytest.raises(ValueError, match="read-only"):
            held[0] = held[1]
    assert data.fingerprint() == before
    assert data.item_columns["year"].tolist() == [1, 2, 3]
    # What is read-only already is shared, so that a step that changes one column copies no other.
    assert np.shares_memory(data.with_note("x").rating, data.rating)


def test_select_keeps_the_catalog_and_compact_drops_what_is_unused():
    data = small(
        rating=[5, 4, 3], timestamp=[7, 8, 9], part=[0, 1, 2], titles=["a", "b", "c"], item_columns={"year": [1, 2, 3]}
    )
    for selection in (np.array([False, True, False]), [1], np.array([1])):
        one = data.select(selection, "second row")
        assert (one.user.tolist(), one.item.tolist(), one.rating.tolist()) == ([0], [2], [4])
        assert (one.timestamp.tolist(), one.part.tolist(), one.notes) == ([8], [1], ("second row",))
        assert one.same_catalog(data)
        assert one.counts() == {"users": 2, "items": 3, "interactions": 1}
    compact = one.compact()
    assert compact.counts() == {"users": 1, "items": 1, "interactions": 1}
    assert (compact.users.ids.tolist(), compact.items.ids.tolist()) == (["ann"], [30])
    assert (compact.titles.tolist(), compact.item_columns["year"].tolist()) == (["c"], [3])
    assert not compact.same_catalog(data)


def test_no_interaction_is_possible():
    empty = small().select([])
    assert len(empty) == 0
    assert empty.compact().counts() == {"users": 0, "items": 0, "interactions": 0}


def test_the_fingerprint_sees_every_value():
    base = {"rating": [5, 4, 3], "timestamp": [7, 8, 9]}
    changed = [
        {"rating": [5, 4, 2]},
        {"timestamp": [7, 8, 10]},
        {"rating": None},
        {"timestamp": None},
        {"item": [0, 1, 0]},
        {"user": [0, 1, 1]},
        {"users": IdMap(np.array(["ann", "bob"]), "user")},
        {"items": IdMap(np.array(["10", "20", "30"]), "item")},
    ]
    prints = [small(**{**base, **change}).fingerprint() for change in ({}, *changed)]
    assert len(set(prints)) == len(prints)
    assert small(**base).fingerprint() == prints[0]
    strange = IdMap(np.array(["\ud800", "b"]), "user")  # half a surrogate pair is a valid Python string
    assert len(small(users=strange).fingerprint()) == 64


DATA = Interactions.from_arrays(["ann", "ann", "bo", "bo"], [1, 2, 1, 3], [5, 4, 3, 2])


def large():
    """Data whose arrays would fill many screens, with titles that a page must escape."""
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.sort(rng.choice(200 * 300, 20_000, replace=False)), 300)
    titles = {one: f"<i>film</i> {one}" for one in range(300)}
    data = Interactions.from_arrays(user, item, rng.integers(1, 6, 20_000), np.arange(20_000), titles=titles)
    for step in range(30):
        data = data.with_note(f"step {step}: " + "<words> " * 40)
    return data


def test_what_is_shown_unasked_fits_a_screen_and_counts():
    data = large()
    parts = split(data, "user_random")
    for thing, words in (
        (data, "200 users, 300 items, 20,000 interactions"),
        (parts, ", ".join(f"{len(part):,} {name}" for name, part in parts.parts().items()) + " interactions"),
        (data.users, "IdMap of 200 user ids: 0, 1, 2, ..., 199"),
        (seen_items(data), "SeenItems of 200 users: 20,000 pairs"),
    ):
        shown = repr(thing)
        assert words in shown
        assert shown.count("\n") < 10
        assert len(shown) < 1200
    assert "rating 1 to 5; timestamp 0 to 19999; titles" in repr(data)
    assert "note: ... 26 earlier notes" in repr(data)
    assert repr(IdMap(np.array(["a", "b"]), "item")) == "IdMap of 2 item ids: 'a', 'b'"
    assert "0 interactions" in repr(data.select([]))


def test_pages_of_data_and_splits_are_escaped():
    data = large()
    for thing in (data, split(data, "user_random")):
        page = thing._repr_html_()
        assert page.startswith("<p><b>")
        assert "<words>" not in page
        assert "<i>" not in page
        assert len(page) < 4000
    assert "&lt;i&gt;film&lt;/i&gt;" in data._repr_html_()
    assert "<td>train</td>" in split(data, "user_random")._repr_html_()


def test_a_page_of_a_report_is_escaped():
    report = Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}, {"coverage@10": 0.25}, fitted="<train>")
    page = report._repr_html_()
    assert "<td>recall@10</td><td>0.5000</td>" in page
    assert "fitted: &lt;train&gt;" in page
    assert "<train>" not in page
    assert repr(report) == str(report)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Interactions.from_arrays([1], [2], titles=["x"]),
            "titles is of type list; pass a mapping from",
        ),
        (
            lambda: Interactions.from_arrays([1], [2], item_columns={"year": [1995]}),
            "year is of type list; pass a mapping from item id to value",
        ),
        (lambda: Interactions.from_arrays([1], [2], item_columns=["year"]), "item_columns is of type list; pass a map"),
        (lambda: Interactions.from_arrays({1: 2}, [3]), r"user is the mapping \{1: 2\}; pass a sequence"),
        (lambda: prepare(None, k_core=2), "data is of type NoneType; pass Interactions"),
        (lambda: k_core([1], 2), "data is of type list; pass Interactions"),
        (lambda: deduplicate("x"), "data is of type str; pass Interactions"),
        (lambda: min_rating({}, 2), "data is of type dict; pass Interactions"),
        (lambda: min_rating(DATA, "4"), "min_rating threshold is '4'; pass a finite number"),
        (lambda: seen_items(split(DATA, "random", test=0.5, valid=0)), "a part is of type Split; pass Interactions"),
        (lambda: seen_items(DATA).of("ann"), "user index 'ann' is outside"),
        (lambda: to_frame(np.ones(3)), "data is of type ndarray; pass Interactions"),
        (lambda: to_scipy(None), "data is of type NoneType; pass Interactions"),
        (lambda: to_networkx(None), "data is of type NoneType; pass Interactions"),
        (lambda: read(pandas.DataFrame({"user": [1]})), "which is no path .*; from_frame reads frames"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_words(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()


def test_titles_may_be_a_series():
    data = Interactions.from_arrays([1, 2], [3, 4], titles=pandas.Series({3: "Three", 5: "Five"}))
    assert data.titles.tolist() == ["Three", ""]
    assert data.notes == ("title: 1 of 2 are of items without interactions, left out",)


def test_the_old_name_of_comparing_catalogs_works_and_tells_the_new_one():
    with pytest.warns(DeprecationWarning, match="use same_catalog"):
        assert DATA.same_catalogue(DATA.select([0]))


@pytest.mark.parametrize("missing", [float("nan"), np.nan, None, np.datetime64("NaT"), pandas.NA, pandas.NaT])
def test_a_title_that_is_missing_is_empty(missing):
    data = Interactions.from_arrays(
        [1, 2], [5, 6], titles={5: "a", 6: missing}, item_columns={"x": {5: "b", 6: missing}}
    )
    assert data.titles.tolist() == ["a", ""]
    assert data.item_columns["x"].tolist() == ["b", ""]
    assert Interactions.from_arrays([1], [5], titles={5: missing}).titles.tolist() == [""]


@pytest.mark.parametrize(("item", "key"), [(5, "5"), (5, 5.0), ("5", 5), (5, np.int32(5))])
def test_titles_find_the_id_by_its_text_too(item, key):
    data = Interactions.from_arrays(["u"], [item], titles={key: "Heat"})
    assert data.titles.tolist() == ["Heat"]
    assert data.notes == ()
    (note,) = Interactions.from_arrays(["u"], [item], titles={key: "Heat", "x": "Up"}).notes
    assert note == "title: 1 of 2 are of items without interactions, left out"
