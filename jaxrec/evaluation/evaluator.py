"""The evaluator: one ranking of the whole catalogue for every user with a test item, and all metrics from it."""

from __future__ import annotations

import dataclasses
import functools
import time
import types
import warnings
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.data.interactions import Interactions
from jaxrec.data.seen import SeenItems, seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation.beyond import NAMES, TrainingFacts, check_facts, check_names, measure_beyond, popularity_of
from jaxrec.evaluation.item_space import ItemSpace
from jaxrec.evaluation.report import Report
from jaxrec.evaluation.topk import check_list_length, check_seen, recommend_lists
from jaxrec.metrics.diversity import (
    Distance,
    catalogue_coverage,
    check_distance,
    distance_name,
    mean_pair_distance,
    pair_distances,
)
from jaxrec.metrics.ranking import RANKING_METRICS, RankingMetric
from jaxrec.types import Scorer

Metrics = Sequence[str] | Mapping[str, RankingMetric]
_DEFAULT_METRICS = ("recall", "precision", "ndcg")
_TILE = 512  # users whose lists are measured at a time
_TIE_DEPTH = 10  # lists are ranked this deep at least, since the first few places may tie in a sound model


def evaluate_scorer(
    scorer: Scorer,
    truth: Interactions,
    *,
    seen: SeenItems,
    k: int | Sequence[int] = (10, 20),
    metrics: Metrics = _DEFAULT_METRICS,
    space: ItemSpace | None = None,
    distance: Distance = "euclidean",
    known: np.ndarray | None = None,
    facts: TrainingFacts | None = None,
    memory_mb: float = 256,
    masked: str = "",
    fitted: str = "",
    catalogue: str = "",
) -> Report:
    """Rank the whole catalogue for every user with a test item, and measure the lists.

    Users without a test item are left out and counted. Test items without training data stay in the denominator of
    every metric; "recall_known@k", given whenever recall is, is the recall without them, over the users who have
    another test item (NaN for the rest, which means leave out). Nothing depends on the memory or on the order of the
    interactions, except where the scores themselves do (see `recommend_lists`).

    The distance of a list ("ild@k", given with a `space`) is over its items that have a vector; a list with fewer than
    two of them has 0, stays in the mean, and is counted.

    The counts of the report: `users_evaluated`; `users_without_test_items`; `test_pairs`; `test_pairs_untrained` (their
    item has no training data) and `users_with_untrained_test_items_only`; `test_pairs_masked` (masked as seen, so they
    cannot be found); `untrained_items`; `short_lists@k` (padded: fewer than k items were left); `tied_lists` (one score
    from first to last, ten places deep at least); and with a space `items_without_vector`, `places_without_vector@k`,
    `undefined_ild@k` (fewer than two items with a vector).

    Args:
      scorer: the model, see `jaxrec.types.Scorer`.
      truth: the test part; a pair that occurs twice counts once.
      seen: the items that are masked for each user: those of the training part when validation is measured, those of
        the training and validation parts when the test is.
      k: length of the lists, or several, all cut from one ranking.
      metrics: names from `jaxrec.metrics.RANKING_METRICS` and `jaxrec.evaluation.beyond.NAMES`, or a mapping from a
        name of your own to a function `(hits [K], num_relevant [], *, k) -> float32 []` of one user, which is lifted
        by `jax.vmap`.
      space: item vectors that all compared models share; None measures no distance.
      distance: "euclidean" or "cosine" in that space, or a function `(x [r], y [r]) -> number []` of two of its
        vectors, which is lifted by `jax.vmap`; see `jaxrec.metrics.pair_distances`.
      known: bool [I], the items with training data; by default those that occur in `seen`.
      facts: of the training data, for metrics beyond accuracy; by default popularity is counted in `seen`.
      memory_mb: bound in MiB for the ranking (see `recommend_lists`), and again for the measuring.
      masked: what `seen` is, in words, for the report.
      fitted: what the model was fitted on, in words.
      catalogue: what could be recommended, in words; by default all items.

    Returns:
      The report, with users in ascending order.

    Raises:
      DataError: `truth` is empty.
      MismatchError: scorer, truth, seen, space, known or facts are of different users or items.
      JaxrecError: an unknown metric or distance; a k below 1 or above I; a score that is NaN or +inf; a function that
        gives a distance that is not finite.

    Warns:
      UserWarning: more than half of the lists have one score from first to last. Their order is that of the item
      indices, which is not neutral: data sets often list popular items first.

    >>> from jaxrec.data.seen import seen_items
    >>> from jaxrec.evaluation.topk import TableScorer
    >>> train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 2, 3])
    >>> test = train.select([1, 3])
    >>> table = TableScorer(jnp.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]))
    >>> report = evaluate_scorer(table, test, seen=seen_items(train.select([0, 2])), k=(1, 3), metrics=["recall"])
    >>> report.mean("recall@1"), report.mean("recall@3")
    (0.5, 1.0)
    """
    started = time.perf_counter()
    num_items = truth.num_items
    cutoffs = _check_cutoffs(k, num_items)
    functions, beyond = split_metrics(metrics)
    check_distance(distance)
    _check_shapes(scorer, truth, seen, space)
    seen = SeenItems(np.asarray(seen.indptr), np.asarray(seen.items))
    trained = _trained_items(seen, known, num_items)
    facts = popularity_of(seen, num_items) if facts is None else facts
    check_names(beyond, facts)
    check_facts(facts, truth.num_users, num_items)
    relevant = seen_items(truth)
    users = np.flatnonzero(np.diff(relevant.indptr)).astype(np.int32)

    depth = min(max(*cutoffs, _TIE_DEPTH), num_items)
    lists, scores = recommend_lists(scorer, users, depth, seen=seen, memory_mb=memory_mb)
    tied = _tied_lists(scores)
    if 2 * tied > len(users):
        warnings.warn(
            f"{tied:,} of {len(users):,} lists have one score from first to last: the scorer does not tell items "
            "apart, and the order of the item indices decides; these figures say nothing about it",
            UserWarning,
            stacklevel=2,
        )
    report = measure_lists(
        lists,
        users,
        truth,
        trained=trained,
        cutoffs=cutoffs,
        functions=functions,
        beyond=beyond,
        facts=facts,
        space=space,
        distance=distance,
        memory_mb=memory_mb,
    )
    return dataclasses.replace(
        report,
        counts={
            **report.counts,
            "test_pairs_masked": _count_common(relevant, seen, num_items),
            "tied_lists": tied,
        },
        seconds=time.perf_counter() - started,
        masked=masked,
        fitted=fitted,
        catalogue=catalogue or report.catalogue,
    )


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
    space: ItemSpace | None = None,
    distance: Distance = "euclidean",
    memory_mb: float = 256,
) -> Report:
    """Measure lists that are there already, of all users with a test item.

    Args:
      lists: int32 [n, K], item indices, best first, -1 for padding; K is at least the largest cutoff.
      users: int32 [n], every user with a test item, ascending.
      truth: the test part.
      trained: bool [I], the items with training data.
      cutoffs: ascending lengths.
      functions: of accuracy, and the names of metrics beyond accuracy in `beyond`; see `split_metrics`.
      beyond: of `jaxrec.evaluation.beyond.NAMES`.
      facts: of the training data, which some of them need.
      space: as in `evaluate_scorer`.
      distance: as in `evaluate_scorer`.
      memory_mb: bound for the measuring, in MiB.

    Returns:
      The report of `evaluate_scorer`, without the counts that need scores or a mask.

    >>> truth = Interactions.from_arrays([0, 1], [1, 0])
    >>> lists, users = np.array([[0, 1], [0, 1]], np.int32), np.arange(2, dtype=np.int32)
    >>> trained, functions = np.ones(2, bool), resolve_metrics(["recall"])
    >>> measure_lists(lists, users, truth, trained=trained, cutoffs=(1,), functions=functions).mean("recall@1")
    0.5
    """
    started = time.perf_counter()
    relevant = seen_items(truth)
    per_user = _measure_lists(
        lists,
        users,
        relevant,
        trained,
        space,
        functions=functions,
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
    if beyond:
        more, of_all = measure_beyond(beyond, lists, users, num_items=num_items, facts=facts, cutoffs=cutoffs)
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


def split_metrics(metrics: Metrics) -> tuple[Mapping[str, RankingMetric], tuple[str, ...]]:
    """The functions of accuracy, and the names of metrics beyond accuracy.

    Raises:
      JaxrecError: see `resolve_metrics`.

    >>> functions, beyond = split_metrics(["recall", "novelty"])
    >>> list(functions), beyond
    (['recall'], ('novelty',))
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    if isinstance(metrics, Mapping):
        return resolve_metrics(metrics), ()
    beyond = tuple(name for name in metrics if name in NAMES)
    others = [name for name in metrics if name not in NAMES]
    return resolve_metrics(others) if others or not beyond else {}, beyond


def resolve_metrics(metrics: Metrics) -> Mapping[str, RankingMetric]:
    """The functions behind the names of metrics; a mapping is returned as it is, once checked.

    Raises:
      JaxrecError: an unknown name, a value that is no function, or no metric.

    >>> list(resolve_metrics(["recall", "f1"]))
    ['recall', 'f1']
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    if not metrics:
        raise JaxrecError("metrics is empty; name at least one, for example 'recall'")
    if isinstance(metrics, Mapping):
        for name, function in metrics.items():
            if not isinstance(name, str) or not callable(function):
                raise JaxrecError(f"metric {name!r} is {function!r}; pass a mapping from a name to a function")
        return types.MappingProxyType(dict(metrics))
    unknown = [name for name in metrics if name not in RANKING_METRICS]
    if unknown:
        raise JaxrecError(
            f"unknown metric {unknown[0]!r}; choose from {', '.join((*RANKING_METRICS, *NAMES))}, or pass "
            "{name: function}"
        )
    return types.MappingProxyType({name: RANKING_METRICS[name] for name in metrics})


def _check_cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    cutoffs = tuple(k) if isinstance(k, Sequence) else (k,)
    if not cutoffs:
        raise JaxrecError("k is empty; pass at least one length, for example (10, 20)")
    for cut in cutoffs:
        check_list_length(cut, num_items)
    return tuple(sorted({int(cut) for cut in cutoffs}))


def _check_shapes(scorer: Scorer, truth: Interactions, seen: SeenItems, space: ItemSpace | None) -> None:
    if (scorer.num_users, scorer.num_items) != (truth.num_users, truth.num_items):
        raise MismatchError(
            f"the scorer is of {scorer.num_users:,} users and {scorer.num_items:,} items, and truth of "
            f"{truth.num_users:,} and {truth.num_items:,}; evaluate a model on the split that it was made for"
        )
    check_seen(seen, truth.num_users, truth.num_items)
    if space is not None and space.num_items != truth.num_items:
        raise MismatchError(
            f"space has {space.num_items:,} items and truth {truth.num_items:,}; make it from one split"
        )
    if not len(truth):
        raise DataError(
            "truth has no interaction; there is nothing to evaluate on, choose a split with a larger test part"
        )


def _trained_items(seen: SeenItems, known: np.ndarray | None, num_items: int) -> np.ndarray:
    if known is None:
        return np.bincount(np.asarray(seen.items), minlength=num_items) > 0
    known = np.asarray(known)
    if known.shape != (num_items,) or known.dtype != bool:
        raise MismatchError(f"known is {known.dtype}{list(known.shape)}, expected bool[{num_items}]: one entry an item")
    return known


def _tied_lists(scores: np.ndarray) -> int:
    """How many lists of at least two items have one score throughout; scores are float32 [n, K], -inf is padding."""
    length = np.isfinite(scores).sum(axis=1)
    last = scores[np.arange(len(scores)), np.maximum(length, 1) - 1]
    return int(((length >= 2) & (scores[:, 0] == last)).sum())


def _count_common(a: SeenItems, b: SeenItems, num_items: int) -> int:
    pairs = [
        np.repeat(np.arange(rows.num_users, dtype=np.int64), np.diff(rows.indptr)) * num_items + np.asarray(rows.items)
        for rows in (a, b)
    ]
    return len(np.intersect1d(*pairs, assume_unique=True))


def _seed(space: ItemSpace) -> str:
    return "" if space.seed is None else f", key {list(space.seed)}"


def _measure_lists(
    lists: np.ndarray,
    users: np.ndarray,
    relevant: SeenItems,
    trained: np.ndarray,
    space: ItemSpace | None,
    *,
    functions: Mapping[str, RankingMetric],
    cutoffs: tuple[int, ...],
    distance: Distance,
    memory_mb: float,
) -> dict[str, np.ndarray]:
    """Every value of every list, float32 [n] by name; `lists` is int32 [n, K] for the n users."""
    depth = lists.shape[1]
    width = 0 if space is None else space.rank
    per_user = 4 * depth * (8 + width) + (0 if space is None else 8 * depth * depth)
    if callable(distance):  # it gets both vectors of every pair
        per_user += 4 * depth * depth * width
    tile = int(max(1, min(_TILE, memory_mb * 2**20 // per_user)))
    rows = SeenItems(jnp.asarray(relevant.indptr), jnp.asarray(relevant.items))
    on_device = jnp.asarray(trained)
    vectors = None if space is None else (jnp.asarray(space.vectors), jnp.asarray(space.known))
    # Rows are halved until they are empty, so as often as the longest has binary digits.
    halvings = np.int32(int(np.diff(relevant.indptr).max()).bit_length())
    parts = []
    for start in range(0, len(users), tile):
        missing = max(start + tile - len(users), 0)
        some_lists = np.pad(lists[start : start + tile], ((0, missing), (0, 0)), constant_values=-1)
        some_users = np.pad(users[start : start + tile], (0, missing))
        values = _measure_tile(
            some_lists,
            some_users,
            rows,
            on_device,
            vectors,
            halvings,
            functions=tuple(functions.items()),
            cutoffs=cutoffs,
            distance=distance,
        )
        parts.append({name: array[: tile - missing] for name, array in jax.device_get(values).items()})
        if callable(distance):  # NaN would be taken for "leave out"
            _check_distances(parts[-1], users[start : start + tile], distance)
    # A dictionary comes back from a compiled program with its names sorted; the caller's order reads better.
    order = [*functions, "recall_known", "ild"]
    names = sorted(parts[0], key=lambda name: (order.index(name.rpartition("@")[0]), int(name.rpartition("@")[2])))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _check_distances(values: Mapping[str, np.ndarray], users: np.ndarray, distance: Distance) -> None:
    for name, array in values.items():
        if name.startswith("ild@") and (bad := ~np.isfinite(array)).any():
            raise JaxrecError(
                f"distance {distance_name(distance)} gives {array[bad][0]} for the list of user {users[bad][0]}, and "
                f"{int(bad.sum()) - 1:,} more; give a finite number for every two items, also for vectors of zeros"
            )


@functools.partial(jax.jit, static_argnames=("functions", "cutoffs", "distance"))
def _measure_tile(
    lists: jax.Array,
    users: jax.Array,
    relevant: SeenItems,
    trained: jax.Array,
    vectors: tuple[jax.Array, jax.Array] | None,
    halvings: jax.Array,
    *,
    functions: tuple[tuple[str, RankingMetric], ...],
    cutoffs: tuple[int, ...],
    distance: Distance,
) -> dict[str, jax.Array]:
    indptr, items = (jnp.asarray(array) for array in relevant)
    # How many of the first entries are trained, so that a difference counts those of a row.
    trained_before = jnp.cumsum(jnp.pad(trained[items].astype(jnp.int32), (1, 0)), dtype=jnp.int32)

    def one_user(listed: jax.Array, user: jax.Array) -> dict[str, jax.Array]:
        first, last = indptr[user], indptr[user + 1]
        real, at = listed >= 0, jnp.maximum(listed, 0)
        hits = real & jax.vmap(lambda item: _is_in(items, first, last, item, halvings))(at)
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
        if vectors is not None:
            placed = real & vectors[1][at]
            # The distances are taken once; a shorter list is the upper left corner of the table.
            table = pair_distances(jnp.where(placed[:, None], vectors[0][at], np.float32(0)), distance=distance)
            for cut in cutoffs:
                values[f"ild@{cut}"] = mean_pair_distance(table[:cut, :cut], placed[:cut])
        return values

    return jax.vmap(one_user)(lists, users)


@functools.partial(jax.jit, static_argnames=("cutoffs", "num_items"))
def _coverage(lists: jax.Array, *, cutoffs: tuple[int, ...], num_items: int) -> list[jax.Array]:
    return [catalogue_coverage(lists[:, :cut], num_items) for cut in cutoffs]


def _is_in(items: jax.Array, first: jax.Array, last: jax.Array, item: jax.Array, halvings: jax.Array) -> jax.Array:
    """Whether an item is in the ascending `items[first:last]`, by binary search."""

    def halve(_: jax.Array, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        below = (low < high) & (items[middle] < item)
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    low, _ = lax.fori_loop(jnp.int32(0), halvings, halve, (first, last))
    return (low < last) & (items[jnp.minimum(low, last - 1)] == item)
