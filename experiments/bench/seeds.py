"""Several seeds of LightGCN, one after another and in one program, with compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxrec
from experiments.bench.config import Options
from experiments.bench.data import ranking_split
from experiments.bench.timing import Row, by_turns
from jaxrec.losses import BPR

SEEDS = 8
UNIT = "s for all seeds"


def run(options: Options) -> list[Row]:
    """Measure each way, without validation, so that all do the same work."""
    data = ranking_split(options).train if options.quick else jaxrec.load("ml-100k")
    seeds, epochs = (2, 1) if options.quick else (SEEDS, options.seeds_epochs)
    model, how = jaxrec.LightGCN(dim=options.factors), jaxrec.TrainingOptions(loss=BPR(), epochs=epochs)
    keys = [jax.random.key(seed) for seed in range(seeds)]
    last: dict[str, list[jaxrec.FittedModel]] = {}

    def keep(name: str, way: Callable[[], list[jaxrec.FittedModel]]) -> Callable[[], Any]:
        def work() -> None:
            jax.clear_caches()
            last[name] = way()

        return work

    works = {
        "one after another, each compiled": lambda: [_alone(model, data, how, key) for key in keys],
        "one after another, compiled once": lambda: [jaxrec.fit(model, data, how, key=key) for key in keys],
        "at once": lambda: list(jaxrec.fit_many(model, data, how, keys=keys)),
    }
    found = by_turns({name: keep(name, way) for name, way in works.items()}, options.repeats)
    first = next(iter(works))
    rows = []
    for name, samples in found.items():
        ratio = float(np.median(samples.wall) / np.median(found[first].wall))
        apart = max(_distance(one, other) for one, other in zip(last[name], last[first], strict=True))
        note = "" if name == first else f"{ratio:.2f} times the first; parameters apart by at most {apart:.1e}"
        setting = f"{seeds} seeds, {epochs} epochs, {'generated' if options.quick else 'ML-100K'}, d {options.factors}"
        extra = {"ratio": ratio, "apart": apart}
        rows.append(
            Row("seeds", setting, f"jaxrec LightGCN, {name}", UNIT, samples.wall, samples.cpu, None, note, extra)
        )
    return rows


def _alone(model: Any, data: jaxrec.Interactions, how: jaxrec.TrainingOptions, key: jax.Array) -> jaxrec.FittedModel:
    """Train once with newly compiled programs, as a separate process would."""
    jax.clear_caches()
    return jaxrec.fit(model, data, how, key=key)


def _distance(one: jaxrec.FittedModel, other: jaxrec.FittedModel) -> float:
    """Compute the largest difference between the parameters of two fitted models."""
    pairs = zip(jax.tree.leaves(one.variables), jax.tree.leaves(other.variables), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)
