"""Forests, Pareto fronts and item maps: what is drawn is what was given."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.errors import JaxrecError
from jaxrec.reports import Report, compare_reports
from jaxrec.statistics import Comparison

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from matplotlib.figure import Figure

from jaxrec import plots

ROW = Comparison("ease", "mf", "ndcg@10", 0.3, 0.2, 0.1, 0.05, 0.15, 0.001, 0.002, True, 9)
OPEN = dataclasses.replace(ROW, a="knn", difference=-0.01, low=-0.05, high=0.03, significant=False)


def marks(panel):
    return [line for line in panel.lines if len(line.get_xdata()) == 1]


def test_a_forest_has_a_row_a_pair_filled_where_it_is_significant():
    (panel,) = plots.forest([ROW, OPEN]).axes
    first, second = marks(panel)
    assert (first.get_xdata()[0], second.get_xdata()[0]) == (0.1, -0.01)
    assert first.get_markerfacecolor() == first.get_color()
    assert second.get_markerfacecolor() == "white"
    assert first.get_marker() != second.get_marker()  # the sign is seen without colors
    bars = [list(line.get_xdata()) for line in panel.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 2]
    assert bars == [[0.05, 0.15], [-0.05, 0.03]]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["ease - mf", "knn - mf"]


def test_a_forest_of_several_metrics_asks_for_one():
    values = {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1]}
    reports = {
        label: Report(np.arange(3), {"recall@5": np.array(own), "ndcg@5": np.array(own)})
        for label, own in values.items()
    }
    rows = compare_reports(reports, jax.random.key(0))
    assert len(marks(plots.forest(rows, metric="ndcg@5").axes[0])) == 1
    with pytest.raises(JaxrecError, match=r"metric is None, and the comparisons are of recall@5, ndcg@5"):
        plots.forest(rows)
    with pytest.raises(JaxrecError, match=r"metric is 'auc'"):
        plots.forest(rows, metric="auc")
    with pytest.raises(JaxrecError, match="comparisons is empty"):
        plots.forest([])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_is_what_no_other_point_beats(points):
    costs, gains = zip(*points, strict=True)
    front = plots.pareto_front(costs, gains)
    assert any(front)
    for (one, own), (other, theirs) in itertools.product(zip(points, front, strict=True), repeat=2):
        beats = other[0] <= one[0] and other[1] >= one[1] and other != one
        assert not (own and beats)
        if one == other:
            assert own == theirs
    beaten = [point for point, own in zip(points, front, strict=True) if not own]
    best = [point for point, own in zip(points, front, strict=True) if own]
    assert all(any(b[0] <= p[0] and b[1] >= p[1] for b in best) for p in beaten)


def test_the_pareto_figure_fills_the_front_and_joins_it():
    (panel,) = plots.pareto({"slow": (9.0, 0.1), "popular": (0.1, 0.06), "ease": (1.0, 0.11)}, x="s", y="g").axes
    line, *points = panel.lines
    assert list(zip(*line.get_data(), strict=True)) == [(0.1, 0.06), (1.0, 0.11)]
    assert [point.get_markerfacecolor() == "white" for point in points] == [True, False, False]
    assert panel.get_xscale() == "log"
    assert plots.pareto({"a": (0.0, 1.0)}, logarithmic=False).axes[0].get_xscale() == "linear"


def test_the_principal_plane_keeps_distances_of_points_in_a_plane():
    draw = np.random.default_rng(0).normal
    flat = draw(size=(7, 2)) @ np.linalg.qr(draw(size=(5, 2)))[0].T + draw(size=5)  # a plane in five dimensions
    places = plots.principal_plane(flat)
    apart = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(apart(places), apart(flat), atol=1e-12)
    assert places[:, 0].var() >= places[:, 1].var()
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(plots.principal_plane([[1.0], [2.0], [6.0]]), [[-2, 0], [-1, 0], [3, 0]], atol=1e-12)


def test_an_item_map_has_a_mark_a_group_and_the_rest_together():
    vectors = np.random.default_rng(1).normal(size=(20, 2))
    groups = [f"genre {min(at // 2, 7)}" for at in range(20)]  # eight groups, of which six are shown
    (panel,) = plots.item_map(vectors, groups=groups, sizes=np.arange(20), named={3: "Heat (1995)"}).axes
    labels = [shown.get_label() for shown in panel.collections]
    assert len(labels) == 7
    assert labels[0] == "genre 7 (6)"
    assert labels[-1] == "others (4)"
    assert sum(len(shown.get_offsets()) for shown in panel.collections) == 20
    (text,) = panel.texts
    np.testing.assert_allclose(text.xy, vectors[3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.pareto({}), "points is empty"),
        (
            lambda: plots.pareto({"a": (0.0, 1.0)}),
            r"points\['a'\] is \(0\.0, 1\.0\); both must be finite, costs and above 0",
        ),
        (lambda: plots.pareto({"a": (1.0, np.nan)}, logarithmic=False), "both must be finite"),
        (lambda: plots.pareto_front([1.0], []), "costs has 1 numbers and gains 0"),
        (lambda: plots.principal_plane([1.0]), r"vectors has shape \(1,\)"),
        (lambda: plots.principal_plane([[np.inf, 1.0]]), "not finite"),
        (lambda: plots.item_map(np.eye(3), groups=["a"]), "there are 3 vectors, 1 groups"),
        (lambda: plots.item_map(np.eye(3), sizes=[1, -1, 1]), "sizes at least 0"),
        (lambda: plots.item_map(np.eye(3), named={3: "x"}), "named has item 3, and there are 3 vectors"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()


ONE_PANEL = {
    "spectrum": lambda ax: plots.spectrum([0.0, 1.0], ax=ax),
    "filter_responses": lambda ax: plots.filter_responses({"a": np.cos}, ax=ax),
    "draw_matrix": lambda ax: plots.draw_matrix(np.eye(2), ax=ax),
    "forest": lambda ax: plots.forest([ROW], ax=ax),
    "pareto": lambda ax: plots.pareto({"a": (1.0, 1.0)}, ax=ax),
    "item_map": lambda ax: plots.item_map(np.eye(3), ax=ax),
    "learning_curve": lambda ax: plots.learning_curve([{"epoch": 1, "loss": 0.7}], ax=ax),
    "comparison": lambda ax: plots.comparison(
        {"a": Report(np.arange(2), {"ndcg@5": np.array([0.1, 0.3])})}, ["ndcg@5"], ax=ax
    ),
    "trade_off_curves": lambda ax: plots.trade_off_curves({"a": [{"ild@20": 1.0, "ndcg@20": 0.1}]}, ax=ax),
}


@pytest.mark.parametrize("name", ONE_PANEL)
def test_every_function_draws_into_the_panel_of_the_caller(name):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert ONE_PANEL[name](right) is figure
    assert not left.has_data()
    assert right.has_data()


def test_several_panels_are_given_as_a_sequence_and_their_number_is_checked():
    figure = Figure()
    panels = figure.subplots(2, 1)
    records = [{"epoch": 1, "loss": 0.7, "valid": {"ndcg@10": 0.1}}]
    assert plots.learning_curve(records, ax=panels) is figure
    assert all(panel.has_data() for panel in panels)
    with pytest.raises(JaxrecError, match=r"ax has 1 panel\(s\) and 2 are needed"):
        plots.learning_curve(records, ax=panels[0])


@pytest.mark.parametrize("name", ONE_PANEL)
def test_a_figure_shows_itself_in_a_notebook(name):
    content, size = ONE_PANEL[name](None)._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert size["width"] > 200


def test_every_drawing_function_is_tested_and_has_a_picture_in_the_gallery():
    import pathlib

    import jaxrec

    text = (pathlib.Path(jaxrec.__file__).parents[1] / "docs" / "plots.md").read_text(encoding="utf-8")
    drawing = set(plots.__all__) - {"LearningCurve", "save_figure", "pareto_front", "principal_plane"}
    assert {name for name in drawing if f"plots.{name}(" not in text} == set()
    assert drawing - set(ONE_PANEL) == {"draw_bipartite"}  # which needs a graph of networkx
