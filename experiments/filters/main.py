"""Fit graph filters and networks over graph features on a published split, and measure recall@20 and nDCG@20."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
import tyro

import jaxrec
from experiments.filters.config import GRID, ORDERED, PUBLISHED, given, rows
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.fitting import plain_description, versions

METRICS = ("recall@20", "ndcg@20")


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure filters on a data set with a published split.

    Attributes:
      dataset: gowalla or yelp2018.
      row: of config.py; by default all.
      part: "test" fits on all of train and reads the test part once a row and seed; "random" and "data" hold out a
        tenth of train instead, at random or the last of each user in the order of the file, and leave the test alone.
      seeds: number of fits of a row that draws.
      tune: print the validation figures of the grid of given filters instead, on the part "random" or "data".
      out: the JSON file, or None.
    """

    dataset: Literal["gowalla", "yelp2018"] = "gowalla"
    row: tuple[str, ...] = ()
    part: Literal["test", "random", "data"] = "random"
    seeds: int = 1
    tune: bool = False
    out: pathlib.Path | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, description="Graph filters on a published split.")
    models = rows(options.dataset)
    unknown = [name for name in options.row if name not in models]
    if (
        unknown
        or (options.tune and options.part == "test")
        or (options.part == "data" and not ORDERED[options.dataset])
    ):
        told = (
            f"no row {unknown[0]!r}; the rows are {', '.join(models)}"
            if unknown
            else f"part {options.part!r} is not for"
        )
        print(f"error: {told}" + ("" if unknown else f" {'--tune' if options.tune else options.dataset}"))
        return 2
    train, truth = parts(jaxrec.load(options.dataset), options.part)
    if options.tune:
        for numbers in GRID:
            print(numbers, described(measure(given(*numbers), train, truth, 0)), flush=True)
        return 0
    found = {}
    for name in options.row or models:
        runs = [measure(models[name], train, truth, seed) for seed in range(options.seeds if models[name].draws else 1)]
        found[name] = summarize(models[name], runs, options.part)
        print(f"{name:<12} {described(found[name])}", flush=True)
        if options.out is not None:
            document = {"dataset": options.dataset, "part": options.part, "rows": found, "versions": versions()}
            document["published"] = PUBLISHED[options.dataset]
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def parts(data: jaxrec.Interactions, part: str) -> tuple[jaxrec.Interactions, jaxrec.Interactions]:
    """Return what is fitted on and what is measured."""
    if part == "test":
        split = jaxrec.split(data, "predefined")
        return split.train, split.test
    split = jaxrec.split(data, "predefined", valid=0.1, valid_order=part, key=jax.random.key(0))
    return split.train, split.valid


def measure(model: Any, train: jaxrec.Interactions, truth: jaxrec.Interactions, seed: int) -> dict[str, Any]:
    """Fit, rank for every user with held-out items, and measure; seconds are from the parsed data on."""
    start = time.perf_counter()
    fitted = jaxrec.fit(model, train, key=jax.random.key(seed))
    jax.block_until_ready(fitted.scorer)
    fit = time.perf_counter() - start
    report = evaluate_scorer(fitted.scorer, truth, seen=seen_items(train), k=20, metrics=("recall", "ndcg"))
    seconds = {"fit": fit, "rank": time.perf_counter() - start - fit, "all": time.perf_counter() - start}
    learning = {
        name: fitted.info[name]
        for name in ("ceiling", "learning_users", "learning_seconds", "losses", "terms", "numbers")
        if name in fitted.info
    }
    return {"seed": seed, **{name: report.mean(name) for name in METRICS}, "seconds": seconds, **learning}


def summarize(model: Any, runs: Sequence[dict[str, Any]], part: str) -> dict[str, Any]:
    """Return the means over seeds, with the settings and the number of times that the test part was read."""
    return {
        **{name: float(np.mean([run[name] for run in runs])) for name in METRICS},
        "spread": {name: float(np.ptp([run[name] for run in runs])) for name in METRICS},
        "seconds": float(np.median([run["seconds"]["all"] for run in runs])),
        "settings": plain_description(model),
        "test_reads": len(runs) if part == "test" else 0,
        "runs": list(runs),
    }


def described(found: dict[str, Any]) -> str:
    """Return the figures in a line."""
    seconds = found["seconds"] if isinstance(found["seconds"], float) else found["seconds"]["all"]
    return "  ".join([*(f"{name} {found[name]:.4f}" for name in METRICS), f"{seconds:.0f} s"])
