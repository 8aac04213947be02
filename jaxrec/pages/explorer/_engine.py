"""From jobs to lists: ranking, re-ranking, distances and reasons, by programs of a few fixed shapes.

Every list goes through the program for few users, 64 places deep, whatever its length; a re-ranker chooses from these
64. So the answers are those of `jaxrec.recommend(..., rerank_depth=64)`, and no request compiles anything, but for the
first basket of over 64 items, and the first of over 128.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.api._new_users import NewHistories, lists_of_new_users
from jaxrec.errors import JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.metrics._diversity import intra_list_distance
from jaxrec.pages._evidence import interactions_of
from jaxrec.pages._lists import likeness, nearest
from jaxrec.pages.explorer._limits import Refused
from jaxrec.protocols import Reranker
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._item_vectors import ItemSpace, common_space
from jaxrec.ranking._reranking import MMR, GreedyDPP, rerank
from jaxrec.ranking._topk import FEW_USERS, SHORT_LIST, recommend_lists

RERANKERS = {"mmr": MMR, "dpp": GreedyDPP}
"""What the diversity slider may act through; both choose greedily, so a longer choice begins with a shorter one."""

_LISTS = 8  # in one call of a program
_ITEMS = 16  # whose similarities are computed in one call


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """One list of one run.

    Attributes:
      run: its label.
      user: the place of the user; None for a basket.
      history: the items of the user or the basket, int32 [h].
      k: places of the list.
      diversity: 0 for the order of the model, up to 1.
      reranker: a word of `RERANKERS`.
      among: bool [I], the items that may stand; None for all.
      filter_seen: whether the items of the user or the basket are left out.
      why: whether the reasons are asked for.
    """

    run: str
    user: int | None
    history: np.ndarray
    k: int
    diversity: float = 0.0
    reranker: str = "mmr"
    among: np.ndarray | None = None
    filter_seen: bool = True
    why: bool = False

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """What jobs of one call have in common: the run, the kind, and what may stand."""
        rule = None if self.among is None else self.among.tobytes()
        return self.run, self.user is None, self.filter_seen, rule

    @property
    def how(self) -> tuple[str, float] | None:
        """The re-ranker and the diversity; None for the order of the model."""
        return (self.reranker, self.diversity) if self.diversity > 0 else None

    @property
    def candidates(self) -> np.ndarray | None:
        """The items that may stand, int [n]; None for all."""
        return None if self.among is None else np.flatnonzero(self.among)


class Ranked(NamedTuple):
    """The list of a job.

    Attributes:
      items: int32 [n], n up to k, in the order shown.
      scores: float32 [n].
      distance: the mean Euclidean distance of two of the items, in the common space; None without a space.
      reasons: of each item up to two of the history, the nearest first; None where they were not asked for, or the
        model has no similarities.
      notes: sentences.
    """

    items: np.ndarray
    scores: np.ndarray
    distance: float | None
    reasons: list[np.ndarray] | None
    notes: tuple[str, ...]


class Engine:
    """The models, ready to rank; its methods are called by one thread.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v", "v", "w"], ["a", "b", "b", "c", "a"])
    >>> engine = Engine({"knn": jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0))})
    >>> engine.ranked([Job("knn", 0, np.array([0, 1]), k=1)])[0].items
    array([2], dtype=int32)
    """

    def __init__(self, models: Mapping[str, FittedModel]) -> None:
        self.models = {label: _on_device(model) for label, model in models.items()}
        self.spaces = {label: _space_of(model) for label, model in models.items()}
        self.space = next(iter(self.spaces.values()))  # of all distances, so that runs are compared
        self.fitted = {
            label: np.bincount(np.asarray(model.seen.items), minlength=model.num_items) > 0
            for label, model in models.items()
        }
        num_items = next(iter(models.values())).num_items
        self.width = min(SHORT_LIST, num_items)

    def warm(self) -> None:
        """Compile what requests need: lists of users and of baskets, both re-rankers, distances, similarities."""
        for label, model in self.models.items():
            users = np.flatnonzero(np.diff(model.seen.indptr) > 0)[:1]
            items = np.asarray(model.seen.items)[:1].astype(np.int32)
            for user in (int(users[0]), None) if len(users) else ():
                for word in RERANKERS:
                    job = Job(label, user, items, k=1, diversity=0.5, reranker=word, why=True)
                    self.answered([job])

    def answered(self, jobs: Sequence[Job]) -> list[Ranked | Refused]:
        """The lists of jobs with one key, or for each the sentence why there is none."""
        label = jobs[0].run
        told = [self._refusal(label, job) for job in jobs]
        possible = [job for job, refused in zip(jobs, told, strict=True) if refused is None]
        try:
            lists = iter(self.ranked(possible) if possible else [])
        except JaxrecError as error:  # of a model that serves no new users, say
            return [Refused(f"{label}: {error}")] * len(jobs)
        return [next(lists) if refused is None else refused for refused in told]

    def ranked(self, jobs: Sequence[Job]) -> list[Ranked]:
        """The lists of jobs with one key.

        Raises:
          JaxrecError: a model that cannot serve baskets, or scores that are not finite.
        """
        items, scores = self._by_scores(jobs)
        space = self.spaces[jobs[0].run]
        rows: dict[tuple[str, float], list[int]] = {}
        for at, job in enumerate(jobs):
            if job.how is not None:
                rows.setdefault(job.how, []).append(at)
        if space is not None:
            for (word, diversity), at in rows.items():
                how = RERANKERS[word](trade_off=1 - diversity)
                items[at], scores[at] = _chosen(items[at], scores[at], space, how)
        deep = np.arange(self.width)[None] < np.array([one.k for one in jobs])[:, None]
        items = np.where(deep, items, -1)
        distances = [None] * len(jobs) if self.space is None else _distances(items, self.space)
        kept = [row[row >= 0] for row in items]
        reasons = self._reasons(jobs, kept)
        return [
            Ranked(mine, row[: len(mine)], distance, why, self._notes(one, mine))
            for one, mine, row, distance, why in zip(jobs, kept, scores, distances, reasons, strict=True)
        ]

    def similar(self, label: str, item: int, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The k items most similar to one, with their similarities; None for a model without any."""
        rows = likeness(self.models[label], np.full(_ITEMS, item, np.int32))
        if rows is None:
            return None
        row = rows[0].copy()
        row[item] = -np.inf
        best = np.argsort(-row, kind="stable")[: min(k, len(row) - 1)]
        return best, row[best]

    def _by_scores(self, jobs: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        """Items and scores [n, width] in the order of the model, of so many jobs at a time as few users may be."""
        rank = self._of_baskets if jobs[0].user is None else self._of_users
        parts = [rank(jobs[start : start + FEW_USERS]) for start in range(0, len(jobs), FEW_USERS)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _of_users(self, jobs: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        job, model = jobs[0], self.models[jobs[0].run]
        users = np.array([one.user for one in jobs], np.int32)
        seen = model.seen if job.filter_seen else None
        return recommend_lists(model.scorer, users, self.width, seen=seen, candidates=job.candidates)

    def _of_baskets(self, jobs: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        job, model = jobs[0], self.models[jobs[0].run]
        given = NewHistories(tuple(range(len(jobs))), tuple(np.sort(one.history) for one in jobs), None, ())
        rule = CandidateRule(candidates=job.candidates)
        found = lists_of_new_users(
            model, given, self.width, mask=job.filter_seen, unknown="popular", rule=rule, memory_mb=256
        )
        rows = [found.lists[at] for at in given.names]
        return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])

    def _refusal(self, label: str, job: Job) -> Refused | None:
        model = self.models[label]
        if job.user is not None:
            if model.seen.indptr[job.user] == model.seen.indptr[job.user + 1]:
                name = model.users.ids[job.user].item()
                return Refused(f"user {name!r} has no interaction in the fitted part of {label}; ask by a history", 404)
            return None
        if not self.fitted[label][job.history].any():
            return Refused(f"no item of the history has an interaction in the fitted part of {label}; add one that has")
        return None

    def _notes(self, job: Job, items: np.ndarray) -> tuple[str, ...]:
        notes = []
        if len(items) < job.k:
            notes.append(f"{len(items)} items are left to recommend, fewer than k={job.k}")
        if job.user is None and (silent := int((~self.fitted[job.run][job.history]).sum())):
            what = "1 item of the history has" if silent == 1 else f"{silent} items of the history have"
            notes.append(f"{what} no interaction in the fitted part, and so no say")
        if job.diversity > 0 and self.spaces[job.run] is None:
            notes.append("the data are too few for a space of items, so diversity has no effect")
        return tuple(notes)

    def _reasons(self, jobs: Sequence[Job], lists: Sequence[np.ndarray]) -> list[list[np.ndarray] | None]:
        """Of each listed item the nearest items of the history, where a job asks for them."""
        asked = [items for job, items in zip(jobs, lists, strict=True) if job.why]
        if not asked or not any(map(len, asked)):
            return [[] if job.why else None for job in jobs]
        items, model = np.unique(np.concatenate(asked)), self.models[jobs[0].run]
        rows: dict[int, np.ndarray] = {}
        for start in range(0, len(items), _ITEMS):
            some = items[start : start + _ITEMS]
            found = likeness(model, np.pad(some, (0, _ITEMS - len(some))))
            if found is None:
                return [None] * len(jobs)
            rows |= zip(some.tolist(), found, strict=False)
        return [
            [_near(rows[item], job.history) for item in mine.tolist()] if job.why else None
            for job, mine in zip(jobs, lists, strict=True)
        ]


def _near(row: np.ndarray, history: np.ndarray) -> np.ndarray:
    places = nearest(row[history])
    return history[places[places >= 0]]


def _on_device(model: FittedModel) -> FittedModel:
    """The model with its scorer's arrays on the device, once for all requests."""
    put = jax.tree.map(lambda leaf: jax.device_put(leaf) if isinstance(leaf, np.ndarray) else leaf, model.scorer)
    return dataclasses.replace(model, scorer=put)


def _space_of(model: FittedModel) -> ItemSpace | None:
    """The space that `jaxrec.recommend` re-ranks in; None for data that are too small for one."""
    try:
        return common_space(interactions_of(model))
    except JaxrecError:
        return None


def _tiles(items: np.ndarray, space: ItemSpace) -> list[tuple[slice, np.ndarray, np.ndarray]]:
    """The rows of some lists [n, w], 8 at a time and padded: (which rows, items [8, w], vectors [8, w, d])."""
    tiles = []
    for start in range(0, len(items), _LISTS):
        rows = slice(start, min(start + _LISTS, len(items)))
        some = np.pad(items[rows], ((0, _LISTS - (rows.stop - start)), (0, 0)), constant_values=-1)
        tiles.append((rows, some, space.vectors[np.maximum(some, 0)]))
    return tiles


def _chosen(items: np.ndarray, scores: np.ndarray, space: ItemSpace, how: Reranker) -> tuple[np.ndarray, np.ndarray]:
    """Lists [n, w] in the order of a re-ranker, of which only the vectors of listed items are looked at."""
    out, values = items.copy(), scores.copy()
    for rows, some, vectors in _tiles(items, space):
        at = np.where(some >= 0, np.arange(some.size, dtype=np.int32).reshape(some.shape), -1)
        padded = np.pad(scores[rows], ((0, _LISTS - (rows.stop - rows.start)), (0, 0)))
        flat = vectors.reshape(some.size, -1)
        places, chosen = rerank(at, padded, flat, some.shape[1], how, users_per_tile=_LISTS)
        own = np.where(places >= 0, some.reshape(-1)[np.maximum(places, 0)], -1)
        out[rows], values[rows] = own[: rows.stop - rows.start], chosen[: rows.stop - rows.start]
    return out, values


def _distances(items: np.ndarray, space: ItemSpace) -> list[float]:
    """The intra-list distance of each list [n, w]; items without a vector do not count."""
    found: list[float] = []
    for rows, some, vectors in _tiles(items, space):
        counts = (some >= 0) & np.asarray(space.known)[np.maximum(some, 0)]
        values = np.asarray(_distance_of(vectors, counts))
        found += values[: rows.stop - rows.start].tolist()
    return found


@jax.jit
def _distance_of(vectors: jax.Array, where: jax.Array) -> jax.Array:
    return jax.vmap(lambda mine, counts: intra_list_distance(mine, counts))(jnp.asarray(vectors), where)
