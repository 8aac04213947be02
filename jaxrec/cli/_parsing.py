"""From words to options: tyro over frozen dataclasses, and the options that several commands share."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import pathlib
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import tyro
from tyro import conf

from jaxrec import registry
from jaxrec.cli._help import LONG, SHORT, Guide, long_help, short_help
from jaxrec.cli._memory import devices, use_cache
from jaxrec.cli._mistakes import explained
from jaxrec.cli._objects import text_of
from jaxrec.cli._terminal import help_width, print_help
from jaxrec.errors import DataError, JaxrecError, MissingFileError

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
      json: print one JSON document on standard output; no progress is shown.
      quiet: no progress and no notes on standard error.
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

    def start(self) -> None:
        """Set the cache of compiled programs, and refuse to go on without a device."""
        use_cache(self.cache_dir)
        devices()


def parse(options: type[T], argv: Sequence[str], command: str, guide: Guide) -> T:
    """Make the options of a command from its words.

    Args:
      options: a dataclass; its fields are the flags, its docstring the help.
      argv: the words after the command's name.
      command: its name, with what else stands before `--help` in a hint.
      guide: what the help says beside the options.

    Raises:
      JaxrecError: words that make no options, told in one line.
      SystemExit: with status 0, after the help was asked for and printed.

    >>> parse(OutputOptions, ["--json"], "doctor", Guide("Versions.")).json
    True
    >>> parse(OutputOptions, ["--jsn"], "doctor", Guide("Versions."))
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: Unrecognized options: --jsn; did you mean --json? see `jaxrec doctor --help`
    """
    name = command.split()[0]
    for flags, helping in (((LONG,), long_help), (SHORT, short_help)):
        if any(flag in argv for flag in flags):
            print_help(helping(options, name, guide, help_width()))
            raise SystemExit(0)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=list(argv), prog=f"jaxrec {name}", description=guide.about)
    except SystemExit as stop:
        if not stop.code:
            raise
        told = explained(_one_line(said.getvalue()), options, argv, name, guide.elsewhere())
        raise JaxrecError(f"{told}{'' if told.endswith('?') else ';'} see `jaxrec {command} --help`") from None
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
    the twin's values, so that both ways of calling give the same message. A field's metadata may name its `flag`;
    None is for what only Python can give. Where it names the kind of its "objects", the flag takes a text for each.

    Args:
      source: a frozen class of options, of the library or from outside; sizes that `fit` sets are left out.
      name: of the new class.
      summary: the start of its help.

    >>> import jaxrec
    >>> [field.name for field in dataclasses.fields(twin(jaxrec.ItemKNN, "Options", ""))]
    ['neighbors', 'similarity', 'shrink']
    """
    hints, fields = typing.get_type_hints(source, include_extras=True), []
    for field in dataclasses.fields(source):
        if field.name in _SIZES or not field.init or field.metadata.get("flag", "") is None:
            continue
        hint: Any = _settable(hints[field.name])
        if "objects" in field.metadata:
            kind = field.metadata["objects"]
            texts = tuple(text_of(kind, thing) for thing in field.default)  # pyright: ignore[reportGeneralTypeIssues]
            # `Choices.made` makes an object of each text.
            hint = Annotated[tuple[str, ...], conf.arg(metavar=f"{kind.upper()} ...")]
            fields.append((field.name, hint, dataclasses.field(default=texts, metadata=dict(field.metadata))))
            continue
        if "flag" in field.metadata:
            hint = Annotated[hint, conf.arg(name=field.metadata["flag"])]
        default = {
            key: value
            for key in ("default", "default_factory")
            if (value := getattr(field, key)) is not dataclasses.MISSING
        }
        fields.append((field.name, hint, dataclasses.field(**default, metadata=dict(field.metadata))))
    attributes = inspect.cleandoc(source.__doc__ or "").partition("Attributes:")[2].partition("\n\n")[0]
    help_text = f"{summary}\n\nAttributes:{attributes}"
    return dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True, namespace={"__doc__": help_text})


def _settable(hint: Any) -> Any:
    """A type without the functions that only Python can give, such as a distance of one's own."""
    given = typing.get_args(hint)
    kept = tuple(one for one in given if typing.get_origin(one) is not Callable)
    return typing.Union[kept] if kept and len(kept) < len(given) else hint  # noqa: UP007 - of types that are values


def values_of(options: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, not descending into them.

    >>> values_of(OutputOptions(json=True))
    {'json': True, 'quiet': False}
    """
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def word_of(argv: Sequence[str], flag: str, default: str) -> str:
    """The word after a flag that decides which other flags there are; the last one counts.

    >>> word_of(["gowalla", "--model", "mf"], "--model", "lightgcn"), word_of(["--model=ease"], "--model", "lightgcn")
    ('mf', 'ease')
    """
    word = default
    for at, given in enumerate(argv):
        if given == flag and at + 1 < len(argv):
            word = argv[at + 1]
        elif given.startswith(f"{flag}="):
            word = given.partition("=")[2]
    return word


def class_of(kind: str, word: str) -> type:
    """The class of a name of the registry, or of a place, "package.module:Class", which is imported.

    Raises:
      JaxrecError: no such name or place, or no class.
    """
    found = registry.find(kind, word, outside=True)
    if not inspect.isclass(found):
        raise JaxrecError(f"the {kind} {word!r} is no class but {type(found).__name__}; name its class")
    return found


def summary_of(source: Any) -> str:
    """The first paragraph of a docstring in one line.

    >>> summary_of(OutputOptions)
    'What every command has.'
    """
    return (source.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


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
