"""Ids that may not be meant: words for a missing value, and one number written in two ways."""

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

import jaxrec
from jaxrec.errors import DataError

WORDS = ("NaN", "nan", "NA", "N/A", "n/a", "NULL", "null", "None", "none", "<NA>", "#N/A", "(null)", "\\N", "NaT")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("role", ["user", "item"])
def test_a_word_for_a_missing_value_is_refused_dropped_or_kept(reading, word, role):
    rows = [("ann", "x"), ("bob", word) if role == "item" else (word, "y"), ("cat", "z")]
    text = "user,item\n" + "".join(",".join(row) + "\n" for row in rows)
    with pytest.raises(DataError, match=rf":3: the {role} is .*, a word for a missing value; pass missing='drop'"):
        reading(text)
    dropped = reading(text, missing="drop")
    assert dropped.users.ids.tolist() == ["ann", "cat"]
    assert "1 rows left out, whose user or item is missing" in dropped.notes
    kept = reading(text, missing="keep")
    assert word in (kept.users if role == "user" else kept.items).ids.tolist()
    assert f"{role} ids: 1 of 3 are words for a missing value, kept as ids ({word!r})" in kept.notes


def test_ids_that_only_begin_like_one_are_ids(reading):
    names = ["Nancy", "Nate", "na", "nat", "nulls", "<b>", "#1", "-1x", "No"]
    data = reading("user,item\n" + "".join(f"{name},x\n" for name in names))
    assert data.users.ids.tolist() == sorted(names)
    assert not any("missing" in note for note in data.notes)


def test_empty_ids_are_dropped_too_and_never_kept(reading):
    text = "user,item,rating\n1,2,5\n,3,4\n7,,3\n"
    data = reading(text, missing="drop")
    assert (data.users.ids.tolist(), data.rating.tolist()) == ([1], [5])
    assert "2 rows left out, whose user or item is missing" in data.notes
    with pytest.raises(DataError, match=":3: the user is missing"):
        reading(text, missing="keep")
    with pytest.raises(DataError, match="no interaction, only 1 rows without an id"):
        reading("user,item\nNaN,3\n", missing="drop")
    with pytest.raises(DataError, match="missing is 'ignore'; pass 'raise', 'drop' or 'keep'"):
        reading(text, missing="ignore")


def test_words_and_blanks_in_tables_and_arrays_are_counted(tmp_path):
    users, items = ["NULL", "ann", "", "  "], [1, 2, 3, 4]
    table = pyarrow.table({"user": users, "item": items})
    pyarrow.parquet.write_table(table, tmp_path / "likes.parquet")
    for data in (
        jaxrec.from_arrays(users, items),
        jaxrec.from_arrays(items, users),
        jaxrec.from_frame({"user": users, "item": items}),
        jaxrec.from_frame(table),
        jaxrec.read(tmp_path / "likes.parquet"),
    ):
        role = "user" if data.users.ids.dtype.kind == "U" else "item"
        assert f"{role} ids: 1 of 4 are words for a missing value, kept as ids ('NULL')" in data.notes
        assert f"{role} ids: 2 of 4 are blank, kept as ids ('', '  ')" in data.notes


def test_one_number_in_two_forms_is_refused(reading, tmp_path):
    with pytest.raises(DataError, match=r"the items '7\.0' and '7' are of one number; write it in one way"):
        reading("user,item\n1,7\n2,7.0\n")
    for name, user in (("train.csv", "1"), ("test.csv", "1.0")):
        (tmp_path / name).write_text(f"user,item\n{user},{name}\n2x,all{name}\n")
    with pytest.raises(DataError, match=r"the users '1\.0' in test and '1' in train are of one number"):
        jaxrec.read_split(tmp_path / "train.csv", tmp_path / "test.csv")
    (tmp_path / "train.csv").write_text("user,item\n1,a\n2,b\n")
    (tmp_path / "test.csv").write_text("user,item\n1.0,c\n")
    with pytest.raises(DataError, match=r"the users '1\.0' in test and '1' in train are of one number"):
        jaxrec.read_split(tmp_path / "train.csv", tmp_path / "test.csv")


def test_leading_zeros_make_another_id(reading, tmp_path):
    data = reading("user,item\n1,007\n1,7\n")
    assert data.items.ids.tolist() == ["007", "7"]
    (tmp_path / "movies.csv").write_text("movieId,title\n7,Seven\n")
    data = reading("userId,movieId\n1,007\n", name="ratings.csv", items=tmp_path / "movies.csv")
    assert data.titles.tolist() == [""]
    assert any("title from movies.csv for 0 of 1 items" in note for note in data.notes)
    (tmp_path / "movies.csv").write_text("movieId,title\n7.0,Seven\n")
    data = reading("userId,movieId\n1,7\n", name="ratings.csv", items=tmp_path / "movies.csv")
    assert any("'7.0' is not '7': write ids in one way" in note for note in data.notes)


def test_whole_numbers_with_a_point_and_ratings_of_nothing_are_counted(reading):
    data = reading("user,item,rating\n1.0,5,0\n2.0,6,-1\n3.0,6,4\n")
    assert data.users.ids.tolist() == ["1.0", "2.0", "3.0"]
    assert "user ids: 3 of 3 are whole numbers with a point, read as strings ('1.0', '2.0', '3.0')" in data.notes
    told = "2 of 3 ratings are 0 or less and are kept as interactions; min_rating leaves them out"
    assert told in data.notes
    frame = {"user": [1, 2, 3], "item": [5, 6, 6], "rating": np.array([0, -1, 4])}
    assert told in jaxrec.from_frame(frame).notes


def test_blanks_cut_off_around_text_ids_are_told(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("user,item\nann , x\nann,y\n bob,x\n\tbob,z\n")
    notes = jaxrec.read(path).notes
    assert "user ids: blanks around them are cut off, in 3 of 4 rows" in notes
    assert "item ids: blanks around them are cut off, in 1 of 4 rows" in notes


@pytest.mark.parametrize(
    "text", ["user,item\n1, 10\n2, 20\n", "user\titem\nann\tx\nbob\ty\n", "user,item\r\nann,x\r\nbob,y\r\n"]
)
def test_no_note_where_blanks_cannot_matter(tmp_path, text):
    path = tmp_path / "plays.csv"
    path.write_bytes(text.encode())
    assert not any("blanks" in note for note in jaxrec.read(path).notes)


def test_ids_of_a_frame_that_are_padded_are_kept_and_told():
    data = jaxrec.from_arrays(["ann ", "ann", "bob"], ["x", "\tx", "y"])
    assert data.num_users == 3
    assert "user ids: 1 of 3 are padded with blanks, kept as ids ('ann ')" in data.notes
    assert any(note.startswith("item ids: 1 of 3 are padded with blanks") for note in data.notes)


def ways_of(tmp_path, users, **columns):
    """The notes of the same rows from a text file, a Parquet file, a frame and, without times, from arrays."""
    rows = {"user": users, "item": [f"film {at}" for at in range(len(users))], **columns}
    table = pyarrow.table(rows)
    pyarrow.parquet.write_table(table, tmp_path / "events.parquet")
    lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    made = [jaxrec.read(tmp_path / "events.csv"), jaxrec.read(tmp_path / "events.parquet"), jaxrec.from_frame(rows)]
    return [data.notes for data in made + ([] if columns else [jaxrec.from_arrays(rows["user"], rows["item"])])]


@pytest.mark.parametrize("word", ["-", "?", ".", "unknown", "MISSING", "#VALUE!", "-1.#IND", "[null]", "inf"])
def test_a_word_that_may_stand_for_a_missing_value_is_told(tmp_path, word):
    told = f"user ids: 1 of 3 may stand for a missing value, kept as ids ('{word}')"
    assert all(told in notes for notes in ways_of(tmp_path, ["ann", word, "bob"]))


@pytest.mark.parametrize("text", ["1.23457E+17", "9E+11", "1.2e+15"])
def test_numbers_that_a_spreadsheet_rounded_are_told(tmp_path, text):
    """123456789012345678 and 123456789012345999 are both shown as 1.23457E+17, and saved so."""
    for notes in ways_of(tmp_path, ["ann", text, "bob"]):
        assert any(
            f"1 of 3 are numbers that a spreadsheet rounded, several ids in one ('{text}')" in note for note in notes
        )


def test_plain_ids_have_no_such_note(tmp_path):
    for notes in ways_of(tmp_path, ["e+", "1e5", "c++", "dash-er", "7"]):
        assert not any("stand for" in note or "spreadsheet" in note for note in notes)


def test_times_of_the_size_of_two_units_are_told(tmp_path):
    told = "timestamp: 1 of the size of seconds, 2 of milliseconds: bring them to one unit, they have no order"
    for notes in ways_of(
        tmp_path, ["ann", "bob", "cat"], timestamp=[1_600_000_000, 1_600_000_000_000, 1_600_000_000_001]
    ):
        assert told in notes
    for notes in ways_of(tmp_path, ["ann", "bob", "cat"], timestamp=[0, 7, 1_600_000_000]):
        assert not any("bring them" in note for note in notes)


def test_a_frame_with_its_users_in_the_index_is_told_the_remedy():
    frame = pandas.DataFrame({"item": ["x", "y"]}, index=pandas.Index(["ann", "bob"], name="user"))
    with pytest.raises(DataError, match=r"no column for the user; .* its index is 'user': pass frame.reset_index\(\)"):
        jaxrec.from_frame(frame)
    assert jaxrec.from_frame(frame.reset_index()).num_users == 2
