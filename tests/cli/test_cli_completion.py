"""`jaxrec completion`: the script completes commands, flags, words and files in a real bash."""

import contextlib
import inspect
import shlex
import shutil
import subprocess

import pytest

from jaxrec import registry
from jaxrec.cli import COMMANDS
from jaxrec.cli import _completion as completion
from jaxrec.cli._completion import script_for
from jaxrec.errors import JaxrecError

SOME = [command for command in COMMANDS if command[0] in ("fit", "evaluate", "recommend", "doctor")]  # to save time
FEW = [command for command in COMMANDS if command[0] in ("similar", "doctor")]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "jaxrec"
    path.write_text(script_for("bash", SOME), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def complete(script, tmp_path_factory):
    """What bash offers after a line; an empty list is where it completes names of files."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    folder = tmp_path_factory.mktemp("home")

    def offered(line):
        words = line.split(" ")
        quoted = " ".join(map(shlex.quote, words))
        program = (
            f"source {shlex.quote(str(script))}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
            "made=$(complete -p jaxrec); function=${made#*-F }; ${function%% *}; "
            'echo "$made"; printf \'%s\\n\' "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, cwd=folder, timeout=60)
        assert done.stderr == ""
        first, *found = done.stdout.splitlines()
        assert first.startswith("complete -o default ")  # files, where nothing is offered
        return [word for word in found if word]

    return offered


def test_commands(complete):
    assert complete("jaxrec ev") == ["evaluate"]
    assert set(complete("jaxrec ")) == {name for name, _, _ in SOME}


def test_the_commands_of_a_script_are_all():
    assert inspect.signature(script_for).parameters["known"].default is COMMANDS


def test_flags_of_a_command_and_of_every_model_and_loss(complete):
    assert {"--k-core", "--k-core-on"} == set(complete("jaxrec fit ratings.csv --k-c"))
    assert "--layers" in complete("jaxrec fit ratings.csv --model lightgcn --la")
    assert {"--l2", "--rating-scale"} <= {*complete("jaxrec fit a.csv --l"), *complete("jaxrec fit a.csv --ra")}
    assert "--shrink" in complete("jaxrec fit ratings.csv --model itemknn --sh")
    assert "--temperature" in complete("jaxrec fit ratings.csv --loss softmax --te")
    assert "--trade-off" in complete("jaxrec recommend runs/first --tr")
    assert complete("jaxrec doctor --shr") == []


def test_words_that_the_registry_knows(complete):
    assert set(complete("jaxrec fit ratings.csv --model ")) == {
        *registry.BUILT_IN["model"],
        *registry.BUILT_IN["recipe"],
    }
    assert complete("jaxrec fit ratings.csv --loss bp") == ["bpr"]
    assert complete("jaxrec fit ratings.csv --split user_k") == ["user_kfold"]
    assert "ndcg" in complete("jaxrec evaluate runs/first --metrics recall nd")
    assert set(complete("jaxrec recommend runs/first --reranker ")) >= {"mmr", "dpp"}


def test_files_where_nothing_else_fits(complete):
    assert complete("jaxrec evaluate ") == []
    assert complete("jaxrec evaluate ru") == []
    assert complete("jaxrec fit ratings.csv --items ") == []


def test_zsh_gets_a_script_of_its_own():
    script = script_for("zsh", FEW)
    assert script.startswith("#compdef jaxrec")
    assert all(word in script for word in ("similar", "doctor", "--item", "ids or titles of items"))


def test_fish_gets_one_where_tyro_knows_it():
    """From a version on; an older one says so in a sentence."""
    with contextlib.suppress(JaxrecError):
        assert "function _tyro_jaxrec" in script_for("fish", FEW)


def test_the_script_goes_to_standard_output_or_into_a_document(cli, monkeypatch):
    monkeypatch.setattr(completion, "script_for", lambda shell: f"# for {shell}")
    assert cli("completion", "zsh").out == "# for zsh\n"
    assert cli("completion", "bash", "--json").json == {"shell": "bash", "script": "# for bash"}
    assert "'powershell'" in cli("completion", "powershell").error
