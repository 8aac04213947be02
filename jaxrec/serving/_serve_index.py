"""Lists from an artifact of `jaxrec export --index`, found by its approximate index. Needs NumPy and usearch.

The index finds candidates, and these are ranked by their exact scores; manifest.json has the measured recall.
"""

import numpy as np
import usearch.index

from jaxrec.serving import _serve_numpy as serve_numpy


class Server(serve_numpy.Server):
    """Lists [(item, title, score), ...], the best first; some of the best items may be missing."""

    def __init__(self, folder):
        super().__init__(folder)
        index = usearch.index.Index.restore(self.read("index").tobytes())
        if index is None:
            raise ValueError(f"this version of usearch cannot read the index of {folder}; export the model again")
        self.index, self.least = index, self.manifest["index"]["expansion_search"]

    def rank(self, queries, hidden, k):
        for query, own in zip(queries, hidden, strict=True):
            wanted = min(max(k + len(own), self.least), len(self.ids["items"]))
            self.index.expansion_search = max(self.least, wanted)
            found = np.sort(self.index.search(np.append(query, np.float32(0)), wanted).keys.astype(np.int64))
            found = found[~np.isin(found, own)]
            scores = self.item["vectors"][found] @ query
            if not np.isfinite(scores).all():
                raise ValueError("scores are NaN or infinite and cannot be ranked; check that training stayed finite")
            best = np.argsort(-scores, kind="stable")[:k]
            yield found[best], scores[best]
