"""A fit that is killed before any write: a whole run is there, old or new, and the next fit cleans up."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from forging import arrays_file
from killing import Killed, killing

import jaxrec
from jaxrec import files, plots
from jaxrec.cli import _fit as fit_command
from jaxrec.cli import main
from jaxrec.cli._figures import read_metrics
from jaxrec.cli._output import write_json
from jaxrec.cli._run_folder import claimed, replacing
from jaxrec.files import write_whole
from jaxrec.fitting._publishing import log_path

WORDS = ("--model", "mf", "--dim", "2", "--epochs", "1", "--valid", "0.2", "-k", "3", "--no-distances", "--quiet")
NAMES = ["learning_curve.png", "log.jsonl", "metrics.json", "model.json", "run.json"]


@pytest.fixture(scope="module")
def good(ratings, tmp_path_factory):
    """A good run of seed 1; nobody may change it."""
    run = tmp_path_factory.mktemp("good") / "run"
    assert main(["fit", str(ratings), *WORDS, "--seed", "1", "--json", "--out", str(run)]) == 0
    return run


def check_whole(run):
    """The seed of the model of a folder, whose figures belong to it."""
    model = jaxrec.restore(run)
    seed = model.info["seed"]
    assert read_metrics(str(run))["seed"] == seed
    plain = run / "metrics.json"
    if plain.exists():  # also for those who read the file alone
        assert json.loads(plain.read_text())["seed"] == seed
    assert len(jaxrec.recommend(model, ["0"], k=3)["0"]) == 3
    return seed


def check_clean(run):
    """After the next owner there is nothing but a whole run, and at the most a model that waits."""
    with claimed(str(run), "data", "mf"):
        pass
    names = sorted(path.name for path in run.iterdir())
    waiting = [name for name in names if name.startswith(".model.json.")]
    kept = {arrays_file_of(run, name) for name in ("model.json", *waiting)}
    assert set(names) - kept <= {*NAMES, *waiting, "log-new.jsonl"} | {
        name for name in names if waiting and name.startswith(".")
    }
    assert set(NAMES) <= set(names)


def arrays_file_of(run, name):
    return f"arrays-{json.loads((run / name).read_text())['arrays_sha256'][:16]}.npz"


@pytest.fixture
def replayed(monkeypatch):
    """Train and measure once; later fits write the same log and give the same model and figures."""
    fit, measure, save_figure, kept = fit_command.fit, fit_command.measure_test, plots.save_figure, {}

    def train(*given, log, **options):
        if "model" not in kept:
            kept["model"], kept["log"] = fit(*given, log=log, **options), log.read_text().splitlines(keepends=True)
            return kept["model"]
        log.write_text("")
        for line in kept["log"]:
            with log.open("a") as file:
                file.write(line)
        return kept["model"]

    def measured(*given):
        return kept["reports"] if "reports" in kept else kept.setdefault("reports", measure(*given))

    def draw(figure, path):
        if "png" not in kept:
            save_figure(figure, path)
            kept["png"] = path.read_bytes()
        write_whole(path, kept["png"])

    monkeypatch.setattr(fit_command, "fit", train)
    monkeypatch.setattr(fit_command, "measure_test", measured)
    monkeypatch.setattr(plots, "save_figure", draw)


@pytest.mark.slow
def test_a_kill_before_any_write_of_a_command_leaves_a_whole_run(cli, ratings, good, replayed, tmp_path):
    assert cli("fit", ratings, *WORDS, "--seed", "2", "--out", tmp_path / "first").status == 0
    whole, seeds = shutil.copytree(good, tmp_path / "whole"), []
    with killing(whole) as happened:
        assert cli("fit", ratings, *WORDS, "--seed", "2", "--out", whole).status == 0
    assert check_whole(whole) == 2
    assert sorted(path.name for path in whole.iterdir()) == [arrays_file(whole).name, *NAMES]
    assert len(happened) >= 22
    for writes in range(len(happened)):
        run = tmp_path / f"run-{writes}"
        shutil.copytree(good, run)
        with killing(run, writes), pytest.raises(Killed):
            cli("fit", ratings, *WORDS, "--seed", "2", "--out", run)
        seeds.append(check_whole(run))
        check_clean(run)
        assert check_whole(run) == seeds[-1]
    assert seeds == sorted(seeds)  # the old run up to one moment, and the new one from there on
    assert set(seeds) == {1, 2}


def test_a_kill_before_any_write_over_a_good_run_leaves_a_whole_run(good, tmp_path):
    model, figures = jaxrec.restore(good), json.loads((good / "metrics.json").read_text())
    model = dataclasses.replace(model, info={**model.info, "seed": 2})

    def refit(run):
        """What the command does with files, without reading, training and measuring."""
        with claimed(str(run), "data", "mf") as folder:
            log = log_path(folder)
            log.write_text("")
            with log.open("a") as file:
                file.write('{"stage": "fit", "epoch": 1}\n')
            with replacing(model, folder, log) as saved:
                write_json(saved.beside("metrics.json"), {**figures, "model_sha256": saved.digest, "seed": 2})
                write_whole(saved.beside("learning_curve.png"), b"\x89PNG")

    whole, seeds = shutil.copytree(good, tmp_path / "whole"), []
    with killing(whole) as happened:
        refit(whole)
    assert check_whole(whole) == 2
    assert len(happened) >= 22
    for writes in range(len(happened)):
        run = shutil.copytree(good, tmp_path / f"run-{writes}")
        with killing(run, writes), pytest.raises(Killed):
            refit(run)
        seeds.append(check_whole(run))
        check_clean(run)
        assert check_whole(run) == seeds[-1]
    assert seeds == sorted(seeds)  # the old run up to one moment, and the new one from there on
    assert set(seeds) == {1, 2}


def test_a_kill_before_any_write_into_a_new_folder_leaves_none_or_a_whole_model(cli, ratings, tmp_path):
    words = ("--model", "popularity", "--valid", "0", "-k", "3", "--no-distances", "--quiet")
    with killing(tmp_path / "whole") as happened:
        assert cli("fit", ratings, *words, "--out", tmp_path / "whole").status == 0
    models = 0
    for writes in range(len(happened)):
        run = tmp_path / f"run-{writes}"
        with killing(run, writes), pytest.raises(Killed):
            cli("fit", ratings, *words, "--out", run)
        if (run / "model.json").exists():
            models += 1
            jaxrec.restore(run)
        if writes % 3 == 0:
            assert cli("fit", ratings, *words, "--out", run).status == 0
            assert sorted(path.name for path in run.iterdir()) == [
        arrays_file(run).name, "metrics.json", "model.json", "run.json"
    ]  # fmt: skip
    assert 0 < models < len(happened)


def test_a_kill_before_any_write_of_save_leaves_a_whole_model(ratings, good, tmp_path):
    new, seeds = jaxrec.restore(good), []
    new = dataclasses.replace(new, info={**new.info, "seed": 2})
    with killing(tmp_path / "whole") as happened:
        jaxrec.save(new, shutil.copytree(good, tmp_path / "whole"))
    writes = [what for what, _ in happened].index("fsync")  # what the copy writes comes first
    for more in range(len(happened) - writes):
        run = shutil.copytree(good, tmp_path / f"run-{more}")
        with killing(run, more), contextlib.suppress(Killed):
            jaxrec.save(new, run)
        seeds.append(jaxrec.restore(run).info["seed"])
    assert seeds == sorted(seeds)
    assert set(seeds) == {1, 2}


def test_a_failure_while_the_new_model_is_measured_keeps_the_old_run_and_the_new_model(
    cli, ratings, good, tmp_path, monkeypatch
):
    run = shutil.copytree(good, tmp_path / "run")
    monkeypatch.setattr(fit_command, "measure_test", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    result = cli("fit", ratings, *WORDS, "--seed", "2", "--out", run)
    assert result.status == 130
    assert check_whole(run) == 1
    assert "has a model of a stopped fit that was not measured" in cli("fit", "nowhere", *WORDS, "--out", run).err
    waiting = next(run.glob(".model.json.*"))
    assert f"the new model, not measured, waits as {waiting.name}" in result.err
    monkeypatch.undo()
    waiting.rename(run / "model.json")  # what the note is for
    assert jaxrec.restore(run).info["seed"] == 2
    assert read_metrics(str(run), quiet=True) == {}
    assert cli("fit", ratings, *WORDS, "--seed", "3", "--out", run).status == 0
    assert sorted(path.name for path in run.iterdir()) == [arrays_file(run).name, *NAMES]


@pytest.mark.parametrize("write", range(4), ids=["arrays", "description", "figures", "curve"])
def test_a_full_disk_takes_nothing_of_a_good_run(cli, ratings, good, replayed, tmp_path, monkeypatch, write):
    run = shutil.copytree(good, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    real, begun = files.open_new, []

    def open_new(path):
        begun.append(path)
        if len(begun) > write:
            raise OSError(28, "No space left on device")
        return real(path)

    monkeypatch.setattr(files, "open_new", open_new)
    result = cli("fit", ratings, *WORDS, "--seed", "2", "--out", run)
    assert result.status == 2
    assert re.search(r"error: cannot write '.*': No space left on device; nothing was changed\n$", result.err)
    monkeypatch.undo()
    assert check_whole(run) == 1
    assert {name: (run / name).read_bytes() for name in before} == before
    check_clean(run)
    assert cli("fit", ratings, *WORDS, "--seed", "3", "--out", run).status == 0
    assert sorted(path.name for path in run.iterdir()) == [arrays_file(run).name, *NAMES]


PROGRAM = """
import os, pathlib, signal, sys
import jaxrec, jaxrec.cli
from jaxrec.cli import _fit
run, data, words = sys.argv[1], sys.argv[2], sys.argv[3:]
def fit(at):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    left = at
    def hook(event, arguments):
        nonlocal left
        changed = event in ("os.rename", "os.remove") or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if changed and run in str(arguments[0]):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.addaudithook(hook)
    os._exit(jaxrec.cli.main(["fit", data, *words, "--out", run]))
at = 0
while fit(at) != 0:
    child = os.fork()
    if not child:
        os._exit(0 if len(jaxrec.restore(run).info["fitted_on"]) else 1)
    print(at, os.waitpid(child, 0)[1], flush=True)
    at += 1
"""


@pytest.mark.slow
def test_the_same_with_processes_that_are_killed(ratings, good, tmp_path):
    run = shutil.copytree(good, tmp_path / "run")
    words = ("--model", "popularity", "--valid", "0", "-k", "3", "--no-distances", "--quiet", "--json")
    environment = {**os.environ, "JAXREC_NO_REEXEC": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(run), str(ratings), *words],
        capture_output=True, text=True, env=environment, check=True, timeout=600,
    )  # fmt: skip
    statuses = [line.split() for line in done.stdout.splitlines() if line[0].isdigit()]
    assert len(statuses) >= 10
    assert {status for _, status in statuses} == {"0"}
    assert sorted(path.name for path in run.iterdir()) == [
        arrays_file(run).name, "metrics.json", "model.json", "run.json"
    ]  # fmt: skip
    assert pathlib.Path(run, "metrics.json").is_file()
