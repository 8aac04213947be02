"""From words to options: tyro over frozen dataclasses, and the options that several commands share."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import io
import pathlib
import re
import typing
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

import tyro
from tyro import conf

from jaxrec.errors import DataError, JaxrecError, MissingFileError
from jaxrec.models import MODELS

T = TypeVar("T")

Switch = conf.FlagCreatePairsOff[bool]
"""A flag that is off unless it is given."""

Words = conf.UseAppendAction[tuple[tuple[str, ...], ...]]
"""Several words after a flag, which may be given several times."""


def optional(metavar: str) -> Any:
    """How a flag looks that has no default worth showing.

    >>> optional("FILE").metavar
    'FILE'
    """
    return conf.arg(metavar=metavar, help_behavior_hint="")


_SIZES = ("parent", "name", "num_users", "num_items")  # fields of every model that fit sets itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What every command has.

    Attributes:
      json: print one JSON document on standard output.
      quiet: no progress bar and no notes on standard error.
    """

    json: Switch = False
    quiet: Switch = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeOptions(OutputOptions):
    """What every command that computes has.

    Attributes:
      cache_dir: a folder that keeps compiled programs for the next time; by default the environment variable
        JAXREC_CACHE, or none.
    """

    cache_dir: Annotated[str | None, optional("FOLDER")] = None


def parse(options: type[T], argv: Sequence[str], command: str, description: str) -> T:
    """Make the options of a command from its words.

    Args:
      options: a dataclass; its fields are the flags, its docstring the help.
      argv: the words after the command's name.
      command: its name, with what else stands before `--help` in a hint.
      description: what the help starts with.

    Raises:
      JaxrecError: words that make no options, told in one line.
      SystemExit: with status 0, after the help was asked for and printed.

    >>> parse(OutputOptions, ["--json"], "doctor", "").json
    True
    >>> parse(OutputOptions, ["--jsn"], "doctor", "")
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: Unrecognized options: --jsn; Perhaps you meant: --json ...; see `jaxrec doctor --help`
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=list(argv), prog=f"jaxrec {command.split()[0]}", description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise JaxrecError(f"{_one_line(said.getvalue())}; see `jaxrec {command} --help`") from None
    except AssertionError as error:  # tyro's own switches, such as those for shell completion
        raise JaxrecError(f"cannot make sense of {' '.join(argv)!r}: {error}") from None


def _one_line(boxed: str) -> str:
    """The text of a box that was drawn for a terminal, of lines or of plain letters; its title is left out.

    Its sections are separated by semicolons.
    """
    sections: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", boxed).strip().splitlines()[1:]:
        text = line.strip(" │|")
        if text.startswith("For full helptext"):
            break
        if not text.strip("─-━+═"):  # a rule between two sections
            sections.append([])
        elif text[0] != "╰":  # the end of the frame
            sections[-1].append(text)
    joined = "; ".join(" ".join(section).rstrip(".") for section in sections if section)
    return " ".join(joined.split()) or "wrong usage"


def twin(source: type, name: str, summary: str) -> type:
    """A dataclass with the fields, defaults and help of another one, without its checks.

    Flags come from the dataclasses that Python callers use. The checks are left to the original, which is made from
    the twin's values, so that both ways of calling give the same message.

    Args:
      source: `FitOptions` or a model; sizes that `fit` sets are left out.
      name: of the new class.
      summary: what its help starts with.

    >>> [field.name for field in dataclasses.fields(twin(MODELS["itemknn"], "Options", ""))]
    ['neighbors', 'similarity', 'shrink']
    """
    hints = typing.get_type_hints(source)
    fields: list[Any] = [
        (field.name, hints[field.name], dataclasses.field(default=field.default))
        for field in dataclasses.fields(source)
        if field.name not in _SIZES
    ]
    attributes = inspect.cleandoc(source.__doc__ or "").partition("Attributes:")[2].partition("\n\n")[0]
    help_text = f"{summary}\n\nAttributes:{attributes}"
    return dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True, namespace={"__doc__": help_text})


def values_of(options: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, not descending into them.

    >>> values_of(OutputOptions(json=True))
    {'json': True, 'quiet': False}
    """
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def model_name(argv: Sequence[str], default: str = "lightgcn") -> str:
    """The value of --model among the words, since it decides which other flags there are.

    Raises:
      JaxrecError: no model has this name.

    >>> model_name(["gowalla", "--model", "mf"]), model_name(["gowalla", "--model=ease"]), model_name([])
    ('mf', 'ease', 'lightgcn')
    """
    name = default
    for at, word in enumerate(argv):
        if word == "--model" and at + 1 < len(argv):
            name = argv[at + 1]
        elif word.startswith("--model="):
            name = word.partition("=")[2]
    if name not in MODELS:
        near = difflib.get_close_matches(name.lower(), MODELS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise JaxrecError(f"no model is named {name!r}; {hint}the models are {', '.join(MODELS)}")
    return name


def expand(groups: Iterable[Iterable[str]], flag: str) -> list[str]:
    """The words after a flag; a word @FILE stands for the lines of a file, and @@x for a word @x.

    Args:
      groups: the words of each time that the flag was given.
      flag: its name, for messages.

    Raises:
      MissingFileError: no such file.
      DataError: a file that is not UTF-8 text.

    >>> expand([["1", "2"], ["@@three"]], "--user")
    ['1', '2', '@three']
    """
    out: list[str] = []
    for word in (word for group in groups for word in group):
        if word.startswith("@@"):
            out.append(word[1:])
        elif word.startswith("@"):
            path = pathlib.Path(word[1:]).expanduser()
            if not path.is_file():
                raise MissingFileError(
                    f"{path}: no such file, as {flag} {word} asks for; write @{word} for an id that begins with @"
                )
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError:
                raise DataError(f"{path}: not UTF-8 text; {flag} takes a file with one id a line") from None
            out += [line.strip() for line in lines if line.strip()]
        else:
            out.append(word)
    return out
