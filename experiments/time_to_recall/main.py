"""Train by a recipe, measure recall@20 on the test part on its schedule, and write recall against seconds."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import tyro

import jaxrec
from experiments.time_to_recall.config import RECIPES, Recipe
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.fitting import plain_description, versions
from jaxrec.protocols import Callback, EpochEvent
from jaxrec.training import train_data


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure the training time until a recall is reached on a published split.

    Attributes:
      dataset: a data set with a published split.
      target: recall@20 on the test part.
      recipe: "softmax" or "bpr", see config.py.
      seeds: number of trainings; the median counts.
      max_seconds: time limit of a training.
      out: the JSON file, or None.
      tune: measure on a held-out tenth of the training part instead; the test part is not read.
    """

    dataset: str = "gowalla"
    target: float = 0.1824
    recipe: Literal["softmax", "bpr"] = "softmax"
    seeds: int = 5
    max_seconds: float = 600.0
    out: pathlib.Path | None = None
    tune: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, description="Seconds of training until a recall@20 is reached.")
    try:
        document = measure(options)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2
    reached = document["seconds_to_target"]
    print(
        f"{options.recipe}: recall@20 {options.target} " + (f"after {reached:.1f} s (median)" if reached else "missed")
    )
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(options: Options) -> dict[str, Any]:
    """Run all trainings; `seconds_to_target` is the median over seeds, None if more than half missed it."""
    split = jaxrec.split(jaxrec.load(options.dataset), "predefined", valid=0.1 if options.tune else 0.0)
    truth, recipe = (split.valid if options.tune else split.test), RECIPES[options.recipe]
    runs = [run(recipe, split.train, truth, seed, options) for seed in range(options.seeds)]
    times = sorted(float("inf") if one["seconds_to_target"] is None else one["seconds_to_target"] for one in runs)
    median = statistics.median_low(times)
    return {
        "dataset": options.dataset,
        "target": options.target,
        "part": "a tenth of train" if options.tune else "test",
        "seconds_to_target": None if median == float("inf") else median,
        "recipe": {"name": options.recipe, "layers": recipe.model.layers, "dim": recipe.model.dim}
        | {"first": recipe.first, "every": recipe.every, **plain_description(recipe.options)},
        "runs": runs,
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.processor(), "devices": str(jax.devices())},
    }


def run(
    recipe: Recipe, train: jaxrec.Interactions, truth: jaxrec.Interactions, seed: int, options: Options
) -> dict[str, Any]:
    """Train once. The clock starts with the fit, and includes the adjacency, compilation and evaluation."""
    reading = Reading(recipe, train, truth, seed, options)
    fitted = jaxrec.fit(recipe.model, train, recipe.options, key=jax.random.key(seed), callbacks=[reading])
    return {
        "seed": seed,
        "seconds_to_target": reading.reached,
        "compile_seconds": fitted.info["seconds"]["compile"],
        "final_recall": reading.curve[-1]["recall@20"] if reading.curve else None,
        "curve": reading.curve,
    }


class Reading(Callback):
    """Measure the recall on the schedule of a recipe, and stop at the target or at the end of the time.

    Attributes:
      curve: one point for each measurement.
      reached: the seconds at which the target was reached, or None.
    """

    def __init__(
        self, recipe: Recipe, train: jaxrec.Interactions, truth: jaxrec.Interactions, seed: int, options: Options
    ) -> None:
        self._recipe, self._truth, self._seed, self._options = recipe, truth, seed, options
        self._model = recipe.model.clone(num_users=train.num_users, num_items=train.num_items)
        self._data, self._seen = train_data(train), seen_items(train)
        self.curve: list[dict[str, float]] = []
        self.reached: float | None = None
        self._training, self._started = 0.0, time.perf_counter()

    def __call__(self, event: EpochEvent) -> bool:
        """Measure if the schedule says so; True stops the training."""
        epoch, recipe = event.record.epoch, self._recipe
        self._training += event.record.seconds
        if epoch >= recipe.first and (epoch - recipe.first) % recipe.every == 0:
            scorer = _scorer(self._model, event.params(), self._data.adjacency)
            scorer = recipe.options.loss.adjust(scorer, self._data)
            report = evaluate_scorer(scorer, self._truth, seen=self._seen, k=20, metrics=("recall", "ndcg"))
            point = {"epoch": epoch, "seconds": time.perf_counter() - self._started, "training": self._training}
            point["loss"] = event.record.train["loss"]
            point |= {name: report.mean(name) for name in ("recall@20", "ndcg@20")}
            self.curve.append(point)
            print(
                f"seed {self._seed}, epoch {epoch}: {point['seconds']:.1f} s, recall@20 {point['recall@20']:.4f}, "
                f"nDCG@20 {point['ndcg@20']:.4f}",
                flush=True,
            )
            if point["recall@20"] >= self._options.target:
                self.reached = point["seconds"]
        return self.reached is not None or time.perf_counter() - self._started > self._options.max_seconds


@functools.partial(jax.jit, static_argnums=0)
def _scorer(model: jaxrec.LightGCN, params: Any, adjacency: Any) -> Any:
    return model.apply({"params": params}, adjacency, method="scorer")
