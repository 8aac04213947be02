"""Tables of results on published splits: each row is fitted and measured once, and a table that stopped goes on."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import tyro

import jaxrec
from jaxrec.fitting import FittedModel, plain_description, versions
from jaxrec.parallel import Layout

Part = Literal["test", "random", "order"]
"""What is measured: the test part, or a held-out tenth of train, at random or the last of each user in the data."""

METRICS = ("recall@20", "ndcg@20")
TOLD = ("ceiling", "learning_users", "learning_seconds", "blend")
"""What is kept of the info of a fit, where it has it."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and how it is trained, as one row of a table.

    Attributes:
      model: without sizes.
      options: of the training; None for a model that is solved.
      published: data set to the recall@20 and nDCG@20 of a paper, as (recall, ndcg).
      source: the paper.
      chosen_on: how the settings were chosen: "train" (a held-out part of it), or "test", the literature's way.
      fit: from (split, key) to a fitted model, in place of `jaxrec.fit` of the model; for rows that fit several.
      mesh: of a training, see `jaxrec.fit`; in the order of clusters it draws the same and takes less time.
    """

    model: Any
    options: jaxrec.TrainingOptions | None = None
    published: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    source: str = ""
    chosen_on: Literal["train", "test"] = "train"
    fit: Callable[[jaxrec.Split, jax.Array], FittedModel] | None = None
    mesh: Layout | None = None

    def fitted(self, split: jaxrec.Split, key: jax.Array, folder: pathlib.Path | None = None) -> FittedModel:
        """The model, fitted on the training part alone; what is trained goes on from the checkpoints of a folder."""
        if self.fit is not None:
            return self.fit(split, key)
        if self.options is None:
            return jaxrec.fit(self.model, split.train, key=key)
        options = dataclasses.replace(self.options, validation=None)
        return jaxrec.fit(self.model, split.train, options, key=key, mesh=self.mesh, **checkpoints(folder))

    @property
    def settings(self) -> dict[str, Any]:
        """Model and options as plain JSON values."""
        of_options = {} if self.options is None else {"options": plain_description(self.options)}
        return {"model": plain_description(self.model), **of_options}


def checkpoints(folder: pathlib.Path | None) -> dict[str, Any]:
    """The arguments of `jaxrec.fit` that keep checkpoints in a folder, and go on from those that are there."""
    if folder is None:
        return {}
    return {"checkpoint": jaxrec.Checkpoint(folder), **({"resume": folder} if folder.exists() else {})}


@functools.cache
def published_split(dataset: str, part: Part) -> tuple[jaxrec.Split, jaxrec.Interactions]:
    """The split of a data set with published parts, and the interactions that are measured."""
    data = jaxrec.load(dataset)
    if part == "test":
        split = jaxrec.split(data, "predefined")
        return split, split.test
    order = "random" if part == "random" else "data"
    split = jaxrec.split(data, "predefined", valid=0.1, valid_order=order)
    return split, split.valid


def measure(row: Row, dataset: str, part: Part, seed: int, folder: pathlib.Path | None = None) -> dict[str, Any]:
    """Fit a row and measure it; with checkpoints in a folder, see `Row.fitted`.

    Returns:
      The two figures with their intervals over users, the seconds of the fit and of the measuring, what the fit tells
      of its learning, and the settings.
    """
    split, truth = published_split(dataset, part)
    start = time.perf_counter()
    fitted = row.fitted(split, jax.random.key(seed), folder)
    jax.block_until_ready(fitted.scorer)
    trained = time.perf_counter()
    report = jaxrec.evaluation.evaluate_scorer(
        fitted.scorer, truth, seen=jaxrec.data.seen_items(split.train), k=(20,), metrics=("recall", "ndcg")
    )
    figures: dict[str, Any] = {name: round(report.mean(name), 5) for name in METRICS}
    intervals = {name: [round(bound, 5) for bound in report.interval(name)] for name in METRICS}
    return {
        **figures,
        "intervals": intervals,
        "fit_seconds": round(trained - start, 1),
        "measure_seconds": round(time.perf_counter() - trained, 1),
        **{name: fitted.info[name] for name in TOLD if name in fitted.info},
        "settings": row.settings,
    }


def run(
    rows: Mapping[str, Row],
    dataset: str,
    *,
    part: Part = "test",
    seeds: int = 1,
    out: pathlib.Path,
    names: Sequence[str] = (),
    kept: pathlib.Path | None = None,
) -> list[dict[str, Any]]:
    """Measure what is not yet in the file, and write each row there as soon as it is measured.

    Args:
      rows: by name.
      dataset: a name of `jaxrec.datasets()` with published parts.
      part: what is measured.
      seeds: how many seeds each row is trained with, from 0; a model that draws nothing is solved once.
      out: a JSON file; it is read first, so a table that was stopped goes on, and a row whose settings changed is
        measured again.
      names: which rows; all by default.
      kept: a folder for the checkpoints of trained rows, from which a row that was stopped goes on. Its entry says so,
        and has the seconds since it went on.

    Returns:
      The entries of the file.
    """
    entries: list[dict[str, Any]] = json.loads(out.read_text())["rows"] if out.exists() else []
    for name in names or rows:
        row = rows[name]
        for seed in range(seeds if row.options is not None or getattr(row.model, "draws", True) else 1):
            mark = {"row": name, "dataset": dataset, "part": part, "seed": seed}
            known = [entry for entry in entries if mark.items() <= entry.items()]
            if known and known[-1]["settings"] == json.loads(json.dumps(row.settings)):
                continue
            folder = None if kept is None else kept / f"{dataset}-{part}-{name}-{seed}".replace(" ", "-")
            again = {"went_on": True} if folder is not None and folder.exists() else {}
            measured = measure(row, dataset, part, seed, folder)
            entries.append({**mark, **measured, **again, "chosen_on": row.chosen_on})
            print(one_line(entries[-1]), flush=True)
            document = {"versions": versions(), "test_reads": test_reads(entries), "rows": entries}
            jaxrec.files.write_whole(_made(out), (json.dumps(document, indent=1) + "\n").encode())
    return entries


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure the rows of a table that its file does not have yet, and print the table.

    Attributes:
      dataset: a data set with published parts: gowalla, yelp2018, amazon-book.
      rows: names of rows; all by default.
      part: "test", or a held-out tenth of train, "random" or last in the "order" of the data, to choose settings on.
      grid: measure all settings of the grids of the rows, on a held-out tenth; not with the test part.
      seeds: trainings of each row.
      out: the JSON file; by default runs/EXPERIMENT-DATASET.json.
      checkpoints: a folder for the checkpoints of trained rows; a row that was stopped goes on from these.
    """

    dataset: str = "gowalla"
    rows: tuple[str, ...] = ()
    part: Part = "test"
    grid: bool = False
    seeds: int = 1
    out: pathlib.Path | None = None
    checkpoints: pathlib.Path | None = None


def command(
    experiment: str,
    rows: Mapping[str, Mapping[str, Row]],
    grids: Mapping[str, Mapping[str, Row]],
    argv: Sequence[str] | None = None,
) -> int:
    """Run the command of an experiment.

    Args:
      experiment: its name.
      rows: data set to its rows by name; "" has those of any other data set.
      grids: row to the settings that were tried for it, by name.
      argv: words of the command line.
    """
    options = tyro.cli(Options, args=argv, prog=f"python -m experiments.{experiment}")
    own = rows.get(options.dataset) or rows[""]
    unknown = sorted(set(options.rows) - own.keys())
    try:
        if unknown:
            raise jaxrec.JaxrecError(f"no row is named {unknown[0]!r}; the rows are {', '.join(own)}")
        if options.grid and options.part == "test":
            raise jaxrec.JaxrecError("settings are chosen on train; pass --part random or --part order")
        if options.grid:
            names = options.rows or tuple(own)
            own = {f"{name}: {word}": row for name in names for word, row in grids.get(name, {}).items()}
        out = options.out or pathlib.Path(f"runs/{experiment}-{options.dataset}.json")
        names = () if options.grid else options.rows
        how: dict[str, Any] = {"seeds": options.seeds, "out": out, "names": names, "kept": options.checkpoints}
        entries = run(own, options.dataset, part=options.part, **how)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2
    print(table(own, entries, options.dataset, options.part))
    return 0


def test_reads(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How often the test part of each data set was measured."""
    names = [entry["dataset"] for entry in entries if entry["part"] == "test"]
    return {name: names.count(name) for name in sorted(set(names))}


def table(rows: Mapping[str, Row], entries: Sequence[Mapping[str, Any]], dataset: str, part: Part = "test") -> str:
    """A Markdown table: the mean over seeds with its spread, the seconds, and the published figure beside it."""
    lines = [
        "| row | recall@20 | nDCG@20 | seeds | seconds of fit | and of measuring | settings chosen on | published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        own = [each for each in entries if (each["row"], each["dataset"], each["part"]) == (name, dataset, part)]
        if not own:
            continue
        own = [each for each in own if each["settings"] == own[-1]["settings"]]
        figures = [_spread([each[metric] for each in own]) for metric in METRICS]
        seconds = [f"{statistics.median(each[which] for each in own):.0f}" for which in _SECONDS]
        published = "/".join(f"{value:.4f}"[1:] for value in row.published.get(dataset, ()))
        lines.append(
            f"| {name} | {figures[0]} | {figures[1]} | {len(own)} | {seconds[0]} | {seconds[1]} | {row.chosen_on} | "
            f"{published + (f' ({row.source})' if published else '')} |"
        )
    return "\n".join(lines)


_SECONDS = ("fit_seconds", "measure_seconds")


def one_line(entry: Mapping[str, Any]) -> str:
    """What was measured, in a line."""
    seconds = entry["fit_seconds"] + entry["measure_seconds"]
    figures = ", ".join(f"{metric} {entry[metric]:.4f}" for metric in METRICS)
    return f"{entry['row']} on {entry['dataset']}, {entry['part']}, seed {entry['seed']}: {figures}, {seconds:.0f} s"


def _spread(values: Sequence[float]) -> str:
    text = f"{statistics.mean(values):.4f}"[1:]
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.4f}"


def _made(path: pathlib.Path) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
