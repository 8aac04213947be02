"""Measure one row of the table of best results, and write it as one JSON document."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import tyro

import jaxrec
from experiments.best.config import ORDERED, grid, rows
from experiments.tables import METRICS, Part, Row, run, table, test_reads


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure a row on a published split; what the file has already is not measured again.

    Attributes:
      dataset: gowalla or yelp2018.
      row: filter, network, embedding, ials, ease, blend, everything, lightgcn-bpr; network-quick
        learns from 12,500 users; filter-all, network-all and everything-all rank the whole catalog.
      part: "test" fits on all of train and reads the test part once a seed. "random" and "order" hold out a tenth of
        train, at random or the last of each user in the order of the file, and leave the test part alone.
      seeds: fits, from seed 0.
      search: measure the settings of the grid of the row too, on a held-out tenth; it is timed apart.
      out: the JSON file; by default runs/best-DATASET-ROW.json.
      checkpoints: a folder for the checkpoints of a row that is one training, which goes on from these when it was
        stopped; other rows are refused.
    """

    dataset: Literal["gowalla", "yelp2018"] = "gowalla"
    row: str = "everything"
    part: Part = "test"
    seeds: int = 1
    search: bool = False
    out: pathlib.Path | None = None
    checkpoints: pathlib.Path | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.best", description=Options.__doc__)
    known = rows(options.dataset)
    try:
        document = measured(options, known)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2
    print(table({options.row: known[options.row]}, document["rows"], options.dataset, options.part))
    return 0


def measured(options: Options, known: Mapping[str, Row]) -> dict[str, Any]:
    """Measure what the file lacks, and write the document.

    Raises:
      JaxrecError: a row that there is not, or an order that the file of the data set does not have.
    """
    if options.row not in known:
        raise jaxrec.JaxrecError(f"no row is named {options.row!r}; the rows are {', '.join(known)}")
    if options.part == "order" and not ORDERED[options.dataset]:
        raise jaxrec.JaxrecError(f"the file of {options.dataset} is sorted, so its order is lost; pass --part random")
    if options.checkpoints is not None and known[options.row].options is None:
        trained = ", ".join(name for name, row in known.items() if row.options is not None)
        raise jaxrec.JaxrecError(f"{options.row} is not one training, so it has no checkpoints; these have: {trained}")
    out = options.out or pathlib.Path(f"runs/best-{options.dataset}-{options.row}.json")
    if options.search:
        tried = {f"{options.row}: {word}": row for word, row in grid(options.dataset).get(options.row, {}).items()}
        held_out: Part = "order" if ORDERED[options.dataset] else "random"
        run(tried, options.dataset, part=held_out, out=out)
    how: dict[str, Any] = {"seeds": options.seeds, "out": out, "kept": options.checkpoints}
    entries = run(known, options.dataset, part=options.part, names=(options.row,), **how)
    document = summary(options, entries, json.loads(json.dumps(known[options.row].settings)))
    whole = {**document, **json.loads(out.read_text()), "test_reads": document["test_reads"]}
    jaxrec.files.write_whole(out, (json.dumps(whole, indent=1) + "\n").encode())
    return whole


def summary(options: Options, entries: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a row from the entries of its file.

    Returns:
      The means over seeds with their spread, the median of the seconds from the parsed data on (fit, learning, ranking
      and measuring), the seconds of all entries of the search (None where none was run), the settings, and how often
      the test part was read for this file.
    """
    mark = {"row": options.row, "dataset": options.dataset, "part": options.part, "settings": settings}
    own = [entry for entry in entries if mark.items() <= entry.items()]
    searched = [entry for entry in entries if entry["row"].startswith(f"{options.row}: ")]
    seconds = [[entry["fit_seconds"] + entry["measure_seconds"] for entry in each] for each in (own, searched)]
    figures = {name: [entry[name] for entry in own] for name in METRICS}
    return {
        "dataset": options.dataset,
        "row": options.row,
        "part": options.part,
        **{name: round(statistics.mean(values), 5) for name, values in figures.items()},
        "spread": {name: round(max(values) - min(values), 5) for name, values in figures.items()},
        "seconds": round(statistics.median(seconds[0]), 1),
        "search_seconds": round(sum(seconds[1]), 1) if searched else None,
        "settings": settings,
        "test_reads": test_reads(entries).get(options.dataset, 0),
    }
