"""Result rows as Markdown, and as plain values for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.bench.timing import Row, spread

_HEAD = ("setting", "who", "unit", "median", "min to max", "quartiles", "n", "CPU, median", "compile, s", "note")


def markdown(rows: Sequence[Row]) -> str:
    """Format one Markdown table per benchmark, under its name."""
    out = []
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        out += [f"### {benchmark}", "", _line(_HEAD), _line(["---"] * len(_HEAD))]
        out += [_line(_cells(row)) for row in rows if row.benchmark == benchmark]
        out.append("")
    return "\n".join(out)


def plain(row: Row) -> dict[str, Any]:
    """Convert a row to plain values, with the spread of its values if it has any."""
    out = {**dataclasses.asdict(row), "values": list(row.values), "cpu": list(row.cpu)}
    return {**out, **(spread(row.values) if row.values else {})}


def _cells(row: Row) -> list[str]:
    if not row.values:
        return [row.setting, row.name, row.unit, "", "", "", "0", "", "", row.note]
    found = spread(row.values)
    return [
        row.setting,
        row.name,
        row.unit,
        number(found["median"]),
        f"{number(found['min'])} to {number(found['max'])}",
        f"{number(found['lower_quartile'])} to {number(found['upper_quartile'])}",
        str(len(row.values)),
        number(spread(row.cpu)["median"]) if row.cpu else "",
        "" if row.compile_seconds is None else number(row.compile_seconds),
        row.note,
    ]


def number(value: float) -> str:
    """Format three digits, without an exponent if possible.

    >>> number(0.01234), number(195.4), number(2304.2)
    ('0.0123', '195', '2304')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
