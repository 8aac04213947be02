"""`jaxrec score`: measure lists that any system has written to a file."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro import conf

from jaxrec.api._cells import existing
from jaxrec.api._rankings import evaluate_rankings
from jaxrec.cli._help import Guide
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note, writable
from jaxrec.cli._parsing import ComputeOptions, Switch, optional, parse
from jaxrec.cli._run_folder import metrics_of
from jaxrec.cli._source import columns_of
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.files import whole_text
from jaxrec.text import cell_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreCommand(ComputeOptions):
    """What `score` has.

    Attributes:
      lists: the file of lists: .json from each user to their items or as `jaxrec recommend --all --out` writes it,
        Parquet, or delimited text with columns for user, item and rank or score, or with a user and all their items a
        line.
      truth: a file of what the users chose later, with ratings where a metric takes them as gains.
      train: a file of what the system was trained on; items that are not in it count as untrained.
      columns: of the files of truth and train, as of `jaxrec fit`, such as user=customer item=sku.
      order: the column that orders the lists, NAME, or NAME:ascending where the lowest is the best; or rows, for the
        order of the rows.
      form: of a file of lists where both fit: long for an item a line, wide for a user and all their items a line.
      item_features: a .csv or .parquet file with an item column and numbers, for distances within lists.
      k: lengths of the lists.
      metrics: names of ranking metrics, or package.module:Class.
      per_user: a .csv file for the values of each user.
      spreadsheet_safe: in that file, put a quote before ids that a spreadsheet would run as formulas.
    """

    lists: Annotated[str, conf.Positional, conf.arg(metavar="LISTS")]
    truth: Annotated[str, conf.arg(metavar="FILE")]
    train: Annotated[str | None, optional("FILE")] = None
    columns: Annotated[tuple[str, ...], optional("COLUMN ...")] = ()
    order: Annotated[str | None, optional("COLUMN")] = None
    form: Annotated[Literal["long", "wide"] | None, optional("{long,wide}")] = None
    item_features: Annotated[str | None, optional("FILE")] = None
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = DEFAULT_METRICS
    per_user: Annotated[str | None, optional("FILE")] = None
    spreadsheet_safe: Switch = False


GUIDE = Guide(
    "The metrics of ranked lists in a file, whatever system made them.",
    first=("truth", "train", "columns", "k", "metrics", "order", "item_features", "per_user", "json"),
    examples=("jaxrec score lists.csv --truth test.csv --train train.csv -k 10 20",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec score`; see `ScoreCommand` for the options."""
    command = parse(ScoreCommand, argv, "score", GUIDE)
    per_user = None if command.per_user is None else writable("--per-user", command.per_user)
    use_cache(command.cache_dir)
    report = evaluate_rankings(
        command.lists,
        command.truth,
        train=command.train,
        columns=columns_of(command.columns),
        order=command.order,
        form=command.form,
        k=command.k,
        metrics=metrics_of(command.metrics),
        item_features=None
        if command.item_features is None
        else existing(pathlib.Path(command.item_features), "--item-features"),
    )
    if command.train is None:
        note("without --train every item counts as trained", command.quiet)
    if per_user is not None:
        frame = report.to_frame()
        if command.spreadsheet_safe:
            frame["user"] = [cell_text(one) for one in frame["user"].tolist()]
        with whole_text(per_user) as file:
            frame.to_csv(file, index=False)
    document = {"lists": command.lists, "truth": command.truth, "train": command.train, **report.to_dict()}
    emit(document, f"{command.lists}\n{report}", command.json)
