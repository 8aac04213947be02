"""Ids: what counts as one, the map from ids to indices and back, and the extra columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data._ids import IdMap, as_ids, check_columns, factorize
from jaxrec.errors import DataError, UnknownIdError

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ids = st.lists(integers, max_size=20) | st.lists(st.integers(0, 9), max_size=20) | st.lists(texts, max_size=20)


@given(ids)
def test_ids_keep_their_values_and_their_order(values):
    assert as_ids(values, "user").tolist() == values
    assert as_ids(np.array(values, dtype=object), "user").tolist() == values


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float16"])
def test_whole_numbers_of_any_dtype_are_int64(dtype):
    out = as_ids(np.array([3, 1], dtype=dtype), "user")
    assert out.dtype == np.int64
    assert out.tolist() == [3, 1]


def test_bytes_and_frames_of_strings_are_texts():
    assert as_ids(np.array([b"a", "é".encode()]), "user").tolist() == ["a", "é"]
    assert as_ids(np.array(["a", "bc"], dtype=np.dtypes.StringDType()), "user").tolist() == ["a", "bc"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], r"user ids are of mixed types \(for example 1, 'a'\); make them all integers or all strings"),
        (np.array([1, "a"], dtype=object), "mixed types"),
        ([1, None], "user id None is neither an integer nor a string; every interaction needs an id"),
        ([True, False], "user id False|user id True"),
        ([1.5], "user id 1.5 at position 0 is not a whole number"),
        ([1.0, float("nan")], "user id nan at position 1 is not a whole number"),
        (np.array([np.inf]), "user id inf at position 0"),
        ([(1, 2)], r"user id \(1, 2\) is of type tuple"),
        ([2**63], "must fit in 64 signed bits, got 9223372036854775808; pass them as strings"),
        ([2**70, 1], "must fit in 64 signed bits, got 1180591620717411303424"),
        ([2**63, -1], "must fit in 64 signed bits, got 9223372036854775808"),
        (["a\0"], r"user id 'a\\x00' ends in a NUL character; remove it"),
        ("abc", "user is the single text 'abc'; pass a sequence"),
        (5, "user is 5; pass a sequence"),
        (np.array([b"\xff"]), "user ids of bytes are not UTF-8"),
        (np.zeros((2, 2), dtype=int), r"user ids must be one-dimensional, got shape \(2, 2\)"),
        (np.array([1 + 2j]), "user ids have dtype complex128"),
        (np.array([True]), "user ids have dtype bool"),
        (np.array([16_777_217], np.float32), r"user id 16777216.0 at position 0 is 2\^24 or more, where float32"),
        (np.array([2050], np.float16), r"user id 2050.0 at position 0 is 2\^11 or more, where float16"),
        ([2.0**54], r"is 2\^53 or more, where float64 has one value for several ids; pass integers"),
        (np.ma.array([1, 2], mask=[False, True]), "user id at position 1 is masked"),
    ],
)
def test_what_is_no_id_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        as_ids(values, "user")


@given(ids)
def test_factorize_is_numpy_unique(values):
    array = as_ids(values, "user")
    unique, index = factorize(array)
    expected, expected_index = np.unique(array, return_inverse=True)
    assert index.dtype == np.int32
    np.testing.assert_array_equal(unique, expected)
    np.testing.assert_array_equal(index, expected_index)


def test_factorize_of_ids_over_the_whole_range():
    unique, index = factorize(np.array([2**63 - 1, -(2**63), 0]))
    assert unique.tolist() == [-(2**63), 0, 2**63 - 1]
    assert index.tolist() == [2, 0, 1]


@given(ids.map(lambda values: list(dict.fromkeys(values))))
def test_the_map_and_the_way_back(values):
    users = IdMap(np.array(values, dtype=object), "user")
    assert len(users) == len(values)
    np.testing.assert_array_equal(users.index(values), np.arange(len(values), dtype=np.int32))
    assert [users.find(value) for value in users.ids] == list(range(len(values)))


def test_ids_are_found_by_value_and_then_by_text():
    numbers, words = IdMap(np.array([7, 42]), "user"), IdMap(np.array(["7", "x"]), "user")
    assert [numbers.find(value) for value in (42, "42", 42.0, np.int32(42), np.str_("42"))] == [1] * 5
    assert [words.find(value) for value in ("7", 7, 7.0, np.int64(7))] == [0] * 4
    strange = (None, True, False, 7.5, float("nan"), "07", " 7", "", b"7", (7,), [7], {"a": 7})
    assert [numbers.find(value) for value in strange] == [-1] * len(strange)


def test_one_text_is_one_id():
    assert IdMap(np.array(["ab", "a", "b"]), "item").index("ab").tolist() == [0]


def test_an_unknown_id_is_named_with_the_nearest():
    items = IdMap(np.array(["matrix", "alien"]), "item")
    message = "unknown item 'matrx': not among the 2 item ids .*; did you mean matrix"
    with pytest.raises(UnknownIdError, match=message):
        items.index(["alien", "matrx"])
    with pytest.raises(UnknownIdError, match=r"unknown user 1, 2, 3, \.\.\.: not among the 0 user ids"):
        IdMap(np.zeros(0, dtype=int), "user").index([1, 2, 3, 4])


def test_an_id_may_not_occur_twice():
    with pytest.raises(DataError, match="user id 3 is listed more than once; ids must be unique"):
        IdMap(np.array([3, 5, 3]), "user")


def test_the_map_is_read_only_and_leaves_the_array_of_the_caller_alone():
    given_ids = np.array(["a", "b"])
    users = IdMap(given_ids, "user")
    given_ids[0] = "z"
    assert users.ids.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="read-only"):
        users.ids[0] = "z"


def test_columns_need_no_pickle():
    pandas = pytest.importorskip("pandas")
    columns = {
        "genre": ["a", None, float("nan")],
        "note": np.array(["x", pandas.NA, "y"], dtype=object),
        "year": [1, 2, 3],
    }
    out = check_columns(columns, 3, "item")
    assert out["genre"].tolist() == ["a", "", ""]
    assert out["note"].tolist() == ["x", "", "y"]
    assert out["year"].dtype.kind == "i"
    assert not any(column.dtype.hasobject for column in out.values())


def test_a_column_has_one_value_for_each():
    with pytest.raises(DataError, match=r"item column 'year' has shape \(2,\), expected \(3,\): one value for"):
        check_columns({"year": [1, 2]}, 3, "item")
