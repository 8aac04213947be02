"""`jaxrec completion`: a script by which a shell completes the commands, their options and the words of these."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import io
import re
import typing
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import tyro
from tyro import conf

from jaxrec import registry
from jaxrec.cli import COMMANDS
from jaxrec.cli._choices import TaskFlags, TrainingFlags
from jaxrec.cli._help import Guide
from jaxrec.cli._options import first_clause, text_of
from jaxrec.cli._output import emit
from jaxrec.cli._parsing import OutputOptions, class_of, parse, twin
from jaxrec.errors import JaxrecError

Shell = Literal["bash", "zsh", "fish"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionCommand(OutputOptions):
    """The options of `completion`.

    Attributes:
      shell: bash, zsh or fish.
    """

    shell: Annotated[Shell, conf.Positional, conf.arg(metavar="SHELL")]


GUIDE = Guide(
    "Print a script by which a shell (bash, zsh or fish) completes commands, options and their words. Make it "
    "again after an update of jaxrec.",
    first=("json",),
    examples=(
        "mkdir -p ~/.local/share/bash-completion/completions",
        "jaxrec completion bash > ~/.local/share/bash-completion/completions/jaxrec",
    ),
)

# Where nothing fits, bash completes names of files: runs and ratings. Flags are offered after a dash only.
_BASH = """
# Names of files where no option or command fits, and flags only after a dash.
_jaxrec_complete() {{
  {function} "$@"
  local word="${{COMP_WORDS[COMP_CWORD]}}" one
  local -a fitting=()
  for one in "${{COMPREPLY[@]}}"; do
    [[ -n $one && ($one != -* || $word == -*) ]] && fitting+=("$one")
  done
  COMPREPLY=("${{fitting[@]}}")
}}
complete -o default -F _jaxrec_complete jaxrec
"""


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec completion`; see `CompletionCommand` for the options."""
    command = parse(CompletionCommand, argv, "completion", GUIDE)
    script = script_for(command.shell)
    emit({"shell": command.shell, "script": script}, script, command.json)


def script_for(shell: Shell, known: Sequence[tuple[str, str, str]] = COMMANDS) -> str:
    """The script of a shell, which tyro writes from the options of all commands.

    Args:
      shell: its name.
      known: the commands, see `jaxrec.cli.COMMANDS`.

    Raises:
      JaxrecError: this version of tyro writes none for this shell.
    """
    said, told = io.StringIO(), io.StringIO()
    commands: Any = typing.Union[tuple(_named(name, module) for name, module, _ in known)]  # noqa: UP007 - a value
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            # Comments beside fields are none of their texts, and would be looked for in the sources of every class.
            config = (conf.HelptextFromCommentsOff,)
            tyro.cli(commands, prog="jaxrec", args=["--tyro-print-completion", shell], config=config)
    except SystemExit as stop:
        if stop.code:
            raise JaxrecError(
                f"no completion for {shell}: {' '.join(told.getvalue().split())}; name another shell"
            ) from None
    except (AssertionError, ImportError) as error:
        raise JaxrecError(f"no completion for {shell}: {error}; name another shell") from None
    script = said.getvalue()
    made = re.search(r"^complete -F (\S+) jaxrec$", script, re.MULTILINE) if shell == "bash" else None
    return script.rstrip() + "\n" + (_BASH.format(function=made[1]) if made else "")


def _named(name: str, module: str) -> Any:
    """The options of a command under its name."""
    options = options_of(importlib.import_module(f"jaxrec.cli._{module}"))
    return Annotated[with_words(options), conf.subcommand(name)]


def options_of(module: Any) -> type:
    """The class of a command's options, which its file defines.

    >>> options_of(importlib.import_module("jaxrec.cli._similar")).__name__
    'SimilarCommand'
    """
    return next(
        thing
        for thing in vars(module).values()
        if inspect.isclass(thing) and thing.__module__ == module.__name__ and thing.__name__.endswith("Command")
    )


# By the name of a field, the kinds of the registry whose names are its words.
_WORDS = {
    "model": ("model", "recipe"),
    "split": ("splitter",),
    "format": ("reader",),
    "metrics": ("metric",),
    "callbacks": ("callback",),
    **{kind: (kind,) for kind in ("loss", "regularizer", "optimizer", "negatives", "weights", "reranker")},
    "calibration": ("calibration",),
}
_OF_MODELS = ("model", "recipe", "loss", "regularizer", "optimizer", "negatives", "weights", "head", "confidence")


def with_words(options: type) -> type:
    """The options of a command, with those of every model, loss and the like that it can choose, each flag once."""
    own = {field.name for field, _, _ in _fields(options)}
    kinds = _OF_MODELS if "model" in own else ("reranker",) if "reranker" in own else ()
    owners = [options, *([TrainingFlags, TaskFlags] if "model" in own else [])]
    owners += [twin(class_of(kind, word), "Options", "") for kind in kinds for word in registry.BUILT_IN[kind]]
    fields: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for owner in owners:
        for field, hint, text in _fields(owner):
            flag = str(field.metadata.get("flag", field.name))
            if flag not in fields:
                fields[flag], texts[flag] = (flag, *_words_of(field, hint)), first_clause(text)
    for kind in kinds:
        for word in registry.BUILT_IN[kind]:
            for field in dataclasses.fields(class_of(kind, word)):  # objects of a model that a word chooses
                if (choice := field.metadata.get("choice")) is not None:
                    made = (field.name, _one_of(registry.names(choice)) | None, dataclasses.field(default=None))
                    fields.setdefault(field.name, made)
    said = "\n".join(f"  {name}: {text}." for name, text in texts.items() if text)
    doc = f"Options.\n\nAttributes:\n{said}\n"
    return dataclasses.make_dataclass(options.__name__, fields.values(), kw_only=True, namespace={"__doc__": doc})


def _fields(options: type) -> list[tuple[dataclasses.Field[Any], Any, str]]:
    """The fields of options with their types and texts, those of the groups within too."""
    hints, found = typing.get_type_hints(options, include_extras=True), []
    for field in dataclasses.fields(options):  # pyright: ignore[reportArgumentType]
        group = getattr(hints[field.name], "__origin__", None)
        if inspect.isclass(group) and dataclasses.is_dataclass(group):
            found += _fields(group)
        elif field.init:
            found.append((field, hints[field.name], text_of(options, field.name)))
    return found


def _words_of(field: dataclasses.Field[Any], hint: Any) -> tuple[Any, Any]:
    """The type of a field, with the words that it can have where the registry knows them, and its default."""
    default = {
        key: value
        for key in ("default", "default_factory")
        if (value := getattr(field, key)) is not dataclasses.MISSING
    }
    kinds = _WORDS.get(field.name)
    if kinds is None:
        return hint, dataclasses.field(**default)
    word = _one_of(dict.fromkeys(name for kind in kinds for name in registry.names(kind)))
    inner, *rest = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    if typing.get_origin(inner) is tuple:
        word = tuple[word, ...]  # pyright: ignore[reportInvalidTypeForm]
    elif type(None) in typing.get_args(inner):
        word = word | None
    return Annotated[(word, *rest)] if rest else word, dataclasses.field(**default)


def _one_of(words: Iterable[str]) -> Any:
    return Literal[tuple(words)]  # pyright: ignore[reportInvalidTypeForm]
