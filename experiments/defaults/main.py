"""Compare models that are given no option, on the test part or, for the choice of the loss, on the validation part."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import tyro

import jaxrec
from experiments.defaults.config import CHOSEN_FOR, LOSSES, OPTIONS, SOLVED, TRAINED
from experiments.tables import checkpoints
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.fitting import FittedModel, versions
from jaxrec.protocols import Solved

METRIC = "ndcg@10"


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare MF and LightGCN with item-kNN and EASE, all as they come.

    Attributes:
      datasets: named data sets; published splits are taken as they come, less a tenth of train for validation.
      split: of the others.
      models: which of config.py.
      choose: measure the losses of config.py on the validation part instead; the test part is left alone.
      widths: compare MF and LightGCN of these widths with EASE instead, on a split of the training and validation part;
        the test part is left alone.
      checkpoints: a folder for the checkpoints of what is trained; a command that was stopped goes on from these.
      node_order: of users and items while a graph model trains; by clusters takes less time and rounds otherwise, and
        is refused for MF.
      out: a JSON file.
    """

    datasets: tuple[str, ...] = ("movielens-small", "ml-latest-small", "ml-100k")
    split: Literal["user_temporal", "user_random", "random"] = "user_temporal"
    models: tuple[str, ...] = (*SOLVED, *TRAINED)
    choose: bool = False
    widths: tuple[int, ...] = ()
    checkpoints: pathlib.Path | None = None
    node_order: Literal["data", "clusters"] = "data"
    out: pathlib.Path = pathlib.Path("runs/defaults.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.defaults")
    measured = of_widths if options.widths else chosen if options.choose else on_test
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for row in (row for name in options.datasets for row in measured(name, options)):
        print(json.dumps(row), flush=True)
        rows.append(row)
        document = json.dumps({"versions": versions(), "rows": rows}, indent=1) + "\n"
        jaxrec.files.write_whole(options.out, document.encode())
    return 0


def split_of(name: str, options: Options) -> jaxrec.Split:
    """The split of a data set, with a validation part."""
    data = jaxrec.load(name)
    if data.part is not None:
        return jaxrec.split(data, "predefined", valid=0.1)
    return jaxrec.split(data, options.split)


def fitted(model: Any, split: jaxrec.Split, **how: Any) -> FittedModel:
    """Fit with the defaults; what is solved has no epochs to choose, and is solved once, of train and validation."""
    once: dict[str, Any] = {"validation": None} if isinstance(model, Solved) else {}
    return jaxrec.fit(model, split, key=jax.random.key(0), **once, **how)


def kept(name: str, word: str, model: Any, options: Options) -> dict[str, Any]:
    """Where the checkpoints of a trained model are, whether to go on from them, and the order of its nodes."""
    if isinstance(model, Solved):
        return {}
    how: dict[str, Any] = {}
    if options.node_order != "data":
        how["mesh"] = jaxrec.parallel.Layout(order=options.node_order)
    if options.checkpoints is not None:
        folder = options.checkpoints / f"{name}-{word}".replace(" ", "").replace(",", "-")
        how |= checkpoints(folder)
    return how


def on_test(name: str, options: Options) -> Iterator[dict[str, Any]]:
    """Compare the models on the test part."""
    models = {word: (SOLVED | TRAINED)[word] for word in options.models}
    return compared(name, split_of(name, options), models, options)


def of_widths(name: str, options: Options) -> Iterator[dict[str, Any]]:
    """Compare widths of the trained models with EASE on a split of the training and validation part."""
    inner = jaxrec.split(split_of(name, options).fitted, options.split)
    wide = {f"{word}, {dim}": model.clone(dim=dim) for dim in options.widths for word, model in TRAINED.items()}
    return compared(name, inner, {"ease": SOLVED["ease"], **wide}, options)


def compared(name: str, split: jaxrec.Split, models: Mapping[str, Any], options: Options) -> Iterator[dict[str, Any]]:
    """Measure the models on the test part of a split, and the paired difference of trained ones from solved ones."""
    reports: dict[str, jaxrec.Report] = {}
    for word, each in models.items():
        start = time.perf_counter()
        model = fitted(each, split, **kept(name, word, each, options))
        reports[word] = jaxrec.evaluate(model, split, k=(10, 20), metrics=["recall", "ndcg"])
        row: dict[str, Any] = {"dataset": name, "model": word, "seconds": round(time.perf_counter() - start, 1)}
        row |= {metric: round(reports[word].mean(metric), 4) for metric in (METRIC, "recall@20")}
        row |= {"epochs": model.info["best_epoch"]} if word in TRAINED else {}
        for other in SOLVED if word not in SOLVED else ():
            if other in reports:
                row[f"less {other}"] = difference(reports[word], reports[other])
        yield row


def difference(report: jaxrec.Report, other: jaxrec.Report) -> list[float]:
    """The mean difference over users, with the lower and the upper end of its 95% interval."""
    values = {word: {METRIC: each.per_user[METRIC]} for word, each in (("one", report), ("other", other))}
    (row,) = jaxrec.statistics.compare_models(values, jax.random.key(0))
    return [round(each, 4) for each in (row.difference, row.low, row.high)]


def chosen(name: str, options: Options) -> Iterator[dict[str, Any]]:
    """Measure the losses on the validation part."""
    split = split_of(name, options)
    seen = seen_items(split.train)
    for (word, model), (label, loss) in itertools.product(CHOSEN_FOR.items(), LOSSES.items()):
        made = fitted(model, split, options=dataclasses.replace(OPTIONS, loss=loss))
        report = evaluate_scorer(made.scorer, split.valid, seen=seen, k=(10, 20), metrics=("recall", "ndcg"))
        row = {"dataset": name, "model": word, "loss": label, "epochs": made.info["best_epoch"]}
        yield row | {metric: round(report.mean(metric), 4) for metric in (METRIC, "recall@20")}
