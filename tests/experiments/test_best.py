"""The experiment for the best results: its document, its search, what it refuses, and the blend of three numbers."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from worlds import middle

import jaxrec
from experiments import tables
from experiments.best import config
from experiments.best import main as experiment
from jaxrec.models import GraphFilter, LearntNetwork, Member, OneHop, SpectralRanker
from jaxrec.training import Adam

ROWS = ["filter", "network", "embedding", "ials", "ease", "blend", "everything", "lightgcn-bpr"]
SHORT = jaxrec.TrainingOptions(
    loss=jaxrec.losses.InBatchSoftmax(0.2, logit_adjustment=0.0), optimizer=Adam(0.02), batch_size=64, epochs=2
)
BLEND = config.ThreeNumbers(jaxrec.LightGCN(dim=4, layers=1), SHORT, GraphFilter(terms=(OneHop(),)), ordered=False)
NETWORK = LearntNetwork(ends=(2, 4), hidden=(4,), epochs=2, batch_users=4)
SMALL = {
    "ease": tables.Row(jaxrec.EASE(l2=1.0)),
    "blend": tables.Row(BLEND, fit=BLEND),
    "everything": tables.Row(
        SpectralRanker(head=NETWORK, share=0.2, members=(Member(BLEND.model, SHORT), Member(jaxrec.EASE(l2=1.0))))
    ),
}


@pytest.fixture
def fits(monkeypatch):
    """A split in place of the published ones, and small rows; the names of what was fitted."""
    split = jaxrec.split(middle(), "user_random", test=0.2, valid=0.0, key=jax.random.key(0))
    monkeypatch.setattr(tables, "published_split", lambda dataset, part: (split, split.test))
    monkeypatch.setattr(experiment, "rows", lambda dataset: SMALL)
    made, plain = [], tables.Row.fitted

    def noted(row, split, key):
        made.append(type(row.model).__name__)
        return plain(row, split, key)

    monkeypatch.setattr(tables.Row, "fitted", noted)
    return made


def test_the_rows_are_those_of_the_table():
    for dataset in config.DATASETS:
        rows = config.rows(dataset)
        assert set(ROWS) <= set(rows)
        assert all(json.dumps(row.settings) for row in rows.values())
        assert set(config.grid(dataset)) <= set(rows)
        assert len(rows["everything"].model.members) == {"gowalla": 3, "yelp2018": 4}[dataset]
        kept = json.loads((pathlib.Path(config.__file__).parent / f"{dataset}.json").read_text())
        assert len(kept["settings"]["model"]["members"]) == len(rows["everything"].model.members)
        assert rows["everything"].model.held_out == ("last" if config.ORDERED[dataset] else "random")


def test_a_row_is_one_document_that_goes_on(fits, tmp_path, capsys):
    out = tmp_path / "best.json"
    assert experiment.main(["--row", "everything", "--seeds", "2", "--out", str(out)]) == 0
    first = json.loads(out.read_text())
    assert fits == ["SpectralRanker"] * 2
    assert "| everything |" in capsys.readouterr().out
    assert first["recall@20"] == pytest.approx(np.mean([entry["recall@20"] for entry in first["rows"]]), abs=1e-5)
    assert first["seconds"] > 0
    assert first["search_seconds"] is None
    assert first["test_reads"] == 2
    assert first["settings"]["model"]["members"][1]["fields"]["model"]["kind"] == "jaxrec.models:EASE"
    assert first["rows"][0]["learning_seconds"].keys() >= {"members", "members of all"}
    assert experiment.main(["--row", "everything", "--seeds", "2", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == first
    assert len(fits) == 2


def test_a_search_is_timed_apart_and_reads_no_test_part(fits, tmp_path, monkeypatch):
    tried = {"l2 1": tables.Row(jaxrec.EASE(l2=1.0)), "l2 9": tables.Row(jaxrec.EASE(l2=9.0))}
    monkeypatch.setattr(experiment, "grid", lambda dataset: {"ease": tried})
    out = tmp_path / "best.json"
    assert experiment.main(["--row", "ease", "--search", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [(entry["row"], entry["part"]) for entry in found["rows"]] == [
        ("ease: l2 1", "order"),
        ("ease: l2 9", "order"),
        ("ease", "test"),
    ]
    spent = [entry["fit_seconds"] + entry["measure_seconds"] for entry in found["rows"]]
    assert found["search_seconds"] == pytest.approx(sum(spent[:2]), abs=0.11)
    assert found["seconds"] == pytest.approx(spent[2], abs=0.11)
    assert found["test_reads"] == 1


def test_the_blend_learns_three_numbers_and_is_fitted_on_all_of_train(fits):
    split, _ = tables.published_split("gowalla", "test")
    fitted = BLEND(split, jax.random.key(0))
    assert fitted.scorer.weights.shape == (3,)
    assert int(fitted.seen.indptr[-1]) == len(split.train)
    whole = jaxrec.fit(BLEND.hop, split.train, key=jax.random.key(0)).scorer
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_allclose(fitted.scorer.members[2].scores(users), whole.scores(users), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--row", "best"], "no row is named 'best'; the rows are ease, blend, everything"),
        (["--dataset", "yelp2018", "--part", "order"], "the file of yelp2018 is sorted"),
        (
            ["--row", "ease", "--checkpoints", "kept"],
            "ease is not one training, so it has no checkpoints; these have:",
        ),
    ],
)
def test_what_there_is_not_is_refused_in_a_line(fits, words, says, capsys):
    assert experiment.main(words) == 2
    assert says in capsys.readouterr().out


def test_settings_that_changed_have_figures_of_their_own(fits, tmp_path, monkeypatch):
    out = tmp_path / "best.json"
    assert experiment.main(["--row", "ease", "--out", str(out)]) == 0
    other = {"ease": dataclasses.replace(SMALL["ease"], model=jaxrec.EASE(l2=50.0))}
    monkeypatch.setattr(experiment, "rows", lambda dataset: other)
    assert experiment.main(["--row", "ease", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["settings"]["model"]["l2"] == 50.0
    assert found["recall@20"] == found["rows"][1]["recall@20"]
    assert found["test_reads"] == 2
