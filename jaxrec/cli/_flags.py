"""Messages of the library in the words of the command line: flags in place of Python's arguments."""

from __future__ import annotations

import ast
import re
from typing import Any

from jaxrec.registry import BUILT_IN

# Arguments of the library that messages name and that have a flag; most flags are the name with dashes.
_ARGUMENTS = (
    *("test_file", "valid_file", "overlap", "items", "format", "columns", "delimiter", "encoding", "data_dir"),
    *("header", "no_header", "quotes", "no_quotes", "decimal", "time_format", "missing", "keep", "repeats", "form"),
    *("raw", "duplicates", "min_rating", "k_core", "k_core_on", "split", "test", "valid", "ties", "order", "folds"),
    *("valid_order", "item_columns", "calibrate_on"),
    *("fold", "split_seed", "unknown", "exclude", "candidates", "memory_mb", "loss", "objective", "negatives"),
    *("optimizer", "momentum", "sparse", "bias", "mean", "batch_size", "method", "filter_seen", "other_machine"),
    *("history", "interactions", "init", "new_items", "refit", "weights", "calibration", "seconds", "time_unit"),
    "blend",
)
_RENAMED = {
    **{"method": "split", "filter_seen": "seen", "interactions": "new_users", "init": "from"},
    **{"keep": "repeats", "blocks": "column_blocks"},
}
_VALUE = r"""('[^']*'|"[^"]*"|\{[^{}]*\}|\([^()]*\)|-?[0-9][0-9.e-]*[0-9]|[0-9]|None|True|False)"""
_GIVEN = re.compile(rf"(?<![\w'\"/=.-])({'|'.join(_ARGUMENTS)})={_VALUE}")
_SUBJECT = re.compile(rf"(^|[;:] | and )({'|'.join(_ARGUMENTS)}) (is (?=['\"({{0-9-]|given|not given)|has (?=['\"]))")
# An argument of several words, or a common one, of which a message begins to tell.
_FIRST = re.compile(
    r"^([a-z][a-z0-9]*(?:_[a-z0-9]+)+|dim|layers|epochs|patience|neighbors|shrink|seconds|margin|folds|"
    r"blocks) (?=(?:must|needs|is|has)\b)"
)
_CALLS = {
    "jaxrec.data.deduplicate(data)": "--repeats last",
    "jaxrec.prepare(data, min_rating=1)": "--min-rating 1",
    ": its class names no axis of a mesh in `mesh_axes`": "",
    "leave mesh out": "leave --devices out",
    "leave sparse or mesh out": "leave --sparse or --devices out",
    "leave blocks out": "leave --column-blocks out",
    "leave the rating filter out": "leave it out",
    'leave the order at "data"': "leave --node-order out",
    'leave it at "data"': "leave --node-order out",
}
_WORD = re.compile(rf"(?<![\w'\"/.=-])({'|'.join(name for name in _ARGUMENTS if '_' in name)})(?![\w'\"=(./])")
_LAYOUT = re.compile(r"mesh=jaxrec\.parallel\.Layout\((rows|columns)=(\d+)\)")


def in_flags(message: str) -> str:
    """Put flags in place of Python's arguments in a message of the library.

    >>> in_flags("raise the bound, or pass k_core_on='train'")
    'raise the bound, or pass --k-core-on train'
    >>> in_flags("say which one it is: columns={'user': 0, 'timestamp': None}")
    'say which one it is: --columns user=0 timestamp=-'
    >>> in_flags("memory_mb is 0, but two users need 1.0; raise memory_mb")
    '--memory-mb is 0, but two users need 1.0; raise --memory-mb'
    >>> in_flags("learning_rate must be positive, got 0")
    '--learning-rate must be positive, got 0'
    """
    for call, flag in _CALLS.items():
        message = message.replace(call, flag)
    message = _LAYOUT.sub(lambda found: f"--layout {found[1]} --devices {found[2]}", message)
    first = _FIRST.match(message)
    if first and not any(first[1] in known for known in BUILT_IN.values()):  # user_temporal is no argument
        # What the message is about goes on being called by its flag.
        name = rf"(?<![\w'\"/.-]){first[1]}(?![\w'\"=])"
        message = re.sub(name, _flag(first[1]), message, count=0 if "_" in first[1] else 1)
    message = _SUBJECT.sub(lambda found: f"{found[1]}{_flag(found[2])} {found[3]}", message)
    message = _WORD.sub(lambda found: _flag(found[0]), message)
    return _GIVEN.sub(lambda found: _with_value(found[1], ast.literal_eval(found[2])), message)


def _flag(name: str) -> str:
    name = _RENAMED.get(name, name)
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


def _with_value(name: str, value: Any) -> str:
    flag = _flag(name)
    if value is True:
        return flag
    if value is False:
        return f"--no-{flag.lstrip('-')}"
    if isinstance(value, dict):
        return " ".join([flag, *(f"{role}={_word(column)}" for role, column in value.items())])
    if isinstance(value, tuple):
        return " ".join([flag, *map(_word, value)])
    return f"{flag} {'none' if value is None else _word(value)}"


def _word(value: Any) -> str:
    text = "-" if value is None else str(value)
    return f'"{text}"' if not text or " " in text else text
