"""Train a network for every seed, and write the mean and the deviation of the test accuracy; or choose the settings."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tyro

import jaxrec
from experiments.planetoid.config import PAPER, TUNED, Settings, grid
from experiments.planetoid.training import at, compile_training, cross_fitted_accuracy, program, put_on_device, selected
from jaxrec.data.datasets import Planetoid, load_planetoid, read_planetoid
from jaxrec.errors import JaxrecError
from jaxrec.fitting import versions

TUNING_SEEDS = range(1000, 1010)  # apart from those that are reported


@dataclasses.dataclass(frozen=True)
class Options:
    """Train a two-layer graph convolutional network on a graph in the Planetoid format, once per seed.

    Attributes:
      dataset: cora, citeseer or pubmed; with --data the NAME in its files ind.NAME.x and so on.
      seeds: number of trained networks.
      out: the JSON file for the result.
      data: a folder in the Planetoid format; by default jaxrec finds or downloads the named data set.
      setting: the paper's settings, or those chosen on the validation nodes.
      valid: number of validation nodes.
      chunk: number of networks trained together.
      tune: print the validation accuracy of every candidate instead; the labels of the test nodes are not used.
    """

    dataset: str = "cora"
    seeds: int = 100
    out: pathlib.Path | None = None
    data: pathlib.Path | None = None
    setting: Literal["paper", "tuned"] = "tuned"
    valid: int = 500
    chunk: int = 10
    tune: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, description="Graph convolution on Cora, Citeseer and the like.")
    try:
        for name in ("seeds", "chunk"):
            if getattr(options, name) < 1:
                raise JaxrecError(f"{name} must be at least 1, got {getattr(options, name)}")
        return tune(options) if options.tune else measure(options)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2


def read(options: Options) -> Planetoid:
    """Load the data set of the options, and print its notes."""
    if options.data is None:
        data = load_planetoid(options.dataset, valid=options.valid)
    else:
        data = read_planetoid(options.data, options.dataset, valid=options.valid)
    for note in data.notes:
        print(f"- {note}", flush=True)
    return data


def measure(options: Options) -> int:
    """Train all seeds, print the result and write it."""
    data = read(options)
    settings = PAPER if options.setting == "paper" else TUNED.get(options.dataset)
    if settings is None:
        settings = PAPER
        print(f"- no settings were chosen for {options.dataset}; the paper's are used")
    print(f"- {'the paper' if settings == PAPER else 'chosen on validation'}: {settings}", flush=True)
    nodes = put_on_device(data)
    started = time.perf_counter()
    run = compile_training(nodes, data.num_classes, settings, range(options.seeds), options.chunk)
    compiled = time.perf_counter()
    curves = run(settings)
    seconds = time.perf_counter() - compiled
    epochs = selected(curves, settings)
    accuracy = 100 * at(curves.test_accuracy, epochs).astype(np.float64)
    deviation = float(accuracy.std(ddof=1)) if len(accuracy) > 1 else 0.0
    half = 1.96 * deviation / len(accuracy) ** 0.5
    document: dict[str, Any] = {
        "dataset": data.name,
        "setting": "paper" if settings == PAPER else "tuned",
        "seeds": options.seeds,
        "unit": "percent of the test nodes",
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": deviation,
        "accuracy_interval": [float(accuracy.mean() - half), float(accuracy.mean() + half)],
        "valid_accuracy_mean": float(100 * at(curves.valid_accuracy.mean(axis=2), epochs).mean(dtype=np.float64)),
        "seconds": seconds,
        "compile_seconds": compiled - started,
        "accuracy": accuracy.round(4).tolist(),
        "epochs": (epochs + 1).tolist(),
        "settings": dataclasses.asdict(settings),
        "data": {
            "nodes": data.num_nodes,
            "edges": len(data.edges) // 2,
            "features": data.features.num_columns,
            "classes": data.num_classes,
            **{part: len(getattr(data, part)) for part in ("train", "valid", "test")},
            "notes": list(data.notes),
        },
        "versions": versions(),
    }
    print(
        f"{data.name}: test accuracy {accuracy.mean():.2f} +- {deviation:.2f} % over {options.seeds} seeds (95% "
        f"interval of the mean +- {half:.2f}); {seconds:.1f} s and {compiled - started:.1f} s to compile"
    )
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def tune(options: Options) -> int:
    """Print the validation accuracy of every candidate with every selection, and the best."""
    data = read(options)
    nodes = put_on_device(data)
    tried: list[tuple[float, Settings]] = []
    for _, group in itertools.groupby(grid(), program):
        candidates = list(group)
        run = compile_training(nodes, data.num_classes, candidates[0], TUNING_SEEDS, options.chunk)
        for candidate in candidates:
            curves = run(candidate)
            for selection in ("last", "loss", "accuracy"):
                settings = dataclasses.replace(candidate, selection=selection)
                accuracy = 100 * cross_fitted_accuracy(curves, settings)
                tried.append((float(accuracy.mean()), settings))
                print(f"{accuracy.mean():.2f} +- {accuracy.std(ddof=1):.2f} %  {settings}", flush=True)
    accuracy, settings = max(tried, key=lambda pair: pair[0])
    print(f"best: {accuracy:.2f} %  {settings}")
    return 0
