"""Saving a fitted model to a folder and restoring it, without pickle and without the training data.

A run folder holds `model.json` (names, options, what is known of the fit, and a hash of the other file) and
`arrays.npz` (parameters, scorer, ids, titles, seen items). Other files in it are left alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxrec import registry
from jaxrec.data._ids import IdMap
from jaxrec.data._seen import SeenItems
from jaxrec.data._texts import from_stored, storable
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._described import OTHERS, class_at, describe, fields_of, place_of, rebuild
from jaxrec.fitting._fitted import FittedModel

if TYPE_CHECKING:
    from jaxrec.fitting._options import TrainingOptions

FORMAT = "jaxrec-model"
FORMAT_VERSION = 2

# 0.1 named what a folder holds by the class alone.
_PLACES = {place.rpartition(":")[2]: place for place in OTHERS}


def save(model: FittedModel, folder: str | pathlib.Path) -> pathlib.Path:
    """Write a fitted model to a folder, which is made if need be; a model that is there already is replaced.

    Args:
      model: what `fit` or `restore` gave.
      folder: the run folder.

    Returns:
      The folder.

    Raises:
      RunFolderError: the folder cannot be written, or is a file.

    >>> import tempfile, jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=1, key=jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = restore(save(model, folder))
    >>> jaxrec.predict(again, ["u"], ["a"]) == jaxrec.predict(model, ["u"], ["a"])
    array([ True])
    """
    folder = pathlib.Path(folder)
    arrays: dict[str, np.ndarray] = {}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": {"kind": place_of(model.model), "name": model.name, "options": fields_of(model.model)},
        "options": None if model.options is None else describe(model.options),
        "variables": _pack(dict(model.variables), "variables", arrays),
        "scorer": _pack(model.scorer, "scorer", arrays),
        "users": _pack(model.users.ids, "users", arrays),
        "items": _pack(model.items.ids, "items", arrays),
        "titles": _pack(model.titles, "titles", arrays),
        "item_columns": _pack(dict(model.item_columns), "item_columns", arrays),
        "seen": _pack(model.seen, "seen", arrays),
        "info": dict(model.info),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    document["arrays_sha256"] = hashlib.sha256(buffer.getbuffer()).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The description comes last and names the hash of the arrays, so a half-written pair is noticed.
        _replace(folder / "arrays.npz", bytes(buffer.getbuffer()))
        _replace(folder / "model.json", (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {str(folder)!r}: {error.strerror or error}") from None
    return folder


def restore(folder: str | pathlib.Path, *, kinds: Sequence[type] = ()) -> FittedModel:
    """Read a fitted model back; it recommends the same without the training data.

    Args:
      folder: a run folder that `save` wrote, of this version or of 0.1.
      kinds: classes of your own that the run was made with: the model, the loss, the scorer. A file never makes
        anything be imported.

    Returns:
      The fitted model.

    Raises:
      RunFolderError: no such folder, one that jaxrec did not write, a newer format, or damaged files.

    >>> restore("no/such/folder")
    Traceback (most recent call last):
        ...
    jaxrec.errors.RunFolderError: no run folder at 'no/such/folder'; make one with jaxrec.save or `jaxrec fit --out`
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise RunFolderError(f"no run folder at {str(folder)!r}; make one with jaxrec.save or `jaxrec fit --out`")
    document = _document(folder)
    path = folder / "arrays.npz"
    damaged = f"the run folder {str(folder)!r} is damaged: "
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{damaged}arrays.npz cannot be read ({error.strerror or error}); fit again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != document.get("arrays_sha256"):
        raise RunFolderError(f"{damaged}arrays.npz is not the file that model.json was written with; fit again")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive.items())
        read = _Reader(document["format_version"], tuple(kinds))
        fitted = FittedModel(
            model=read.model(document["model"]),
            variables=read.tree(document["variables"], arrays),
            scorer=read.tree(document["scorer"], arrays),
            users=IdMap(np.array(_host(document["users"], arrays)), "user"),
            items=IdMap(np.array(_host(document["items"], arrays)), "item"),
            titles=None if document["titles"] is None else _host(document["titles"], arrays),
            item_columns={name: _host(part, arrays) for name, part in document["item_columns"]["fields"].items()},
            seen=SeenItems(*(np.asarray(part) for part in read.tree(document["seen"], arrays))),
            options=read.options(document["options"]),
            info=document["info"],
        )
        _check_sizes(fitted)
        return fitted
    except RunFolderError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zipfile.BadZipFile) as error:
        detail = str(error) if isinstance(error, JaxrecError) else f"{type(error).__name__} {error}"
        raise RunFolderError(f"{damaged}{detail}; fit again") from None


def _check_sizes(fitted: FittedModel) -> None:
    """Raise ValueError where the parts of a fitted model are not of the sizes that it states."""
    wanted = (fitted.model.num_users, fitted.model.num_items)
    found = {
        "ids": (fitted.num_users, fitted.num_items),
        "scorer": (fitted.scorer.num_users, fitted.scorer.num_items),
        "seen items": (fitted.seen.num_users, wanted[1]),
        "titles": (wanted[0], wanted[1] if fitted.titles is None else len(fitted.titles)),
    }
    for name, sizes in found.items():
        if sizes != wanted:
            raise ValueError(f"the {name} are of {sizes} users and items, and the model of {wanted}")


def _document(folder: pathlib.Path) -> Mapping[str, Any]:
    path = folder / "model.json"
    if not path.is_file():
        raise RunFolderError(f"{str(folder)!r} is no run folder: it has no model.json; give the folder that fit wrote")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{str(path)!r} is damaged: {error}; fit again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunFolderError(f"{str(path)!r} was not written by jaxrec; give the folder that fit wrote")
    if document.get("format_version") not in range(1, FORMAT_VERSION + 1):
        raise RunFolderError(
            f"{str(path)!r} has format version {document.get('format_version')} and this jaxrec reads 1 to "
            f"{FORMAT_VERSION}; use the jaxrec that wrote it, or fit again"
        )
    return document


def _pack(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """A plain description of a tree of arrays; the arrays themselves go into `arrays` under their path."""
    if value is None or isinstance(value, (int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {"kind": "dict", "fields": {key: _pack(part, f"{path}.{key}", arrays) for key, part in value.items()}}
    names = getattr(value, "_fields", None)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    if names is not None:
        fields = {name: _pack(getattr(value, name), f"{path}.{name}", arrays) for name in names}
        return {"kind": place_of(value), "fields": fields}
    if isinstance(value, tuple):
        return {"kind": "tuple", "fields": [_pack(part, f"{path}.{at}", arrays) for at, part in enumerate(value)]}
    if getattr(value, "dtype", None) == np.dtype(object):  # texts that one long one would widen
        return _pack(storable(value), path, arrays)
    arrays[path] = np.asarray(value)
    return {"kind": "array", "path": path}


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Objects from their descriptions, in one version of the format."""

    version: int
    kinds: tuple[type, ...]

    def model(self, described: Mapping[str, Any]) -> Any:
        if self.version == 1:  # 0.1 had names of its own models only
            kind = registry.find("model", described["name"], installed=False)
        else:
            kind = class_at(described["kind"], self.kinds)
        return kind(**{name: rebuild(value, self.kinds) for name, value in described["options"].items()})

    def options(self, described: Any) -> TrainingOptions | None:
        if described is None:
            return None
        if self.version > 1:
            return rebuild(described, self.kinds)
        from jaxrec.fitting._old_options import from_old

        return from_old(described)

    def tree(self, described: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        if not isinstance(described, dict):
            return described
        kind = described["kind"]
        if kind == "array":
            return jnp.asarray(arrays[described["path"]])
        if kind == "tuple":
            return tuple(self.tree(part, arrays) for part in described["fields"])
        fields = {name: self.tree(part, arrays) for name, part in described["fields"].items()}
        if kind == "dict":
            return fields
        return class_at(str(_PLACES.get(kind, kind) if self.version == 1 else kind), self.kinds)(**fields)


def _host(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if described["kind"] == "dict":  # texts that one long one would widen
        return from_stored({name: arrays[part["path"]] for name, part in described["fields"].items()})
    return arrays[described["path"]]


def _replace(path: pathlib.Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
