"""`tune`: what is searched, what is printed, and every mistake on the way."""

import importlib.util
import json
import shlex

import pytest

from jaxrec.cli import main
from jaxrec.cli._tune import fit_words

SHORT = ("--epochs", "2", "--eval-every", "1", "--batch-size", "64", "--monitor", "recall@5")


def test_all_combinations_of_values_are_tried_and_the_best_is_a_command(cli, ratings, tmp_path):
    result = cli(
        *("tune", ratings, "--model", "mf", "--search", "dim=2,4", "learning_rate=0.01,0.1", "--json", "--quiet"),
        *SHORT,
    )
    assert (result.status, result.err) == (0, "")
    found = result.json
    assert [tuple(trial["settings"].values()) for trial in found["trials"]] == [
        (2, 0.01),
        (2, 0.1),
        (4, 0.01),
        (4, 0.1),
    ]
    assert found["monitor"] == "recall@5"
    values = [trial["value"] for trial in found["trials"]]
    assert found["best"] == values.index(max(values))
    # The command that is printed fits what the best trial was trained with, and validates to the same value.
    words = shlex.split(found["command"])
    assert words[:2] == ["jaxrec", "fit"]
    fitted = cli(*words[1:], "--json", "--quiet", "--out", tmp_path / "run", "-k", "3", "--no-distances")
    assert fitted.json["valid"]["recall@5"] == pytest.approx(max(values))
    best = found["trials"][found["best"]]["settings"]
    assert fitted.json["config"]["model"]["dim"] == best["model.dim"]
    assert fitted.json["config"]["fit"]["learning_rate"] == best["optimizer.learning_rate"]


def test_trials_are_drawn_kept_in_a_file_and_continued(cli, ratings, tmp_path):
    pytest.importorskip("optuna")
    words = ("tune", ratings, "--model", "mf", "--loss", "softmax", *SHORT, "--study", tmp_path / "study.log")
    words = (*words, "--search", "dim=2:8:log", "temperature=0.05:0.3")
    first = cli(*words, "--trials", "2", "--json", "--quiet").json
    second = cli(*words, "--trials", "3", "--json").json
    assert second["trials"][:2] == first["trials"]
    # The flags as they are come first, with the width that MF takes for few users and items.
    assert second["trials"][0]["settings"] == {"model.dim": 256, "loss.temperature": None}
    assert 0.05 <= second["trials"][2]["settings"]["loss.temperature"] <= 0.3
    result = cli(*words, "--trials", "3")
    assert "the best, fitted and measured on the test part:\njaxrec fit" in result.out
    assert "--loss softmax" in result.out
    assert result.out.count("the best") == 2
    assert "trial 2" not in result.err  # nothing is run again


def test_all_combinations_are_kept_in_a_file(cli, ratings, tmp_path):
    pytest.importorskip("optuna")
    words = ("tune", ratings, "--model", "ease", "--search", "l2=1.0,50.0", "--study", tmp_path / "study.log")
    first, second = cli(*words, "--json", "--quiet").json, cli(*words, "--json")
    assert second.json["trials"] == first["trials"]
    assert "trial 0" not in second.err  # nothing is run again


def test_a_solved_model_and_options_of_a_loss_that_is_searched(cli, ratings):
    found = cli("tune", ratings, "--model", "ease", "--search", "l2=1.0,50.0", "--json").json
    assert [trial["settings"]["model.l2"] for trial in found["trials"]] == [1.0, 50.0]
    words = ("tune", ratings, "--model", "mf", *SHORT, "--search", "loss=bpr,softmax", "temperature=0.1,0.2", "--json")
    settings = [trial["settings"] for trial in cli(*words).json["trials"]]
    assert settings == [
        {"loss": "bpr"},
        {"loss": "softmax", "loss.temperature": 0.1},
        {"loss": "softmax", "loss.temperature": 0.2},
    ]


def test_the_command_of_the_best_keeps_what_is_fixed_and_drops_what_is_of_the_search():
    words = ["tune.csv", "--dim", "4", "--no-prune", "--seeds=3", "--bias", "--search", "dim=8,16", "bias=true,false"]
    words += ["--l2", "0.1", "--json", "--items", "items.csv"]
    assert fit_words(words, {"dim": 16, "bias": False}) == [
        *("tune.csv", "--l2", "0.1", "--items", "items.csv", "--dim", "16", "--no-bias"),
    ]
    # A word after the search that is no range is the data.
    assert fit_words(["--search", "dim=8,16", "a.csv"], {"loss.temperature": 0.5}) == [
        *("a.csv", "--loss.temperature", "0.5"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--search names no flag; pass one or more, for example --search dim=16:128:log"),
        (("--search", "dim"), "--search 'dim' is no FLAG=RANGE"),
        (("--search", "width=1,2"), "--search width: the flag is none; there are loss, negatives"),
        (("--search", "dim=2:8"), "--search dim is a range; pass --trials N too"),
        (("--search", "dim=a,b"), "--search dim: 'a' is no whole number"),
        (("--search", "dim=2:8:log:3", "--trials", "2"), "step must be at least 1, and 1 with log=True"),
        (("--search", "dim=8:2", "--trials", "2"), "--search dim=8:2: 8 is above 2; write dim=2:8"),
        (("--search", "learning_rate=0:1:0.1", "--trials", "2"), "is no range; write LOW:HIGH"),
        (("--search", "dim=64:8:log"), "--search dim=64:8:log: 64 is above 8; write dim=8:64:log"),
        (("--search", "learning_rate=0.1:0.001"), "0.1 is above 0.001; write learning_rate=0.001:0.1"),
        (("--search", "l2=0:1:log"), "--search l2=0:1:log: a range with log starts above 0, got 0; leave log out"),
        (("--search", "dim=2,4", "--valid", "0", "--quiet"), "the split has none; pass --valid 0.1"),
        (("--search", "dim=2,4", "--seeds", "0"), "--seeds must be at least 1"),
        (("--loss", "bpr", "--temperature", "1"), "Unrecognized options: --temperature"),
    ],
)
def test_mistakes_are_told_in_one_line(cli, ratings, words, message):
    assert message in cli("tune", ratings, "--model", "mf", *words).error


def test_the_help_has_the_flags_of_the_model(capsys):
    assert main(["tune", "--model", "ease", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--search" in printed
    assert "--l2" in printed
    assert "--learning-rate" not in printed


def test_json_is_one_document(cli, ratings):
    result = cli("tune", ratings, "--model", "itemknn", "--search", "neighbors=2,4", "--json")
    assert set(json.loads(result.out)) == {"monitor", "best", "trials", "command", "source", "seed", "versions"}
    assert "note: trial 0: " in result.err


@pytest.mark.parametrize("words", [("--trials", "3"), ("--study", "s.log")])
def test_without_optuna_the_flag_that_needs_it_is_named_before_anything_is_read(cli, monkeypatch, words):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "optuna" else find(name, *more)
    )
    error = cli("tune", "nowhere.csv", "--model", "ease", "--search", "l2=1,10", *words).error
    assert error.startswith(f"{words[0]} needs Optuna: pip install 'jaxrec[tune]'; without --trials and --study every")
