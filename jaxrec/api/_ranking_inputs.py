"""Lists, truths and item features of other systems, in whatever form they come, as arrays of ids."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from jaxrec.api._recommend import Recommendations
from jaxrec.data._ids import IdMap, as_ids
from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._columns import find_columns
from jaxrec.data.reading._frames import from_frame
from jaxrec.data.reading._readers import read
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.ranking._item_vectors import ItemSpace, feature_space

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


def interactions_of(known: Known, name: str) -> Interactions:
    """Interactions from interactions, a file, a frame or arrays of ids.

    Raises:
      JaxrecError: another form; `name` says which argument it was.

    >>> len(interactions_of(([1, 1], [5, 6]), "truth"))
    2
    """
    if isinstance(known, Interactions):
        return known
    if isinstance(known, (str, os.PathLike)):
        return read(known, items=None)
    known = _collected(known)
    if hasattr(known, "columns"):
        return from_frame(known)
    if isinstance(known, (tuple, list)) and len(known) in (2, 3):
        return Interactions.from_arrays(*known)
    raise JaxrecError(
        f"{name} must be interactions, a file, a frame, (users, items) or (users, items, ratings), got "
        f"{type(known).__name__}"
    )


def one_catalog(truth: Interactions, train: Interactions) -> tuple[Interactions, Interactions]:
    """Both with the same users and items: as they are for parts of one split, else with the ids of both.

    Raises:
      MismatchError: ids of different kinds.

    >>> one, other = (Interactions.from_arrays([1], [item]) for item in (5, 6))
    >>> [part.num_items for part in one_catalog(one, other)]
    [2, 2]
    """
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


def rows_of(recommendations: Any) -> Rows:
    """Ranked lists as rows of ids, from a mapping, arrays, a frame, a file or what `jaxrec.recommend` gives.

    Raises:
      DataError: no item, a user who is named twice, a rank or score that is not finite, a file that cannot be read.
      MismatchError: not as many lists as users.
      JaxrecError: another form.

    >>> rows_of({7: [3, 4]}).item.tolist()
    [3, 4]
    """
    if isinstance(recommendations, Recommendations):
        rows = _from_lists({user: [one.item for one in listed] for user, listed in recommendations})
        return rows._replace(score=np.array([one.score for _, listed in recommendations for one in listed], np.float64))
    if isinstance(recommendations, (str, os.PathLike)):
        return _from_file(pathlib.Path(recommendations))
    if isinstance(recommendations, Mapping):
        return _from_lists(recommendations)
    recommendations = _collected(recommendations)
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


def _collected(frame: Any) -> Any:
    """A lazy frame of polars as a frame; all else as it is."""
    return frame.collect() if hasattr(frame, "collect") and hasattr(frame, "lazy") else frame


def _labels(frame: Any) -> list[Any]:
    return list(getattr(frame, "column_names", frame.columns))  # the columns of an Arrow table are its data


def _from_frame(frame: Any) -> Rows:
    labels = _labels(frame)
    names = [str(label) for label in labels]
    found = find_columns(names, {"timestamp": None, "title": None}, "recommendations")
    user, item = (as_ids(np.asarray(frame[labels[found[role]]]), role) for role in ("user", "item"))
    columns = {name: np.asarray(frame[labels[names.index(name)]]) for name in ("rank", "score") if name in names}
    if "rank" in columns:
        score = columns.get("score")
        score = score.astype(np.float64) if score is not None and score.dtype.kind in "iuf" else None
        return Rows(user, item, _finite(columns["rank"].astype(np.float64), "rank"), score)
    if "score" in columns:
        return Rows(user, item, _finite(-columns["score"].astype(np.float64), "score"))
    if "rating" in found:
        order = -np.asarray(frame[labels[found["rating"]]], np.float64)
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


def space_of(features: Any, items: IdMap) -> ItemSpace:
    """An item space from a space, a frame with a column of items, or a mapping from item to vector.

    Args:
      features: one of these.
      items: the catalogue; items without features are not known in the space.

    Raises:
      MismatchError: a space of another catalogue, or vectors of different lengths.
      DataError: a frame without a column of numbers.
      JaxrecError: another form.

    >>> space_of({5: [1.0, 0.0]}, IdMap(np.array([5, 6]), "item")).known.tolist()
    [True, False]
    """
    if isinstance(features, ItemSpace):
        if features.num_items != len(items):
            raise MismatchError(
                f"item_features has {features.num_items:,} items and the catalogue of train and truth {len(items):,}; "
                "pass the parts of the split that the space was made from"
            )
        return features
    features = _collected(features)
    if hasattr(features, "columns"):
        labels = _labels(features)
        names = [str(name) for name in labels]
        at = find_columns(
            names, {"user": None, "rating": None, "timestamp": None, "title": None}, "item_features", ("item",)
        )["item"]
        ids = as_ids(np.asarray(features[labels[at]]), "item")
        numbers = [np.asarray(features[name]) for place, name in enumerate(labels) if place != at]
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
    return feature_space(cast(Any, all_vectors), known=known)
