"""Reading interactions: every format against files written in plain Python, detection, real files, and splits."""

import csv
import dataclasses
import gzip
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec import registry
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.data.reading import Delimited
from jaxrec.data.reading._frames import to_frame
from jaxrec.data.reading._readers import read, read_split
from jaxrec.errors import DataError
from jaxrec.protocols import Reader

REAL = Path(os.environ.get("JAXREC_DATA") or Path(__file__).parents[2] / "../shared/data")


def real(name):
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{name} is not in the folder that JAXREC_DATA names")
    return path


numbers = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 20)
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=5)
no_marks = words.filter(lambda text: not set(text) & set("\t:,\"'"))


def tables(ids, min_size=1):
    """Rows of user, item, rating in halves, and time."""
    row = st.tuples(ids, ids, st.integers(0, 10).map(lambda half: half / 2), st.integers(-(2**40), 2**40))
    return st.lists(row, min_size=min_size, max_size=12)


def as_read(texts):
    """The ids that a column of texts has in a file: integers if all are whole numbers as Python writes them."""
    texts = [str(text) for text in texts]
    try:
        whole = all(str(int(text)) == text and abs(int(text)) < 2**63 for text in texts)
    except ValueError:
        whole = False
    return [int(text) for text in texts] if whole else texts


def assert_same(data, rows, times=True):
    user, item, rating, timestamp = ([row[at] for row in rows] for at in range(4))
    expected = Interactions.from_arrays(as_read(user), as_read(item), rating, timestamp if times else None)
    assert data.fingerprint() == expected.fingerprint()


def written(text, name="ratings.csv", encoding="utf-8", packed=False):
    """A context in which the text is a file."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, name)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if packed else data)
    return folder, path


def read_text(text, name="ratings.csv", encoding="utf-8", packed=False, **options):
    folder, path = written(text, name, encoding, packed)
    with folder:
        return read(path, **options)


@given(tables(numbers), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_movielens_files_round_trip(rows, packed, end):
    for name, mark, head in (
        ("u.data", "\t", ""),
        ("ratings.dat", "::", ""),
        ("ratings.csv", ",", "userId,movieId,rating,timestamp" + end),
    ):
        text = head + "".join(mark.join(map(str, row)) + end for row in rows)
        data = read_text(text, name, packed=packed)
        assert_same(data, rows)
        kind = "movielens-" + name.rpartition(".")[2]
        assert data.notes[0].startswith(f"{len(rows):,} interactions read from {name}, format {kind} (found)")
        assert_same(read_text(text.removesuffix(end), name), rows)  # no end of line at the end of the file


@given(tables(words))
def test_quoted_text_round_trips(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, quoting=quoting)
                writer.writerow(["item", "score", "note", "time", "user"])
                writer.writerows([item, rating, 'a "quoted", note', when, user] for user, item, rating, when in rows)
            assert_same(read(path, missing="keep"), rows)


@given(tables(no_marks), st.sampled_from(["\t", "; ", "|", " ", "<>", "ß"]))
def test_any_delimiter_round_trips(rows, delimiter):
    marks = set(delimiter)
    rows = [row for row in rows if not marks & set(f"{row[0]}{row[1]}")]
    text = "".join(delimiter.join(map(str, row)) + "\n" for row in rows)
    if rows:
        data = read_text(text, format="delimited", delimiter=delimiter, header=False)
        assert_same(data, rows)
        header = delimiter.join(["user", "item", "rating", "timestamp"])
        assert_same(read_text(f"{header}\n{text}", delimiter=delimiter), rows)


@given(tables(no_marks))
def test_recbole_round_trips(rows):
    text = "rating:float\tuser_id:token\titem_id:token\ttags:token_seq\ttimestamp:float\n"
    text += "".join(f'{rating}\t{user}\t{item}\t"a b\t{float(when)!r}\n' for user, item, rating, when in rows)
    data = read_text(text, "some.inter")
    assert_same(data, rows)
    assert "format recbole" in data.notes[0]
    assert "left out: 'tags'" in data.notes[2]


@given(st.dictionaries(st.integers(0, 50), st.lists(st.integers(0, 2**31 - 2), max_size=5), min_size=1))
def test_lightgcn_text_round_trips(items_of):
    text = "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in items_of.items())
    pairs = [(user, item) for user, items in items_of.items() for item in items]
    if not pairs:
        with pytest.raises(DataError, match="no interaction, only users without items"):
            read_text(text, "train.txt", format="lightgcn")
        return
    if len({len(items) for items in items_of.values()}) == 1 and len(pairs) > len(items_of):
        with pytest.raises(DataError, match="are a table, or a user and items: pass columns="):
            read_text(text, "train.txt")
    data = read_text(text, "train.txt", format="lightgcn")
    assert data.users.ids[data.user].tolist() == [user for user, _ in pairs]
    assert data.items.ids[data.item].tolist() == [item for _, item in pairs]
    assert data.users.ids.tolist() == sorted(items_of)  # those without items stay
    idle = sum(not items for items in items_of.values())
    assert (f"{idle:,} users have no item; they stay among the users" in data.notes) == (idle > 0)


@given(tables(numbers | words))
def test_parquet_round_trips(rows):
    data = Interactions.from_arrays(
        [str(row[0]) for row in rows],
        [str(row[1]) for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
        titles={str(row[1]): f"title of {row[1]}" for row in rows},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.parquet")
        to_frame(data).to_parquet(path)
        back = read(path)
        assert back.fingerprint() == data.fingerprint()
        assert back.titles.tolist() == data.titles.tolist()
        assert "format parquet (found)" in back.notes[0]
        assert read(path, columns={"title": None, "rating": None}, format="parquet").rating is None


@pytest.fixture(params=["pyarrow", "polars"])
def parquet(request, tmp_path, monkeypatch):
    """Write columns as Parquet and read them by a library."""

    def made(columns, **options):
        polars.DataFrame(columns, strict=False).write_parquet(tmp_path / "x.parquet")
        if request.param == "polars":
            monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        return read(tmp_path / "x.parquet", **options)

    return made


def test_rows_of_parquet_without_a_user_or_item_are_refused_left_out_or_kept(parquet):
    columns = {"user": ["ann", "NULL", "bo", None], "item": [1, 2, None, 4]}
    with pytest.raises(DataError, match=r"'user': the user of row 1 \(counted from 0\) is 'NULL', a word for a"):
        parquet(columns, missing="raise")
    with pytest.raises(DataError, match=r"'item': the item of row 1 \(counted from 0\) is missing; pass missing='drop"):
        parquet({"user": ["ann", "bo"], "item": [1, None]}, missing="raise")
    with pytest.raises(DataError, match=r"column 'item' has no item in row 1"):
        parquet({"user": ["ann", "bo"], "item": [1, None]})
    data = parquet(columns, missing="drop")
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == (["ann"], [1])
    assert "3 rows left out, whose user or item is missing" in data.notes
    kept = parquet({"user": ["ann", "NULL"], "item": [1, 2]}, missing="keep")
    assert "NULL" in kept.users.ids.tolist()
    with pytest.raises(DataError, match="no row has a user and an item"):
        parquet({"user": ["", " "], "item": [1, 2]}, missing="drop")
    with pytest.raises(DataError, match="missing is 'skip'; pass"):
        parquet({"user": ["ann"], "item": [1]}, missing="skip", format="parquet")


@pytest.mark.parametrize(
    ("times", "time_format", "wanted", "unit"),
    [
        ([1_700_000_000_123, 5], "ms", [1_700_000_000_123, 5], "ms"),
        ([1.5, 2.0], "s", [1500, 2000], "ms"),
        (["12", "13"], "us", [12, 13], "us"),
        (["02.01.1970", "03.01.1970"], "%d.%m.%Y", [86400, 172800], "s"),
        ([19700102, 19700103], "%Y%m%d", [86400, 172800], "s"),
    ],
)
def test_times_of_parquet_in_a_stated_form(parquet, times, time_format, wanted, unit):
    data = parquet({"user": [1, 2], "item": [3, 4], "timestamp": times}, time_format=time_format)
    assert (data.timestamp.tolist(), data.time_unit) == (wanted, unit)


def test_times_of_parquet_that_are_not_as_stated(parquet):
    with pytest.raises(DataError, match=r"row 1: timestamp 'soon' is not of time_format='%d.%m.%Y'"):
        parquet({"user": [1, 2], "item": [3, 4], "timestamp": ["02.01.1970", "soon"]}, time_format="%d.%m.%Y")
    dates = np.array(["2024-01-01", "2024-01-02"], "datetime64[ms]")
    with pytest.raises(DataError, match="the timestamps are dates already; leave time_format='s' out"):
        parquet({"user": [1, 2], "item": [3, 4], "timestamp": dates}, time_format="s")


def test_parquet_is_read_with_polars_where_pyarrow_is_missing(tmp_path, monkeypatch):
    polars.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [1.0, 2.0]}).write_parquet(tmp_path / "x.parquet")
    expected = read(tmp_path / "x.parquet").fingerprint()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert read(tmp_path / "x.parquet").fingerprint() == expected
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(DataError, match="Parquet needs pyarrow or polars; install one"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("1\t2\t3\t4\n", "anything", "movielens-data (separated by tabs, no header, utf-8)"),
        ("1::2::3::4\n", "anything", "movielens-dat (separated by '::', no header, iso-8859-1)"),
        ("userId,movieId,rating\n1,2,3\n", "anything", "movielens-csv (separated by ',', with a header, utf-8)"),
        ("0 1 2\n1 3\n", "anything", "lightgcn (separated by white space, no header, utf-8)"),
        ("user_id:token\titem_id:token\n1\t2\n", "anything", "recbole (separated by tabs, with a header, utf-8)"),
        ("user,item\n1,2\n", "anything", "delimited (separated by ',', with a header, utf-8)"),
        ("user;item;x\n1;a,b;2\n1;a;2\n", "anything", "delimited (separated by ';', with a header, utf-8)"),
        ("user|item\n1|2\n", "anything", "delimited (separated by '|', with a header, utf-8)"),
        ("user item stars\n1 2 3\n", "anything", "delimited (separated by white space, with a header, utf-8)"),
        ("A1,B2,5.0,1300000000\n", "anything", "delimited (separated by ',', no header, utf-8)"),
        ('"A,1",B2,5.0\n', "anything", "delimited (separated by ',', no header, utf-8)"),
        ("1\ta\n2\tb\n", "anything", "delimited (separated by tabs, no header, utf-8)"),
    ],
)
def test_the_format_is_found_from_the_content(text, name, words):
    name_of_format, _, layout = words.partition(" (")
    notes = read_text(text, name).notes
    assert notes[0].endswith(f"format {name_of_format} (found)")
    assert layout.removesuffix(")") in notes or name_of_format == "lightgcn"


def test_a_byte_order_mark_tells_the_encoding():
    assert "utf-16" in read_text("user,item\nü,1\n", encoding="utf-16").notes[1]
    data = read_text("user,item\nü,1\n", encoding="utf-8-sig")
    assert data.users.ids.tolist() == ["ü"]


def test_the_old_formats_are_in_their_own_encoding():
    assert read_text("é::1::5\n", encoding="latin-1").users.ids.tolist() == ["é"]
    folder, path = written("user,item\né,1\n", encoding="latin-1")
    with folder:
        assert read(path, encoding="latin-1").users.ids.tolist() == ["é"]


def test_columns_are_stated_by_name_position_or_order():
    text = "who,what,when,how\nann,m1,30,4\nbo,m2,40,5\n"
    for columns in (
        {"user": "who", "item": "what", "timestamp": "when", "rating": "how"},
        {"user": 0, "item": 1, "timestamp": 2, "rating": 3},
        ("user", "item", "timestamp", "rating"),
    ):
        data = read_text(text, columns=columns)
        assert data.users.ids[data.user].tolist() == ["ann", "bo"]
        assert (data.timestamp.tolist(), data.rating.tolist()) == ([30, 40], [4, 5])
    headless = text.split("\n", 1)[1]
    data = read_text(headless, columns=(None, "item", None, "user"))
    assert (data.items.ids.tolist(), data.users.ids.tolist()) == (["m1", "m2"], [4, 5])
    assert data.rating is None
    data = read_text(headless, columns={"timestamp": None})
    assert data.timestamp is None


def test_two_to_four_columns_without_a_header_are_in_the_usual_order():
    assert read_text("a,b\nc,d\n", header=False).counts()["interactions"] == 2
    data = read_text("1,2,3.5\n", header=False)
    assert (data.rating.tolist(), data.timestamp) == ([3.5], None)
    assert data.notes[2] == "columns: user = 'column 0', item = 'column 1', rating = 'column 2'"


def test_ids_are_integers_only_if_every_one_is():
    data = read_text("user,item\n7,1\n007,2\n 8 ,3\n")
    assert data.users.ids.tolist() == ["007", "7", "8"]
    assert "3 of 3 are digits only, some of them with leading zeros or too many digits" in data.notes[3]
    data = read_text("user,item\n1,10\n2,x\n1,9\n")
    assert data.users.ids.tolist() == [1, 2]
    assert data.items.ids.tolist() == ["10", "9", "x"]
    note = "item ids: 2 of 3 are digits only, others are not (the first is 'x'), so all are strings"
    assert note in data.notes


def test_numbers_that_became_texts_late_in_a_long_file_are_kept():
    rows = [(user, user % 97) for user in range(60_000)] + [("x", 5)]
    data = read_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in rows))
    assert data.users.ids[data.user].tolist() == [str(user) for user, _ in rows]
    assert data.items.ids[data.item].tolist() == [item for _, item in rows]


def test_titles_in_the_table_are_taken():
    data = read_text('user,item,title\n1,5,""\n1,5,"Five, the"\n2,6,Six\n2,5,Cinq\n')
    assert data.titles.tolist() == ["Five, the", "Six"]
    assert "1 items have several titles; the first is kept" in data.notes


def test_fractions_of_a_second_are_kept():
    data = read_text("user,item,time\n1,2,1.5\n1,3,1e3\n1,4,-0.5\n")
    assert (data.timestamp.tolist(), data.time_unit) == ([1500, 1_000_000, -500], "ms")
    assert data.notes[-1] == "times with decimals, taken for seconds, became whole numbers of ms"


def test_empty_lines_and_white_space_are_skipped():
    data = read_text("\n\nuser , item\n\n 1,2 \n\t\n3 ,4\n\n")
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == ([1, 3], [2, 4])


def test_a_split_shares_one_catalog(tmp_path):
    for name, text in (("train", "0 10 11\n1 11\n"), ("valid", "0 12\n"), ("test", "0\n1 10\n2 13\n")):
        (tmp_path / name).write_text(text)
    data = read_split(tmp_path / "train", tmp_path / "test", tmp_path / "valid")
    assert data.part.tolist() == [TRAIN] * 3 + [VALID] + [TEST] * 2
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == ([0, 1, 2], [10, 11, 12, 13])
    assert data.items.ids[data.item].tolist() == [10, 11, 11, 12, 10, 13]


def test_a_split_of_numbers_and_texts_is_of_texts(tmp_path):
    (tmp_path / "train").write_text("user,item,rating\n1,2,5\n")
    (tmp_path / "test").write_text("user,item,rating\nx,2,4\n")
    data = read_split(tmp_path / "train", tmp_path / "test")
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == (["1", "x"], [2])
    assert "user ids: not whole numbers in every part, so all are strings" in data.notes


def test_a_pair_in_two_parts_is_never_silent(tmp_path):
    (tmp_path / "train").write_text("0 1 2\n1 1\n")
    (tmp_path / "test").write_text("0 2 3 2\n")  # alone it may be a user, an item, a rating and a time
    paths = tmp_path / "train", tmp_path / "test"
    message = (
        r"2 interactions are of a user and item that an earlier part has too \(the first: user 0, item 2\), so the"
    )
    with pytest.raises(DataError, match=message):
        read_split(*paths)
    dropped = read_split(*paths, overlap="drop")
    assert dropped.items.ids[dropped.item[dropped.part == TEST]].tolist() == [3]
    assert "2 interactions left out, whose user and item an earlier part has too" in dropped.notes
    kept = read_split(*paths, overlap="keep")
    assert len(kept) == 6
    assert "2 interactions repeat a user and item of an earlier part; they are kept" in kept.notes
    with pytest.raises(DataError, match="overlap is 'ignore'; use 'raise', 'drop' or 'keep'"):
        read_split(*paths, overlap="ignore")


def test_parts_must_have_the_same_columns(tmp_path):
    (tmp_path / "train").write_text("user,item,rating\n1,2,5\n")
    (tmp_path / "test").write_text("user,item\n1,3\n")
    with pytest.raises(DataError, match=r"rating: missing in test only; leave it out with columns=\{'rating': None\}"):
        read_split(tmp_path / "train", tmp_path / "test")
    assert read_split(tmp_path / "train", tmp_path / "test", columns={"rating": None}).rating is None


def test_gowalla():
    train, test = real("gowalla/train.txt"), real("gowalla/test.txt")
    start = time.perf_counter()
    data = read_split(train, test)
    assert time.perf_counter() - start < 10  # about a tenth of a second where nothing else runs
    assert data.counts() == {"users": 29_858, "items": 40_981, "interactions": 810_128 + 217_242}
    assert (data.part == TEST).sum() == 217_242
    with open(test) as file:  # line by line, the slow way
        expected = {int(line.split()[0]): sorted(map(int, line.split()[1:])) for line in file}
    for user in (0, 17, 29_857):
        at = data.users.find(user)
        assert sorted(data.items.ids[data.item[(data.part == TEST) & (data.user == at)]].tolist()) == expected[user]


def test_movielens_100k_and_its_published_fold():
    data = read(real("ml-100k/u.data"))
    assert data.counts() == {"users": 943, "items": 1_682, "interactions": 100_000}
    at = data.items.find(543)
    assert data.titles[at] == "Misérables, Les (1995)"
    assert data.titles[data.items.find(1)] == "Toy Story (1995)"
    assert data.item_columns["genres"][data.items.find(1)] == "Animation|Children's|Comedy"
    fold = read_split(real("ml-100k/u1.base"), real("ml-100k/u1.test"))
    assert (fold.part == TRAIN).sum() == 80_000
    assert fold.same_catalog(data)
    assert fold.titles.tolist() == data.titles.tolist()
    order, fold_order = (np.lexsort((some.item, some.user)) for some in (data, fold))
    np.testing.assert_array_equal(data.rating[order], fold.rating[fold_order])
    np.testing.assert_array_equal(data.timestamp[order], fold.timestamp[fold_order])


def test_movielens_latest_small():
    path = real("ml-latest-small/ratings.csv")
    data = read(path)
    assert data.counts() == {"users": 610, "items": 9_724, "interactions": 100_836}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert data.users.ids[data.user].tolist() == [int(row["userId"]) for row in rows]
    assert data.rating.tolist() == [float(row["rating"]) for row in rows]
    assert data.titles[data.items.find(11)] == "American President, The (1995)"
    assert data.item_columns["genres"][data.items.find(3)] == "Comedy|Romance"
    assert "18 more without an interaction are left out" in data.notes[-1]
    assert read(path, items=None).titles is None


class Arrows(Reader):
    """A format from outside."""

    def reads(self, name, start):
        return start.split(b"\n")[0].count(b" -> ") == 1

    def __call__(self, path):
        return Interactions.from_arrays(
            *zip(*(line.split(" -> ") for line in path.read_text().splitlines()), strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Fixed:
    """One that derives from nothing, with an option."""

    width: int = 3

    def reads(self, name, start):
        return name.endswith(".fixed")

    def __call__(self, path):
        lines = path.read_text().splitlines()
        return Interactions.from_arrays([line[: self.width] for line in lines], [line[self.width :] for line in lines])


def test_a_reader_from_outside_is_an_object_a_place_or_a_registered_name(tmp_path):
    path = tmp_path / "likes.txt"
    path.write_text("ann -> heat\nbo -> jaws\n")
    data = read(path, format=Arrows())
    assert data.items.ids.tolist() == ["heat", "jaws"]
    assert data.notes[0] == f"2 interactions read from likes.txt, format {Arrows.__module__}:Arrows (stated)"
    with pytest.raises(DataError, match=r"first row \(ann, ->, heat\) may be a header or data"):
        read(path)  # no name, so "auto" does not know it
    registry.register("reader", "arrows", Arrows)
    try:
        assert read(path).fingerprint() == data.fingerprint()
        assert "format arrows (found)" in read(path).notes[0]
        assert read_split(path, path, overlap="drop").part.tolist() == [0, 0]
        (tmp_path / "other.csv").write_text("user,item\n1,2\n")
        assert "format delimited (found)" in read(tmp_path / "other.csv").notes[0]
    finally:
        registry.unregister("reader", "arrows")


def test_a_reader_has_its_own_options_and_no_others(tmp_path, monkeypatch):
    path = tmp_path / "x.fixed"
    path.write_text("annheat\nbobjaws\n")
    assert read(path, format=Fixed(3)).users.ids.tolist() == ["ann", "bob"]
    with pytest.raises(DataError, match=r"delimiter is ';', and Fixed\(width=3\) carries its own options"):
        read(path, format=Fixed(), delimiter=";")
    with pytest.raises(DataError, match=r"the reader .*Fixed.* has no such option; it takes width"):
        read(path, format=Fixed, delimiter=";")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outside_reader.py").write_text(
        "import jaxrec\n"
        "class Mine:\n"
        "    def __call__(self, path):\n"
        "        return jaxrec.from_arrays([1], [2]) if path.suffix == '.fixed' else None\n"
    )
    data = read(path, format="outside_reader:Mine")
    assert (len(data), data.notes[0]) == (1, "1 interactions read from x.fixed, format outside_reader:Mine (stated)")
    path.rename(tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"x.csv: the reader .*Mine.* gave NoneType; let it return Interactions"):
        read(tmp_path / "x.csv", format="outside_reader:Mine")
    with pytest.raises(DataError, match="the reader 'outside_reader:Yours' is not there"):
        read(tmp_path / "x.csv", format="outside_reader:Yours")


def test_the_readers_of_the_library_can_be_passed_as_objects(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("ann;heat\nbo;jaws\n")
    reader = Delimited(columns=("user", "item"), delimiter=";", header=False)
    assert (
        read(path, format=reader).fingerprint()
        == read(path, columns=("user", "item"), delimiter=";", header=False).fingerprint()
    )
