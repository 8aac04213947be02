"""Published figures on the published splits, for the alert that a run differs from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxrec import registry
from jaxrec.fitting._fitted import FittedModel


@dataclasses.dataclass(frozen=True)
class Published:
    """The figures of a paper for one model on one data set.

    Attributes:
      values: name to figure.
      source: where it stands, with the settings that count.

    >>> Published({"recall@20": 0.1765}, "somewhere").values["recall@20"]
    0.1765
    """

    values: Mapping[str, float]
    source: str


_EASE = "as papers on this split report it, settings chosen on the test part"
_LIGHTGCN = "He et al. 2020, table 3, 3 layers, best epoch on the test part"

# By the data set, the model and the loss, each as the registry calls it.
_TABLE: Mapping[tuple[str, str, str], Published] = {
    ("gowalla", "ease", ""): Published({"recall@20": 0.1765, "ndcg@20": 0.1467}, _EASE),
    ("yelp2018", "ease", ""): Published({"recall@20": 0.0657, "ndcg@20": 0.0552}, _EASE),
    ("gowalla", "lightgcn", "bpr"): Published({"recall@20": 0.1823, "ndcg@20": 0.1555}, _LIGHTGCN),
    ("yelp2018", "lightgcn", "bpr"): Published({"recall@20": 0.0639, "ndcg@20": 0.0525}, _LIGHTGCN),
}


def published_of(model: FittedModel) -> Published | None:
    """The published figures of a run on a published split; None where there are none.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> published_of(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))) is None
    True
    """
    source: Any = model.info.get("source")
    if not isinstance(source, Mapping) or model.info.get("split") != "predefined":
        return None
    loss = "" if model.options is None else registry.name_of("loss", model.options.loss)
    return _TABLE.get((str(source.get("data")), model.name, loss))
