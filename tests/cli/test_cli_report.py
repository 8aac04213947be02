"""`report`: a page from run folders, and what it says where data or splits are not there."""

import json
import shutil

import jax
import pytest

import jaxrec

WORDS = ("--valid", "0", "--no-distances", "--quiet", "-k", "3")


@pytest.fixture(scope="module")
def runs(ratings, tmp_path_factory):
    from jaxrec.cli import main

    folder = tmp_path_factory.mktemp("reported")
    data = folder / "data"
    data.mkdir()
    for file in (ratings, ratings.with_name("movies.csv")):
        shutil.copy(file, data / file.name)
    for name in ("itemknn", "popularity"):
        words = ["fit", str(data / ratings.name), "--model", name, "--out", str(folder / name), *WORDS]
        assert main(words) == 0
    other = ["--split-seed", "5", "--split", "user_random"]
    words = ["fit", str(data / ratings.name), "--model", "popularity", "--out", str(folder / "other"), *other, *WORDS]
    assert main(words) == 0
    return folder


def test_a_page_over_two_runs(cli, runs, tmp_path):
    out = tmp_path / "page.html"
    before = {name: (runs / name / "model.json").stat().st_mtime_ns for name in ("itemknn", "popularity")}
    document = cli("report", runs / "itemknn", runs / "popularity", "-k", "3", "--out", out, "--json", "--quiet").json
    html = out.read_text(encoding="utf-8")
    assert document["out"] == str(out)
    assert document["bytes"] == out.stat().st_size
    assert document["left_out"] == []
    assert list(document["runs"]) == ["itemknn", "popularity"]
    assert {"check", "severity", "text"} == set(document["alerts"][0])
    assert "Report on ratings.csv" in html
    assert str(runs) not in html.replace(str(runs / "data"), "").replace(str(runs / "itemknn"), "").replace(
        str(runs / "popularity"), ""
    )
    assert f"jaxrec fit {runs / 'data' / 'ratings.csv'} --model itemknn" in html
    assert "Paired differences" in html
    assert before == {name: (runs / name / "model.json").stat().st_mtime_ns for name in before}


def test_text_names_the_file_and_the_alerts(cli, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("report", runs / "popularity", "-k", "3", "--title", "Ours & theirs", "--main", "recall@3")
    assert result.out.startswith("report.html: ")
    assert "warning: 12 of 12 lists of popularity (100%) have one score from first to last" in result.out
    assert "of the places of popularity go to the 3 most popular items" in result.out
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>Ours &amp; theirs</h1>" in html
    assert "Its recall@3 is" in html


def test_where_the_data_are_gone_the_page_says_what_it_lacks(cli, runs, tmp_path):
    copy = tmp_path / "moved"
    shutil.copytree(runs / "itemknn", copy)
    kept = json.loads((copy / "model.json").read_text())
    assert "data" in kept["info"]["source"]
    (runs / "data").rename(runs / "elsewhere")
    try:
        out = tmp_path / "page.html"
        result = cli("report", runs / "itemknn", runs / "popularity", "-k", "3", "--out", out)
        assert "The data: " in result.err
        assert "name their place with --data" in result.out
        assert "left out: Results: " in result.out
        html = out.read_text(encoding="utf-8")
        assert "from metrics.json" in html
        assert "Paired differences" not in html
        told = cli("report", runs / "itemknn", runs / "other", "-k", "3", "--out", out, "--quiet").error
        assert "the runs are of different data or splits; fit all with the same data" in told
        moved = ("--data", runs / "elsewhere" / "ratings.csv", "--quiet", "--json")
        assert cli("report", runs / "itemknn", "-k", "3", "--out", out, *moved).json["left_out"] == []
    finally:
        (runs / "elsewhere").rename(runs / "data")


def test_runs_of_different_splits_are_refused_with_the_remedy(cli, runs, tmp_path):
    told = cli("report", runs / "itemknn", runs / "other", "--out", tmp_path / "a.html", "--quiet").error
    assert "fitted on different data or splits" in told
    assert "fit both with the same data" in told
    assert not (tmp_path / "a.html").exists()


def test_mistakes_are_one_line(cli, runs, tmp_path):
    one = runs / "itemknn"
    assert cli("report").error == "report needs at least one run folder, got 0"
    assert "named twice" in cli("report", one, one).error
    assert "must end in .html, .htm" in cli("report", one, "--out", tmp_path / "a.pdf").error
    assert "in a folder that does not exist" in cli("report", one, "--out", tmp_path / "no" / "a.html").error
    assert "--most-users must be at least 1, got 0" in cli("report", one, "--most-users", "0").error
    assert "main is 'recal@3'" in (
        cli("report", one, "--main", "recal@3", "-k", "3", "--quiet", "--out", tmp_path / "a.html").error
    )
    assert "neither a file nor a column" in (
        cli("report", one, "--item-categories", "kind", "-k", "3", "--quiet", "--out", tmp_path / "a.html").error
    )


def test_a_model_for_use_has_no_results_and_all_else(cli, ratings, tmp_path):
    folder = tmp_path / "use"
    words = ("--model", "popularity", "--valid", "0.2", "--all-data", "--quiet", "--out", folder)
    assert cli("fit", ratings, *words).status == 0
    out = tmp_path / "a.html"
    document = cli("report", folder, "-k", "3", "--out", out, "--quiet", "--json").json
    assert document["left_out"] == ["use: it was fitted on all parts, so nothing measures it"]
    assert "Nothing was measured" in out.read_text(encoding="utf-8")


def test_a_folder_of_save_is_reported_with_and_without_its_data(cli, ratings, tmp_path):
    data = jaxrec.prepare(jaxrec.read(ratings))
    split = jaxrec.split(data, "user_temporal", test=0.2, valid=0.0, key=jax.random.key(0))
    jaxrec.save(jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0)), tmp_path / "saved")
    out = tmp_path / "a.html"
    bare = cli("report", tmp_path / "saved", "-k", "3", "--out", out, "--quiet", "--json").json
    assert "does not say which data and split it is of; name them with --data" in bare["left_out"][-1]
    words = ("--data", ratings, "--split", "user_temporal", "--valid", "0", "-k", "3", "--quiet", "--json")
    assert cli("report", tmp_path / "saved", *words, "--out", out).json["left_out"] == []


def test_ratings_are_refused(cli, ratings, tmp_path):
    words = ("--model", "mf", "--loss", "mse", "--dim", "2", "--epochs", "1", "--valid", "0", "--quiet")
    assert cli("fit", ratings, *words, "--out", tmp_path / "rating").status == 0
    told = cli("report", tmp_path / "rating", "--quiet", "--out", tmp_path / "a.html").error
    assert "predicts ratings, and report is for models that rank" in told
