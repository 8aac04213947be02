"""Several processes on one mesh: what they compute is that of one device, and when one is lost the others end."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from launching import alive, environment, launched, run_together

import jaxrec
from jaxrec.cli import main
from jaxrec.cli._children import free_port
from jaxrec.errors import JaxrecError
from jaxrec.parallel import join
from jaxrec.parallel._ending import is_of_another

SECONDS = 600  # a run that takes so long hangs
PROGRAM = os.path.join(os.path.dirname(__file__), "in_processes.py")
FIT = ("--model", "lightgcn", "--dim", "8", "--layers", "1", "--batch-size", "8192", "--no-validate", "--learning-rate")
FIT = (*FIT, "0.01", "--loss", "bpr", "--no-test", "--quiet", "--layout", "rows")


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    """Pairs of 120 users and 150 items, in a file."""
    rng = np.random.default_rng(0)
    item = np.minimum(rng.exponential(40, (120, 8)).astype(int), 149)
    path = tmp_path_factory.mktemp("data") / "ratings.csv"
    rows = sorted({(user, one) for user, own in enumerate(item.tolist()) for one in own})
    path.write_text("user,item\n" + "".join(f"{user},{one}\n" for user, one in rows))
    return path


def losses(run):
    log = run / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line)["loss"] for line in lines if line.endswith("\n")]


def steps(run):
    folder = run / "checkpoints" / "steps"
    return sorted(int(name) for name in os.listdir(folder) if name.isdigit()) if folder.is_dir() else []


def parameters(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(dict(model.variables))]


def one_device(ratings, run, epochs):
    words = [word for word in FIT if word not in ("--layout", "rows")]
    assert main(["fit", str(ratings), *words, "--epochs", str(epochs), "--out", str(run)]) == 0
    return jaxrec.restore(run)


def test_two_processes_train_as_one_device_and_end_together_when_one_is_killed(ratings, tmp_path):
    run = tmp_path / "run"
    words = ("fit", ratings, *FIT, "--devices", 2, "--epochs", 100_000, "--checkpoint-every", 20, "--out", run)
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path) as launch:
        launch.wait_for(lambda: steps(run))
        children = launch.children()
        os.kill(children[1], signal.SIGKILL)
        status, seconds = launch.status()
        assert status == 75
        assert seconds < 15
        assert "process 1 of 2 was killed by SIGKILL; the others were ended" in launch.said
        assert "Traceback" not in launch.said
        assert not any(map(alive, children))
    with pytest.warns(UserWarning, match="is unfinished"):
        kept = jaxrec.restore(run)
    one = one_device(ratings, tmp_path / "one", kept.info["unfinished"]["epoch"])
    np.testing.assert_allclose(losses(run)[:20], losses(tmp_path / "one")[:20], rtol=0, atol=1e-6)
    for ours, theirs in zip(parameters(kept), parameters(one), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def ended(number, place, what, *words):
    """What became of processes that find one another: (exit status, what it said) of each, and the seconds from the
    end of the first to that of the last."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(free_port())
        processes = []
        for one in range(number):
            joins = {"JAXREC_COORDINATOR": f"127.0.0.1:{port}", "JAXREC_NUM_PROCESSES": str(number)}
            process = subprocess.Popen(
                [sys.executable, PROGRAM, str(place), what, *map(str, words)],
                env=environment(**joins, JAXREC_PROCESS_ID=str(one)),
                stdout=stack.enter_context(open(place / f"said-{one}.txt", "wb")),
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        until, first = time.monotonic() + SECONDS, None
        while any(process.poll() is None for process in processes):
            assert time.monotonic() < until, "too long"
            if first is None and any(process.returncode is not None for process in processes):
                first = time.monotonic()
            time.sleep(0.05)
        seconds = 0.0 if first is None else time.monotonic() - first
        said = [(place / f"said-{one}.txt").read_text(errors="replace") for one in range(number)]
        return [(process.returncode, text) for process, text in zip(processes, said, strict=True)], seconds


@pytest.mark.parametrize(
    ("what", "whom"),
    [
        ("fails", 1),
        pytest.param("fails", 0, marks=pytest.mark.slow),
        pytest.param("fails_alone", 1, marks=pytest.mark.slow),
        pytest.param("fails_outside", 1, marks=pytest.mark.slow),
        pytest.param("fails_to_write", 0, marks=pytest.mark.slow),
    ],
)
def test_a_process_that_fails_ends_the_others_which_name_it(tmp_path, what, whom):
    both, seconds = ended(2, tmp_path, what, whom)
    (status, told), (other, said) = both[whom], both[1 - whom]
    assert (status, other) == (1, 75), both
    assert seconds < 15
    assert "KeyError: 'no such key'" in told
    assert told.count("Traceback") == 1
    assert f"process {1 - whom} of 2 ends, since process {whom} failed: KeyError: 'no such key'" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_process_that_leaves_ends_the_others_with_its_exit_status_told(tmp_path):
    ((other, said), (status, _)), seconds = ended(2, tmp_path, "leaves", 1)
    assert (status, other, seconds < 15) == (3, 75, True)
    assert "process 0 of 2 ends, since process 1 ended with exit status 3" in said


@pytest.mark.slow
def test_of_three_processes_the_one_that_is_killed_is_named(tmp_path):
    (first, killed, last), seconds = ended(3, tmp_path, "dies", 1)
    assert (first[0], killed[0], last[0], seconds < 15) == (75, -signal.SIGKILL, 75, True)
    assert "process 0 of 3 lost process 1: " in first[1]
    assert "process 2 of 3 lost process 1: " in last[1]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("COORDINATOR", "foo", "JAXREC_COORDINATOR must be HOST:PORT, with a port from 1 to 65535, got 'foo'"),
        ("COORDINATOR", "foo:", "JAXREC_COORDINATOR must be HOST:PORT"),
        ("NUM_PROCESSES", "²", "JAXREC_NUM_PROCESSES must be a whole number in the digits 0 to 9, got '²'"),
        ("PROCESS_ID", "x", "JAXREC_PROCESS_ID must be a whole number in the digits 0 to 9, got 'x'"),
    ],
)
def test_variables_that_name_no_processes_are_refused_by_name(monkeypatch, variable, value, told):
    given = {"COORDINATOR": "127.0.0.1:4000", "NUM_PROCESSES": "2", "PROCESS_ID": "0", variable: value}
    for name, text in given.items():
        monkeypatch.setenv(f"JAXREC_{name}", text)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **how: pytest.fail("JAX was asked"))
    with pytest.raises(JaxrecError, match=f"^{re.escape(told)}"):
        join()


def test_a_coordinator_without_a_port_is_refused_before_jax_is_asked(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", lambda **how: pytest.fail("JAX was asked"))
    with pytest.raises(JaxrecError, match=r"^coordinator must be HOST:PORT, .*, got '10\.0\.0\.1'; write it as "):
        join("10.0.0.1", 2, 0)


def test_a_coordinator_of_jaxs_own_variable_has_a_port_too(monkeypatch):
    monkeypatch.setenv("JAXREC_COORDINATOR", "detect")
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1")
    monkeypatch.setattr(jax.distributed, "initialize", lambda **how: pytest.fail("JAX was asked"))
    with pytest.raises(JaxrecError, match=r"^JAX_COORDINATOR_ADDRESS must be HOST:PORT, .*, got '10\.0\.0\.1'; "):
        join()


@pytest.mark.parametrize(
    ("text", "of_another"),
    [
        ("UNKNOWN: Gloo AllGather failed: [pair.cc:547] Connection closed by peer [127.0.0.1]:14230", True),
        ("UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):", True),
        ("UNAVAILABLE: Failed to send RPC to coordination service.", True),
        ("DEADLINE_EXCEEDED: Barrier timed out. Id: Shutdown::1::0.", True),
        ("INTERNAL: NCCL operation ncclAllReduce() failed: remote process exited or there was a network error", True),
        ("INTERNAL: NCCL operation ncclAllReduce() failed: unhandled cuda error", False),
        ("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered", False),
        ("FAILED_PRECONDITION: DNN library initialization failed", False),
        ("RESOURCE_EXHAUSTED: out of memory in a gloo buffer", False),
        ("UNKNOWN: Gloo AllGather failed: [enforce fail at pair.cc:446] op.preamble.length <= op.nbytes", False),
    ],
)
def test_an_error_of_its_own_is_none_of_another_process(text, of_another):
    assert is_of_another(jax.errors.JaxRuntimeError(text)) == of_another
    assert is_of_another(ValueError(text)) == of_another
    assert not is_of_another(RuntimeError(text))
    assert not is_of_another(ValueError(f"of a program: {text}"))


@pytest.mark.parametrize("whom", ["the parent", pytest.param("process 1", marks=pytest.mark.slow)])
def test_sigterm_ends_processes_that_solve_at_once_and_no_run_says_that_it_is_over(ratings, tmp_path, whom):
    run = tmp_path / "run"
    words = ("fit", ratings, "--model", "ials", "--iterations", 1_000_000, "--no-test", "--quiet", "--out", run)
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path) as launch:
        launch.wait_for(lambda: (run / "run.json").exists() and json.loads((run / "run.json").read_text())["began"])
        time.sleep(2)  # it is in the midst of solving, or of compiling
        os.kill(launch.process.pid if whom == "the parent" else launch.children()[1], signal.SIGTERM)
        status, seconds = launch.status()
        assert (status, seconds < 15) == (75, True), launch.said
        assert "jaxrec: error: " in launch.said
        assert "Traceback" not in launch.said
    assert not run.exists() or json.loads((run / "run.json").read_text())["finished"] is False


@pytest.fixture(scope="module")
def run_of_one(ratings, tmp_path_factory):
    """A run of one process."""
    run = tmp_path_factory.mktemp("one") / "run"
    assert main(["fit", str(ratings), "--model", "ease", "--no-test", "--no-refit", "--quiet", "--out", str(run)]) == 0
    return run


def test_two_processes_write_the_lists_of_one(run_of_one, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    assert main(["recommend", str(run_of_one), "--all", "-k", "7", "--out", str(one), "--quiet"]) == 0
    words = ("recommend", run_of_one, "--all", "-k", 7, "--out", two, "--json", "--quiet")
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path) as launch:
        assert launch.status()[0] == 0, launch.said
        assert json.loads(launch.said) == {"file": str(two), "users": 120, "notes": []}
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_evaluate_as_one_does(run_of_one, tmp_path, capsys, processes):
    words = ["evaluate", str(run_of_one), "-k", "5", "10", "--metrics", "recall", "ndcg", "auc", "--json"]
    assert main(words) == 0
    one = json.loads(capsys.readouterr().out)
    with launched("-n", processes, "--", *words, "--quiet", seconds=SECONDS, folder=tmp_path) as launch:
        assert launch.status()[0] == 0, launch.said
        assert {**json.loads(launch.said), "seconds": one["seconds"]} == one


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--history", "1"),
            "--history is of users whom the model does not know, which several processes do not share",
        ),
        (("--all", "--out", "nowhere/lists.csv"), "is in a folder that does not exist"),
        (("--user", "nobody"), "nobody"),
    ],
)
def test_a_mistake_of_several_processes_is_told_once(run_of_one, tmp_path, words, told):
    with launched("-n", 2, "--", "recommend", run_of_one, *words, seconds=SECONDS, folder=tmp_path) as launch:
        assert launch.status()[0] == 2
        assert launch.said.count("jaxrec: error:") == 1
        assert told in launch.said


@pytest.mark.slow
def test_sigterm_ends_processes_that_recommend_at_once(run_of_one, tmp_path):
    words = ("recommend", run_of_one, "--all", "--out", tmp_path / "lists.csv", "--kind", "launching:Slow")
    more = {"PYTHONPATH": python_path(), "HELD_IN": str(tmp_path)}
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path, **more) as launch:
        launch.wait_for(lambda: len(list(tmp_path.glob("held-*"))) == 2)
        launch.process.send_signal(signal.SIGTERM)
        status, seconds = launch.status()
        assert (status, seconds < 15) == (75, True), launch.said
        assert "jaxrec: error: terminated" in launch.said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


def computed(folder, what, processes, devices=1, joined=False):
    """(losses, arrays) of a program with so many processes of so many fake devices each."""
    place = folder / f"{processes}x{devices}{'-joined' if joined else ''}"
    name = f"{what}-{processes * devices}"
    if not (place / f"{name}.json").exists():
        place.mkdir(exist_ok=True)
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        run_together(processes, PROGRAM, place, what, seconds=SECONDS, folder=place, joined=joined, XLA_FLAGS=flags)
    out = json.loads((place / f"{name}.json").read_text())
    return out.get("losses", []), dict(np.load(place / f"{name}.npz"))


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_read_a_share_each_and_have_the_whole(folder, processes):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path, rng = folder / "log.parquet", np.random.default_rng(0)
    who, what, count = rng.integers(0, 90, 5000), rng.integers(0, 70, 5000), 5000
    columns = {"user": [f"ü{one}" for one in who], "item": what, "rating": rng.integers(1, 6, count) / 2}
    columns |= {"timestamp": 1_600_000_000 + rng.permutation(count), "title": [f"Film {one}" for one in what]}
    if not path.exists():
        parquet.write_table(pyarrow.table(columns), path, row_group_size=300)
        lines = [";".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        path.with_suffix(".csv").write_text("\n".join(["user;item;rating;timestamp;title", *3 * lines]) + "\n")
        for part, least in (("train", 10_000), ("test", 20_000)):
            lists = [" ".join(map(str, [user, *range(least + user, least + user + 600, 10)])) for user in range(900)]
            (folder / f"{part}.txt").write_text("\n".join(lists) + "\n")
    whole, text = jaxrec.read(path), jaxrec.read(path.with_suffix(".csv"))
    _, arrays = computed(folder, "read", processes)
    out = json.loads((folder / f"{processes}x1" / f"read-{processes}.json").read_text())
    assert out["rows"] == [5000 // processes] * processes
    assert (out["fingerprint"], out["notes"]) == (whole.fingerprint(), list(whole.notes[1:]))
    of_text = out["text"]
    assert (of_text["fingerprint"], of_text["notes"]) == (text.fingerprint(), list(text.notes[1:]))
    assert sum(of_text["rows"]) == 15_000
    assert max(of_text["rows"]) < 1.02 * min(of_text["rows"])
    split = jaxrec.read_split(folder / "train.txt", folder / "test.txt", format="lightgcn")
    assert out["split"]["fingerprint"] == split.fingerprint()
    for of_part in out["split"]["rows"]:
        assert sum(of_part) == 900 * 60
        assert max(of_part) < 1.02 * min(of_part)
    for name in ("user", "item", "rating", "timestamp", "titles"):
        np.testing.assert_array_equal(arrays[name], getattr(whole, name))
    np.testing.assert_array_equal(arrays["users"], whole.users.ids)
    np.testing.assert_array_equal(arrays["items"], whole.items.ids)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("what", ["rows", "clusters", "columns", "softmax"])
def test_losses_and_parameters_are_those_of_one_device(folder, what, processes):
    ours, arrays = computed(folder, what, processes)
    theirs, expected = computed(folder, what, 1)
    assert len(ours) == 20
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    for name, array in expected.items():
        np.testing.assert_allclose(arrays[name], array, rtol=0, atol=1e-5)


def same_bits(one, other):
    (ours, arrays), (theirs, expected) = one, other
    assert ours == theirs
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rows", "clusters", "lists"])
def test_four_processes_have_the_bits_of_four_devices_of_one(folder, what):
    same_bits(computed(folder, what, 4), computed(folder, what, 1, devices=4))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["columns", "softmax", "ials", "filtered", "members"])
def test_four_processes_have_the_bits_of_four_devices_of_a_group_of_one(folder, what):
    # Sums over devices have several terms that are not zero: one that joined nothing adds them in another order.
    same_bits(computed(folder, what, 4), computed(folder, what, 1, devices=4, joined=True))


@pytest.mark.slow
def test_a_group_of_one_process_is_launched_as_others_are(ratings, tmp_path):
    runs = []
    for processes, devices in ((4, 1), (1, 4)):
        runs.append(tmp_path / f"{processes}x{devices}")
        words = ("fit", ratings, *FIT[:-1], "columns", "--devices", 4, "--epochs", 5, "--out", runs[-1])
        flags = f"{environment()['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        with launched("-n", processes, "--", *words, seconds=SECONDS, folder=tmp_path, XLA_FLAGS=flags) as launch:
            assert launch.status()[0] == 0, launch.said
    assert losses(runs[0]) == losses(runs[1])
    of_four, of_one = (parameters(jaxrec.restore(run)) for run in runs)
    assert [array.tobytes() for array in of_four] == [array.tobytes() for array in of_one]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rows", "columns"])
def test_two_processes_of_two_devices_each_are_one_mesh_of_four(folder, what):
    same_bits(computed(folder, what, 2, devices=2), computed(folder, what, 1, devices=4, joined=True))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_lists_and_reports_are_those_of_one_device(folder, processes):
    _, arrays = computed(folder, "lists", processes)
    _, expected = computed(folder, "lists", 1)
    assert all(arrays[name].tobytes() == array.tobytes() for name, array in expected.items())


@pytest.mark.slow
def test_scores_of_a_filter_are_those_of_one_device(folder):
    _, arrays = computed(folder, "filtered", 2)
    _, expected = computed(folder, "filtered", 1)
    scale = np.abs(expected["scores"]).max()
    np.testing.assert_allclose(arrays["scores"], expected["scores"], rtol=0, atol=1e-4 * scale)


@pytest.mark.slow
def test_members_trained_together_are_those_of_one_device(folder):
    ours, arrays = computed(folder, "members", 2)
    theirs, expected = computed(folder, "members", 1)
    assert len(ours) == 10
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    for name, array in expected.items():
        np.testing.assert_allclose(arrays[name], array, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_scores_of_implicit_als_are_those_of_one_device(folder):
    _, arrays = computed(folder, "ials", 2)
    _, expected = computed(folder, "ials", 1)
    np.testing.assert_allclose(arrays["scores"], expected["scores"], rtol=0, atol=1e-4)


HELD = ("--callbacks", "launching:Held")
EPOCHS, HELD_AT, EVERY = 60, 23, 5
TESTS = os.path.dirname(os.path.dirname(__file__))


def words_for(ratings, run, *more):
    return ("--", "fit", ratings, *FIT, "--epochs", EPOCHS, "--checkpoint-every", EVERY, *HELD, "--out", run, *more)


def python_path():
    return os.pathsep.join([environment()["PYTHONPATH"], TESTS])


@pytest.fixture(scope="module")
def whole(ratings, tmp_path_factory):
    """A run over two processes that was never stopped."""
    place = tmp_path_factory.mktemp("whole")
    with launched(
        "-n", 2, *words_for(ratings, place / "run"), seconds=SECONDS, folder=place, PYTHONPATH=python_path()
    ) as launch:
        assert launch.status()[0] == 0, launch.said
    return place / "run"


@pytest.fixture(scope="module")
def stopped(ratings, tmp_path_factory):
    """A run over two processes whose first was killed in an epoch between two checkpoints."""
    place = tmp_path_factory.mktemp("stopped")
    more = {"PYTHONPATH": python_path(), "HELD_AT": str(HELD_AT)}
    with launched("-n", 2, *words_for(ratings, place / "run"), seconds=SECONDS, folder=place, **more) as launch:
        launch.wait_for(lambda: len(losses(place / "run")) >= HELD_AT - 1)  # it is told before the log
        children = launch.children()
        os.kill(children[0], signal.SIGKILL)
        status, seconds = launch.status()
        assert (status, seconds < 15) == (75, True), launch.said
        assert "process 0 of 2 was killed by SIGKILL" in launch.said
        assert not any(map(alive, children))
    assert steps(place / "run")[-1] == 20
    return place / "run"


def resumed(stopped, tmp_path, processes, *more):
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    words = ("-n", processes, "--", "fit", "--resume", run, "--quiet", "--kind", "launching:Held", *more)
    with launched(*words, seconds=SECONDS, folder=tmp_path, PYTHONPATH=python_path()) as launch:
        assert launch.status()[0] == 0, launch.said
    return run


@pytest.mark.slow
def test_a_run_that_lost_its_coordinator_goes_on_to_the_same_bits(stopped, whole, tmp_path):
    run = resumed(stopped, tmp_path, 2)
    assert losses(run) == losses(whole)
    ours, theirs = parameters(jaxrec.restore(run)), parameters(jaxrec.restore(whole))
    assert [array.tobytes() for array in ours] == [array.tobytes() for array in theirs]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 4])
def test_a_run_goes_on_with_another_number_of_processes(stopped, whole, tmp_path, processes):
    run = resumed(stopped, tmp_path, processes, "--other-machine", "--devices", processes)
    np.testing.assert_allclose(losses(run)[20:40], losses(whole)[20:40], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_another_number_of_processes_is_refused_where_equal_bits_are_asked_for(stopped, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    words = ("-n", 4, "--", "fit", "--resume", run, "--quiet", "--kind", "launching:Held")
    with launched(*words, seconds=SECONDS, folder=tmp_path, PYTHONPATH=python_path()) as launch:
        assert launch.status()[0] == 2
        assert launch.said.count("was run on another machine: ") == 1
        assert "--other-machine" in launch.said


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the parent", "process 1"])
def test_sigterm_ends_all_at_one_epoch_which_is_kept(ratings, tmp_path, whom):
    run = tmp_path / "run"
    words = ("fit", ratings, *FIT, "--epochs", 100_000, "--checkpoint-every", 50_000, "--out", run)
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path) as launch:
        launch.wait_for(lambda: len(losses(run)) > 5)
        os.kill(launch.process.pid if whom == "the parent" else launch.children()[1], signal.SIGTERM)
        assert launch.status()[0] == 75
        assert "jaxrec: error: terminated" in launch.said
    assert steps(run) == [len(losses(run))]


@pytest.mark.slow
def test_processes_whose_parent_is_killed_end_too(ratings, tmp_path):
    run = tmp_path / "run"
    words = ("fit", ratings, *FIT, "--epochs", 100_000, "--out", run)
    with launched("-n", 2, "--", *words, seconds=SECONDS, folder=tmp_path) as launch:
        launch.wait_for(lambda: len(losses(run)) > 2)
        children = launch.children()
        launch.process.kill()
        launch.wait_for(lambda: not any(map(alive, children)), running=False)
