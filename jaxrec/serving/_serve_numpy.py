"""Lists from an artifact of `jaxrec export`. Needs NumPy alone: Server(folder).recommend(["ann"], k=10)."""

import hashlib
import json
import pathlib

import numpy as np


def check(holds, message):
    if not holds:
        raise ValueError(message)


class Server:
    def __init__(self, folder):
        head, _, body = pathlib.Path(folder, "manifest.json").read_bytes().partition(b"\n")
        known = b'{"format": "jaxrec-artifact 1", "sha256": "%s",' % hashlib.sha256(body).hexdigest().encode()
        check(head == known, f"{folder}/manifest.json is damaged or of another format; export the model again")
        self.folder, self.manifest = folder, json.loads(b"{" + body)
        self.ids, self.user, self.item = json.loads(self.read("ids")), self.tensors("users"), self.tensors("items")
        self.places = {str(user): at for at, user in enumerate(self.ids["users"])}

    def read(self, name):
        told = self.manifest["files"][name]
        content = pathlib.Path(self.folder, told["name"]).read_bytes()
        check(hashlib.sha256(content).hexdigest() == told["sha256"], f"{told['name']} is damaged; export it again")
        return content

    def tensors(self, side):
        content, ragged = self.read(side), self.manifest["ragged"]
        flat = {name: np.ndarray(buffer=content, **told) for name, told in self.manifest["tensors"][side].items()}
        return {name: np.split(x, flat[ragged[name]][1:-1]) if name in ragged else x for name, x in flat.items()}

    def recommend(self, users, k=10, filter_seen=True):
        """The list of each user, {user: [(item, title, score), ...]}, as `jaxrec.recommend` gives it."""
        items, titles, lists = self.ids["items"], self.ids["titles"], {}
        check(0 < k <= len(items), f"k is {k}; this artifact gives lists of 1 to {len(items):,} items")
        for user in users:
            check(str(user) in self.places, f"{user!r} is not among the {len(self.places):,} users of the artifact")
            at = self.places[str(user)]
            scores = self.scores(at)
            scores[self.user["seen"][at][: None if filter_seen else 0]] = -np.inf
            scores[np.abs(scores) < np.finfo(np.float32).tiny] = 0
            check((scores < np.inf).all(), "scores are NaN or infinite and cannot be ranked")
            best = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
            best = best[np.argsort(-scores[best], kind="stable")][:k]  # stable: ties go to the item that comes first
            best = [int(i) for i in best if scores[i] > -np.inf]
            lists[self.ids["users"][at]] = [(items[i], titles[i], float(scores[i])) for i in best]
        return lists

    def scores(self, user):
        if "vectors" in self.item:
            return self.item["vectors"] @ self.user["vectors"][user]
        scores, columns = np.zeros(len(self.ids["items"]), np.float32), self.item.get("columns")
        for row, weight in zip(self.user["rows"][user], self.user["weights"][user], strict=True):
            scores[slice(None) if columns is None else columns[row]] += weight * self.item["values"][row]
        return scores
