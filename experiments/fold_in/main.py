"""Compare lists of held-out users by fold-in with those of a model that is trained again with these users."""

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
from experiments.fold_in.config import CHOSEN, FOLDS, GRIDS, SEED
from jaxrec.fitting import FittedModel, plain_description, versions

METRIC = "ndcg@10"


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure fold-in against training again, on held-out users of ML-100K.

    Attributes:
      dataset: a named data set.
      models: which of config.py.
      folds: how many of the five folds.
      users: how many single calls are timed in a fold.
      tune: print the validation figures of all settings instead; the test users are left alone.
      out: a folder for a JSON file a model.
    """

    dataset: str = "ml-100k"
    models: tuple[str, ...] = tuple(CHOSEN)
    folds: int = FOLDS
    users: int = 50
    tune: bool = False
    out: pathlib.Path = pathlib.Path("runs/fold_in")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, description="Lists of new users without training again.")
    data = jaxrec.load(options.dataset)
    if options.tune:
        return tune(data, options)
    rows = {
        name: [measure(name, data, fold, options.users) for fold in range(options.folds)] for name in options.models
    }
    summary = {name: summarize(of_folds) for name, of_folds in rows.items()}
    print("\n" + table(summary))
    for name, of_model in summary.items():
        document = {
            "data": data.counts(),
            "summary": of_model,
            "folds": [{key: row[key] for key in row if key != "values"} for row in rows[name]],
            "settings": plain_description(CHOSEN[name][0]),
            "versions": versions(),
        }
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def held_out(data: jaxrec.Interactions, fold: int) -> jaxrec.Split:
    """Return the split of a fold, in which a tenth of the users is for validation, and is the same in all folds.

    The other users are dealt into five folds of test users. Of a held-out user a fifth of the interactions, at random,
    is hidden, at least one; the rest is shown.
    """
    rng = np.random.default_rng(SEED)
    count = np.bincount(data.user, minlength=data.num_users)
    dealt = rng.permutation(np.flatnonzero(count > 1))
    order = np.lexsort((rng.random(len(data)), data.user))
    rank = np.empty(len(data), np.int64)
    rank[order] = np.arange(len(data)) - (np.cumsum(count) - count)[data.user[order]]
    valid_users, others = np.split(dealt, [len(dealt) // 10])
    tested = np.array_split(others, FOLDS)[fold]
    role = np.zeros(data.num_users, np.int8)
    role[valid_users], role[tested] = 1, 2
    hidden = rank < np.maximum(count // 5, 1)[data.user]
    of_row = role[data.user]
    rows = {"valid": hidden & (of_row == 1), "test": hidden & (of_row == 2), "fold_in": ~hidden & (of_row > 0)}
    parts = {name: data.select(mask) for name, mask in rows.items()}
    train = data.select(of_row == 0)
    return jaxrec.Split(train, parts["valid"], parts["test"], "held-out users", fold_in=parts["fold_in"])


def measure(name: str, data: jaxrec.Interactions, fold: int, timed: int) -> dict[str, Any]:
    """Fit with the test users held out, and again with what they show; measure both on what they hide.

    Each of the two chooses its number of epochs on what the validation users hide: the first by folding them in, the
    second as users that it trains on. Then it is trained anew on the training and the validation part.
    """
    model, how = CHOSEN[name]
    split = held_out(data, fold)
    folded = jaxrec.fit(model, split, how, key=jax.random.key(SEED))
    assert split.fold_in is not None
    shown = jaxrec.Split(split.train, split.fold_in, split.fold_in.select(np.arange(0)), method="joined").fitted
    joint = jaxrec.Split(shown, split.valid, split.test, method="with the shown items of the held-out users")
    refitted = jaxrec.fit(model, joint, how, key=jax.random.key(SEED))
    reports = [
        jaxrec.evaluate(fitted, parts, k=10, metrics="ndcg", space=None)
        for fitted, parts in ((folded, split), (refitted, joint))
    ]
    values = np.stack([report.per_user[METRIC] for report in reports], axis=1)
    popular = jaxrec.fit(jaxrec.Popularity(), joint, key=jax.random.key(SEED))
    seconds = milliseconds(folded, split, timed)
    row = {
        "fold": fold,
        "best_epochs": [fitted.info["best_epoch"] for fitted in (folded, refitted)],
        "fold_in": float(np.mean(values[:, 0])),
        "refitted": float(np.mean(values[:, 1])),
        "popularity": jaxrec.evaluate(popular, joint, k=10, metrics="ndcg", space=None).mean(METRIC),
        "milliseconds": [float(np.median(seconds)), float(np.quantile(seconds, 0.95))],
        "values": values,
    }
    print(name, {key: value for key, value in row.items() if key != "values"}, flush=True)
    return row


def milliseconds(fitted: FittedModel, split: jaxrec.Split, users: int) -> list[float]:
    """Return the time of `recommend(history=...)` for one user after another, once each length is compiled."""
    assert split.fold_in is not None
    shown = split.fold_in
    of_user = [shown.items.ids[shown.item[shown.user == user]].tolist() for user in np.unique(split.test.user)[:users]]
    for history in of_user:
        jaxrec.recommend(fitted, history=history, k=10)
    out = []
    for history in of_user:
        start = time.perf_counter()
        jaxrec.recommend(fitted, history=history, k=10)
        out.append(1e3 * (time.perf_counter() - start))
    return out


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means over the users of all folds, and the ratio with a 95% percentile bootstrap interval over users."""
    values = np.concatenate([row["values"] for row in rows])
    rng = np.random.default_rng(SEED)
    draws = np.stack([values[rng.integers(len(values), size=len(values))].mean(axis=0) for _ in range(10_000)])
    low, high = np.quantile(draws[:, 0] / draws[:, 1], (0.025, 0.975))
    folded, refitted = values.mean(axis=0)
    return {
        "users": len(values),
        "fold_in": float(folded),
        "refitted": float(refitted),
        "popularity": float(np.mean([row["popularity"] for row in rows])),
        "ratio": float(folded / refitted),
        "interval": [float(low), float(high)],
        "of_folds": [row["fold_in"] / row["refitted"] for row in rows],
        "milliseconds": np.median([row["milliseconds"] for row in rows], axis=0).tolist(),
    }


def table(summary: dict[str, dict[str, Any]]) -> str:
    """Return the table of the README."""
    lines = [
        "| model | fold-in | trained again | ratio | 95% interval | popularity | ms a user, median (p95) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in summary.items():
        figures = [f"{row[key]:.4f}"[1:] for key in ("fold_in", "refitted")]
        low, high = row["interval"]
        median, slow = row["milliseconds"]
        lines.append(
            f"| {name} | {figures[0]} | {figures[1]} | {row['ratio']:.3f} | [{low:.3f}, {high:.3f}] | "
            f"{row['popularity']:.4f} | {median:.1f} ({slow:.1f}) |"
        )
    return "\n".join(lines)


def tune(data: jaxrec.Interactions, options: Options) -> int:
    """Print the figure of the validation users for all settings; they are folded in, and no test user is read."""
    for name in options.models:
        model, how = CHOSEN[name]
        study = jaxrec.tune(model, held_out(data, 0), GRIDS[name], how, key=jax.random.key(SEED))
        for trial in study.trials:
            value = trial.error if trial.value is None else f"{trial.value:.4f}"
            print(f"{name:<9} {value}  epochs {list(trial.epochs)}  {dict(trial.settings)}", flush=True)
        print(f"{name:<9} best: {study.best.value:.4f}  {dict(study.best.settings)}\n", flush=True)
    return 0
