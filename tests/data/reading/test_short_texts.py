"""Ids of text that are numbered as words have the codes of a slow twin, whatever their lengths and their order."""

import numpy as np
import pytest

pyarrow = pytest.importorskip("pyarrow")

import jaxrec  # noqa: E402
from jaxrec.data.reading import _short_texts  # noqa: E402
from jaxrec.data.reading._arrow_ids import Codes, Ids  # noqa: E402
from jaxrec.data.reading._growing import InBlocks  # noqa: E402
from jaxrec.errors import DataError  # noqa: E402

SHORT = ["", "a", "b", "ab", "12345678", "123456789", "ümlaut", "名前", "user-00001234", "user-00001235"]
UUID = "123e4567-e89b-12d3-a456-426614174000"
LONG = "x" * 41


def drawn(seed, texts, parts=5, rows=40):
    rng = np.random.default_rng(seed)
    return [rng.choice(np.array(texts, object), rows).tolist() for _ in range(parts)]


def arrow(texts):
    return pyarrow.array(texts, pyarrow.large_string())


def numbered(parts, *, at_once=3):
    """Codes and values in the order of the first rows, part by part; the rows that wait are few."""
    column = InBlocks(np.int32)
    codes = Codes(column)
    for at, part in enumerate(parts):
        codes.add(arrow(part))
        if at % at_once == at_once - 1:
            codes.merge()
    known = codes.merge().to_pylist()
    return column.array().tolist(), known


def twin(parts):
    rows = [text for part in parts for text in part]
    known = list(dict.fromkeys(rows))
    return [known.index(text) for text in rows], known


@pytest.mark.parametrize("fewest", [0, 100, 1 << 20])
@pytest.mark.parametrize(
    "texts", [SHORT, [*SHORT, UUID], [*SHORT, LONG], [LONG, UUID], ["a\0b", "a"], [""], ["7", "77", "777"]]
)
def test_codes_and_values_are_those_of_a_dictionary(monkeypatch, fewest, texts):
    monkeypatch.setattr(_short_texts, "_FEWEST", fewest)
    for seed in range(4):
        parts = drawn(seed, texts)
        assert numbered(parts) == twin(parts)


@pytest.mark.parametrize("late", [LONG, "with\0nul", None])
def test_a_value_that_is_no_short_text_may_come_late(monkeypatch, late):
    monkeypatch.setattr(_short_texts, "_FEWEST", 50)
    parts = [*drawn(0, SHORT), [late, "a"], *drawn(1, SHORT)]
    codes, known = numbered(parts)
    rows = [text for part in parts for text in part]
    assert [None if code < 0 else known[code] for code in codes] == rows
    assert len(set(known)) == len(known)


def test_texts_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(_short_texts, "_hashed", lambda words: np.zeros(len(words), np.uint64))
    monkeypatch.setattr(_short_texts, "_FEWEST", 50)
    parts = drawn(2, SHORT)
    assert _short_texts.numbered(_short_texts.packed(arrow(SHORT))) is None
    assert numbered(parts) == twin(parts)


def test_slices_of_a_larger_array_are_read_as_such():
    texts = arrow(SHORT)
    assert _short_texts.unpacked(_short_texts.packed(texts[2:5])).to_pylist() == SHORT[2:5]
    assert _short_texts.packed(texts[:0]).shape == (0, 1)


def test_no_rows_have_no_values():
    column = InBlocks(np.int32)
    codes = Codes(column)
    codes.add(arrow([]))
    assert codes.merge() is None
    codes.add(arrow(["a"]))
    assert (codes.merge().to_pylist(), column.array().tolist()) == (["a"], [0])


def test_texts_after_numbers_keep_the_codes_of_the_numbers():
    column = InBlocks(np.int32)
    codes = Codes(column)
    column.append(np.array([1, 0, 1], np.int32))
    codes.begin(arrow(["20", "10"]))
    codes.add(arrow(["x", "10"]))
    assert codes.sort().to_pylist() == ["10", "20", "x"]
    assert column.array().tolist() == [0, 1, 0, 2, 0]


@pytest.mark.parametrize("before", [["a", "b"], [LONG]])
def test_ids_that_end_in_nul_are_refused_after_others_too(before):
    ids = Ids("who", "user", InBlocks(np.int32))
    ids.add(arrow(before), 0)
    ids.add(arrow(["a\0"]), len(before))
    with pytest.raises(DataError, match=r"^user id 'a\\x00' ends in a NUL character"):
        ids.finish()


@pytest.mark.parametrize("mapped", [False, True])
def test_no_room_for_a_column_is_told_as_such_and_not_as_a_file(monkeypatch, tmp_path, mapped):
    def full(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    path = tmp_path / "log.csv"
    path.write_text("user,item,title\nu,i,t\nv,j,s\n")
    monkeypatch.setattr("jaxrec.data.reading._growing.mmap.mmap", full)
    with pytest.raises(MemoryError, match=r"no room for .* more rows of a column: Cannot allocate memory"):
        jaxrec.read(path, mapped=tmp_path / "columns" if mapped else None)
