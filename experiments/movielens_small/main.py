"""Fit the models, compare them on the test part, show recommendations, and write a run folder."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import json
import os
import pathlib
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tyro

import jaxrec
from experiments.movielens_small.config import CHOSEN, GRIDS
from jaxrec.api import default_space, title_of
from jaxrec.files import write_whole
from jaxrec.fitting import Trial, plain_description
from jaxrec.pages import METRICS, Entry, report
from jaxrec.ranking import ItemSpace
from jaxrec.reports import (
    Report,
    average_reports,
    compare_reports,
    comparison_table,
    paired_difference,
    popularity_groups,
)
from jaxrec.statistics import Comparison

COLUMNS = (
    *("recall@10", "recall@20", "precision@10", "precision@20", "ndcg@10", "ndcg@20"),
    *("ild@10", "ild@20", "coverage@10", "coverage@20"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare popularity, random, item-kNN, EASE, MF and LightGCN on movielens-small.

    Attributes:
      out: the run folder.
      seeds: number of trainings of MF and LightGCN for the test; their values are means.
      tune: choose the settings on the validation part instead; the test part is not read.
    """

    out: pathlib.Path = pathlib.Path("runs/main")
    seeds: int = 5
    tune: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the main job."""
    options = tyro.cli(Options, args=argv, description="Compare six models on movielens-small.")
    try:
        return tune() if options.tune else compare(options)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2


def make_split() -> jaxrec.Split:
    """Load ratings of 4 and more, 5-core; the last fifth of each user is for test, the tenth before for validation."""
    return jaxrec.split(jaxrec.load("movielens-small"), "user_temporal", test=0.2, valid=0.1)


def compare(options: Options) -> int:
    """Print the table and the lists of three users, and write the run folder."""
    started = time.perf_counter()
    split = make_split()
    for note in (*split.train.notes, *split.notes):
        print(f"- {note}")
    options.out.mkdir(parents=True, exist_ok=True)
    space = default_space(split)
    models: dict[str, jaxrec.FittedModel] = {}
    reports: dict[str, Report] = {}
    per_seed: dict[str, list[Report]] = {}
    seconds: dict[str, float] = {}
    for name, (model, how) in CHOSEN.items():
        before = time.perf_counter()
        log = options.out / "log.jsonl" if name == "lightgcn" else None
        models[name] = jaxrec.fit(model, split, how, key=jax.random.key(0), log=log)
        seconds[name] = time.perf_counter() - before
        per_seed[name] = [evaluate(models[name], split, space)]
        if how is not None:
            again = dataclasses.replace(how, epochs=models[name].info["best_epoch"], validation=None)
            fit_again = functools.partial(jaxrec.fit, model, split, again)
            # Programs this small leave a core idle, so the further seeds are trained side by side.
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                jobs = [pool.submit(fit_again, key=jax.random.key(seed)) for seed in range(1, options.seeds)]
            per_seed[name] += [evaluate(job.result(), split, space) for job in jobs]
        reports[name] = average_reports(per_seed[name])
        print(f"{name}: nDCG@10 {reports[name].mean('ndcg@10'):.4f}, fitted in {seconds[name]:.1f} s", flush=True)
    rows = compare_reports(reports, jax.random.key(0), names=COLUMNS, resamples=10_000)
    print("\n" + comparison_table(reports, COLUMNS, comparisons=rows))
    findings = conclusions(reports, rows)
    print("\n" + "\n".join(findings))
    show_users(split, models)
    write(options.out, split, models, reports, rows, seconds, findings, time.perf_counter() - started)
    page = write_report(options.out, split, models, reports, rows)
    print(f"\nRun folder: {options.out} ({time.perf_counter() - started:.0f} s in all)")
    print(f"Report: {page}, for a browser")
    command = os.path.relpath(pathlib.Path(sys.executable).with_name("jaxrec"))
    print(f"Explorer: {command} explore {options.out / 'lightgcn'} {options.out / 'ease'} --data movielens-small")
    return 0


def evaluate(model: jaxrec.FittedModel, split: jaxrec.Split, space: ItemSpace) -> Report:
    """Evaluate on the test part, without the warning about ties that popularity and random cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        groups = popularity_groups(split.fitted)
        return jaxrec.evaluate(model, split, metrics=METRICS, space=space, item_groups=groups)


def conclusions(reports: Mapping[str, Report], rows: Sequence[Comparison]) -> list[str]:
    """Format the paired comparisons over users after correction for all of them."""
    lines = []
    corrected = {(frozenset((row.a, row.b)), row.metric): row for row in rows}
    for first, second in (("lightgcn", "popularity"), ("lightgcn", "mf"), ("ease", "lightgcn")):
        mean, low, high = paired_difference(reports[first], reports[second], "ndcg@10")
        row = corrected[frozenset((first, second)), "ndcg@10"]
        what = f"{first} is {'better' if mean > 0 else 'worse'}" if row.significant else "no difference is shown"
        lines.append(
            f"nDCG@10, {first} - {second}: {mean:+.4f}, 95% interval of this pair alone [{low:+.4f}, {high:+.4f}], p "
            f"{row.p_holm:.3f} after Holm's correction over {len(rows)} comparisons: {what}"
        )
    ratio = reports["lightgcn"].mean("ndcg@10") / reports["popularity"].mean("ndcg@10")
    lines.append(f"nDCG@10, lightgcn / popularity: {ratio:.2f}")
    return lines


def show_users(split: jaxrec.Split, models: Mapping[str, jaxrec.FittedModel], count: int = 3, k: int = 5) -> None:
    """Print the liked films of some users, and the recommendations of each model."""
    users = np.unique(split.test.user)[:: max(1, len(np.unique(split.test.user)) // count)][:count]
    for user in users:
        name = split.train.users.ids[user].item()
        liked = split.fitted.item[split.fitted.user == user]
        some = "; ".join(title_of(models["lightgcn"], item) for item in liked[:k])
        print(f"\nUser {name} liked {len(liked)} films, among them: {some}")
        for model in models.values():
            suggestions = jaxrec.recommend(model, [name], k=k)[name]
            print(f"  {model.name:<10} {'; '.join(one.title for one in suggestions)}")


def write(
    out: pathlib.Path,
    split: jaxrec.Split,
    models: Mapping[str, jaxrec.FittedModel],
    reports: Mapping[str, Report],
    rows: Sequence[Comparison],
    seconds: Mapping[str, float],
    findings: list[str],
    total: float,
) -> None:
    """Write the models, `metrics.json`, and the learning curve; the log was written during training."""
    from jaxrec import plots

    jaxrec.save(models["lightgcn"], out)
    for name, model in models.items():
        jaxrec.save(model, out / name)
    info = models["lightgcn"].info
    figure = plots.learning_curve(info["records"], best_epoch=info["best_epoch"], title="LightGCN on movielens-small")
    plots.save_figure(figure, out / "learning_curve.png")
    document = {
        "data": models["lightgcn"].info["data"],
        "split": split.method,
        "versions": models["lightgcn"].info["versions"],
        "seconds": total,
        "findings": findings,
        "comparisons": [dataclasses.asdict(row) for row in rows],
        "models": {
            name: {
                "config": _config(name),
                "best_epoch": models[name].info["best_epoch"],
                "valid": models[name].info["valid"],
                "test": {metric: reports[name].mean(metric) for metric in COLUMNS},
                "intervals": {
                    metric: reports[name].interval(metric) for metric in COLUMNS if metric in reports[name].per_user
                },
                "trainings": reports[name].runs,
                "seeds": reports[name].to_dict()["seeds"],
                "seconds": seconds[name],
            }
            for name in reports
        },
    }
    write_whole(out / "metrics.json", (json.dumps(document, indent=1) + "\n").encode())


def write_report(
    out: pathlib.Path,
    split: jaxrec.Split,
    models: Mapping[str, jaxrec.FittedModel],
    reports: Mapping[str, Report],
    rows: Sequence[Comparison],
) -> pathlib.Path:
    """Write the page over the six models, with the tests that were made already, and return its path."""
    entries = {name: Entry(model, reports[name], command="make run") for name, model in models.items()}
    path = out / "report.html"
    report(entries, split, name="movielens-small", comparisons=rows).write(path)
    return path


def tune() -> int:
    """Print the validation nDCG@10 of all settings, and the best of each model; three trainings count as their mean."""
    split = make_split()
    for name, space in GRIDS.items():
        model, how = CHOSEN[name]
        keys = [jax.random.key(100 + seed) for seed in range(1 if how is None else 3)]
        study = jaxrec.tune(model, split, space, how, key=keys, on_trial=functools.partial(_tell, name))
        print(f"{name:<9} best: {study.best.value:.4f}  {dict(study.best.settings)}\n", flush=True)
    return 0


def _tell(name: str, trial: Trial) -> None:
    value = trial.error if trial.value is None else f"{trial.value:.4f}"
    print(f"{name:<9} {value}  epochs {list(trial.epochs)}  {dict(trial.settings)}", flush=True)


def _config(name: str) -> dict[str, Any]:
    model, how = CHOSEN[name]
    described = {key: value for key, value in plain_description(model).items() if key not in ("num_users", "num_items")}
    return {**described, **({} if how is None else plain_description(how))}
