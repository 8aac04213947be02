"""Compute metrics of precomputed lists: of each user, in tiles of users, and of all lists together."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Integer

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._item_groups import measure_item_groups
from jaxrec.evaluation._judgments import Judgments
from jaxrec.metrics._diversity import Distance, distance_name, pair_distances
from jaxrec.metrics._exposure import exposure
from jaxrec.metrics._novelty import long_tail
from jaxrec.progress import work
from jaxrec.protocols import AllLists, Metric, UserList
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.reports._report import Report
from jaxrec.reports._values import ValueName

_TILE = 512  # users whose lists are measured at a time
_FAULT = ""  # names no metric: a distance that is not finite, where the caller has a distance of their own


class _Tables(NamedTuple):
    """What the metrics of a tile read besides its lists, on the device; None where no metric needs it."""

    relevant: SeenItems
    trained: jax.Array | None
    vectors: tuple[jax.Array, jax.Array] | None
    grades: tuple[jax.Array, jax.Array] | None
    popularity: jax.Array | None
    num_training_users: jax.Array | None
    long_tail: jax.Array | None
    categories: jax.Array | None


def measure_lists(lists: Integer[np.ndarray, "n K"], judged: Judgments) -> Report:
    """Measure lists that are there already, of all users with a test item.

    Args:
      lists: int32 [n, K], item indices of the lists of `judged.users`, best first, -1 for padding; K is at least the
        largest cutoff. What lies beyond it serves metrics that need depth.
      judged: what they are measured against.

    Returns:
      The report of `evaluate_scorer`, without the counts that need scores or a mask.

    Raises:
      MismatchError: lists of another number of users, or shorter than the largest cutoff.
      JaxrecError: a distance of the caller that is not finite.

    >>> from jaxrec.data import Interactions, seen_items
    >>> from jaxrec.evaluation import judgments
    >>> truth = Interactions.from_arrays([0, 1], [1, 0])
    >>> judged = judgments(truth, seen=seen_items(truth.select([])), k=1, metrics="recall")
    >>> measure_lists(np.array([[0, 1], [0, 1]], np.int32), judged).mean("recall@1")
    0.5
    """
    started = time.perf_counter()
    users, cutoffs, relevant, trained = judged.users, judged.cutoffs, judged.relevant, judged.trained
    if lists.ndim != 2 or len(lists) != len(users) or lists.shape[1] < cutoffs[-1]:
        raise MismatchError(
            f"lists has shape {lists.shape}, expected [{len(users)}, {cutoffs[-1]}] or longer lists: one for each user "
            "with a test item"
        )
    deep, lists = lists, lists[:, : cutoffs[-1]]
    per_user = _of_users(deep, judged)
    item_of_pair = relevant.items
    user_of_pair = np.repeat(np.arange(relevant.num_users), np.diff(relevant.indptr))
    counts = {
        "users_evaluated": len(users),
        "users_without_test_items": relevant.num_users - len(users),
        "users_untrained": int((~judged.trained_users[users]).sum()),
        "test_pairs": len(item_of_pair),
        "test_pairs_untrained": int((~trained[item_of_pair]).sum()),
        "users_with_untrained_test_items_only": len(users) - len(np.unique(user_of_pair[trained[item_of_pair]])),
        "test_pairs_disliked": disliked_pairs(judged.truth),
        "untrained_items": int((~trained).sum()),
        **{f"short_lists@{cut}": int((lists[:, cut - 1] < 0).sum()) for cut in cutoffs},
    }
    for metric in judged.of("user"):
        if "depth" in metric.needs:
            counts[f"short_lists_{metric.name}"] = int(((deep >= 0).sum(axis=1) < judged.sizes).sum())
    counts |= count_undefined(judged.of("user"), cutoffs, per_user)
    if (space := judged.space) is not None:
        counts["items_without_vector"] = int((~space.known).sum())
        listed = lists >= 0
        placed = listed & space.known[np.maximum(lists, 0)]
        for cut in cutoffs:
            counts[f"places_without_vector@{cut}"] = int((listed & ~placed)[:, :cut].sum())
            counts[f"undefined_ild@{cut}"] = int((placed[:, :cut].sum(axis=1) < 2).sum())
    overall = _of_all(lists, judged)
    if judged.item_groups is not None:
        popularity = None if judged.training is None else judged.training.popularity
        more, of_all = measure_item_groups(
            lists, users, relevant, judged.item_groups, cutoffs=cutoffs, popularity=popularity
        )
        per_user, overall = per_user | more, overall | of_all
    return Report(
        users=users,
        trained=judged.trained_users[users],
        bounds=bounds_by_name(judged.metrics, cutoffs),
        per_user=per_user,
        overall=overall,
        counts=counts,
        seconds=time.perf_counter() - started,
        catalogue=f"all {judged.num_items:,} items",
        space="" if space is None else f"{distance_name(judged.distance)} distance in {_described(space)}",
        setting=judged.setting,
        lower=frozenset(
            name for metric in judged.metrics if not metric.higher_is_better for name in value_names(metric, cutoffs)
        ),
    )


def disliked_pairs(truth: Interactions) -> int:
    """How many interactions have a rating of 0 or less, and are relevant all the same.

    >>> disliked_pairs(Interactions.from_arrays([0, 1], [0, 1], [1, -1]))
    1
    """
    return 0 if truth.rating is None else int((truth.rating <= 0).sum())


def _described(space: ItemSpace) -> str:
    return space.description + ("" if space.seed is None else f", key {list(space.seed)}")


def value_names(metric: Metric, cutoffs: Iterable[int]) -> list[str]:
    """The names of the values of a metric.

    >>> from jaxrec.evaluation._catalog import recall
    >>> value_names(recall, (1, 5))
    ['recall@1', 'recall@5']
    """
    return [str(ValueName(metric.name, cut)) for cut in (cutoffs if metric.at_k else (None,))]


def bounds_by_name(
    metrics: Iterable[Metric], cutoffs: Iterable[int], behind: str = ""
) -> dict[str, tuple[float, float]]:
    """The bounds of the values of metrics that say them.

    Args:
      metrics: some.
      cutoffs: lengths of the lists.
      behind: what stands behind each name.

    >>> from jaxrec.evaluation._catalog import recall
    >>> bounds_by_name([recall], (1,))
    {'recall@1': (0.0, 1.0)}
    """
    known = [(metric, bounds) for metric in metrics if (bounds := getattr(metric, "bounds", None)) is not None]
    return {name + behind: bounds for metric, bounds in known for name in value_names(metric, cutoffs)}


def count_undefined(
    metrics: Iterable[Metric], cutoffs: tuple[int, ...], per_user: dict[str, np.ndarray]
) -> dict[str, int]:
    """How many users have no value of the metrics that have such a count.

    >>> from jaxrec.evaluation._catalog import GradedNDCG
    >>> count_undefined([GradedNDCG()], (1,), {"graded_ndcg@1": np.array([np.nan, 1])})
    {'undefined_graded_ndcg': 1}
    """
    some = [metric for metric in metrics if metric.undefined]
    return {one.undefined: int(np.isnan(per_user[value_names(one, cutoffs)[0]]).sum()) for one in some}


def _of_users(lists: np.ndarray, judged: Judgments) -> dict[str, np.ndarray]:
    """Every value of every list, float32 [n] by name; `lists` is int32 [n, K]."""
    users, metrics, cutoffs, distance = judged.users, judged.of("user"), judged.cutoffs, judged.distance
    if not metrics:
        return {}
    if not judged.needs("depth"):
        lists = lists[:, : cutoffs[-1]]
    space, training = judged.space, judged.training
    deepest, depth = lists.shape[1], cutoffs[-1]
    width = 0 if space is None else space.rank
    bytes_each = 4 * (8 * deepest + depth * width) + (0 if space is None else 8 * depth * depth)
    bytes_each += 4 * depth + depth * depth if judged.needs("popular") else 0
    if callable(distance):  # it gets both vectors of every pair
        bytes_each += 4 * depth * depth * width
    if judged.needs("categories") and training is not None and training.item_categories is not None:
        bytes_each += 8 * depth * training.item_categories.shape[1]
    tile = int(max(1, min(_TILE, judged.memory_mb * 2**20 // bytes_each)))
    tables = _tables(judged)
    popular = judged.popular if judged.needs("popular") else None
    past = None if training is None else training.history
    history = None if past is None or tables.categories is None else past[users]
    # Rows are halved until they are empty, so as often as the longest has binary digits.
    halvings = np.int32(int(judged.sizes.max()).bit_length())
    parts = []
    with work("measuring", len(users), unit="users") as told:
        for start in range(0, len(users), tile):
            missing = max(start + tile - len(users), 0)
            some_lists, some_popular, some_history = (
                None
                if made is None
                else np.pad(made[start : start + tile], ((0, missing), (0, 0)), constant_values=made.dtype.type(fill))
                for made, fill in ((lists, -1), (popular, -1), (history, 0))
            )
            some_users = np.pad(users[start : start + tile], (0, missing))
            values = _measure_tile(
                some_lists, some_users, some_popular, some_history, tables, halvings,
                metrics=metrics, cutoffs=cutoffs, distance=distance,
            )  # fmt: skip
            parts.append({name: array[: tile - missing] for name, array in jax.device_get(values).items()})
            if _FAULT in parts[-1]:
                _check_distances(parts[-1][_FAULT], users[start : start + tile], distance)
            told.advance(tile - missing)
    # A dictionary comes back from a compiled program with its names sorted; the caller's order reads better.
    names = [name for metric in metrics for name in value_names(metric, cutoffs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _tables(judged: Judgments) -> _Tables:
    relevant, space, training = judged.relevant, judged.space, judged.training
    grades = None
    if judged.needs("grades"):
        # The grades of each user's relevant items from the highest down, in the rows of `relevant`.
        owner = np.repeat(np.arange(relevant.num_users), np.diff(relevant.indptr))
        best = judged.grades[np.lexsort((-judged.grades, owner))]
        grades = (jnp.asarray(judged.grades), jnp.asarray(best))
    popularity = num_users = tail = categories = None
    if training is not None and judged.needs("training"):
        popularity, num_users = jnp.asarray(training.popularity), jnp.asarray(np.int32(training.num_users))
        tail = long_tail(popularity)
    if training is not None and training.item_categories is not None and judged.needs("categories"):
        categories = jnp.asarray(training.item_categories)
    vectors = None
    if space is not None and judged.needs("vectors"):
        vectors = (jnp.asarray(space.vectors), jnp.asarray(space.known))
    return _Tables(
        SeenItems(jnp.asarray(relevant.indptr), jnp.asarray(relevant.items)),
        jnp.asarray(judged.trained) if judged.needs("trained") else None,
        vectors,
        grades,
        popularity,
        num_users,
        tail,
        categories,
    )


@functools.partial(jax.jit, static_argnames=("metrics", "cutoffs", "distance"))
def _measure_tile(
    lists: jax.Array,
    users: jax.Array,
    popular: jax.Array | None,
    history: jax.Array | None,
    tables: _Tables,
    halvings: jax.Array,
    *,
    metrics: tuple[Metric, ...],
    cutoffs: tuple[int, ...],
    distance: Distance,
) -> dict[str, jax.Array]:
    indptr, items = (jnp.asarray(array) for array in tables.relevant)
    depth, trained = cutoffs[-1], tables.trained
    # How many of the first entries are trained, so that a difference counts those of a row.
    before = None if trained is None else jnp.cumsum(jnp.pad(trained[items].astype(jnp.int32), (1, 0)), dtype=jnp.int32)

    def one_user(
        deep: jax.Array, user: jax.Array, expected: jax.Array | None, past: jax.Array | None
    ) -> dict[str, jax.Array]:
        first, last = indptr[user], indptr[user + 1]
        found, place = jax.vmap(lambda item: _find(items, first, last, item, halvings))(jnp.maximum(deep, 0))
        deep_hits = (deep >= 0) & found
        listed, hits, place = deep[:depth], deep_hits[:depth], place[:depth]
        real, at = listed >= 0, jnp.maximum(listed, 0)
        view = UserList(
            hits, last - first, listed, popular=expected, deep_hits=deep_hits,
            popularity=tables.popularity, num_training_users=tables.num_training_users, long_tail=tables.long_tail,
            categories=tables.categories, history=past,
        )  # fmt: skip
        values = {}
        if trained is not None and before is not None:
            view = view._replace(trained=real & trained[at], num_relevant_trained=before[last] - before[first])
        if tables.grades is not None:
            grades, best = tables.grades
            # The best places of the user's row; what lies behind its end belongs to beyond.
            ideal = first + jnp.arange(depth, dtype=jnp.int32)
            ideal = jnp.where(ideal < last, best[jnp.minimum(ideal, items.shape[0] - 1)], np.float32(0))
            view = view._replace(grades=jnp.where(hits, grades[place], np.float32(0)), ideal_grades=ideal)
        if tables.vectors is not None:
            placed = real & tables.vectors[1][at]
            # The distances are taken once; a shorter list is the upper left corner of the table.
            vectors = jnp.where(placed[:, None], tables.vectors[0][at], np.float32(0))
            between = pair_distances(vectors, distance=distance)
            view = view._replace(vectors=vectors, placed=placed, distances=between)
            if callable(distance):  # NaN would be taken for "leave out"
                pairs = placed[:, None] & placed[None, :] & ~jnp.isfinite(between)
                values[_FAULT] = jnp.sum(jnp.where(pairs, between, np.float32(0)))
        for metric in metrics:
            for cut in cutoffs if metric.at_k else (None,):
                value = jnp.asarray(metric(view, k=cut))
                if value.shape != ():
                    raise MismatchError(
                        f"the metric {metric.name!r} gives shape {value.shape} for a user, expected one number"
                    )
                values[str(ValueName(metric.name, cut))] = value.astype(jnp.float32)
        return values

    return jax.vmap(one_user)(lists, users, popular, history)


def _check_distances(worst: np.ndarray, users: np.ndarray, distance: Distance) -> None:
    if (bad := ~np.isfinite(worst)).any():
        raise JaxrecError(
            f"distance {distance_name(distance)} gives {worst[bad][0]} for the list of user {users[bad][0]}, and "
            f"{int(bad.sum()) - 1:,} more; give a finite number for every two items, also for vectors of zeros"
        )


def _of_all(lists: np.ndarray, judged: Judgments) -> dict[str, float]:
    """The values of all lists together."""
    metrics = judged.of("lists")
    popularity = None
    if judged.training is not None and any("training" in metric.needs for metric in metrics):
        popularity = jnp.asarray(judged.training.popularity)
    values = jax.device_get(
        _measure_all(lists, popularity, metrics=metrics, cutoffs=judged.cutoffs, num_items=judged.num_items)
    )
    names = [name for metric in metrics for name in value_names(metric, judged.cutoffs)]
    return {name: float(values[name]) for name in names}


@functools.partial(jax.jit, static_argnames=("metrics", "cutoffs", "num_items"))
def _measure_all(
    lists: jax.Array,
    popularity: jax.Array | None,
    *,
    metrics: tuple[Metric, ...],
    cutoffs: tuple[int, ...],
    num_items: int,
) -> dict[str, jax.Array]:
    values = {}
    for cut in cutoffs:
        view = AllLists(lists[:, :cut], exposure(lists[:, :cut], num_items), popularity)
        for metric in metrics:
            if metric.at_k or cut == cutoffs[-1]:
                name = str(ValueName(metric.name, cut if metric.at_k else None))
                values[name] = jnp.asarray(metric(view, k=cut if metric.at_k else None)).astype(jnp.float32)
    return values


def _find(
    items: jax.Array, first: jax.Array, last: jax.Array, item: jax.Array, halvings: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Whether an item is in the ascending `items[first:last]`, by binary search, and where."""

    def halve(_: jax.Array, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        below = (low < high) & (items[middle] < item)
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    low, _ = lax.fori_loop(jnp.int32(0), halvings, halve, (first, last))
    place = jnp.minimum(low, last - 1)
    return (low < last) & (items[place] == item), place
