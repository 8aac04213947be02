"""Runs that are stopped and resumed on the command line: run.json, exit statuses, what is refused, the best so far."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jaxrec
from jaxrec.cli import _fit as fit_command
from jaxrec.cli import main
from jaxrec.cli._devices import MeshOptions
from jaxrec.cli._help import Guide
from jaxrec.cli._parsing import ComputeOptions, parse
from jaxrec.cli._resume import ResumeCommand

pytest.importorskip("orbax.checkpoint", reason="checkpoints need Orbax")

WORDS = ("--model", "mf", "--dim", "4", "--epochs", "5", "--eval-every", "2", "-k", "3", "--no-distances", "--quiet")


class Killed(BaseException):
    """What ends a run in place of a SIGKILL: nothing that would clean up catches it by name."""


def kill_after(monkeypatch, events, error=Killed):
    """Break runs off while an epoch is told, after so many."""
    left = [events]

    class Breaking:
        def __call__(self, event):
            left[0] -= 1
            if left[0] < 0:
                raise error

    monkeypatch.setattr(
        fit_command, "class_of", lambda kind, word: Breaking if kind == "callback" else real(kind, word)
    )


real = fit_command.class_of


@pytest.fixture
def stopped(ratings, tmp_path, monkeypatch, cli):
    """A function that leaves a run that was stopped after some epochs."""

    def make(events=3, *more, name="run"):
        run = tmp_path / name
        with monkeypatch.context() as patch:
            kill_after(patch, events, KeyboardInterrupt)
            words = ["fit", ratings, *WORDS, "--checkpoint-every", "1", "--callbacks", "breaking", *more, "--out", run]
            assert cli(*words).status == 130
        # The callback that stopped it is not of the run.
        document = json.loads((run / "run.json").read_text())
        at = document["argv"].index("--callbacks")
        del document["argv"][at : at + 2]
        (run / "run.json").write_text(json.dumps(document))
        return run

    return make


def arrays(run):
    model = jaxrec.restore(run)
    return {name: np.asarray(leaf) for name, leaf in model.variables["params"].items()}, model.info["best_epoch"]


def timeless(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


@pytest.mark.parametrize("seeds", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_a_run_that_was_stopped_goes_on_from_anywhere_to_the_same_end(
    cli, ratings, tmp_path, stopped, monkeypatch, seeds
):
    whole = tmp_path / "whole"
    assert cli("fit", ratings, *WORDS, "--seeds", seeds, "--out", whole).status == 0
    run = stopped(3 * int(seeds), "--seeds", seeds)
    monkeypatch.chdir(tmp_path)  # the path of the data was given from elsewhere
    resumed = cli("fit", "--resume", run.name, "--json", "--quiet")
    assert resumed.status == 0
    (params, best), (expected, expected_best) = arrays(run), arrays(whole)
    assert best == expected_best
    assert all(np.array_equal(params[name], expected[name]) for name in expected)
    assert timeless(run) == timeless(whole)
    metrics, other = (json.loads((place / "metrics.json").read_text()) for place in (run, whole))
    for name in ("test", "valid", "best_epoch", "seeds"):
        mine, theirs = metrics.get(name), other.get(name)
        for each in (mine, theirs) if name == "seeds" and mine else ():
            each["test"].pop("seconds", None)
        assert mine == theirs, name
    assert not (run / "checkpoints").exists()
    again = cli("fit", "--resume", run)
    assert (again.status, again.out) == (0, f"the run {run} is over already\n")


def test_other_options_beside_resume_are_refused_by_name_and_the_same_are_not(cli, stopped, ratings):
    run = stopped()
    for words, message in [
        (["--dim", "8"], "the run was started with --dim 4, not 8; leave it out"),
        (["--learning-rate", "0.5"], "the run was started without --learning-rate, not with 0.5"),
        (["--seed", "1"], "the run was started with --seed 0, not 1"),
        (["--test", "0.5"], "the run was started without --test, not with 0.5"),
    ]:
        assert message in cli("fit", "--resume", run, *words).error
    assert "no such" not in cli("fit", "--resume", run, "--dim", "4", "--quiet").err


def test_other_data_are_refused_with_the_difference(cli, stopped, ratings, tmp_path):
    copy = tmp_path / "copy.csv"
    shutil.copy(ratings, copy)
    run = stopped()
    document = json.loads((run / "run.json").read_text())
    document["data"] = str(copy)
    (run / "run.json").write_text(json.dumps(document))
    copy.write_text("\n".join(copy.read_text().splitlines()[:-1]) + "\n")
    error = cli("fit", "--resume", run, "--quiet").error
    assert "is another one: interactions of the" in error
    assert (run / "run.json").exists()
    assert (run / "checkpoints" / "steps").is_dir()


def test_an_unfinished_run_recommends_and_says_so(cli, stopped):
    run = stopped()
    result = cli("recommend", run, "--user", "3", "-k", "2")
    assert result.status == 0
    assert "is unfinished; this is the model of epoch" in result.err
    evaluated = cli("evaluate", run, "-k", "3", "--no-distances", "--json")
    assert evaluated.status == 0  # run.json says what the run was fitted on
    assert "ndcg@3" in evaluated.json["mean"]


@pytest.mark.parametrize("place", ["read_data", "fit"])
def test_a_fit_over_an_unfinished_run_that_is_killed_before_it_trains_starts_anew(
    cli, ratings, tmp_path, stopped, monkeypatch, place
):
    run, whole = stopped(), tmp_path / "whole"
    other = [*WORDS, "--dim", "2", "--checkpoint-every", "1"]
    with monkeypatch.context() as patch:  # nothing that tidies up runs after a kill
        patch.setattr(fit_command, place, lambda *_, **__: (_ for _ in ()).throw(Killed))
        patch.setattr(fit_command, "described_run", untidied(fit_command.described_run))
        with pytest.raises(Killed):
            cli("fit", ratings, *other, "--out", run)
    assert (run / "checkpoints").exists() == (place == "read_data")  # of the first run
    result = cli("fit", "--resume", run, "--json")
    assert result.status == 0
    assert "the run was stopped before its first checkpoint, so it starts anew" in result.err
    assert cli("fit", ratings, *WORDS, "--dim", "2", "--out", whole).status == 0
    (params, best), (expected, expected_best) = arrays(run), arrays(whole)
    assert best == expected_best
    assert all(np.array_equal(params[name], expected[name]) for name in expected)
    while LEFT:
        LEFT.pop().gen.close()


def test_a_fit_over_an_unfinished_run_that_is_refused_leaves_that_run(cli, stopped, tmp_path):
    run = stopped()
    words = [*WORDS, "--dim", "2", "--checkpoint-every", "1"]
    assert "no such file" in cli("fit", tmp_path / "none", *words, "--out", run).error
    assert json.loads((run / "run.json").read_text())["argv"].count("--dim") == 1
    assert cli("fit", "--resume", run, "--quiet").status == 0


LEFT = []  # generators that nobody holds are closed, and tidy up after all


def untidied(real):
    """A context that writes what it does at first, and nothing where it is left by a kill."""

    @contextlib.contextmanager
    def context(*given):
        held = real(*given)
        LEFT.append(held)
        yield held.__enter__()
        held.__exit__(None, None, None)

    return context


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_anew(cli, ratings, tmp_path, stopped):
    run = stopped(0)
    assert "was stopped before its first checkpoint, so there is no model yet" in cli("recommend", run, "--all").error
    whole = tmp_path / "whole"
    assert cli("fit", ratings, *WORDS, "--out", whole).status == 0
    result = cli("fit", "--resume", run)
    assert result.status == 0
    assert "starts anew" in result.err
    assert all(np.array_equal(arrays(run)[0][name], value) for name, value in arrays(whole)[0].items())


def test_options_are_written_before_data_are_read_and_a_refused_run_leaves_nothing(cli, tmp_path, monkeypatch):
    seen = []

    def read(name, options):
        seen.extend(json.loads((tmp_path / "run" / "run.json").read_text())["argv"])
        raise Killed

    monkeypatch.setattr(fit_command, "read_data", read)
    words = ["fit", "movielens-small", *WORDS, "--out", str(tmp_path / "run"), "--checkpoint-every", "1"]
    with pytest.raises(Killed):
        main(words)
    assert seen == words[1:]
    monkeypatch.undo()
    (tmp_path / "empty.csv").write_text("")
    assert "is empty" in cli("fit", tmp_path / "empty.csv", *WORDS, "--out", tmp_path / "new").error
    assert not (tmp_path / "new").exists()


def test_what_makes_no_sense_is_refused_in_a_line(cli, ratings, tmp_path, stopped):
    out = ["--out", tmp_path / "x", "--quiet"]
    assert "--checkpoint-every must be at least 1" in cli("fit", ratings, *WORDS, "--checkpoint-every", "0", *out).error
    solved = cli("fit", ratings, "--model", "ease", "--checkpoint-every", "1", *out).error
    assert "ease is solved, not trained, so there is nothing to resume" in solved
    assert "--other-machine goes with --resume" in cli("fit", ratings, *WORDS, "--other-machine", *out).error
    assert "there is no run to resume in" in cli("fit", "--resume", tmp_path / "nowhere").error
    run = stopped()
    for content in ("{", "[]", "null", '{"format": "jaxrec-run", "format_version": 1}', "\0"):
        (run / "run.json").write_text(content)
        assert "run.json' is damaged" in cli("fit", "--resume", run).error
    (run / "run.json").write_text('{"format": "jaxrec-run", "format_version": 9}')
    assert "has format 9 and this jaxrec reads 1" in cli("fit", "--resume", run).error


def test_a_file_makes_nothing_be_imported(cli, stopped):
    run = stopped()
    document = json.loads((run / "run.json").read_text())
    document["argv"] += ["--loss=outside:Loss"]
    (run / "run.json").write_text(json.dumps(document))
    error = cli("fit", "--resume", run).error
    assert "was started with outside:Loss, and what a file names is not imported; name it with --kind" in error


def test_another_machine_is_refused_and_told(cli, stopped, monkeypatch):
    from jaxrec.fitting import _resume

    run, real_machine = stopped(), _resume.machine
    monkeypatch.setattr(_resume, "machine", lambda: {**real_machine(), "devices": 77})
    assert (
        "is 77; equal bits cannot be promised, so pass --other-machine" in cli("fit", "--resume", run, "--quiet").error
    )
    result = cli("fit", "--resume", run, "--other-machine")
    assert result.status == 0
    assert "equal bits are not promised" in result.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_signals_keep_the_epoch_and_have_exit_statuses_of_their_own(ratings, tmp_path, number, status):
    words = [*WORDS, "--checkpoint-every", "1", "--out", str(tmp_path / "run")]
    words[words.index("--epochs") + 1] = "100000"
    words += ["--patience", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxrec", "fit", str(ratings), *words], stderr=subprocess.PIPE, env=dict(os.environ)
    )
    log, until = tmp_path / "run" / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and len(log.read_text().splitlines()) > 3) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    steps = [int(path.name) for path in (tmp_path / "run" / "checkpoints" / "steps").iterdir() if path.name.isdigit()]
    if number != signal.SIGKILL:
        assert len(log.read_text().splitlines()) == max(steps)
        assert b"Traceback" not in error
    assert main(["recommend", str(tmp_path / "run"), "--user", "3"]) == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Begun(MeshOptions, ComputeOptions):
    """The options that `ResumeCommand.onto` changes."""

    other_machine: bool = False


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"layout": "columns"}, ("columns", 8, 2)),
        ({"column_blocks": 4}, ("rows", 8, 4)),
        ({"devices": 2}, ("auto", 2, 1)),
        ({}, ("rows", 8, 2)),
        # What is said may be the default of `fit`.
        ({"layout": "auto", "column_blocks": 1}, ("auto", 8, 1)),
        ({"column_blocks": 1}, ("rows", 8, 1)),
        ({"devices": 8, "layout": "rows"}, ("rows", 8, 1)),
        ({"devices": 1}, ("auto", 1, 1)),
    ],
)
def test_what_is_said_of_devices_beside_resume_is_taken(said, expected):
    """Under `jaxrec launch` the number of devices is left out, and the layout may change all the same."""
    command = Begun(devices=8, layout="rows", column_blocks=2, node_order="clusters")
    found = ResumeCommand(resume="run", **said).onto(command)
    assert (found.layout, found.devices, found.column_blocks) == expected
    assert found.node_order == "clusters"
    assert ResumeCommand(resume="run", node_order="data", **said).onto(command).node_order == "data"


def test_words_beside_resume_that_are_the_defaults_are_said():
    words = ["--resume", "run", "--layout", "auto", "--column-blocks", "1"]
    command = parse(ResumeCommand, words, "fit", Guide("Go on."))
    assert (command.layout, command.column_blocks, command.devices, command.node_order) == ("auto", 1, None, None)


def test_the_help_of_a_run_that_goes_on_says_what_stays_as_it_was(cli):
    helped = " ".join(cli("fit", "--resume", "run", "--help-all").out.split())
    assert "by default that of the run, or auto with --devices" in helped
    assert "default: auto" not in helped
