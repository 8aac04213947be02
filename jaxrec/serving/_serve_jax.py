"""Lists from an artifact of `jaxrec export`. Needs jax, flatbuffers, NumPy: Server(folder).recommend(["ann"], k=10)."""

import hashlib
import json
import pathlib

import jax.export
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
        score, top_k = (jax.export.deserialize(bytearray(self.read(name))).call for name in ("score", "top_k"))
        self.run = jax.jit(lambda query, hidden, side: top_k(score(*query, *side), hidden))
        self.side = [jax.device_put(self.item[name]) for name in self.manifest["item_tensors"]]

    def read(self, name):
        told = self.manifest["files"][name]
        content = pathlib.Path(self.folder, told["name"]).read_bytes()
        check(hashlib.sha256(content).hexdigest() == told["sha256"], f"{told['name']} is damaged; export it again")
        return content

    def tensors(self, side):
        content = self.read(side)
        return {name: np.ndarray(buffer=content, **told) for name, told in self.manifest["tensors"][side].items()}

    def recommend(self, users, k=10, filter_seen=True):
        """The list of each user, {user: [(item, title, score), ...]}, as `jaxrec.recommend` gives it."""
        longest, unknown = self.manifest["longest_list"], [user for user in users if str(user) not in self.places]
        check(0 < k <= longest, f"k is {k}; this artifact gives lists of 1 to {longest:,} items")
        check(not unknown, f"{unknown[:1]} is not among the {len(self.places):,} users of the artifact")
        names, items, titles, lists = *self.ids.values(), {}
        for start in range(0, len(users), 256):
            part = [self.places[str(user)] for user in users[start : start + 256]]
            padded = np.resize(part, 1 << (len(part) - 1).bit_length())  # repeats users: few sizes, few programs
            query = [self.rows(name, padded, 0) for name in self.manifest["query"]]
            hidden = self.rows("seen", padded, len(items), wanted=filter_seen)
            ranked, scores, invalid = jax.device_get(self.run(query, hidden, self.side))
            check(not invalid.any(), "scores are NaN or infinite and cannot be ranked")
            for user, row, values in zip(part, ranked[:, :k].tolist(), scores.tolist(), strict=False):
                lists[names[user]] = [(items[i], titles[i], x) for i, x in zip(row, values, strict=False) if i >= 0]
        return lists

    def rows(self, name, users, fill, wanted=True):
        if name not in self.manifest["ragged"]:
            return self.user[name][users]
        ends = self.user[self.manifest["ragged"][name]]
        places = ends[users, None] + np.arange(self.manifest["widths"][name])  # one width for all, so one program
        return np.where(places < ends[users + 1, None] * wanted, self.user[name].take(places, mode="clip"), fill)
