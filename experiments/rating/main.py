"""Choose settings within each fold, train with several seeds, and measure RMSE, MAE and seconds beside Surprise."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import numpy as np
import tyro

import jaxrec
from experiments.rating.config import GRIDS, PEER_GRIDS, SEEDS, Grid
from jaxrec.data import TEST, TRAIN
from jaxrec.fitting import versions


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare rating models on ML-100K.

    Attributes:
      folds: the published folds u1 to u5, or five random ones (the shuffle of Surprise's KFold with this seed).
      seed: seed of the random folds.
      out: the result file.
      models: the models of jaxrec to train.
      peers: also measure Surprise (pip install "jaxrec[peers]").
      fold_numbers: the folds to use.
    """

    folds: Literal["published", "random"] = "published"
    seed: int = 0
    out: pathlib.Path = pathlib.Path("runs/rating.json")
    models: tuple[str, ...] = tuple(GRIDS)
    peers: bool = True
    fold_numbers: tuple[int, ...] = (1, 2, 3, 4, 5)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and write the result file."""
    options = tyro.cli(Options, args=argv, description="Compare rating models on ML-100K.")
    rows: list[dict[str, Any]] = []
    for fold, data in folds(options):
        for name in options.models:
            rows.append({"fold": fold, "model": name, **ours(GRIDS[name], data, fold)})
            print(_line(rows[-1]), flush=True)
        for name in PEER_GRIDS if options.peers else ():
            for tuned in (False, True):
                label = f"Surprise {name}{' tuned' if tuned else ''}"
                rows.append({"fold": fold, "model": label, **peer(name, data, fold, tuned=tuned)})
                print(_line(rows[-1]), flush=True)
    summary = summarize(rows)
    print("\n" + table(summary))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "folds": options.folds,
        "seed": options.seed,
        "seeds": SEEDS,
        "summary": summary,
        "rows": rows,
        "versions": versions(),
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def folds(options: Options) -> Iterator[tuple[int, jaxrec.Interactions]]:
    """Yield the folds as data with a train and a test part."""
    if options.folds == "published":
        for number in options.fold_numbers:
            yield number, jaxrec.load(f"ml-100k/u{number}")
        return
    data = jaxrec.load("ml-100k", raw=True)
    order = np.arange(len(data))
    np.random.RandomState(options.seed).shuffle(order)  # the very shuffle that Surprise makes
    for number, held_out in enumerate(np.array_split(order, 5), start=1):
        if number in options.fold_numbers:
            part = np.full(len(data), TRAIN, np.uint8)
            part[held_out] = TEST
            yield number, dataclasses.replace(data, part=part)


def ours(grid: Grid, data: jaxrec.Interactions, fold: int) -> dict[str, Any]:
    """Choose on a tenth of the training part, train on all of it with each seed, and measure the test part."""
    started = time.perf_counter()
    choice = jaxrec.split(data, "predefined", valid=0.1, key=jax.random.key(fold))
    study = jaxrec.tune(grid.model, choice, grid.settings, grid.options, key=jax.random.key(1000))
    (epochs,) = study.best.epochs
    choosing = time.perf_counter() - started
    # NMF has rounds of its own.
    options = dataclasses.replace(study.options, epochs=epochs) if epochs else study.options
    split = jaxrec.split(data, "predefined")
    errors, seconds, compiled = [], [], []
    for seed in SEEDS:
        model = jaxrec.fit(study.model, split, options, key=jax.random.key(seed))
        report = jaxrec.evaluate_ratings(model, split)
        errors.append((report.mean("rmse"), report.mean("mae")))
        took = model.info["seconds"]
        compiled.append(took["compile"])
        seconds.append(sum(took["epochs"]) if took["epochs"] else took["fit"])
    return {
        "rmse": [rmse for rmse, _ in errors],
        "mae": [mae for _, mae in errors],
        "seconds": seconds,
        "compile_seconds": compiled[0],
        "choosing_seconds": choosing,
        "chosen": study.best.number,
        "epochs": max(epochs, 1),
        "validation": [np.nan if trial.value is None else trial.value for trial in study.trials],
    }


def peer(name: str, data: jaxrec.Interactions, fold: int, *, tuned: bool) -> dict[str, Any]:
    """Train a class of Surprise, with its defaults or with the best of its grid on the same tenth."""
    surprise = _surprise()
    started = time.perf_counter()
    grid = PEER_GRIDS[name]
    tried: list[float] = []
    if tuned:
        choice = jaxrec.split(data, "predefined", valid=0.1, key=jax.random.key(fold))
        train, valid = trainset(choice.train), pairs(choice.valid)
        for settings in grid:
            fitted = getattr(surprise, name)(random_state=1000, **settings).fit(train)
            tried.append(errors_of(fitted, valid)[0])
    best = int(np.argmin(tried)) if tuned else 0
    choosing = time.perf_counter() - started
    split = jaxrec.split(data, "predefined")
    train, test = trainset(split.train), pairs(split.test)
    errors, seconds = [], []
    for seed in SEEDS if tuned else SEEDS[:1]:
        started = time.perf_counter()
        fitted = getattr(surprise, name)(random_state=seed, **grid[best]).fit(train)
        seconds.append(time.perf_counter() - started)
        errors.append(errors_of(fitted, test))
    return {
        "rmse": [rmse for rmse, _ in errors],
        "mae": [mae for _, mae in errors],
        "seconds": seconds,
        "compile_seconds": 0.0,
        "choosing_seconds": choosing,
        "chosen": best,
        "settings": grid[best],
        "validation": tried,
    }


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Average each model over folds and seeds, with both deviations and the median seconds per fold."""
    out = {}
    for name in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == name]
        by_fold = np.array([np.mean(row["rmse"]) for row in mine])
        out[name] = {
            "rmse": float(by_fold.mean()),
            "rmse_std_over_folds": float(by_fold.std(ddof=1)) if len(by_fold) > 1 else 0.0,
            "rmse_std_over_seeds": float(np.mean([np.std(row["rmse"]) for row in mine])),
            "mae": float(np.mean([np.mean(row["mae"]) for row in mine])),
            "seconds": float(np.median([second for row in mine for second in row["seconds"]])),
            "compile_seconds": float(np.median([row["compile_seconds"] for row in mine])),
        }
    return out


def table(summary: dict[str, dict[str, float]]) -> str:
    """Format the summary as a Markdown table."""
    lines = [
        "| model | RMSE | spread over folds | over seeds | MAE | seconds a fold | compilation |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in summary.items():
        lines.append(
            f"| {name} | {row['rmse']:.4f} | {row['rmse_std_over_folds']:.4f} | {row['rmse_std_over_seeds']:.4f} | "
            f"{row['mae']:.4f} | {row['seconds']:.2f} | {row['compile_seconds']:.2f} |"
        )
    return "\n".join(lines)


def _surprise() -> Any:
    try:
        return importlib.import_module("surprise")  # of an extra that neither the linters nor the tests install
    except ModuleNotFoundError as error:
        raise SystemExit('Surprise is not installed: pip install "jaxrec[peers]", or --no-peers') from error


def trainset(part: jaxrec.Interactions) -> Any:
    """Convert a part to Surprise's training set."""
    import pandas

    surprise = _surprise()
    frame = pandas.DataFrame({"user": part.user, "item": part.item, "rating": part.rating})
    return surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=(1, 5))).build_full_trainset()


def pairs(part: jaxrec.Interactions) -> list[tuple[int, int, float]]:
    """Convert a part to Surprise's list of (user, item, rating)."""
    assert part.rating is not None
    return list(zip(part.user.tolist(), part.item.tolist(), part.rating.tolist(), strict=True))


def errors_of(fitted: Any, asked: list[tuple[int, int, float]]) -> tuple[float, float]:
    """Compute RMSE and MAE of a fitted algorithm of Surprise on `pairs`."""
    error = np.array([prediction.est - prediction.r_ui for prediction in fitted.test(asked)])
    return float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error)))


def _line(row: dict[str, Any]) -> str:
    return (
        f"fold {row['fold']} {row['model']:<22} RMSE {np.mean(row['rmse']):.4f} MAE {np.mean(row['mae']):.4f} "
        f"seconds {np.median(row['seconds']):.2f} chosen {row['chosen']} validation "
        f"{[round(value, 4) for value in row['validation']]}"
    )
