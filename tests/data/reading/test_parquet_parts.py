"""Parquet in parts: whatever the row groups, the result, the notes and the refusals of a table that is read whole."""

import datetime
import decimal
import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrec
from jaxrec.data.reading import _arrow_ids, _arrow_table, _growing, _parquet
from jaxrec.errors import DataError

PARTS = 3  # rows that are worked on at a time here

words = st.sampled_from(
    ["ann", "bo", "çağ", "🎬", "7", "07", "", " ", "NULL", " nan ", "NA", "na", "None", "x\0", "\0x"]
)
names = st.sampled_from(["ann", "bo", "çağ", "7", "07", "Z", "a" * 30])
whole = st.integers(-3, 3)
large = st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 0])
fractions = st.sampled_from([0.0, -1.0, 2.5, 0.125, 1e-13, 1e18, float("inf"), float("nan")])
days = st.sampled_from([datetime.date(1970, 1, 2), datetime.date(2024, 2, 29), datetime.date(1600, 1, 1)])
moments = st.sampled_from([0, 1_000, 1_000_000, 86_400_000_000, -1, 123_456]).map(
    lambda count: datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=count)
)
dates = st.sampled_from(["2024-05-01", "1970-01-01T00:00:01.5", "1970-01-01 00:00:00.123456789", "noon", "1"])

ID_KINDS = [
    (pyarrow.string(), names),
    (pyarrow.string(), words),
    (pyarrow.large_string(), names),
    (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), names),
    (pyarrow.int8(), whole),
    (pyarrow.int64(), large),
    (pyarrow.uint64(), st.sampled_from([1, 2**63, 2**64 - 1])),
    (pyarrow.uint32(), st.sampled_from([1, 2**32 - 1])),
    (pyarrow.float64(), whole.map(float)),
    (pyarrow.float64(), fractions),
    (pyarrow.bool_(), st.booleans()),
]
RATING_KINDS = [
    (pyarrow.float32(), st.sampled_from([0.0, 1.5, -1.0])),
    (pyarrow.float64(), st.sampled_from([1.0, 1e300, float("inf"), float("nan")])),
    (pyarrow.int16(), whole),
    (pyarrow.bool_(), st.booleans()),
    (pyarrow.decimal128(5, 2), st.sampled_from([decimal.Decimal("1.25"), decimal.Decimal("0.10")])),
    (pyarrow.string(), st.sampled_from(["good", "1"])),
]
TIME_KINDS = [
    (pyarrow.int64(), large),
    (pyarrow.int32(), whole),
    (pyarrow.uint64(), st.sampled_from([5, 2**63])),
    (pyarrow.float64(), fractions),
    (pyarrow.float64(), st.sampled_from([1.5, 2.0, 0.0001])),
    (pyarrow.timestamp("us"), moments),
    (pyarrow.timestamp("ns", "UTC"), moments),
    (pyarrow.date32(), days),
    (pyarrow.string(), dates),
    (pyarrow.string(), st.sampled_from(["2024-05-01", "1970-01-01T00:00:01.5"])),
    (pyarrow.time32("s"), st.just(datetime.time(1))),
]
TITLE_KINDS = [(pyarrow.string(), st.sampled_from(["Heat", "Jaws", "", "é"])), (pyarrow.int32(), whole)]


@st.composite
def tables(draw):
    """A table of one kind a column, with gaps in few of them."""
    count = draw(st.integers(1, 13))
    columns = {}
    for name, kinds, needed in (
        ("user", ID_KINDS, True),
        ("item", ID_KINDS, True),
        ("rating", RATING_KINDS, False),
        ("timestamp", TIME_KINDS, False),
        ("title", TITLE_KINDS, False),
    ):
        if needed or draw(st.booleans()):
            kind, values = draw(st.sampled_from(kinds))
            values = st.none() | values if draw(st.integers(0, 4)) == 0 or name == "title" else values
            listed = draw(st.lists(values, min_size=count, max_size=count))
            counted = pyarrow.types.is_dictionary(kind)
            columns[name] = pyarrow.array(listed, kind.value_type if counted else kind)
            if columns[name].null_count < count:  # as a frame, pyarrow has no array for a dictionary of nothing
                columns[name] = columns[name].cast(kind)
    return pyarrow.table(columns)


def outcome(path, **options):
    """All that a caller sees: the interactions, or the message."""
    try:
        data = jaxrec.read(path, **options)
    except DataError as error:
        return str(error)
    titles = None if data.titles is None else data.titles.tolist()
    kinds = data.users.ids.dtype, data.items.ids.dtype, data.user.dtype
    columns = data.user.tolist(), data.item.tolist(), data.timestamp is None or data.timestamp.tolist()
    return data.fingerprint(), data.notes, titles, data.time_unit, kinds, columns


@settings(max_examples=60)
@given(
    tables(),
    st.integers(1, 14),
    st.sampled_from([None, None, "keep", "drop", "raise"]),
    st.sampled_from([None, None, None, "ms", "%Y-%m-%d"]),
)
def test_parts_give_what_the_whole_gives(table, group, missing, time_format):
    options = {"missing": missing, "time_format": time_format}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.parquet")
        pyarrow.parquet.write_table(table, path, row_group_size=group)
        with mock.patch.object(_parquet, "kinds_are_plain", return_value=False):
            expected = outcome(path, **options)
        with (
            mock.patch.object(_arrow_table, "CHUNK", PARTS),
            mock.patch.object(_growing, "CHUNK", PARTS),
            mock.patch.object(_arrow_ids, "_FEWEST", 2),
        ):
            assert outcome(path, **options) == expected
            assert outcome(path, mapped=Path(folder, "columns"), **options) == expected
        left = os.listdir(Path(folder, "columns"))
        assert isinstance(expected, str) or {"user.npy", "item.npy"} <= set(left)
        assert not [name for name in left if name.endswith(".tmp")]


def write(path, rows, group, **kinds):
    columns = {
        "user": pyarrow.array([f"user-{at * at % 97:03d}" for at in range(rows)]),
        "item": pyarrow.array([at % 13 for at in range(rows)]),
        "timestamp": pyarrow.array(range(rows)),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=group, **kinds)


def test_codes_do_not_depend_on_the_way_of_reading(tmp_path):
    write(tmp_path / "one.parquet", 500, 500)
    write(tmp_path / "many.parquet", 500, 7, compression="zstd", use_dictionary=False)
    one = jaxrec.read(tmp_path / "one.parquet")
    (tmp_path / "text.csv").write_text(
        "user,item,timestamp\n" + "".join(f"user-{at * at % 97:03d},{at % 13},{at}\n" for at in range(500))
    )
    for other in (jaxrec.read(tmp_path / "many.parquet"), jaxrec.read(tmp_path / "text.csv")):
        assert other.fingerprint() == one.fingerprint()


def test_mapped_columns_take_the_place_of_earlier_ones_without_changing_them(tmp_path):
    write(tmp_path / "x.parquet", 100, 10)
    first = jaxrec.read(tmp_path / "x.parquet", mapped=tmp_path / "columns")
    expected = first.user.tolist()
    write(tmp_path / "x.parquet", 60, 10)
    second = jaxrec.read(tmp_path / "x.parquet", mapped=tmp_path / "columns")
    assert (len(first), len(second), first.user.tolist()) == (100, 60, expected)
    assert isinstance(second.user.base, np.memmap)
    assert np.load(tmp_path / "columns" / "item.npy").tolist() == second.item.tolist()


@pytest.mark.parametrize("name", ["x.csv", "train.txt", "x.parquet"])
def test_every_format_can_be_mapped(tmp_path, name):
    path = tmp_path / name
    if name == "x.csv":
        path.write_text("user,item,rating\n1,2,3.5\n1,2,4\n2,9,1\n")
    elif name == "train.txt":
        path.write_text("0 5 7 7\n1 5\n")
    else:
        write(path, 30, 4)
    for keep in (None, "last"):
        data = jaxrec.read(path, keep=keep, mapped=tmp_path / "columns")
        assert isinstance(data.item.base, np.memmap)
        assert data.fingerprint() == jaxrec.read(path, keep=keep).fingerprint()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    write(tmp_path / "x.parquet", 3, 3)
    with pytest.raises(DataError, match=r"mapped is .*x.parquet.*; pass the path of a folder"):
        jaxrec.read(tmp_path / "x.parquet", mapped=tmp_path / "x.parquet")


def test_what_is_wrong_leaves_no_column_behind(tmp_path):
    columns = {"user": ["a", "b"], "item": [1, 2], "rating": [1.0, float("inf")]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet", row_group_size=1)
    with pytest.raises(DataError, match=r"x\.parquet: rating at position 1 is inf"):
        jaxrec.read(tmp_path / "x.parquet", mapped=tmp_path / "columns")
    assert os.listdir(tmp_path / "columns") == []


def test_times_in_a_stated_unit_may_have_decimals_in_any_order(tmp_path):
    times = [0.0001, 1.5, 2.0]
    for rows in (times, times[::-1]):
        columns = {"user": [1, 1, 1], "item": [1, 2, 3], "timestamp": rows}
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
        data = jaxrec.read(tmp_path / "x.parquet", time_format="ms")
        assert (data.timestamp.tolist(), data.time_unit) == ([round(time * 10**6) for time in rows], "ns")
