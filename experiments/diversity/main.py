"""Fit the models with several seeds, re-rank their lists at several trade-offs, and write curves and figures."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
import tyro

import jaxrec
from experiments.diversity.config import CANDIDATES, L2_GRID, TRADE_OFFS, K, candidates
from jaxrec.api import default_space
from jaxrec.data import seen_items
from jaxrec.evaluation import CurvePoint, accuracy_diversity_curve, curve_rows
from jaxrec.fitting import Trial
from jaxrec.ranking import ItemSpace
from jaxrec.reports import Report, average_reports, paired_difference
from jaxrec.statistics import seed_spread

NAMES = (f"recall@{K}", f"ndcg@{K}", f"ild@{K}", f"coverage@{K}")


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare accuracy and Euclidean diversity, with and without re-ranking.

    Attributes:
      data: "ml-100k" or "gowalla".
      out: the folder of the results.
      seeds: number of trainings per model.
      models: only these, such as lightgcn-3; results of an earlier run in the same folder are kept. All by default.
      tune: choose the L2 of the models of ml-100k on the validation part instead; the test part is not read.
    """

    data: Literal["ml-100k", "gowalla"] = "ml-100k"
    out: pathlib.Path = pathlib.Path("runs/diversity")
    seeds: int = 5
    models: tuple[str, ...] = ()
    tune: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment on one data set."""
    options = tyro.cli(Options, args=argv, description="Accuracy against diversity, with and without re-ranking.")
    try:
        return tune(options) if options.tune else compare(options)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2


def make_split(data: str) -> jaxrec.Split:
    """Load the published split of Gowalla with a tenth of train for validation, or split ML-100K by time."""
    loaded = jaxrec.load(data)
    if data == "gowalla":
        return jaxrec.split(loaded, "predefined", valid=0.1)
    return jaxrec.split(loaded, "user_temporal", test=0.2, valid=0.1)


def compare(options: Options) -> int:
    """Compute all curves of one data set, and write the results after every model."""
    made = candidates(options.data)
    unknown = [name for name in options.models if name not in made]
    if unknown:
        raise jaxrec.JaxrecError(f"models has {unknown[0]!r}; the models are {', '.join(made)}")
    split = make_split(options.data)
    space = default_space(split)
    options.out.mkdir(parents=True, exist_ok=True)
    document = read(options) if options.models else {}
    document |= {"data": options.data, "users": len(np.unique(split.test.user))}
    own: dict[str, Report] = {}
    for name in options.models or made:
        started = time.perf_counter()
        models = []
        model, how = made[name]
        if how is None:
            models.append(jaxrec.fit(model, split, key=jax.random.key(0)))
        else:
            # The number of epochs is chosen once, on the validation part; then all seeds learn from both parts.
            choose = dataclasses.replace(how, refit=False)
            chosen = jaxrec.fit(model, split, choose, key=jax.random.key(100))
            epochs = chosen.info["best_epoch"]
            document.setdefault("epochs", {})[name] = epochs
            print(f"{name}: {epochs} epochs, validation {chosen.info['valid']}", flush=True)
            again = dataclasses.replace(how, epochs=epochs, validation=None)
            models += [jaxrec.fit(model, split, again, key=jax.random.key(seed)) for seed in range(options.seeds)]
        runs = [curves_of(model, split, space) for model in models]
        for method in TRADE_OFFS:
            points = [
                CurvePoint(points[0].trade_off, average_reports([point.report for point in points]))
                for points in zip(*(run[method] for run in runs), strict=True)
            ]
            document.setdefault("curves", {}).setdefault(method, {})[name] = curve_rows(points, NAMES)
            own.setdefault(name, points[0].report)
        reports = [run["mmr"][0].report for run in runs]
        document.setdefault("seeds", {})[name] = [{value: one.mean(value) for value in NAMES} for one in reports]
        shown = ", ".join(f"{value} {own[name].mean(value):.4f}" for value in NAMES)
        print(f"{name}: {shown}; {time.perf_counter() - started:.0f} s", flush=True)
        write(options, document)
    print(table(document) + "\n\n" + "\n".join([*differences(own), *prices(document)]))
    return 0


def read(options: Options) -> dict[str, Any]:
    """Read the results of an earlier run from the folder, or return nothing."""
    path = options.out / f"{options.data}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def curves_of(model: jaxrec.FittedModel, split: jaxrec.Split, space: ItemSpace) -> dict[str, list[CurvePoint]]:
    """Compute the curves of one fitted model, by re-ranking method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {
            method: accuracy_diversity_curve(
                model.scorer,
                split.test,
                seen=seen_items(split.fitted),
                space=space,
                k=K,
                candidates=CANDIDATES,
                reranker=method,
                trade_offs=trade_offs,
                metrics=("recall", "ndcg"),
            )
            for method, trade_offs in TRADE_OFFS.items()
        }


def table(document: Mapping[str, Any]) -> str:
    """Format the results without re-ranking: means with 95% intervals over users, and deviations over seeds."""
    lines = ["| model | " + " | ".join(NAMES) + " |", "|---|" + "---|" * len(NAMES)]
    for name, rows in document["curves"]["mmr"].items():
        cells = []
        for value in NAMES:
            cell = f"{rows[0][value]:.4f}"
            if f"{value}_low" in rows[0]:
                cell += f" ±{(rows[0][f'{value}_high'] - rows[0][f'{value}_low']) / 2:.4f}"
            runs = [run[value] for run in document["seeds"][name]]
            cells.append(cell + (f" ({seed_spread(np.array(runs)).std:.4f})" if len(runs) > 1 else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(own: Mapping[str, Report]) -> list[str]:
    """Format paired differences to MF over users, for the models of one run."""
    lines = []
    for name in [name for name in own if name.startswith("lightgcn") and "mf" in own]:
        for value in (f"ndcg@{K}", f"ild@{K}"):
            mean, low, high = paired_difference(own[name], own["mf"], value)
            lines.append(f"{value}, {name} - mf: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    return lines


def prices(document: Mapping[str, Any]) -> list[str]:
    """Format the relative changes of accuracy and distance by re-ranking."""
    lines = []
    for method, by_model in document["curves"].items():
        for name, rows in by_model.items():
            for row in rows[1:]:
                accuracy, distance = (row[value] / rows[0][value] - 1 for value in (f"ndcg@{K}", f"ild@{K}"))
                lines.append(f"{name}, {method} {row['trade_off']}: nDCG {accuracy:+.1%}, distance {distance:+.1%}")
    return lines


def write(options: Options, document: Mapping[str, Any]) -> None:
    """Write the curves as JSON, and a figure per method."""
    from jaxrec import plots

    path = options.out / f"{options.data}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for method, by_model in document["curves"].items():
        title = f"{options.data}: candidates re-ranked by {method.upper()}"
        figure = plots.trade_off_curves(by_model, x=f"ild@{K}", y=f"ndcg@{K}", title=title)
        plots.save_figure(figure, options.out / f"{options.data}-{method}.svg")


def tune(options: Options) -> int:
    """Print the validation nDCG of every L2, mean of two seeds, and the best of each model."""
    split = make_split(options.data)
    for name, (model, how) in candidates(options.data).items():
        if how is None:
            continue
        keys = [jax.random.key(200 + seed) for seed in range(2)]
        space = {"regularizer": L2_GRID}  # a number is the weight of SquaredL2
        study = jaxrec.tune(model, split, space, how, key=keys, on_trial=functools.partial(_tell, name))
        print(f"{name}: best l2 {study.best.settings['regularizer']}: {study.best.value:.4f}", flush=True)
    return 0


def _tell(name: str, trial: Trial) -> None:
    value = trial.error if trial.value is None else f"{trial.value:.4f}"
    print(f"{name}: l2 {trial.settings['regularizer']}: {value}, epochs {list(trial.epochs)}", flush=True)
