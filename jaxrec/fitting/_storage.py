"""Saving a fitted model to a folder and restoring it, without pickle and without the training data.

A run folder holds `model.json` (names, options, what is known of the fit, a hash of the other file and of itself) and
`arrays-HASH.npz` (parameters, scorer, ids, titles, seen items). Other files in it are left alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrec import registry
from jaxrec.data._ids import IdMap
from jaxrec.data._seen import SeenItems
from jaxrec.data._texts import from_stored, storable
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._archive import Stated, unpacked
from jaxrec.fitting._checks import check_fitted
from jaxrec.fitting._described import OTHERS, class_at, describe, fields_of, place_of, rebuild
from jaxrec.fitting._document import FORMAT, FORMAT_VERSION, MODEL, arrays_name, is_ours, read_document
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._owner import owned
from jaxrec.fitting._publishing import Pending, settle, write_pending
from jaxrec.pytrees import stored

if TYPE_CHECKING:
    from jaxrec.fitting._options import TrainingOptions

# 0.1 named what a folder holds by the class alone.
_PLACES = {place.rpartition(":")[2]: place for place in OTHERS}
_RETRIES = 10


def save(model: FittedModel, folder: str | pathlib.Path) -> pathlib.Path:
    """Write a fitted model to a folder, which is made if need be; a model that is there already is replaced.

    Args:
      model: what `fit` or `restore` gave.
      folder: the run folder.

    Returns:
      The folder.

    Raises:
      RunFolderError: the folder cannot be written, is a file, holds a `model.json` of another program, or is being
        written by another process.

    >>> import tempfile, jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=1, key=jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = restore(save(model, folder))
    >>> jaxrec.predict(again, ["u"], ["a"]) == jaxrec.predict(model, ["u"], ["a"])
    array([ True])
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with owned(folder):
            if (folder / MODEL).exists() and not is_ours(folder / MODEL):
                raise RunFolderError(f"{str(folder / MODEL)!r} is not of jaxrec; name another folder")
            settle(folder)
            pending(model, folder).switch()
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {str(folder)!r}: {error.strerror or error}") from None
    return folder


def pending(model: FittedModel, folder: pathlib.Path) -> Pending:
    """Write a fitted model into a folder that this process owns, beside the model that is there.

    Raises:
      OutputError: the folder cannot be written.
    """
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
    return write_pending(document, arrays, folder)


def restore(folder: str | pathlib.Path, *, kinds: Sequence[type] = ()) -> FittedModel:
    """Read a fitted model back; it recommends the same without the training data.

    Args:
      folder: a run folder that `save` wrote, of this version, 0.2 or 0.1. One with the checkpoints of a fit that was
        stopped, or their folder, gives its best model so far, and a warning that says so.
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
    if not (folder / MODEL).exists():
        from jaxrec.fitting._unfinished import unfinished

        stopped = unfinished(folder, kinds)
        if stopped is not None:
            return stopped
    document, content = _whole(folder)
    try:
        return _fitted(document, content, tuple(kinds))
    except RunFolderError:
        raise
    except Exception as error:  # what a description says may be anything, and so is what comes of it
        detail = str(error) if isinstance(error, JaxrecError) else f"{type(error).__name__} {error}"
        detail = " ".join(detail.split())[:160]
        raise RunFolderError(f"the run folder {str(folder)!r} is damaged: {detail}; fit again") from None


def _whole(folder: pathlib.Path) -> tuple[Mapping[str, Any], bytes]:
    """The description of a folder and the content of the arrays that it names.

    A fit into the same folder may replace both in between; then they are read again.
    """
    found: bytes | None = None
    for _ in range(_RETRIES):
        document, raw = read_document(folder)
        name = arrays_name(document)
        damaged = f"the run folder {str(folder)!r} is damaged: {name}"
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            if found == raw or not isinstance(error, FileNotFoundError):
                raise RunFolderError(f"{damaged} cannot be read ({error.strerror or error}); fit again") from None
        else:
            if hashlib.sha256(content).hexdigest() == document["arrays_sha256"]:
                return document, content
            if found == raw:
                raise RunFolderError(f"{damaged} is not the file that model.json was written with; fit again")
        found = raw
    raise RunFolderError(f"the run folder {str(folder)!r} changes while it is read; try again")


def _fitted(document: Mapping[str, Any], content: bytes, kinds: tuple[type, ...]) -> FittedModel:
    read = _Reader(document["format_version"], kinds, _stated(document))
    arrays = unpacked(content, read.stated)
    read.arrays.update(arrays)
    seen = read.tree(document["seen"], "seen")
    titles = document["titles"]
    fitted = FittedModel(
        model=read.model(document["model"]),
        variables=read.tree(document["variables"], "variables"),
        scorer=read.tree(document["scorer"], "scorer"),
        users=IdMap(np.array(read.host(document["users"], "users")), "user"),
        items=IdMap(np.array(read.host(document["items"], "items")), "item"),
        titles=None if titles is None else np.array(read.host(titles, "titles")),
        item_columns={
            name: np.array(read.host(part, f"item_columns.{name}"))
            for name, part in document["item_columns"]["fields"].items()
        },
        seen=SeenItems(*map(np.asarray, seen)),
        options=read.options(document["options"]),
        info=document["info"],
    )
    check_fitted(fitted)
    return fitted


def _stated(document: Mapping[str, Any]) -> dict[str, Stated]:
    """What a description says of its arrays, by their names."""
    out: dict[str, Stated] = {}
    left = [document[name] for name in ("variables", "scorer", "users", "items", "titles", "item_columns", "seen")]
    while left:
        part = left.pop()
        if isinstance(part, dict) and part.get("kind") == "array":
            shape = part.get("shape")
            out[part["path"]] = Stated(part.get("dtype"), None if shape is None else tuple(shape))
        elif isinstance(part, dict):
            fields = part["fields"]
            left += fields.values() if isinstance(fields, dict) else fields
    return out


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
        fields = {name: _pack(stored(value, name), f"{path}.{name}", arrays) for name in names}
        return {"kind": place_of(value), "fields": fields}
    if isinstance(value, tuple):
        return {"kind": "tuple", "fields": [_pack(part, f"{path}.{at}", arrays) for at, part in enumerate(value)]}
    if path in arrays:
        raise RunFolderError(f"two arrays would have the name {path}; rename a variable")
    if isinstance(value, np.ndarray) and value.dtype == object:  # texts that one long one would widen
        return _pack(storable(value), path, arrays)
    arrays[path] = np.asarray(value)
    return {"kind": "array", "path": path, "dtype": arrays[path].dtype.str, "shape": list(arrays[path].shape)}


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Objects from their descriptions, in one version of the format."""

    version: int
    kinds: tuple[type, ...]
    stated: Mapping[str, Stated]
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

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

    def tree(self, described: Any, path: str) -> Any:
        if not isinstance(described, dict):
            return described
        kind = described["kind"]
        if kind == "array":
            return jax.device_put(self.host(described, path))  # asarray compiles a program for every shape
        fields = described["fields"]
        if kind == "tuple":
            return tuple(self.tree(part, f"{path}.{at}") for at, part in enumerate(fields))
        fields = {name: self.tree(part, f"{path}.{name}") for name, part in fields.items()}
        if kind == "dict":
            return fields
        return class_at(str(_PLACES.get(kind, kind) if self.version == 1 else kind), self.kinds)(**fields)

    def host(self, described: Mapping[str, Any], path: str) -> np.ndarray:
        """An array as it was read; it is named by its place in the description and by no other."""
        if described["kind"] == "dict":  # texts that one long one would widen
            return from_stored({name: self.host(part, f"{path}.{name}") for name, part in described["fields"].items()})
        if described["path"] != path:
            raise RunFolderError(f"the run folder is damaged: {path} is read from {described['path']!r:.60}; fit again")
        return self.arrays[path]
