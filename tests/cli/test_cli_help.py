"""Help: one screen of 80 x 24 for every command, model and loss, everything behind --help-all, plain or bold text."""

import contextlib
import dataclasses
import importlib
import io
import re
import shlex

import pytest
import tyro

from jaxrec import registry
from jaxrec.cli import COMMANDS, main
from jaxrec.cli import _parsing as parsing
from jaxrec.cli._choices import Choices
from jaxrec.cli._fit import FitCommand
from jaxrec.cli._help import Guide, long_help, short_help
from jaxrec.cli._options import metavar_of, rows_of
from jaxrec.cli._terminal import in_color, print_help

FILES = {name: file for name, file, _ in COMMANDS}
NAMES = list(FILES)
CHOICES = [
    *(["fit", "--model", model] for kind in ("model", "recipe") for model in registry.BUILT_IN[kind]),
    ["tune", "--model", "mf", "--loss", "adap_tau"],
    *(["fit", "--model", "mf", "--loss", loss] for loss in registry.BUILT_IN["loss"]),
    *(["recommend", "--reranker", reranker] for reranker in registry.BUILT_IN["reranker"]),
]
# Of these the long help is compared with the parser's, which takes a third of a second.
SOME_CHOICES = (
    "fit --model spectral --head filter",  # objects of the model that a word chooses
    "fit --model nmf",  # solved, and of ratings
    "fit --model auto",
    "fit --model mf --loss bsl --regularizer none --optimizer sgd --negatives popularity",
    "tune --model ials",
    "recommend --reranker dpp",
)
LINES = 23  # of 24: the prompt takes the last one


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def parsed_options(words):
    """The class of options that a command makes of its words, and its guide."""

    class Found(Exception):
        pass

    def keep(options, argv, command, guide):
        raise Found(options, guide)

    module = importlib.import_module(f"jaxrec.cli._{FILES[words[0]]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "parse", keep)
        with pytest.raises(Found) as found:
            module.run(words[1:])
    return found.value.args


@pytest.mark.parametrize("words", [[], *([name] for name in NAMES), *CHOICES], ids=" ".join)
def test_help_fits_a_screen_and_has_an_example(cli, words):
    result = cli(*words, "--help")
    lines = result.out.splitlines()
    assert (result.status, result.err) == (0, "")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(("  jaxrec ", "example: jaxrec ")) for line in lines)
    assert "--help-all" in result.out


def test_a_wider_screen_is_used(cli, monkeypatch):
    narrow = cli("evaluate", "--help").out.splitlines()
    monkeypatch.setenv("COLUMNS", "100")
    wide = cli("evaluate", "--help").out.splitlines()
    assert len(wide) < len(narrow)
    assert 80 < max(map(len, wide)) <= 100
    monkeypatch.setenv("COLUMNS", "300")  # which nobody reads
    assert max(map(len, cli("evaluate", "--help").out.splitlines())) <= 100


SOME = [*([name] for name in NAMES), *([*words.split()] for words in SOME_CHOICES)]


@pytest.mark.parametrize("words", SOME, ids=" ".join)
def test_all_help_has_the_options_that_the_parser_has(cli, words):
    """The parser's own help is the witness: an entry begins after two columns, and its text after two more."""
    options, _ = parsed_options(words)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        tyro.cli(options, args=["--help"])
    entries = [
        re.split(r"\s{2,}", found)[0] for found in re.findall(r"^(?:  |│ )(-.*)$", said.getvalue(), re.MULTILINE)
    ]
    known = {flag for entry in entries for flag in re.findall(r"(?<![\w.-])--?[a-z][\w.-]*", entry)}
    rows = rows_of(options)
    ours = {flag for row in rows for flag in re.findall(r"(?<![\w.-])--?[a-z][\w.-]*", row.flags)}
    assert ours | {"-h", "--help"} == known
    text = cli(*words, "--help-all").out
    assert [row.flags for row in rows if row.flags not in text] == []


def test_every_option_says_what_it_does():
    silent = []
    for words in ([name] for name in NAMES):
        silent += [(words[0], row.flags) for row in rows_of(parsed_options(words)[0]) if not row.text]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_first_is_there_and_the_examples_are_understood(name):
    options, guide = parsed_options([name])
    assert guide.first
    assert set(guide.first) <= {row.name for row in rows_of(options)}
    for example in guide.examples:
        command, *words = shlex.split(example.partition(">")[0])
        if command != "jaxrec":
            continue
        words = words[: words.index("--")] if "--" in words else words  # what follows is another command
        made, its = parsed_options(words)
        if "--resume" not in words:
            parsing.parse(made, words[1:], words[0], its)


def test_the_options_of_the_chosen_model_and_loss_are_named_with_their_defaults(cli):
    text = " ".join(cli("fit", "--model", "lightgcn", "--loss", "softmax", "--help").out.split())
    assert "--model lightgcn: --dim, --layers 3," in text
    assert "--loss softmax: --temperature, --similarity cosine," in text
    assert "--layers" not in cli("fit", "--model", "ease", "--help").out


def test_the_first_screen_of_fit_says_how_a_file_without_a_header_is_read(cli):
    assert "--no-header" in cli("fit", "--help", "--model", "popularity").out


def test_the_first_screen_of_fit_says_how_columns_are_named(cli):
    assert '--columns COLUMN ...    the column of each role ("user=customer item=sku")' in cli("fit", "--help").out


def test_the_number_of_options_is_that_of_the_long_list(cli):
    number = int(re.search(r"--help-all +all (\d+) options", cli("fit", "--help").out)[1])
    rows = rows_of(Choices(["x"]).command(FitCommand))
    assert number == sum(not row.positional for row in rows) > 80


def test_help_of_all_says_environment_and_exit_statuses(cli):
    text = cli("--help-all").out
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("JAXREC_DATA", "JAXREC_CACHE", "NO_COLOR", "75, 130"))


@pytest.mark.parametrize(
    ("variables", "terminal", "bold"),
    [
        ({}, False, False),
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1", "TERM": "xterm"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": "", "TERM": "xterm"}, True, True),  # set, and empty: as if it were not
    ],
)
def test_bold_is_for_terminals_and_as_the_environment_says(monkeypatch, variables, terminal, bold):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert in_color(stream) == bold
    text = "usage: jaxrec fit DATA\n\n  --out RUN  the folder\n\nexamples:\n  jaxrec fit a"
    print_help(text, stream)
    assert ("\x1b" in stream.getvalue()) == bold
    assert re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue()) == f"{text}\n"
    if bold:
        assert "\x1b[1m--out\x1b[0m RUN" in stream.getvalue()


def test_help_needs_no_option_that_is_missing_and_comes_before_every_mistake(cli):
    assert cli("score", "--help").status == 0
    assert "usage: jaxrec score LISTS --truth FILE [options]" in cli("score", "--no-such", "--help-all").out


@dataclasses.dataclass(frozen=True)
class Odd:
    """Options of a caller's own class.

    Attributes:
      low, high: the ends, which
        are given.
      names: words. More of them.
    """

    low: float
    high: float | None = None
    names: tuple[str, ...] = ("a", "b")
    pair: tuple[int, int] = (1, 2)
    on: bool = True
    silent: complex = 1j


def test_options_of_any_class_are_rows():
    rows = {row.name: row for row in rows_of(Odd)}
    assert (rows["low"].flags, rows["low"].text, rows["low"].hint) == (
        "--low FLOAT",
        "the ends, which are given.",
        "(required)",
    )
    assert (rows["high"].flags, rows["high"].hint) == ("--high {None}|FLOAT", "(default: None)")
    assert (rows["names"].flags, rows["names"].hint) == ("--names TEXT ...", "(default: a b)")
    assert rows["pair"].flags == "--pair INT INT"
    assert rows["on"].flags == "--on, --no-on"
    assert (rows["silent"].flags, rows["silent"].text) == ("--silent VALUE", "")
    assert metavar_of(list[int]) == "INT ..."
    short = short_help(Odd, "odd", Guide("About.", ("names", "high", "unknown here")))
    assert "  --names TEXT ...        words (a b)\n" in short
    assert "usage: jaxrec odd --low FLOAT [options]" in short
    assert "  --high {None}|FLOAT     the ends, which are given. (default: None)" in long_help(Odd, "odd", Guide(""))


def test_main_returns_after_help(capsys):
    assert main(["doctor", "--help-all"]) == 0
    assert capsys.readouterr().out.startswith("usage: jaxrec doctor [options]\n")
