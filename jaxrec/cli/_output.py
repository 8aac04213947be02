"""Output of commands: one JSON document or text on standard output, notes on standard error."""

from __future__ import annotations

import json
import math
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec import files
from jaxrec.cli._flags import in_flags
from jaxrec.errors import JaxrecError, OutputError
from jaxrec.text import printable


def emit(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Print the result of a command: the document as JSON, or the text.

    >>> emit({"recall@10": float("nan")}, "no recall", as_json=True)
    {"recall@10": null}
    """
    # No control character of a path, a title or an id reaches the terminal; JSON escapes them itself.
    text = "\n".join(map(printable, text.split("\n")))
    print(json.dumps(plain(document), allow_nan=False) if as_json else text)


def note(text: str, quiet: bool = False) -> None:
    """Print a note on standard error, apart from the result."""
    if not quiet:
        print(f"note: {printable(in_flags(text))}", file=sys.stderr)


def plain(value: Any) -> Any:
    """Convert a value for JSON: no NumPy, no tuple, and null for a number that is not finite.

    >>> plain({"a": (np.float32(0.5), float("inf")), 1: pathlib.PurePosixPath("x")})
    {'a': [0.5, None], '1': 'x'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [plain(part) for part in value]


def writable(flag: str, name: str, endings: Sequence[str] = ()) -> pathlib.Path:
    """Check the path of an output file before anything is computed.

    Args:
      flag: what asks for the file, for messages.
      name: as the caller gave it.
      endings: what it may end in; none for any.

    Raises:
      JaxrecError: another ending, a folder that does not exist, or a folder, a link or a protected file in its place.

    >>> writable("--out", "lists.csv", [".csv", ".json"]).name
    'lists.csv'
    """
    path = pathlib.Path(name).expanduser()
    if endings and path.suffix not in endings:
        raise JaxrecError(f"{flag} {name!r} must end in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise JaxrecError(f"{flag} {name!r} is in a folder that does not exist; make {str(path.parent)!r} first")
    if path.is_dir():
        raise JaxrecError(f"{flag} {name!r} is a folder; name a file")
    try:
        files.mode_of(path)
    except OutputError as error:
        raise JaxrecError(f"{flag}: {error}") from None
    return path


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Write a document to a file, whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(pathlib.Path(folder, "a.json"), {"seed": 0})
    ...     json.loads(pathlib.Path(folder, "a.json").read_text())
    {'seed': 0}
    """
    write_text(path, json.dumps(plain(document), allow_nan=False, indent=1) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Write text to a file as UTF-8, whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(pathlib.Path(folder, "a.md"), "± .5")
    ...     pathlib.Path(folder, "a.md").read_text(encoding="utf-8")
    '± .5'
    """
    files.write_whole(path, text.encode())
