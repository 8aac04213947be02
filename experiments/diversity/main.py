"""Fit the models over several seeds, re-rank their lists at several trade-offs, and write curves and figures."""

from __future__ import annotations

import dataclasses
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
from jaxrec.api.evaluate import default_space
from jaxrec.data.seen import seen_items
from jaxrec.evaluation.item_space import ItemSpace
from jaxrec.evaluation.report import average_reports, paired_difference
from jaxrec.evaluation.tradeoff import CurvePoint, accuracy_diversity_curve, curve_rows
from jaxrec.evaluation.uncertainty import seed_spread

NAMES = (f"recall@{K}", f"ndcg@{K}", f"ild@{K}", f"coverage@{K}")
Curves = dict[str, dict[str, list[CurvePoint]]]  # method, model, points


@dataclasses.dataclass(frozen=True)
class Options:
    """Accuracy against Euclidean diversity, with and without re-ranking.

    Attributes:
      data: "ml-100k" or "gowalla".
      out: the folder of the results.
      seeds: how many times each model is trained.
      tune: choose the L2 of the models of ml-100k on the validation part instead; the test part is not read.
    """

    data: Literal["ml-100k", "gowalla"] = "ml-100k"
    out: pathlib.Path = pathlib.Path("runs/diversity")
    seeds: int = 5
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
    """The published split of Gowalla with a tenth of its training part for validation; by time for ML-100K."""
    loaded = jaxrec.load(data)
    if data == "gowalla":
        return jaxrec.split(loaded, "predefined", valid=0.1)
    return jaxrec.split(loaded, "user_temporal", test=0.2, valid=0.1)


def compare(options: Options) -> int:
    """All curves of one data set; results are written after every model."""
    split = make_split(options.data)
    space = default_space(split)
    options.out.mkdir(parents=True, exist_ok=True)
    curves: Curves = {method: {} for method in TRADE_OFFS}
    seeds: dict[str, list[dict[str, float]]] = {}
    epochs: dict[str, int] = {}
    for name, candidate in candidates(options.data).items():
        started = time.perf_counter()
        models = []
        if candidate.options is None:
            models.append(jaxrec.fit(candidate.model, split, key=jax.random.key(0)))
        else:
            # The number of epochs is chosen once, on the validation part; then all seeds learn from both parts.
            choose = dataclasses.replace(candidate.options, refit=False)
            chosen = jaxrec.fit(candidate.model, split, choose, key=jax.random.key(100))
            epochs[name] = chosen.info["best_epoch"]
            print(f"{name}: {epochs[name]} epochs, validation {chosen.info['valid']}", flush=True)
            again = dataclasses.replace(candidate.options, epochs=epochs[name], validate=False)
            models += [
                jaxrec.fit(candidate.model, split, again, key=jax.random.key(seed)) for seed in range(options.seeds)
            ]
        runs = [curves_of(model, split, space) for model in models]
        for method in TRADE_OFFS:
            curves[method][name] = [
                CurvePoint(points[0].trade_off, average_reports([point.report for point in points]))
                for points in zip(*(run[method] for run in runs), strict=True)
            ]
        own = [run["mmr"][0].report for run in runs]
        seeds[name] = [{value: report.mean(value) for value in NAMES} for report in own]
        shown = ", ".join(f"{value} {curves['mmr'][name][0].report.mean(value):.4f}" for value in NAMES)
        print(f"{name}: {shown}; {time.perf_counter() - started:.0f} s", flush=True)
        write(options, split, curves, seeds, epochs)
    print(table(curves, seeds) + "\n\n" + "\n".join(findings(curves)))
    return 0


def curves_of(model: jaxrec.FittedModel, split: jaxrec.Split, space: ItemSpace) -> dict[str, list[CurvePoint]]:
    """The curves of one fitted model, by the method of re-ranking."""
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
                method=method,
                trade_offs=trade_offs,
                metrics=("recall", "ndcg"),
            )
            for method, trade_offs in TRADE_OFFS.items()
        }


def table(curves: Curves, seeds: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The lists of the models themselves: means with 95% intervals over users, and the deviation over seeds."""
    lines = ["| model | " + " | ".join(NAMES) + " |", "|---|" + "---|" * len(NAMES)]
    for name, points in curves["mmr"].items():
        report, cells = points[0].report, []
        for value in NAMES:
            cell = f"{report.mean(value):.4f}"
            if value in report.per_user:
                low, high = report.interval(value)
                cell += f" ±{(high - low) / 2:.4f}"
            runs = [run[value] for run in seeds[name]]
            cells.append(cell + (f" ({seed_spread(np.array(runs)).std:.4f})" if len(runs) > 1 else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def findings(curves: Curves) -> list[str]:
    """What the paired intervals over users say of depth, and of what diversity costs."""
    lines = []
    own = {name: points[0].report for name, points in curves["mmr"].items()}
    for name in [name for name in own if name.startswith("lightgcn")]:
        for value in (f"ndcg@{K}", f"ild@{K}"):
            mean, low, high = paired_difference(own[name], own["mf"], value)
            lines.append(f"{value}, {name} - mf: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    for method, by_model in curves.items():
        for name, points in by_model.items():
            for trade_off, report in points[1:]:
                accuracy = report.mean(f"ndcg@{K}") / own[name].mean(f"ndcg@{K}") - 1
                distance = report.mean(f"ild@{K}") / own[name].mean(f"ild@{K}") - 1
                lines.append(f"{name}, {method} {trade_off}: nDCG {accuracy:+.1%}, distance {distance:+.1%}")
    return lines


def write(
    options: Options,
    split: jaxrec.Split,
    curves: Curves,
    seeds: Mapping[str, Sequence[Mapping[str, float]]],
    epochs: Mapping[str, int],
) -> None:
    """The curves as JSON, and a figure for each method."""
    from jaxrec import plots

    document: dict[str, Any] = {
        "data": options.data,
        "users": len(np.unique(split.test.user)),
        "epochs": dict(epochs),
        "seeds": dict(seeds),
        "curves": {
            method: {name: curve_rows(points, NAMES) for name, points in by_model.items()}
            for method, by_model in curves.items()
        },
    }
    (options.out / f"{options.data}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for method, by_model in curves.items():
        title = f"{options.data}: candidates re-ranked by {method.upper()}"
        figure = plots.trade_off_curves(by_model, x=f"ild@{K}", y=f"ndcg@{K}", title=title)
        plots.save_figure(figure, options.out / f"{options.data}-{method}.svg")


def tune(options: Options) -> int:
    """Print the validation nDCG of every L2, mean of two seeds, and the best of each model."""
    split = make_split(options.data)
    for name, candidate in candidates(options.data).items():
        if candidate.options is None:
            continue
        tried = []
        for l2 in L2_GRID:
            one = dataclasses.replace(candidate.options, l2=l2, refit=False)
            fits = [jaxrec.fit(candidate.model, split, one, key=jax.random.key(200 + seed)) for seed in range(2)]
            tried.append((float(np.mean([fit.info["valid"]["ndcg@10"] for fit in fits])), l2))
            print(f"{name}: l2 {l2}: {tried[-1][0]:.4f}, epochs {[fit.info['best_epoch'] for fit in fits]}", flush=True)
        print(f"{name}: best {max(tried)}", flush=True)
    return 0
