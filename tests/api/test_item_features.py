"""Features of items: ids as they are written, one row an item, numbers or a refusal."""

from decimal import Decimal

import numpy as np
import pandas
import pytest

from jaxrec.api._item_features import read_features, space_of
from jaxrec.data import IdMap
from jaxrec.errors import DataError, JaxrecError, MismatchError

ITEMS = IdMap(np.array(["007", "008", "7"]), "item")


def file(folder, text):
    path = folder / "features.csv"
    path.write_text(text)
    return path


def test_the_columns_of_numbers_are_taken_and_named(tmp_path):
    path = file(tmp_path, "item;title;x;y\n007;300;1.5;2\n008;Heat;-1;1e3\n7;Up;0;0\n")
    ids, vectors, names = read_features(path)
    assert (ids, names) == (["007", "008", "7"], ["x", "y"])  # one title looks like a number, and is none
    np.testing.assert_array_equal(vectors, np.float32([[1.5, 2], [-1, 1000], [0, 0]]))
    assert space_of(path, ITEMS).known.all()


REFUSED = {
    "a word": ("item,x\n007,1\n008,n/a\n7,2\n", ":3: x is 'n/a', no number; correct the cell"),
    "empty": ("item,x\n007,1\n008,\n7,2\n", ":3: x is '', no number"),
    "decimal comma": ("item;x\n007;1,5\n008;2,5\n7;2\n", ":2: x is '1,5', no number"),
    "percent": ("item,x\n007,10%\n008,20%\n7,90%\n", ":2: x is '10%', no number"),
    "twice": ("item,x\n007,1\n008,2\n007,3\n", "item '007' twice; keep one row for each item"),
    "no item": ("item,x\n007,1\n,2\n", ":3: the item is missing"),
    "no numbers": ("item,x\n007,a\n", "no column of numbers beside the item"),
    "short line": ("item,x\n007\n", ":2: 1 cells, expected 2"),
    "no header": ("007,1\n008,2\n", "no column for the item in its first line; name it 'item'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_mislead_is_refused(name, tmp_path):
    text, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        space_of(file(tmp_path, text), ITEMS)


def test_the_numbers_of_rows_are_no_feature(tmp_path):
    frame = pandas.DataFrame({"item": ["007", "008", "7"], "x": [1.5, -1, 0]})
    frame.to_csv(tmp_path / "features.csv")  # with the numbers of the rows in a first column without a name
    assert read_features(tmp_path / "features.csv")[2] == ["x"]
    frame.reset_index().to_parquet(tmp_path / "features.parquet")
    assert read_features(tmp_path / "features.parquet")[2] == ["x"]
    frame.assign(index=[3, 1, 2]).to_csv(tmp_path / "features.csv", index=False)
    assert read_features(tmp_path / "features.csv")[2] == ["x", "index"]


@pytest.mark.parametrize("values", [["1990", "2000"], ["1,5", "n/a"], [Decimal(1), None]])
def test_numbers_as_text_are_not_left_out_of_a_frame_in_silence(values):
    with pytest.raises(DataError, match=r"item_features: year holds numbers as .*; make its dtype one of numbers"):
        space_of(pandas.DataFrame({"item": ["007", "008"], "x": [1.0, 2.0], "year": values}), ITEMS)


@pytest.mark.parametrize("vector", [1990, None, "abc", [[1.0, 2.0]], np.ma.array([1.0, 2.0], mask=[False, True])])
def test_what_is_no_vector_is_refused(vector):
    with pytest.raises(
        DataError, match=r"item_features has .* for item '007'; pass a list|is no list of numbers|masked"
    ):
        space_of({"007": vector, "008": [1.0, 2.0]}, ITEMS)


def test_frames_and_mappings_are_refused_alike():
    with pytest.raises(DataError, match="item_features has item '007' twice"):
        space_of(pandas.DataFrame({"item": ["007", "007"], "x": [1.0, 2.0]}), ITEMS)
    with pytest.raises(DataError, match="x of item '008' is nan; leave items without features out"):
        space_of(pandas.DataFrame({"item": ["007", "008"], "x": [1.0, np.nan]}), ITEMS)
    with pytest.raises(DataError, match="the vector of item '007' is not finite"):
        space_of({"007": [np.inf]}, ITEMS)
    with pytest.raises(MismatchError, match="none of the 3 items of train and truth: its ids are like 9, theirs"):
        space_of({9: [1.0]}, ITEMS)
    with pytest.raises(JaxrecError, match="must be a mapping from item to vector, a frame, a file"):
        space_of(3, ITEMS)
