"""The data card: how many, how dense, how uneven, when, how they were split and filtered, and on which terms."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data.datasets._catalog import datasets
from jaxrec.data.splitting._parts import Split
from jaxrec.pages._charts import bar_chart, line_chart
from jaxrec.pages._evidence import Evidence
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import counted, definitions, figure, grid, paragraph, percent, table

_KEPT = re.compile(
    r"(.*): kept ([\d,]+ of [\d,]+) interactions, ([\d,]+ of [\d,]+) users, "
    r"([\d,]+ of [\d,]+) items"
)
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_MOST_BARS = 40
_STEPS = (1, 3, 12, 60, 120)
"""Months in a period."""
_SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400
# Plain numbers of this size, 1973 to 2096, are taken for Unix seconds; the page says so.
_UNIX = (10**8, 4 * 10**9)


def data_card(evidence: Evidence, name: str) -> Html:
    """The section of the data.

    Args:
      evidence: of the page.
      name: of the data, as a person calls them; "" where it is not known.
    """
    split = evidence.split
    data = evidence.fitted if split is None else split.whole
    figures = [_degrees(data), None if split is None else _activity(split)]
    parts = [_facts(data, name), grid(*figures)]
    if split is None:
        parts.insert(
            0, paragraph("The data were not found, so this card is of what the models were fitted on.", note=True)
        )
    else:
        parts.append(_split_table(split))
    parts.append(_steps(evidence))
    return joined(parts)


def density(data: Interactions) -> float:
    """The share of the pairs of a user and an item that occur.

    >>> density(Interactions.from_arrays([1, 1, 2], [5, 6, 5]))
    0.75
    """
    return len(data) / max(data.num_users * data.num_items, 1)


def at_least(counts: np.ndarray) -> list[tuple[float, float]]:
    """The share of those with at least x interactions, as points (x, share) for each x that occurs.

    >>> at_least(np.array([1, 1, 2, 5]))
    [(1.0, 1.0), (2.0, 0.5), (5.0, 0.25)]
    """
    counts = np.sort(counts[counts > 0])
    values, first = np.unique(counts, return_index=True)
    points = [(float(x), float(len(counts) - at) / len(counts)) for x, at in zip(values, first, strict=True)]
    if len(points) > 120:  # as many as a chart has room for, evenly on its logarithmic axis
        kept = np.unique(np.searchsorted(values, np.geomspace(values[0], values[-1], 120)))
        points = [points[at] for at in kept]
    return points


def terms_of(name: str) -> str:
    """The terms of use of a named data set; "" for one's own.

    >>> terms_of("nowhere.csv")
    ''
    """
    return next((record.terms for record in datasets() if record.name == name), "")


class Periods(NamedTuple):
    """Periods of equal kind, such as months.

    Attributes:
      labels: of the periods, in order.
      starts: int64, the time at which each begins.
      told: how times were read; "" where the data say it.
    """

    labels: list[str]
    starts: np.ndarray
    told: str

    def of(self, data: Interactions) -> np.ndarray:
        """The number of interactions of some data in each period."""
        assert data.timestamp is not None
        place = np.searchsorted(self.starts, data.timestamp, side="right") - 1
        return np.bincount(place, minlength=len(self.labels))


def periods(data: Interactions) -> Periods | None:
    """The periods that show the activity of some data in at most 40 steps; None without times.

    >>> found = periods(Interactions.from_arrays([1, 1], [5, 6], timestamp=[946684800, 978307200]))
    >>> found.labels[0], found.labels[-1], found.of(Interactions.from_arrays([1], [5], timestamp=[978307201])).sum()
    ('2000-01', '2001-01', np.int64(1))
    """
    if data.timestamp is None or not len(data):
        return None
    first, last = int(data.timestamp.min()), int(data.timestamp.max())
    unix = data.time_unit is None and _UNIX[0] <= first and last <= _UNIX[1]
    if data.time_unit is None and not unix:
        starts = np.unique(np.linspace(first, last + 1, 21).astype(np.int64))[:-1]
        told = "Times have no known unit, so a period is a twentieth of their range."
        return Periods([f"{start:,}" for start in starts], starts, told)
    scale = _SECONDS[data.time_unit or "s"] * _DAY
    months = [int(np.datetime64(stamp // scale, "D").astype("datetime64[M]").astype(int)) for stamp in (first, last)]
    step = next((step for step in _STEPS if (months[1] - months[0]) // step < _MOST_BARS), _STEPS[-1])
    begin = (months[0] + 1970 * 12) // step * step - 1970 * 12
    dates = np.arange(begin, months[1] + 1, step).astype("datetime64[M]")
    labels = [str(date)[: 4 if step >= 12 else 7] for date in dates]
    return Periods(
        labels,
        dates.astype("datetime64[D]").astype(np.int64) * scale,
        "Times are read as Unix seconds." if unix else "",
    )


def _facts(data: Interactions, name: str) -> Html:
    users, items = (counts[counts > 0] for counts in (np.bincount(data.user), np.bincount(data.item)))
    pairs: list[tuple[str, str]] = [("Data", name)] if name else []
    pairs += [
        ("Users", f"{len(users):,}"),
        ("Items", f"{len(items):,}"),
        ("Interactions", f"{len(data):,}"),
        ("Density", f"{percent(density(data))} of all pairs"),
        ("A user has", f"{np.median(users):g} (median), {users.mean():.1f} (mean)"),
        ("An item has", f"{np.median(items):g} (median), {items.mean():.1f} (mean)"),
    ]
    if data.rating is not None and len(data):
        pairs.append(("Ratings", f"{data.rating.min():g} to {data.rating.max():g}, mean {data.rating.mean():.2f}"))
    if (days := _range(data)) is not None:
        pairs.append(("From, to", days))
    if data.item_columns:
        pairs.append(("Columns of items", ", ".join(data.item_columns)))
    terms = terms_of(name)
    pairs.append(("Terms", terms or "those of whoever gave you the data; jaxrec does not know them"))
    return definitions(pairs)


def _range(data: Interactions) -> str | None:
    if data.timestamp is None or not len(data):
        return None
    first, last = int(data.timestamp.min()), int(data.timestamp.max())
    if data.time_unit is None and not (_UNIX[0] <= first and last <= _UNIX[1]):
        return f"{first:,} to {last:,}, of no known unit"
    scale = _SECONDS[data.time_unit or "s"]
    start = datetime.datetime(1970, 1, 1)
    try:
        ends = [(start + datetime.timedelta(seconds=stamp // scale)).date().isoformat() for stamp in (first, last)]
    except OverflowError:
        return f"{first:,} to {last:,} {data.time_unit}"
    return " to ".join(ends)


def _degrees(data: Interactions) -> Html:
    counts = {"users": np.bincount(data.user), "items": np.bincount(data.item)}
    series = {label: at_least(some) for label, some in counts.items()}
    chart = line_chart(
        series,
        name="The share of users and of items with at least so many interactions, on logarithmic axes.",
        x_label="interactions",
        y_label="share with at least as many",
        x_log=True,
        y_log=True,
    )
    head = ["", *(("least", "most")[int(q)] if q in (0, 1) else f"{q:.0%}" for q in _QUANTILES)]
    rows = [
        [label, *(f"{value:,.0f}" for value in np.quantile(some[some > 0], _QUANTILES, method="nearest"))]
        for label, some in counts.items()
    ]
    top = np.sort(counts["items"])[::-1]
    size = max(1, round(0.01 * int((top > 0).sum())))
    caption = (
        f"How uneven activity is. The most popular 1% of the items, {counted(size, 'item')}, "
        f"{'has' if size == 1 else 'have'} {percent(top[:size].sum() / max(top.sum(), 1))} of the interactions."
    )
    behind = table(head, rows, caption="Interactions of a user and of an item at these shares of all")
    return figure(chart, caption, behind, key=key_of(list(series), lines=True))


def _activity(split: Split) -> Html | None:
    found = periods(split.whole)
    if found is None:
        return None
    totals = found.of(split.whole)
    bars = list(zip(found.labels, totals.tolist(), strict=True))
    name = "Interactions in each period."
    chart = bar_chart(bars, name=name, x_label="period, by its start", y_label="interactions")
    of_parts = {name: found.of(part) for name, part in split.parts().items()}
    rows = [
        [label, f"{total:,}", *(f"{counts[at]:,}" for counts in of_parts.values())]
        for at, (label, total) in enumerate(bars)
    ]
    busiest = int(totals.argmax())
    most = counted(int(totals[busiest]), "interaction")
    caption = f"Activity over time. The busiest period, with {most}, begins with {found.labels[busiest]}."
    behind = table(["period", "all", *of_parts], rows, caption="Interactions by period and part")
    return figure(chart, caption, behind, note=found.told)


def _split_table(split: Split) -> Html:
    total = sum(len(part) for part in split.parts().values())
    rows = []
    for name, part in split.parts().items():
        users, items = (len(np.unique(index)) for index in (part.user, part.item))
        rows.append([name, f"{len(part):,}", percent(len(part) / max(total, 1)), f"{users:,}", f"{items:,}"])
    return table(["part", "interactions", "share", "users", "items"], rows, caption=f"The split, by {split.method}")


def _steps(evidence: Evidence) -> Html:
    split = evidence.split
    notes: Sequence[str] = evidence.first.info.get("notes", ()) if split is None else (*split.train.notes, *split.notes)
    notes = list(dict.fromkeys(map(str, notes)))
    if not notes:
        return joined()
    path = _core_path(notes)
    return joined(tag("h3", "Steps from the files to the parts"), path, tag("ol", [tag("li", note) for note in notes]))


def _core_path(notes: Sequence[str]) -> Html | None:
    """What each filter kept, from the notes that filters leave."""
    rows = [list(found.groups()) for found in map(_KEPT.match, notes) if found]
    head = ["step", "interactions", "users", "items"]
    return table(head, rows, caption="What each filter kept, of what it was given") if rows else None
