"""`blend`: run folders as members, weights learnt or given, and what is refused."""

import json
import types

import numpy as np
import pytest

import jaxrec
from jaxrec.cli import main
from jaxrec.cli._blend import better_members

WORDS = ("--valid", "0.2", "--no-distances", "--quiet", "-k", "3", "--no-test")


@pytest.fixture(scope="module")
def runs(ratings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    for name in ("itemknn", "popularity"):
        words = ["fit", str(ratings), "--model", name, "--out", str(folder / name), "--no-refit", *WORDS]
        assert main(words) == 0
    assert main(["fit", str(ratings), "--model", "itemknn", "--out", str(folder / "refitted"), *WORDS]) == 0
    return folder


def test_run_folders_become_one_that_every_command_takes(cli, runs, tmp_path):
    out = tmp_path / "blend"
    words = ("blend", runs / "itemknn", runs / "popularity", "--out", out, "-k", "3", "--no-distances", "--quiet")
    document = cli(*words, "--json").json
    assert document["fitted_on"] == "train and valid"
    assert document["config"]["model"]["members"] == ["itemknn", "popularity"]
    assert document["test"]["recall@3"] > 0
    assert document["valid"]["recall@10"] > 0
    again = cli("evaluate", out, "-k", "3", "--no-distances", "--json").json
    assert again["mean"]["recall@3"] == pytest.approx(document["test"]["recall@3"])
    assert len(cli("recommend", out, "--user", "3", "-k", "2", "--json").json["lists"][0]["items"]) == 2
    assert len(cli("recommend", out, "--history", "1", "3", "-k", "2", "--json").json["lists"][0]["items"]) == 2
    assert cli("similar", out, "--item", "3", "-k", "2").status == 0
    stored = json.loads((out / "metrics.json").read_text())
    assert stored["config"]["model"]["weights"] == document["config"]["model"]["weights"]


def test_equal_weights_are_of_learnt_calibrations(cli, runs, tmp_path):
    words = ("blend", runs / "itemknn", runs / "popularity", "--out", tmp_path / "both", "--no-refit")
    told = cli(*words, "--weights", "equal").out
    assert "validation (cross-fitted): recall@" in told
    model = jaxrec.restore(tmp_path / "both")
    np.testing.assert_array_equal(model.scorer.weights, [0.5, 0.5])
    assert model.info["blend"]["weighed"] == "equal"
    error = cli(*words[:3], "--weights", "even").error
    assert "--weights" in error
    assert "even" in error
    error = cli(*words[:3], "--weights", "equal", "--candidates", "5", "--quiet").error
    assert error.startswith("--candidates 5 is for weights that are learnt; add --calibrate-on candidates, or")


def test_given_weights_are_those_of_the_blend(cli, runs, tmp_path):
    words = ("blend", runs / "itemknn", runs / "popularity", "--out", tmp_path / "b", "--no-test", "--quiet")
    told = cli(*words, "--weights", "1", "0", "--calibration", "zscore", "softmax", "--no-refit").out
    assert "LogSoftmax temperature 1" in told
    model = jaxrec.restore(tmp_path / "b")
    np.testing.assert_array_equal(model.scorer.weights, [1, 0])
    assert model.info["fitted_on"] == "train"
    assert (
        jaxrec.recommend(model, k=3).lists.keys()
        == jaxrec.recommend(jaxrec.restore(runs / "itemknn"), k=3).lists.keys()
    )


def test_what_does_not_go_is_refused_in_one_line(cli, runs):
    assert "two run folders or more, got 1" in cli("blend", runs / "itemknn").error
    error = cli("blend", runs / "itemknn", runs / "refitted", "--quiet").error
    assert "member 2 (itemknn) was fitted on" in error
    assert "fit it with --no-refit" in error
    error = cli("blend", runs / "itemknn", runs / "popularity", "--calibration", "softmx").error
    assert "did you mean softmax" in error
    error = cli("blend", runs / "itemknn", runs / "popularity", "--weights", "1", "--quiet").error
    assert error.startswith("--weights is given for 1 of 2 members")
    assert "no run folder at" in cli("blend", "nowhere", runs / "itemknn").error
    assert "--calibration" in cli("blend", "--help").out


def test_auto_fits_within_a_stated_time_and_says_what_it_tried(cli, ratings, tmp_path, monkeypatch):
    from jaxrec.fitting import Candidate, _auto

    few = (Candidate("popularity"), Candidate("itemknn", {"neighbors": 5}), Candidate("no_such_model"))
    monkeypatch.setattr(_auto, "CANDIDATES", few)
    out = tmp_path / "auto"
    words = ("fit", ratings, "--model", "auto", "--out", out, "-k", "3", "--no-distances")
    result = cli(*words, "--seconds", "60", "--valid", "0.2")
    assert "itemknn neighbors=5" in result.out
    assert "no model of this name is registered" in result.out
    assert "popularity: tried, recall@2 " in result.err
    stored = json.loads((out / "metrics.json").read_text())
    assert [row["state"] for row in stored["auto"]["table"]] == ["tried", "tried", "skipped"]
    assert stored["config"]["model"]["seconds"] == 60
    assert stored["test"]["recall@3"] > 0
    assert jaxrec.restore(out).info["auto"]["kept"] == stored["auto"]["kept"]
    assert "--seconds" in cli("fit", "--model", "auto", "--help").out
    assert cli(*words, "--seeds", "2").error.startswith("--seeds is for one model, and auto chooses")
    assert "nothing to resume" in cli(*words, "--checkpoint-every", "1").error
    assert "auto chooses models and settings itself" in cli("tune", ratings, "--model", "auto").error
    assert cli(*words, "--seconds", "0").error.startswith("--seconds must be a finite number above 0")
    assert "there is none; pass a split with --valid 0.1" in cli(*words, "--valid", "0", "--quiet").error


def test_a_member_that_is_better_alone_is_named():
    valid = {"ndcg@10": 0.2, "rmse": 0.9, "coverage@10": 0.5}
    own = [{"ndcg@10": 0.3, "rmse": 0.8}, {"ndcg@10": 0.3, "rmse": 1.0}, {"ndcg@10": 0.2, "rmse": 0.8}]
    model = types.SimpleNamespace(info={"valid": valid, "blend": {"valid": own}})
    (line,) = better_members(model, ["runs/a", "runs/b", "runs/c"])
    assert line.startswith("note: runs/a alone is better than the blend")
    assert not better_members(types.SimpleNamespace(info={"valid": {}, "blend": {"valid": []}}), [])
