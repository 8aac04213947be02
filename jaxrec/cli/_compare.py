"""`jaxrec compare`: the models of several run folders on one split, with paired tests over users."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec.api._evaluate import default_space, evaluate
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._figures import read_metrics
from jaxrec.cli._fit import list_lengths
from jaxrec.cli._help import Guide
from jaxrec.cli._measured import split_of
from jaxrec.cli._output import emit, note, writable, write_text
from jaxrec.cli._parsing import Switch, optional, parse
from jaxrec.cli._run_folder import RunOptions, metrics_of
from jaxrec.cli._source import random_key
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.evaluation._choice import resolve_metrics
from jaxrec.fitting._fitted import FittedModel
from jaxrec.progress import work
from jaxrec.reports._comparisons import compare_reports
from jaxrec.reports._tables import comparison_latex, comparison_markdown, comparison_table
from jaxrec.reports._values import split_value_name
from jaxrec.statistics._resampling import check_options
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareCommand(RunOptions):
    """What `compare` has.

    Attributes:
      runs: run folders with one test part; their models were fitted on the same interactions.
      k: lengths of the lists.
      metrics: names of metrics, or package.module:Class.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      resamples: of the bootstrap over users.
      level: the probability of the intervals; 1 less it is the level of the tests.
      reference: the run that the table compares the others with; as it is named here, or by the name of its folder. By
        default each mean is compared with the best other one of its column.
      latex: a file for the table of means, with booktabs.
      markdown: the same in Markdown.
      seed: of the bootstrap.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      data: where the data are now, if elsewhere than at the fit; for folders of jaxrec.save, the data.
    """

    runs: Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN RUN ...")]
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = DEFAULT_METRICS
    no_distances: Switch = False
    resamples: int = 2000
    level: float = 0.95
    reference: Annotated[str | None, optional("RUN")] = None
    latex: Annotated[str | None, optional("FILE")] = None
    markdown: Annotated[str | None, optional("FILE")] = None
    seed: int = 0
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


GUIDE = Guide(
    "Measure the models of several run folders on the test part of their split, and test every pair of them: paired "
    "bootstrap over users, Holm's correction over all rows. It compares trained models; a claim about methods needs "
    "several seeds of each.",
    first=("k", "metrics", "reference", "latex", "markdown", "resamples", "data", "json"),
    examples=("jaxrec compare runs/mf runs/ease --latex table.tex",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec compare`; see `CompareCommand` for the options."""
    command = parse(
        CompareCommand,
        argv,
        "compare",
        GUIDE,
    )
    labels = labels_of(command.runs, "compare")
    reference = None if command.reference is None else _label_of(command.reference, labels, command.runs)
    files = [
        (writable(flag, name), draw)
        for flag, name, draw in (
            ("--latex", command.latex, comparison_latex),
            ("--markdown", command.markdown, comparison_markdown),
        )
        if name is not None
    ]
    command.start()
    key = random_key(command.seed, "--seed")
    check_options(key, command.resamples, command.level, "percentile", command.memory_mb)
    models = [command.restored(folder) for folder in command.runs]
    stored = [read_metrics(folder, command.quiet) for folder in command.runs]
    seeds = {label: seeds_of(figures) for label, figures in zip(labels, stored, strict=True)}
    parts, described = one_split(command, models, "compare")
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    k = list_lengths(command.k, parts, command.quiet)
    space = None if command.no_distances else default_space(parts)
    metrics, reports = metrics_of(command.metrics), {}
    with work("comparing", len(models), unit="runs"):
        for label, model in zip(labels, models, strict=True):
            with work(label, share=1):
                how: dict[str, Any] = {"k": k, "metrics": metrics, "space": space, "memory_mb": command.memory_mb}
                reports[label] = evaluate(model, parts, **how)
    first = next(iter(reports.values()))
    asked = resolve_metrics(metrics)
    unasked = {name for metric in asked for name in metric.also} - {metric.name for metric in asked}
    names = [name for name in first.names if split_value_name(name).name not in unasked]
    rows = compare_reports(reports, key, names=names, resamples=command.resamples, level=command.level)
    trainings = {label: max(len(some.get("runs", ())), 1) for label, some in seeds.items()}
    table_options: dict[str, Any] = {
        "level": command.level,
        "comparisons": rows,
        "reference": reference,
        "trainings": trainings,
    }
    for path, draw in files:
        write_text(path, draw(reports, names, **table_options) + "\n")
        note(f"table written to {path}", command.quiet)
    document = {
        "data": described["data"],
        "fingerprint": described["fingerprint"],
        "models": {
            label: {
                "run": folder,
                "model": model.name,
                **reports[label].to_dict(),
                "seeds": _spreads(seeds[label]),
                "trainings": trainings[label],
            }
            for label, folder, model in zip(labels, command.runs, models, strict=True)
        },
        "comparisons": [dataclasses.asdict(row) for row in rows],
        "resamples": command.resamples,
        "level": command.level,
        "reference": reference,
    }
    shown = [("metric", "", "", "difference", f"{command.level:.0%} interval", "p", "p (Holm)", "")]
    shown += [
        (
            row.metric,
            row.a,
            row.b,
            f"{row.difference:+.4f}",
            f"{row.low:+.4f} to {row.high:+.4f}",
            f"{row.p_value:.4f}",
            f"{row.p_holm:.4f}",
            "*" if row.significant else "",
        )
        for row in rows
    ]
    text = (
        f"{described['data']}, test part, {len(first.users):,} users\n"
        f"{comparison_table(reports, names, **table_options)}\n\n"
        f"{aligned_text(shown)}\n* the two differ, at level {1 - command.level:.2g} after Holm's correction over "
        f"{len(rows)} rows; over users, for these trained models"
        f"{_seeds_text(seeds, names)}"
    )
    emit(document, text, command.json)


def labels_of(runs: Sequence[str], command: str, least: int = 2) -> list[str]:
    """The labels of run folders: the names of the folders, or where two agree their paths.

    Raises:
      JaxrecError: fewer folders than the command needs, or one twice.

    >>> labels_of(["runs/mf", "runs/ease"], "compare")
    ['mf', 'ease']
    """
    if len(runs) < least:
        needs = "two run folders" if least == 2 else "one run folder"
        raise JaxrecError(f"{command} needs at least {needs}, got {len(runs)}")
    if len({pathlib.Path(folder).resolve() for folder in runs}) < len(runs):
        raise JaxrecError("a run folder is named twice; name each once")
    names = [pathlib.Path(folder).resolve().name for folder in runs]
    return names if len(set(names)) == len(names) else list(runs)


def _label_of(reference: str, labels: Sequence[str], runs: Sequence[str]) -> str:
    """The label of a run that is named by its label or by its folder."""
    for label, folder in zip(labels, runs, strict=True):
        if reference in (label, folder) or pathlib.Path(reference).resolve() == pathlib.Path(folder).resolve():
            return label
    raise JaxrecError(
        f"--reference {reference!r} is none of the runs that are compared; name one of {', '.join(labels)}"
    )


def one_split(command: Any, models: Sequence[FittedModel], name: str) -> tuple[Split, dict[str, Any]]:
    """The split of the runs of a command, whose test parts and fitted interactions must be the same.

    Args:
      command: its options: `runs`, `data`, `data_and_split` and `kinds()`.
      models: of the run folders.
      name: of the command, for messages.

    Raises:
      MismatchError: a model of ratings, or runs of different splits.
      JaxrecError: see `split_of`.
    """
    made: dict[Any, tuple[Split, dict[str, Any]]] = {}
    first: tuple[str, Split, Any, dict[str, Any]] | None = None
    for folder, model in zip(command.runs, models, strict=True):
        if model.info["task"] == "rating":
            raise MismatchError(f"{folder!r} predicts ratings, and {name} is for models that rank")
        source = model.info.get("source")
        mark = source.get("fingerprint") if isinstance(source, dict) else None
        if mark not in made:
            # The options are for folders that do not say their split; `data_dir` is for all.
            own = command.data_and_split
            options = own if source is None else DataOptions(data_dir=own.data_dir)
            made[mark] = split_of(folder, model, command.data, options, command.kinds())
        parts, described = made[mark]
        fitted = parts.train if model.info["fitted_on"] == "train" else parts.fitted
        if first is None:
            first = folder, parts, fitted, described
            continue
        told = []
        for what, one, other in (("test", first[1].test, parts.test), ("fitted", first[2], fitted)):
            if one is not other and one.fingerprint() != other.fingerprint():
                told.append(f"the {what} parts have {len(one):,} and {len(other):,} interactions")
        stages = [str(info.get("fitted_on")) for info in (models[0].info, model.info)]
        if told and stages[0] != stages[1] and first[1].test.fingerprint() == parts.test.fingerprint():
            raise MismatchError(
                f"{first[0]!r} was fitted on {stages[0]} and {folder!r} on {stages[1]}: {', '.join(told)}; fit both "
                "without --no-refit, or both with it"
            )
        if told:
            raise MismatchError(
                f"{first[0]!r} and {folder!r} were fitted on different data or splits: {', '.join(told)}"
                f"{_differences(first[3], described)}; fit both with the same data, filters and split options"
            )
    assert first is not None
    return first[1], first[3]


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The options of the data that differ."""
    pairs = {"data": (one["data"], other["data"])}
    pairs |= {
        f"--{name.replace('_', '-')}": (value, other["options"].get(name)) for name, value in one["options"].items()
    }
    return "".join(f", {name} is {a!r} and {b!r}" for name, (a, b) in pairs.items() if a != b)


def seeds_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the figures of a run folder say of several seeds."""
    seeds = figures.get("seeds")
    return seeds if isinstance(seeds, dict) and isinstance(seeds.get("runs"), list) else {}


def _spreads(seeds: Mapping[str, Any]) -> dict[str, Any]:
    """The spread over seeds of each value that the folder has."""
    test = seeds.get("test")
    return test.get("seeds", {}) if isinstance(test, dict) else {}


def _seeds_text(seeds: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """A row for each run of several seeds: the mean over seeds and the standard deviation of the stored values."""
    several = {label: some for label, some in seeds.items() if some.get("runs")}
    shown = [name for name in names if any(name in _spreads(some) for some in several.values())]
    if not several:
        return ""
    rows = [("", "seeds", *shown)]
    for label, some in several.items():
        spreads = _spreads(some)
        cells = [f"{spreads[one]['mean']:.4f} ({spreads[one]['std']:.4f})" if one in spreads else "" for one in shown]
        rows.append((label, str(len(some["runs"])), *cells))
    return (
        "\n\nmean (standard deviation) over seeds, from metrics.json; the tests above are of the first seed, whose "
        f"model the folder has:\n{aligned_text(rows)}"
    )
