"""Markup, scales, charts and the document: what is text stays text, and what is shown is where it says."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.pages._charts import Point, Row, bar_chart, grouped_chart, interval_chart, line_chart, scatter_chart
from jaxrec.pages._document import Section, document, json_text, packed
from jaxrec.pages._marks import key_of, mark
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import figure, number, table
from jaxrec.pages._scale import Scale, spanning


class Tags(HTMLParser):
    """The tags and texts of some markup; fails where tags are not closed in order."""

    VOID = frozenset({"br", "circle", "input", "line", "link", "meta", "path", "rect", "hr"})

    def __init__(self, markup):
        super().__init__()
        self.tags, self.texts, self.attributes, self._open = [], [], [], []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.attributes.append(dict(attributes))
        self._open.append(name)

    def handle_startendtag(self, name, attributes):
        self.tags.append(name)
        self.attributes.append(dict(attributes))

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, text):
        self.texts.append(text)


@given(st.text(), st.text())
def test_any_text_and_attribute_comes_back_as_it_was_but_for_what_a_terminal_obeys(text, attribute):
    seen = Tags(tag("p", text, title=attribute))
    assert seen.tags == ["p"]
    kept = lambda one: "".join(letter for letter in one if letter.isprintable())  # noqa: E731
    assert kept(text) in {kept("".join(seen.texts))} or not text.isprintable()
    assert seen.attributes[0]["title"] == attribute or not attribute.isprintable()


def test_markup_is_escaped_once():
    inner = tag("b", "a < b")
    assert joined(inner, " & ", [inner, None]) == "<b>a &lt; b</b> &amp; <b>a &lt; b</b>"
    assert tag("path", d="M0 0") == '<path d="M0 0"/>'
    assert tag("details", open=True, hidden=False, data_run=None) == "<details open></details>"
    assert tag("line", x1=1.23456, x2=2.0) == '<line x1="1.23" x2="2"/>'


@given(st.text())
def test_json_in_a_script_element_neither_ends_it_nor_changes(text):
    written = json_text({"title": text})
    assert not re.search("[<>&]", written)
    assert json.loads(written) == {"title": text}


def test_json_refuses_a_number_that_is_not_finite():
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"value": float("nan")})


@pytest.mark.parametrize(("most", "size"), [(254, 1), (255, 2), (65534, 2), (65535, 4)])
def test_packed_numbers_have_room_for_none(most, size):
    numbers = np.array([-1, 0, most])
    made = packed(numbers)
    kind = {1: np.uint8, 2: "<u2", 4: "<u4"}[size]
    read = np.frombuffer(base64.b64decode(made["data"]), kind).astype(np.int64)
    assert made["bytes"] == size
    assert np.where(read == np.iinfo(kind).max, -1, read).tolist() == numbers.tolist()


@pytest.mark.parametrize("wrong", [np.array([0.5]), np.array([-2])])
def test_packed_refuses_what_it_cannot_give_back(wrong):
    with pytest.raises(ValueError, match="whole numbers of at least -1"):
        packed(wrong)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_ascending_and_within_the_scale(low, width):
    scale = Scale(low, low + width, 0.0, 1.0)
    ticks = scale.ticks(5)
    assert len(ticks) <= 6
    assert ticks == sorted(set(ticks))
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


def test_a_scale_is_linear_or_logarithmic_and_keeps_to_its_ends():
    assert Scale(0.0, 4.0, 100.0, 0.0)(1.0) == 75.0
    assert Scale(1.0, 10_000.0, 0.0, 4.0, log=True)(100.0) == pytest.approx(2.0)
    assert Scale(0.0, 1.0, 0.0, 1.0)(5.0) == 1.0
    assert spanning([3.0, 3.0], 0.0, 1.0).low < 3.0 < spanning([3.0, 3.0], 0.0, 1.0).high
    assert spanning([], 0.0, 1.0).ticks()
    assert spanning([0.0, float("nan"), 10.0], 0.0, 1.0, log=True).low > 0
    assert spanning([2.0, 5.0], 0.0, 1.0, include=[0.0]).low == 0.0


def places(svg, cls):
    """The first coordinates of the marks of a class, in order."""
    return [tuple(map(float, found)) for found in re.findall(rf'class="mark {cls}[^"]*" d="M(\S+) (\S+?)[aL]', svg)]


def test_a_line_chart_has_its_points_where_the_axes_say():
    series = {"a": [(0.0, 0.0), (1.0, 1.0), (2.0, float("nan")), (4.0, 2.0)]}
    svg = line_chart(series, name="n", x_label="x", y_label="y", y_include=[0.0])
    points = re.search(r'points="([^"]*)"', svg)[1].split()
    assert len(points) == 3
    x, y = zip(*(map(float, point.split(",")) for point in points), strict=True)
    assert (x[1] - x[0]) * 4 == pytest.approx(x[2] - x[0], abs=0.5)
    assert (y[0] - y[1]) * 2 == pytest.approx(y[0] - y[2], abs=0.5)
    assert y[0] > y[2]  # up is more
    assert 'role="img"' in svg
    assert 'aria-label="n"' in svg


@pytest.mark.parametrize(
    "label", ["a − b", "lightgcn-plus-plus − popularity-by-month", "one run with a long name, 12 seeds", "x" * 60]
)
def test_labels_of_an_interval_chart_end_before_the_line_at_zero(label):
    svg = interval_chart([Row(label, 0.2, -0.1, 0.5), Row("c − d", 0.1)], name="n", x_label="x", zero=True)
    lines = re.findall(r'<text x="4" y="([0-9.]+)" class="label">(?:<title>[^<]*</title>)?([^<]*)</text>', svg)
    zero = float(re.search(r'class="zero" x1="([0-9.]+)"', svg)[1])
    assert len(lines) in (2, 3)
    assert len({down for down, _ in lines}) == len(lines)
    assert max(len(line) for _, line in lines) <= 22
    assert 4 + 6.8 * max(len(line) for _, line in lines) < zero
    if label[:1] != "x":
        assert "".join(line for _, line in lines[:-1]).replace(" ", "")[:20] == label.replace(" ", "")[:20]
    assert label in svg


def test_an_interval_chart_fills_what_is_significant_and_shows_zero():
    rows = [Row("a − b", 0.5, 0.25, 0.75), Row("b − c", -0.1, -0.3, 0.1, filled=False)]
    svg = interval_chart(rows, name="n", x_label="x", zero=True)
    assert svg.count("empty") == 1
    zero = float(re.search(r'class="zero" x1="([\d.]+)"', svg)[1])
    low, high = map(float, re.search(r'class="interval s0" x1="([\d.]+)" x2="([\d.]+)"', svg).groups())
    assert zero < low < high


def test_labels_of_a_scatter_do_not_lie_on_each_other():
    near = {f"run {at}": Point(1.0 + at / 1000, 1.0) for at in range(4)} | {"far": Point(2.0, 3.0)}
    svg = scatter_chart(near, name="n", x_label="x", y_label="y")
    boxes = []
    for x, y, where, text in re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="label halo (\w+)">([^<]*)', svg):
        wide = len(text) * 6.8
        start = float(x) - {"start": 0, "middle": wide / 2, "end": wide}[where]
        boxes.append((start, float(y) - 10, start + wide, float(y) + 2))
    assert len(boxes) == 5
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


def test_charts_of_nothing_are_charts():
    assert "<svg" in line_chart({"a": []}, name="n", x_label="x", y_label="y", x_log=True, y_log=True)
    assert "<svg" in scatter_chart({}, name="n", x_label="x", y_label="y")
    assert "<svg" in grouped_chart(["g"], {"a": [None]}, name="n", x_label="x")
    assert "<svg" in bar_chart([], name="n", x_label="x", y_label="y")


def test_bars_are_as_high_as_their_values():
    svg = bar_chart([("a", 2.0), ("b", 1.0), ("c", 0.0)], name="n", x_label="x", y_label="y")
    heights = [float(a) - float(b) for a, b in re.findall(r'class="bar" d="M\S+ (\S+?)V(\S+?)H', svg)]
    assert len(heights) == 2  # none for 0
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.1)


def test_series_differ_in_shape_and_dash_and_not_in_color_alone():
    shapes = {re.sub(r"[\d.-]+", "", mark(at, 0.0, 0.0)).partition('d="')[2] for at in range(8)}
    outlines = {mark(at, 0.0, 0.0).partition('d="')[2] for at in range(8)}
    assert len(outlines) == 8
    assert len(shapes) >= 5
    key = key_of([f"run {at}" for at in range(4)], lines=True)
    assert {f"d{at}" for at in range(4)} <= set(re.findall(r"d\d", key))


def test_every_figure_has_a_table_behind_it():
    behind = table(["", "x"], [["a", "1"]], caption="c", stacked=True)
    made = figure(tag("svg"), "A sentence.", behind)
    assert made.index("<svg") < made.index("A sentence.") < made.index("<table")
    assert 'data-label="x"' in behind
    assert 'scope="row"' in behind


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, ".0000"), (-0.00001, ".0000"), (1.0, "1.0000"), (-1234.5, "−1,234.5000")]
)
def test_numbers_read_alike(value, text):
    assert number(value) == text


def test_a_document_names_its_style_and_script_by_hash_and_lets_nothing_else_in():
    page = document("T & T", [Section("a", "A <b>", tag("p", "x"))], data={"x": 1}, script="_script.js")
    seen = Tags(page.removeprefix("<!doctype html>\n"))
    policy = next(one["content"] for one in seen.attributes if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert seen.tags.count("script") == 2
    assert seen.tags.count("style") == 1
    assert not re.search(
        r"""\s(style|on\w+)=["']""", page.partition("<body>")[2].partition('<script type="application')[0]
    )
    assert isinstance(tag("p"), Html)
