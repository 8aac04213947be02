"""Graphs, matrices and spectra as figures: what is drawn is what was given."""

import networkx
import numpy as np
import pytest

from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from matplotlib.colors import to_rgba

from jaxrec.plots import draw_bipartite, draw_matrix, filter_responses, spectrum

R = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], np.float32)


def test_a_bipartite_graph_has_a_mark_a_side_and_a_line_an_edge():
    made = graph.to_networkx(sparse.from_dense(R))
    (panel,) = draw_bipartite(made).axes
    assert len(panel.lines) == 7
    users, items = panel.collections
    assert users.get_offsets().tolist() == [[0, 0], [0, -1], [0, -2]]
    assert items.get_offsets().tolist() == [[1, 0], [1, -1], [1, -2], [1, -3]]
    # Told apart without their colors too: a circle has curves, a square has not.
    assert len(users.get_paths()[0].vertices) > len(items.get_paths()[0].vertices)
    assert sorted(text.get_text() for text in panel.texts) == sorted(str(node) for node in made.nodes)
    with pytest.raises(JaxrecError, match=r"node 7 has bipartite=None"):
        draw_bipartite(networkx.Graph([(7, 8)]))


def test_a_small_matrix_has_its_numbers_whole_ones_without_decimals():
    (panel,) = draw_matrix(sparse.from_dense(R), rows=["ann", "ben", "cy"]).axes
    assert [text.get_text() for text in panel.texts] == ["1"] * 7
    assert [label.get_text() for label in panel.get_yticklabels()] == ["ann", "ben", "cy"]
    (panel,) = draw_matrix([[0.125, 2.0]], decimals=3).axes
    assert {(text.get_text(), text.xy) for text in panel.texts} == {("0.125", (0, 0)), ("2", (1, 0))}


def test_a_matrix_with_both_signs_has_0_in_the_middle_of_its_shades():
    (drawn,) = draw_matrix([[2.0, -1.0], [0.0, 1.0]]).axes[0].images
    assert (drawn.norm.vmin, drawn.norm.vmax) == (-2.0, 2.0)
    assert np.ma.getmaskarray(drawn.get_array()).tolist() == [[False, False], [True, False]]  # zeros are left empty
    (drawn,) = draw_matrix([[2.0, 1.0]]).axes[0].images
    assert drawn.norm.vmin == 0


def test_a_large_matrix_has_a_scale_instead_of_numbers():
    figure = draw_matrix(np.eye(13))
    panel, _ = figure.axes  # the second one is the scale
    assert len(panel.texts) == 0


def test_a_spectrum_is_drawn_in_its_order():
    (panel,) = spectrum({"one": [0, 0.5, 2], "zero": [0, 0, 0.5]}, y="singular value").axes
    assert [list(line.get_ydata()) for line in panel.lines] == [[0, 0.5, 2], [0, 0, 0.5]]
    assert [line.get_marker() for line in panel.lines] == ["o", "s"]
    assert panel.get_ylabel() == "singular value"
    assert panel.get_legend() is not None
    assert spectrum([1, 2]).axes[0].get_legend() is None


def test_a_response_is_asked_over_the_interval_and_the_eigenvalues_are_ticks():
    (panel,) = filter_responses({"A~": lambda v: 1 - v}, interval=(0, 2), eigenvalues=[0.25, 1.0]).axes
    line, ticks = panel.lines
    x, y = line.get_data()
    assert (x[0], x[-1]) == (0, 2)
    np.testing.assert_allclose(y, 1 - x)
    assert list(ticks.get_xdata()) == [0.25, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_matrix([1.0, 2.0]), r"matrix has shape \(2,\)"),
        (lambda: draw_matrix([[1.0]], rows=["a", "b"]), "rows has 2 names and the matrix 1 rows"),
        (lambda: spectrum([[1.0]]), r"eigenvalues has shape \(1, 1\)"),
        (lambda: spectrum({}), "eigenvalues is empty"),
        (lambda: spectrum({"a": []}), r"eigenvalues\['a'\] has shape \(0,\)"),
        (lambda: filter_responses({}), r"responses has 0 function\(s\)"),
        (lambda: filter_responses({"a": np.cos}, interval=(1, 1)), r"interval is \(1, 1\)"),
        (lambda: filter_responses({"a": lambda v: 1.0}), r"responses\['a'\] makes \(\) of \(241,\)"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()


def test_colors_of_sides_can_be_chosen():
    (panel,) = draw_bipartite(graph.to_networkx(sparse.from_dense(R)), user_color="black", item_color="blue").axes
    users, items = panel.collections
    assert tuple(users.get_facecolor()[0]) == to_rgba("black")
    assert tuple(items.get_facecolor()[0]) == to_rgba("blue")
    inks = {text.get_color() for text in panel.texts}
    assert inks == {"white"}  # on dark marks
