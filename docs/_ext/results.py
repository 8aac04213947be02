"""Results of experiments, as the JSON files beside them have them. Needs no Sphinx."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Row:
    """A measured row.

    Attributes:
      file: that has it, from the root of the repository.
      data: the name of the data set.
      label: of the row.
      classes: the model and the loss that it is about, by the names of their classes.
      values: of each metric its mean.
      intervals: of each metric (low, high) over users, where the file has it.
      seconds: from the data on to the last figure.
      date, machine: where the file has them, else empty.
    """

    file: str
    data: str
    label: str
    classes: tuple[str, ...]
    values: Mapping[str, float]
    intervals: Mapping[str, Sequence[float]]
    seconds: float | None
    date: str
    machine: str


def rows_of(path: pathlib.Path) -> list[Row]:
    """The rows of a file that has `rows`, each with a name and a data set; none of a file of another form."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content.get("rows") if isinstance(content, Mapping) else None
    if not isinstance(found, list) or not all("row" in row for row in found):
        return []
    made = []
    for row in found:
        part = row.get("part", "test")
        made.append(
            Row(
                path.relative_to(ROOT).as_posix(),
                str(row.get("dataset", content.get("dataset", ""))),
                str(row["row"]) + ("" if part == "test" else f" (held out: {part})"),
                tuple(row.get("classes", ())),
                {name: value for name, value in row.items() if "@" in name and isinstance(value, (int, float))},
                row.get("intervals", {}),
                _seconds(row),
                str(content.get("date", "")),
                str(content.get("machine", "")),
            )
        )
    return made


def _seconds(row: Mapping[str, Any]) -> float | None:
    if "seconds" in row:
        return float(row["seconds"])
    parts = [value for name, value in row.items() if name.endswith("_seconds") and isinstance(value, (int, float))]
    return float(sum(parts)) if parts else None


def all_rows() -> list[Row]:
    """The rows of all files of the experiments, by file."""
    return [row for path in sorted(ROOT.glob("experiments/*/*.json")) for row in rows_of(path)]


def figure(row: Row, name: str) -> str:
    """A value with half of its interval, as the tables write it: ".0502 ±.0096"."""
    if name not in row.values:
        return ""
    value = f"{row.values[name]:.4f}".removeprefix("0")
    if name not in row.intervals:
        return value
    low, high = row.intervals[name]
    return f"{value} ±{(high - low) / 2:.4f}".replace("±0.", "±.")
