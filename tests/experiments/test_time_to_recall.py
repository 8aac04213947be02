"""The time-to-recall experiment on generated interactions: its curve, its clock, and what it reports when it misses."""

import dataclasses

import numpy as np
import pytest
from worlds import middle

import jaxrec
from experiments.time_to_recall import main as experiment
from experiments.time_to_recall.config import RECIPES
from jaxrec.data.splitting._parts import Split


@pytest.fixture
def recipe(monkeypatch):
    """A short softmax recipe, on random interactions of two groups of users in place of a published split."""
    data = middle()
    train = np.random.default_rng(0).random(len(data)) < 0.7
    parts = Split(data.select(train), data.select(np.zeros(len(data), bool)), data.select(~train), method="predefined")
    monkeypatch.setattr(jaxrec, "load", lambda name: data)
    monkeypatch.setattr(jaxrec, "split", lambda data, how, **rest: parts)
    short = RECIPES["softmax"]
    loss = dataclasses.replace(short.options.loss, chunks=2)
    options = dataclasses.replace(short.options, loss=loss, batch_size=64, epochs=5)
    short = dataclasses.replace(short, model=jaxrec.LightGCN(dim=8, layers=1), options=options, first=2, every=2)
    monkeypatch.setitem(RECIPES, "softmax", short)
    return short


def test_a_target_that_is_reached_ends_the_run_at_the_first_reading_above_it(recipe):
    document = experiment.measure(experiment.Options(target=0.0, seeds=3))
    assert [[point["epoch"] for point in run["curve"]] for run in document["runs"]] == [[2]] * 3
    times = [run["seconds_to_target"] for run in document["runs"]]
    assert document["seconds_to_target"] == sorted(times)[1]
    for run in document["runs"]:
        point = run["curve"][0]
        assert run["compile_seconds"] + point["training"] < run["seconds_to_target"] == point["seconds"]
    assert document["recipe"]["loss.logit_adjustment"] == recipe.options.loss.logit_adjustment
    assert len({run["final_recall"] for run in document["runs"]}) > 1  # each seed is a training of its own


def test_a_target_that_is_missed_has_no_time_and_the_whole_curve(recipe):
    document = experiment.measure(experiment.Options(target=1.1, seeds=1))
    assert document["seconds_to_target"] is None
    (run,) = document["runs"]
    assert [point["epoch"] for point in run["curve"]] == [2, 4]  # as the schedule says, and no reading more
    assert run["final_recall"] == run["curve"][-1]["recall@20"]


def test_the_command_writes_the_document(recipe, tmp_path, capsys):
    out = tmp_path / "deep" / "recall.json"
    assert experiment.main(["--target", "0", "--seeds", "1", "--out", str(out)]) == 0
    assert "recall@20 0.0 after" in capsys.readouterr().out
    assert '"seconds_to_target"' in out.read_text()
