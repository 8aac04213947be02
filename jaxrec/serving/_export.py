"""The export of a fitted model: its sides, ids and programs as files that are served without jaxrec."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.fitting._versions import versions
from jaxrec.serving._folder import check_folder, hashed_name, manifest_bytes, write_folder
from jaxrec.serving._index import EXPANSION, RECALL_USERS, build_index, recall_of
from jaxrec.serving._sides import Sides, sides

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel

_RAGGED = {
    "rows": "rows_indptr",
    "weights": "rows_indptr",
    "seen": "seen_indptr",
    "values": "indptr",
    "columns": "indptr",
}
"""Tensors of rows of different lengths, and where these end."""

_HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
      folder: of the artifact.
      manifest: what manifest.json says.
      notes: what is legal and may surprise.

    >>> Exported(pathlib.Path("served"), {"files": {"ids": {"bytes": 3}}}).bytes
    3
    """

    folder: pathlib.Path
    manifest: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of all files but the manifest."""
        return sum(told["bytes"] for told in self.manifest["files"].values())


def export(model: FittedModel, folder: str | pathlib.Path, *, k: int = 100, index: bool = False) -> Exported:
    """Write a fitted model as an artifact, which is served with JAX or NumPy and without jaxrec; see docs/export.md.

    Args:
      model: a fitted or restored model of any kind but random.
      folder: new, empty, or with an artifact, which is replaced; it can be read until the new one is complete.
      k: the longest list that the compiled top-k gives; of a smaller catalog all items.
      index: whether an approximate index is written too, for models with vectors; its recall is measured.

    Returns:
      What was written, with notes.

    Raises:
      JaxrecError: a model that cannot be exported, a k below 1, numbers that are not finite, packages that are
        missing, or a folder with other files or that cannot be written.

    >>> import tempfile, jax, jaxrec
    >>> data = jaxrec.from_arrays(["ann", "ann", "ben"], ["tea", "milk", "milk"])
    >>> model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, folder).manifest["model"]
    'popularity'
    """
    if not all(hasattr(model, name) for name in ("scorer", "users", "items", "seen", "info")):
        raise JaxrecError(f"model is of type {type(model).__name__}; pass a fitted model, as jaxrec.fit gives it")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise JaxrecError(f"k is {k!r}; pass a whole number of at least 1")
    for package in ("flatbuffers", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise JaxrecError(f'export needs {package}: pip install "jaxrec[export]"')
    parts = _sides_of(model)
    _check_finite(parts)
    if index and "vectors" not in parts.items:
        raise JaxrecError(f"index is True, and {model.name} has no vectors of items; leave index out")
    folder = pathlib.Path(folder).expanduser()
    loaders = _loaders(index)
    old = check_folder(folder, loaders)

    seen = model.seen
    served = np.flatnonzero(np.diff(np.asarray(seen.indptr)) > 0)
    users = {**_chosen(parts.users, served), **_ragged("seen", seen.indptr, {"seen": seen.items}, served)}
    longest = min(int(k), model.num_items)
    ragged = {name: ends for name, ends in _RAGGED.items() if ends in users or ends in parts.items}
    contents = {"ids": ("ids.json", _ids(model, served)), **_programs(parts, longest, model.num_items)}
    for name, tensors in (("users", users), ("items", parts.items)):
        contents[name] = (f"{name}.safetensors", _safetensors(tensors))
    found = {}
    if index:
        contents["index"], found = _index(parts, served)
    files = {hashed_name(name, content): content for name, content in contents.values()}
    named = {name: hashed_name(file, content) for name, (file, content) in contents.items()}
    files |= loaders
    named |= {name.removesuffix(".py"): name for name in loaders}
    manifest = {
        "model": model.name,
        "program": parts.program,
        "query": [name for name in ("vectors", "rows", "weights") if name in users],
        "item_tensors": list(parts.items),
        "ragged": ragged,
        "new_users": parts.new_users,
        "users": len(served),
        "items": model.num_items,
        "longest_list": longest,
        "widths": {
            name: max(int(np.diff(users[ends]).max(initial=1)), 1) for name, ends in ragged.items() if ends in users
        },
        "fitted_on": model.info.get("fitted_on"),
        "index": found or None,
        "versions": versions(),
        "tensors": {name: _tensors_of(contents[name][1]) for name in ("users", "items")},
        "files": {
            name: {"name": file, "bytes": len(files[file]), "sha256": hashlib.sha256(files[file]).hexdigest()}
            for name, file in named.items()
        },
    }
    write_folder(folder, files, manifest_bytes(manifest), old)
    left = model.num_users - len(served)
    notes = (f"{left:,} users without an interaction in the fitted part left out",) if left else ()
    return Exported(folder, manifest, notes)


def _sides_of(model: FittedModel) -> Sides:
    """The sides of a model; a blend that `auto` chose by itself has another remedy than one that was asked for."""
    try:
        return sides(model.scorer)
    except JaxrecError as error:
        if model.info.get("auto", {}).get("kept") != "blend":
            raise
        why = str(error).partition("; ")[0]
        raise JaxrecError(
            f"{why}; auto kept this blend, so fit again with blend=False, which keeps the best single model"
        ) from None


def _check_finite(parts: Sides) -> None:
    for side, tensors in (("users", parts.users), ("items", parts.items)):
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise JaxrecError(f"{name} of the {side} are not finite; check that training stayed finite")


def _chosen(tensors: Mapping[str, np.ndarray], users: np.ndarray) -> dict[str, np.ndarray]:
    """The user side of some users only."""
    if "vectors" in tensors:
        return {"vectors": np.ascontiguousarray(tensors["vectors"][users])}
    weights = tensors.get("weights", np.ones(len(tensors["rows"]), np.float32))
    return _ragged("rows", tensors["rows_indptr"], {"rows": tensors["rows"], "weights": weights}, users)


def _ragged(name: str, indptr: Any, values: Mapping[str, Any], users: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of different lengths, of some users only."""
    indptr = np.asarray(indptr)
    lengths = np.diff(indptr)
    kept = np.repeat(np.isin(np.arange(len(lengths)), users), lengths)
    ends = np.concatenate([[0], np.cumsum(lengths[users])]).astype(np.int32)
    return {f"{name}_indptr": ends, **{each: np.asarray(value)[: len(kept)][kept] for each, value in values.items()}}


def _ids(model: FittedModel, users: np.ndarray) -> bytes:
    items = model.items.ids.tolist()
    given = [""] * len(items) if model.titles is None else model.titles.tolist()
    titles = [title or str(item) for title, item in zip(given, items, strict=True)]
    document = {"users": model.users.ids[users].tolist(), "items": items, "titles": titles}
    return json.dumps(document).encode()


def _programs(parts: Sides, k: int, num_items: int) -> dict[str, tuple[str, bytes]]:
    from jaxrec.serving._programs import ranking_program, scoring_program

    return {
        "score": ("score.jaxexport", scoring_program(parts.program, num_items)),
        "top_k": ("top_k.jaxexport", ranking_program(k)),
    }


def _safetensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save(dict(tensors))


def _tensors_of(content: bytes) -> dict[str, dict[str, Any]]:
    """Where each tensor of a safetensors file lies, in the words of `numpy.ndarray`."""
    start = 8 + int.from_bytes(content[:8], "little")
    told = json.loads(content[8:start])
    kinds = {"F32": "<f4", "I32": "<i4"}
    return {
        name: {"dtype": kinds[one["dtype"]], "shape": one["shape"], "offset": start + one["data_offsets"][0]}
        for name, one in told.items()
    }


def _index(parts: Sides, users: np.ndarray) -> tuple[tuple[str, bytes], dict[str, Any]]:
    items = parts.items["vectors"]
    built = build_index(items)
    some = np.random.default_rng(0).permutation(users)[:RECALL_USERS]
    recall = recall_of(built, parts.users["vectors"][some], items)
    told = {"metric": "l2sq", "expansion_search": EXPANSION, "recall_users": len(some), **recall}
    return ("index.usearch", bytes(built.save())), told


def _loaders(index: bool) -> dict[str, bytes]:
    """The loaders by name; some import another by the name that it has in the folder."""
    out = {}
    for name in ("serve_numpy", "serve_jax", "serve_new", *(["serve_index"] if index else [])):
        text = (_HERE / f"_{name}.py").read_text(encoding="utf-8")
        text = text.replace("from jaxrec.serving import _serve_numpy as serve_numpy", "import serve_numpy")
        out[f"{name}.py"] = text.encode()
    return out
