"""What the readers refuse: every message names the file, and the line where there is one."""

import gzip
import tempfile
from pathlib import Path

import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxrec.data._interactions import Interactions
from jaxrec.data.reading import FORMATS
from jaxrec.data.reading._readers import read, read_split
from jaxrec.errors import DataError, JaxrecError, MissingFileError

RATING = "correct the line, or leave it out, or the whole column with columns={'rating': None}"
GOOD = "user,item,rating,timestamp\n1,2,3.5,4\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "FILE: the file is empty"),
        (" \n\t\n\n", {}, "FILE: the file is empty"),
        ("\ufeff", {}, "FILE: the file is empty"),
        ("user,item\n", {}, "FILE: no interaction, only a header"),
        ("user,item\n\n \n", {}, "FILE: no interaction, only a header"),
        ("user_id:token\titem_id:token\n", {}, "FILE: no interaction, only a header"),
        ("0\n1\n", {"format": "lightgcn"}, "FILE: no interaction, only users without items"),
        # a wrong number of columns
        (
            GOOD + "1,2,3\n",
            {},
            r"FILE:3: 3 columns, expected 4 \(user, item, rating, timestamp\); columns are",
        ),
        (GOOD + "\n1\n", {}, "FILE:4: 1 column, expected 4"),
        (GOOD + "1,2,3,4,5\n" + "1,2,3,4\n" * 9, {}, "FILE:3: 5 columns, expected 4"),
        ("1\t2\t3\t4\n1\t2\t3\n", {}, "FILE:2: 3 columns, expected 4"),
        ("1::2::3::4\n1:2:3:4\n", {}, "FILE:2: 1 column, expected 4"),
        ('user,item\n1,"2\n3"\n4,5,6\n', {}, "FILE:4: 3 columns, expected 2"),
        ("1,2,3,4,5\n", {}, "FILE:1: 5 columns and no header; without stated columns there must be 2 to 4"),
        ("abc\ndef\n", {}, "FILE:1: one column only, 'abc'; separate user and item by one of"),
        # ratings and times
        (
            GOOD + "1,3,good,4\n",
            {},
            "FILE:3: rating 'good' is not a finite number; " + RATING,
        ),
        (GOOD + "1,3,nan,4\n", {}, "FILE:3: rating 'nan' is not a finite number"),
        (GOOD + "1,3,-inf,4\n", {}, "FILE:3: rating '-inf' is not a finite number"),
        (GOOD + "1,3,1e39,4\n", {}, "FILE:3: rating '1e39' is not a finite number"),
        (GOOD + "1,3,1_0,4\n", {}, "FILE:3: rating '1_0' is not a finite number"),
        (
            GOOD + "1,3,,4\n",
            {},
            "FILE:3: the rating is missing; " + RATING,
        ),
        (
            GOOD + "1,3,4,2020-01-31\n",
            {},
            r"FILE:3: timestamp '2020-01-31' is not a finite number; pass time_format=",
        ),
        (GOOD + "1,3,4,1e30\n", {}, "FILE:3: timestamp '1e30' is not a finite number"),
        (
            GOOD + "1,3,4,\n",
            {},
            "FILE:3: the timestamp is missing; correct the line, or leave the column out",
        ),
        ("1::2::bad::4\n", {}, "FILE:1: rating 'bad' is not"),
        # ids
        (GOOD + ",3,4,5\n", {}, "FILE:3: the user is missing; give every line one"),
        (GOOD + "3,,4,5\n", {}, "FILE:3: the item is missing"),
        (GOOD + "x" * 1001 + ",3,4,5\n", {}, "FILE:3: a user of more than 1,000 bytes; is it one"),
        ("0 1 2\n1 -3\n", {}, "FILE:2: item '-3' is negative; the format lightgcn has indices from 0 to 2147483646"),
        ("0 1 2\n-1 3\n", {}, "FILE:2: user '-1' is negative"),
        (f"0 1 {2**31 - 1}\n1 1\n", {}, "FILE:1: item '2147483647' is too large"),
        (f"0 1 {2**70}\n1 1\n", {}, "FILE:1: item '1180591620717411303424' is not a whole number"),
        (
            "0 1 2\n1 x\n",
            {"format": "lightgcn"},
            r"FILE:2: item 'x' is not a whole number; .* \(state another format",
        ),
        ("0 1 2.5\n", {"format": "lightgcn"}, "FILE:1: item '2.5' is not a whole number"),
        (
            "1 2 5\n1 3 4\n",
            {},
            r"FILE: rows of numbers between blanks .* pass columns=\('user', 'item', 'rating'\), or format='lightgcn'",
        ),
        # the header
        ("user,item,user\n1,2,3\n", {}, "FILE:1: column 'user' occurs more than once; rename one of them"),
        ("user,item,rating,rating\n1,2,3,4\n", {}, "FILE:1: column 'rating' occurs more than once"),
        (
            "who,item\na,2\n",
            {},
            "FILE:1: no column for the user; the columns are 'who', 'item'; say which one it is, for example "
            "columns={'user': 'who'}",
        ),
        (
            GOOD,
            {"columns": {"user": "id"}},
            "FILE:1: no column 'id' for the user; the columns are 'user', 'item', 'r",
        ),
        (
            "user,item\nann,tea\nuser,item\nben,tea\n",
            {},
            r"FILE: row 2 of the data is the header again, as where files were joined \(1 in all\)",
        ),
        ("userId,user_id,item\n1,2,3\n", {}, "FILE:1: 'userId' and 'user_id' could both be the user; say which one is"),
        (GOOD, {"columns": {"user": 7}}, r"FILE:1: user is to be column 7, outside 0\.\.3"),
        (GOOD, {"columns": {"user": "item"}}, "FILE:1: column 'item' is to be both user and item"),
        ("1,2\n", {"columns": {"user": "id"}}, "FILE:1: column 'id' is stated by name, but the file has no header"),
        ("a:token\tb\n1\t2\n", {"format": "recbole"}, "FILE:1: column 'b' has no type; write it as name:type"),
        # quotes and encodings
        ('user,item\n1,"2\n', {}, "FILE:2: not valid CSV from here on: unexpected end of data"),
        ('user,item\n1,"2"3\n', {}, "FILE:2: not valid CSV from here on"),
        (
            b"user,item\n\xe9,1\n",
            {},
            "FILE:2: byte 0xe9 is not UTF-8; state the encoding, for example encoding='lat",
        ),
        (GOOD, {"encoding": "klingon"}, "encoding is 'klingon', which is no text encoding"),
        # no text at all
        (b"\x00\x01\x02\x03" * 9, {}, "FILE:1: a NUL byte, so this is not plain text"),
        (b"PK\x03\x04rest", {}, r"FILE: an archive \(zip, xz, bzip2 or zstd\); unpack it"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-6], {}, "FILE: the gzip data are damaged"),
        (gzip.compress(b"", mtime=0), {}, "FILE: the file is empty"),
        (b"PAR1 and no more", {}, "FILE: not a Parquet file that can be read"),
        (
            b"PAR1 and no more",
            {"format": "delimited"},
            "FILE: a Parquet file; state format='parquet', without delimiter",
        ),
        (GOOD, {"format": "parquet"}, "FILE: not a Parquet file that can be read"),
        # options
        (
            GOOD,
            {"format": "excel"},
            "format is 'excel': no reader is named 'excel'; the names are movielens-data, .*, parquet, del",
        ),
        (
            GOOD,
            {"format": "lightgcn", "columns": ("user", "item")},
            r"columns is \('user', 'item'\), and the reader 'lightgcn' has no such option; it takes encoding$",
        ),
        (GOOD, {"format": "parquet", "header": True}, "header is True, and the reader 'parquet' has no such option"),
        (GOOD, {"header": "yes"}, "header is 'yes'; pass True or False, or None to find it"),
        (GOOD, {"format": 3}, "format is 3; pass the name of a format, or a reader"),
        (GOOD, {"delimiter": ""}, "delimiter is ''; pass one or more characters"),
        (GOOD, {"delimiter": "\n"}, r"delimiter is '\\n'; pass one or more characters"),
        (
            GOOD,
            {"columns": {"users": "user"}},
            "has 'users', which is no role; map the roles user, .* other way",
        ),
        (GOOD, {"columns": {"nobody": "user2"}}, "columns has 'nobody', which is no role; map the roles user, item"),
        (
            GOOD,
            {"columns": {"user": "user", "time": "t"}},
            r"columns has 'time', which is no role; did you mean columns=\{'user': 'user', 'timestamp': 't'\}\?",
        ),
        (GOOD, {"columns": ("user", "itm")}, r"columns has 'itm' at place 1, which is no role; did you mean item\?"),
        (
            GOOD,
            {"columns": ("Kunde", "Artikel")},
            r"'Kunde' at place 0, .* names of columns, write columns=\{'user': 'Kunde', 'item': 'Artikel'\}",
        ),
        (GOOD, {"columns": (None, "userId", "item")}, r"write columns=\{'user': 'userId', 'item': 2\}"),
        (
            "Kunde,Artikel,Zeit\nann,7,1\n",
            {"columns": {"user": "Kunde"}},
            r"no column for the item; .* for example columns=\{'user': 'Kunde', 'item': 'Artikel'\}",
        ),
        (
            "Artikel,Kunde,Zeit\nann,7,1\n",
            {"columns": {"item": 0, "rating": None}},
            r"no column for the user; .* for example columns=\{'user': 'Kunde', 'item': 0, 'rating': None\}",
        ),
        ("item,Kunde\nann,7\n", {}, r"no column for the user; .* for example columns=\{'user': 'Kunde'\}"),
        (
            "user,rating\nann,3\n",
            {"columns": {"user": "user", "rating": "rating"}},
            "'user', 'rating'; say which one it is$",
        ),
        (GOOD, {"columns": {"user": 1.5}}, "columns has 'user': 1.5; map the roles"),
        (GOOD, {"columns": ("user", "user")}, "columns has 'user' at place 1; name each of"),
        (GOOD, {"columns": ("user", "thing")}, "columns has 'thing' at place 1"),
        (GOOD, {"columns": "user"}, "columns is 'user'; pass a mapping of role to column, or the role of each column"),
        (GOOD, {"columns": {"user": None}}, "FILE:1: no column for the user"),
    ],
)
def test_bad_files_are_refused_with_file_and_line(tmp_path, text, options, message):
    path = tmp_path / "ratings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message.replace("FILE", str(path))):
        read(path, **options)


def test_the_line_is_right_far_into_a_long_file(tmp_path):
    path = tmp_path / "ratings.csv"
    for bad, message in (("1,2,x,4", "rating 'x'"), ("1,2", "2 columns, expected 4"), ("1,2,3,x", "timestamp 'x'")):
        path.write_text(GOOD + "10,20,3.5,1234567890\n" * 49_998 + bad + "\n" + "10,20,3.5,1234567890\n" * 30_000)
        with pytest.raises(DataError, match=f"ratings.csv:50001: {message}"):
            read(path)


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "ratings.csv").write_text(GOOD)
    with pytest.raises(MissingFileError, match=r"rating.csv: no such file; did you mean ratings.csv"):
        read(tmp_path / "rating.csv")
    with pytest.raises(MissingFileError, match=r"ratings.dat: no such file; did you mean ratings.csv"):
        read(tmp_path / "ratings.dat")  # another ending is near
    with pytest.raises(MissingFileError, match=r"string.csv: no such file; check the path"):
        read(tmp_path / "string.csv")  # the ending alone is not
    with pytest.raises(FileNotFoundError, match=r"no-such-folder.x: no such file; check the path"):
        read("no-such-folder/x")
    with pytest.raises(MissingFileError, match=r"tset.csv: no such file"):
        read_split(tmp_path / "ratings.csv", tmp_path / "tset.csv")
    with pytest.raises(MissingFileError, match=r"titles.csv: no such file"):
        read(tmp_path / "ratings.csv", items=tmp_path / "titles.csv")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"a folder; path must be one file in it \(it is empty\)"):
        read(tmp_path)
    (tmp_path / "ratings.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"a folder; test_path must be one file in it \(ratings.csv\)"):
        read_split(tmp_path / "ratings.csv", tmp_path)


@pytest.mark.parametrize("path", [None, 3, "a\0b", ["x"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(DataError, match=r"path is .*, which is no path"):
        read(path)


def test_bad_parquet_tables_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    for columns, message in (
        ({"a": [1], "item": [2]}, "x.parquet: no column for the user; the columns are 'a', 'item'"),
        ({"user": [1, None], "item": [2, 3]}, "x.parquet: frame: column 'user' has no user in row 1"),
        ({"user": [1], "item": [2], "rating": ["good"]}, "x.parquet: rating must be numbers"),
        ({"user": [1], "item": [2], "time": ["noon"]}, r"x.parquet: frame: column 'time' \(timestamp\) has dtype"),
        ({"user": [], "item": []}, "x.parquet: no interaction, only a header"),
    ):
        pandas.DataFrame(columns).to_parquet(path)
        with pytest.raises(DataError, match=message):
            read(path)
    pandas.DataFrame({"user": [1] * 1000, "item": range(1000)}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + b"\xff" * 200 + whole[220:])
    with pytest.raises(DataError, match=r"x.parquet: damaged Parquet data|x.parquet: not a Parquet file"):
        read(path)


LINES = st.text("0123456789,\t:; |.-\"'é\r", max_size=12)
KNOWN_LINES = st.sampled_from(["user,item", "1::2::3::4", "0 1 2", "u:token\ti:token", "movieId,title"])
LIKE_TABLES = st.lists(LINES | KNOWN_LINES, max_size=8).map(lambda lines: "\n".join(lines).encode())
MARKS = st.sampled_from([b"", b"\x1f\x8b", b"PAR1", b"\xff\xfe", b"\xef\xbb\xbf", b"user,item\n", b"0 1 2\n"])
CONTENTS = st.tuples(MARKS, st.binary(max_size=60) | LIKE_TABLES).map(b"".join)
NAMES = st.sampled_from(["u.data", "ratings.csv", "ratings.dat", "x.inter", "train.txt", "x.parquet", "ratings.csv.gz"])
ITEM_NAMES = st.sampled_from(["u.item", "movies.dat", "movies.csv", "x.item", "titles.txt.gz"])


def refusal(function):
    """The message of our own error, or None where the call gives interactions; any other error comes through."""
    try:
        result = function()
    except JaxrecError as error:
        return str(error)
    assert isinstance(result, Interactions)
    assert len(result) > 0
    return None


@settings(max_examples=300)
@given(CONTENTS, NAMES, st.sampled_from(FORMATS), st.booleans())
@example(b"user,item\n1,2", "ratings.csv", "auto", True)
@example(b'\xff\xfe"\x00', "u.data", "auto", False)
def test_random_bytes_raise_nothing_but_our_own_errors(data, name, form, packed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(gzip.compress(data) if packed else data)
        for message in (
            refusal(lambda: read(path, format=form)),
            refusal(lambda: read_split(path, path, format=form, overlap="keep")),
        ):
            assert message is None or str(path) in message


@settings(max_examples=150)
@given(st.binary(max_size=80) | LIKE_TABLES, ITEM_NAMES)
def test_random_bytes_as_an_item_file_raise_nothing_but_our_own_errors(data, name):
    with tempfile.TemporaryDirectory() as folder:
        path, items = Path(folder, "ratings.csv"), Path(folder, name)
        path.write_text(GOOD)
        for file in (items, Path(folder, "u.genre")):
            file.write_bytes(data)
        message = refusal(lambda: read(path, items=items))
        assert message is None or "or pass items=None to read the interactions without this file" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"user": "a", "item": "b"}]\n', "JSON; make a table of it"),
        (b'{"user": "a", "item": "b"}\n{"user": "c", "item": "d"}\n', "JSON; make a table of it"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "a page of HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "a pointer of Git LFS"),
        (b"\x28\xb5\x2f\xfd\x00\x00", "an archive"),
        (b"\x80\x04\x95", "HDF5, SQLite or a pickle"),
        (b"user,item\ra,b\rc,d\r", "lines end with CR alone"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, message):
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize("name", ["par1", "Par1", "bzhang", "pk"])
def test_an_id_is_no_mark_of_another_format(tmp_path, name):
    path = tmp_path / "ratings.csv"
    path.write_text(f"{name},tea\nann,milk\n")
    assert name in read(path, header=False, columns={"user": 0, "item": 1}).users.ids
