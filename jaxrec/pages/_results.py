"""The results: means with both kinds of chance, paired differences, trade-offs, and groups of users and items."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.pages._charts import Point, Row, grouped_chart, interval_chart, scatter_chart
from jaxrec.pages._evidence import Evidence
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import figure, grid, number, paragraph, table
from jaxrec.reports._comparisons import compare_reports
from jaxrec.reports._group_tables import by_item_group
from jaxrec.reports._groups import Groups
from jaxrec.reports._report import Report
from jaxrec.reports._tables import Cell, table_content
from jaxrec.reports._values import ValueName, split_value_name
from jaxrec.statistics._comparison import Comparison

_AT_ALL_LENGTHS = ("recall", "ndcg")
_AT_ONE_LENGTH = ("precision", "ild", "coverage")
_ELSEWHERE = ("average_popularity", "recall_known")  # the first is drawn below, so it is not tested
_MOST_PAIRS = 15
_RESAMPLES = 2000

LEVEL = 0.95


def columns_of(report: Report) -> list[str]:
    """The values that the table of means has: accuracy at all lengths, the others at the shortest.

    >>> names = ("ndcg@5", "ndcg@9", "recall_known@5", "ild@5", "ild@9", "hits@5 [tail]")
    >>> columns_of(Report(np.arange(1), dict.fromkeys(names, np.zeros(1))))
    ['ndcg@5', 'ndcg@9', 'ild@5']
    """
    names = {name: split_value_name(name) for name in report.names}
    plain = {name: parts for name, parts in names.items() if parts.group is None}
    k = min((parts.k for parts in plain.values() if parts.k is not None), default=None)
    known = (*_AT_ALL_LENGTHS, *_AT_ONE_LENGTH, *_ELSEWHERE)
    chosen = [name for word in _AT_ALL_LENGTHS for name, parts in plain.items() if parts.name == word]
    chosen += [name for name, parts in plain.items() if parts.name not in known]
    return chosen + [name for word in _AT_ONE_LENGTH if (name := str(ValueName(word, k))) in plain]


def compared(reports: Mapping[str, Report], seed: int) -> list[Comparison]:
    """Every pair of runs in every value of the table, with Holm's correction; none for a single run."""
    if len(reports) < 2:
        return []
    first = next(iter(reports.values()))
    columns = columns_of(first)
    tests = math.comb(len(reports), 2) * sum(name in first.per_user for name in columns)
    # So many that the lowest p is still significant after the correction.
    resamples = max(_RESAMPLES, math.ceil(tests / (1 - LEVEL)))
    try:
        return compare_reports(reports, jax.random.key(seed), names=columns, resamples=resamples, level=LEVEL)
    except JaxrecError:  # nothing that two users have a value of
        return []


def results(evidence: Evidence, comparisons: Sequence[Comparison]) -> Html:
    """The section of the results.

    Args:
      evidence: of the page.
      comparisons: of `compared`, or all rows of one call of `compare_reports`.
    """
    reports = evidence.reports
    if not reports:
        return _stored(evidence)
    unmeasured = [label for label in evidence.labels if label not in reports]
    parts = [_means(evidence, comparisons), _seeds(evidence)]
    if comparisons:
        parts.append(_forest(evidence, comparisons))
    parts.append(_trade_offs(evidence))
    parts.append(_groups(evidence))
    if unmeasured:
        parts.insert(0, paragraph(f"Not measured: {', '.join(unmeasured)}.", note=True))
    return joined(parts)


def _means(evidence: Evidence, comparisons: Sequence[Comparison]) -> Html:
    reports = evidence.reports
    first = next(iter(reports.values()))
    tested = {row.metric for row in comparisons}
    columns = [name for name in columns_of(first) if not comparisons or name in tested or name in first.overall]
    trainings = {label: _trainings(evidence, label) for label in reports}
    head, rows, notes = table_content(reports, columns, None, LEVEL, comparisons or None, None, None, "Bold", trainings)
    if not notes:
        notes = [f"±: half of the {LEVEL:.0%} interval over users, for this trained model."]
    body = [[row[0].mean, *(_cell(cell) for cell in row[1:])] for row in rows]
    lead = paragraph(
        f"{len(first.users):,} users with a test item. Each list is chosen from "
        f"{first.catalogue or 'the whole catalog'}, without those that its user has in {first.masked or 'training'}. "
        f"{_space(first)}"
    )
    return joined(tag("h3", "Means over users"), lead, table(head, body, caption="Test part", stacked=True, foot=notes))


def _cell(cell: Cell) -> Html:
    mean = _shorter(cell.mean.removeprefix("0") if cell.mean.startswith("0.") else cell.mean)
    mark = tag("sup", tag("abbr", "†", title="differs significantly from the best other run")) if cell.differs else None
    return joined(tag("strong", mean) if cell.best else mean, mark, tag("small", _shorter(cell.rest)))


def _shorter(text: str) -> str:
    """A text whose numbers of 10 and more have one decimal."""
    return re.sub(r"\d{2,}\.\d{4}", lambda found: f"{float(found[0]):,.1f}", text)


def _space(report: Report) -> str:
    return f"Distances are the same for all runs: {report.space}." if report.space else "There are no distances."


def _trainings(evidence: Evidence, label: str) -> int:
    report, entry = evidence.reports[label], evidence.entries[label]
    seeds = entry.figures.get("seeds")
    stored = len(seeds.get("runs", ())) if isinstance(seeds, Mapping) else 0
    return max(report.runs, stored, 1)


def spreads(evidence: Evidence, name: str) -> dict[str, tuple[list[float], float, float]]:
    """Of each run of several seeds: (values, mean, standard deviation) of a value over seeds."""
    found = {}
    for label, entry in evidence.entries.items():
        report = entry.report
        if report is not None and report.runs > 1:
            spread = report.spread(name)
            found[label] = (report.seeds[name].tolist(), spread.mean, spread.std)
        elif name in entry.stored_seeds:
            stored = entry.stored_seeds[name]
            found[label] = (
                [float(x) for x in stored.get("values", ()) if x is not None],
                stored["mean"],
                stored["std"],
            )
    return found


def _seeds(evidence: Evidence) -> Html | None:
    columns = columns_of(next(iter(evidence.reports.values())))
    of_main = spreads(evidence, evidence.main)
    if not of_main:
        return None
    rows = []
    for label in of_main:
        cells = [spreads(evidence, name).get(label) for name in columns]
        rows.append([label, str(len(of_main[label][0])), *(_with_spread(cell) for cell in cells)])
    points = [
        Row(f"{label}, {len(values)} seeds", mean, min(values), max(values))
        for label, (values, mean, _) in of_main.items()
    ]
    chart = interval_chart(
        points,
        name=f"The lowest, mean and highest {evidence.main} of the seeds of each run.",
        x_label=evidence.main,
        numbers=[evidence.labels.index(label) for label in of_main],
    )
    caption = f"Training again with another seed: from the lowest to the highest {evidence.main}."
    head = ["", "seeds", *columns]
    behind = table(head, rows, caption="Mean (standard deviation) over seeds", stacked=True)
    return joined(tag("h3", "Spread over seeds"), grid(figure(chart, caption, behind)))


def _with_spread(cell: tuple[list[float], float, float] | None) -> str:
    return "–" if cell is None else f"{number(cell[1])} ({number(cell[2])})"


def _forest(evidence: Evidence, comparisons: Sequence[Comparison]) -> Html:
    k = split_value_name(evidence.main).k
    names = [evidence.main, *(str(ValueName(word, k)) for word in ("recall", "ild"))]
    tested = {row.metric for row in comparisons}
    figures = [_forest_of(evidence, name, comparisons) for name in dict.fromkeys(names) if name in tested]
    rows = [_pair_cells(row, with_metric=True) for row in comparisons]
    head = ["pair", "value", "difference", "95% interval", "p", "p (Holm)"]
    whole = tag(
        "details",
        tag("summary", f"All {len(comparisons):,} comparisons"),
        table(head, rows, caption="Every pair in every value", text_columns=(0, 1)),
    )
    lead = paragraph(
        "Each user is compared with themselves, so the large spread between users cancels. A filled mark is "
        f"significant at level {1 - LEVEL:.2g} after Holm's correction over all {len(comparisons):,} comparisons; an "
        "empty one is not. Intervals are of each pair alone. The tests are about users, for these trained models."
    )
    return joined(tag("h3", "Paired differences"), lead, grid(figures), whole)


def _forest_of(evidence: Evidence, name: str, comparisons: Sequence[Comparison]) -> Html:
    rows = [row for row in comparisons if row.metric == name]
    shown, rest = rows, ""
    if len(rows) > _MOST_PAIRS:
        means = {label: report.mean(name) for label, report in evidence.reports.items()}
        best = max(means, key=lambda label: -math.inf if math.isnan(means[label]) else means[label])
        shown = [row for row in rows if best in (row.a, row.b)]
        rest = f"Pairs with {best}; the table has all."
    turned = [row if row.difference >= 0 else _turned(row) for row in shown]
    turned.sort(key=lambda row: -row.difference)
    lines = [Row(f"{row.a} − {row.b}", row.difference, row.low, row.high, row.significant) for row in turned]
    chart = interval_chart(
        lines,
        name=f"Differences of {name} between pairs of runs with their 95% intervals.",
        x_label=f"difference of {name}",
        zero=True,
    )
    significant = sum(row.significant for row in shown)
    caption = f"{name}: {significant} of {len(shown)} differences are significant after the correction."
    head = ["pair", "difference", "95% interval", "p", "p (Holm)"]
    behind = table(head, [_pair_cells(row) for row in rows], caption=f"Paired differences of {name}")
    return figure(chart, caption, behind, note=rest)


def _turned(row: Comparison) -> Comparison:
    """The same comparison seen from the other side."""
    return Comparison(
        row.b, row.a, row.metric, row.mean_b, row.mean_a, -row.difference, -row.high, -row.low,
        row.p_value, row.p_holm, row.significant, row.users,
    )  # fmt: skip


def _pair_cells(row: Comparison, with_metric: bool = False) -> list[object]:
    name: list[object] = [row.metric] if with_metric else []
    holm = f"{row.p_holm:.4f}"
    cells = [number(row.difference), f"{number(row.low)} to {number(row.high)}", f"{row.p_value:.4f}"]
    return [f"{row.a} − {row.b}", *name, *cells, tag("strong", holm) if row.significant else holm]


def _trade_offs(evidence: Evidence) -> Html:
    k = split_value_name(evidence.main).k
    reports = evidence.reports
    figures = []
    for word, x_label, caption in (
        ("ild", "Euclidean distance within a list", "Accuracy against diversity: up is better, right is more diverse."),
        (
            "average_popularity",
            "interactions of a listed item",
            "Accuracy against popularity: up is better, left is less popular.",
        ),
    ):
        name = str(ValueName(word, k))
        if not all(name in report.per_user for report in reports.values()):
            continue
        points = {
            label: Point(
                report.mean(name), report.mean(evidence.main), report.interval(name), report.interval(evidence.main)
            )
            for label, report in reports.items()
        }
        chart = scatter_chart(
            points, name=f"{evidence.main} against {name} of each run, with intervals.", x_label=x_label,
            y_label=evidence.main, y_include=[0.0],
        )  # fmt: skip
        rows = [[label, *_ends(one.x, one.x_interval), *_ends(one.y, one.y_interval)] for label, one in points.items()]
        head = ["", name, "95% interval", evidence.main, "95% interval "]
        figures.append(figure(chart, caption, table(head, rows, caption=f"{evidence.main} and {name}")))
    if not figures:
        return joined()
    return joined(tag("h3", "Trade-offs"), grid(figures))


def _ends(value: float, interval: tuple[float, float] | None) -> list[str]:
    low, high = interval or (math.nan, math.nan)
    return [number(value), f"{number(low)} to {number(high)}"]


def activity_quarters(counts: np.ndarray, ids: np.ndarray | None = None) -> Groups:
    """Users in up to four groups of nearly equal size by how many interactions they have in training.

    >>> activity_quarters(np.array([1, 2, 3, 40])).names
    ('0', '1', '2', '3–39', '40 or more')
    """
    some = counts[counts > 0]
    bounds = sorted({int(x) for x in np.quantile(some, [0.25, 0.5, 0.75], method="higher")} - {int(some.min())})
    edges = [int(some.min()), *bounds] if some.size else [1]
    names = [str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in itertools.pairwise(edges)]
    of = np.searchsorted(edges, counts, side="right").astype(np.int32)
    return Groups(("0", *names, f"{edges[-1]} or more"), of, ids, other=0)


def _groups(evidence: Evidence) -> Html | None:
    data, figures = evidence.fitted, []
    counts = np.bincount(data.user, minlength=data.num_users)
    groups = activity_quarters(counts, data.users.ids)
    by_user = {label: report.by_group(groups) for label, report in evidence.reports.items()}
    names = [name for name in groups.names if any(name in some for some in by_user.values())]
    if names:
        figures.append(
            _group_figure(
                [f"{name} interactions" for name in names],
                {label: [some.get(name) for name in names] for label, some in by_user.items()},
                evidence.main,
                f"{evidence.main} by how many interactions a user has in training, in groups of nearly equal size.",
            )
        )
    try:
        by_item = {label: by_item_group(report) for label, report in evidence.reports.items()}
    except JaxrecError:
        return joined(tag("h3", "Groups"), grid(figures)) if figures else None
    k = split_value_name(evidence.main).k
    names = list(next(iter(by_item.values())))
    recall = str(ValueName("recall", k))
    if all(recall in group.per_user for some in by_item.values() for group in some.values()):
        figures.append(
            _group_figure(
                [f"{name} of the items" for name in names],
                {label: [some[name] for name in names] for label, some in by_item.items()},
                recall,
                f"{recall} with the truth restricted to the head, the fewest items with 80% of the interactions, or to "
                "the tail, the others.",
            )
        )
    exposure = str(ValueName("exposure", k))
    some = next(iter(by_item.values()))
    rows = [
        [label, *(number(group.mean(exposure)) if exposure in group.overall else "–" for group in own.values())]
        for label, own in by_item.items()
    ]
    for title, name in (("in training", "training_share"), ("in the catalog", "catalogue_share")):
        if all(name in group.overall for group in some.values()):
            rows.append([title, *(number(group.mean(name)) for group in some.values())])
    shares = table(["", *names], rows, caption="Share of the places that go to each group of items, and what it has")
    return joined(tag("h3", "Groups"), grid(figures), shares)


def _group_figure(
    labels: Sequence[str], series: Mapping[str, Sequence[Report | None]], name: str, caption: str
) -> Html:
    rows = {
        label: [None if one is None else Row("", one.mean(name), *one.interval(name)) for one in reports]
        for label, reports in series.items()
    }
    chart = grouped_chart(labels, rows, name=caption, x_label=name)
    cells = []
    for at, group in enumerate(labels):
        for label, reports in series.items():
            one = reports[at]
            if one is not None:
                users = int((~np.isnan(one.per_user[name])).sum())
                cells.append([group, label, *_ends(one.mean(name), one.interval(name)), f"{users:,}"])
    head = ["group", "run", name, "95% interval", "users"]
    behind = table(head, cells, caption=caption, text_columns=(0, 1))
    return figure(chart, caption, behind, key=key_of(list(series)))


def _stored(evidence: Evidence) -> Html:
    """What the run folders say of the test part, where nothing could be measured again."""
    stored = {
        label: entry.figures
        for label, entry in evidence.entries.items()
        if isinstance(entry.figures.get("test"), Mapping)
    }
    if not stored:
        return paragraph(
            "Nothing was measured: the runs have no figures of a test part, and their data were not found."
        )
    names = [name for name in next(iter(stored.values()))["test"] if "[" not in name and "known" not in name]
    rows = []
    for label, figures in stored.items():
        cells = []
        for name in names:
            value, (low, high) = figures["test"].get(name), figures.get("intervals", {}).get(name, (None, None))
            text = "–" if value is None else number(value)
            cells.append(
                text if low is None or high is None else joined(text, tag("small", f" ±{number((high - low) / 2)}"))
            )
        rows.append([label, *cells])
    told = (
        "As stored when each run was measured. Runs of different test parts are not comparable; nothing is tested here."
    )
    foot = [told, "±: half of the 95% interval over users, for these trained models."]
    return table(["", *names], rows, caption="Test part, from metrics.json", stacked=True, foot=foot)
