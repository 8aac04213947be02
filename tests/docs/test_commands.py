"""The commands of README and of the pages under docs/ run as written, on small data in the place of large."""

import pathlib
import re
import shlex

import pytest

import jaxrec
from jaxrec.cli import main

ROOT = pathlib.Path(jaxrec.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.relative_to(ROOT).parts[1:2] not in (("api",), ("experiments",), ("project",))]
# Pages of the site that lie beside the code: their commands are jobs, so only what they start is looked for.
BESIDE = [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("experiments/*/README.md"))]

# What no test runs, by how the command starts, with the reason.
NOT_RUN = {
    "make ": "runs a whole job; tests/test_project.py checks that the target exists",
    "pip install ": "changes the environment, and asks a package index",
    "python -m experiments.": "a job of minutes or hours; tests/experiments runs each of them small",
    "python -W default::DeprecationWarning your_program.py": "a program of the reader's",
    "JAXREC_DATA=": "needs large data",
    "export JAXREC_": "sets a folder of the reader's",
    "grep ": "looks at the sources",
    "git clone . ../before ": "makes a second copy of the repository",
    "time ": "measures; the command without it is run, or has a reason of its own",
    "XLA_FLAGS=": "sets a variable that is read when Python starts; the command without it is run",
    "JAX_PLATFORMS=cpu ": "sets a variable that is read when Python starts; the command without it is run",
    "CUDA_VISIBLE_DEVICES=1 ": "needs two GPUs",
    "mkdir -p ~/.local": "makes a folder of the reader's",
    "jaxrec completion bash >": "writes to that folder; tests/cli/test_cli_completion.py runs the script in bash",
    "jaxrec launch ": "starts processes that find one another; tests/parallel/test_processes.py launches some",
    "srun ": "needs a cluster that has Slurm",
    "JAXREC_COORDINATOR=": "needs several machines",
    "jaxrec explore ": "serves until it is stopped; tests of the explorer start and stop it",
}

# Large data and long searches, and what stands for them.
SMALLER = {
    "movielens-small": "ratings.csv",
    "gowalla": "ratings.csv",
    "--trials 20": "--trials 2",
    "dim=16:128:log": "dim=4:8:log",
    "--seconds 300": "--seconds 3",
    "--seeds 8": "--seeds 2",
    "--k-core 5": "--k-core 2",
}
EPOCHS = " --epochs 1 --dim 4"  # of models that are trained
NEEDED = "--dim 4 --epochs 1 -k 3 --monitor ndcg@3 --quiet"
TRAINED = ("mf", "lightgcn", "mypackage.models:Mine")


def commands_of(page):
    """The commands between fences of bash, without comments, lines that go on joined."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    lines = re.sub(r"<<'END'\n.*?^END$", "", lines, flags=re.DOTALL | re.MULTILINE)
    lines = re.sub(r"(^|\s+)#\s.*$", "", lines, flags=re.MULTILINE).replace("\\\n", " ")
    lines = re.sub(r"(['\"])[^'\"]*\1", lambda found: found[0].replace("\n", " "), lines)  # programs in quotes
    return [" ".join(line.split()) for line in lines.splitlines() if line.strip()]


def reason_not_to_run(command):
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)


def words_of(command):
    """The words after `jaxrec`, smaller."""
    for large, small in SMALLER.items():
        command = command.replace(large, small)
    model = re.search(r"--model (\S+)", command)
    if command.startswith(("jaxrec fit", "jaxrec tune")) and model and model[1] in TRAINED:
        command = re.sub(r" --(epochs|dim|batch-size) \d+", "", command)
        command += EPOCHS if "dim=" not in command else " --epochs 1"
    if command.startswith("jaxrec fit") and "--resume" not in command:
        command += " -k 3 --monitor ndcg@3" if model and model[1] in TRAINED else " -k 3"
    return shlex.split(command)[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the pages name: users with integers, items with titles of films."""
    folder = tmp_path_factory.mktemp("commands")
    titles = ["Toy Story (1995)", "Heat (1995)", "Alien (1979)", *(f"Film {number} (2000)" for number in range(21))]
    likes = [(user, item) for user in range(40, 64) for item in range(24) if item % 2 == user % 2 and item != user % 24]
    write = lambda name, lines: (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")  # noqa: E731
    rated = [f"{user},{item},{4 + (user + item) % 2},{1000 * user + 7 * item % 100}" for user, item in likes]
    write("ratings.csv", ["userId,movieId,rating,timestamp", *rated])
    write("movies.csv", ["movieId,title,genres", *(f'{item},"{title}",Drama' for item, title in enumerate(titles))])
    days = [f"c{user},a{item},2024-01-{1 + at % 28:02d}" for at, (user, item) in enumerate(likes)]
    write("orders.csv", ["customer,sku,ordered_at", *days])
    write("products.csv", ["item,title", *(f'a{item},"{title}"' for item, title in enumerate(titles))])
    for name, kept in {"train": (0, 7), "valid": (7, 8), "test": (8, 9)}.items():
        own = [(user, item) for user, item in likes if kept[0] <= (user + item // 2) % 9 < kept[1]]
        write(f"{name}.csv", ["user,item", *(f"{user},{item}" for user, item in own)])
    write("items.txt", [str(item) for item in range(20)])
    write("sales.csv", ["user,item", "42,900", "44,900"])
    (folder / "mypackage").mkdir()
    (folder / "mypackage" / "__init__.py").write_text("")
    for name, source, old, new in (
        ("losses", "loss", "Hinge", "Hinge"),
        ("models", "trained_model", "Euclidean", "Mine"),
    ):
        text = (ROOT / "examples" / "extending" / f"{source}.py").read_text(encoding="utf-8")
        (folder / "mypackage" / f"{name}.py").write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.fixture
def beside(folder, monkeypatch):
    """Be in that folder, with its package in the path."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page, beside, capsys):
    """In order, so that a command finds the run folders of those before it; the ones it needs beside are made first."""
    commands = [command for command in commands_of(page) if reason_not_to_run(command) is None]
    made = set(re.findall(r"--out (runs/\S+)", " ".join(commands)))
    needed = set(re.findall(r"runs/\w+", " ".join(commands))) - made
    for run in sorted(needed):
        assert main(shlex.split(f"fit ratings.csv --model mf --no-refit {NEEDED} --out {run}")) == 0
    for command in commands:
        assert main(words_of(command)) == 0, (command, capsys.readouterr().err)


def test_every_command_is_one_of_jaxrec_or_has_a_reason_not_to_run():
    found = [command for page in [*PAGES, *BESIDE] for command in commands_of(page)]
    assert sum(command.startswith("jaxrec ") for command in found) > 30
    left = [command for command in found if not command.startswith("jaxrec ") and reason_not_to_run(command) is None]
    assert left == []


def test_every_experiment_that_is_started_is_there():
    found = " ".join(command for page in [*PAGES, *BESIDE] for command in commands_of(page))
    started = set(re.findall(r"python -m (experiments[.\w]*)", found))
    assert len(started) > 10
    places = [ROOT / name.replace(".", "/") for name in sorted(started)]
    assert [
        place for place in places if not (place / "__main__.py").is_file() and not place.with_suffix(".py").is_file()
    ] == []


def test_every_reason_is_needed():
    found = [command for page in [*PAGES, *BESIDE] for command in commands_of(page)]
    spare = [start for start in NOT_RUN if not any(command.startswith(start) for command in found)]
    assert [start for start in spare if not start.startswith("jaxrec explore")] == []


def test_the_commands_are_found_as_they_are_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```bash\njaxrec fit a.csv \\\n    --out runs/a  # why\n# only a comment\n\njaxrec doctor\n```\n")
    assert commands_of(page) == ["jaxrec fit a.csv --out runs/a", "jaxrec doctor"]
    assert words_of("jaxrec fit gowalla --model mf --dim 64 --seeds 8") == [
        *("fit", "ratings.csv", "--model", "mf", "--seeds", "2"),
        *("--epochs", "1", "--dim", "4", "-k", "3", "--monitor", "ndcg@3"),
    ]
