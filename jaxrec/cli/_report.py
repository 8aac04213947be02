"""`jaxrec report`: one page over several runs, self-contained, with everything from alerts to the items' map."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import time
from collections.abc import Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec.cli._compare import labels_of, one_split
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._figures import read_metrics
from jaxrec.cli._fit import list_lengths
from jaxrec.cli._help import Guide
from jaxrec.cli._labels import read_categories
from jaxrec.cli._output import emit, note, writable
from jaxrec.cli._parsing import optional, parse
from jaxrec.cli._resume import read_run
from jaxrec.cli._run_folder import RunOptions
from jaxrec.cli._source import random_key
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import DownloadError, JaxrecError, MismatchError, MissingFileError
from jaxrec.evaluation._catalog import DEFAULT_K
from jaxrec.fitting._fitted import FittedModel
from jaxrec.pages._evidence import Entry, interactions_of, measured
from jaxrec.pages._report import MOST_ITEMS, MOST_USERS, report
from jaxrec.progress import work

_PAGE = 2  # what the page takes, in measured runs, for the time that is left


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportCommand(RunOptions):
    """The options of `report`.

    Attributes:
      runs: run folders with one test part; their models were fitted on the same interactions.
      out: the page; a browser opens it from the disk.
      title: of the page; by default it names the data.
      k: lengths of the lists that are measured; the lists that are shown have the shortest.
      main: the value that runs are ordered by, such as recall@20; by default nDCG at the shortest length.
      item_categories: what the map of the items is colored by: a column of the items such as `genres`, or a .csv file
        with lines `item,category`; by default the column with the fewest labels, or popularity.
      most_users: how many users the page has lists of; of more a sample.
      most_items: how many items the map and the similar items have; of more the most popular.
      seed: of the samples and of the bootstrap.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      data: where the data are now, if elsewhere than at the fit; for folders of jaxrec.save, the data.
    """

    runs: Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN ...")]
    out: Annotated[str, conf.arg(metavar="FILE.html")] = "report.html"
    title: Annotated[str | None, optional("TEXT")] = None
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    main: Annotated[str | None, optional("METRIC@K")] = None
    item_categories: Annotated[str | None, optional("COLUMN|FILE")] = None
    most_users: int = MOST_USERS
    most_items: int = MOST_ITEMS
    seed: int = 0
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


GUIDE = Guide(
    "Write one self-contained page over the runs: alerts, the data, results with intervals and tests, training, lists "
    "of single users with their reasons, and the model's view. Nothing in the run folders changes.",
    first=("out", "title", "k", "main", "item_categories", "data", "json"),
    examples=("jaxrec report runs/lightgcn runs/mf --out report.html",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec report`; see `ReportCommand` for the options."""
    started = time.perf_counter()
    command = parse(
        ReportCommand,
        argv,
        "report",
        GUIDE,
    )
    labels = labels_of(command.runs, "report", least=1)
    path = writable("--out", command.out, [".html", ".htm"])
    random_key(command.seed, "--seed")
    for flag, value in (("--most-users", command.most_users), ("--most-items", command.most_items)):
        if value < 1:
            raise JaxrecError(f"{flag} must be at least 1, got {value}")
    command.start()
    models = {label: command.restored(folder) for label, folder in zip(labels, command.runs, strict=True)}
    parts, described, why = found_split(command, list(models.values()), "report")
    left_out = [] if not why else [f"The data: {why}"]
    for text in left_out:
        note(text, command.quiet)
    with work("report", len(models) + _PAGE):
        entries = {label: Entry(model) for label, model in models.items()}
        k = command.k
        if parts is not None:
            k = list_lengths(command.k, parts, command.quiet)
            entries = _measured(command, models, parts, k)
            left_out += [
                f"{label}: it was fitted on all parts, so nothing measures it"
                for label, entry in entries.items()
                if entry.report is None and len(parts.test)
            ]
        entries = {
            label: dataclasses.replace(
                entry, figures=read_metrics(folder, command.quiet), command=_command(folder), folder=folder
            )
            for (label, entry), folder in zip(entries.items(), command.runs, strict=True)
        }
        name = str(described.get("data", ""))
        with work("", share=_PAGE):
            page = report(
                entries,
                parts,
                name=pathlib.PurePath(name).name if pathlib.PurePath(name).is_absolute() else name,
                title=command.title or "",
                k=min(k),
                main=command.main,
                item_categories=categories_asked(command.item_categories, list(models.values()), parts),
                left_out=left_out,
                most_users=command.most_users,
                most_items=command.most_items,
                seed=command.seed,
                memory_mb=command.memory_mb,
            )
    size = page.write(path)
    seconds = time.perf_counter() - started
    document = {
        "out": str(path),
        "bytes": size,
        "seconds": seconds,
        "data": name,
        "runs": dict(zip(labels, command.runs, strict=True)),
        "alerts": [alert._asdict() for alert in page.alerts],
        "left_out": list(page.left_out),
    }
    lines = [f"{path}: {size / 1e6:.1f} MB, {seconds:.1f} s"]
    lines += [f"{alert.severity}: {alert.text}" for alert in page.alerts]
    lines += [f"left out: {text}" for text in page.left_out]
    emit(document, "\n".join(lines), command.json)


def found_split(command: Any, models: Sequence[FittedModel], name: str) -> tuple[Split | None, dict[str, Any], str]:
    """The split of the runs of a command with what is said of it; or None with the reason why there is none.

    Args:
      command: its options: `runs`, `data`, `data_and_split` and `kinds()`.
      models: of the run folders.
      name: of the command, for messages.

    Raises:
      MismatchError: runs of different data or splits.
    """
    sources = [model.info.get("source") for model in models]
    known: dict[str, Any] = next((dict(source) for source in sources if isinstance(source, dict)), {})
    unsaid = [folder for folder, source in zip(command.runs, sources, strict=True) if not isinstance(source, dict)]
    if unsaid and command.data is None:
        return (
            None,
            known,
            (
                f"{unsaid[0]!r} does not say which data and split it is of; name them with --data and the options of "
                "the split, such as --split, --test, --valid and --split-seed"
            ),
        )
    try:
        parts, described = one_split(command, models, name)
    except (MissingFileError, DownloadError) as error:
        marks = {source.get("fingerprint") for source in sources if isinstance(source, dict)}
        if len(marks) > 1:
            raise MismatchError(
                "the runs are of different data or splits; fit all with the same data, filters and split options"
            ) from None
        return None, known, str(error)
    return parts, described, ""


def _measured(
    command: ReportCommand, models: dict[str, FittedModel], parts: Split, k: tuple[int, ...]
) -> dict[str, Entry]:
    """The runs with what is measured of each; one that was fitted on the test part has nothing."""
    entries = {}
    for label, model in models.items():
        with work(f"measuring {label}", share=1):
            if not len(parts.test) or model.info["fitted_on"] == "all data":
                entries[label] = Entry(model)
            else:
                entries |= measured({label: model}, parts, k=k, memory_mb=command.memory_mb)
    return entries


def _command(folder: str) -> str:
    """The command that a run folder was made by; "" where it does not say."""
    kept = read_run(folder)
    return "" if kept is None else shlex.join(["jaxrec", "fit", *kept.argv])


def categories_asked(asked: str | None, models: Sequence[FittedModel], parts: Split | None) -> Any:
    """What `--item-categories` names: a column, or what a file says; None where it is not given."""
    if asked is None:
        return None
    return read_categories(asked, interactions_of(models[0]) if parts is None else parts.train)
