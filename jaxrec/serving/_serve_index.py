"""Lists from an artifact of `jaxrec export --index`, found by its approximate index. Needs NumPy and usearch.

The index finds candidates, and these are ranked by their exact scores; manifest.json has the measured recall.
"""

import numpy as np
import usearch.index

from jaxrec.serving import _serve_numpy as serve_numpy


class Server(serve_numpy.Server):
    """As the server of NumPy, in `serve_numpy.py` beside it; some of the best items may be missing."""

    def __init__(self, folder):
        super().__init__(folder)
        index = usearch.index.Index.restore(self.read("index"))
        if index is None:
            raise ValueError(f"this version of usearch cannot read the index of {folder}; export the model again")
        self.index = index

    def recommend(self, users, k=10, filter_seen=True):
        """The list of each user, {user: [(item, title, score), ...]}."""
        items, titles, lists = self.ids["items"], self.ids["titles"], {}
        serve_numpy.check(0 < k <= len(items), f"k is {k}; this artifact gives lists of 1 to {len(items):,} items")
        for user in users:
            known = str(user) in self.places
            serve_numpy.check(known, f"{user!r} is not among the {len(self.places):,} users of the artifact")
            at = self.places[str(user)]
            own = self.user["seen"][at][: None if filter_seen else 0]
            found, scores = self.nearest(self.user["vectors"][at], own, k)
            serve_numpy.check(np.isfinite(scores).all(), "scores are NaN or infinite and cannot be ranked")
            best = np.argsort(-scores, kind="stable")[:k].tolist()
            lists[self.ids["users"][at]] = [(items[found[i]], titles[found[i]], float(scores[i])) for i in best]
        return lists

    def nearest(self, query, hidden, k):
        """Candidates and their exact scores, without those that are hidden."""
        least = self.manifest["index"]["expansion_search"]
        wanted = min(max(k + len(hidden), least), len(self.ids["items"]))
        self.index.expansion_search = max(least, wanted)
        found = np.sort(self.index.search(np.append(query, np.float32(0)), wanted).keys.astype(np.int64))
        found = found[~np.isin(found, hidden)]
        return found, self.item["vectors"][found] @ query
