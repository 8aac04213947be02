"""An artifact of `jaxrec export`: its files, checked against their hashes, and its ids. Needs NumPy alone."""

import hashlib
import json
import pathlib

import numpy as np

HEAD = b'{"format": "jaxrec-artifact 1", "sha256": "%s",'  # the hash of the lines after this one
TYPES = {"F32": "<f4", "I32": "<i4"}


class Artifact:
    """A model as it was exported; `rank(queries, hidden, k)` of a subclass gives items and scores, the best first."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        head, _, body = (self.folder / "manifest.json").read_bytes().partition(b"\n")
        if head != HEAD % hashlib.sha256(body).hexdigest().encode():
            raise ValueError(f"{folder}/manifest.json is damaged or of another format; export the model again")
        self.manifest = json.loads(b"{" + body)
        self.ids = json.loads(self.read("ids").tobytes())
        self.places = {side: {str(one): at for at, one in enumerate(self.ids[side])} for side in ("users", "items")}
        self.user, self.item = tensors(self.read("users")), tensors(self.read("items"))
        self.longest_list = len(self.ids["items"])

    def read(self, name):
        told = self.manifest["files"][name]
        content = np.fromfile(self.folder / told["name"], np.uint8)
        if hashlib.sha256(content.data).hexdigest() != told["sha256"]:
            raise ValueError(f"{self.folder / told['name']} is damaged; export the model again")
        return content

    def find(self, side, names):
        if unknown := [name for name in names if str(name) not in self.places[side]]:
            raise ValueError(f"{unknown[0]!r} is not among the {len(self.ids[side]):,} {side} of the artifact")
        return [self.places[side][str(name)] for name in names]

    def rank(self, queries, hidden, k):
        """The k best items of each query and their scores; a loader says how."""
        raise NotImplementedError

    def lists(self, queries, hidden, k):
        if not 1 <= k <= self.longest_list:
            raise ValueError(f"k is {k}; this artifact gives lists of 1 to {self.longest_list:,} items")
        items, titles = self.ids["items"], self.ids["titles"]
        ranked = self.rank(queries, hidden, k)
        return [[(items[at], titles[at], float(score)) for at, score in zip(*one, strict=True)] for one in ranked]


def tensors(content):
    """The tensors of a safetensors file by name."""
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header, data = json.loads(content[8:start].tobytes()), content[start:]
    flat = {name: data[slice(*one["data_offsets"])].view(TYPES[one["dtype"]]) for name, one in header.items()}
    return {name: part.reshape(header[name]["shape"]) for name, part in flat.items()}
