"""Interactions from and to data frames: pandas, polars, Arrow tables and mappings."""

import datetime
import sys

import numpy as np
import pandas
import polars
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._frames import from_frame, to_frame
from jaxrec.data.reading._readers import read
from jaxrec.errors import DataError

KINDS = {"pandas": pandas.DataFrame, "polars": polars.DataFrame, "arrow": pyarrow.table, "mapping": dict}
COLUMNS = {"user": ["bo", "ann", "bo"], "item": [30, 10, 10], "rating": [4.5, 3.0, 1.0], "timestamp": [9, 8, 7]}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)
rows = st.lists(
    st.tuples(texts, st.integers(-(2**63), 2**63 - 1), st.integers(1, 10), st.integers(-(2**40), 2**40)),
    min_size=1,
    max_size=15,
)


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


@given(rows)
def test_a_frame_and_back(given_rows):
    user, item, half_stars, timestamp = ([row[at] for row in given_rows] for at in range(4))
    data = Interactions.from_arrays(user, item, np.array(half_stars) / 2, timestamp)
    frame = to_frame(data)
    assert frame["user"].tolist() == user
    assert frame["item"].tolist() == item
    assert frame["rating"].tolist() == [rating / 2 for rating in half_stars]
    for kind in (frame, polars.from_pandas(frame), pyarrow.Table.from_pandas(frame)):
        assert from_frame(kind).fingerprint() == data.fingerprint()


def test_each_kind_of_frame(make):
    data = from_frame(make(COLUMNS))
    assert data.users.ids[data.user].tolist() == COLUMNS["user"]
    assert data.items.ids[data.item].tolist() == COLUMNS["item"]
    assert data.rating.tolist() == COLUMNS["rating"]
    assert data.timestamp.tolist() == COLUMNS["timestamp"]
    assert data.titles is None


def test_common_names_are_found_and_told(make):
    frame = make({"USER_ID": [1], "movieId": [2], "stars": [3.5], "time": [4], "tag": ["x"]})
    data = from_frame(frame)
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == ([1], [2])
    assert (data.rating.tolist(), data.timestamp.tolist()) == ([3.5], [4])
    assert data.notes == (
        "columns: user = 'USER_ID', item = 'movieId', rating = 'stars', timestamp = 'time'; left out: 'tag'",
    )


def test_stated_names_win_and_none_leaves_out():
    frame = {**COLUMNS, "other": ["x", "y", "z"], "when": [1, 2, 3]}
    data = from_frame(frame, columns={"user": "other", "timestamp": "when", "rating": None})
    assert data.users.ids.tolist() == ["x", "y", "z"]
    assert data.timestamp.tolist() == [1, 2, 3]
    assert data.rating is None


def test_titles_and_item_columns_are_those_of_the_first_row(make):
    frame = make(
        {
            "user": [1, 2, 3, 4],
            "item": [5, 5, 6, 7],
            "title": [None, "Five", "Six", None],
            "year": [1990, 1991, 1992, 1993],
            "genre": ["war", "war", None, "noir"],
            "score": [0.5, 0.5, None, 2.5],
        }
    )
    data = from_frame(frame, columns={"rating": None}, item_columns=["year", "genre", "score"])
    assert data.titles.tolist() == ["Five", "Six", ""]
    assert data.item_columns["year"].tolist() == [1990, 1992, 1993]
    assert data.item_columns["genre"].tolist() == ["war", "", "noir"]
    np.testing.assert_array_equal(data.item_columns["score"].astype(float), [0.5, np.nan, 2.5])
    assert "1 items have several values of year; the first is kept" in data.notes


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_become_unix_seconds(unit):
    moments = np.array(["1970-01-02T00:00:00", "2001-09-09T01:46:40"], dtype=f"datetime64[{unit}]")
    seconds = [24 * 60 * 60, 1_000_000_000]
    frame = pandas.DataFrame({"user": [1, 1], "item": [1, 2], "timestamp": moments})
    assert from_frame(frame).timestamp.tolist() == seconds
    zoned = frame.assign(timestamp=frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York"))
    assert from_frame(zoned).timestamp.tolist() == seconds
    assert from_frame(polars.from_pandas(frame)).timestamp.tolist() == seconds
    assert from_frame(polars.from_pandas(zoned)).timestamp.tolist() == seconds
    assert from_frame(pyarrow.Table.from_pandas(zoned)).timestamp.tolist() == seconds
    assert "dates in 'timestamp' became Unix seconds" in from_frame(frame).notes


def test_days_are_dates_too():
    days = [datetime.date(1970, 1, 3)]
    assert from_frame(polars.DataFrame({"user": [1], "item": [1], "time": days})).timestamp.tolist() == [2 * 86400]


def test_fractions_of_a_second_are_kept():
    data = from_frame({"user": [1, 1, 1], "item": [1, 2, 3], "timestamp": np.array([1.75, 2.0, -0.5])})
    assert (data.timestamp.tolist(), data.time_unit) == ([1750, 2000, -500], "ms")
    assert data.notes[-1] == "times with decimals in 'timestamp', taken for seconds, became whole numbers of ms"
    moments = np.array(["1970-01-01T00:00:01.500"], dtype="datetime64[ms]")
    data = from_frame({"user": [1], "item": [1], "timestamp": moments})
    assert (data.timestamp.tolist(), data.notes[-1]) == ([1500], "dates in 'timestamp' became Unix milliseconds")


@pytest.mark.parametrize("role", ["user", "item", "rating", "timestamp"])
def test_a_missing_value_is_refused_with_its_row(make, role):
    frame = make({**COLUMNS, role: [COLUMNS[role][0], None, None]})
    message = rf"frame: column '{role}' has no {role} in row 1 \(counted from 0\), and in 2 of 3 rows in all"
    with pytest.raises(DataError, match=message):
        from_frame(frame)


def test_gaps_of_every_kind_are_missing():
    for gap in (pandas.NA, None, float("nan"), pandas.NaT):
        frame = pandas.DataFrame({**COLUMNS, "user": pandas.Series(["a", gap, "b"], dtype=object)})
        with pytest.raises(DataError, match="no user in row 1"):
            from_frame(frame)
    for dtype in ("Int64", "category", "Float64"):
        frame = pandas.DataFrame({**COLUMNS, "user": pandas.Series([1, None, 2], dtype=dtype)})
        with pytest.raises(DataError, match="no user in row 1"):
            from_frame(frame)
    for role in ("user", "rating", "timestamp"):  # what NumPy masks
        masked = np.ma.array(COLUMNS[role], mask=[False, True, False])
        with pytest.raises(DataError, match=f"no {role} in row 1"):
            from_frame({**COLUMNS, role: masked})
    with pytest.raises(DataError, match="no rating in row 2"):
        from_frame(polars.DataFrame({**COLUMNS, "rating": [1.0, 2.0, float("nan")]}))


def test_categories_and_nullable_columns_without_gaps():
    frame = pandas.DataFrame(COLUMNS).astype({"user": "category", "item": "Int64", "rating": "Float64"})
    assert from_frame(frame).fingerprint() == from_frame(COLUMNS).fingerprint()
    frame = polars.DataFrame(COLUMNS).with_columns(polars.col("user").cast(polars.Categorical))
    assert from_frame(frame).fingerprint() == from_frame(COLUMNS).fingerprint()


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ({"a": [1], "b": [2]}, {}, "frame: no column for the user; the columns are 'a', 'b'; say which one it is"),
        ({}, {}, "no column for the user; there is no column"),
        (
            COLUMNS,
            {"columns": {"rating": "stars"}},
            "frame: no column 'stars' for the rating; the columns are 'user', 'item'",
        ),
        (COLUMNS, {"columns": {"user": None}}, "no column for the user"),
        (COLUMNS, {"columns": {"user": 7}}, "user is to be column 7, outside 0..3"),
        (COLUMNS, {"columns": {"user": "item"}}, "column 'item' is to be both user and item; give each its own"),
        (COLUMNS, {"item_columns": ["year"]}, "frame: no item column 'year'; the columns are 'user'"),
        (COLUMNS, {"item_columns": "year"}, "item_columns is the single text 'year'"),
        ({"userId": [1], "user_id": [2], "item": [3]}, {}, "'userId' and 'user_id' could both be the user"),
        ({"user": [], "item": []}, {}, "frame: no row"),
        ({**COLUMNS, "user": [1, "a", 2]}, {}, "user ids are of mixed types"),
        ({**COLUMNS, "user": [1.5, 2.0, 3.0]}, {}, "user id 1.5 at position 0 is not a whole number"),
        ({**COLUMNS, "rating": ["good", "bad", "bad"]}, {}, "rating must be numbers"),
        ({**COLUMNS, "rating": [1.0, float("inf"), 2.0]}, {}, "rating at position 1 is inf"),
        ({**COLUMNS, "timestamp": ["1.1.2020"] * 3}, {}, r"\(the first is '1.1.2020'\); convert it to dates or"),
        ({**COLUMNS, "timestamp": [1.0, float("inf"), 2.0]}, {}, "has inf in row 1; give it a finite time"),
        ({**COLUMNS, "timestamp": [[1], [2], [3]]}, {}, r"column 'timestamp' \(timestamp\) has shape \(3, 1\)"),
        ({**COLUMNS, "rating": [1.0]}, {}, r"rating has shape \(1,\), expected \(3,\)|one rating for each"),
        ([1, 2], {}, "frame is of type list; pass a pandas or polars frame"),
        (polars.DataFrame(COLUMNS).lazy(), {}, r"frame is lazy; pass frame.collect\(\)"),
        (pandas.DataFrame([[1, 2, 3]], columns=["user", "user", "item"]), {}, "column 'user' occurs more than once"),
    ],
)
def test_bad_frames_are_refused(frame, options, message):
    with pytest.raises(DataError, match=message):
        from_frame(frame, **options)


def test_the_frame_has_everything_but_idle_users_and_items():
    data = from_frame(
        {"user": ["a", "b"], "item": [1, 2], "title": ["One", "Two"], "year": [1990, 1991]}, item_columns=["year"]
    )
    data = Interactions(data.user, data.item, data.users, data.items, titles=data.titles, part=[0, 2])
    frame = to_frame(data)
    assert frame.to_dict("list") == {
        "user": ["a", "b"],
        "item": [1, 2],
        "part": ["train", "test"],
        "title": ["One", "Two"],
    }


def test_an_item_column_may_not_hide_another():
    data = Interactions.from_arrays([1], [2], item_columns={"user": {2: "x"}})
    with pytest.raises(DataError, match="item column 'user' has the name of another column"):
        to_frame(data)


def test_without_pandas_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DataError, match="to_frame needs pandas; install it"):
        to_frame(Interactions.from_arrays([1], [2]))


def test_a_frame_and_a_file_take_the_same_columns(tmp_path):
    frame = pandas.DataFrame({"who": ["a", "b"], "what": [1, 2], "value": [3.0, 4.0], "ordered_at": [10, 20]})
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    for columns in (
        {"user": "who", "item": "what", "rating": None},
        {"user": 0, "item": 1, "timestamp": "ordered_at"},
        ("user", "item", "rating", None),
        ["user", "item", None, "timestamp"],
    ):
        assert from_frame(frame, columns=columns).fingerprint() == read(path, columns=columns).fingerprint()
    for columns, message in (
        ({"who": "user", "what": "item"}, r"the other way around: columns=\{'user': 'who'\}"),
        ({"user": 1.5}, "columns has 'user': 1.5; map the roles"),
        (("user", "user"), "columns has 'user' at place 1; name each of"),
        ("user", "columns is 'user'; pass a mapping of role to column"),
        ({"user": "who", "item": 9}, r"item is to be column 9, outside 0\.\.3"),
        ({"user": "who", "item": "who"}, "column 'who' is to be both user and item"),
    ):
        for make in (from_frame, read):
            with pytest.raises(DataError, match=message):
                make(frame if make is from_frame else path, columns=columns)


def test_names_of_a_shop_are_known_or_told(tmp_path):
    frame = pandas.DataFrame(
        {"customer": [1, 2], "sku": ["x", "y"], "product_name": ["Ball", "Bat"], "ordered_at": [5, 6], "colour": "red"}
    )
    frame.to_csv(tmp_path / "orders.csv", index=False)
    frame.to_parquet(tmp_path / "orders.parquet")
    for data in (from_frame(frame), read(tmp_path / "orders.csv"), read(tmp_path / "orders.parquet")):
        assert data.titles.tolist() == ["Ball", "Bat"]
        note = next(note for note in data.notes if note.startswith("columns: "))
        assert note.endswith("left out: 'ordered_at' (the timestamp? columns={'timestamp': 'ordered_at'}), 'colour'")


def test_the_way_of_the_first_release_to_name_columns_works_and_tells_the_new_one():
    frame = {"who": [1, 2], "item": [3, 4], "rating": [1.0, 2.0]}
    with pytest.warns(DeprecationWarning, match=r"use from_frame\(frame, columns=\{'user': 'who', 'rating': None\}\)"):
        data = from_frame(frame, user="who", rating=None)
    assert data.fingerprint() == from_frame(frame, columns={"user": "who", "rating": None}).fingerprint()
    with pytest.raises(DataError, match="from_frame has no argument 'usr'"):
        from_frame(frame, usr="who")
    with pytest.raises(DataError, match="user and columns are both given"):
        from_frame(frame, user="who", columns={"user": "who"})
