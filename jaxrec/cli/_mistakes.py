"""What a mistake in the words of a command is told as: the option that was meant, who has it, or what it takes."""

from __future__ import annotations

import ast
import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from jaxrec.cli._options import rows_of

Owners = Sequence[tuple[str, frozenset[str]]]
"""Words that bring options along, such as "--model mf", and the flags that they bring."""

_SHOWN = 8  # owners that a message names
_FLAG = r"--?[a-zA-Z][\w.-]*"
_NUMBERS = ("no", "one", "two", "three", "four")


def flags_in(options: type) -> frozenset[str]:
    """Every flag of a class of options, short or long.

    >>> from jaxrec.cli._parsing import OutputOptions
    >>> sorted(flags_in(OutputOptions))
    ['--json', '--quiet']
    """
    return frozenset(flag for row in rows_of(options) for flag in re.findall(rf"(?<![\w.-]){_FLAG}", row.flags))


def explained(told: str, options: type, argv: Sequence[str], command: str, elsewhere: Iterable[Owners] = ()) -> str:
    """The message of the parser in the words of a user, with who has an option that the command has not.

    Args:
      told: what the parser said, in one line.
      options: the class of the command's options.
      argv: the words of the command.
      command: its name.
      elsewhere: who else has options, nearest first; the first that have an option are named.

    >>> from jaxrec.cli._parsing import OutputOptions
    >>> explained("Unrecognized options: --jsn", OutputOptions, ["--jsn"], "doctor")
    'Unrecognized options: --jsn; did you mean --json?'
    >>> explained("Error parsing --epochs: invalid literal for int() with base 10: 'ten'", OutputOptions, [], "fit")
    "--epochs is 'ten'; pass a whole number"
    """
    if told.startswith("Unrecognized options"):
        told = told.partition("; Perhaps you meant")[0]
        if re.match(r"Unrecognized options: -[^- ]", told):
            return f"{told}; a value that begins with - is written behind its flag and =, as in --user=-ann"
        own, known = flags_in(options), [list(tier) for tier in elsewhere]
        given = [word.partition("=")[0].replace("_", "-") for word in argv if re.match(r"--[a-zA-Z]", word)]
        unknown = [flag for flag in dict.fromkeys(given) if flag not in own]
        said = "; ".join([told, *filter(None, (_about(flag, own, known, command) for flag in unknown))])
        return said.replace("?;", "?")
    for form, say in _SAID.items():
        found = re.match(form, told)
        if found:
            return say(found, options) or told.partition("; Argument helptext")[0]
    return told


def _about(flag: str, own: frozenset[str], elsewhere: Sequence[Owners], command: str) -> str:
    """One sentence about an option that a command does not have; "" where there is nothing to say."""
    for tier in elsewhere:
        owners = [title for title, flags in tier if flag in flags]
        if owners:
            return f"{flag} is of {_listed(owners)}"
    theirs: dict[str, list[str]] = {}
    for tier in elsewhere:
        for title, flags in tier:
            for one in flags:
                theirs.setdefault(one, []).append(title)
    near = difflib.get_close_matches(flag, own, n=1, cutoff=0.8)
    if near:
        return f"did you mean {near[0]}?"
    near = difflib.get_close_matches(flag, theirs, n=1, cutoff=0.8)
    if near:
        return f"did you mean {near[0]}, of {_listed(theirs[near[0]])}?"
    owners = [title for title, flags in _commands(command) if flag in flags]
    return f"{flag} is of {_listed(owners)}" if owners else ""


def _commands(command: str) -> Owners:
    """The other commands, and their flags; those of models too where a command chooses one."""
    from jaxrec.cli import COMMANDS
    from jaxrec.cli._completion import options_of, with_words

    others = {name: importlib.import_module(f"jaxrec.cli._{module}") for name, module, _ in COMMANDS if name != command}
    return [(f"`jaxrec {name}`", flags_in(with_words(options_of(module)))) for name, module in others.items()]


def _listed(titles: Sequence[str]) -> str:
    """Titles with the flag that several share written once.

    >>> _listed(["--model mf", "--model gcn", "--loss bpr"])
    '--model mf, gcn or --loss bpr'
    """
    more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
    groups: dict[str, list[str]] = {}
    for title in titles[:_SHOWN]:
        flag, _, word = title.rpartition(" ") if title.startswith("--") else ("", "", title)
        groups.setdefault(flag, []).append(word)
    return " or ".join(f"{flag} {', '.join(words)}".strip() for flag, words in groups.items()) + more


def _metavar(flag: str, options: type) -> str:
    """What stands after a flag."""
    rows = [row for row in rows_of(options) if flag in re.findall(rf"(?<![\w.-]){_FLAG}", row.flags)]
    return rows[0].flags.rpartition(", ")[2].partition(" ")[2] if rows else ""


def _missing(found: re.Match[str], options: type) -> str:
    metavar = _metavar(found["flag"], options).removeprefix("{None}|")
    return f"{found['flag']} has no value; pass {found['flag']} {metavar}".rstrip()


def _choice(found: re.Match[str], options: type) -> str:
    words = re.fullmatch(r"\{(.*)\}", _metavar(found["flag"], options))
    known = words[1].split(",") if words else [one for one in ast.literal_eval(found["words"]) if one != "None"]
    asked = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
    return f"{found['flag']} is {found['value']}; pass {asked}"


def _number(found: re.Match[str], options: type) -> str:
    """Of a word that is no number; "" where something else was asked for."""
    wrong, said = found["said"], found[0]
    listed = re.search(r"(?:instantiated from|parse for arguments:) (\[.*?\])", wrong)
    single = re.search(r"(?:int\(\) with base 10|string to float): ('.*?'|\".*?\")(?:;|$)", wrong)
    if listed is None and single is None:
        return ""
    values = ast.literal_eval(listed[1]) if listed else [ast.literal_eval(single[1])] if single else []
    asked = re.search(r"no type matching (.*?) could be", wrong)
    shape = asked[1] if asked else said.partition("Argument helptext:")[2].partition("]] ")[0] if listed else ""
    kinds = re.findall(r"INT|FLOAT", shape) or (["INT" if "int()" in wrong else "FLOAT"] if single else [])
    if not kinds or ("TEXT" in shape):
        return ""
    whole = "whole " if set(kinds) == {"INT"} else ""
    if "..." in shape:
        what = f"{whole}numbers"
    else:
        what = f"a {whole}number" if len(kinds) == 1 else f"{_NUMBERS[min(len(kinds), 4)]} {whole}numbers"
    return f"{found['flag']} is {' '.join(map(repr, values))}; pass {what}"


_SAID: Mapping[str, Callable[[re.Match[str], type], str]] = {
    rf"Missing value for argument '(?P<flag>{_FLAG})[^']*'": _missing,
    rf"invalid choice (?P<value>'.*?') for argument '(?P<flag>{_FLAG})[^']*'\. Expected one of (?P<words>\(.*?\))": (
        _choice
    ),
    rf"Error parsing (?P<flag>{_FLAG})(?:/{_FLAG})*: (?P<said>.*?)(?:; Argument helptext|$)(?:.*)": _number,
}
