"""`compare`: several run folders, one split, and a test of every pair."""

import json

import jax
import numpy as np
import pytest
from reference.uncertainty import holm_refused

import jaxrec

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
    # Item-kNN finds the withheld item of the checkerboard first; what everybody likes does not tell colors apart.
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


def test_holm_counts_every_pair_in_every_metric(cli, runs):
    folders = [runs / name for name in ("itemknn", "popularity", "random")]
    words = ("-k", "1", "3", "--metrics", "recall", "ndcg", "novelty", "gini", "--no-distances", "--quiet", "--json")
    rows = cli("compare", *folders, *words).json["comparisons"]
    tested = [f"{metric}@{k}" for metric in ("recall", "ndcg", "novelty") for k in (1, 3)]
    assert {row["metric"] for row in rows} == set(tested)
    assert len(rows) == 3 * len(tested)
    refused = holm_refused([row["p_value"] for row in rows], 1 - 0.95)
    assert [row["significant"] for row in rows] == refused
    assert any(refused)  # item-kNN finds what is withheld, the others do not
    for row in rows:
        assert row["mean_a"] - row["mean_b"] == pytest.approx(row["difference"], abs=1e-9)
        assert row["low"] <= row["difference"] <= row["high"]


def test_the_table_is_written_in_other_forms_too(cli, runs, tmp_path):
    folders = [runs / name for name in ("itemknn", "popularity", "random")]
    latex, markdown = tmp_path / "table.tex", tmp_path / "table.md"
    words = (
        "compare",
        *folders,
        "-k",
        "3",
        "--metrics",
        "recall",
        "novelty",
        "--no-distances",
        "--reference",
        folders[1],
    )
    result = cli(*words, "--latex", latex, "--markdown", markdown)
    assert "†: differs from popularity, p at most 0.05 after Holm's correction over 6 comparisons" in result.out
    assert f"note: table written to {latex}" in result.err
    lines = [line.split(" | ") for line in markdown.read_text(encoding="utf-8").splitlines() if "±" in line]
    recall, novelty = ({line[0].removeprefix("| "): line[at] for line in lines[:3]} for at in (1, 2))
    # What is popular is the least novel there is, for every user; nearly all that was withheld has no training pair, so
    # item-kNN can find something for 2 users at most, and no test over users can tell 2 from none.
    assert "†" in novelty["itemknn"]
    assert "†" not in recall["itemknn"]
    assert novelty["popularity"] == "1.0000 ±.0000"  # -log2 of one half
    assert recall["popularity"] == "0.0000 ±.0000"
    assert latex.read_text(encoding="utf-8").startswith(
        "\\begin{tabular}{lrrr}\n\\toprule\n & recall@3 & novelty@3 & coverage@3"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.md", "table.tex"]
    by_label = cli(*words[:-1], "popularity", "--json", "--quiet").json
    assert by_label["reference"] == "popularity"


def test_what_cannot_be_compared_is_refused_before_anything_is_measured(cli, runs, ratings, tmp_path):
    one, two = runs / "itemknn", runs / "popularity"
    assert "--reference 'ease' is none of the runs that are compared; name one of itemknn, popularity" in (
        cli("compare", one, two, "--reference", "ease").error
    )
    assert "is in a folder that does not exist" in cli("compare", one, two, "--latex", tmp_path / "no" / "t.tex").error
    assert "is a folder; name a file" in cli("compare", one, two, "--markdown", tmp_path).error
    assert "level is 95.0; pass a probability" in cli("compare", one, two, "--level", "95").error
    assert "resamples is 3, too few for level=0.95" in cli("compare", one, two, "--resamples", "3").error
    assert "--seed must lie in 0..4294967295, got -1" in cli("compare", one, two, "--seed", "-1").error
    assert str(tmp_path / "none") in cli("compare", one, tmp_path / "none").error
    rating = tmp_path / "rating"
    words = (
        "--model",
        "mf",
        "--loss",
        "mse",
        "--dim",
        "2",
        "--epochs",
        "1",
        "--out",
        rating,
        "--valid",
        "0",
        "--quiet",
    )
    assert cli("fit", ratings, *words).status == 0
    assert "predicts ratings, and compare is for models that rank" in cli("compare", one, rating).error
    bare = tmp_path / "bare"
    data = jaxrec.read(ratings)
    jaxrec.save(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), bare)
    assert "does not say which data and split it is of" in cli("compare", one, bare).error
    assert "--split is for a folder that jaxrec.save wrote" in (
        cli("evaluate", one, "--split", "user_random", "--quiet").error
    )


def test_mistakes_are_one_line(cli, runs):
    one, two = runs / "itemknn", runs / "popularity"
    assert "at least two run folders" in cli("compare", one).error
    assert "named twice" in cli("compare", one, one).error
    told = cli("compare", one, runs / "other").error
    assert "fitted on different data or splits: the test parts have " in told
    assert "--split is None and 'user_random', --split-seed is 0 and 5; fit both" in told
    only = ("--metrics", "gini", "--no-distances", "-k", "3", "--quiet")
    assert "nothing that users have a value of; add one, such as recall" in cli("compare", one, two, *only).error
    assert "unknown metric" in cli("compare", one, two, "--metrics", "recal", "--quiet").error


def test_runs_of_which_one_was_not_fitted_again_are_told_so(cli, ratings, tmp_path):
    words = ("--model", "popularity", "--valid", "0.2", *WORDS[2:])
    assert cli("fit", ratings, *words, "--out", tmp_path / "again").status == 0
    assert cli("fit", ratings, *words, "--no-refit", "--out", tmp_path / "once").status == 0
    told = cli("compare", tmp_path / "again", tmp_path / "once").error
    assert "again' was fitted on train and valid and " in told
    assert "once' on train: the fitted parts have " in told
    assert told.endswith("fit both without --no-refit, or both with it")


def test_a_validation_part_of_one_run_changes_neither_the_test_nor_what_was_fitted(cli, runs, ratings, tmp_path):
    words = ("--model", "popularity", "--valid", "0.2", "--out", tmp_path / "refit", *WORDS[2:])
    assert cli("fit", ratings, *words).status == 0
    assert json.loads((tmp_path / "refit" / "metrics.json").read_text())["fitted_on"] == "train and valid"
    quick = ("-k", "3", "--no-distances", "--quiet", "--json")
    document = cli("compare", runs / "popularity", tmp_path / "refit", *quick).json
    one, two = (document["models"][name] for name in ("popularity", "refit"))
    assert one["mean"] == two["mean"]
    options = ("--model", "mf", "--dim", "2", "--epochs", "1", "--valid", "0.2", "--no-refit")
    assert cli("fit", ratings, *options, "--out", tmp_path / "train", *WORDS[2:]).status == 0
    told = cli("compare", runs / "popularity", tmp_path / "train", *quick[:-1]).error
    assert "the fitted parts have" in told
    assert "--valid is 0.0 and 0.2" in told


def test_several_seeds_of_a_run_are_several_trainings(cli, runs, ratings, tmp_path):
    folder = tmp_path / "seeds"
    words = ("--model", "mf", "--dim", "2", "--epochs", "1", "--seeds", "5", "--out", folder, *WORDS)
    assert cli("fit", ratings, *words).status == 0
    quick = ("-k", "3", "--no-distances", "--quiet")
    document = cli("compare", runs / "popularity", folder, *quick, "--json").json
    stored = json.loads((folder / "metrics.json").read_text())["seeds"]["test"]["seeds"]
    assert document["models"]["seeds"]["trainings"] == 5
    assert document["models"]["seeds"]["seeds"]["recall@3"] == stored["recall@3"]
    assert document["models"]["popularity"]["trainings"] == 1
    told = cli("compare", runs / "popularity", folder, *quick).out
    assert "Trainings: popularity 1, seeds 5. A claim about methods needs at least 5 seeds" in told
    assert f"{stored['recall@3']['mean']:.4f} ({stored['recall@3']['std']:.4f})" in told


def test_a_folder_of_save_is_measured_on_the_split_of_the_command_line(cli, runs, ratings, tmp_path):
    data = jaxrec.prepare(jaxrec.read(ratings))
    split = jaxrec.split(data, "user_temporal", test=0.2, valid=0.0, key=jax.random.key(0))
    model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0))
    jaxrec.save(model, tmp_path / "saved")
    words = ("--data", ratings, "--split", "user_temporal", "--valid", "0", "-k", "3", "--no-distances", "--quiet")
    expected = jaxrec.evaluate(model, split, k=3, space=None)
    document = cli("evaluate", tmp_path / "saved", *words, "--json").json
    assert document["mean"]["recall@3"] == pytest.approx(expected.mean("recall@3"))
    both = cli("compare", runs / "itemknn", tmp_path / "saved", *words, "--json").json["models"]
    assert both["saved"]["mean"]["ndcg@3"] == pytest.approx(expected.mean("ndcg@3"))
