"""Validation: what is measured on the validation part while a model is trained, and what is watched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec._checks import whole
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import HistoryScorer


@dataclasses.dataclass(frozen=True)
class Validation:
    """How often the validation part is measured, by which metrics, and which of them decides.

    Attributes:
      every: epochs between two validations; the last epoch is always validated.
      patience: stop after so many validations without a new best; 0 never stops early.
      monitor: the value to watch, a metric with its length such as "ap@50"; it is measured also where `metrics` and `k`
        do not name it. Whether more of it is better is said by the metric. None takes "ndcg@10", or "rmse" for ratings.
      metrics: names or objects, as `jaxrec.evaluate` takes them; None takes recall, precision and nDCG, or RMSE and MAE
        of ratings. Distances are measured in the common space of the training part, `jaxrec.ranking.common_space`.
      k: lengths of the lists; None takes 10 and 20, where the catalog is long enough.
      item_categories: a column of the items such as "genres", for miscalibration and category coverage.

    Raises:
      JaxrecError: a value out of range, or an unknown metric.

    >>> Validation(every=1, monitor="recall@50").patience
    4
    """

    every: int = 5
    patience: int = 4
    monitor: str | None = None
    metrics: Any = None
    k: int | tuple[int, ...] | None = None
    item_categories: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("patience", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if isinstance(self.metrics, list):
            object.__setattr__(self, "metrics", tuple(self.metrics))
        if isinstance(self.k, list):
            object.__setattr__(self, "k", tuple(self.k))


@dataclasses.dataclass(frozen=True)
class Measuring:
    """A validation that fits the data: from a scorer to the metrics on the validation part.

    Attributes:
      monitor: the value to watch.
      higher_is_better: whether more of it is better.
      measure: from a scorer to values by name.
      of_users: from a scorer to values by name, the users that were measured, int32 [n], and the value to watch of each
        of them, float64 [n]; a value of all lists together stands for every user. None for ratings.

    >>> Measuring("ndcg@10", True, lambda scorer: {"ndcg@10": 0.5}).measure(None)
    {'ndcg@10': 0.5}
    """

    monitor: str
    higher_is_better: bool
    measure: Callable[[Any], dict[str, float]]
    of_users: Callable[[Any], tuple[dict[str, float], np.ndarray, np.ndarray]] | None = None


def ranking_measuring(
    validation: Validation, train: Interactions, valid: Interactions, seen: SeenItems, mesh: Mesh | None = None
) -> Measuring:
    """Measure lists on the validation part, with the seen items masked; the devices of a mesh share the users.

    Raises:
      JaxrecError: an unknown metric, a length out of range, a value to watch that is not measured.
    """
    # Options are restored without what measures.
    from jaxrec.evaluation import (
        DEFAULT_K,
        DEFAULT_METRICS,
        evaluate_scorer,
        higher_is_better,
        resolve_metrics,
        split_value_name,
        training_statistics,
    )
    from jaxrec.ranking import common_space

    metrics = DEFAULT_METRICS if validation.metrics is None else validation.metrics
    metrics = (metrics,) if isinstance(metrics, str) else metrics
    longest = valid.num_items
    lengths = tuple(k for k in DEFAULT_K if k <= longest) or (longest,)
    if validation.k is not None:
        lengths = (validation.k,) if isinstance(validation.k, int) else tuple(validation.k)
    monitor = f"ndcg@{lengths[0]}" if validation.monitor is None else validation.monitor
    name, k, _ = split_value_name(monitor)
    if k is not None and k not in lengths:
        lengths = (*lengths, k)
    if not isinstance(metrics, dict) and name not in {metric.name for metric in resolve_metrics(metrics)}:
        metrics = (*metrics, name)

    needs = frozenset().union(*(metric.needs for metric in resolve_metrics(metrics)))
    known: dict[str, Any] = {
        "metrics": metrics,
        "training": training_statistics(train, validation.item_categories),
        "space": common_space(train) if "vectors" in needs else None,
    }

    def of_users(scorer: Any) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
        report = evaluate_scorer(with_history(scorer, seen), valid, seen=seen, k=lengths, mesh=mesh, **known)
        told = {name: float(report.mean(name)) for name in report.names if name in report.per_user or name == monitor}
        values = report.per_user.get(monitor, np.full(len(report.users), told[monitor]))
        return told, report.users, np.asarray(values, np.float64)

    def measure(scorer: Any) -> dict[str, float]:
        return of_users(scorer)[0]

    return Measuring(monitor, higher_is_better(monitor, metrics), measure, of_users)


def rating_measuring(validation: Validation, valid: Interactions, scale: tuple[float, float]) -> Measuring:
    """Measure predicted ratings on the validation part.

    Raises:
      JaxrecError: lengths, or a value to watch that is none of ratings.
    """
    from jaxrec.evaluation import DEFAULT_RATING_METRICS, evaluate_rating_scorer, higher_is_better, resolve_metrics

    if validation.item_categories is not None:
        given = validation.item_categories
        raise JaxrecError(f"item_categories is for lists, and this fit is to ratings, got {given!r}; leave it out")
    if validation.k is not None:
        raise JaxrecError(f"k is for lists, and this fit is to ratings, got k={validation.k}; leave it out")
    metrics = DEFAULT_RATING_METRICS if validation.metrics is None else validation.metrics
    metrics = (metrics,) if isinstance(metrics, str) else metrics
    known = resolve_metrics(metrics, over=("ratings",))
    monitor = known[0].name if validation.monitor is None else validation.monitor
    if monitor not in {metric.name for metric in known}:
        metrics = (*metrics, monitor)

    def measure(scorer: Any) -> dict[str, float]:
        return dict(evaluate_rating_scorer(scorer, valid, metrics=metrics, scale=scale).overall)

    return Measuring(monitor, higher_is_better(monitor, metrics), measure)


def with_history(scorer: Any, seen: SeenItems) -> Any:
    """A scorer that also serves users whose items were not fitted on, where it can; others as they are.

    >>> with_history("no such scorer", None)
    'no such scorer'
    """
    if not isinstance(scorer, HistoryScorer):
        return scorer
    return scorer.with_history(jax.tree.map(jnp.asarray, seen))
