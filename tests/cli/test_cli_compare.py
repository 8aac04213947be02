"""`compare`: several run folders, one split, and a test of every pair."""

import json

import numpy as np
import pytest

WORDS = ("--valid", "0", "--no-distances", "--quiet", "-k", "3")


@pytest.fixture(scope="module")
def runs(ratings, tmp_path_factory):
    from jaxrec.cli import main

    folder = tmp_path_factory.mktemp("compared")
    for name in ("itemknn", "popularity", "random"):
        assert main(["fit", str(ratings), "--model", name, "--out", str(folder / name), *WORDS]) == 0
    other = ["--split-seed", "5", "--split", "user_random"]
    assert main(["fit", str(ratings), "--model", "popularity", "--out", str(folder / "other"), *other, *WORDS]) == 0
    return folder


def test_every_pair_is_tested_in_every_metric(cli, runs):
    folders = [runs / name for name in ("itemknn", "popularity", "random")]
    words = ("compare", *folders, "-k", "3", "--metrics", "recall", "gini", "--no-distances")
    document = cli(*words, "--json").json
    assert set(document["models"]) == {"itemknn", "popularity", "random"}
    rows = {(row["a"], row["b"]): row for row in document["comparisons"]}
    assert set(rows) == {("itemknn", "popularity"), ("itemknn", "random"), ("popularity", "random")}
    for name, figures in document["models"].items():
        stored = json.loads((runs / name / "metrics.json").read_text())["test"]
        assert figures["mean"]["recall@3"] == pytest.approx(stored["recall@3"])
    # Item-kNN finds the withheld item of the checkerboard first; what everybody likes does not tell colours apart.
    row = rows["itemknn", "popularity"]
    means = [document["models"][name]["mean"]["recall@3"] for name in ("itemknn", "popularity")]
    assert row["difference"] == pytest.approx(means[0] - means[1])
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["p_holm"] >= row["p_value"]
    assert row["significant"] == (row["p_holm"] <= 0.05)
    assert all(np.isfinite(row["p_value"]) for row in rows.values())
    told = cli(*words).out
    assert "gini@3" in told
    assert "p (Holm)" in told


def test_mistakes_are_one_line(cli, runs):
    one, two = runs / "itemknn", runs / "popularity"
    assert "at least two run folders" in cli("compare", one).error
    assert "named twice" in cli("compare", one, one).error
    assert "fitted on different data or splits" in cli("compare", one, runs / "other").error
    assert "unknown metric" in cli("compare", one, two, "--metrics", "recal", "--quiet").error
