"""Messages of the library in the words of the command line: flags in place of Python's arguments."""

from __future__ import annotations

import ast
import re
from typing import Any

# Arguments of the library that messages name and that have a flag; most flags are the name with dashes.
_ARGUMENTS = (
    *("test_file", "valid_file", "overlap", "items", "format", "columns", "delimiter", "encoding", "data_dir"),
    *("header", "no_header", "quotes", "no_quotes", "decimal", "time_format", "missing", "keep", "repeats", "form"),
    *("raw", "duplicates", "min_rating", "k_core", "k_core_on", "split", "test", "valid", "ties", "order", "folds"),
    *("valid_order", "item_columns"),
    *("fold", "split_seed", "unknown", "exclude", "candidates", "memory_mb", "loss", "objective", "negatives"),
    *("optimizer", "momentum", "sparse", "bias", "mean", "batch_size", "method", "filter_seen", "other_machine"),
    *("history", "interactions", "init", "new_items", "refit", "weights", "calibration", "seconds", "time_unit"),
)
_RENAMED = {
    **{"method": "split", "filter_seen": "seen", "interactions": "new_users", "init": "from"},
    "keep": "repeats",
}
_VALUE = r"""('[^']*'|"[^"]*"|\{[^{}]*\}|\([^()]*\)|-?[0-9][0-9.e-]*[0-9]|[0-9]|None|True|False)"""
_GIVEN = re.compile(rf"(?<![\w'\"/=.-])({'|'.join(_ARGUMENTS)})={_VALUE}")
_SUBJECT = re.compile(rf"(^|[;:] | and )({'|'.join(_ARGUMENTS)}) (is (?=['\"({{0-9-]|given|not given)|has (?=['\"]))")
_CALLS = {"jaxrec.data.deduplicate(data)": "--repeats last"}


def in_flags(message: str) -> str:
    """Put flags in place of Python's arguments in a message of the library.

    >>> in_flags("raise the bound, or pass k_core_on='train'")
    'raise the bound, or pass --k-core-on train'
    >>> in_flags("say which one it is: columns={'user': 0, 'timestamp': None}")
    'say which one it is: --columns user=0 timestamp=-'
    >>> in_flags("memory_mb is 0, but two users need 1.0; raise memory_mb")
    '--memory-mb is 0, but two users need 1.0; raise --memory-mb'
    """
    for call, flag in _CALLS.items():
        message = message.replace(call, flag)
    subject = _SUBJECT.match(message)
    if subject:  # what the message is about goes on being called by its flag
        name = subject[2]
        message = re.sub(rf"(?<![\w'\"/.-]){name}(?![\w'\"=])", _flag(name), message) if "_" in name else message
    message = _SUBJECT.sub(lambda found: f"{found[1]}{_flag(found[2])} {found[3]}", message)
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
