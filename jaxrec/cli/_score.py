"""`jaxrec score`: measure lists that any system has written to a file."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated

from tyro import conf

from jaxrec.api._rankings import evaluate_rankings
from jaxrec.cli._output import emit, note, writable
from jaxrec.cli._parsing import ComputeOptions, optional, parse
from jaxrec.cli._run_folder import metrics_of
from jaxrec.errors import JaxrecError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.files import whole_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreCommand(ComputeOptions):
    """What `score` has.

    Attributes:
      lists: the file of lists: .json from each user to their items or as `jaxrec recommend --all --out` writes it,
        Parquet, or delimited text with columns for user, item and rank or score.
      truth: a file of what the users chose later, with ratings where a metric takes them as gains.
      train: a file of what the system was trained on; items that are not in it count as untrained.
      item_features: a .csv or .parquet file with an item column and numbers, for distances within lists.
      k: lengths of the lists.
      metrics: names of ranking metrics, or package.module:Class.
      per_user: a .csv file for the values of each user.
    """

    lists: Annotated[str, conf.Positional, conf.arg(metavar="LISTS")]
    truth: Annotated[str, conf.arg(metavar="FILE")]
    train: Annotated[str | None, optional("FILE")] = None
    item_features: Annotated[str | None, optional("FILE")] = None
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = DEFAULT_METRICS
    per_user: Annotated[str | None, optional("FILE")] = None


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec score`; see `ScoreCommand` for the options."""
    command = parse(ScoreCommand, argv, "score", "The metrics of ranked lists in a file, whatever system made them.")
    per_user = None if command.per_user is None else writable("--per-user", command.per_user)
    report = evaluate_rankings(
        command.lists,
        command.truth,
        train=command.train,
        k=command.k,
        metrics=metrics_of(command.metrics),
        item_features=None if command.item_features is None else _features(command.item_features),
    )
    if command.train is None:
        note("without --train every item counts as trained", command.quiet)
    if per_user is not None:
        with whole_text(per_user) as file:
            report.to_frame().to_csv(file, index=False)
    document = {"lists": command.lists, "truth": command.truth, "train": command.train, **report.to_dict()}
    emit(document, f"{command.lists}\n{report}", command.json)


def _features(name: str) -> object:
    try:
        import pandas
    except ImportError:
        raise JaxrecError('--item-features needs pandas: pip install "jaxrec[data]"') from None
    path = pathlib.Path(name)
    if not path.is_file():
        raise JaxrecError(f"{path}: no such file, as --item-features asks for")
    try:
        return pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
    except (ValueError, ImportError) as error:
        raise JaxrecError(f"{path}: cannot be read as a table: {error}") from None
