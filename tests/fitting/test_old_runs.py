"""Run folders of 0.1 and 0.2: every later version reads them, or refuses in words."""

import dataclasses
import json
import pathlib
import shutil

import pytest
from forging import arrays_file

import jaxrec
from jaxrec.cli import main
from jaxrec.cli._figures import read_metrics
from jaxrec.fitting._described import class_at, describe
from jaxrec.fitting._old_options import FitOptions, from_old

OLD = pathlib.Path(__file__).parents[1] / "data" / "run-0.1"
EXPECTED = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_of_0_1_is_read_and_recommends_what_it_did(name):
    fitted, expected = jaxrec.restore(OLD / name), EXPECTED[name]
    assert type(fitted.model).__name__ == expected["model"]
    lists = jaxrec.recommend(fitted, ["0", "5"], k=3).to_dict()
    for mine, theirs in zip(lists["lists"], expected["lists"]["lists"], strict=True):
        assert mine["user"] == theirs["user"]
        assert [one["item"] for one in mine["items"]] == [one["item"] for one in theirs["items"]]
        assert [one["title"] for one in mine["items"]] == [one["title"] for one in theirs["items"]]
        scores = [[one["score"] for one in each["items"]] for each in (mine, theirs)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    if expected["options"] is None:
        assert fitted.options is None
    else:
        assert fitted.options == from_old(expected["options"])
        assert set(expected["options"]) == {field.name for field in dataclasses.fields(FitOptions)}


def test_what_is_saved_again_is_of_the_new_format(tmp_path):
    jaxrec.save(jaxrec.restore(OLD / "lightgcn-softmax"), tmp_path / "run")
    document = json.loads((tmp_path / "run" / "model.json").read_text(encoding="utf-8"))
    assert document["format_version"] > 1
    again = jaxrec.restore(tmp_path / "run")
    assert again.options == jaxrec.restore(OLD / "lightgcn-softmax").options


def test_the_command_line_measures_it_again_to_the_same_figures(tmp_path, capsys):
    run = shutil.copytree(OLD / "mf", tmp_path / "mf")
    words = ["evaluate", str(run), "--data", str(OLD / "ratings.csv"), "-k", "5", "--no-distances", "--json"]
    assert main(words) == 0
    measured = json.loads(capsys.readouterr().out)["mean"]
    before = json.loads((OLD / "mf" / "metrics.json").read_text(encoding="utf-8"))["test"]
    for name in ("recall@5", "precision@5", "ndcg@5"):
        assert measured[name] == pytest.approx(before[name], rel=1e-6)


def test_a_folder_of_a_later_version_is_refused_in_words(tmp_path):
    run = shutil.copytree(OLD / "ease", tmp_path / "ease")
    document = json.loads((run / "model.json").read_text(encoding="utf-8"))
    (run / "model.json").write_text(json.dumps(document | {"format_version": 9}), encoding="utf-8")
    with pytest.raises(jaxrec.JaxrecError, match="format version 9 and this jaxrec reads 1 to"):
        jaxrec.restore(run)


OLD_2 = OLD.with_name("run-0.2")
EXPECTED_2 = json.loads((OLD_2 / "expected.json").read_text(encoding="utf-8"))


def check_kept(mine, theirs):
    """Each field that the file has keeps its value; one that came later has the default of its class."""
    if not isinstance(theirs, dict):
        assert mine == theirs
        return
    assert mine["kind"] == theirs["kind"]
    for name, value in theirs["fields"].items():
        check_kept(mine["fields"][name], value)
    plain = describe(class_at(mine["kind"])())["fields"]
    later = mine["fields"].keys() - theirs["fields"].keys()
    assert {name: mine["fields"][name] for name in later} == {name: plain[name] for name in later}


@pytest.mark.parametrize("name", EXPECTED_2)
def test_a_model_of_0_2_is_read_and_recommends_what_it_did(name):
    fitted, expected = jaxrec.restore(OLD_2 / name), EXPECTED_2[name]
    assert type(fitted.model).__name__ == expected["model"]
    lists = jaxrec.recommend(fitted, ["0", "5"], k=3).to_dict()
    for mine, theirs in zip(lists["lists"], expected["lists"]["lists"], strict=True):
        assert [(one["item"], one["title"]) for one in mine["items"]] == [
            (one["item"], one["title"]) for one in theirs["items"]
        ]
        scores = [[one["score"] for one in each["items"]] for each in (mine, theirs)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    assert (fitted.options is None) == (expected["options"] is None)
    if fitted.options is not None:
        check_kept(describe(fitted.options), expected["options"])


def test_the_figures_of_0_2_are_read_though_they_name_no_model():
    assert len(read_metrics(str(OLD_2 / "seeds"))["seeds"]["runs"]) == 2


@pytest.mark.parametrize("version", ["run-0.1", "run-0.2"])
def test_saving_over_an_old_folder_takes_its_arrays_away(version, tmp_path):
    run = shutil.copytree(OLD.with_name(version) / "mf", tmp_path / "mf")
    left = {path.name for path in run.iterdir()} - {"arrays.npz"}
    jaxrec.save(jaxrec.restore(run), run)
    assert {path.name for path in run.iterdir()} == left | {arrays_file(run).name}
    assert jaxrec.restore(run).name == "mf"
