"""Lists from an artifact of `jaxrec export`. Needs jax, flatbuffers and NumPy: Server(folder).recommend(["ann"], k=10).

The programs of the artifact are compiled at the first call, and again when a call is larger than any before.
"""

import jax
import jax.export
import numpy as np

from jaxrec.serving import _serve_numpy as serve_numpy

MOST = 256  # users in one call of the program


class Server(serve_numpy.Server):
    """Lists [(item, title, score), ...], the best first, as `jaxrec.recommend` gives them."""

    def __init__(self, folder):
        super().__init__(folder)
        score, top_k = (jax.export.deserialize(bytearray(self.read(name))).call for name in ("score", "top_k"))
        self.side = [jax.device_put(self.item[name]) for name in self.manifest["item_tensors"]]
        self.run = jax.jit(lambda query, hidden, side: top_k(score(*query, *side), hidden))
        self.longest_list, self.widths = self.manifest["longest_list"], dict(self.manifest["widths"])

    def rank(self, queries, hidden, k):
        for start in range(0, len(queries), MOST):
            part = queries[start : start + MOST]
            size = power(len(part))
            if "vectors" in self.user:
                query = [table(part, size, len(part[0]), 0)]
            else:
                rows, weights = zip(*part, strict=True)
                query = [table(each, size, self.width("rows", rows), 0) for each in (rows, weights)]
            own = hidden[start : start + MOST]
            found = self.run(query, table(own, size, self.width("hidden", own), len(self.ids["items"])), self.side)
            items, scores, invalid = (np.asarray(each)[: len(part)] for each in found)
            if invalid.any():
                raise ValueError("scores are NaN or infinite and cannot be ranked; check that training stayed finite")
            for row, values in zip(items[:, :k], scores[:, :k], strict=True):
                yield row[row >= 0], values[row >= 0]

    def width(self, name, parts):
        """One width for all calls, so that one program serves them, until a longer history comes."""
        self.widths[name] = power(max(self.widths[name], *map(len, parts)))
        return self.widths[name]


def power(number):
    """The least power of two that is not below a number."""
    return 1 << max(number - 1, 0).bit_length()


def table(parts, size, width, fill):
    """Rows of one width; what is left of each is filled."""
    out = np.full((size, width), fill, parts[0].dtype)
    for row, part in zip(out, parts, strict=False):
        row[: len(part)] = part
    return out
