"""Help for people, as plain text: `--help` on one screen, and `--help-all` with every option."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxrec.cli._mistakes import Owners
from jaxrec.cli._options import Row, first_clause, rows_of

_LEFT = 26  # columns of flags; longer ones have a line of their own
SHORT, LONG = ("-h", "--help"), "--help-all"
"""The flags that ask for help."""


@dataclasses.dataclass(frozen=True)
class Guide:
    """What the help of a command says, beside what its options say of themselves.

    Attributes:
      about: what the command does, in one or two sentences.
      first: the options that a user needs first, in this order, those that the choices of a command have; the others
        are behind --help-all.
      examples: commands as one would write them.
      named: groups whose options are named on the first screen with their defaults, and what chose each group.
      elsewhere: gives who has options that the command has not, nearest first, for messages.

    >>> Guide("Versions.").first
    ()
    """

    about: str
    first: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    named: Mapping[str, str] = dataclasses.field(default_factory=dict)
    elsewhere: Callable[[], Iterable[Owners]] = tuple


def short_help(options: type, command: str, guide: Guide, width: int = 80) -> str:
    """The first screen: what the command does, the options that a user needs first, and an example.

    >>> from jaxrec.cli._parsing import OutputOptions
    >>> print(short_help(OutputOptions, "doctor", Guide("Versions.", ("json",), ("jaxrec doctor",))))
    usage: jaxrec doctor [options]
    <BLANKLINE>
    Versions.
    <BLANKLINE>
      --json                  print one JSON document on standard output
      --help-all              all 2 options
    <BLANKLINE>
    example: jaxrec doctor
    """
    rows = rows_of(options)
    by_name = {row.name: row for row in reversed(rows)}
    shown = [row for row in rows if row.positional] + [by_name[name] for name in guide.first if name in by_name]
    entries = [(_first_flag(row), _first_clause(row)) for row in dict.fromkeys(shown)]
    number = sum(not row.positional for row in rows)
    lines = [_usage(rows, command), "", *textwrap.wrap(guide.about, width), ""]
    lines += [*_table(entries, width), *_table([(LONG, f"all {number} options")], width)]
    named = [line for group, title in guide.named.items() for line in _named(rows, group, title, width)]
    lines += [*([""] if named else []), *named, *_examples(guide)]
    return "\n".join(lines)


def long_help(options: type, command: str, guide: Guide, width: int = 80) -> str:
    """Every option with all that is said of it, in groups.

    >>> from jaxrec.cli._parsing import OutputOptions
    >>> print(long_help(OutputOptions, "doctor", Guide("Versions.")))
    usage: jaxrec doctor [options]
    <BLANKLINE>
    Versions.
    <BLANKLINE>
    options of every command:
      --json                  print one JSON document on standard output; no
                              progress is shown.
      --quiet                 no progress and no notes on standard error.
      -h, --help, --help-all  the first screen of help; all of it
    """
    rows = rows_of(options)
    lines = [_usage(rows, command), "", *textwrap.wrap(guide.about, width)]
    lines += _examples(guide)
    everywhere = [row for row in rows if _is_shared(row)]
    groups: dict[str, list[Row]] = {}
    for row in (row for row in rows if not _is_shared(row)):
        groups.setdefault(row.group, []).append(row)
    for name, own in groups.items():
        about = _summary(options, name)
        lines += ["", f"{_title(name)}:", *textwrap.wrap(about, width, initial_indent="  ", subsequent_indent="  ")]
        lines += _table([(row.flags, " ".join(filter(None, (row.text, row.hint)))) for row in own], width)
    entries = [(row.flags, " ".join(filter(None, (row.text, row.hint)))) for row in everywhere]
    entries.append((f"{', '.join(SHORT)}, {LONG}", "the first screen of help; all of it"))
    return "\n".join([*lines, "", "options of every command:", *_table(entries, width)])


def _usage(rows: Sequence[Row], command: str) -> str:
    words = [row.flags for row in rows if row.positional]
    needed = [row.flags for row in rows if not row.positional and row.hint == "(required)"]
    return " ".join(["usage: jaxrec", command, *words, *needed, "[options]"])


def _first_clause(row: Row) -> str:
    """What an option does, in a few words, with a default that is worth showing."""
    text, default = first_clause(row.text), _shown_default(row)
    return f"{text} ({default})" if default else text


def _first_flag(row: Row) -> str:
    """The shortest way to write an option, of a pair of switches the one that turns it on."""
    return row.flags.split(", --")[0]


def _shown_default(row: Row) -> str:
    default = row.hint.removeprefix("(default: ").removesuffix(")") if row.hint.startswith("(default: ") else ""
    return "" if default == "None" else default


def _table(entries: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Two columns, the right one wrapped."""
    lines = []
    left = min(_LEFT, width // 2)
    for flags, text in entries:
        wrapped = textwrap.wrap(text, max(width - left, 16), break_on_hyphens=False) or [""]
        if len(flags) + 4 > left:
            lines.append(f"  {flags}")
        else:
            lines.append(f"  {flags:<{left - 2}}{wrapped.pop(0)}".rstrip())
        lines += [f"{'':{left}}{line}" for line in wrapped if line]
    return lines


def _named(rows: Sequence[Row], group: str, title: str, width: int) -> list[str]:
    """The options of a group with their defaults, as they are typed, in two lines at the most."""
    words = [_typed(row) for row in rows if row.group == group]
    if not words:
        return []
    # A flag is not parted from its default.
    text = ", ".join(word.replace(" ", "\0") for word in words)
    text = textwrap.fill(
        f"{title}: {text}", width, subsequent_indent="  ", break_on_hyphens=False, max_lines=2, placeholder=" ..."
    )
    return text.replace("\0", " ").splitlines()


def _typed(row: Row) -> str:
    """An option as one types it: with its default, or of a pair of switches the one that changes something."""
    if ", --no-" in row.flags or ".no-" in row.flags:
        on, off = row.flags.split(", ")
        return off if row.hint == "(default: True)" else on
    return f"{row.flags.split(', ')[-1].split(' ')[0]} {_shown_default(row)}".strip()


def _examples(guide: Guide) -> list[str]:
    if len(guide.examples) == 1:
        return ["", f"example: {guide.examples[0]}"]
    return ["", "examples:", *(f"  {one}" for one in guide.examples)] if guide.examples else []


def _title(group: str) -> str:
    return group.removesuffix("_options").replace("_", " ") if group else "options"


def _summary(options: type, group: str) -> str:
    """The first paragraph of what a group says of itself."""
    if not group:
        return ""
    hint: Any = next(field.type for field in dataclasses.fields(options) if field.name == group)
    if isinstance(hint, str):
        import typing

        hint = typing.get_type_hints(options)[group]
    hint = getattr(hint, "__origin__", hint)
    return " ".join((hint.__doc__ or "").strip().split("\n\n")[0].split())


def _is_shared(row: Row) -> bool:
    """Whether every command of its kind has the option."""
    return row.owner.__module__ == "jaxrec.cli._parsing"
