"""`jaxrec compare`: the models of several run folders on one split, with paired tests over users."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec.api._evaluate import default_space, evaluate
from jaxrec.cli._fit import DEFAULT_K, list_lengths
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note, table, writable, write_text
from jaxrec.cli._parsing import Switch, optional, parse
from jaxrec.cli._run_folder import RunOptions, device, metrics_of
from jaxrec.cli._source import random_key, split_again
from jaxrec.errors import JaxrecError, MismatchError, RunFolderError
from jaxrec.reports._comparisons import compare_reports
from jaxrec.reports._tables import comparison_latex, comparison_markdown, comparison_table
from jaxrec.statistics._resampling import check_options


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareCommand(RunOptions):
    """What `compare` has.

    Attributes:
      runs: the run folders, of models that were fitted on one and the same split.
      k: lengths of the lists.
      metrics: names of metrics, or package.module:Class.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      resamples: of the bootstrap over users.
      level: the probability of the intervals; 1 less it is the level of the tests.
      reference: the run with which the table of means compares the others, as it is named here or by the name of its
        folder; by default each mean is compared with the best other one of its column.
      latex: a file for the table of means, with booktabs.
      markdown: the same in Markdown.
      seed: of the bootstrap.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      data: where the data are now, if not where they were at the fit.
      data_dir: the folder that holds the folders of named data sets now, likewise.
    """

    runs: Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN RUN ...")]
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = ("recall", "precision", "ndcg")
    no_distances: Switch = False
    resamples: int = 2000
    level: float = 0.95
    reference: Annotated[str | None, optional("RUN")] = None
    latex: Annotated[str | None, optional("FILE")] = None
    markdown: Annotated[str | None, optional("FILE")] = None
    seed: int = 0
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_dir: Annotated[str | None, optional("FOLDER")] = None


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec compare`; see `CompareCommand` for the options."""
    command = parse(
        CompareCommand,
        argv,
        "compare",
        "Measure the models of several run folders on the test part of their split, and test every pair of them: "
        "paired bootstrap over users, Holm's correction over all rows. It compares trained models; a claim about "
        "methods needs several seeds of each.",
    )
    labels = _labels(command.runs)
    reference = None if command.reference is None else _label_of(command.reference, labels, command.runs)
    files = [
        (writable(flag, name), draw)
        for flag, name, draw in (
            ("--latex", command.latex, comparison_latex),
            ("--markdown", command.markdown, comparison_markdown),
        )
        if name is not None
    ]
    use_cache(command.cache_dir)
    device()
    key = random_key(command.seed, "--seed")
    check_options(key, command.resamples, command.level, "percentile", command.memory_mb)
    models = [command.restored(folder) for folder in command.runs]
    described = _one_split(command.runs, models)
    parts = split_again(described, moved_to=command.data, data_dir=command.data_dir, kinds=command.kinds())
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    k = list_lengths(command.k, parts, command.quiet)
    space = None if command.no_distances else default_space(parts)
    reports = {
        label: evaluate(
            model, parts, k=k, metrics=metrics_of(command.metrics), space=space, memory_mb=command.memory_mb
        )
        for label, model in zip(labels, models, strict=True)
    }
    first = next(iter(reports.values()))
    names = [name for name in first.names if not name.startswith("recall_known")]
    rows = compare_reports(reports, key, names=names, resamples=command.resamples, level=command.level)
    table_options: dict[str, Any] = {"level": command.level, "comparisons": rows, "reference": reference}
    for path, draw in files:
        write_text(path, draw(reports, names, **table_options) + "\n")
        note(f"table written to {path}", command.quiet)
    document = {
        "data": described["data"],
        "fingerprint": described["fingerprint"],
        "models": {
            label: {"run": folder, "model": model.name, **reports[label].to_dict()}
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
        f"{table(shown)}\n* the two differ, at level {1 - command.level:.2g} after Holm's correction over "
        f"{len(rows)} rows; over users, for these trained models"
    )
    emit(document, text, command.json)


def _labels(runs: Sequence[str]) -> list[str]:
    if len(runs) < 2:
        raise JaxrecError(f"compare needs at least two run folders, got {len(runs)}")
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


def _one_split(runs: Sequence[str], models: Sequence[Any]) -> dict[str, Any]:
    """What the runs say of their data and split, which must be the same."""
    found: list[dict[str, Any]] = []
    for folder, model in zip(runs, models, strict=True):
        described = model.info.get("source")
        if not isinstance(described, dict):
            raise RunFolderError(
                f"{folder!r} does not say which data and split it is of, since `jaxrec fit` did not write it; compare "
                "its reports in Python with jaxrec.statistics.compare_models"
            )
        if model.info["task"] == "rating":
            raise MismatchError(f"{folder!r} predicts ratings, and compare is for models that rank")
        if found and described.get("fingerprint") != found[0].get("fingerprint"):
            raise MismatchError(
                f"{runs[0]!r} and {folder!r} were fitted on different data or splits; fit both with the same data, "
                "filters and split options"
            )
        found.append(described)
    return found[0]
