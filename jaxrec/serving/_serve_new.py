"""Lists for users who are not in an artifact of `jaxrec export`. Needs serve_numpy.py beside it, and NumPy."""

import copy

import numpy as np

from jaxrec.serving import _serve_numpy as serve_numpy


class Server(serve_numpy.Server):
    """The server of NumPy, which also serves new users where the model does it by their items alone."""

    def recommend_new(self, history, k=10):
        """The list of a user who is not in the data, by the items of `history`."""
        places = {str(item): at for at, item in enumerate(self.ids["items"])}
        unknown = [item for item in history if str(item) not in places]
        serve_numpy.check(not unknown, f"{unknown[:1]} is not among the {len(places):,} items of the artifact")
        own = np.unique(np.array([places[str(item)] for item in history], np.int32))
        rows = {"history": own, "all": own[:1] * 0}.get(self.manifest["new_users"], own[:0])
        said = f"no list for a new user of {len(own)} items by the model {self.manifest['model']}"
        serve_numpy.check(len(rows) > 0, said)
        alone = copy.copy(self)
        alone.user = {"rows": [rows], "weights": [np.ones(len(rows), np.float32)], "seen": [own]}
        alone.ids, alone.places = {**self.ids, "users": ["new"]}, {"new": 0}
        return alone.recommend(["new"], k)["new"]
