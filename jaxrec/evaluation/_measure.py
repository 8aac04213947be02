"""The measuring of lists that are there already: metrics of each user, in tiles of users, and counts."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._beyond import NAMES, TrainingFacts, measure_beyond
from jaxrec.evaluation._item_groups import measure_item_groups
from jaxrec.evaluation._metric_names import GRADED, OF_LISTS, check_needs, grades_of
from jaxrec.metrics._diversity import (
    Distance,
    catalogue_coverage,
    distance_name,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics._novelty import serendipity
from jaxrec.metrics._ranking import RANKING_METRICS, RankingMetric, graded_ndcg, precision, r_precision
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.reports._groups import Groups
from jaxrec.reports._report import Report

_TILE = 512  # users whose lists are measured at a time


def measure_lists(
    lists: np.ndarray,
    users: np.ndarray,
    truth: Interactions,
    *,
    trained: np.ndarray,
    cutoffs: tuple[int, ...],
    functions: Mapping[str, RankingMetric],
    beyond: Sequence[str] = (),
    facts: TrainingFacts | None = None,
    popular: np.ndarray | None = None,
    item_groups: Groups | None = None,
    space: ItemSpace | None = None,
    distance: Distance = "euclidean",
    memory_mb: float = 256,
) -> Report:
    """Measure lists that are there already, of all users with a test item.

    Args:
      lists: int32 [n, K], item indices, best first, -1 for padding; K is at least the largest cutoff. What lies beyond
        it serves "r_precision" alone.
      users: int32 [n], every user with a test item, ascending.
      truth: the test part.
      trained: bool [I], the items with training data.
      cutoffs: ascending lengths.
      functions: of hits, and the names of all other metrics in `beyond`; see `split_metrics`.
      beyond: of `jaxrec.evaluation.NAMES` and `jaxrec.evaluation.OF_LISTS`.
      facts: of the training data, which some of them need.
      popular: int32 [n, P], the most popular items that could be recommended to each user, for "serendipity"; P is at
        least the largest cutoff.
      item_groups: of the I items, by index.
      space: as in `evaluate_scorer`.
      distance: as in `evaluate_scorer`.
      memory_mb: bound for the measuring, in MiB.

    Returns:
      The report of `evaluate_scorer`, without the counts that need scores or a mask.

    Raises:
      JaxrecError: a metric that needs scores, training data, categories or ratings that are not there.
      DataError: negative or contradicting ratings where a metric takes them as gains.
      MismatchError: `popular` is missing, or of other users or shorter than the largest cutoff.

    >>> truth = Interactions.from_arrays([0, 1], [1, 0])
    >>> lists, users = np.array([[0, 1], [0, 1]], np.int32), np.arange(2, dtype=np.int32)
    >>> trained, functions = np.ones(2, bool), {"recall": RANKING_METRICS["recall"]}
    >>> measure_lists(lists, users, truth, trained=trained, cutoffs=(1,), functions=functions).mean("recall@1")
    0.5
    """
    started = time.perf_counter()
    check_needs(beyond, truth, facts, scores=False)
    relevant = seen_items(truth)
    of_lists = tuple(name for name in beyond if name in OF_LISTS)
    graded = [name for name in of_lists if name in GRADED]
    deep, lists = lists, lists[:, : cutoffs[-1]]
    per_user = _measure_lists(
        deep,
        users,
        relevant,
        trained,
        space,
        grades=grades_of(truth) if graded else None,
        popular=_check_popular(popular, len(users), cutoffs) if "serendipity" in beyond else None,
        functions=functions,
        of_lists=of_lists,
        cutoffs=cutoffs,
        distance=distance,
        memory_mb=memory_mb,
    )
    item_of_pair = relevant.items
    user_of_pair = np.repeat(np.arange(truth.num_users), np.diff(relevant.indptr))
    counts = {
        "users_evaluated": len(users),
        "users_without_test_items": truth.num_users - len(users),
        "test_pairs": len(item_of_pair),
        "test_pairs_untrained": int((~trained[item_of_pair]).sum()),
        "users_with_untrained_test_items_only": len(users) - len(np.unique(user_of_pair[trained[item_of_pair]])),
        "untrained_items": int((~trained).sum()),
        **{f"short_lists@{cut}": int((lists[:, cut - 1] < 0).sum()) for cut in cutoffs},
    }
    if "r_precision" in beyond:
        listed = (deep >= 0).sum(axis=1)
        counts["short_lists_r_precision"] = int((listed < np.diff(relevant.indptr)[users]).sum())
    if graded:
        counts["undefined_graded_ndcg"] = int(np.isnan(per_user[f"{graded[0]}@{cutoffs[0]}"]).sum())
    if space is not None:
        counts["items_without_vector"] = int((~space.known).sum())
        listed = lists >= 0
        placed = listed & space.known[np.maximum(lists, 0)]
        for cut in cutoffs:
            counts[f"places_without_vector@{cut}"] = int((listed & ~placed)[:, :cut].sum())
            counts[f"undefined_ild@{cut}"] = int((placed[:, :cut].sum(axis=1) < 2).sum())
    num_items = truth.num_items
    coverage = jax.device_get(_coverage(lists, cutoffs=cutoffs, num_items=num_items))
    overall = {f"coverage@{cut}": float(value) for cut, value in zip(cutoffs, coverage, strict=True)}
    if without_truth := [name for name in beyond if name in NAMES]:
        more, of_all = measure_beyond(without_truth, lists, users, num_items=num_items, facts=facts, cutoffs=cutoffs)
        per_user, overall = per_user | more, overall | of_all
    if item_groups is not None:
        popularity = None if facts is None else facts.popularity
        more, of_all = measure_item_groups(lists, users, relevant, item_groups, cutoffs=cutoffs, popularity=popularity)
        per_user, overall = per_user | more, overall | of_all
    return Report(
        users=users,
        per_user=per_user,
        overall=overall,
        counts=counts,
        seconds=time.perf_counter() - started,
        catalogue=f"all {num_items:,} items",
        space="" if space is None else f"{distance_name(distance)} distance in {space.description}" + _seed(space),
    )


def _check_popular(popular: np.ndarray | None, num_lists: int, cutoffs: tuple[int, ...]) -> np.ndarray:
    shape = None if popular is None else popular.shape
    if popular is None or popular.ndim != 2 or len(popular) != num_lists or popular.shape[1] < cutoffs[-1]:
        raise MismatchError(
            f"popular has shape {shape}, expected [{num_lists}, {cutoffs[-1]}] or longer lists: the most popular items "
            "of each user, which 'serendipity' needs"
        )
    return popular[:, : cutoffs[-1]]


def _seed(space: ItemSpace) -> str:
    return "" if space.seed is None else f", key {list(space.seed)}"


def _measure_lists(
    lists: np.ndarray,
    users: np.ndarray,
    relevant: SeenItems,
    trained: np.ndarray,
    space: ItemSpace | None,
    *,
    grades: np.ndarray | None,
    popular: np.ndarray | None,
    functions: Mapping[str, RankingMetric],
    of_lists: tuple[str, ...],
    cutoffs: tuple[int, ...],
    distance: Distance,
    memory_mb: float,
) -> dict[str, np.ndarray]:
    """Every value of every list, float32 [n] by name; `lists` is int32 [n, K] for the n users."""
    if "r_precision" not in of_lists:
        lists = lists[:, : cutoffs[-1]]
    deepest, depth = lists.shape[1], cutoffs[-1]
    width = 0 if space is None else space.rank
    per_user = 4 * (8 * deepest + depth * width) + (0 if space is None else 8 * depth * depth)
    per_user += 0 if popular is None else 4 * depth + depth * depth
    if callable(distance):  # it gets both vectors of every pair
        per_user += 4 * depth * depth * width
    tile = int(max(1, min(_TILE, memory_mb * 2**20 // per_user)))
    rows = SeenItems(jnp.asarray(relevant.indptr), jnp.asarray(relevant.items))
    on_device = jnp.asarray(trained)
    vectors = None if space is None else (jnp.asarray(space.vectors), jnp.asarray(space.known))
    gains = None if grades is None else (jnp.asarray(grades), jnp.asarray(_best_first(grades, relevant)))
    # Rows are halved until they are empty, so as often as the longest has binary digits.
    halvings = np.int32(int(np.diff(relevant.indptr).max()).bit_length())
    parts = []
    for start in range(0, len(users), tile):
        missing = max(start + tile - len(users), 0)
        some_lists, some_popular = (
            None if made is None else np.pad(made[start : start + tile], ((0, missing), (0, 0)), constant_values=-1)
            for made in (lists, popular)
        )
        values = _measure_tile(
            some_lists,
            np.pad(users[start : start + tile], (0, missing)),
            rows,
            on_device,
            vectors,
            gains,
            some_popular,
            halvings,
            functions=tuple(functions.items()),
            of_lists=of_lists,
            cutoffs=cutoffs,
            distance=distance,
        )
        parts.append({name: array[: tile - missing] for name, array in jax.device_get(values).items()})
        if callable(distance):  # NaN would be taken for "leave out"
            _check_distances(parts[-1], users[start : start + tile], distance)
    # A dictionary comes back from a compiled program with its names sorted; the caller's order reads better.
    order = [*functions, "recall_known", *of_lists, "ild"]

    def place(name: str) -> tuple[int, int]:
        kind, _, cut = name.rpartition("@")
        return (order.index(kind), int(cut)) if kind else (order.index(name), 0)

    return {name: np.concatenate([part[name] for part in parts]) for name in sorted(parts[0], key=place)}


def _best_first(grades: np.ndarray, relevant: SeenItems) -> np.ndarray:
    """The grades [E] of each user's relevant items from the highest down, in the rows of `relevant`."""
    owner = np.repeat(np.arange(relevant.num_users), np.diff(np.asarray(relevant.indptr)))
    return grades[np.lexsort((-grades, owner))]


def _check_distances(values: Mapping[str, np.ndarray], users: np.ndarray, distance: Distance) -> None:
    for name, array in values.items():
        if name.startswith("ild@") and (bad := ~np.isfinite(array)).any():
            raise JaxrecError(
                f"distance {distance_name(distance)} gives {array[bad][0]} for the list of user {users[bad][0]}, and "
                f"{int(bad.sum()) - 1:,} more; give a finite number for every two items, also for vectors of zeros"
            )


@functools.partial(jax.jit, static_argnames=("functions", "of_lists", "cutoffs", "distance"))
def _measure_tile(
    lists: jax.Array,
    users: jax.Array,
    relevant: SeenItems,
    trained: jax.Array,
    vectors: tuple[jax.Array, jax.Array] | None,
    gains: tuple[jax.Array, jax.Array] | None,
    popular: jax.Array | None,
    halvings: jax.Array,
    *,
    functions: tuple[tuple[str, RankingMetric], ...],
    of_lists: tuple[str, ...],
    cutoffs: tuple[int, ...],
    distance: Distance,
) -> dict[str, jax.Array]:
    indptr, items = (jnp.asarray(array) for array in relevant)
    depth = cutoffs[-1]
    # How many of the first entries are trained, so that a difference counts those of a row.
    trained_before = jnp.cumsum(jnp.pad(trained[items].astype(jnp.int32), (1, 0)), dtype=jnp.int32)

    def one_user(deep: jax.Array, user: jax.Array, expected: jax.Array | None) -> dict[str, jax.Array]:
        first, last = indptr[user], indptr[user + 1]
        found, place = jax.vmap(lambda item: _find(items, first, last, item, halvings))(jnp.maximum(deep, 0))
        deep_hits = (deep >= 0) & found
        listed, hits, place = deep[:depth], deep_hits[:depth], place[:depth]
        real, at = listed >= 0, jnp.maximum(listed, 0)
        values = {
            f"{name}@{cut}": jnp.asarray(function(hits, last - first, k=cut)).astype(jnp.float32)
            for name, function in functions
            for cut in cutoffs
        }
        if any(function is RANKING_METRICS["recall"] for _, function in functions):
            num_trained = trained_before[last] - trained_before[first]
            for cut in cutoffs:
                value = RANKING_METRICS["recall"](hits & trained[at], num_trained, k=cut)
                values[f"recall_known@{cut}"] = jnp.where(num_trained > 0, value, jnp.nan)
        for name in of_lists:
            if name == "r_precision":
                values[name] = r_precision(deep_hits, last - first)
                continue
            for cut in cutoffs:
                if name == "precision_length":
                    length = jnp.sum(real, dtype=jnp.int32)
                    value = precision(hits, last - first, k=cut, over="length", length=length)
                elif name == "serendipity":
                    assert expected is not None
                    value = serendipity(hits[:cut], listed[:cut], expected[:cut])
                else:
                    assert gains is not None
                    grades, best = gains
                    own = jnp.where(hits, grades[place], np.float32(0))
                    # The best places of the user's row; what lies behind its end belongs to beyond.
                    ideal = first + jnp.arange(depth, dtype=jnp.int32)
                    ideal = jnp.where(ideal < last, best[jnp.minimum(ideal, items.shape[0] - 1)], np.float32(0))
                    value = graded_ndcg(own, ideal, k=cut, gain=GRADED[name])
                    value = jnp.where(ideal[0] > 0, value, jnp.nan)
                values[f"{name}@{cut}"] = value
        if vectors is not None:
            placed = real & vectors[1][at]
            # The distances are taken once; a shorter list is the upper left corner of the table.
            table = pair_distances(jnp.where(placed[:, None], vectors[0][at], np.float32(0)), distance=distance)
            for cut in cutoffs:
                values[f"ild@{cut}"] = mean_pair_distance(table[:cut, :cut], placed[:cut])
        return values

    return jax.vmap(one_user)(lists, users, popular)


@functools.partial(jax.jit, static_argnames=("cutoffs", "num_items"))
def _coverage(lists: jax.Array, *, cutoffs: tuple[int, ...], num_items: int) -> list[jax.Array]:
    return [catalogue_coverage(lists[:, :cut], num_items) for cut in cutoffs]


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
