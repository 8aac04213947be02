"""Items that were not fitted on: from the users who have them, or their vectors from their columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.api._lookup import check_model
from jaxrec.data._ids import IdMap, as_ids, id_list
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_from_pairs
from jaxrec.data._texts import some
from jaxrec.errors import DataError, JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import fitted_pairs, seen_pairs, served, shown_users
from jaxrec.fitting._validation import with_history
from jaxrec.models._base import with_sizes
from jaxrec.models._vectors import Vectors
from jaxrec.protocols import AddsItems, VectorScorer
from jaxrec.scorers import FactorScorer
from jaxrec.training import train_data
from jaxrec.types import Scorer

PENALTIES = tuple(10.0**power for power in range(-3, 5))
"""Weights of the ridge map that are tried; the one with the least leave-one-out error is taken."""


def add_items(
    model: FittedModel,
    users: Mapping[Any, Iterable[Any]] | None = None,
    *,
    columns: Mapping[Any, Mapping[str, Any]] | None = None,
    titles: Mapping[Any, str] | None = None,
) -> FittedModel:
    """Add items to a fitted model without training again.

    EASE, item-kNN, user-kNN and popularity give what a fit to the grown data gives: EASE by bordering its inverse, the
    others by counting again. A model of one's own does so by `with_items`, see `jaxrec.protocols.AddsItems`.

    Where scores are inner products, as those of LightGCN or MF, the vector of a new item comes from a ridge map that is
    fitted on the known items: from the mean of the vectors of their users and the logarithm of their number, or from
    their columns, to the vectors of the items. The weight of the penalty is the one with the least leave-one-out error.
    Nothing else of the model changes.

    Args:
      model: a fitted or restored model.
      users: from the id of each new item to the users who have it, all known to the model.
      columns: instead, of a model with vectors, from the id of each new item to its values in the columns of
        `model.item_columns`; texts such as "Drama|War" are sets of labels. A column that an item lacks counts as empty.
      titles: from the id of a new item to its title.

    Returns:
      A model with the new items behind the old ones. `info["added_items"]` says how many there are, by what, and of
      a ridge map the share of the variance of the old items' vectors that it explains, each item left out.

    Raises:
      JaxrecError: a model with neither vectors nor `with_items`, columns for one without vectors, neither or both of
        `users` and `columns`, no new item, a catalog that grows over the model's bound.
      DataError: an item that is known already, or that no user has; a title of another item.
      UnknownIdError: an unknown user.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v", "v", "w"], ["a", "b", "b", "c", "a"])
    >>> model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=1, key=jax.random.key(0))
    >>> grown = add_items(model, {"d": ["u", "v"]})
    >>> grown.num_items, "d" in [one.item for one in jaxrec.recommend(grown, ["w"], k=3)["w"]]
    (4, True)
    """
    check_model(model)
    if (users is None) == (columns is None):
        raise JaxrecError("pass users, or columns, of the new items: one of the two")
    given: Mapping[Any, Any] = users if columns is None else columns  # pyright: ignore[reportAssignmentType]
    if not isinstance(given, Mapping) or not given:
        raise JaxrecError(f"the new items are {type(given).__name__} of none; pass a mapping from their ids")
    solves = isinstance(model.model, AddsItems) and columns is None
    if not solves and not isinstance(model.scorer, VectorScorer):
        raise JaxrecError(
            f"{model.name} has no vectors of items{', so it needs the users of the new ones' if columns else ''}; "
            f"{'pass users' if isinstance(model.model, AddsItems) else 'fit it again with the new items'}"
        )
    ids = _new_ids(model, list(given))
    if strangers := [item for item in titles or {} if item not in given]:
        raise DataError(f"titles has {strangers[0]!r}, which is no new item; the new items are {some(list(given), 3)}")
    user, count = np.zeros(0, np.int32), np.zeros(len(given), np.int64)
    if columns is None:
        rows = [np.unique(model.users.index(id_list(value, f"users[{item!r}]"))) for item, value in given.items()]
        count = np.array([len(row) for row in rows])
        if not count.all():
            raise DataError(f"new item {list(given)[int(np.argmin(count))]!r} has no user; give its columns instead")
        user = np.concatenate(rows).astype(np.int32)
    item = np.repeat(np.arange(len(given)), count)
    told = {"count": len(given), "by": "users" if columns is None else "columns"}
    grown = _catalog(model, ids, user, item, titles or {}, columns or {})
    if solves:
        kind, variables = with_sizes(model.model, model.num_users, len(ids)), model.variables
        scorer = _solved(model, dataclasses.replace(grown, model=kind))
    else:
        old, new = (
            _of_users(model, user, item, len(given)) if columns is None else _of_columns(model, list(given.values()))
        )
        known = np.bincount(np.asarray(model.seen.items), minlength=model.num_items) > 0
        items = np.asarray(model.scorer.items, np.float64)
        made, told["explained"] = ridge(old[known], items[known], new)
        scorer = FactorScorer(
            model.scorer.users,
            jnp.asarray(np.concatenate([np.asarray(model.scorer.items), made.astype(np.float32)])),
            dim=int(model.scorer.dim),
        )
        constant = np.all(np.asarray(scorer.users) == 1, axis=0)
        fixed = int(np.argmin([*constant[::-1], False]))
        kind, variables = Vectors(model.name, fixed, model.num_users, len(ids)), {}
    return dataclasses.replace(
        grown, model=kind, variables=variables, scorer=scorer, options=None, info={**model.info, "added_items": told}
    )


def _solved(model: FittedModel, grown: FittedModel) -> Scorer:
    """The scorer of a model that takes items in by its own equations; held-out users have what they show."""
    fitted = fitted_pairs(grown)
    scorer = model.model.with_items(model.scorer, train_data(fitted))
    shown = model.info.get("shown_users")
    if not shown:
        return scorer
    scorer = with_history(scorer, grown.seen)
    own = seen_pairs(grown)
    own = own.select(np.isin(own.user, shown))
    return served(scorer, lambda: dataclasses.replace(grown, scorer=scorer).fold_in, shown_users([own], fitted))


def owners_of(data: Interactions) -> dict[Any, list[Any]]:
    """The users of each item, as `add_items` takes them.

    >>> owners_of(Interactions.from_arrays(["u", "v", "u"], ["a", "a", "b"]))
    {'a': ['u', 'v'], 'b': ['u']}
    """
    out: dict[Any, list[Any]] = {item: [] for item in data.items.ids.tolist()}
    for user, item in zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True):
        out[item].append(user)
    return out


def titles_of(data: Interactions) -> dict[Any, str]:
    """The titles of the items that have one.

    >>> titles_of(Interactions.from_arrays(["u"], ["a"]))
    {}
    """
    titles = [] if data.titles is None else data.titles.tolist()
    return {item: title for item, title in zip(data.items.ids.tolist(), titles, strict=False) if title}


def ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, float]:
    """Predict rows by a ridge map, with the penalty that has the least leave-one-out error.

    Args:
      x: [n, f], features of known rows.
      y: [n, w], known rows.
      new: [m, f].

    Returns:
      (float64 [m, w], the share of the variance of y that is explained, each row left out).

    >>> x = np.arange(5.0)[:, None]
    >>> made, explained = ridge(x, 2 * x + 1, np.array([[10.0]]))
    >>> made.round(1).tolist(), round(explained, 2)
    ([[21.0]], 1.0)
    """
    center, mean = x.mean(axis=0), y.mean(axis=0)
    scale = x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1)
    x, new = (x - center) / scale, (new - center) / scale
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    target = left.T @ (y - mean)
    best, chosen = np.inf, PENALTIES[-1]
    for penalty in PENALTIES:
        shrunk = singular**2 / (singular**2 + penalty * len(x) / 100)
        # What a row adds to its own prediction, the mean included.
        own = (left**2) @ shrunk + 1 / len(x)
        error = np.sum(((y - mean - left @ (shrunk[:, None] * target)) / np.maximum(1 - own, 1e-9)[:, None]) ** 2)
        if error < best:
            best, chosen = error, penalty
    weights = right.T @ ((singular / (singular**2 + chosen * len(x) / 100))[:, None] * target)
    total = np.sum((y - mean) ** 2)
    return new @ weights + mean, float(1 - best / total) if total else 1.0


def _new_ids(model: FittedModel, ids: list[Any]) -> np.ndarray:
    known = [item for item in ids if model.items.find(item) >= 0]
    if known:
        raise DataError(f"item {known[0]!r} is known to the model already; name new items only")
    made = as_ids(ids, "item")
    if made.dtype.kind != model.items.ids.dtype.kind:
        raise DataError(
            f"new item {ids[0]!r} is of another type than {model.items.ids[0].item()!r}; use ids of one type"
        )
    return np.concatenate([model.items.ids, made])


def _of_users(model: FittedModel, user: np.ndarray, item: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean vector of the users of each item, and the logarithm of their number: of the old items and of the new."""
    seen, vectors = model.seen, np.asarray(model.scorer.users, np.float64)

    def features(user: np.ndarray, item: np.ndarray, size: int) -> np.ndarray:
        sums = np.stack([np.bincount(item, weights=column, minlength=size) for column in vectors[user].T], axis=1)
        count = np.maximum(np.bincount(item, minlength=size), 1)[:, None]
        return np.concatenate([sums / count, np.log(count)], axis=1)

    old = np.repeat(np.arange(seen.num_users), np.diff(seen.indptr))
    return features(old, np.asarray(seen.items), model.num_items), features(user, item, size)


def _of_columns(model: FittedModel, values: list[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the items as numbers: a column of 0 and 1 for each label, and numbers as they are."""
    asked = {name for value in values for name in value}
    strangers = sorted(asked - set(model.item_columns))
    if strangers or not asked:
        has = ", ".join(sorted(model.item_columns)) or "none"
        raise DataError(f"columns has {strangers or 'no column'}, and the items of the model have {has}; name those")
    old, new = [], []
    for name in sorted(asked):
        column, own = model.item_columns[name], [value.get(name) for value in values]
        if column.dtype.kind in "fiu":
            whole = np.asarray(column, np.float64)
            usual = float(np.nanmean(whole)) if np.isfinite(whole).any() else 0.0
            numbers = np.array([usual if value in (None, "") else float(value) for value in own])  # pyright: ignore[reportArgumentType]
            old.append(np.where(np.isfinite(whole), whole, usual)[:, None])
            new.append(np.where(np.isfinite(numbers), numbers, usual)[:, None])
            continue
        sets = [_labels(value) for value in column.tolist()]
        labels = sorted(set().union(*sets))
        for out, rows in ((old, sets), (new, [_labels(value) for value in own])):
            out.append(
                np.array([[label in row for label in labels] for row in rows], np.float64).reshape(len(rows), -1)
            )
    return np.concatenate(old, axis=1), np.concatenate(new, axis=1)


def _labels(value: Any) -> set[str]:
    return set() if value is None else {label for label in str(value).split("|") if label}


def _catalog(
    model: FittedModel,
    ids: np.ndarray,
    user: np.ndarray,
    item: np.ndarray,
    titles: Mapping[Any, str],
    columns: Mapping[Any, Mapping[str, Any]],
) -> FittedModel:
    """The model with the new items in its catalog and in what users have; its scorer is as before."""
    old, new, seen = model.num_items, ids[model.num_items :].tolist(), model.seen
    pairs = np.repeat(np.arange(seen.num_users, dtype=np.int32), np.diff(seen.indptr))
    further = {}
    for name, column in model.item_columns.items():
        empty = np.nan if column.dtype.kind == "f" else "" if column.dtype.kind == "U" else 0
        own = [columns.get(one, {}).get(name, empty) for one in new]
        further[name] = np.concatenate(
            [column, np.asarray(own).astype(column.dtype if column.dtype.kind != "U" else str)]
        )
    named = None
    if titles or model.titles is not None:
        had = np.full(old, "") if model.titles is None else model.titles
        named = np.concatenate([had, np.array([str(titles.get(one, "")) for one in new], dtype=str)])
    return dataclasses.replace(
        model,
        items=IdMap(ids, "item"),
        titles=named,
        item_columns=further,
        seen=seen_from_pairs(
            np.concatenate([pairs, user]),
            np.concatenate([np.asarray(seen.items), old + item]),
            seen.num_users,
            len(ids),
        ),
    )
