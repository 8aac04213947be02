"""`model.json`: the description of a run folder, which names its arrays by their hash and has a hash of itself."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from jaxrec.errors import RunFolderError

FORMAT = "jaxrec-model"
FORMAT_VERSION = 3
"""1 is of 0.1 and 2 of versions between 0.1 and 0.2, both with `arrays.npz` and without a hash of the document."""

MODEL = "model.json"
OLD_ARRAYS = "arrays.npz"

_HASH = re.compile(r"[0-9a-f]{64}")
_WAITING = re.compile(r"\.(?P<name>.+(?P<ending>\.\w+))\.(?P<digest>[0-9a-f]{16})(?P=ending)")
_ARRAYS = re.compile(r"arrays-(?P<digest>[0-9a-f]{16})\.npz")


def digest_of(document: Mapping[str, Any]) -> str:
    """The sha256 of a document of plain JSON values, whatever its order and white space, but for its own `sha256`.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1, "sha256": "..."})
    True
    """
    rest = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def written(document: Mapping[str, Any]) -> tuple[str, bytes]:
    """(its hash, the content of `model.json`) of a document without hash."""
    plain = json.loads(json.dumps(document))  # as it is read back: lists for tuples, text for keys
    digest = digest_of(plain)
    return digest, (json.dumps({**plain, "sha256": digest}, indent=1) + "\n").encode()


def arrays_name(document: Mapping[str, Any]) -> str:
    """The name of the file with the arrays.

    Raises:
      RunFolderError: the document names no hash.

    >>> arrays_name({"format_version": 3, "arrays_sha256": "0" * 64})
    'arrays-0000000000000000.npz'
    """
    found = document.get("arrays_sha256")
    if not isinstance(found, str) or not _HASH.fullmatch(found):
        raise RunFolderError(f"it is damaged: arrays_sha256 is {str(found)[:80]!r}; fit again")
    return OLD_ARRAYS if document.get("format_version") in (1, 2) else arrays_of(found)


def arrays_of(digest: str) -> str:
    """The name of the arrays of a hash.

    >>> arrays_of("0123456789abcdef" * 4)
    'arrays-0123456789abcdef.npz'
    """
    return f"arrays-{digest[:16]}.npz"


def beside(name: str, digest: str) -> str:
    """The name, while it waits, of a file that belongs to the model of a hash.

    >>> beside("metrics.json", "0123456789abcdef" * 4)
    '.metrics.json.0123456789abcdef.json'
    """
    return f".{name}.{digest[:16]}{pathlib.PurePath(name).suffix}"


def parts_of(name: str) -> tuple[str, str]:
    """(the plain name, the first 16 digits of the hash) of a name with a hash; empty for another.

    >>> parts_of(".metrics.json.0123456789abcdef.json"), parts_of("arrays-0123456789abcdef.npz"), parts_of("a.json")
    (('metrics.json', '0123456789abcdef'), ('arrays.npz', '0123456789abcdef'), ('', ''))
    """
    found = _WAITING.fullmatch(name)
    if found is not None:
        return found["name"], found["digest"]
    found = _ARRAYS.fullmatch(name)
    return ("", "") if found is None else (OLD_ARRAYS, found["digest"])


def read_document(folder: pathlib.Path) -> tuple[dict[str, Any], bytes]:
    """What `model.json` of a folder says, checked against its own hash, and the bytes that say it.

    Raises:
      RunFolderError: no such file, one that jaxrec did not write, a newer format, or a damaged one.
    """
    path = folder / MODEL
    if not path.is_file():
        raise RunFolderError(f"{str(folder)!r} is no run folder: it has no model.json; give the folder that fit wrote")
    try:
        content = path.read_bytes()
        document = json.loads(content)
        digest = digest_of(document) if isinstance(document, dict) else None
    except RecursionError:
        raise RunFolderError(f"{str(path)!r} is damaged: it is nested too deeply; fit again") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{str(path)!r} is damaged: {str(error)[:100]}; fit again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunFolderError(f"{str(path)!r} was not written by jaxrec; give the folder that fit wrote")
    version = document.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise RunFolderError(
            f"{str(path)!r} has format version {str(version)[:20]} and this jaxrec reads 1 to "
            f"{FORMAT_VERSION}; use the jaxrec that wrote it, or fit again"
        )
    stated = document.get("sha256")
    if (version > 2 or stated is not None) and stated != digest:
        raise RunFolderError(f"{str(path)!r} is damaged: it is not what its sha256 was made of; fit again")
    return document, content


def digest_in(folder: pathlib.Path) -> str | None:
    """The hash of the document of a folder, whatever its version; None for a folder without a whole one.

    >>> digest_in(pathlib.Path("no/such/folder")) is None
    True
    """
    try:
        return digest_of(read_document(folder)[0])
    except RunFolderError:
        return None


def is_ours(path: pathlib.Path) -> bool:
    """Whether a file is a description that jaxrec wrote, also a damaged one; a link to one is not.

    >>> is_ours(pathlib.Path("no/such/model.json"))
    False
    """
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(200)
        return f'"format": "{FORMAT}"'.encode() in start or json.loads(path.read_bytes()).get("format") == FORMAT
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
