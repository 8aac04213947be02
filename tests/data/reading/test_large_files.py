"""Work and memory in proportion to the file: many columns, long values, and data that unpack to much more."""

import gzip
import time

import pytest

import jaxrec
from jaxrec.data.reading import _unpacking
from jaxrec.errors import DataError


def wide_table(columns):
    names = ["user", "item", *(f"c{at}" for at in range(columns))]
    return ",".join(names) + "\n" + ",".join(["1", "2", *["0"] * columns]) + "\n"


def test_many_columns_take_time_in_proportion(tmp_path):
    seconds = []
    for columns in (10_000, 40_000):
        path = tmp_path / f"{columns}.csv"
        path.write_text(wide_table(columns))
        start = time.process_time()
        assert len(jaxrec.read(path)) == 1
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * seconds[0] + 0.5  # 16 times in the square
    frame = {name: [1] for name in ["user", "item", *(f"c{at}" for at in range(20_000))]}
    start = time.process_time()
    jaxrec.from_frame(frame, item_columns=[f"c{at}" for at in range(2_000)])
    assert time.process_time() - start < 5


def test_messages_and_notes_stay_short(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(wide_table(8_000))
    assert max(map(len, jaxrec.read(path).notes)) < 400
    bad = {
        "ragged": (wide_table(8_000) + "1,2\n", {}),
        "column": (wide_table(8_000), {"columns": {"user": "u" * 5_000}}),
        "alias": (wide_table(8_000).replace("user", "who" * 900, 1), {}),
        "one": ("x" * 9_000 + "\n", {}),
        "rating": (f"user,item,rating\n1,2,{'9x' * 900}\n", {}),
        "time": (f"user,item,time\n1,2,{'9x' * 900}\n", {}),
        "twice": (f"user,item,{'c' * 900},{'c' * 900}\n1,2,3,4\n", {}),
        "quotes": ('user,item,x\n1,"' + "2\n1,2,3\n" * 900 + '",4\n', {}),
        "header": ("a" * 900 + "," + "b" * 900 + "\nc,d\n", {}),
        "id": (f"user,item\n{'z' * 90_000},1\n", {}),
        "type": (f"a:token\t{'b' * 9_000}\n1\t2\n", {"format": "recbole"}),
    }
    for name, (text, options) in bad.items():
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            jaxrec.read(path, **options)
        assert len(str(caught.value)) < 500, name
        assert "\n" not in str(caught.value), name


def test_more_columns_than_any_table_has_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1," * 200_000 + "1\n")
    with pytest.raises(DataError, match="more than 100,000 columns; state the delimiter"):
        jaxrec.read(path)


def test_gzip_that_unpacks_to_over_a_hundred_times_its_size_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"user,item\n" + b"1,2\n" * 100_000))
    assert len(jaxrec.read(path)) == 100_000  # small enough, whatever its ratio
    monkeypatch.setattr(_unpacking, "FREE_BYTES", 1 << 16)
    with pytest.raises(DataError, match=r"unpacks to more than 100 times its size .* unpack it by hand"):
        jaxrec.read(path)
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,2\n")
    (tmp_path / "movies.csv.gz").write_bytes(gzip.compress(b"movieId,title\n" + b"1,t\n" * 100_000))
    with pytest.raises(DataError, match="unpacks to more than 100 times"):
        jaxrec.read(tmp_path / "ratings.csv")


@pytest.mark.parametrize("place", [4, 12, 30, -6])
def test_damaged_gzip_is_one_line_wherever_the_damage_is(tmp_path, place):
    text = "user,item\n" + "".join(f"{at},{at * at % 97}\n" for at in range(5_000))
    packed = bytearray(gzip.compress(text.encode(), mtime=0))
    packed[place] ^= 0xFF
    path = tmp_path / "x.csv.gz"
    for content in (bytes(packed), bytes(packed)[: len(packed) // 2]):
        path.write_bytes(content)
        if place == 4 and content == bytes(packed):  # a byte of the time stamp of the file
            assert len(jaxrec.read(path)) == 5_000
            continue
        with pytest.raises(DataError, match=r"x\.csv\.gz: the gzip data are damaged"):
            jaxrec.read(path)


def test_one_long_title_does_not_widen_all(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n" + "".join(f"1,{at}\n" for at in range(5_000)))
    titles = ["t"] * 4_999 + ["T" * 100_000]  # 2 GB as an array of one width
    (tmp_path / "movies.csv").write_text(
        "movieId,title,plot\n" + "".join(f"{at},{title},{title}\n" for at, title in enumerate(titles))
    )
    data = jaxrec.read(tmp_path / "ratings.csv")
    assert data.titles.tolist() == titles
    assert data.item_columns["plot"].tolist() == titles


def test_a_nul_in_a_path_is_one_line():
    with pytest.raises(DataError, match=r"path is 'a.x00b.csv', which is no path"):
        jaxrec.read("a\0b.csv")
