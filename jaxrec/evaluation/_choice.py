"""The choice of metrics: from names, objects and functions to objects, each checked."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from jaxrec import registry
from jaxrec.errors import JaxrecError
from jaxrec.evaluation._catalog import Coverage, IntraListDistance, OfHits, recall
from jaxrec.protocols import NEEDS, Metric
from jaxrec.reports._values import OLD_METRIC_NAMES

Metrics = str | Metric | Mapping[str, Callable[..., Any]] | Sequence[str | Metric | Mapping[str, Callable[..., Any]]]
"""Names, metrics, and mappings from a name of your own to a function `(hits [K], num_relevant [], *, k)`, mixed."""

_OVER = ("user", "scores", "lists", "ratings")


def resolve_metrics(metrics: Metrics, *, over: Sequence[str] = _OVER[:3]) -> tuple[Metric, ...]:
    """The metrics that are meant by names, objects and functions.

    Args:
      metrics: names of the registry, `jaxrec.protocols.Metric` objects or classes, and mappings from a name of your own
        to a function `(hits [K], num_relevant [], *, k) -> number []`; one of them, or several in a sequence.
      over: the kinds of metrics that can be measured here.

    Returns:
      The metrics in the order given, each once.

    Raises:
      JaxrecError: an unknown name, something that is no metric, two metrics of one name, a metric of another kind, or
        none at all.

    >>> from jaxrec.evaluation._catalog import Gini
    >>> from jaxrec.metrics import recall as own
    >>> [metric.name for metric in resolve_metrics(["recall", {"mine": own}, Gini()])]
    ['recall', 'mine', 'gini']
    """
    words = (metrics,) if isinstance(metrics, (str, Mapping)) or callable(metrics) else metrics
    if not isinstance(words, Iterable):
        raise JaxrecError(f"metrics is {metrics!r}; pass names, such as ('recall', 'ndcg'), or metric objects")
    found: dict[str, Metric] = {}
    for word in words:
        for metric in _some(word):
            if found.setdefault(metric.name, metric) != metric:
                raise JaxrecError(f"two metrics are named {metric.name!r}; give each its own name")
            if metric.over not in over:
                raise JaxrecError(_elsewhere(metric))
    if not found:
        raise JaxrecError("metrics is empty; name at least one, for example 'recall'")
    return tuple(found.values())


def with_companions(metrics: Iterable[Metric], *, distances: bool) -> tuple[Metric, ...]:
    """The metrics with those that every report has unasked: what they bring along, distances, and coverage.

    Raises:
      JaxrecError: one of the metrics has a name that a report uses itself.

    >>> [metric.name for metric in with_companions([recall], distances=True)]
    ['recall', 'recall_known', 'ild', 'coverage']
    """
    metrics = tuple(metrics)
    unasked = {name: registry.make("metric", name) for name in (*recall.also, IntraListDistance.name, Coverage.name)}
    for metric in metrics:
        if unasked.get(metric.name, metric) != metric:
            raise JaxrecError(f"metric {metric.name!r} has a name that every report uses itself; choose another name")
    more = [registry.make("metric", name) for metric in metrics for name in metric.also]
    more += [IntraListDistance(), Coverage()] if distances else [Coverage()]
    return tuple({metric.name: metric for metric in (*metrics, *more)}.values())


def _some(word: Any) -> list[Metric]:
    """The metrics behind a word, an object or a mapping."""
    if isinstance(word, Mapping):
        return [_of_function(name, function) for name, function in word.items()]
    if isinstance(word, str):
        if word in OLD_METRIC_NAMES:
            new = OLD_METRIC_NAMES[word]
            warnings.warn(
                f"the metric {word!r} is a name of 0.1 and goes in 0.3; use {new!r}", DeprecationWarning, stacklevel=5
            )
            return [_renamed(registry.make("metric", new), word)]
        # Entry points are looked at for names of others only, since reading them takes time.
        if word not in registry.BUILT_IN["metric"] and word not in registry.names("metric"):
            raise JaxrecError(
                f"unknown metric {word!r}; choose from {', '.join(registry.names('metric'))}, or pass a metric or "
                "{name: function} of your own"
            )
    made = registry.make("metric", word)
    name = getattr(made, "name", None)
    if not isinstance(name, str) or not callable(made):
        raise JaxrecError(
            f"{word!r} is no metric; pass a name, {{name: function}}, or an object of a class that derives from "
            "jaxrec.protocols.Metric"
        )
    _check_name(name)
    metric = cast(Metric, made)
    if metric.over not in _OVER:
        raise JaxrecError(f"the metric {name!r} is over {metric.over!r}; choose one of {', '.join(_OVER)}")
    if unknown := sorted(set(metric.needs) - set(NEEDS)):
        raise JaxrecError(f"the metric {name!r} needs {unknown[0]!r}, which is none of {', '.join(NEEDS)}")
    return [metric]


def _of_function(name: Any, function: Any) -> Metric:
    if not isinstance(name, str) or not callable(function):
        raise JaxrecError(f"metric {name!r} is {function!r}; pass a mapping from a name to a function")
    _check_name(name)
    # A function that is in the catalog brings along what it brings along there.
    return OfHits(name, function, recall.also if function is recall.function else ())


def _check_name(name: str) -> None:
    if not name or "@" in name or " [" in name:
        raise JaxrecError(f"metric {name!r} has a name with '@' or ' [', which values use for k and groups; rename it")


def _renamed(metric: Metric, name: str) -> Metric:
    """A copy under another name."""
    if dataclasses.is_dataclass(metric):
        return dataclasses.replace(metric, name=name)  # pyright: ignore[reportArgumentType]
    copy = type(metric)()
    copy.name = name
    return copy


def _elsewhere(metric: Metric) -> str:
    if metric.over == "ratings":
        return f"the metric {metric.name!r} is of predicted ratings; pass it to jaxrec.evaluate_ratings"
    return f"the metric {metric.name!r} is of ranked items, not of predicted ratings; pass it to jaxrec.evaluate"
