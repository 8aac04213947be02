"""Sampled metrics: each test item ranked against a few random items, as some papers do. They always warn."""

from __future__ import annotations

import functools
import math
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Key

from jaxrec._keys import one_key
from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import common_pairs, union_of
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items
from jaxrec.errors import DataError, JaxrecError
from jaxrec.evaluation._catalog import DEFAULT_K, MAIN_METRICS
from jaxrec.evaluation._choice import Metrics, resolve_metrics
from jaxrec.evaluation._evaluator import check_same_catalog
from jaxrec.evaluation._measure import bounds_by_name, disliked_pairs, value_names
from jaxrec.protocols import Metric, UserList
from jaxrec.pytrees import structure_of
from jaxrec.ranking._block_topk import one_zero
from jaxrec.ranking._candidate_rule import CandidateRule
from jaxrec.ranking._checks import Lengths, check_finite, check_k, check_seen, on_device
from jaxrec.ranking._topk import users_per_tile
from jaxrec.reports._report import Report
from jaxrec.sampling import contains, uniform_negatives
from jaxrec.types import Array, Scorer


class SampledMetricsWarning(UserWarning):
    """Metrics were made from sampled negatives, so they may order models otherwise than the exact ones.

    >>> issubclass(SampledMetricsWarning, UserWarning)
    True
    """


def evaluate_scorer_sampled(
    scorer: Scorer,
    truth: Interactions,
    key: Key[Array, ""],
    *,
    seen: SeenItems,
    sampled: int = 100,
    k: Lengths = DEFAULT_K,
    metrics: Metrics = MAIN_METRICS,
    known_users: np.ndarray | None = None,
    rule: CandidateRule | None = None,
    memory_mb: float = 256,
    masked: str = "",
    fitted: str = "",
    catalogue: str = "",
) -> Report:
    r"""Rank each test item against n sampled items, and measure each such list of n + 1 items.

    The negatives of a pair are drawn uniformly and with replacement from the items that the user has not seen, that
    are not relevant to them, and that the rule allows. The place of the test item is

    .. math:: r = 1 + |\{j \le n : s(u, i_j) > s(u, i)\}| + |\{j \le n : s(u, i_j) = s(u, i), \ i_j < i\}|

    so that of equal scores the lower item index goes first, as in the lists of `evaluate_scorer`. An item that stands
    at place R among all the m allowed negatives and itself has r - 1 hits of a binomial distribution with n trials of
    probability (R - 1) / m. Each list has one relevant item, so recall@k is 1 or 0, as is the hit rate. The value of a
    user is the mean over their test items.

    The draw of a pair depends on the key, the user, the test item and the items that are allowed for the user, not on
    the model, the memory or other users: models are compared with one key.

    A test item that is masked, excluded, no candidate, or scored -inf counts as not found, as in the exact metrics. A
    user without any negative has no value (NaN, which means leave out), and is counted as `users_without_negatives`.
    Where the test item and its negatives have one score, the order of the item indices decides: `tied_lists` counts
    such lists, one a test item, and `test_pairs_with_ties` those in which a negative has the score of the test item.

    Source: Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020, which shows that such metrics
    are inconsistent with the exact ones, even in expectation.

    Args:
      scorer: the model.
      truth: the test part; a pair that occurs twice counts once.
      key: consumed.
      seen: the items that are masked for each user.
      sampled: n, how many negatives for each test item.
      k: lengths, at most n: at n + 1 every item would be found.
      metrics: as in `evaluate_scorer`, functions of hits alone.
      known_users: bool [U], the users with training data; by default those who have a seen item.
      rule: further items that are no negatives and cannot be found.
      memory_mb: bound in MiB for scores and negatives of a tile of users.
      masked: what `seen` is, in words, for the report.
      fitted: what the model was fitted on, in words.
      catalogue: what could be recommended, in words; by default all items.

    Returns:
      A report whose names say the sampling, like "recall@10 (sampled 100)"; counts as in `evaluate_scorer`.

    Raises:
      DataError: `truth` is empty.
      MismatchError: scorer, truth, seen or rule are of different users or items.
      JaxrecError: `sampled` below 1; a k below 1, above `sampled` or above I; an unknown metric; a score that is NaN or
        +inf; a rule that leaves no item.

    Warns:
      SampledMetricsWarning: always.
      UserWarning: more than half of the lists have one score from first to last.

    >>> from jaxrec.scorers import TableScorer
    >>> train, table = Interactions.from_arrays([0, 0], [0, 1]), TableScorer(jnp.array([[0.4, 0.3]]))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SampledMetricsWarning)
    ...     report = evaluate_scorer_sampled(
    ...         table, train.select([1]), jax.random.key(0), seen=seen_items(train.select([])), sampled=5, k=1)
    >>> report.mean("recall@1 (sampled 5)")
    0.0
    """
    started = time.perf_counter()
    num_users, num_items = truth.num_users, truth.num_items
    key, cutoffs = one_key(key), _check(scorer, truth, seen, sampled, k)
    measured = resolve_metrics(metrics)
    for metric in measured:
        if metric.over != "user" or metric.needs or not metric.at_k:
            raise JaxrecError(
                f"the metric {metric.name!r} is no function of hits, and sampled lists have hits alone; pass it to "
                "jaxrec.evaluate"
            )
    rule = CandidateRule() if rule is None else rule
    rule.check(num_users, num_items)
    warnings.warn(
        f"each test item is ranked against {sampled:,} sampled items, not against the catalog: the order of models "
        "by sampled metrics may differ from that by the exact metrics, even in expectation (Krichene and Rendle, "
        '"On Sampled Metrics for Item Recommendation", KDD 2020); jaxrec.evaluate gives the exact ones',
        SampledMetricsWarning,
        stacklevel=2,
    )
    trained = np.diff(np.asarray(seen.indptr)) > 0 if known_users is None else np.asarray(known_users, bool)
    relevant = seen_items(truth)
    blocked = rule.with_seen(SeenItems(np.asarray(seen.indptr), np.asarray(seen.items)), num_items)
    allowed = rule.allowed(num_items)
    taken, places = _among_allowed(union_of(blocked, relevant, num_items=num_items), allowed)
    lengths = np.diff(relevant.indptr)
    users = np.flatnonzero(lengths).astype(np.int32)
    order = np.argsort(-lengths[users], kind="stable")  # a tile takes as long as the longest of its rows
    values, bad, ties = _measure(
        scorer, users[order], relevant, blocked, allowed, taken, places, key,
        sampled=sampled, metrics=measured, cutoffs=cutoffs, memory_mb=memory_mb,
    )  # fmt: skip
    check_finite(users[order], bad)
    without = np.diff(taken.indptr)[users] >= len(places)
    tied, some = (int(np.where(without[order], 0, column).sum()) for column in ties.T)
    pairs = int(lengths[users][~without].sum())
    if 2 * tied > pairs:
        warnings.warn(
            f"{tied:,} of {pairs:,} lists have one score from first to last: the scorer does not tell items apart, and "
            "the order of the item indices decides; these figures say nothing about it",
            UserWarning,
            stacklevel=2,
        )
    per_user = {}
    for name, array in values.items():
        back = np.empty_like(array)
        back[order] = array
        per_user[f"{name} (sampled {sampled})"] = np.where(without, np.float32(np.nan), back)
    whole = rule.catalogue(catalogue or f"all {num_items:,} items")
    return Report(
        users=users,
        per_user=per_user,
        counts={
            "users_evaluated": len(users),
            "users_without_test_items": num_users - len(users),
            "users_without_negatives": int(without.sum()),
            "users_untrained": int((~trained[users]).sum()),
            "tied_lists": tied,
            "test_pairs_with_ties": some,
            "test_pairs": len(relevant.items),
            "test_pairs_disliked": disliked_pairs(truth),
            "test_pairs_masked": common_pairs(relevant, seen, num_items=num_items),
            **rule.counts(relevant, num_items),
        },
        seconds=time.perf_counter() - started,
        trained=trained[users],
        bounds=bounds_by_name(measured, cutoffs, f" (sampled {sampled})"),
        masked=rule.masked(masked),
        fitted=fitted,
        catalogue=f"{sampled:,} sampled negatives for each test item, drawn from {whole}",
    )


def _check(scorer: Scorer, truth: Interactions, seen: SeenItems, sampled: int, k: Lengths) -> tuple[int, ...]:
    if isinstance(sampled, bool) or not isinstance(sampled, (int, np.integer)) or sampled < 1:
        raise JaxrecError(f"sampled is {sampled!r}; pass a whole number of negatives, at least 1")
    check_same_catalog(scorer, truth)
    check_seen(seen, truth.num_users, truth.num_items)
    if not len(truth):
        raise DataError("truth has no interaction; there is nothing to evaluate on")
    cutoffs = check_k(k, truth.num_items)
    if cutoffs[-1] > sampled:
        raise JaxrecError(f"k is {cutoffs[-1]}, but a list has only {sampled} negatives; pass k <= sampled")
    return cutoffs


def _among_allowed(rows: SeenItems, allowed: np.ndarray) -> tuple[SeenItems, np.ndarray]:
    """Rows of item indices as rows of places among the allowed items, and the item at each such place."""
    places = np.flatnonzero(allowed).astype(np.int32)
    owners = np.repeat(np.arange(rows.num_users), np.diff(rows.indptr))
    items = np.asarray(rows.items)
    inside = allowed[items]
    at = np.searchsorted(places, items[inside])
    return seen_from_pairs(owners[inside], at, rows.num_users, len(places)), places


def _measure(
    scorer: Scorer,
    users: np.ndarray,
    relevant: SeenItems,
    blocked: SeenItems,
    allowed: np.ndarray,
    taken: SeenItems,
    places: np.ndarray,
    key: jax.Array,
    *,
    sampled: int,
    metrics: tuple[Metric, ...],
    cutoffs: tuple[int, ...],
    memory_mb: float,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What is measured of each user.

    Returns:
      (the mean over their test items, float32 [n] by name; whether a score is NaN or +inf, bool [n]; how many test
      items have the score of all their negatives, and of at least one, int32 [n, 2]).
    """
    num_items = int(scorer.num_items)
    # A negative takes some 64 bytes: item, score, key bits and the bounds of the bisection.
    tile = users_per_tile(num_items, max(1, math.ceil(sampled / 16)), memory_mb)
    while tile // 2 >= max(len(users), 2):
        tile //= 2
    scorer = on_device(scorer, tile, num_items)
    pairs = [SeenItems(*map(jnp.asarray, rows)) for rows in (relevant, blocked, taken)]
    tables = (jnp.asarray(allowed), jnp.asarray(places))
    parts, bad, ties = [], [], []
    for start in range(0, len(users), tile):
        some = users[start : start + tile]
        padded = np.pad(some, (0, tile - len(some)), mode="edge")
        values, wrong, tied = jax.device_get(
            _measure_tile(
                scorer, padded, *pairs, *tables, key,
                sampled=sampled, metrics=metrics, cutoffs=cutoffs, structure=structure_of(scorer),
            )
        )  # fmt: skip
        parts.append({name: array[: len(some)] for name, array in values.items()})
        bad.append(wrong[: len(some)])
        ties.append(tied[: len(some)])
    names = [name for metric in metrics for name in value_names(metric, cutoffs)]
    values = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return values, np.concatenate(bad), np.concatenate(ties)


@functools.partial(jax.jit, static_argnames=("sampled", "metrics", "cutoffs", "structure"))
def _measure_tile(
    scorer: Scorer,
    users: jax.Array,
    relevant: SeenItems,
    blocked: SeenItems,
    taken: SeenItems,
    allowed: jax.Array,
    places: jax.Array,
    key: jax.Array,
    *,
    sampled: int,
    metrics: tuple[Metric, ...],
    cutoffs: tuple[int, ...],
    structure: int,
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    table = scorer.scores(users)
    bad = ~jnp.all(table < jnp.inf, axis=1)  # a NaN fails every comparison
    first = jnp.asarray(relevant.indptr)[users]
    lengths = jnp.asarray(relevant.indptr)[users + 1] - first
    depth = max(cutoffs)

    def draw(user: jax.Array, item: jax.Array) -> jax.Array:
        own = jax.random.fold_in(jax.random.fold_in(key, user), item)
        return uniform_negatives(taken, user[None], sampled, places.shape[0], own)[0][0]

    def values_of(rank: jax.Array) -> dict[str, jax.Array]:
        view = UserList(jnp.arange(1, depth + 1, dtype=jnp.int32) == rank, jnp.int32(1))
        return {
            name: jnp.asarray(metric(view, k=cut)).astype(jnp.float32)
            for metric in metrics
            for cut, name in zip(cutoffs, value_names(metric, cutoffs), strict=True)
        }

    def one_item(
        at: jax.Array, state: tuple[dict[str, jax.Array], jax.Array]
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        sums, ties = state
        real = at < lengths
        item = jnp.asarray(relevant.items)[jnp.where(real, first + at, first)]
        negatives = places[jax.vmap(draw)(users, item)]
        score = one_zero(jnp.take_along_axis(table, item[:, None], axis=1))
        others = one_zero(jnp.take_along_axis(table, negatives, axis=1))
        ahead = (others > score) | ((others == score) & (negatives < item[:, None]))
        rank = 1 + jnp.sum(ahead, axis=1, dtype=jnp.int32)
        possible = allowed[item] & ~contains(blocked, users, item) & (score[:, 0] > -jnp.inf)
        found = jax.vmap(values_of)(jnp.where(possible, rank, depth + 1))
        equal = others == score
        tied = jnp.stack([jnp.all(equal, axis=1), jnp.any(equal, axis=1)], axis=1) & (real & possible)[:, None]
        sums = {name: total + jnp.where(real, found[name], np.float32(0)) for name, total in sums.items()}
        return sums, ties + tied.astype(jnp.int32)

    names = [name for metric in metrics for name in value_names(metric, cutoffs)]
    zeros = {name: jnp.zeros(users.shape, jnp.float32) for name in names}
    none = jnp.zeros((users.shape[0], 2), jnp.int32)
    sums, ties = lax.fori_loop(jnp.int32(0), jnp.max(lengths), one_item, (zeros, none))
    return {name: total / lengths.astype(jnp.float32) for name, total in sums.items()}, bad, ties
