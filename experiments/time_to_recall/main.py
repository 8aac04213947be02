"""Train by a recipe, measure recall@20 on the test part on its schedule, and write recall against seconds."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import optax
import tyro

import jaxrec
from experiments.time_to_recall.config import RECIPES, Recipe
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.fitting import versions
from jaxrec.fitting._fit import trained_scorer
from jaxrec.training import Objective, TrainData, init_state, make_epoch, train_data


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
    data = train_data(split.train)
    runs = [run(recipe, split.train, truth, data, seed, options) for seed in range(options.seeds)]
    times = sorted(float("inf") if one["seconds_to_target"] is None else one["seconds_to_target"] for one in runs)
    median = statistics.median_low(times)
    return {
        "dataset": options.dataset,
        "target": options.target,
        "part": "a tenth of train" if options.tune else "test",
        "seconds_to_target": None if median == float("inf") else median,
        "recipe": {"name": options.recipe, "layers": recipe.model.layers, "dim": recipe.model.dim}
        | {"first": recipe.first, "every": recipe.every, **dataclasses.asdict(recipe.options)},
        "runs": runs,
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.processor(), "devices": str(jax.devices())},
    }


def run(
    recipe: Recipe,
    train: jaxrec.Interactions,
    truth: jaxrec.Interactions,
    data: TrainData,
    seed: int,
    options: Options,
) -> dict[str, Any]:
    """Train once. The clock starts before the parameters are drawn, and includes compilation and evaluation."""
    started = time.perf_counter()
    chosen = recipe.options
    model = recipe.model.clone(num_users=train.num_users, num_items=train.num_items)
    objective = Objective(model, loss=chosen.loss, l2=chosen.l2, temperature=chosen.temperature, groups=chosen.groups)
    optimizer = optax.adam(chosen.learning_rate)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = model.lazy_init(init_key, jax.eval_shape(lambda: data.adjacency))["params"]
    state = init_state(params, optimizer, train_key)
    epoch = make_epoch(objective, optimizer, chosen.batch_size, chosen.drawn_negatives).lower(state, data).compile()
    compiled = time.perf_counter() - started
    seen, curve, training, reached = seen_items(train), [], 0.0, None
    for number in range(1, chosen.epochs + 1):
        before = time.perf_counter()
        state, info = epoch(state, data)
        loss = info["loss"].item()
        training += time.perf_counter() - before
        if number >= recipe.first and (number - recipe.first) % recipe.every == 0:
            scorer = trained_scorer({"params": state.params}, data, model, chosen)
            report = evaluate_scorer(scorer, truth, seen=seen, k=20, metrics=("recall", "ndcg"))
            seconds = time.perf_counter() - started
            recall, ndcg = report.mean("recall@20"), report.mean("ndcg@20")
            curve.append({"epoch": number, "seconds": seconds, "training": training, "loss": loss, "recall@20": recall})
            curve[-1]["ndcg@20"] = ndcg
            print(
                f"seed {seed}, epoch {number}: {seconds:.1f} s, recall@20 {recall:.4f}, nDCG@20 {ndcg:.4f}", flush=True
            )
            if recall >= options.target:
                reached = seconds
        if reached is not None or time.perf_counter() - started > options.max_seconds:
            break
    return {
        "seed": seed,
        "seconds_to_target": reached,
        "compile_seconds": compiled,
        "final_recall": curve[-1]["recall@20"] if curve else None,
        "curve": curve,
    }
