"""Tables that go on where they stopped."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import jaxrec
from experiments import tables


@pytest.fixture
def small(monkeypatch):
    """A split in place of the published ones; the names of what was fitted."""
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 40, (600, 2)), axis=0)
    split = jaxrec.split(jaxrec.from_arrays(pairs[:, 0], pairs[:, 1]), "user_random", test=0.3, valid=0.0)
    monkeypatch.setattr(tables, "published_split", lambda dataset, part: (split, split.test))
    fitted = []
    monkeypatch.setattr(tables.Row, "fitted", _noted(tables.Row.fitted, fitted))
    return fitted


def _noted(method, names):
    def noted(row, *args):
        names.append(type(row.model).__name__)
        return method(row, *args)

    return noted


def test_a_table_measures_only_what_its_file_lacks(small, tmp_path):
    out = tmp_path / "runs" / "table.json"
    rows = {"by count": tables.Row(jaxrec.Popularity()), "linear": tables.Row(jaxrec.EASE(l2=1.0))}
    tables.run(rows, "gowalla", out=out, names=("linear",))
    tables.run(rows, "gowalla", out=out)
    tables.run(rows, "gowalla", out=out)
    assert small == ["EASE", "Popularity"]
    assert json.loads(out.read_text())["test_reads"] == {"gowalla": 2}


def test_a_row_with_other_settings_is_measured_again_and_counts_as_another_reading(small, tmp_path):
    out = tmp_path / "table.json"
    tables.run({"linear": tables.Row(jaxrec.EASE(l2=1.0))}, "gowalla", out=out)
    rows = {"linear": tables.Row(jaxrec.EASE(l2=9.0), published={"gowalla": (0.1765, 0.1467)}, source="a paper")}
    entries = tables.run(rows, "gowalla", out=out)
    assert small == ["EASE", "EASE"]
    assert tables.test_reads(entries) == {"gowalla": 2}
    text = tables.table(rows, entries, "gowalla")
    assert f"| linear | {entries[-1]['recall@20']:.4f}".replace("0.", ".") in text
    assert ".1765/.1467 (a paper)" in text
    assert text.count("linear") == 1


def test_the_figures_are_those_of_an_evaluation(small, tmp_path):
    row = tables.Row(jaxrec.EASE(l2=1.0))
    (entry,) = tables.run({"linear": row}, "gowalla", out=tmp_path / "table.json")
    split, _ = tables.published_split("gowalla", "test")
    report = jaxrec.evaluate(
        jaxrec.fit(jaxrec.EASE(l2=1.0), split, key=jax.random.key(0)), split, k=(20,), metrics=["recall", "ndcg"]
    )
    assert entry["recall@20"] == pytest.approx(report.mean("recall@20"), abs=1e-5)
    assert entry["ndcg@20"] == pytest.approx(report.mean("ndcg@20"), abs=1e-5)


def test_a_row_goes_on_from_its_checkpoints(small, tmp_path):
    row = tables.Row(jaxrec.MF(dim=4), jaxrec.TrainingOptions(epochs=3, batch_size=256))
    (plain,) = tables.run({"mf": row}, "gowalla", out=tmp_path / "plain.json")
    kept = tmp_path / "kept"
    (first,) = tables.run({"mf": row}, "gowalla", out=tmp_path / "first.json", kept=kept)
    (folder,) = kept.iterdir()
    assert folder.name == "gowalla-test-mf-0"
    newest = max((folder / "steps").iterdir(), key=lambda step: int(step.name))
    shutil.rmtree(newest)  # as if it had been stopped after the second epoch
    (second,) = tables.run({"mf": row}, "gowalla", out=tmp_path / "second.json", kept=kept)
    assert [first.get("went_on"), second["went_on"]] == [None, True]
    assert plain["recall@20"] == first["recall@20"] == second["recall@20"]


def test_a_row_that_draws_has_a_spread_over_seeds(small, tmp_path):
    options = jaxrec.TrainingOptions(epochs=1, batch_size=256)
    rows = {"mf": tables.Row(jaxrec.MF(dim=4), options), "by count": tables.Row(jaxrec.Popularity())}
    entries = tables.run(rows, "gowalla", out=tmp_path / "table.json", seeds=2)
    assert [entry["row"] for entry in entries] == ["mf", "mf", "by count"]
    assert "±" in tables.table({"mf": rows["mf"]}, entries, "gowalla")


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--rows", "none"], "no row is named 'none'"), (["--grid"], "settings are chosen on train")],
)
def test_what_makes_no_sense_is_refused_in_a_line(words, says, capsys):
    rows = {"": {"by count": dataclasses.replace(tables.Row(jaxrec.Popularity()))}}
    assert tables.command("losses", rows, {}, words) == 2
    assert says in capsys.readouterr().out
