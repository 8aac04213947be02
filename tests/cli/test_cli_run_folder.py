"""Whose a run folder is: one process at a time, no file of someone else, no link; and whose the figures are."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import jax
import pytest
from forging import arrays_file, edit
from worlds import middle

import jaxrec
from jaxrec.cli import _fit as fit_command
from jaxrec.cli._figures import read_metrics
from jaxrec.errors import RunFolderError
from jaxrec.fitting._owner import LOCK, owned

WORDS = ("--model", "popularity", "--valid", "0", "-k", "3", "--no-distances", "--quiet")
HOLD = """
import pathlib, sys, time
from jaxrec.fitting._owner import owned
with owned(pathlib.Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def fitted():
    return jaxrec.fit(jaxrec.Popularity(), middle(), key=jax.random.key(0))


@pytest.fixture
def other_owner(tmp_path):
    """A folder that another process owns."""
    folder = tmp_path / "run"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"owned\n"
        yield folder, child
        child.kill()


def test_a_folder_that_another_process_owns_is_refused_in_a_line_until_that_ends(cli, ratings, fitted, other_owner):
    folder, owner = other_owner
    told = f"is being written by process {owner.pid} on .*; wait for it, or name another folder"
    with pytest.raises(RunFolderError, match=told):
        jaxrec.save(fitted, folder)
    assert f"is being written by process {owner.pid} on " in cli("fit", ratings, *WORDS, "--out", folder).error
    assert [path.name for path in folder.iterdir()] == [LOCK]
    owner.kill()  # as the system does it
    owner.wait()
    assert cli("fit", ratings, *WORDS, "--out", folder).status == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        arrays_file(folder).name,
        "metrics.json",
        "model.json",
        "run.json",
    ]


def test_of_several_threads_one_owns_a_folder_at_a_time(tmp_path):
    inside, most, refused = [], [], []

    def work():
        for _ in range(50):
            try:
                with owned(tmp_path), owned(tmp_path):  # twice in one is no second owner
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except RunFolderError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(refused) == 200
    assert list(tmp_path.iterdir()) == []


PAIR = """
import os, select, sys
import jaxrec, jaxrec.cli
from jaxrec.cli import _fit
folder, data, pairs, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
read_data = _fit.read_data

def fit_once_the_other_has_ended(seed, run, ended):
    def read(*given):
        select.select([ended], [], [], 60)  # the owner of the folder comes here, and does not end before the other
        return read_data(*given)
    _fit.read_data = read
    return jaxrec.cli.main(["fit", data, *words, "--seed", seed, "--out", run])

for pair in range(pairs):
    run = os.path.join(folder, str(pair))
    (start, go), (ended, end) = os.pipe(), os.pipe()
    for seed in ("1", "2"):
        if not os.fork():
            os.read(start, 1)
            os._exit(fit_once_the_other_has_ended(seed, run, ended))
    os.write(go, b"go")
    first = os.wait()[1] >> 8
    os.write(end, b"e")
    print(first, os.wait()[1] >> 8, file=sys.stderr)
"""


@pytest.mark.slow
def test_of_twenty_pairs_of_fits_into_one_folder_one_succeeds_and_one_is_refused(ratings, tmp_path):
    environment = {**os.environ, "JAXREC_NO_REEXEC": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PAIR, tmp_path, ratings, "20", *WORDS],
        capture_output=True, text=True, env=environment, check=True, timeout=900,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert lines.count("2 0") == 20
    assert sum("is being written by process" in line for line in lines) == 20
    assert len(lines) == 40
    for pair in range(20):
        run = tmp_path / str(pair)
        seed = jaxrec.restore(run).info["seed"]
        assert read_metrics(str(run))["seed"] == seed
        assert sorted(path.name for path in run.iterdir()) == [
            arrays_file(run).name,
            "metrics.json",
            "model.json",
            "run.json",
        ]


def test_two_fits_without_out_get_two_folders_also_at_the_same_moment(cli, ratings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = []
    read = fit_command.read_data

    def meanwhile(*given):
        if not inner:
            inner.append(None)
            inner[0] = cli("fit", ratings, *WORDS, "--json").json["run"]
        return read(*given)

    monkeypatch.setattr(fit_command, "read_data", meanwhile)
    outer = cli("fit", ratings, *WORDS, "--json").json["run"]
    assert [outer, inner[0]] == ["runs/ratings-popularity", "runs/ratings-popularity-2"]


MINE = {
    "model.json": '{"mine": 1}',
    "metrics.json": '{"mine": 1}',
    "log.jsonl": '{"mine": 1}',
    "log-new.jsonl": "text",
    "learning_curve.png": "no picture",
    "run.json": "{}",
    "checkpoints": "a file",
    "arrays.npz": "mine",
    "arrays-1.npz": "mine",
    "notes.txt": "mine",
    ".hidden": "mine",
    ".env.local": "mine",
    ".a.txt.12": "mine",
}


@pytest.mark.parametrize("name", MINE)
def test_a_folder_with_one_file_of_someone_else_is_refused(cli, ratings, tmp_path, name):
    (tmp_path / name).write_text(MINE[name])
    assert name in cli("fit", ratings, *WORDS, "--out", tmp_path).error
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: MINE[name]}


def test_a_second_fit_replaces_the_run_of_the_first_and_its_help_says_so(cli, ratings, tmp_path):
    words = ("--test", 0, "--valid", 0, "--quiet", "--out", tmp_path / "run")
    for name in ("popularity", "itemknn"):
        assert cli("fit", ratings, "--model", name, *words).status == 0
        assert jaxrec.restore(tmp_path / "run").name == name
    for command in ("fit", "blend"):
        assert "A run that is there is replaced" in " ".join(cli(command, "--help-all").out.split())


@pytest.mark.parametrize("name", ["metrics.json", "log.jsonl", "learning_curve.png", "log-new.jsonl"])
@pytest.mark.parametrize("how", ["file", "link", "broken link", "folder"])
def test_a_run_folder_with_someone_elses_file_in_the_place_of_ours_is_refused(
    cli, ratings, full_run, tmp_path, name, how
):
    run, victim = shutil.copytree(full_run, tmp_path / "run"), tmp_path / "victim"
    (run / name).unlink(missing_ok=True)
    if how == "file":
        (run / name).write_text("precious")
    elif how == "folder":
        (run / name).mkdir()
    else:
        (run / name).symlink_to(victim)
        if how == "link":
            victim.write_text('{"stage": "fit"}')
    before = sorted(path.name for path in run.iterdir())
    assert f"{name} in it is " in cli("fit", ratings, *WORDS, "--out", run).error
    assert sorted(path.name for path in run.iterdir()) == before
    assert not victim.exists() or victim.read_text() == '{"stage": "fit"}'
    assert jaxrec.restore(run).name == "itemknn"


def test_save_leaves_files_of_someone_else_alone(fitted, full_run, tmp_path):
    for name in ("metrics.json", "log.jsonl", "arrays.npz", "data.npz"):
        (tmp_path / name).write_text("mine")
    jaxrec.save(fitted, tmp_path)
    jaxrec.save(fitted, tmp_path)
    kept = ["arrays.npz", "data.npz", "log.jsonl", "metrics.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([arrays_of(tmp_path), "model.json", *kept])
    assert {(tmp_path / name).read_text() for name in kept} == {"mine"}
    for content in ("{}", "mine"):
        (tmp_path / "model.json").write_text(content)
        with pytest.raises(RunFolderError, match=r"model.json' is not of jaxrec; name another folder"):
            jaxrec.save(fitted, tmp_path)
        assert (tmp_path / "model.json").read_text() == content
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").symlink_to(full_run / "model.json")
    with pytest.raises(RunFolderError, match="is not of jaxrec"):
        jaxrec.save(fitted, tmp_path)


def arrays_of(folder):
    return f"arrays-{json.loads((folder / 'model.json').read_text())['arrays_sha256'][:16]}.npz"


def test_a_damaged_description_of_ours_may_be_replaced(cli, ratings, full_run, tmp_path):
    run = shutil.copytree(full_run, tmp_path / "run")
    (run / "model.json").write_bytes((run / "model.json").read_bytes()[:300])
    assert cli("fit", ratings, *WORDS, "--out", run).status == 0
    assert sorted(path.name for path in run.iterdir()) == [
        arrays_file(run).name,
        "metrics.json",
        "model.json",
        "run.json",
    ]
    assert read_metrics(str(run))["model"] == jaxrec.restore(run).name == "popularity"


def test_what_0_2_left_when_it_was_killed_does_not_block_a_folder(cli, ratings, tmp_path):
    for name in (".arrays.npz.123", ".model.json.123", ".probe.77", ".learning_curve.5.png", ".metrics.json.1"):
        (tmp_path / name).write_text("half")
    (tmp_path / "log.jsonl").write_text('{"stage": "fit", "ep')
    assert cli("fit", ratings, *WORDS, "--out", tmp_path).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        arrays_file(tmp_path).name, "metrics.json", "model.json", "run.json"
    ]  # fmt: skip


def test_figures_name_their_model_and_those_of_another_are_left_out_and_told(full_run, trained_run, tmp_path, capsys):
    run = shutil.copytree(full_run, tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["model_sha256"] == json.loads((run / "model.json").read_text())["sha256"]
    assert read_metrics(str(run)) == metrics
    shutil.copy(trained_run / "metrics.json", run)
    assert read_metrics(str(run)) == {}
    assert f"note: metrics.json in {run} is of another model than model.json" in capsys.readouterr().err
    shutil.copy(full_run / "metrics.json", run)
    edit(run, info=json.loads((run / "model.json").read_text())["info"] | {"seed": 9})
    assert read_metrics(str(run), quiet=True) == {}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_figures_are_told(cli, trained_run, full_run, tmp_path, content):
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "metrics.json").write_bytes(content)
    assert "metrics.json' is damaged: " in cli("compare", run, full_run, "-k", "3", "--no-distances").error


def test_a_model_that_is_replaced_while_it_is_read_is_read_again(fitted, full_run, tmp_path, monkeypatch):
    run = shutil.copytree(full_run, tmp_path / "run")
    real, reads = pathlib.Path.read_bytes, []

    def replaced_first(path):
        if path.suffix == ".npz" and not reads:
            reads.append(path)
            monkeypatch.setattr(pathlib.Path, "read_bytes", real)
            jaxrec.save(fitted, run)
            monkeypatch.setattr(pathlib.Path, "read_bytes", replaced_first)
        return real(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", replaced_first)
    assert jaxrec.restore(run).name == "popularity"
    assert not reads[0].exists()


def test_a_file_system_without_locks_is_told(fitted, tmp_path, monkeypatch):
    from jaxrec import files

    def none(descriptor):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(files, "locked", none)
    told = r"has no locks \(Function not implemented\), so nothing keeps two processes"
    with pytest.warns(UserWarning, match=told), owned(tmp_path):
        pass
