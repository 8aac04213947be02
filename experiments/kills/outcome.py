"""All of a run that is to be equal."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import jaxrec


def run_outcome(place: pathlib.Path) -> Any:
    """Every array, the records, the log and the figures of a run folder, without the seconds."""
    model = jaxrec.restore(place)
    arrays = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((dict(model.variables), model.scorer))]
    log = [json.loads(line) for line in (place / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    metrics = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
    figures = [metrics[name] for name in ("test", "valid", "best_epoch")]
    if "seeds" in metrics:
        figures += [metrics["seeds"]["runs"], timeless([metrics["seeds"]["test"]])]
    return arrays, timeless(model.info["records"]), timeless(log), figures


def timeless(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what is of seconds.

    >>> timeless([{"loss": 0.5, "valid_seconds": 0.1}])
    [{'loss': 0.5}]
    """
    return [{name: value for name, value in row.items() if not name.endswith("seconds")} for row in rows]
