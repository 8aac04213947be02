"""Fit and measure every row once, and write the figures with their seconds, the date and the machine."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import tyro

import jaxrec
from experiments.overview.config import LOSSES, MODELS, SEED
from jaxrec.fitting import plain_description, versions

METRICS = ("recall", "ndcg")
LENGTHS = (10, 20)
NAMES = [f"{metric}@{k}" for k in LENGTHS for metric in METRICS]


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure every model and every loss on movielens-small.

    Attributes:
      out: the JSON file.
      rows: names of rows; all by default.
      processor: how the file names the machine.
    """

    out: pathlib.Path = pathlib.Path("runs/overview/movielens-small.json")
    rows: tuple[str, ...] = ()
    processor: str = f"{platform.machine()}, {os.cpu_count()} cores"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the file does not have yet, print a line for each row, and write it there."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.overview")
    split = jaxrec.split(jaxrec.load("movielens-small"), "user_temporal", test=0.2, valid=0.1)
    every = {**MODELS, **LOSSES}
    unknown = sorted(set(options.rows) - every.keys())
    if unknown:
        print(f"error: no row is named {unknown[0]!r}; the rows are {', '.join(every)}")
        return 2
    rows: dict[str, dict[str, Any]] = {}
    if options.out.exists():
        rows = {row["row"]: row for row in json.loads(options.out.read_text())["rows"]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.rows or every:
        if name in rows and rows[name]["settings"] == json.loads(json.dumps(settings_of(*every[name]))):
            continue
        rows[name] = {"row": name, **measured(split, *every[name])}
        print(f"{name}: ndcg@10 {rows[name]['ndcg@10']:.4f}, {rows[name]['seconds']:.1f} s", flush=True)
        document = {
            "dataset": "movielens-small",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": options.processor,
            "versions": versions(),
            "rows": [rows[each] for each in every if each in rows],
        }
        jaxrec.files.write_whole(options.out, (json.dumps(document, indent=1) + "\n").encode())
    return 0


def settings_of(model: Any, options: jaxrec.TrainingOptions | None) -> dict[str, Any]:
    """The settings of one row, as plain JSON values."""
    return {"model": plain_description(model), **({} if options is None else {"options": plain_description(options)})}


def measured(split: jaxrec.Split, model: Any, options: jaxrec.TrainingOptions | None) -> dict[str, Any]:
    """The figures of one row, its seconds from the split to the last figure, its settings and its classes."""
    start = time.perf_counter()
    fitted = jaxrec.fit(model, split, options, key=jax.random.key(SEED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lists of equal scores, which popularity may give
        report = jaxrec.evaluate(fitted, split, k=LENGTHS, metrics=METRICS, space=None)
    seconds = time.perf_counter() - start
    classes = [type(model).__name__, *([] if options is None else [type(options.loss).__name__])]
    return {
        **{name: round(report.mean(name), 5) for name in NAMES},
        "intervals": {name: [round(bound, 5) for bound in report.interval(name)] for name in NAMES},
        "seconds": round(seconds, 1),
        "best_epoch": fitted.info.get("best_epoch"),
        "classes": classes,
        "settings": settings_of(model, options),
    }
