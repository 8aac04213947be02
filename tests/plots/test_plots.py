"""Figures: what is drawn is what was given, and every mistake is named."""

import builtins
import json
import sys

import numpy as np
import pytest

from jaxrec.errors import JaxrecError
from jaxrec.evaluation._tradeoff import CurvePoint, curve_rows
from jaxrec.reports._report import Report

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from jaxrec.plots import comparison, learning_curve, save_figure, trade_off_curves

RECORDS = [
    {"stage": "fit", "epoch": 1, "loss": 0.7},
    {"stage": "fit", "epoch": 2, "loss": 0.5, "valid": {"ndcg@10": 0.1, "recall@10": 0.2, "precision@10": 0.05}},
    {"stage": "fit", "epoch": 3, "loss": 0.4, "valid": {"ndcg@10": 0.3, "recall@10": 0.4, "precision@10": 0.06}},
    {"stage": "refit", "epoch": 1, "loss": 0.6},
]


def lines(panel):
    """What a panel shows, by label."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines}


def test_the_curve_has_a_line_for_each_stage_and_each_metric():
    figure = learning_curve(RECORDS, best_epoch=3, title="MF on x")
    loss, valid = figure.axes
    shown = lines(loss)
    assert shown["fit"] == ([1, 2, 3], [0.7, 0.5, 0.4])
    assert shown["refit"] == ([1], [0.6])
    assert shown["best epoch (3)"][0] == [3, 3]
    assert lines(valid)["ndcg@10"] == ([2, 3], [0.1, 0.3])
    assert lines(valid)["recall@10"] == ([2, 3], [0.2, 0.4])
    assert "precision@10" not in lines(valid)
    assert figure.get_suptitle() == "MF on x"


def test_metrics_can_be_chosen():
    assert set(lines(learning_curve(RECORDS, names=["precision@10"]).axes[1])) == {"precision@10"}
    assert len(learning_curve(RECORDS, names=[]).axes) == 1


def test_without_validation_there_is_one_panel():
    assert len(learning_curve([{"epoch": 1, "loss": 0.7}]).axes) == 1


def test_a_dollar_sign_in_a_title_is_no_formula(tmp_path):
    save_figure(learning_curve(RECORDS, title="MF on $_{x"), tmp_path / "curve.png")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: learning_curve([]), "records is empty"),
        (lambda: learning_curve(RECORDS, names=["f1@3"]), "no validation has 'f1@3'; there are ndcg@10, recall@10"),
        (lambda: learning_curve(RECORDS[:1], names=["f1@3"]), "no validation has 'f1@3'; there are no validations"),
        (lambda: comparison({}, ["recall@10"]), "reports or names is empty"),
        (lambda: comparison({"a": Report(np.arange(2), {})}, []), "reports or names is empty"),
        (lambda: comparison({"a": Report(np.arange(2), {})}, ["recall@10"]), "the report has no per-user value"),
        (lambda: trade_off_curves({}), "curves is empty"),
        (lambda: trade_off_curves({"mf": []}), "curves is empty or has a curve without a point"),
        (lambda: trade_off_curves({"mf": [{"trade_off": 1.0, "ild@20": 1.0}]}), "a row of curve 'mf' has no 'ndcg@20'"),
        (lambda: save_figure(learning_curve(RECORDS), "curve.txt"), "cannot draw 'curve.txt': the ending must be .png"),
        (lambda: save_figure(learning_curve(RECORDS), "no/such/x.png"), "cannot write 'no/such/x.png': No such file"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(JaxrecError, match=message.replace(".", r"\.")):
        call()


def test_the_comparison_shows_means_and_intervals():
    values = {"random": [0.0, 0.0, 0.5, 0.5], "ease": [0.5, 0.5, 1.0, 1.0]}
    reports = {
        label: Report(np.arange(4), {"recall@10": np.array(own)}, {"coverage@10": 0.25})
        for label, own in values.items()
    }
    recall, coverage = comparison(reports, ["recall@10", "coverage@10"]).axes
    dots = [line for line in recall.lines if len(line.get_xdata()) == 1]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(0.25, 0), (0.75, 1)]
    bars = [list(line.get_xdata()) for line in recall.lines if len(line.get_xdata()) == 2]
    assert bars == [list(report.interval("recall@10")) for report in reports.values()]
    assert [label.get_text() for label in recall.get_yticklabels()] == ["random", "ease"]
    assert all(len(line.get_xdata()) == 1 for line in coverage.lines)  # one number of all lists has no interval


def test_the_trade_off_curves_run_from_the_large_dot_with_a_cross_at_each_point():
    def report(ndcg, ild):
        return Report(np.arange(4), {"ndcg@20": np.array(ndcg), "ild@20": np.array(ild)}, {"coverage@20": 0.25})

    own = report([0.0, 0.0, 0.5, 0.5], [1.0, 1.0, 1.0, 1.2])
    diverse = report([0.0, 0.0, 0.0, 0.5], [1.2, 1.2, 1.4, 1.4])
    points = [CurvePoint(1.0, own), CurvePoint(0.5, diverse)]
    (panel,) = trade_off_curves({"mf": points}).axes
    dots = [line for line in panel.lines if line.get_markersize() == 8]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(own.mean("ild@20"), own.mean("ndcg@20"))]
    # Rows that were written earlier give the same figure.
    rows = json.loads(json.dumps(curve_rows(points, ["ild@20", "ndcg@20"])))
    (again,) = trade_off_curves({"mf": rows}).axes
    for drawn, redrawn in zip(panel.lines, again.lines, strict=True):
        np.testing.assert_array_equal(drawn.get_xydata(), redrawn.get_xydata())
    (line,) = [line for line in panel.lines if line.get_label() == "mf"]
    assert list(line.get_xdata()) == [own.mean("ild@20"), diverse.mean("ild@20")]
    bars = [(list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines if line.get_linewidth() == 1]
    assert bars[0] == (list(own.interval("ild@20")), [own.mean("ndcg@20")] * 2)
    assert bars[1] == ([own.mean("ild@20")] * 2, list(own.interval("ndcg@20")))
    assert len(bars) == 4
    of_all = trade_off_curves({"mf": [CurvePoint(1.0, own)]}, x="coverage@20").axes[0]
    assert sum(line.get_linewidth() == 1 for line in of_all.lines) == 1  # one number of all lists has no interval


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_file_is_written_whole_and_alone(tmp_path, ending, start):
    path = tmp_path / f"curve.{ending}"
    path.write_text("old")
    save_figure(learning_curve(RECORDS), path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(JaxrecError, match=r'figures need matplotlib: pip install "jaxrec\[plot\]"'):
        learning_curve(RECORDS)


def test_no_window_system_is_touched():
    learning_curve(RECORDS)
    assert "matplotlib.pyplot" not in sys.modules
