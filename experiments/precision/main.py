"""Fit with products in float32 and in bfloat16, three seeds each, and compare them user by user on the test part."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tyro

import jaxrec
from experiments.precision.config import EPOCHS, LOSSES, MODEL, OPTIONS, SEEDS, K
from jaxrec.files import write_whole
from jaxrec.fitting import versions
from jaxrec.statistics import compare_models


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare products in bfloat16 with those in float32.

    Attributes:
      datasets: of config.py.
      losses: of config.py.
      epochs: of every training; None for those of config.py.
      seeds: trainings of each row.
      out: a JSON file.
    """

    datasets: tuple[str, ...] = tuple(EPOCHS)
    losses: tuple[str, ...] = tuple(LOSSES)
    epochs: int | None = None
    seeds: int = SEEDS
    out: pathlib.Path = pathlib.Path("runs/precision.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.precision")
    rows = []
    for name in options.datasets:
        split = jaxrec.split(jaxrec.load(name), "user_temporal", test=0.2)
        for loss in options.losses:
            rows.append({"dataset": name, **compared(split, loss, options.epochs or EPOCHS[name], options.seeds)})
            print(json.dumps(rows[-1]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"versions": versions(), "rows": rows}
    write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def compared(split: jaxrec.Split, loss: str, epochs: int, seeds: int) -> dict[str, Any]:
    """The means of both precisions, and the paired difference of means over seeds, bfloat16 less float32."""
    started, metrics = time.perf_counter(), [f"recall@{K}", f"ndcg@{K}"]
    values: dict[str, dict[str, np.ndarray]] = {}
    for moved in ("bfloat16", "float32"):
        options = dataclasses.replace(OPTIONS, loss=LOSSES[loss], epochs=epochs)
        keys = list(jax.random.split(jax.random.key(0), seeds))
        fitted = jaxrec.fit_many(MODEL.clone(moved=moved), split, options=options, keys=keys)
        reports = [jaxrec.evaluate(one, split, k=K, metrics=["recall", "ndcg"], space=None) for one in fitted]
        values[moved] = {name: np.mean([report.per_user[name] for report in reports], axis=0) for name in metrics}
    rows = compare_models(values, jax.random.key(1))
    return {
        "loss": loss,
        "epochs": epochs,
        "seeds": seeds,
        **{
            row.metric: {
                **{label: round(float(mean), 4) for label, mean in ((row.a, row.mean_a), (row.b, row.mean_b))},
                **{"difference": round(row.difference, 4), "low": round(row.low, 4), "high": round(row.high, 4)},
            }
            for row in rows
        },
        "seconds": round(time.perf_counter() - started, 1),
    }
