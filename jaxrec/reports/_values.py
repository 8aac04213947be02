"""Names of values in a report, such as "recall@10 [tail]": their parts, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxrec import registry

OLD_METRIC_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "calibration": "miscalibration",
        "personalisation": "personalization",
        "entropy": "shannon_entropy",
        "popularity": "average_popularity",
        "recall_min": "capped_recall",
    }
)
"""The metrics that had another name in 0.1. Values that were asked for by it keep it, as those of older reports do."""

_NAME = re.compile(r"(?P<name>.*?)(?:@(?P<k>\d+))?(?P<sampled> \(sampled \d+\))?(?: \[(?P<group>.*)\])?", re.DOTALL)


class ValueName(NamedTuple):
    """The parts of the name of a value.

    Attributes:
      name: of the metric.
      k: length of the lists, or None.
      group: label of the group of items, or None.

    >>> ValueName("recall", 10).group is None
    True
    """

    name: str
    k: int | None = None
    group: str | None = None

    def __str__(self) -> str:
        return self.name + ("" if self.k is None else f"@{self.k}") + ("" if self.group is None else f" [{self.group}]")


def split_value_name(value_name: str) -> ValueName:
    """Take the name of a value apart.

    Returns:
      (name, k, group); k and group are None where the value has none. That candidates were sampled is left out.

    >>> split_value_name("recall@10 [tail]")
    ValueName(name='recall', k=10, group='tail')
    >>> tuple(split_value_name("rmse")), split_value_name("ndcg@5 (sampled 100)").k
    (('rmse', None, None), 5)
    """
    found = _NAME.fullmatch(value_name)
    assert found is not None  # the pattern takes any text
    k = found["k"]
    return ValueName(found["name"], None if k is None else int(k), found["group"])


def bounds_of(value_name: str) -> tuple[float, float] | None:
    """The lowest and highest value that a mean can have, as the metric of this name says; None for an unknown one.

    >>> bounds_of("recall@10 [tail]"), bounds_of("user_rmse"), bounds_of("mine@5")
    ((0.0, 1.0), (0.0, inf), None)
    """
    name = split_value_name(value_name).name
    for word in (name, name.removeprefix("user_")):
        word = OLD_METRIC_NAMES.get(word, word)
        if word in registry.BUILT_IN["metric"] or word in registry.names("metric"):
            return getattr(registry.make("metric", word), "bounds", None)
    return None


def higher_is_better(value_name: str, metrics: Iterable[Any] = ()) -> bool:
    """Whether the higher of two values is the better one, as their metric says.

    Args:
      value_name: such as "ap@50", "rmse" or "user_rmse", the mean over users of their own RMSE.
      metrics: `jaxrec.protocols.Metric` objects that are looked at before the registry.

    Returns:
      True for a value of no known metric.

    >>> higher_is_better("recall@10"), higher_is_better("gini@10 [tail]"), higher_is_better("user_rmse")
    (True, False, False)
    """
    name = split_value_name(value_name).name
    for word in (name, name.removeprefix("user_")):
        word = OLD_METRIC_NAMES.get(word, word)
        for metric in metrics:
            if getattr(metric, "name", None) == word:
                return metric.higher_is_better
        if word in registry.BUILT_IN["metric"] or word in registry.names("metric"):
            return registry.make("metric", word).higher_is_better
    return True
