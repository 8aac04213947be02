"""The command line as a whole: help, mistakes in one line, exit statuses, and options from the dataclasses."""

import dataclasses
import json
import os
import re
import runpy
import subprocess
import sys
import warnings

import jax
import pytest

import jaxrec
from jaxrec import cli as command_line
from jaxrec import registry
from jaxrec.cli import COMMANDS, main
from jaxrec.cli import _datasets as datasets
from jaxrec.cli._choices import Choices
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._fit import FitCommand
from jaxrec.cli._flags import _ARGUMENTS, in_flags
from jaxrec.cli._help import Guide
from jaxrec.cli._parsing import _one_line, expand, parse, values_of, word_of
from jaxrec.errors import DataError, JaxrecError, MissingFileError
from jaxrec.fitting._plan import is_trained
from jaxrec.losses import BPR, InBatchSoftmax, SquaredL2
from jaxrec.training import Adam


def python(*words, **environment):
    """Run Python in a process of its own, without the restart that would cost a second start."""
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "JAXREC_NO_REEXEC": "1", **environment},
        timeout=120,
    )


def test_help_names_every_command_and_the_statuses(cli):
    result = cli("--help")
    assert result.status == 0
    assert all(name in result.out and text in result.out for name, _, text in COMMANDS)
    assert cli("-h").out == result.out
    everything = cli("--help-all").out
    assert all(name in everything and text in everything for name, _, text in COMMANDS)
    assert "JAXREC_NO_REEXEC" in everything


def test_no_command_is_a_mistake_that_shows_the_help(cli):
    result = cli()
    assert (result.status, result.out) == (2, "")
    assert result.err == cli("--help").out


def test_version(cli):
    assert cli("--version").out == f"jaxrec {jaxrec.__version__}\n"


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_help_and_says_json(cli, name):
    result = cli(name, "--help-all")
    assert result.status == 0
    assert f"usage: jaxrec {name}" in result.out
    assert "--json" in result.out


def test_an_unknown_command_is_corrected(cli):
    assert cli("recomend").error == "there is no command 'recomend'; did you mean recommend?"
    assert "the commands are fit, launch, plan, tune" in cli("qqq").error


def test_fit_help_lists_the_models_and_the_options_of_the_chosen_one(cli):
    lightgcn, ease = (cli("fit", word, "--help-all").out for word in ("--model=lightgcn", "--model=ease"))
    assert all(name in ease for name in registry.names("model"))
    assert "--layers INT" in lightgcn
    assert "--epochs INT" in lightgcn
    assert "--max-items {None}|INT" in ease
    assert "--layers" not in ease
    assert "--epochs" not in ease


def test_help_texts_come_from_the_docstrings(cli):
    text = " ".join(cli("fit", "--help-all").out.split())
    assert "passes over the interactions, at the most" in text
    assert "L, the number of products with the adjacency" in text


def fit_command(*words):
    """The command of some words, with the choices that they make."""
    choices = Choices(words)
    return choices, parse(choices.command(FitCommand), words, "fit", Guide(""))


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_without_flags_the_options_are_the_defaults_of_the_dataclasses(name):
    # Building the class also fails if a field of a model has the name of another option.
    choices, command = fit_command("data", "--model", name)
    module, _ = choices.made(command)
    assert module == registry.make("model", name)
    assert hasattr(command.training, "epochs") == is_trained(module)
    assert hasattr(command.training, "rating_scale") == (name == "nmf")
    assert choices.options(command)[0] == jaxrec.TrainingOptions()


@pytest.mark.parametrize("loss", registry.BUILT_IN["loss"])
def test_the_flags_of_a_loss_are_its_own_fields(cli, loss):
    text = cli("fit", "--model", "mf", "--loss", loss, "--help-all").out
    own = {field.name for field in dataclasses.fields(registry.find("loss", loss))}
    every = {
        field.name for name in registry.BUILT_IN["loss"] for field in dataclasses.fields(registry.find("loss", name))
    }
    flags = {name: f"--{name.replace('_', '-')}" for name in every - {"scale"}}  # --scale is also of MF
    assert {name for name, flag in flags.items() if flag in text} == own - {"scale"}
    assert ("--rating-scale" in text) == ("scale" in own)


def test_an_option_that_the_loss_does_not_have_cannot_be_given(cli):
    assert "Unrecognized options: --temperature" in cli("fit", "x", "--loss", "bpr", "--temperature", "9").error


def test_the_published_settings_are_understood_as_written():
    line = (
        "gowalla --model lightgcn --loss bpr --dim 64 --layers 3 --batch-size 2048 --learning-rate 1e-3 --l2 1e-4 "
        "--epochs 1"
    )
    words = line.split()
    choices, command = fit_command(*words)
    assert command.data == "gowalla"
    assert jaxrec.LightGCN(**values_of(command.model_options)) == jaxrec.LightGCN(dim=64, layers=3)
    how = {"loss": BPR(), "optimizer": Adam(1e-3), "regularizer": SquaredL2(1e-4)}
    expected = jaxrec.TrainingOptions(**how, batch_size=2048, epochs=1)
    assert choices.options(command)[0] == expected


def test_tuples_and_switches_and_underscores():
    words = [
        "x",
        "--layer-weights",
        "1",
        "0",
        "0",
        "0.5",
        "--loss",
        "softmax",
        "--logq-correction",
        "--batch_size",
        "7",
    ]
    choices, command = fit_command(*words, "-k", "1", "2")
    assert command.model_options.layer_weights == (1.0, 0.0, 0.0, 0.5)
    options, _ = choices.options(command)
    assert (options.loss, options.batch_size, command.k) == (InBatchSoftmax(logq_correction=True), 7, (1, 2))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit", "Missing from jaxrec fit: DATA .*see `jaxrec fit --model lightgcn --help`"),
        ("fit x --model mf --layers 2", "--layers is of --model lightgcn, .*; see `jaxrec fit --model mf --help`"),
        ("fit x --model popularity --epochs 2", "Unrecognized options: --epochs"),
        ("fit x --dim a", "^--dim is 'a'; pass a whole number; see"),
        ("fit x --loss l", "no loss is named 'l'; the names are bpr, softmax, .* or package.module:Class"),
        ("fit x --epocs 3", "Unrecognized options: --epocs, 3; did you mean --epochs[?] see"),
        ("fit x y", "Unrecognized options: y"),
        ("fit x --model lightgnc", "no model is named 'lightgnc'; did you mean lightgcn[?] the names are mf, "),
        ("fit x --dim 0", "^--dim must be at least 1, got 0"),
        ("fit x --learning-rate 0", "^--learning-rate must be positive, got 0.0"),
        ("fit x --layer-weights 1", "^--layer-weights has 1 values, but 3 layers need 4"),
        ("fit x --seed -1", "--seed must lie in 0..4294967295, got -1"),
        ("fit --tyro-print-completion x", "cannot make sense of"),
        ("evaluate", "Missing from jaxrec evaluate: RUN"),
        ("datasets x", "Unrecognized options: x"),
        (
            "recommend runs/x --user -ann",
            "Unrecognized options: -ann; a value that begins with - is written .* as in --user=-ann",
        ),
        ("doctor --jsn", "Unrecognized options: --jsn; did you mean --json[?] see"),
        (
            "plan x --model itemknn",
            "^plan states the bytes of models .* share, mf, .*; itemknn is solved on one",
        ),
        ("plan x --model svdpp --devices 2", "svdpp is trained on one device, so there is nothing to plan"),
        ("predict r --user 1 --item 2 3", "^--user names 1 and --item names 2; name as many of one as of the other"),
        ("fit x --model itemkn", "did you mean itemknn[?] the names are mf, .*, auto, or package.module:Class"),
        ("fit x --model itemknn --loss bpr", "--loss is of --model mf, lightgcn, "),
        ("fit x --model itemknn --layerss 3", "did you mean --layers, of --model lightgcn, "),
        ("fit x --model itemknn --slope 3", "--slope is of --confidence "),
        ("fit x --model mf --loss bpr --temperature 1", "--temperature is of --loss softmax, "),
        ("fit x --model mf --seconds 9", "--seconds is of --model auto"),
        ("fit x --model mf --trials 9", "--trials is of `jaxrec tune`"),
        ("fit x --model mf --nonsense 9", "Unrecognized options: --nonsense, 9; see"),
        ("recommend r --trade-off .7", "Unrecognized options: --trade-off, .7; --trade-off is of --reranker mmr, dpp"),
        ("evaluate r --trade_off=.7", "--trade-off is of --reranker mmr"),
        ("fit x --epochs ten", "^--epochs is 'ten'; pass a whole number; see"),
        ("fit x --valid ten", "^--valid is 'ten'; pass a number; see"),
        ("fit x -k a b", "^-k is 'a' 'b'; pass whole numbers; see"),
        ("fit x --loss mse --model mf --rating-scale 1", "^--rating-scale is '1'; pass two numbers; see"),
        ("fit x --dim", "^--dim has no value; pass --dim INT; see"),
        ("fit x --reduction max", "^--reduction is 'max'; pass mean or sum; see"),
        ("fit x --model nmf --loss bpr", "^--loss is 'bpr'; pass mse; see"),
        ("score x --truth y --form z", "^--form is 'z'; pass long or wide; see"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(cli, words, message):
    error = cli(*words.split()).error
    assert re.search(message, error), error


@pytest.mark.parametrize(
    "box",
    [
        "╭─ Title ───╮\n│ wrong: --x │\n│ ────────── │\n"
        "│ Similar:   │\n│     --y    │\n│ ────────── │\n│ For full helptext,│\n╰──╯\n",
        " Title     \n ----------\n  wrong: --x \n  -----------\n"
        "  Similar:  \n      --y   \n  ----------\n  For full helptext, run\n",
    ],
)
def test_a_box_becomes_one_line_on_terminals_with_and_without_line_characters(box):
    assert _one_line(box) == "wrong: --x; Similar: --y"


def test_the_last_word_of_a_choice_counts():
    assert word_of(["--model", "mf", "--model", "ease"], "--model", "") == "ease"
    with pytest.raises(JaxrecError, match="no model is named ''"):
        Choices(["--model="])


def test_a_digit_that_is_no_number_is_no_number_of_negatives():
    with pytest.raises(JaxrecError, match="no negatives is named '²'"):
        Choices(["--model", "mf", "--negatives", "²"])


def test_words_from_a_file(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("\ufeff1\n\n Toy Story, The \n", encoding="utf-8")
    assert expand([["0"], [f"@{path}", "@@home"]], "--user") == ["0", "1", "Toy Story, The", "@home"]
    with pytest.raises(MissingFileError, match="nowhere: no such file, as --user @nowhere asks for; write @@nowhere"):
        expand([["@nowhere"]], "--user")
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"ids\.txt: not UTF-8 text; --item takes a file with one id a line"):
        expand([[f"@{path}"]], "--item")


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "jaxrec: error: interrupted\n"),
        (MemoryError(), 2, "jaxrec: error: out of memory; use a smaller --dim, --batch-size or --memory-mb\n"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 2, "the device is out of memory; use a smaller --dim"),
        (OSError(28, "No space left on device", "x/arrays.npz"), 2, "error: x/arrays.npz: No space left on device\n"),
        (JaxrecError("two\nlines"), 2, "jaxrec: error: two lines\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_can_go_wrong_outside_ends_without_a_traceback(cli, monkeypatch, raised, status, message):
    def fail(argv):
        raise raised

    monkeypatch.setattr(datasets, "run", fail)
    monkeypatch.setattr(command_line, "_forget_output", lambda: None)  # it would close pytest's own output
    result = cli("datasets")
    assert (result.status, result.out) == (status, "")
    assert message in result.err


def test_a_defect_keeps_its_traceback(monkeypatch):
    def fail(argv):
        raise RuntimeError("a defect")

    monkeypatch.setattr(datasets, "run", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["datasets"])


def test_warnings_for_users_are_one_line_and_no_error(cli, monkeypatch):
    monkeypatch.setattr(datasets, "run", lambda argv: warnings.warn("few\nusers", UserWarning, stacklevel=1))
    result = cli("datasets")
    assert (result.status, result.out, result.err) == (0, "", "jaxrec: warning: few users\n")
    with pytest.raises(UserWarning):  # and what was set before is there again
        warnings.warn("x", UserWarning, stacklevel=1)


def test_datasets_lists_all_and_where_they_are(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("JAXREC_DATA", raising=False)
    folder = tmp_path / "gowalla"
    folder.mkdir()
    (folder / "train.txt").write_text("0 1\n")
    document = cli("datasets", "--data-dir", tmp_path, "--json").json
    found = {one["name"]: one for one in document["datasets"]}
    assert list(found) == [record.name for record in jaxrec.datasets()]
    assert found["gowalla"]["found"] != str(folder)  # the test file is not there yet
    (folder / "test.txt").write_text("0 2\n")
    monkeypatch.setenv("JAXREC_DATA", str(tmp_path))
    found = {one["name"]: one for one in cli("datasets", "--json").json["datasets"]}
    assert found["gowalla"]["found"] == str(folder)
    assert found["gowalla"]["interactions"] == 1_027_370
    lines = cli("datasets").out.splitlines()
    assert lines[0].split() == ["name", "users", "items", "interactions", "found", "terms"]
    assert [line.split()[0] for line in lines[1:]] == list(found)


def test_doctor_tells_versions_devices_memory_data_and_cache(cli, tmp_path, monkeypatch):
    (tmp_path / "program").write_text("")
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path))
    monkeypatch.setenv("JAXREC_DATA", str(tmp_path / "nowhere"))
    document = cli("doctor", "--json").json
    assert document["versions"]["jax"] == jax.__version__
    assert [one["platform"] for one in document["devices"]] == [one.platform for one in jax.devices()]
    assert document["cache"] == {"folder": str(tmp_path), "files": 1}
    assert {"from": "JAXREC_DATA", "path": str(tmp_path / "nowhere"), "exists": False} in document["data"]["folders"]
    assert set(document["data"]["found"]) == {record.name for record in jaxrec.datasets()}
    text = cli("doctor").out
    assert "(does not exist)" in text
    assert f"{tmp_path}, 1 files" in text
    assert "large pages" in text


def test_doctor_says_what_needs_a_package_that_is_not_there(cli, monkeypatch):
    """Each sentence is of a place in the code that imports the package; frames of pandas and Parquet need no polars."""
    monkeypatch.setattr("jaxrec.cli._doctor._version", lambda package: None)
    lines = {line.split()[0]: line for line in cli("doctor").out.splitlines()}
    assert lines["polars"].endswith("not installed (needed for frames of polars, and Parquet without pyarrow)")
    assert "jaxrec tune --trials" in lines["optuna"]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (RuntimeError("Unable to initialize\n backend 'cuda'"), "Unable to initialize backend 'cuda'"),
        (AssertionError(), "nothing here makes 'cuda' available"),  # JAX, where no plugin knows the platform
    ],
)
def test_a_platform_that_is_not_there(cli, monkeypatch, tmp_path, raised, reason):
    def none():
        raise raised

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    told = f"JAX finds no device: {reason}; JAX_PLATFORMS is 'cuda', and unset it takes what there is"
    for words in (["fit", "x", "--model", "random", "--out", tmp_path / "run"], ["evaluate", "x"]):
        assert cli(*words).error == told
    assert cli("doctor", "--json").json["devices"] == [{"id": None, "platform": "none", "kind": told}]


def test_a_platform_that_is_not_there_in_a_process_of_its_own(tmp_path):
    done = python("-m", "jaxrec", "recommend", str(tmp_path), "--user", "1", JAX_PLATFORMS="cuda")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jaxrec: error: JAX finds no device: ")
    assert done.stderr.count("\n") == 1


def test_switches_of_every_command_may_come_first_and_other_options_are_told_where_to_stand(cli):
    assert cli("--json", "datasets").json == cli("datasets", "--json").json
    assert cli("--quiet", "--json", "datasets").status == 0
    written = "the command comes before its options: write `jaxrec "
    assert cli("--data-dir", "x", "datasets").error == f"{written}datasets --data-dir x`"
    assert cli("-k", "5", "recommend", "run").error == f"{written}recommend -k 5 run`"
    assert cli("--json").error == f"{written}COMMAND --json`"


INTERRUPTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    pass
            except BaseException as error:
                raise ImportError("Encountered an error while initializing the extension.") from error
sys.meta_path.insert(0, Interrupt())
sys.argv = ["jaxrec", "doctor"]
from jaxrec.cli import main
sys.exit(main())
"""


def test_ctrl_c_in_the_middle_of_an_import_is_one_line():
    done = python("-c", INTERRUPTED)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "jaxrec: error: interrupted\n")


def test_the_version_needs_no_jax():
    done = python("-X", "importtime", "-m", "jaxrec", "--version")
    assert done.stdout == f"jaxrec {jaxrec.__version__}\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "jaxrec.cli" in imported
    assert not imported & {"jax", "numpy", "tyro", "importlib.metadata"}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("pass overlap='drop' to leave them out", "pass --overlap drop to leave them out"),
        ("or pass items=None to read", "or pass --items none to read"),
        ("columns={'user': 0, 'item': 1}, or", "--columns user=0 item=1, or"),
        ("the columns (columns=('user', 'item', 'rating'))", "the columns (--columns user item rating)"),
        ("leave it out with columns={'timestamp': None}", "leave it out with --columns timestamp=-"),
        ("state the encoding, for example encoding='latin-1'", "state the encoding, for example --encoding latin-1"),
        ("method 'x' needs times; pass method='user_random'", "method 'x' needs times; pass --split user_random"),
        ("pass order='random'", "pass --order random"),
        ('ask for unknown="popular" to', "ask for --unknown popular to"),
        ('loss="mse" needs ratings', "--loss mse needs ratings"),
        ("keep one of each first: jaxrec.data.deduplicate(data)", "keep one of each first: --repeats last"),
        ("k_core_on is 'train' and k_core is not given", "--k-core-on is 'train' and --k-core is not given"),
        ("test is 0.6 and valid is 0.4; together", "--test is 0.6 and --valid is 0.4; together"),
        ("k is 13, but the catalog has 12; pass k <= 12", "k is 13, but the catalog has 12; pass k <= 12"),
        ("delimiter is ''; pass one", "--delimiter is ''; pass one"),
        ("columns has 'users': 'user'; map the roles", "--columns has 'users': 'user'; map the roles"),
        (
            "min_rating needs ratings and the data have none; leave the rating filter out",
            "--min-rating needs ratings and the data have none; leave it out",
        ),
        ("no interaction left after min_rating 4: lower it", "no interaction left after --min-rating 4: lower it"),
        ("batch_size must be a whole number", "--batch-size must be a whole number"),
        (
            "EASE is solved on one device: its class names no axis of a mesh in `mesh_axes`; leave mesh out",
            "EASE is solved on one device; leave --devices out",
        ),
        ("pass mesh=jaxrec.parallel.Layout(columns=4)", "pass --layout columns --devices 4"),
        (
            "blocks are of products on several devices, and there is one, got 2; leave blocks out",
            "blocks are of products on several devices, and there is one, got 2; leave --column-blocks out",
        ),
        (
            "blocks must be a whole number of at least 1, got 0",
            "--column-blocks must be a whole number of at least 1, got 0",
        ),
        # what is no argument stays
        ("user_temporal needs timestamps", "user_temporal needs timestamps"),
        ("users has 1 entries and items has 2; give", "users has 1 entries and items has 2; give"),
        ("unknown item 'k=3'", "unknown item 'k=3'"),
        ("data/items=None.csv: no such file", "data/items=None.csv: no such file"),
        ("the test is over", "the test is over"),
    ],
)
def test_messages_name_flags(message, shown):
    assert in_flags(message) == shown


def test_python_m_jaxrec_ends_with_2_and_one_line(tmp_path, monkeypatch, capsys):
    """As `python -m` runs it, in this process; that of `--version` above is one of its own."""
    monkeypatch.setenv("JAXREC_NO_REEXEC", "1")
    monkeypatch.setattr(sys, "argv", ["", "fit", str(tmp_path / "none.csv"), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("jaxrec", run_name="__main__", alter_sys=True)
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err == f"jaxrec: error: {tmp_path}/none.csv: no such file; check the path\n"
    assert not (tmp_path / "run").exists()


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "jaxrec", "datasets"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_needs_none_of_the_optional_packages():
    heavy = ["tyro", "pandas", "polars", "pyarrow", "matplotlib", "networkx", "pooch", "orbax"]
    code = (
        "import json, sys; from jaxrec.cli import main; main(['--help']); "
        f"sys.stderr.write(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    assert json.loads(python("-c", code).stderr) == []


def test_command_classes_are_frozen():
    command = fit_command("x", "--model", "random")[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        command.seed = 1


def test_every_option_of_the_data_is_known_as_a_flag():
    assert {field.name for field in dataclasses.fields(DataOptions)} <= set(_ARGUMENTS)
