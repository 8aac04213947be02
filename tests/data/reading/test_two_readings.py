"""Text that can be read in two ways: refused with the option that decides, and read right once it is stated."""

import re

import pytest

import jaxrec
from jaxrec.errors import DataError


def rows_of(data):
    """User, item and rating of each row."""
    columns = [data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist()]
    return list(zip(*columns, *([] if data.rating is None else [data.rating.tolist()]), strict=True))


TRIPLES = "1 10 5\n2 11 3\n3 12 4\n"
LOG = "".join(f"{user} {user % 7} 5 {1_700_000_000 + user}\n" for user in [*range(200), *range(9)])


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        (TRIPLES, r"\('user', 'item', 'rating'\)"),
        ("1 10 5\n", r"\('user', 'item', 'rating'\)"),
        ("1  10  5\n2  11  3\n", r"\('user', 'item', 'rating'\)"),
        (LOG, r"\('user', 'item', 'rating', 'timestamp'\)"),  # repeated users after the first hundred lines only
        ("1 10 5 3 9\n2 11 3 4 8\n", r"\('user', 'item'\)"),
        ("".join(f"{user} {user + 100} 5\n" for user in range(40)) + "41 7\n", r"\('user', 'item', 'rating'\)"),
    ],
)
def test_rows_of_numbers_between_blanks_are_a_table_or_lists(reading, text, roles):
    with pytest.raises(DataError, match=f"pass columns={roles}, or format='lightgcn'"):
        reading(text, "log.txt")


def test_stated_rows_of_numbers_are_what_was_stated(reading):
    data = reading(TRIPLES, "log.txt", columns=("user", "item", "rating"))
    assert rows_of(data) == [(1, 10, 5), (2, 11, 3), (3, 12, 4)]
    data = reading(TRIPLES, "log.txt", format="lightgcn")
    assert rows_of(data) == [(1, 10), (1, 5), (2, 11), (2, 3), (3, 12), (3, 4)]
    assert rows_of(reading("0 1 2 3\n1 4\n", "log.txt")) == [(0, 1), (0, 2), (0, 3), (1, 4)]
    assert rows_of(reading("1 10\n1 11\n2 10\n", "log.txt")) == [(1, 10), (1, 11), (2, 10)]  # the same either way


def test_the_parts_of_a_split_are_of_one_format(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2\n1 1\n")
    (tmp_path / "test.txt").write_text("0 3 4\n1 5 6\n")
    data = jaxrec.read_split(tmp_path / "train.txt", tmp_path / "test.txt")
    assert rows_of(data)[3:] == [(0, 3), (0, 4), (1, 5), (1, 6)]
    with pytest.raises(DataError, match="format='lightgcn'"):
        jaxrec.read_split(tmp_path / "test.txt", tmp_path / "test.txt")


@pytest.mark.parametrize("mark", [";", "|", " ", ":", "^", "~", "\x01", ", ", "#", "/", "_", "+", "@"])
def test_two_delimiters_may_give_rows_of_one_length(reading, mark):
    text = "".join(mark.join(row) + "\n" for row in (("1", "10", "4,5"), ("1", "11", "3,0"), ("2", "10", "5,0")))
    with pytest.raises(DataError, match=re.escape(f"state delimiter={mark!r} (with decimal=',') or delimiter=','")):
        reading(text)
    expected = [(1, 10, 4.5), (1, 11, 3), (2, 10, 5)]
    assert rows_of(reading(text, decimal=",")) == expected
    assert rows_of(reading(text, delimiter=mark, decimal=",")) == expected
    if mark != ", ":
        assert rows_of(reading(text, delimiter=",", columns=("user", "item")))[0] == (f"1{mark}10{mark}4", 5)


@pytest.mark.parametrize(
    ("text", "options", "rows"),
    [
        ("1\t10\t4,5\n2\t11\t3,0\n", {"decimal": ","}, [(1, 10, 4.5), (2, 11, 3)]),
        ('"1","10","4,5"\n"2","11","3,0"\n', {"decimal": ","}, [(1, 10, 4.5), (2, 11, 3)]),
        ("1::10::4,5\n2::11::3,0\n", {"decimal": ","}, [(1, 10, 4.5), (2, 11, 3)]),
        ("ann lee,the thing,5\nbob roe,the fly,3\n", {}, [("ann lee", "the thing", 5), ("bob roe", "the fly", 3)]),
        ("urn:user:7,20\nurn:user:8,21\n", {}, [("urn:user:7", 20), ("urn:user:8", 21)]),
        ("1, 10, 5\n2, 11, 3\n", {}, [(1, 10, 5), (2, 11, 3)]),
    ],
)
def test_one_delimiter_is_left_where_the_other_is_in_values(reading, text, options, rows):
    assert rows_of(reading(text, **options)) == rows


@pytest.mark.parametrize("value", ["4,5", "1.234,5"])
def test_a_decimal_comma_that_was_not_stated_is_refused(reading, value):
    with pytest.raises(DataError, match=rf"rating '{value}' is not a finite number"):
        reading(f"user;item;rating\n1;10;{value}\n")
    with pytest.raises(DataError, match=r"rating '1\.234,5' is not a finite number"):
        reading("user;item;rating\n1;10;1.234,5\n", decimal=",")
    with pytest.raises(DataError, match=r"decimal is ';'; pass '\.' or ','"):
        reading("user;item\n1;10\n", decimal=";")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("ann,matrix\nann,jaws\nbob,matrix\n", ("user", "item")),
        ("ann,matrix\nann,jaws\nbob,matrix\n", {"user": 0, "item": 1}),
        ("ann,matrix\nann,jaws\n", None),
        ("ann,movie\nbob,jaws\n", ("user", "item")),  # one familiar name may be an item
        ("ann\tmatrix\tgood\nbob\tjaws\tbad\n", ("user", "item", None)),
        ("0,1,2\n1,10,5\n2,11,4\n", None),  # the names that pandas gives
        (",0,1,2\n0,1,10,5\n1,2,11,4\n", {"user": 1, "item": 2, "rating": 3}),  # with its index
        ("u1,080442957X\nu2,0439023481\nu3,0316769487\n", ("user", "item")),  # an ISBN
        ("ann,matrix,x1\nann,jaws,17\nbob,matrix,18\n", {"user": 0, "item": 1}),  # no role has the numbers
        ("b2,c7\n3,18\n4,19\n", {"user": 0, "item": 1}),
    ],
)
def test_a_first_row_that_may_be_a_header_or_data_is_refused(reading, text, columns):
    with pytest.raises(DataError, match="may be a header or data; pass header=True or header=False"):
        reading(text, columns=columns)
    lines = len(text.splitlines())
    assert len(reading(text, columns=columns, header=False)) == lines
    assert len(reading(text, columns=columns or {"user": 0, "item": 1}, header=True)) == lines - 1


@pytest.mark.parametrize("word", ["", "n/a", "NULL", "NaN", "-", "unknown"])
@pytest.mark.parametrize(("role", "below"), [("rating", "4"), ("timestamp", "2024-05-01")])
def test_a_value_that_is_missing_in_the_first_row_names_no_column(reading, word, role, below):
    text = f"ann,matrix,{word}\nann,jaws,{below}\nbob,matrix,{below}\n"
    with pytest.raises(DataError, match="may be a header or data; pass header=True or header=False"):
        reading(text, columns={"user": 0, "item": 1, role: 2})


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("user,item\nann,jaws\n", None, [("ann", "jaws")]),
        ("wer,was\n1,10\n", ("user", "item"), [(1, 10)]),
        ("wer,was,Note 1\nann,jaws,4\n", ("user", "item", "rating"), [("ann", "jaws", 4)]),
        ("who,what\nann,jaws\n", {"user": "who", "item": "what"}, [("ann", "jaws")]),
        ("wer,was,note\nann,jaws,4\n", ("user", "item", "rating"), [("ann", "jaws", 4)]),
        ("ann,jaws,4\nbob,heat,3\n", None, [("ann", "jaws", 4), ("bob", "heat", 3)]),
        ("ann,jaws,2024-05-01\n", ("user", "item", "timestamp"), [("ann", "jaws")]),
        (",user,item\n0,ann,jaws\n", None, [("ann", "jaws")]),
    ],
)
def test_a_header_shows_by_its_names_or_by_the_rows_below(reading, text, columns, rows):
    assert rows_of(reading(text, columns=columns)) == rows


def test_numbers_tell_of_another_order_of_columns(reading):
    with pytest.raises(DataError, match=r"third column is a rating .* columns=\('user', 'item', 'timestamp'\)"):
        reading("1,10,978300760\n1,11,978300770\n")
    with pytest.raises(DataError, match=r"the first column only counts the rows.*columns=\(None, 'user', 'item'"):
        reading("0,1,10,5\n1,1,11,3\n2,2,10,4\n")
    assert len(reading("1,10,5,978300760\n2,11,4,978300770\n3,11,4,978300790\n")) == 3


STRAY = 'user\titem\trating\nu1\t"Quiet cable\t5\nu2\tpan 7"\t4\nu3\tz\t1\n'


@pytest.mark.parametrize(
    "text",
    [
        STRAY,
        STRAY.replace("\t", ","),
        'user,item,rating\nu1,"Quiet cable,5\nu2,x,4\nu3,pan",4\nu4,z,1\n',
        'user,item,rating\nu1,"a, b, c,5\nu2,pan",4\n',
        'item,user\n"a,u1\nb,u2\nc",u3\n',
    ],
)
def test_quotes_that_may_be_stray_are_refused(reading, text):
    with pytest.raises(DataError, match=r":2: quotes that enclose several lines.*pass quotes=False .*quotes=True"):
        reading(text)


def test_quotes_are_what_was_stated(reading):
    data = reading(STRAY, quotes=False)
    assert rows_of(data) == [("u1", '"Quiet cable', 5), ("u2", 'pan 7"', 4), ("u3", "z", 1)]
    assert "item ids: 2 of 3 are in quotes, which are part of the id" in data.notes[-1]
    assert rows_of(reading(STRAY, quotes=True)) == [("u1", "Quiet cable\t5 u2\tpan 7", 4), ("u3", "z", 1)]
    data = reading('user,item,review\nu1,a,"good\nvery good"\nu2,b,"x"\n')  # no line of it is a row
    assert rows_of(data) == [("u1", "a"), ("u2", "b")]
    with pytest.raises(DataError, match="if the quotes are part of the values, pass quotes=False"):
        reading('user,item\nu1,"a\nu2,b\n')
    with pytest.raises(DataError, match="quotes is 'no'; pass True or False"):
        reading("user,item\n1,2\n", quotes="no")
