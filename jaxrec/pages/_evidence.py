"""What the sections of a page share: the runs, the data, sampled users with their lists, popularity, categories."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.api._evaluate import default_space, evaluate
from jaxrec.api._lookup import title_of
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_K
from jaxrec.evaluation._training_statistics import Categories, category_table
from jaxrec.fitting._fitted import FittedModel
from jaxrec.progress import work
from jaxrec.ranking._checks import Lengths
from jaxrec.ranking._item_vectors import ItemSpace, common_space
from jaxrec.ranking._topk import recommend_lists
from jaxrec.reports._groups import popularity_groups
from jaxrec.reports._report import Report
from jaxrec.reports._values import split_value_name

METRICS = ("recall", "precision", "ndcg", "average_popularity")
"""What a page asks of an evaluation, beside distances and coverage, which every report has."""

_MOST_LABELS = 60  # a column with more distinct labels is a name or a number, and no category


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """A run of a page: a fitted model, what was measured of it, and what is known of how it came about.

    Attributes:
      model: the fitted or restored model.
      report: of the test part; None where nothing was measured.
      figures: what `metrics.json` of its run folder says; empty for none.
      command: that repeats the run; "" where it is not known.
      folder: of the run; "" for none.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> Entry(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))).report is None
    True
    """

    model: FittedModel
    report: Report | None = None
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""
    folder: str = ""

    @property
    def stored_seeds(self) -> Mapping[str, Mapping[str, Any]]:
        """The spread over seeds of each value, as the run folder has it."""
        seeds = self.figures.get("seeds")
        test = seeds.get("test") if isinstance(seeds, Mapping) else None
        return test.get("seeds", {}) if isinstance(test, Mapping) else {}


def measured(
    models: Mapping[str, FittedModel], split: Split, *, k: Lengths = DEFAULT_K, memory_mb: int = 256
) -> dict[str, Entry]:
    """Evaluate several models on the test part for a page: the same judgments, item space and groups for all.

    Args:
      models: label to a fitted or restored model.
      split: that all of them were fitted on.
      k: lengths of the lists.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.

    Returns:
      Label to entry, with recall, precision, nDCG, average popularity, distance and coverage, and with recall and
      exposure of the head and the tail of the items.

    Raises:
      JaxrecError: see `jaxrec.evaluate`.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> model = jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))
    >>> measured({"knn": model}, split, k=2)["knn"].report.names[:2]
    ('recall@2', 'precision@2')
    """
    space = default_space(split)
    groups = popularity_groups(split.fitted)
    how: dict[str, Any] = {"k": k, "metrics": METRICS, "space": space, "item_groups": groups, "memory_mb": memory_mb}
    with warnings.catch_warnings():
        # The page has an alert for it.
        warnings.filterwarnings("ignore", message=".*have one score from first to last", category=UserWarning)
        return {label: Entry(model, evaluate(model, split, **how)) for label, model in models.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What the sections of a page are made of; `gather` makes it.

    Attributes:
      entries: label to run, in order.
      split: the data in their parts; None where they were not found.
      history: the items of each user that the lists leave out.
      relevant: the test items of each user; None without a split.
      users: int32 [n], the users whose lists are shown.
      lists: label to int32 [n, k], best first, -1 for padding.
      scores: label to float32 [n, k], those of the listed items.
      popularity: int64 [I], the fitted interactions of each item.
      categories: (labels, table [I, C]), or None.
      k: length of the lists.
      main: the name of the value that runs are ordered by, such as "ndcg@10".
      sampled_users: whether `users` are a sample.
      most_items: how many items a list of all items may have.
      seed: of the samples.
    """

    entries: Mapping[str, Entry]
    split: Split | None
    history: SeenItems
    relevant: SeenItems | None
    users: np.ndarray
    lists: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    popularity: np.ndarray
    categories: tuple[tuple[str, ...], np.ndarray] | None
    k: int
    main: str
    sampled_users: bool
    most_items: int
    seed: int

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the runs."""
        return tuple(self.entries)

    @property
    def first(self) -> FittedModel:
        """The model of the first run, whose catalog is that of all."""
        return next(iter(self.entries.values())).model

    @property
    def reports(self) -> dict[str, Report]:
        """The reports of the runs that were measured."""
        return {label: entry.report for label, entry in self.entries.items() if entry.report is not None}

    @functools.cached_property
    def titles(self) -> list[str]:
        """The title of each item, or its id."""
        return [title_of(self.first, item) for item in range(self.first.num_items)]

    @functools.cached_property
    def fitted(self) -> Interactions:
        """What the models were fitted on; without a split made of the seen items, without times and ratings."""
        if self.split is not None:
            return self.split.fitted
        return interactions_of(self.first)

    @functools.cached_property
    def space(self) -> ItemSpace | None:
        """The common item space; None for data that are too small for one."""
        try:
            return common_space(self.split.train if self.split is not None else self.fitted)
        except JaxrecError:
            return None


def interactions_of(model: FittedModel) -> Interactions:
    """The pairs that a model was fitted on, from the items that it knows of each user."""
    seen = SeenItems(np.asarray(model.seen.indptr), np.asarray(model.seen.items))
    user = np.repeat(np.arange(seen.num_users, dtype=np.int32), np.diff(seen.indptr))
    columns = dict(model.item_columns)
    return Interactions(
        user, np.asarray(seen.items), model.users, model.items, titles=model.titles, item_columns=columns
    )


def gather(
    entries: Mapping[str, Entry],
    split: Split | None,
    *,
    k: int,
    main: str | None,
    item_categories: Categories | None,
    most_users: int,
    most_items: int,
    seed: int,
    memory_mb: int = 256,
) -> Evidence:
    """Make what the sections share, with the lists of the users that are shown.

    Args:
      entries: label to run.
      split: of the data, or None.
      k: length of the lists, cut to the number of items.
      main: see `Evidence`; by default nDCG at the shortest length that was measured.
      item_categories: see `category_table`; None takes the item column with the fewest labels, if there is one.
      most_users: how many users are shown; more are sampled.
      most_items: see `Evidence`.
      seed: of the samples.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.

    Raises:
      JaxrecError: no entry, or a model that predicts ratings.
      MismatchError: models of other users or items.
    """
    models = models_of(entries, "a report")
    first = next(iter(models.values()))
    if split is not None:
        first.check_catalogue(split.train, "the split")
    shown = [] if split is None or split.fold_in is None else [split.fold_in]
    history = (
        SeenItems(np.asarray(first.seen.indptr), np.asarray(first.seen.items))
        if split is None
        else seen_items(split.fitted, *shown)
    )
    relevant = None if split is None else seen_items(split.test)
    reports = {label: entry.report for label, entry in entries.items() if entry.report is not None}
    main = main or _main(reports)
    users, sampled = _users(history, relevant, reports, main, most_users, seed)
    k = min(k, first.num_items)
    how: dict[str, Any] = {"seen": history, "memory_mb": memory_mb}
    # As deep as what was measured, so that the programs that measured it serve again.
    depth = max([k, *(cut for report in reports.values() for cut in _lengths(report) if cut <= first.num_items)])
    ranked = {}
    with work("", len(models)):
        for label, model in models.items():
            with work(label, share=1):
                ranked[label] = recommend_lists(model.scorer, users, depth, **how)
    lists = {label: items[:, :k] for label, (items, _) in ranked.items()}
    scores = {label: values[:, :k] for label, (_, values) in ranked.items()}
    data = interactions_of(first) if split is None else split.fitted
    return Evidence(
        entries=entries,
        split=split,
        history=history,
        relevant=relevant,
        users=users,
        lists=lists,
        scores=scores,
        popularity=np.bincount(data.item, minlength=data.num_items),
        categories=categories_of(data, item_categories),
        k=k,
        main=main,
        sampled_users=sampled,
        most_items=most_items,
        seed=seed,
    )


def models_of(entries: Mapping[str, Entry], what: str) -> dict[str, FittedModel]:
    """The models of a page by their labels, once they rank and have the same users and items.

    Args:
      entries: label to run.
      what: they are for, for messages.

    Raises:
      JaxrecError: no entry, or a model that predicts ratings.
      MismatchError: models of other users or items.

    >>> models_of({}, "a report")
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: entries is empty; pass at least one run
    """
    if not entries:
        raise JaxrecError("entries is empty; pass at least one run")
    models = {label: entry.model for label, entry in entries.items()}
    first = next(iter(models.values()))
    for label, model in models.items():
        if model.info.get("task") == "rating":
            raise JaxrecError(f"{label!r} predicts ratings, and {what} is for models that rank; leave it out")
        same = np.array_equal(model.users.ids, first.users.ids) and np.array_equal(model.items.ids, first.items.ids)
        if not same:
            other = next(iter(models))
            raise MismatchError(f"{label!r} has other users or items than {other!r}; fit both with the same data")
    return models


def served(reports: Mapping[str, Report], name: str) -> tuple[np.ndarray, np.ndarray]:
    """How well each user is served: the mean over runs of a value, as (users [n], values [n]); NaN is left out."""
    some = [report for report in reports.values() if name in report.per_user]
    if not some:
        return np.zeros(0, np.int32), np.zeros(0)
    users = some[0].users
    values = np.mean([report.values(name, users) for report in some], axis=0)
    defined = ~np.isnan(values)
    return users[defined], values[defined]


def extremes(values: np.ndarray, sizes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the best and of the worst served users, the most extreme first; of equal ones the larger.

    Args:
      values: float [n], how well each user is served.
      sizes: int [n], how many test items each has.
      count: of users at each end; nobody is at both.

    >>> best, worst = extremes(np.array([0.5, 0.0, 0.0, 0.0]), np.array([1, 1, 9, 2]), 2)
    >>> best.tolist(), worst.tolist()
    ([0, 2], [3, 1])
    """
    best = np.lexsort((-sizes, -values))[:count]
    rest = np.lexsort((-sizes, values))
    worst = rest[~np.isin(rest, best)][:count]
    return best, worst


def _users(
    history: SeenItems,
    relevant: SeenItems | None,
    reports: Mapping[str, Report],
    main: str,
    most: int,
    seed: int,
) -> tuple[np.ndarray, bool]:
    """The users that are shown: those with a history, and with a test item where there are any; of many a sample."""
    has = np.diff(history.indptr) > 0
    if relevant is not None and (np.diff(relevant.indptr) > 0).any():
        has &= np.diff(relevant.indptr) > 0
    users = np.flatnonzero(has).astype(np.int32)
    if len(users) <= most:
        return users, False
    who, values = served(reports, main)
    kept = np.zeros(0, np.int32)
    if len(who):
        best, worst = extremes(values, _sizes(relevant, who), min(10, most // 4))
        kept = np.intersect1d(who[np.concatenate([best, worst])], users)
    rest = np.setdiff1d(users, kept)
    chosen = np.random.default_rng(seed).choice(rest, max(most - len(kept), 0), replace=False)
    return np.sort(np.concatenate([kept, chosen])).astype(np.int32), True


def _sizes(relevant: SeenItems | None, users: np.ndarray) -> np.ndarray:
    """How many test items users have."""
    return np.zeros(len(users), int) if relevant is None else np.diff(relevant.indptr)[users]


def _lengths(report: Report) -> list[int]:
    return [k for name in report.names if (k := split_value_name(name).k) is not None]


def _main(reports: Mapping[str, Report]) -> str:
    names = next(iter(reports.values())).per_user if reports else ()
    return next((name for name in names if name.startswith("ndcg@") and "[" not in name), next(iter(names), "ndcg@10"))


def categories_of(data: Interactions, asked: Categories | None) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Labels and a table bool [I, C] of the categories that are asked for; None takes the column with the fewest.

    >>> data = Interactions.from_arrays([0, 0], [5, 6], item_columns={"genre": {5: "war", 6: "war|drama"}})
    >>> categories_of(data, None)[0]
    ('drama', 'war')
    """
    if asked is not None:
        matrix, names = category_table(asked, data)
        return tuple(map(str, names or range(matrix.shape[1]))), matrix
    found: list[tuple[tuple[str, ...], np.ndarray]] = []
    for name, column in data.item_columns.items():
        if column.dtype.kind not in "UO" or not all(isinstance(one, str) for one in column.tolist()):
            continue
        if len(np.unique(column.astype(str))) < 2:
            continue
        matrix, labels = category_table(name, data)
        if labels is not None and 2 <= len(labels) <= _MOST_LABELS:
            found.append((labels, matrix))
    return min(found, key=lambda one: len(one[0]), default=None)


def ordered_histories(data: Interactions, users: np.ndarray) -> list[np.ndarray]:
    """The items of some users, the latest first where there are times, otherwise by item; each item once.

    Args:
      data: interactions.
      users: int [n].

    >>> data = Interactions.from_arrays([0, 0, 1], [5, 6, 6], timestamp=[1, 2, 3])
    >>> [one.tolist() for one in ordered_histories(data, np.array([0, 1]))]
    [[1, 0], [1]]
    """
    place = np.full(data.num_users, -1)
    place[users] = np.arange(len(users))
    rows = np.flatnonzero(place[data.user] >= 0)
    time = np.zeros(len(rows), np.int64) if data.timestamp is None else -data.timestamp[rows]
    rows = rows[np.lexsort((data.item[rows], time, place[data.user[rows]]))]
    owner, item = place[data.user[rows]], data.item[rows]
    ends = np.searchsorted(owner, np.arange(len(users) + 1))
    return [_once(item[a:b]) for a, b in itertools.pairwise(ends)]


def _once(items: np.ndarray) -> np.ndarray:
    _, at = np.unique(items, return_index=True)
    return items[np.sort(at)]


def labels_of(sequence: Sequence[str]) -> str:
    """Labels in a sentence: a, b and c.

    >>> labels_of(["a"]), labels_of(["a", "b"]), labels_of(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *before, last = sequence
    return f"{', '.join(before)} and {last}" if before else last
