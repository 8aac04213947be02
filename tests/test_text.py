"""Text for terminals, notebooks and spreadsheets: what they would obey is shown instead."""

import pytest

from jaxrec.api._suggestions import Recommendations, Suggestion
from jaxrec.text import aligned_text, cell_text, html_table, printable

TITLES = {
    "\x1b[2J\x1b[31mred": r"\x1b[2J\x1b[31mred",
    "a\nuser u2\n   1. Forged": r"a\nuser u2\n   1. Forged",
    "\u202eexe.fdp": r"\u202eexe.fdp",
    "bell\x07, back\x08, null\x00, \x7f": r"bell\x07, back\x08, null\x00, \x7f",
    "next line\x85, paragraph\u2029": r"next line\x85, paragraph\u2029",
    "half \ud800": r"half \ud800",
    "\u2066isolated\u2069": r"\u2066isolated\u2069",
}


@pytest.mark.parametrize("title", TITLES)
def test_control_characters_are_escaped(title):
    assert printable(title) == TITLES[title]
    assert aligned_text([["title"], [title]]).split("\n")[1] == TITLES[title]
    lists = Recommendations("user", {title: [Suggestion(7, title, 0.5)]}, (f"about {title}",))
    for text in (str(lists), repr(lists)):
        assert text.split("\n") == [f"user {TITLES[title]}", f"   1. {TITLES[title]}  [7]  0.500", text.split("\n")[-1]]
        assert text.split("\n")[-1] == f"note: about {TITLES[title]}"
    assert title not in html_table("t", [["title"], [title]])


@pytest.mark.parametrize("title", ["Amélie (2001)", "千と千尋の神隠し", "الرسالة", "👨‍👩‍👧", "a b"])
def test_letters_of_any_script_stay(title):
    assert printable(title) == title


def test_cells_that_a_spreadsheet_would_run_get_a_quote():
    for text in ("=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1"):
        assert cell_text(text) == f"'{text}"
    for value in ("Heat", "a=b", 7, -1.5, None, ""):
        assert cell_text(value) == value


def test_they_are_quoted_on_request_alone(tmp_path):
    lists = Recommendations("user", {"@ann": [Suggestion(-7, "=1+1", -0.5)]})
    lists.save(tmp_path / "plain.csv")
    lists.save(tmp_path / "safe.csv", spreadsheet_safe=True)
    assert (tmp_path / "plain.csv").read_text().splitlines()[1] == "@ann,1,-7,=1+1,-0.5"
    assert (tmp_path / "safe.csv").read_text().splitlines()[1] == "'@ann,1,-7,'=1+1,-0.5"
