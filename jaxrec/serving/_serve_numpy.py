"""Lists from an artifact of `jaxrec export`. Needs NumPy alone: Server(folder).recommend(["ann"], k=10)."""

import numpy as np

from jaxrec.serving._artifact import Artifact


class Server(Artifact):
    """Lists [(item, title, score), ...], the best first, as `jaxrec.recommend` gives them."""

    def recommend(self, users, k=10, filter_seen=True):
        """The lists of users who have interactions in the data, {user: list}."""
        at = self.find("users", users)
        seen = [self.part("seen", user) if filter_seen else np.zeros(0, np.int32) for user in at]
        lists = self.lists([self.query(user) for user in at], seen, k)
        return {self.ids["users"][user]: found for user, found in zip(at, lists, strict=True)}

    def recommend_new(self, history, k=10):
        """The list of a user who is not in the data, by the items of `history`."""
        own = np.unique(np.array(self.find("items", history), np.int32))
        rows = {"history": own, "all": own[:1] * 0}.get(self.manifest["new_users"])
        if rows is None or not len(rows):
            raise ValueError(f"no list for a new user of {len(own)} items by the model {self.manifest['model']}")
        return self.lists([(rows, np.ones(len(rows), np.float32))], [own], k)[0]

    def part(self, name, user):
        return self.user[name][slice(*self.user[name.partition("_")[0] + "_indptr"][user : user + 2])]

    def query(self, user):
        """What the scores of a user are made of: a vector, or rows of a matrix and their weights."""
        if "vectors" in self.user:
            return self.user["vectors"][user]
        rows = self.part("rows", user)
        return rows, self.part("rows_weights", user) if "rows_weights" in self.user else np.ones(len(rows), np.float32)

    def rank(self, queries, hidden, k):
        for query, own in zip(queries, hidden, strict=True):
            scores = self.scores(query)
            scores[own] = -np.inf
            scores[np.abs(scores) < np.finfo(np.float32).tiny] = 0
            if not (scores < np.inf).all():
                raise ValueError("scores are NaN or infinite and cannot be ranked; check that training stayed finite")
            best = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
            best = best[np.argsort(-scores[best], kind="stable")][:k]  # stable: ties go to the item that comes first
            best = best[scores[best] > -np.inf]
            yield best, scores[best]

    def scores(self, query):
        if "vectors" in self.item:
            return self.item["vectors"] @ query
        rows, weights = query
        if "matrix" in self.item:
            return weights @ self.item["matrix"][rows]
        entries = [np.arange(*self.item["indptr"][row : row + 2]) for row in rows]
        weights, entries = np.repeat(weights, list(map(len, entries))), np.concatenate(entries)
        values = weights * self.item["values"][entries]
        return np.bincount(self.item["columns"][entries], values, len(self.ids["items"])).astype(np.float32)
