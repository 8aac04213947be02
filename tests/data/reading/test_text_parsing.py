"""Text in pieces, and values turned into numbers: against Python's own splitting, int and float."""

import csv
import gzip
import io
import math
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxrec.data.reading._text_parsing import (
    SEPARATOR,
    Piece,
    check_encoding,
    parse_integers,
    parse_numbers,
    split,
    text_pieces,
    unquoted,
)
from jaxrec.errors import DataError

plain = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x1f\ufeff"), max_size=200)
numbers = (
    st.integers(-(2**70), 2**70).map(str)
    | st.integers(-999, 999).map(str)
    | st.floats(width=64).map(repr)
    | st.decimals(-1000, 1000, places=3).map(str)
    | st.text("0123456789.+-eE_nainf", max_size=8)
)


def values_of(text, delimiter):
    """The slow twin of `split`: the values of each line that is not empty, without white space around them."""
    space = " \t\n\r\v\f"
    lines = [line for line in text.split("\n") if line.strip(space)]
    if delimiter == " ":
        return [re.findall(r"[^ \t\n\r\v\f]+", line) for line in lines]
    return [[value.strip(space) for value in line.split(delimiter)] for line in lines]


@given(st.text("ab1, \t\r\n", max_size=60), st.sampled_from([",", " ", "b"]))
def test_split_is_python_split(text, delimiter):
    data = (text + "\n").encode()
    buffer, starts, ends, lines = split(data, delimiter.encode())
    assert buffer[: len(data)].tobytes() == data
    found = [data[start:end].decode() for start, end in zip(starts, ends, strict=True)]
    rows = [found[start:end] for start, end in zip(lines, [*lines, len(found)][1:], strict=True)]
    assert rows == values_of(text, delimiter)


def test_a_line_of_nothing_but_delimiters_is_no_empty_line():
    _, starts, ends, lines = split(b",\n\n", b",")
    assert ((ends - starts).tolist(), lines.tolist()) == ([0, 0], [0])


@given(st.lists(numbers, min_size=1, max_size=20))
@example([str(2**63 - 1), str(2**63), str(1 - 2**63), str(10**20 - 1), "-0", "00", "-"])
def test_whole_numbers_are_those_that_python_writes(texts):
    data = ("\n".join(texts) + "\n").encode()
    buffer, starts, ends, _ = split(data, b",")
    value, good = parse_integers(buffer, starts, ends)
    for text, number, is_good in zip([text for text in texts if text], value.tolist(), good.tolist(), strict=True):
        expected = re.fullmatch("-?[0-9]+", text) is not None and str(int(text)) == text and abs(int(text)) < 2**63
        assert is_good == expected, text
        if expected:
            assert number == int(text)


@given(st.lists(numbers, min_size=1, max_size=20))
@example(["0.1", "1" * 15, "1" * 16, "0.30000000000000004", ".5", "5.", ".", "1.2.3", "-0.0", "1e400", "1_0"])
def test_numbers_are_rounded_as_python_rounds_them(texts):
    texts = [text for text in texts if text]
    data = ("\n".join(texts) + "\n").encode()
    found = parse_numbers(Piece(data, 1, "file"), *split(data, b",")[:3]) if texts else []
    for text, number in zip(texts, found, strict=True):
        try:
            expected = math.nan if "_" in text else float(text)
        except ValueError:
            expected = math.nan
        assert number == expected or (math.isnan(number) and math.isnan(expected)), text


@given(plain, st.integers(1, 30), st.booleans())
def test_pieces_are_the_whole_text_with_the_right_lines(text, size, packed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        if path.read_bytes()[:2] == b"\x1f\x8b" and not packed:
            return
        pieces = list(text_pieces(path, "utf-8", size))
    whole = b"".join(piece.data for piece in pieces).decode()
    assert whole == (text if not text or text.endswith("\n") else text + "\n")
    line = 1
    for piece in pieces:
        assert piece.data.endswith(b"\n")
        assert piece.line == line
        line += piece.data.count(b"\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-16-le", "cp1252", "utf-8-sig"])
def test_every_encoding_comes_out_as_utf8_without_a_mark(tmp_path, encoding):
    path = tmp_path / "file"
    path.write_bytes("é\r\nü\r\n".encode(encoding))
    for size in (1, 2, 3, 100):
        assert b"".join(piece.data for piece in text_pieces(path, encoding, size)).decode() == "é\nü\n"
    path.write_bytes(b"\xef\xbb\xbfa\n")
    assert [piece.data for piece in text_pieces(path)] == [b"a\n"]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (
            b"a\nb\n\xe9\n",
            "utf-8",
            "file:3: byte 0xe9 is not UTF-8; state the encoding, for example encoding='la",
        ),
        (b"a\nb\n\xe9\n", "ascii", "file:[123]: this line or one soon after it is not ascii .* state the encoding"),
        (
            b"a\n\0\n",
            "utf-8",
            "file:2: a NUL byte, so this is not plain text; state the format if it is binary, or",
        ),
        (b"a\n\0", "latin-1", "file:2: a NUL byte"),
        (gzip.compress(b"abc" * 1000, mtime=0)[:-10], "utf-8", "file: the gzip data are damaged"),
        (gzip.compress(b"abc" * 1000, mtime=0)[:15] + b"\xff" * 30, "utf-8", "file: the gzip data are damaged"),
        (b"\x1f\x8bnonsense", "utf-8", "file: the gzip data are damaged"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path, content, encoding, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(text_pieces(path, encoding))


@pytest.mark.parametrize("name", ["klingon", "hex", "rot13", "", "utf-8\0", 3])
def test_what_is_no_encoding_is_refused(name):
    with pytest.raises(DataError, match="which is no text encoding; use for example 'utf-8' or 'latin-1'"):
        check_encoding(name)


@given(
    st.lists(st.lists(st.text('ab," \n', max_size=5), min_size=2, max_size=3), min_size=1, max_size=10),
    st.integers(1, 40),
)
def test_quoted_rows_are_those_of_the_csv_module_on_the_same_lines(rows, size):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    first_line = []
    for row in rows:
        first_line.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_text(text.getvalue())
        pieces = list(unquoted(text_pieces(path, "utf-8", size), b","))
    found = []
    for piece, mark in pieces:
        for number, line in enumerate(piece.data.decode().split("\n")[:-1], start=piece.line):
            if line:
                found.append((number, line.split(mark.decode())))
    expected = [[value.replace("\n", " ") for value in row] for row in rows]
    assert found == list(zip(first_line, expected, strict=True))


def test_a_separator_inside_a_quoted_value_does_not_split_it(tmp_path):
    (tmp_path / "file").write_bytes(b'"a\x1fb",c\n')
    ((piece, mark),) = unquoted(text_pieces(tmp_path / "file"), b",")
    assert (piece.data, mark) == (b"a b" + SEPARATOR + b"c\n", SEPARATOR)


def test_a_quote_without_an_end_is_refused_with_its_line(tmp_path):
    (tmp_path / "file").write_text('a,b\nc,d\n"e,f\n')
    with pytest.raises(DataError, match="file:3: not valid CSV from here on: unexpected end of data"):
        list(unquoted(text_pieces(tmp_path / "file"), b","))


def test_positions_are_told_as_lines():
    piece = Piece(b"a\nb\nc\n", 10, "file")
    assert str(piece.error(4, "wrong")) == "file:12: wrong"
    assert np.array_equal(split(piece.data, b",")[3], [0, 1, 2])
