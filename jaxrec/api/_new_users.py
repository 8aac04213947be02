"""Lists for users who were not fitted on, from what they have, in the caller's own ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxrec.api._lookup import item_indices
from jaxrec.data._ids import id_list
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import DataError, JaxrecError, UnknownIdError
from jaxrec.fitting._folding import batches, check_ratings
from jaxrec.models._fold_in import OfHistory, rows_of
from jaxrec.protocols import FoldIn
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._topk import recommend_lists
from jaxrec.scorers import PopularityScorer

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel

NEW = "new"
"""The name of the one user of a `history`."""


@dataclasses.dataclass(frozen=True, eq=False)
class NewHistories:
    """What new users have, in a model's items.

    Attributes:
      names: n ids, as the caller has them.
      items: of each user, int32, ascending and each once; empty where the model knows none of them.
      ratings: of each user, float32, or None where none are given.
      notes: what was left out, and what has no effect.
    """

    names: tuple[Any, ...]
    items: tuple[np.ndarray, ...]
    ratings: tuple[np.ndarray, ...] | None
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class NewLists:
    """Lists of new users.

    Attributes:
      lists: from the caller's id to (items int32 [k], scores float32 [k]), -1 for padding.
      notes: what a caller should know.
    """

    lists: Mapping[Any, tuple[np.ndarray, np.ndarray]]
    notes: tuple[str, ...]


def histories_of(
    model: FittedModel,
    interactions: Interactions | Mapping[Any, Any] | None,
    history: Iterable[Any] | Mapping[Any, float] | None,
    *,
    skip_unknown: bool,
) -> NewHistories:
    """Read what new users have, and find the items among those of a model.

    Args:
      model: a fitted or restored model.
      interactions: of several users, or None; see `jaxrec.recommend`.
      history: of one user, or None.
      skip_unknown: leave items out that the model does not know, instead of refusing them.

    Raises:
      UnknownIdError: an unknown item, or a title that several share.
      JaxrecError: another form, an empty one, or ratings that are no ratings of the model's scale.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> found = histories_of(model, {"w": ["b", "z"]}, None, skip_unknown=True)
    >>> found.items[0].tolist(), found.notes
    ([1], ("1 of the new users' items is unknown to the model and left out: 'z'",))
    """
    given = {NEW: history} if interactions is None else interactions
    if isinstance(given, Interactions):
        named = _of_interactions(given)
    elif isinstance(given, Mapping):
        named = {name: _of_one(value, _called(name, interactions)) for name, value in given.items()}
    else:
        raise JaxrecError(
            f"interactions is of type {type(given).__name__}; pass a mapping from users to items, or Interactions, as "
            "jaxrec.from_frame gives them"
        )
    if not named:
        raise JaxrecError("interactions has no user; name at least one with items")
    rated = {one[1] is not None for one in named.values() if one[0]}
    if len(rated) > 1:
        raise JaxrecError("interactions has ratings for some users and none for others; give them for all or for none")
    unknown: list[Any] = []
    places = _places_of(model, [item for one, _ in named.values() for item in one], skip_unknown, unknown)
    items, ratings, repeats = [], [], 0
    for one, values in named.values():
        index = np.array([places[_key(item)] for item in one], np.int32)
        value = np.zeros(len(one), np.float32) if values is None else np.asarray(values, np.float32)
        known = index >= 0
        # Of an item that comes again the last rating counts, as in a table that is read.
        last = {int(item): at for at, item in enumerate(index) if known[at]}
        repeats += int(known.sum()) - len(last)
        kept = np.array([last[item] for item in sorted(last)], np.int64)
        items.append(index[kept].astype(np.int32))
        ratings.append(value[kept])
    notes = []
    if unknown:
        what = "1 of the new users' items is" if len(unknown) == 1 else f"{len(unknown):,} of the new users' items are"
        notes.append(f"{what} unknown to the model and left out: {_some(unknown)}")
    if repeats:
        notes.append(f"{repeats:,} repeats of an item in one history count once{', the last' if any(rated) else ''}")
    known_users = sum(model.users.find(name) >= 0 for name in named) if interactions is not None else 0
    if known_users:
        notes.append(
            f"{known_users:,} of the {len(named):,} users are known to the model; their lists are made of what is "
            "given here alone"
        )
    if any(rated):
        notes += _check_scale(model, np.concatenate(ratings))
    return NewHistories(tuple(named), tuple(items), tuple(ratings) if any(rated) else None, tuple(notes))


def lists_of_new_users(
    model: FittedModel,
    given: NewHistories,
    k: int,
    *,
    mask: bool,
    unknown: str,
    rule: CandidateRule,
    memory_mb: float,
) -> NewLists:
    """Rank the items for new users.

    Args:
      model: a fitted or restored model.
      given: what the users have.
      k: the length of a list.
      mask: whether the items that a user has are left out.
      unknown: "raise", "skip" or "popular", for users whose items the model knows nothing of.
      rule: what may be recommended.
      memory_mb: bound of the scores, in MiB.

    Raises:
      JaxrecError: a model that cannot serve new users, or that needs ratings where there are none.
      UnknownIdError: a user whose items the model knows nothing of, with "raise".
    """
    fold_in = model.fold_in
    check_ratings(fold_in, given.ratings, model.name)
    among: dict[str, Any] = {"exclude": rule.exclude, "candidates": rule.candidates, "memory_mb": memory_mb}
    counts = np.bincount(np.asarray(model.seen.items), minlength=model.num_items)
    cold = [at for at, items in enumerate(given.items) if not counts[items].any()]
    notes = [*given.notes]
    silent = sum(int((counts[items] == 0).sum()) for items in given.items)
    if silent:
        notes.append(f"{silent:,} of the new users' items have no interaction in the fitted part, so they say nothing")
    if cold:
        notes.append(_told(given, cold, unknown))
    warm = np.setdiff1d(np.arange(len(given.names)), cold)
    lists = _ranked(fold_in, given, warm, k, mask=mask, **among)
    if unknown == "popular":
        popular = PopularityScorer(jnp.asarray(counts, jnp.float32), num_users=1)
        lists |= _ranked(OfHistory(popular), given, np.array(cold, np.int64), k, mask=mask, **among)
    return NewLists({given.names[at]: lists[at] for at in sorted(lists)}, tuple(notes))


def _ranked(
    fold_in: FoldIn, given: NewHistories, which: np.ndarray, k: int, *, mask: bool, **among: Any
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The lists (items [k], scores [k]) of some of the users, by their places among all."""
    rows = SeenItems(
        np.cumsum([0, *(len(given.items[at]) for at in which)], dtype=np.int32),
        np.concatenate([np.zeros(0, np.int32), *(given.items[at] for at in which)]),
    )
    rating = None
    if given.ratings is not None:
        rating = np.concatenate([np.zeros(0, np.float32), *(given.ratings[at] for at in which)])
    lists = {}
    for users, histories in batches(rows, rating):
        own = rows_of(histories) if mask else None
        items, scores = recommend_lists(fold_in(histories), np.arange(len(users)), k, seen=own, **among)
        lists |= {int(which[user]): (items[at], scores[at]) for at, user in enumerate(users)}
    return lists


def _called(name: Any, interactions: Any) -> str:
    """What an argument is called in messages."""
    return "history" if interactions is None else f"interactions[{name!r}]"


def _short(value: Any) -> str:
    """A value as it is written, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _some(values: list[Any]) -> str:
    """The first three of several values."""
    return ", ".join(map(_short, values[:3])) + (", ..." if len(values) > 3 else "")


def _key(item: Any) -> tuple[type, Any]:
    """What an item is found by: 1, 1.0 and True are equal, and are no one id."""
    return type(item), item


def _of_interactions(data: Interactions) -> dict[Any, tuple[list[Any], np.ndarray | None]]:
    """(items, ratings) of each user who has any, in the order of the rows."""
    order = np.argsort(data.user, kind="stable")
    users, starts = np.unique(data.user[order], return_index=True)
    out = {}
    for user, rows in zip(users.tolist(), np.split(order, starts[1:]), strict=True):
        rating = None if data.rating is None else data.rating[rows]
        out[data.users.ids[user].item()] = (data.items.ids[data.item[rows]].tolist(), rating)
    return out


def _of_one(given: Any, name: str) -> tuple[list[Any], np.ndarray | None]:
    """(items, ratings) of one user."""
    if isinstance(given, Interactions):
        raise JaxrecError(f"{name} is Interactions; pass them as interactions=...")
    if not isinstance(given, Mapping):
        items = id_list(given, name)
        for item in items:
            if isinstance(item, (list, tuple, set, dict, np.ndarray)):
                raise JaxrecError(
                    f"{name} has {_short(item)} where an item should stand; for several users pass "
                    "interactions={user: items}, for ratings a mapping from items to ratings"
                )
        return items, None
    try:
        ratings = np.array([float(value) for value in given.values()], np.float32)
    except OverflowError:
        raise JaxrecError(f"{name} has a rating that no float holds; pass finite numbers") from None
    except (TypeError, ValueError):
        wrong = next(value for value in given.values() if not isinstance(value, (int, float, np.number)))
        raise JaxrecError(
            f"{name} has the rating {_short(wrong)}; pass a number for each item, or a plain list"
        ) from None
    if not np.isfinite(ratings).all():
        item = list(given)[int(np.flatnonzero(~np.isfinite(ratings))[0])]
        raise DataError(f"{name} has the rating {given[item]!r} for item {item!r}; pass finite numbers")
    return list(given), ratings


def _places_of(model: FittedModel, items: list[Any], skip: bool, unknown: list[Any]) -> dict[Any, int]:
    """The index of each item, -1 for an unknown one; those go to `unknown`."""
    places: dict[Any, int] = {}
    for item in items:
        if _hashed(item) in places:
            continue
        try:
            places[_key(item)] = int(item_indices(model, [item], "history")[0])
        except UnknownIdError:
            if not skip:
                raise
            places[_key(item)] = -1
            unknown.append(item)
    return places


def _hashed(item: Any) -> Any:
    try:
        hash(item)
    except TypeError:
        raise JaxrecError(f"history has {_short(item)}, which is no id; pass ids or titles of items") from None
    return _key(item)


def _check_scale(model: FittedModel, ratings: np.ndarray) -> list[str]:
    """Notes on ratings; those outside of the scale of a model of ratings are refused."""
    if model.info.get("task") != "rating":
        low = int((ratings <= 0).sum())
        told = f"; {low:,} of them are 0 or less" if low else ""
        return [f"{model.name} ranks, so the ratings of new users have no effect: every item counts as a liking{told}"]
    low, high = model.info["rating_scale"]
    outside = ratings[(ratings < low) | (ratings > high)]
    if len(outside):
        raise DataError(
            f"{len(outside):,} ratings of new users lie outside of the model's scale {low:g} to {high:g}, the first "
            f"{outside[0]:g}; bring them to that scale"
        )
    return []


def _told(given: NewHistories, cold: list[int], unknown: str) -> str:
    """The note on users whose items the model knows nothing of.

    Raises:
      UnknownIdError: with "raise".
    """
    some = _some([given.names[at] for at in cold])
    if unknown == "raise":
        raise UnknownIdError(
            f"new user {some} has no item with an interaction in the fitted part; give items that the model knows, or "
            'ask for unknown="popular" or unknown="skip"'
        )
    what = "left out" if unknown == "skip" else "given the most popular items"
    count = "1 new user" if len(cold) == 1 else f"{len(cold):,} new users"
    return f"{count} without an item that was fitted on {what}: {some}"
