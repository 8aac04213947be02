"""`evaluate_rankings`: the metrics of ranked lists that some other system has made, from memory or from a file."""

from __future__ import annotations

import json
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrec.api.evaluate import METRICS
from jaxrec.api.recommend import Recommendations
from jaxrec.data.columns import find_columns
from jaxrec.data.frames import from_frame
from jaxrec.data.ids import IdMap, as_ids, factorize
from jaxrec.data.interactions import Interactions
from jaxrec.data.readers import read
from jaxrec.data.seen import seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError, UnknownIdError
from jaxrec.evaluation.beyond import training_facts
from jaxrec.evaluation.item_space import ItemSpace, feature_space
from jaxrec.evaluation.labels import Groups, as_groups
from jaxrec.evaluation.measure import measure_lists
from jaxrec.evaluation.metric_names import Metrics, check_needs, ranking_depth, split_metrics
from jaxrec.evaluation.report import Report
from jaxrec.evaluation.topk import recommend_lists
from jaxrec.metrics.diversity import Distance, check_distance
from jaxrec.models.scorers import PopularityScorer

Known = Interactions | str | os.PathLike[str] | Any
"""Interactions, a file that `jaxrec.read` reads, a frame, or (users [E], items [E]) of ids, and ratings [E] if any."""


class Rows(NamedTuple):
    """Lists as rows of ids: E users, E items, and what orders the rows of a user (ascending), or None for their order.

    Ties are looked for in `score`, float64 [E], where the caller gave it; otherwise in `order`.

    >>> Rows(np.array([7]), np.array([3]), None).order is None
    True
    """

    user: np.ndarray
    item: np.ndarray
    order: np.ndarray | None
    score: np.ndarray | None = None


def evaluate_rankings(
    recommendations: Any,
    truth: Known,
    *,
    train: Known | None = None,
    k: int | Sequence[int] = (10, 20),
    metrics: Metrics = METRICS,
    item_features: ItemSpace | Mapping[Any, Sequence[float]] | Any | None = None,
    distance: Distance = "euclidean",
    item_groups: Groups | Mapping[Any, Any] | Sequence[Any] | np.ndarray | None = None,
    memory_mb: float = 256,
) -> Report:
    """Measure ranked lists of any system against what users chose: the metrics of `jaxrec.evaluate`, the same code.

    Every user of the truth counts: one without a list has 0 everywhere, and is counted as `users_without_list`. Lists
    of users without truth are left out and counted as `lists_without_test_items`. The lists are taken as they are: an
    item that the user had in training keeps its place, and is counted as `listed_training_pairs`, since most protocols
    leave such items out. Lists longer than the largest k are cut, except for "r_precision", where the list of a user
    counts to the number of their items in truth; one that is shorter misses the rest, and is counted as
    `short_lists_r_precision`. The catalogue is what occurs in train and truth.

    Where scores or ranks are given, `lists_with_ties` counts the lists in which two neighbours have the same one within
    the largest k, the last place and the one after it included, and `tied_lists` those that have one from first to
    last. There the order of the catalogue decides, not the system.

    Args:
      recommendations: one of
        `jaxrec.Recommendations`;
        a mapping from a user to their items, the best first;
        a pair (users [n], lists [n] of items), for example an array [n, K];
        a frame with a user and an item column and `rank` (1 is best) or `score` (high is best), or rows in order;
        a file: `.json` with such a mapping or as `jaxrec recommend --out` writes it, Parquet, or delimited text with
        such columns (without a header a third column is the score).
        Equal scores are ordered by the place of the item in the catalogue, which is ascending ids, as in `evaluate`.
      truth: what the users chose later.
      train: what the systems were trained on; it says which items are untrained (`recall_known@k`). Without it all
        items count as trained.
      k: lengths of the lists.
      metrics: names as for `jaxrec.evaluate` except auc and those of categories, or functions by name. What needs
        popularity needs train; "serendipity" ranks the items that the user has not in train. Graded metrics take the
        ratings in truth as gains.
      item_features: where distances within lists are measured: a mapping from an item to its vector, a frame with an
        item column and numbers, or an `ItemSpace` over the catalogue of a split whose parts truth and train are.
        Items without features have no vector. None measures no distance.
      distance: "euclidean" or "cosine", or a function `(x [r], y [r]) -> number []` of the vectors of two items.
      item_groups: as in `jaxrec.evaluate`; an array has one label for each item of train and truth, in the order of
        their ids.
      memory_mb: the most that measuring may take, in MiB.

    Returns:
      The report; `per_user` has one value for each user of the truth, and `to_frame(ids)` gives them as a frame.

    Raises:
      DataError: an item that is twice in the list of a user, a score that is not finite, an empty truth or file, a
        negative rating where a metric takes ratings as gains.
      UnknownIdError: an item that is in neither train nor truth.
      MismatchError: an item space of another catalogue, an item without a group.
      JaxrecError: a k below 1 or above the number of items or not whole, an unknown metric or distance, a metric that
        needs what is not there, a function that gives a distance that is not finite, a form that is not known.

    Warns:
      UserWarning: more than half of the lists have one score from first to last.

    >>> report = evaluate_rankings({"ann": [3, 1], "bob": [2]}, (["ann", "bob", "eve"], [1, 2, 3]), k=(1, 2))
    >>> round(report.mean("recall@1"), 3), round(report.mean("recall@2"), 3)
    (0.333, 0.667)
    >>> report.counts["users_without_list"]
    1
    """
    known, trained, space = _interactions(truth, "truth"), None, None
    if not len(known):
        raise DataError("truth has no interaction; there is nothing to measure")
    rows = _rows(recommendations)
    if train is not None:
        known, trained = _one_catalogue(known, _interactions(train, "train"))
    cutoffs = _cutoffs(k, known.num_items)
    check_distance(distance)
    if item_features is not None:
        space = _space(item_features, known.items)
    groups = None if item_groups is None else as_groups(item_groups, known.items.ids, known.num_items, "item")
    functions, beyond = split_metrics(metrics)
    facts = None if trained is None else training_facts(trained)
    check_needs(beyond, known, facts, scores=False)
    relevant = seen_items(known)
    users = np.flatnonzero(np.diff(relevant.indptr)).astype(np.int32)
    depth = ranking_depth(beyond, np.diff(relevant.indptr), cutoffs[-1])
    lists, counts = _as_lists(rows, known, users, depth)
    if 2 * counts.get("tied_lists", 0) > len(users):
        warnings.warn(
            f"{counts['tied_lists']:,} of {len(users):,} lists have one score from first to last: the system does not "
            "tell items apart, and the order of their ids decides; these figures say nothing about it",
            UserWarning,
            stacklevel=2,
        )
    untrained = np.ones(known.num_items, bool)
    if trained is not None:
        untrained = np.bincount(trained.item, minlength=known.num_items) == 0
        counts["listed_training_pairs"] = _in_training(lists[:, : cutoffs[-1]], users, trained)
    popular = None
    if "serendipity" in beyond and facts is not None and trained is not None:
        popularity = PopularityScorer(jnp.asarray(facts.popularity, jnp.float32), num_users=known.num_users)
        popular, _ = recommend_lists(popularity, users, cutoffs[-1], seen=seen_items(trained), memory_mb=memory_mb)
    report = measure_lists(
        lists,
        users,
        known,
        trained=np.ones(known.num_items, bool) if trained is None else ~untrained,
        cutoffs=cutoffs,
        functions=functions,
        beyond=beyond,
        facts=facts,
        popular=popular,
        item_groups=groups,
        space=space,
        distance=distance,
        memory_mb=memory_mb,
    )
    return Report(
        users=report.users,
        per_user=report.per_user,
        overall=report.overall,
        counts={**report.counts, **counts},
        seconds=report.seconds,
        masked="nothing: the lists are measured as they are",
        fitted="not known: the lists come from elsewhere",
        catalogue=report.catalogue + (" of truth" if trained is None else " of train and truth"),
        space=report.space,
        user_ids=known.users.ids[users],
    )


def _cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    given = tuple(k) if isinstance(k, Iterable) else (k,)
    whole = all(isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in given)
    if not given or not whole or not 1 <= min(given) <= max(given) <= num_items:
        raise JaxrecError(
            f"k must lie in 1..{num_items}, the number of items in train and truth, and be whole, got {k}"
        )
    return tuple(sorted({int(one) for one in given}))


def _as_lists(
    rows: Rows, truth: Interactions, users: np.ndarray, depth: int
) -> tuple[np.ndarray, dict[str, int | float]]:
    """The lists int32 [n, depth] of the users [n] of the truth, and what was counted."""
    user_ids, user = factorize(rows.user)
    place = np.full(truth.num_users, -1, np.int32)
    place[users] = np.arange(len(users), dtype=np.int32)
    found = np.array([truth.users.find(one) for one in user_ids.tolist()], np.int32)
    at = np.where(found >= 0, place[np.maximum(found, 0)], -1)  # for each user of the lists, the row of the truth
    item_ids, item = factorize(rows.item)
    known = np.array([truth.items.find(one) for one in item_ids.tolist()], np.int32)
    if (known < 0).any():
        missing = item_ids[known < 0]
        raise UnknownIdError(
            f"recommendations: {len(missing):,} of {len(item_ids):,} items, such as {missing[0].item()!r}, are in "
            "neither train nor truth; pass the training part as train, and ids of the same kind"
        )
    item = known[item] if len(item) else item
    codes = user.astype(np.int64) * truth.num_items + item
    _, first, how_often = np.unique(codes, return_index=True, return_counts=True)
    if (how_often > 1).any():
        row = first[how_often > 1][0]
        raise DataError(
            f"recommendations: {int((how_often > 1).sum()):,} items are twice in a list, such as item "
            f"{rows.item[row].item()!r} of user {rows.user[row].item()!r}; keep the better place of each"
        )
    keys = (user,) if rows.order is None else (item, rows.order, user)
    order = np.lexsort(keys)  # stable
    user, item = user[order], item[order]
    sizes = np.bincount(user, minlength=len(user_ids))
    rank = np.arange(len(user)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keep = (rank < depth) & (at[user] >= 0) if len(user) else np.zeros(0, bool)
    lists = np.full((len(users), depth), -1, np.int32)
    lists[at[user[keep]], rank[keep]] = item[keep]
    counts: dict[str, int | float] = {
        "users_without_list": int((lists[:, 0] < 0).sum()),
        "lists_without_test_items": int((at < 0).sum()),
    }
    score = rows.order if rows.score is None else rows.score
    if score is not None:
        counts |= _ties(user, rank, score[order], at, depth)
    return lists, counts


def _ties(user: np.ndarray, rank: np.ndarray, score: np.ndarray, at: np.ndarray, depth: int) -> dict[str, int]:
    """Counts of lists with equal scores, from rows that are sorted by user and rank."""
    measured = at >= 0
    equal = (user[1:] == user[:-1]) & (score[1:] == score[:-1])
    lists = len(measured)
    ties = np.bincount(user[1:][equal & (rank[:-1] < depth)], minlength=lists)
    within = np.bincount(user[1:][equal], minlength=lists)
    sizes = np.bincount(user, minlength=lists)
    return {
        "tied_lists": int((measured & (sizes > 1) & (within == sizes - 1)).sum()),
        "lists_with_ties": int((measured & (ties > 0)).sum()),
    }


def _in_training(lists: np.ndarray, users: np.ndarray, train: Interactions) -> int:
    listed = (users[:, None].astype(np.int64) * train.num_items + lists)[lists >= 0]
    return int(np.isin(listed, train.user.astype(np.int64) * train.num_items + train.item).sum())


def _interactions(known: Known, name: str) -> Interactions:
    if isinstance(known, Interactions):
        return known
    if isinstance(known, (str, os.PathLike)):
        return read(known, items=None)
    if hasattr(known, "columns"):
        return from_frame(known)
    if isinstance(known, (tuple, list)) and len(known) in (2, 3):
        return Interactions.from_arrays(*known)
    raise JaxrecError(
        f"{name} must be interactions, a file, a frame, (users, items) or (users, items, ratings), got "
        f"{type(known).__name__}"
    )


def _one_catalogue(truth: Interactions, train: Interactions) -> tuple[Interactions, Interactions]:
    """Both with the same users and items: as they are for parts of one split, else with the ids of both."""
    same = [np.array_equal(a.ids, b.ids) for a, b in ((truth.users, train.users), (truth.items, train.items))]
    if all(same):
        return truth, train
    maps = []
    for a, b in ((truth.users, train.users), (truth.items, train.items)):
        if a.ids.dtype.kind != b.ids.dtype.kind:
            raise MismatchError(
                f"the {a.name} ids of truth and train differ in kind, {a.ids[0].item()!r} and {b.ids[0].item()!r}; "
                "give both as numbers or both as text"
            )
        maps.append(IdMap(np.unique(np.concatenate([a.ids, b.ids])), a.name))
    return tuple(
        Interactions(
            user=_places(maps[0].ids, part.users.ids)[part.user],
            item=_places(maps[1].ids, part.items.ids)[part.item],
            users=maps[0],
            items=maps[1],
            rating=part.rating,
        )
        for part in (truth, train)
    )  # pyright: ignore[reportReturnType]


def _places(sorted_ids: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.searchsorted(sorted_ids, ids).astype(np.int32)


def _rows(recommendations: Any) -> Rows:
    if isinstance(recommendations, Recommendations):
        rows = _from_lists({user: [one.item for one in listed] for user, listed in recommendations})
        return rows._replace(score=np.array([one.score for _, listed in recommendations for one in listed], np.float64))
    if isinstance(recommendations, (str, os.PathLike)):
        return _from_file(pathlib.Path(recommendations))
    if isinstance(recommendations, Mapping):
        return _from_lists(recommendations)
    if hasattr(recommendations, "columns"):
        return _from_frame(recommendations)
    if isinstance(recommendations, (tuple, list)) and len(recommendations) == 2:
        users, lists = recommendations
        if len(users) != len(lists):
            raise MismatchError(f"recommendations has {len(users)} users and {len(lists)} lists; pass a list each")
        if len(np.unique(as_ids(users, "user"))) != len(users):
            raise DataError("recommendations names a user twice; pass one list for each user")
        return _from_lists(dict(zip(np.asarray(users).tolist(), lists, strict=True)))
    raise JaxrecError(
        "recommendations must be a mapping from user to items, (users, lists), a frame or a file, got "
        f"{type(recommendations).__name__}"
    )


def _from_lists(lists: Mapping[Any, Iterable[Any]]) -> Rows:
    users, items = [], []
    for user, listed in lists.items():
        listed = np.asarray(listed).tolist() if isinstance(listed, np.ndarray) else list(listed)
        users += [user] * len(listed)
        items += listed
    if not items:
        raise DataError("recommendations has no item; pass at least one list that is not empty")
    return Rows(as_ids(users, "user"), as_ids(items, "item"), None)


def _from_frame(frame: Any) -> Rows:
    names = [str(name) for name in frame.columns]
    found = find_columns(names, {"timestamp": None, "title": None}, "recommendations")
    user, item = (as_ids(np.asarray(frame[frame.columns[found[role]]]), role) for role in ("user", "item"))
    columns = {name: np.asarray(frame[frame.columns[names.index(name)]]) for name in ("rank", "score") if name in names}
    if "rank" in columns:
        score = columns.get("score")
        score = score.astype(np.float64) if score is not None and score.dtype.kind in "iuf" else None
        return Rows(user, item, _finite(columns["rank"].astype(np.float64), "rank"), score)
    if "score" in columns:
        return Rows(user, item, _finite(-columns["score"].astype(np.float64), "score"))
    if "rating" in found:
        order = -np.asarray(frame[frame.columns[found["rating"]]], np.float64)
        return Rows(user, item, _finite(order, names[found["rating"]]))
    return Rows(user, item, None)


def _finite(order: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(order).all():
        at = int(np.flatnonzero(~np.isfinite(order))[0])
        raise DataError(f"recommendations: {name} is {order[at]} in row {at}; every row needs a finite number")
    return order


def _from_file(path: pathlib.Path) -> Rows:
    if path.suffix == ".json" and path.is_file():
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: no JSON: {error}") from None
        if isinstance(document, dict) and isinstance(document.get("lists"), list):
            try:
                document = {
                    one["user"]: [item["item"] if isinstance(item, dict) else item for item in one["items"]]
                    for one in document["lists"]
                }
            except (KeyError, TypeError) as error:
                raise DataError(f"{path}: each of `lists` needs `user` and `items`, {error!r} is missing") from None
        if not isinstance(document, dict) or not all(isinstance(items, list) for items in document.values()):
            raise DataError(f"{path}: expected an object from each user to a list of items")
        return _from_lists(document)
    columns = {"timestamp": None, "title": None}
    try:
        data, sign = read(path, columns={**columns, "rating": "rank"}, items=None), 1
    except DataError:  # no column of this name: the score, if there is one
        data, sign = read(path, items=None), -1
    order = None if data.rating is None else sign * data.rating.astype(np.float64)
    return Rows(data.users.ids[data.user], data.items.ids[data.item], order)


def _space(features: Any, items: IdMap) -> ItemSpace:
    if isinstance(features, ItemSpace):
        if features.num_items != len(items):
            raise MismatchError(
                f"item_features has {features.num_items:,} items and the catalogue of train and truth {len(items):,}; "
                "pass the parts of the split that the space was made from"
            )
        return features
    if hasattr(features, "columns"):
        names = [str(name) for name in features.columns]
        at = find_columns(
            names, {"user": None, "rating": None, "timestamp": None, "title": None}, "item_features", ("item",)
        )["item"]
        ids = as_ids(np.asarray(features[features.columns[at]]), "item")
        numbers = [np.asarray(features[name]) for place, name in enumerate(features.columns) if place != at]
        numbers = [column for column in numbers if column.dtype.kind in "fiub"]
        if not numbers:
            raise DataError("item_features has no column of numbers beside the item")
        vectors = np.stack(numbers, axis=1).astype(np.float32)
    elif isinstance(features, Mapping) and features:
        ids = as_ids(list(features), "item")
        lengths = {len(vector) for vector in features.values()}
        if len(lengths) > 1:
            raise MismatchError(f"item_features has vectors of different lengths, {sorted(lengths)}")
        vectors = np.array([np.asarray(vector, np.float32) for vector in features.values()])
    else:
        raise JaxrecError(
            "item_features must be a mapping from item to vector, a frame or an ItemSpace, got "
            f"{type(features).__name__}"
        )
    place = np.array([items.find(one) for one in ids.tolist()], np.int32)
    all_vectors = np.zeros((len(items), vectors.shape[1]), np.float32)
    known = np.zeros(len(items), bool)
    all_vectors[place[place >= 0]], known[place[place >= 0]] = vectors[place >= 0], True
    return feature_space(all_vectors, known=known)
