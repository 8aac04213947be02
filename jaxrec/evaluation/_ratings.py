"""How far predicted ratings are from held-out ones."""

from __future__ import annotations

import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_RATING_METRICS
from jaxrec.evaluation._choice import Metrics, resolve_metrics
from jaxrec.protocols import RatedPairs
from jaxrec.reports._report import Report

_CHUNK = 4096  # pairs at a time: some scorers make a whole row of scores for a pair


def predict_pairs(
    scorer: Any,
    users: Integer[np.ndarray, " n"],
    items: Integer[np.ndarray, " n"],
    scale: tuple[float, float] | None = None,
) -> Float[np.ndarray, " n"]:
    """The scores of pairs, clipped to a scale where one is given.

    Args:
      scorer: a model's scorer, with `pair_scores`.
      users: int32 [n].
      items: int32 [n].
      scale: (lowest, highest) rating, or None.

    Returns:
      float32 [n].

    >>> from jaxrec.scorers import FactorScorer
    >>> scorer = FactorScorer(jnp.ones((1, 1)), jnp.array([[9.0]]), dim=1)
    >>> predict_pairs(scorer, np.array([0]), np.array([0]), (1.0, 5.0)).tolist()
    [5.0]
    """
    parts = [np.zeros(0, np.float32)]
    chunk = max(1, min(_CHUNK, (64 << 20) // (4 * scorer.num_items)))
    for start in range(0, len(users), chunk):
        stop = min(start + chunk, len(users))
        padding = (0, chunk - (stop - start) if start else 0)  # one shape, so one program, for all but short calls
        some = [jnp.asarray(np.pad(index[start:stop], padding).astype(np.int32)) for index in (users, items)]
        parts.append(np.asarray(scorer.pair_scores(*some))[: stop - start])
    scores = np.concatenate(parts)
    return scores if scale is None else np.clip(scores, *scale)


def evaluate_rating_scorer(
    scorer: Any,
    truth: Interactions,
    *,
    metrics: Metrics = DEFAULT_RATING_METRICS,
    scale: tuple[float, float] | None = None,
    masked: str = "",
    fitted: str = "",
    known: np.ndarray | None = None,
    known_users: np.ndarray | None = None,
) -> Report:
    """Measure the error of predicted ratings, over all held-out ratings and for each user.

    Args:
      scorer: a model's scorer, with `pair_scores`.
      truth: the held-out ratings.
      metrics: names or `jaxrec.protocols.Metric` objects over "ratings".
      scale: (lowest, highest) rating, to which predictions are clipped; or None.
      masked: for the report, in words.
      fitted: what the model was fitted on, for the report, in words.
      known: bool [I], the items with training data, for the counts; None where it is not known.
      known_users: bool [U], the users with training data, likewise.

    Returns:
      A report with, for example, `rmse` over all ratings (each rating counts once), and `user_rmse` of each user (each
      user counts once).

    Raises:
      DataError: truth without ratings or without an interaction.
      MismatchError: scorer and truth of different users or items.
      JaxrecError: an unknown metric, or one that is not of ratings.

    >>> from jaxrec.scorers import FactorScorer
    >>> scorer = FactorScorer(jnp.ones((1, 1)), jnp.array([[3.0], [4.0]]), dim=1)
    >>> truth = Interactions.from_arrays([0, 0], [0, 1], [4.0, 4.0])
    >>> evaluate_rating_scorer(scorer, truth).mean("mae")
    0.5
    """
    started = time.perf_counter()
    measured = resolve_metrics(metrics, over=("ratings",))
    if len(truth) == 0:
        raise DataError("truth has no interaction; choose a split with a larger test part")
    if truth.rating is None:
        raise DataError("truth has no ratings; RMSE and MAE need them")
    if (scorer.num_users, scorer.num_items) != (truth.num_users, truth.num_items):
        raise MismatchError(
            f"the scorer has {scorer.num_users} users and {scorer.num_items} items, truth {truth.num_users} and "
            f"{truth.num_items}; use the split that the model was fitted on"
        )
    predicted, actual = predict_pairs(scorer, truth.user, truth.item, scale).astype(np.float64), truth.rating
    users, row = np.unique(truth.user, return_inverse=True)
    sizes = np.bincount(row)
    pairs = RatedPairs(predicted, actual.astype(np.float64))
    per_user, overall = {}, {}
    for metric in measured:
        errors = np.asarray(metric(pairs, k=None))
        per_user[f"user_{metric.name}"] = np.asarray(metric.of_mean(np.bincount(row, errors) / sizes))
        overall[metric.name] = float(metric.of_mean(errors.mean()))
    lower = [metric.name for metric in measured if not metric.higher_is_better]
    counts = {"users_evaluated": len(users), "test_pairs": len(truth)}
    if known_users is not None:
        counts["users_untrained"] = int((~known_users[users]).sum())
    if known is not None:
        counts["test_pairs_untrained"] = int((~known[truth.item]).sum())
    return Report(
        users=users.astype(np.int32),
        per_user=per_user,
        overall=overall,
        counts=counts,
        seconds=time.perf_counter() - started,
        trained=None if known_users is None else known_users[users],
        masked=masked,
        fitted=fitted,
        catalogue=f"{truth.num_items:,} items",
        setting={"fitted": fitted},
        lower=frozenset([*lower, *(f"user_{name}" for name in lower)]),
    )
