"""Lists of items for users, and similar items, in the caller's own ids."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec.api._candidates import candidate_rule
from jaxrec.api._lookup import check_model, item_indices, title_of
from jaxrec.api._suggestions import Recommendations, Suggestion
from jaxrec.data._ids import id_list
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, UnknownIdError
from jaxrec.parallel import Layout
from jaxrec.ranking._block_topk import top_k
from jaxrec.ranking._item_vectors import common_space
from jaxrec.ranking._reranking import RERANK_DEPTH, check_rerank_depth, rerank
from jaxrec.ranking._topk import recommend_lists
from jaxrec.scorers import PopularityScorer

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel
    from jaxrec.protocols import Reranker

OnUnknown = Literal["raise", "skip", "popular"]


def recommend(
    model: FittedModel,
    users: Iterable[Any] | None = None,
    *,
    interactions: Interactions | Mapping[Any, Any] | None = None,
    history: Iterable[Any] | Mapping[Any, float] | None = None,
    k: int = 10,
    filter_seen: bool = True,
    unknown: OnUnknown = "raise",
    exclude: Iterable[Any] | None = None,
    candidates: Iterable[Any] | None = None,
    reranker: Reranker | str | None = None,
    rerank_depth: int = RERANK_DEPTH,
    memory_mb: int = 256,
    seen: bool | None = None,
    mesh: int | Layout | Mesh | None = None,
) -> Recommendations:
    """Recommend the k best items to each user.

    Users who were not fitted on are served by what they have, without training again: `interactions` for several, or
    `history` for one. What a model makes of a history is said by its `fold_in`. Up to 64 users with lists of up to 64
    places go through one compiled program, for each power of two that the longest history fits in.

    Args:
      model: a fitted or restored model.
      users: n user ids, or one; a list, an array or a column. None for all users.
      interactions: what new users have: a mapping from the user's id to items, by id or title, or to a mapping from
        items to ratings; or Interactions. A user whom the model knows is treated as new too, and noted.
      history: the items of one new user, by id or title, or a mapping from items to ratings; the list is of "new".
      k: the length of a list.
      filter_seen: whether the user's own items are left out.
      unknown: the treatment of users who are not in the data, or have no interaction in the fitted part: "raise",
        "skip" (leave out and note) or "popular" (give the most popular items and note). Of new users, items that the
        model does not know are refused with "raise", and otherwise left out and noted; a user without any item left
        that has an interaction in the fitted part is treated as unknown.
      exclude: items, by id or title, that are never recommended; None for none.
      candidates: items, by id or title, that alone may be recommended; None for all.
      reranker: what chooses the list from the best `rerank_depth` items of a user, a name or an object such as
        `jaxrec.ranking.MMR(0.7)`, by the items' vectors in `jaxrec.ranking.common_space` of the fitted part; None keeps
        the model's order. Popular items in place of users without data are not re-ranked.
      rerank_depth: how many items it chooses from, at least k.
      memory_mb: bound of the scores of a chunk of users, in MiB.
      seen: the name of 0.1 for the contrary of `filter_seen`; deprecated.
      mesh: several devices that share the users, see `jaxrec.parallel.as_mesh`; the lists are those of one device,
        but that with `item_parts` the last bits of scores may differ. It is for users whom the model knows.

    Returns:
      The lists, in the order asked. A list is shorter than k, and noted, where fewer items are left. A note counts the
      places of items without an interaction in the fitted part, of which nothing was learned.

    Raises:
      JaxrecError: k below 1 or above the number of items, an unknown treatment, another kind of argument, or new users
        of a model that cannot serve them.
      UnknownIdError: an unknown user with "raise", or an unknown item.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> print(recommend(model, ["v"], k=1))
    user v
       1. a  [a]  1.000
    >>> recommend(model, history=["a"], k=1)["new"][0].item
    'b'
    """
    if not isinstance(unknown, str) or unknown not in ("raise", "skip", "popular"):
        raise JaxrecError(f'unknown must be "raise", "skip" or "popular", got {unknown!r}')
    check_model(model)
    _check_k(k, model.num_items, "items")
    if seen is not None:
        told = "recommend(seen=...) is a name of 0.1 and goes in 0.3; use filter_seen, its contrary"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
        filter_seen = not seen
    if not isinstance(filter_seen, bool):
        raise JaxrecError(f"filter_seen is {filter_seen!r}; pass True or False")
    if reranker is not None:
        check_rerank_depth(rerank_depth, k)
        rerank_depth = min(rerank_depth, model.num_items)
    if interactions is not None or history is not None:
        if users is not None or (interactions is not None and history is not None):
            raise JaxrecError("users, interactions and history exclude one another; pass one of them")
        if mesh is not None:
            raise JaxrecError(
                "mesh is for users whom the model knows, and new users are served on one device; leave it out"
            )
        # Known users need neither the models nor the training.
        from jaxrec.api._new_users import histories_of, lists_of_new_users

        given = histories_of(model, interactions, history, skip_unknown=unknown != "raise")
        found = lists_of_new_users(
            model,
            given,
            k if reranker is None else rerank_depth,
            mask=filter_seen,
            unknown=unknown,
            rule=candidate_rule(model, exclude, None, candidates),
            memory_mb=memory_mb,
        )
        rows = found.lists
        if reranker is not None and rows:
            items, scores = (np.stack(parts) for parts in zip(*rows.values(), strict=True))
            rows = dict(zip(rows, zip(*_reranked(model, items, scores, k, reranker), strict=True), strict=True))
        lists = {name: _suggestions(model, *row) for name, row in rows.items()}
        return Recommendations("user", lists, (*found.notes, *_short(lists, k), *_untrained(model, lists)))
    asked = model.users.ids.tolist() if users is None else id_list(users, "users")
    found = np.array([model.users.find(user) for user in asked], dtype=np.int32)
    history = np.diff(model.seen.indptr)
    # A user without an interaction has nothing that the model could have learnt from.
    cold = (found < 0) | (history[np.maximum(found, 0)] == 0)
    notes: list[str] = []
    if cold.any():
        names = [asked[at] for at in np.flatnonzero(cold)]
        _handle_unknown(model, names, unknown, notes)
    allowed = candidate_rule(model, exclude, candidates=candidates)
    rule = {"exclude": allowed.exclude, "candidates": allowed.candidates, "memory_mb": memory_mb}
    own = model.seen if filter_seen else None
    depth = k if reranker is None else rerank_depth
    items, scores = recommend_lists(model.scorer, found[~cold], depth, seen=own, **rule, mesh=mesh)
    if reranker is not None:
        items, scores = _reranked(model, items, scores, k, reranker)
    lists = dict(zip(np.flatnonzero(~cold).tolist(), zip(items, scores, strict=True), strict=True))
    if cold.any() and unknown == "popular":
        popular = popularity_of(model)
        nothing = SeenItems(np.zeros(2, np.int32), np.zeros(0, np.int32))
        one = dataclasses.replace(popular, num_users=1)
        common_items, common_scores = recommend_lists(one, np.zeros(1, np.int32), k, seen=nothing, **rule)
        lists |= dict.fromkeys(np.flatnonzero(cold).tolist(), (common_items[0], common_scores[0]))
    out: dict[Any, list[Suggestion]] = {}
    for at in sorted(lists):
        name = model.users.ids[found[at]].item() if found[at] >= 0 else asked[at]
        out[name] = _suggestions(model, *lists[at])
    return Recommendations("user", out, (*notes, *_short(out, k), *_untrained(model, out)))


def _reranked(
    model: FittedModel, lists: np.ndarray, scores: np.ndarray, k: int, reranker: Reranker | str
) -> tuple[np.ndarray, np.ndarray]:
    """The k that a re-ranker chooses from each list, with their scores."""
    seen = model.seen
    user = np.repeat(np.arange(seen.num_users, dtype=np.int32), np.diff(seen.indptr))
    fitted_on = Interactions(user, np.asarray(seen.items), model.users, model.items)
    return rerank(lists, scores, common_space(fitted_on), k, reranker)


def similar_items(model: FittedModel, items: Any, *, k: int = 10) -> Recommendations:
    """Find the k most similar items of each given one: by cosine of the embeddings, or by the model's item weights.

    Args:
      model: a fitted or restored model other than popularity and random.
      items: item ids or titles, or one; a list, an array or a column.
      k: the length of a list.

    Returns:
      For each item, the others, the most similar first. Notes tell of items without an interaction in the fitted part.

    Raises:
      JaxrecError: k below 1 or not below the number of items, or a model without similarities.
      UnknownIdError: an unknown item, or a title that several share.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "a", "b", "c"])
    >>> model = jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0))
    >>> similar_items(model, ["a"], k=1)["a"][0].item
    'b'
    """
    check_model(model)
    _check_k(k, model.num_items - 1, "other items")
    index = item_indices(model, items)
    likeness = np.array(model.scorer.similarities(jnp.asarray(index)))
    likeness[np.arange(len(index)), index] = -np.inf
    scores, found, _ = top_k(jnp.asarray(likeness), k)
    lists = {
        model.items.ids[item].item(): _suggestions(model, np.asarray(found[at]), np.asarray(scores[at]))
        for at, item in enumerate(index)
    }
    strangers = [str(model.items.ids[item]) for item in index if not (np.asarray(model.seen.items) == item).any()]
    notes = [f"item {name} has no interaction in the fitted part, so its list says little" for name in strangers]
    titles = {} if model.titles is None else {model.items.ids[at].item(): str(model.titles[at]) for at in index}
    return Recommendations("item", lists, (*notes, *_untrained(model, lists)), titles)


def _check_k(k: Any, most: int, what: str) -> None:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise JaxrecError(f"k is {k!r}; pass a whole number of at least 1")
    if not 1 <= k <= most:
        raise JaxrecError(f"k must lie in 1..{most} (the number of {what}), got {k}")


def popularity_of(model: FittedModel) -> PopularityScorer:
    """Score items by their popularity in the fitted part.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> popularity_of(jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0))).counts.tolist()
    [1.0, 2.0]
    """
    counts = np.bincount(np.asarray(model.seen.items), minlength=model.num_items)
    return PopularityScorer(jnp.asarray(counts, jnp.float32), num_users=model.num_users)


def _handle_unknown(model: FittedModel, names: list[Any], unknown: OnUnknown, notes: list[str]) -> None:
    some = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    if unknown == "raise":
        strangers = [name for name in names if model.users.find(name) < 0]
        if strangers:
            model.users.index(strangers)
        raise UnknownIdError(
            f"user {some} has no interaction in the fitted part; "
            'ask for unknown="popular" to get the most popular items, or unknown="skip"'
        )
    what = "left out" if unknown == "skip" else "given the most popular items"
    count = "1 user" if len(names) == 1 else f"{len(names):,} users"
    notes.append(f"{count} without an interaction in the fitted part {what}: {some}")


_NAMED = 3  # users with short lists who are named one by one


def _short(lists: Mapping[Any, list[Suggestion]], k: int) -> list[str]:
    """A note for each list that is shorter than k; one for all where there are many."""
    short = {name: len(one) for name, one in lists.items() if len(one) < k}
    if len(short) > _NAMED:
        least = min(short, key=lambda name: short[name])
        return [
            f"{len(short):,} of {len(lists):,} lists are shorter than k={k}, since fewer items are left; that of user "
            f"{least} has {short[least]}"
        ]
    return [f"user {name} has only {count} items left to recommend, fewer than k={k}" for name, count in short.items()]


def _untrained(model: FittedModel, lists: Mapping[Any, list[Suggestion]]) -> list[str]:
    """A note on items in lists that have no interaction in the fitted part, and were not added by their columns."""
    trained = np.bincount(np.asarray(model.seen.items), minlength=model.num_items) > 0
    added = model.info.get("added_items", {})
    if added.get("by") == "columns":
        trained[model.num_items - added["count"] :] = True
    if trained.all():
        return []
    idle = set(model.items.ids[~trained].tolist())
    places = [one.item for row in lists.values() for one in row if one.item in idle]
    if not places:
        return []
    return [
        f"{len(places):,} of {sum(map(len, lists.values())):,} places have items without an interaction in the fitted "
        f"part, such as {places[0]}: nothing was learned of them, and their scores say little"
    ]


def _suggestions(model: FittedModel, items: np.ndarray, scores: np.ndarray) -> list[Suggestion]:
    return [
        Suggestion(model.items.ids[item].item(), title_of(model, int(item)), float(score))
        for item, score in zip(items, scores, strict=True)
        if item >= 0
    ]
