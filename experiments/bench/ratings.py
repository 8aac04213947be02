"""SVD++ and NMF of ratings beside Surprise on the same fold: seconds of training and RMSE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxrec
from experiments.bench.config import Options
from experiments.bench.generator import generator_of, power_law
from experiments.bench.peers import find
from experiments.bench.timing import Row, by_turns, missing
from experiments.rating.config import GRIDS, PEER_GRIDS
from experiments.rating.main import errors_of, pairs, trainset
from jaxrec.data import TEST, TRAIN
from jaxrec.fitting import with_settings

UNIT = "s to train"
# The settings that every fold of experiments/rating chose on a tenth of its training part.
CHOSEN = {"svdpp": -1, "nmf": 1}
PEERS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "svdpp": {
        "Surprise SVDpp, defaults": ("SVDpp", {}),
        "Surprise SVDpp, defaults, cache_ratings": ("SVDpp", {"cache_ratings": True}),
        "Surprise SVDpp, tuned": ("SVDpp", PEER_GRIDS["SVDpp"][-1]),
    },
    "nmf": {"Surprise NMF, defaults": ("NMF", {}), "Surprise NMF, tuned": ("NMF", PEER_GRIDS["NMF"][-1])},
}


def run(options: Options) -> list[Row]:
    """Measure SVD++."""
    return rows_of("svdpp", options)


def rows_of(name: str, options: Options) -> list[Row]:
    """Measure "svdpp" or "nmf", and Surprise with its defaults and with the settings of experiments/rating."""
    data, surprise = fold(options), find("surprise")
    grid, epochs = GRIDS[name], {}
    model, training = with_settings(grid.model, grid.options, grid.settings[CHOSEN[name]])
    candidates = {"jaxrec": training}
    if name == "svdpp":
        epochs = epochs_of(model, training, data, options, surprise)
        candidates = {label: dataclasses.replace(training, epochs=number) for label, number in epochs.items()}
    split = jaxrec.split(data, "predefined")
    setting = "generated ratings" if options.quick else "ML-100K, fold u1"
    rmse: dict[str, list[float]] = {}
    trained: dict[str, list[float]] = {}
    compiled: dict[str, float] = {}
    works: dict[str, Callable[[], Any]] = {}
    for label, how in candidates.items():

        def ours(label: str = label, how: jaxrec.TrainingOptions = how) -> None:
            seconds = trained.setdefault(label, [])
            key = jax.random.key(options.seed + len(seconds))
            fitted = jaxrec.fit(model, split, how, key=key)
            took = fitted.info["seconds"]
            seconds.append(sum(took["epochs"]) if took["epochs"] else took["fit"])
            compiled.setdefault(label, took["compile"])
            rmse.setdefault(label, []).append(jaxrec.evaluate_ratings(fitted, split).mean("rmse"))

        works[label] = ours
    if surprise is not None:
        known, asked = trainset(split.train), pairs(split.test)
        for label, (kind, settings) in PEERS[name].items():

            def theirs(label: str = label, kind: str = kind, settings: dict[str, Any] = settings) -> None:
                seconds, fitted = _timed(lambda: getattr(surprise, kind)(random_state=0, **settings).fit(known))
                trained.setdefault(label, []).append(seconds)
                rmse.setdefault(label, []).append(errors_of(fitted, asked)[0])

            works[label] = theirs
    by_turns(works, options.repeats)  # the seconds are those of the training alone, which each work measures
    rows = []
    for label in works:
        note = f"RMSE {np.mean(rmse[label][1:]):.4f}" + (f", {epochs[label]} epochs" if label in epochs else "")
        compile_seconds = None
        if label in candidates:
            compile_seconds = compiled[label] or max(trained[label][0] - float(np.median(trained[label][1:])), 0.0)
        extra = {"rmse": rmse[label]}
        values = tuple(trained[label][1:])
        rows.append(Row(name, setting, label, UNIT, values, (), compile_seconds, note, extra))
    return rows + ([] if surprise is not None else [missing(name, setting, "Surprise", UNIT, "scikit-surprise")])


def fold(options: Options) -> jaxrec.Interactions:
    """Load fold u1 of ML-100K, or generate ratings with a random test part."""
    if not options.quick:
        return jaxrec.load("ml-100k/u1")
    data = power_law(3000, 150, 100, jax.random.key(options.seed))
    rng = generator_of(jax.random.key(options.seed + 1))
    part = np.where(rng.random(len(data)) < 0.2, TEST, TRAIN).astype(np.uint8)
    return dataclasses.replace(data, rating=rng.integers(1, 6, len(data)).astype(np.float32), part=part)


def epochs_of(
    model: Any, training: jaxrec.TrainingOptions, data: jaxrec.Interactions, options: Options, surprise: Any
) -> dict[str, int]:
    """Choose two numbers of epochs on a tenth of the training part.

    One has the smallest error. The other, if Surprise is installed, is the first with an error no larger than that of
    Surprise with its defaults, trained on the same nine tenths.

    Args:
      model: the model without sizes.
      training: its training options.
      data: the fold.
      options: options of the benchmark.
      surprise: the package or None.

    Returns:
      The epochs by label.
    """
    settings = dataclasses.replace(training, refit=False, epochs=2 if options.quick else 40)
    choice = jaxrec.split(data, "predefined", valid=0.1, key=jax.random.key(1))
    known = jaxrec.fit(model, choice, settings, key=jax.random.key(1000)).info
    epochs = {"jaxrec": max(known["best_epoch"], 1)}
    if surprise is not None:
        peer = surprise.SVDpp(random_state=0).fit(trainset(choice.train))
        error = errors_of(peer, pairs(choice.valid))[0]
        enough = [record["epoch"] for record in known["records"] if record["valid"]["rmse"] <= error]
        if enough:
            epochs["jaxrec, as accurate as the defaults"] = enough[0]
    return epochs


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    made: list[Any] = []
    taken = by_turns({"": lambda: made.append(work())}, 0)[""].first
    return taken, made[0]
