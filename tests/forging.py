"""Run folders changed as a forger would change them: all hashes fit."""

import hashlib
import io
import json

import numpy as np

from jaxrec.fitting._document import digest_of


def arrays_file(folder):
    """The one file with arrays."""
    (path,) = folder.glob("arrays*.npz")
    return path


def read(folder):
    """What `model.json` says."""
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def edit(folder, **entries):
    """Change entries of `model.json`."""
    document = read(folder) | entries
    if document["format_version"] > 2:
        document["sha256"] = digest_of(document)
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")


def put_arrays(folder, content):
    """Put other bytes in place of the arrays."""
    digest = hashlib.sha256(content).hexdigest()
    arrays_file(folder).unlink()
    old = read(folder)["format_version"] < 3
    (folder / ("arrays.npz" if old else f"arrays-{digest[:16]}.npz")).write_bytes(content)
    edit(folder, arrays_sha256=digest)


def rewrite(folder, change):
    """Change the arrays: `change` gets them by name; what the description states of them stays."""
    with np.load(arrays_file(folder)) as archive:
        arrays = dict(archive)
    change(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    put_arrays(folder, buffer.getvalue())


def restate(folder, change):
    """Change the arrays, and what the description states of their dtypes and shapes."""
    rewrite(folder, change)
    with np.load(arrays_file(folder)) as archive:
        arrays = dict(archive)

    def stated(part):
        if isinstance(part, list):
            return [stated(each) for each in part]
        if not isinstance(part, dict):
            return part
        if part.get("kind") == "array":
            array = arrays[part["path"]]
            return {**part, "dtype": array.dtype.str, "shape": list(array.shape)}
        return {key: stated(each) for key, each in part.items()}

    edit(folder, **stated(read(folder)))
