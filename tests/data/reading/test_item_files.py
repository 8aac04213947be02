"""Titles, genres and further columns from the item files of MovieLens and RecBole."""

import gzip

import numpy as np
import pytest

from jaxrec.data.reading._columns import describe, find_columns
from jaxrec.data.reading._item_files import sibling_item_file
from jaxrec.data.reading._readers import read, read_split
from jaxrec.errors import DataError

GENRES = "unknown|0\nAction|1\nComedy|2\n\n"
U_ITEM = "1|Été (1996)|01-Jan-1996||http://x|0|1|1\n2|unknown||||1|0|0\n9|Unseen (1999)|||http://y|0|0|1\n"


@pytest.mark.parametrize(
    ("ratings", "items"),
    [
        ("ratings.csv", "movies.csv"),
        ("ratings.csv.gz", "movies.csv"),
        ("ratings.csv", "movies.csv.gz"),
        ("ratings.dat", "movies.dat"),
        ("u.data", "u.item"),
        ("u3.base", "u.item"),
        ("ua.test", "u.item"),
        ("some.inter", "some.item"),
        ("some.train.inter", "some.item"),
    ],
)
def test_the_item_file_is_found_by_name(tmp_path, ratings, items):
    assert sibling_item_file(tmp_path / ratings) is None
    (tmp_path / items).touch()
    assert sibling_item_file(tmp_path / ratings) == tmp_path / items
    assert sibling_item_file(tmp_path / "other.csv") is None


def test_u_item_gives_titles_dates_and_genres(tmp_path):
    (tmp_path / "u.data").write_text("7\t1\t5\t10\n7\t2\t4\t11\n8\t3\t3\t12\n")
    (tmp_path / "u.item").write_bytes(U_ITEM.encode("latin-1"))
    (tmp_path / "u.genre").write_text(GENRES)
    data = read(tmp_path / "u.data")
    assert data.titles.tolist() == ["Été (1996)", "unknown", ""]
    assert data.item_columns["genres"].tolist() == ["Action|Comedy", "unknown", ""]
    assert data.item_columns["release_date"].tolist() == ["01-Jan-1996", "", ""]
    note = "items: title, release_date, genres from u.item for 2 of 3 items; 1 more without an interaction are left out"
    assert note in data.notes
    assert "u.item is not UTF-8 and was read as ISO-8859-1" in data.notes
    (tmp_path / "u.genre").unlink()
    (tmp_path / "u.item").write_text("1|One|||x" + "|0" * 19 + "\n")
    data = read(tmp_path / "u.data")
    assert list(data.item_columns) == ["release_date"]
    assert "no u.genre beside u.item, so genres are left out" in data.notes


def test_a_genre_whose_number_is_none_is_refused(tmp_path):
    (tmp_path / "u.data").write_text("7\t1\t5\t10\n7\t2\t4\t11\n8\t3\t3\t12\n")
    (tmp_path / "u.item").write_bytes(U_ITEM.encode("latin-1"))
    (tmp_path / "u.genre").write_text(GENRES + "Western|²\n")
    with pytest.raises(DataError, match=r"u\.genre: a line is not NAME\|NUMBER"):
        read(tmp_path / "u.data")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])  # ml-1m is in the first, ml-10m in the second
def test_movies_dat(tmp_path, encoding):
    (tmp_path / "ratings.dat").write_text("1::5::4::10\n1::6::4::11\n")
    movies = "5::Misérables, Les (1995)::Drama|War\n6::Nothing (1990)::(no genres listed)\n"
    (tmp_path / "movies.dat").write_bytes(movies.encode(encoding))
    data = read(tmp_path / "ratings.dat")
    assert data.titles.tolist() == ["Misérables, Les (1995)", "Nothing (1990)"]
    assert data.item_columns["genres"].tolist() == ["Drama|War", ""]


def test_movies_csv_with_quotes_beside_a_packed_file(tmp_path):
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(b"userId,movieId,rating\n1,11,4\n1,12,4\n"))
    lines = [
        "movieId,title,genres",
        '11,"American President, The (1995)",Comedy',
        '12,"A ""B"" (1999)",(no genres listed)',
    ]
    (tmp_path / "movies.csv").write_text("\r\n".join(lines), newline="")
    data = read(tmp_path / "ratings.csv.gz")
    assert data.titles.tolist() == ["American President, The (1995)", 'A "B" (1999)']
    assert data.item_columns["genres"].tolist() == ["Comedy", ""]


def test_a_description_may_have_several_lines(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,5\n1,6\n")
    (tmp_path / "movies.csv").write_text('movieId,title,text\n5,Five,"Long,\nand longer, 6\n"\n6,Six,Short\n')
    data = read(tmp_path / "ratings.csv")
    assert data.titles.tolist() == ["Five", "Six"]
    assert data.item_columns["text"].tolist() == ["Long,\nand longer, 6", "Short"]


def test_recbole_items_are_matched_by_text_and_typed(tmp_path):
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\nu\t1\nu\tb\nv\t007\n")
    (tmp_path / "x.item").write_text(
        "item_id:token\tmovie_title:token_seq\tyear:float\tscore:float\tcode:token\n"
        '1\tThe "One\t1990\t1.5\t01\nb\tBe\t1991\t\t02\n007\tBond\t1992\t2\t03\nb\tBe again\t1\t1\t1\n'
    )
    data = read(tmp_path / "x.inter")
    assert data.items.ids.tolist() == ["007", "1", "b"]
    assert data.titles.tolist() == ["Bond", 'The "One', "Be"]
    assert data.item_columns["year"].tolist() == [1992, 1990, 1991]
    np.testing.assert_array_equal(data.item_columns["score"], [2, 1.5, np.nan])
    assert data.item_columns["code"].tolist() == ["03", "01", "02"]  # leading zeros: codes, not numbers
    assert "1 lines repeat an item of an earlier line; the first is kept" in data.notes


def test_another_item_file_is_stated_or_none(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,5\n")
    (tmp_path / "movies.csv").write_text("movieId,title\n5,From movies\n")
    (tmp_path / "names.txt").write_text("\nName;item;title\nx;5;From names\n")
    assert read(tmp_path / "ratings.csv").titles.tolist() == ["From movies"]
    assert read(tmp_path / "ratings.csv", items=None).titles is None
    data = read(tmp_path / "ratings.csv", items=tmp_path / "names.txt")
    assert data.titles.tolist() == ["From names"]
    assert data.item_columns["Name"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("lines", "columns", "titles"),
    [
        ("x,B1,Heat\ny,B2,Jaws\nz,B3,Up\n", {"item": 1, "title": 2}, ["Heat", "Jaws", "Up"]),
        ("Heat,B1\nJaws,B2\nUp,B3\n", {"item": 1, "title": 0}, ["Heat", "Jaws", "Up"]),
        ("1995,B1,Heat\n1975,B2,Jaws\n2009,B3,Up\n", {"item": 1, "title": 2}, ["Heat", "Jaws", "Up"]),
        ("year,id,name\n1995,B1,Heat\n1975,B2,Jaws\n2009,B3,Up\n", {"item": 1, "title": 2}, ["Heat", "Jaws", "Up"]),
    ],
)
def test_an_item_file_without_header_keeps_its_first_line_wherever_the_item_stands(tmp_path, lines, columns, titles):
    (tmp_path / "ratings.csv").write_text("user,item\n1,B1\n2,B2\n3,B3\n")
    (tmp_path / "names.csv").write_text(lines)
    data = read(tmp_path / "ratings.csv", items=tmp_path / "names.csv", item_columns=columns)
    assert data.titles.tolist() == titles
    numbers = [values for values in data.item_columns.values() if values.dtype.kind == "i"]
    assert [values.tolist() for values in numbers] == ([[1995, 1975, 2009]] if "1995" in lines else [])


def test_the_items_of_a_split_are_those_beside_train(tmp_path):
    (tmp_path / "u1.base").write_text("7\t1\t5\t10\n")
    (tmp_path / "u1.test").write_text("7\t2\t5\t10\n")
    (tmp_path / "u.item").write_text(U_ITEM)
    (tmp_path / "u.genre").write_text(GENRES)
    assert read_split(tmp_path / "u1.base", tmp_path / "u1.test").titles.tolist() == ["Été (1996)", "unknown"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.item", "1|One|||x|0|1\n", r"u.item:1: 7 columns, expected 8, the last 3 of them genre flags of 0 or 1"),
        ("u.item", U_ITEM + "3|Three|||x|0|1|2\n", r"u.item:4: 8 columns, expected 8, the last 3 of them genre flags"),
        ("movies.dat", "5::Five\n", r"movies.dat:1: 2 columns, expected 3 \(item::title::genres\)"),
        ("movies.csv", "movieId,title\n5,Five, the\n", r"movies.csv:2: 3 columns, expected 2"),
        ("movies.csv", 'movieId,title\n5,"Five\n', r"movies.csv:2: not valid CSV from here on"),
        (
            "movies.csv",
            'movieId,title\n4,"Four\n5,Five"\n',
            r"movies.csv:2: quotes that enclose several lines, 'Four.n5,Five', of which one begins with the item '5'",
        ),
        ("movies.csv", "id,title\n5,Five\n", r"movies.csv:1: no column for the item; the columns are 'id', 'title'"),
        ("movies.csv", "", r"movies.csv: the file is empty"),
        ("movies.csv", b"movieId,title\n5,\xe9\n", r"movies.csv:2: not UTF-8 .*; state the encoding"),
        ("x.item", "item_id\ttitle:token\n", r"x.item:1: column 'item_id' has no type"),
        ("movies.csv.gz", b"\x1f\x8bxx", r"movies.csv.gz: the gzip data are damaged"),
        ("u.genre", "Action\n", r"u.genre: a line is not NAME.NUMBER"),
    ],
)
def test_bad_item_files_are_refused_with_a_way_out(tmp_path, name, text, message):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,5\n")
    (tmp_path / "u.item").write_text(U_ITEM)
    (tmp_path / "u.genre").write_text(GENRES)
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message + ".*; or pass items=None to read the interactions without this file"):
        read(tmp_path / "ratings.csv", items=tmp_path / ("u.item" if name == "u.genre" else name))


def test_names_are_compared_without_case_and_punctuation():
    for user, item in (("userId", "movieId"), ("USER ID", "Item-ID"), ("reviewerID", "asin"), ("uid", "iid")):
        assert find_columns(["x", item, user], {}, "file") == {"user": 2, "item": 1}
    assert find_columns(["item_id", "item", "user"], {}, "file")["item"] == 1  # the plain name comes first
    assert describe(["a", "b"], {"user": 0, "item": 1}) == "user = 'a', item = 'b'"


@pytest.mark.parametrize("first", ["", "9,Alien,1979\n"])
def test_a_file_of_titles_needs_no_header(tmp_path, first):
    (tmp_path / "r.csv").write_text("user,item\nann,7\nbo,8\n")
    (tmp_path / "titles.csv").write_text(first + '7,Heat,1995\n8,"Jaws, the fish",1975\n')
    data = read(tmp_path / "r.csv", items=tmp_path / "titles.csv")
    assert data.titles.tolist() == ["Heat", "Jaws, the fish"]
    assert data.item_columns["column 2"].tolist() == [1995, 1975]
    assert "titles.csv has no header: its columns are taken for item, title, column 2" in data.notes
    (tmp_path / "only.csv").write_text("7\n8\n")
    assert read(tmp_path / "r.csv", items=tmp_path / "only.csv").titles is None


def test_a_header_that_names_no_item_is_still_told(tmp_path):
    (tmp_path / "r.csv").write_text("user,item\nann,a\n")
    (tmp_path / "titles.csv").write_text("code,label\na,Heat\n")
    with pytest.raises(DataError, match=r"titles.csv:1: no column for the item; the columns are 'code', 'label'"):
        read(tmp_path / "r.csv", items=tmp_path / "titles.csv")
    (tmp_path / "titles.csv").write_text("a,Heat\nb,Jaws\n")
    assert read(tmp_path / "r.csv", items=tmp_path / "titles.csv").titles.tolist() == ["Heat"]


def test_the_columns_of_an_item_file_are_said(tmp_path):
    (tmp_path / "r.csv").write_text("user,item\nann,a\nbo,b\n")
    (tmp_path / "articles.csv").write_text("Gruppe,Artikel,Bezeichnung\nTee,a,Assam\nTee,c,Earl Grey\n")
    said = {"item": "Artikel", "title": 2}
    data = read(tmp_path / "r.csv", items=tmp_path / "articles.csv", item_columns=said)
    assert data.titles.tolist() == ["Assam", ""]
    assert data.item_columns["Gruppe"].tolist() == ["Tee", ""]
    both = read_split(
        tmp_path / "r.csv", tmp_path / "r.csv", overlap="drop", items=tmp_path / "articles.csv", item_columns=said
    )
    assert both.titles.tolist() == ["Assam", ""]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {},
            r"no column for the item; .*; say the columns of this file, .* item_columns={.item.: .code., .title.",
        ),
        ({"item_columns": {"item": "sku"}}, r"no column 'sku' for the item; the columns are 'code', 'label'"),
        ({"item_columns": {"user": "code"}}, "item_columns names 'user'; its roles are item and title"),
        (
            {"item_columns": ["item"]},
            r"item_columns must map roles to columns, such as {'item': 'sku'}, got \['item'\]",
        ),
        ({"item_columns": {"item": 5}}, r"item is to be column 5, outside 0..1; .*; say the columns of this file"),
        ({"items": None, "item_columns": {"item": "code"}}, "there is no item file; pass items=FILE"),
    ],
)
def test_columns_of_an_item_file_that_do_not_fit_are_refused(tmp_path, how, message):
    (tmp_path / "r.csv").write_text("user,item\nann,a\n")
    (tmp_path / "titles.csv").write_text("code,label\na,Heat\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "r.csv", **{"items": tmp_path / "titles.csv", **how})


def test_titles_that_are_words_for_a_missing_value_are_noted(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,5\n1,6\n")
    (tmp_path / "movies.csv").write_text("movieId,title\n5,NaN\n6,Heat\n")
    notes = read(tmp_path / "ratings.csv").notes
    assert "titles: 1 are words for a missing value, kept as titles ('NaN')" in notes
