"""Columns of text, in memory and in files, numbered with and without pyarrow: all are those of a slow twin."""

import csv
import dataclasses
import datetime
import importlib.util
import tracemalloc

import numpy as np
import pytest

import jaxrec
from jaxrec.data.reading import _labels, _text_parsing
from jaxrec.errors import DataError

HAS_ARROW = importlib.util.find_spec("pyarrow") is not None
ROWS = 30_000  # several pieces of a file, with more than a quarter of a million bytes each


@pytest.fixture(params=["arrow", "python"])
def numbering(request, monkeypatch):
    """How ids become numbers: with pyarrow, or as where it is not installed."""
    if request.param == "arrow" and not HAS_ARROW:
        pytest.skip("pyarrow is not installed")
    if request.param == "python":
        monkeypatch.setattr(_labels, "NumberedByArrow", _labels.NumberedByPython)
    return request.param


def drawn(rng, late):
    """Users and items, whole numbers until the last rows, and what else a line has."""
    users = rng.integers(-40, 3000, ROWS).astype(str).astype(object)
    items = rng.integers(0, 10**12, 500)[rng.integers(0, 500, ROWS)].astype(str).astype(object)
    if late:
        users[-3:] = "007", "ann", "ünal"
        items[-2:] = "x", "y" * 40
    times = 1_600_000_000 + rng.permutation(ROWS)
    return users, items, rng.integers(1, 11, ROWS) / 2, times, np.array([f"Film {item[:3]}" for item in items], object)


def write(path, head, *columns):
    lines = [";".join(head), *(";".join(map(str, row)) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def twin(path):
    """The ids, sorted, and the index of each row among them, by Python alone."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    sides = []
    for name in ("user", "item"):
        texts = [row[name] for row in rows]
        whole = all(text.lstrip("-").isdigit() and str(int(text)) == text for text in texts)
        values = [int(text) if whole else text for text in texts]
        ids = sorted(set(values))
        place = {value: at for at, value in enumerate(ids)}
        sides.append((ids, [place[value] for value in values]))
    return rows, sides


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("mapped", [False, True])
def test_columns_are_those_of_the_twin(tmp_path, numbering, late, mapped):
    users, items, ratings, times, titles = drawn(np.random.default_rng(0), late)
    path = write(
        tmp_path / "log.csv", ("user", "item", "rating", "timestamp", "title"), users, items, ratings, times, titles
    )
    data = jaxrec.read(path, mapped=tmp_path / "columns" if mapped else None)
    rows, ((user_ids, user), (item_ids, item)) = twin(path)
    assert data.users.ids.tolist() == user_ids
    assert data.items.ids.tolist() == item_ids
    np.testing.assert_array_equal(data.user, np.array(user, np.int32))
    np.testing.assert_array_equal(data.item, np.array(item, np.int32))
    np.testing.assert_array_equal(data.rating, ratings.astype(np.float32))
    np.testing.assert_array_equal(data.timestamp, times)
    first = {}
    for row, place in zip(rows, item, strict=True):
        first.setdefault(place, row["title"])
    assert data.titles.tolist() == [first[place] for place in range(len(item_ids))]
    kinds = {name: getattr(data, name).dtype for name in ("user", "item", "rating", "timestamp")}
    assert kinds == {"user": np.int32, "item": np.int32, "rating": np.float32, "timestamp": np.int64}
    for name in kinds:
        column = getattr(data, name)
        assert isinstance(column.base, np.memmap) == mapped
        assert not column.flags.writeable


def test_all_ways_tell_the_same(tmp_path, monkeypatch):
    if not HAS_ARROW:
        pytest.skip("pyarrow is not installed")
    rng = np.random.default_rng(1)
    users, items, ratings, times, titles = drawn(rng, late=True)
    users[5:9] = "-3", "7.0", "NULL", "' q'"
    times = times.astype(object)
    times[17] = "1600000000.25"
    ratings[4] = 0
    path = write(
        tmp_path / "log.csv", ("user", "item", "rating", "timestamp", "title"), users, items, ratings, times, titles
    )
    found = {}
    for kind in ("NumberedByArrow", "NumberedByPython"):
        monkeypatch.setattr(_labels, "NumberedByArrow", getattr(_labels, kind))
        for mapped in (None, tmp_path / "columns"):
            with pytest.raises(DataError, match=r"the users '7\.0' and '7' are of one number") as refused:
                jaxrec.read(path, mapped=mapped, missing="keep")
            path.write_text(path.read_text().replace("7.0;", "7x;"))
            data = jaxrec.read(path, mapped=mapped, missing="keep")
            path.write_text(path.read_text().replace("7x;", "7.0;"))
            found[kind, mapped] = str(refused.value), data.notes, data.fingerprint(), data.time_unit
    assert len(set(found.values())) == 1
    told = next(iter(found.values()))
    assert told[3] == "ms"
    assert any("(the first is 'NULL')" in note or "(the first is '-3')" in note for note in told[1])


DATES = {
    "decimals that differ between pieces": (
        lambda at: f"{1_600_000_000 + at}.5" if at > ROWS - 9 else str(1_600_000_000 + at),
        None,
        "ms",
        lambda at: (1_600_000_000 + at) * 1000 + 500 * (at > ROWS - 9),
    ),
    "a stated unit": (str, "ms", "ms", lambda at: at),
    "a stated unit with decimals": (lambda at: f"{at}.25", "ms", "us", lambda at: at * 1000 + 250),
    "dates": (
        lambda at: (datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=at)).isoformat(),
        None,
        "s",
        lambda at: 1_577_836_800 + at,
    ),
    "dates with microseconds": (
        lambda at: (datetime.datetime(2020, 1, 1) + datetime.timedelta(microseconds=at)).isoformat(),
        None,
        "us",
        lambda at: 1_577_836_800 * 10**6 + at,
    ),
    "a stated form": (
        lambda at: (datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=at)).strftime("%d.%m.%Y %H"),
        "%d.%m.%Y %H",
        "s",
        lambda at: 1_577_836_800 + 3600 * at,
    ),
}


@pytest.mark.parametrize("kind", DATES)
@pytest.mark.parametrize("mapped", [False, True])
def test_times_of_every_form_in_pieces(tmp_path, kind, mapped):
    text, time_format, unit, value = DATES[kind]
    rng = np.random.default_rng(2)
    columns = rng.integers(0, 900, ROWS), rng.integers(0, 900, ROWS), [text(at) for at in range(ROWS)]
    path = write(tmp_path / "log.csv", ("user", "item", "timestamp"), *columns)
    data = jaxrec.read(path, time_format=time_format, mapped=tmp_path / "columns" if mapped else None)
    assert data.time_unit == unit
    np.testing.assert_array_equal(data.timestamp, [value(at) for at in range(ROWS)])


VALUES = ("7", "ann", "a b", "ü", "'x", "a,b", 'a "b" c', "a\tb", "a\nb", " 9", "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "::"])
@pytest.mark.parametrize("seed", range(4))
def test_quotes_that_are_left_out_are_those_that_enclose(tmp_path, monkeypatch, delimiter, seed):
    """Some, all or no values in quotes, of which those around a delimiter are needed: the csv module says the same."""
    rng = np.random.default_rng(seed)
    plain = seed < 2  # no value needs its quotes
    in_need = set('" \t\n' + delimiter)
    kinds = [value for value in VALUES[:-1] if not plain or not set(value) & in_need]
    lines = []
    for row in range(300):
        values = [f"u{row}", *rng.choice(kinds, 2), "3"]
        quoted = rng.random(4) < (0.5, 1, 0.5, 1)[seed]
        need = [bool(set(value) & in_need) for value in values]
        lines.append(
            delimiter.join(
                '"' + value.replace('"', '""') + '"' if quote or must else value
                for value, quote, must in zip(values, quoted, need, strict=True)
            )
        )
    path = tmp_path / "log.txt"
    path.write_text("\n".join(lines) + "\n", newline="")
    how = {"delimiter": delimiter, "header": False, "quotes": True if delimiter != "::" else None, "missing": "keep"}
    how |= {"columns": ("user", "item", None, "rating")}
    seen = []
    ours = _text_parsing.need_no_quotes
    monkeypatch.setattr(_text_parsing, "need_no_quotes", lambda *words: seen.append(ours(*words)) or seen[-1])
    fast = told(path, how)
    if plain and delimiter not in ("::", " "):
        assert seen == [True]
    monkeypatch.setattr(_text_parsing, "need_no_quotes", lambda *words: False)
    assert fast == told(path, how)


def told(path, how):
    """What is read, or the message."""
    try:
        data = jaxrec.read(path, **how)
    except DataError as error:
        return str(error)
    return data.fingerprint(), data.notes, data.items.ids.tolist()


def test_a_file_that_is_refused_leaves_mapped_columns_as_they_were(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("user,item\n1,2\n3,4\n")
    bad.write_text("user,item\nann,2\nbo,4\nuser,item\n")
    data = jaxrec.read(good, mapped=tmp_path / "columns")
    with pytest.raises(DataError, match="row 3 of the data is the header again"):
        jaxrec.read(bad, mapped=tmp_path / "columns")
    assert np.load(tmp_path / "columns" / "user.npy").tolist() == data.user.tolist() == [0, 1]


def test_rows_in_files_take_no_memory(tmp_path):
    """Ten times the rows of the same ids: the memory that Python and NumPy take stays."""
    if not HAS_ARROW:
        pytest.skip("pyarrow is not installed")
    rng = np.random.default_rng(3)
    most = {}
    for times in (4, 40):
        rows = 5000 * times
        users, items = (
            np.char.add(letter, rng.integers(0, 300, rows).astype(str)).astype(object) for letter in ("u", "i")
        )
        path = write(tmp_path / f"{times}.csv", ("user", "item", "rating"), users, items, np.ones(rows))
        jaxrec.read(path, mapped=tmp_path / "columns")
        tracemalloc.start()
        jaxrec.read(path, mapped=tmp_path / "columns")
        most[times] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most[40] < 1.2 * most[4]


def test_interactions_of_parts_are_frozen_once(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating\n1,2,3\n")
    data = jaxrec.read(path)
    with pytest.raises(ValueError, match="read-only"):
        data.rating[0] = 1
    assert dataclasses.replace(data, notes=()).rating is data.rating
