"""Tables that compare models, as text, Markdown and LaTeX: means, both kinds of chance, and marks of what differs."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.reports._comparisons import shared_users
from jaxrec.reports._values import higher_is_better, split_value_name
from jaxrec.statistics._comparison import Comparison, holm
from jaxrec.statistics._resampling import check_level
from jaxrec.statistics._seeds import ENOUGH_SEEDS
from jaxrec.text import aligned_text, number_text

if TYPE_CHECKING:
    from jaxrec.reports._report import Report

_LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$ ", "†": r"$^\dagger$"},
}


def comparison_table(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
    comparisons: Sequence[Comparison] | None = None,
    reference: str | None = None,
    lower: Collection[str] | None = None,
    trainings: Mapping[str, int] | None = None,
) -> str:
    """Models as rows and values as columns, aligned: each mean, and how sure it is.

    ± is half of the interval over users, for these trained models; where the bounds of a metric make it uneven, both
    ends stand in square brackets, see `Report.interval`. In round ones stands the standard deviation over seeds, where
    a report is a mean of several trainings. Whether two models differ is not seen in two intervals that overlap or do
    not. For that pass
    `comparisons`: then the best mean of a column is bold, in text between **, and a dagger stands at each mean that
    differs from the reference, p at most 1 - level after Holm's correction over all the rows of `comparisons`. Values
    over all lists together, like coverage, have no interval over users and no dagger.
    Lines below the table say what each sign means.

    Args:
      reports: label of the model to its report.
      names: the columns, in order.
      extra: further columns, title to (label to text), for example seconds of training.
      level: the probability of the intervals; 1 less it is the level of the tests.
      comparisons: all rows of one call of `compare_reports` or `compare_models`. What they hold beyond what the table
        shows counts in the correction, as it must.
      reference: the label with which the others are compared; by default each mean is compared with the best other one
        of its column: the best with the second, the rest with the best.
      lower: names of values, or of metrics, of which the lowest is the best; by default what the metrics say.
      trainings: label to how many trainings there are of a model; by default those that its report is the mean of.

    Raises:
      MismatchError: `comparisons` lacks a pair that the table shows, is a part of what was tested, or is of other
        reports.
      JaxrecError: no report, a report without one of the values, a reference that is not there, or a level outside
        (0, 1).

    >>> import jax, numpy as np
    >>> from jaxrec.reports import Report, compare_reports
    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])}, {"coverage@10": 0.25})
    >>> print(comparison_table({"random": report}, ["recall@10", "coverage@10"], extra={"s": {"random": "0.1"}}))
            recall@10      coverage@10  s
    random  0.5000 ±.4001  0.2500       0.1
    >>> better = Report(np.arange(4), {"recall@10": np.array([0.5, 1.0, 1.0, 1.5])}, {"coverage@10": 0.25})
    >>> models = {"mf": better, "random": report}
    >>> rows = compare_reports(models, jax.random.key(0))
    >>> print(comparison_table(models, ["recall@10"], comparisons=rows, reference="random"))
            recall@10
    mf      **1.0000**† ±.4001
    random  0.5000 ±.4001
    ±: half of the 95% interval over users, for these trained models.
    **: the best mean of its column; alone it claims no difference.
    †: differs from random, p at most 0.05 after Holm's correction over 1 comparison (every pair of 2 models in 1 value;
    paired bootstrap over users). It is about users, for these trained models.
    Trainings: mf 1, random 1. A claim about methods needs at least 5 seeds of each model that a seed changes.
    """
    head, rows, notes = table_content(reports, names, extra, level, comparisons, reference, lower, "**", trainings)
    return "\n".join([aligned_text([head, *([cell.text("**", "**") for cell in row] for row in rows)]), *notes])


def comparison_markdown(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
    comparisons: Sequence[Comparison] | None = None,
    reference: str | None = None,
    lower: Collection[str] | None = None,
    trainings: Mapping[str, int] | None = None,
) -> str:
    """`comparison_table` as a Markdown table; what the signs mean is a list below it.

    >>> import numpy as np
    >>> from jaxrec.reports import Report
    >>> report = Report(np.arange(2), {"recall@10": np.array([0.5, 0.5])})
    >>> print(comparison_markdown({"random": report}, ["recall@10"]))
    | | recall@10 |
    |---|---|
    | random | 0.5000 ±.0000 |
    """
    head, rows, notes = table_content(
        reports, names, extra, level, comparisons, reference, lower, "**bold**", trainings
    )
    texts = [head[1:], *([cell.text("**", "**") for cell in row] for row in rows)]
    cells = [[text.replace("|", r"\|") for text in row] for row in texts]
    lines = [" | ".join(["|", *cells[0]]) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in cells[1:]]
    return "\n".join(lines + ([""] if notes else []) + [f"- {note}" for note in notes])


def comparison_latex(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
    comparisons: Sequence[Comparison] | None = None,
    reference: str | None = None,
    lower: Collection[str] | None = None,
    trainings: Mapping[str, int] | None = None,
) -> str:
    r"""`comparison_table` as a LaTeX tabular with the rules of the package booktabs; below it what the signs mean.

    >>> import numpy as np
    >>> from jaxrec.reports import Report
    >>> report = Report(np.arange(2), {"recall@10": np.array([0.5, 0.5])})
    >>> print(comparison_latex({"item_knn": report}, ["recall@10"]))
    \begin{tabular}{lr}
    \toprule
     & recall@10 \\
    \midrule
    item\_knn & 0.5000 $\pm$ .0000 \\
    \bottomrule
    \end{tabular}
    """
    head, rows, notes = table_content(reports, names, extra, level, comparisons, reference, lower, "bold", trainings)
    # Markup goes around what is escaped already: the means, which are numbers.
    texts = [
        [dataclasses.replace(cell, mean=_latex(cell.mean), rest=_latex(cell.rest)) for cell in row] for row in rows
    ]
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule"]
    lines += [" & ".join(map(_latex, head)) + r" \\", r"\midrule"]
    lines += [" & ".join(cell.text(r"\textbf{", "}", _LATEX["†"]) for cell in row) + r" \\" for row in texts]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes:
        below = [re.sub("^bold:", lambda _: r"\textbf{bold}:", _latex(note)) + r"\par" for note in notes]
        lines += ["", r"\smallskip{\footnotesize", *below, "}"]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: what may be bold, whether it is and has a dagger, and what follows.

    Attributes:
      mean: the mean, or the text of another column.
      rest: its interval over users and its spread over seeds.
      best: whether it is the best mean of its column.
      differs: whether it has a dagger.

    >>> Cell("0.5000", " ±.1000", best=True, differs=True).text("**", "**")
    '**0.5000**† ±.1000'
    """

    mean: str
    rest: str = ""
    best: bool = False
    differs: bool = False

    def text(self, start: str, end: str, dagger: str = "†") -> str:
        """The cell as text, with marks around the best mean."""
        return (f"{start}{self.mean}{end}" if self.best else self.mean) + (dagger if self.differs else "") + self.rest


def table_content(
    reports: Mapping[str, Report],
    names: Sequence[str],
    extra: Mapping[str, Mapping[str, str]] | None,
    level: float,
    comparisons: Sequence[Comparison] | None,
    reference: str | None,
    lower: Collection[str] | None,
    bold: str,
    trainings: Mapping[str, int] | None,
) -> tuple[list[str], list[list[Cell]], list[str]]:
    """The head, the rows, and the sentences below a table, as `comparison_table` describes them.

    Args:
      bold: how the sentences call a bold mean; the others as in `comparison_table`.
    """
    if not reports:
        raise JaxrecError("reports is empty; pass at least one")
    check_level(level)
    if reference is not None and comparisons is None:
        raise JaxrecError(f"reference is {reference!r} without comparisons; pass the rows of compare_reports too")
    if reference is not None and reference not in reports:
        raise JaxrecError(f"reference is {reference!r}, and the models are {', '.join(reports)}")
    p_values = {} if comparisons is None else _p_values(reports, names, comparisons)
    columns = {}
    for name in names:
        means = {label: report.mean(name) for label, report in reports.items()}
        down = _goes_down(name, reports, lower)
        defined = {label: mean for label, mean in means.items() if not math.isnan(mean)}
        order = sorted(defined, key=defined.__getitem__, reverse=not down)
        column = {}
        for label, report in reports.items():
            other = reference if reference is not None else next((one for one in order if one != label), None)
            p = p_values.get((name, frozenset((label, other))), math.nan)
            mean = number_text(means[label])
            column[label] = Cell(
                mean,
                _users(report, name, level) + _seeds(report, name),
                # Means that read alike are bold alike.
                best=comparisons is not None and bool(order) and mean == number_text(means[order[0]]),
                differs=p <= 1 - level,
            )
        columns[name] = column
    further = extra or {}
    rows = [
        [
            Cell(label),
            *(columns[name][label] for name in names),
            *(Cell(one.get(label, "")) for one in further.values()),
        ]
        for label in reports
    ]
    return ["", *names, *further], rows, _notes(reports, names, level, comparisons, reference, lower, bold, trainings)


def _goes_down(name: str, reports: Mapping[str, Report], lower: Collection[str] | None) -> bool:
    """Whether the lowest value is the best."""
    if lower is not None:
        return name in lower or split_value_name(name).name in lower
    return any(name in report.lower for report in reports.values()) or not higher_is_better(name)


def _users(report: Report, name: str, level: float) -> str:
    low, high = report.interval(name, level) if name in report.per_user else (math.nan, math.nan)
    if math.isnan(low):
        return ""
    return f" ±{_short((high - low) / 2)}" if _symmetric(report, name, level) else f" [{_short(low)}, {_short(high)}]"


def _symmetric(report: Report, name: str, level: float) -> bool:
    """Whether the interval goes as far below the mean as above; at the bounds of a metric it does not."""
    mean, (low, high) = report.mean(name), report.interval(name, level)
    return math.isclose(mean - low, high - mean, rel_tol=1e-4, abs_tol=1e-9)


def _seeds(report: Report, name: str) -> str:
    return "" if report.runs < 2 else f" ({_short(report.spread(name).std)})"


def _short(value: float) -> str:
    return number_text(value).removeprefix("0") if value < 1 else number_text(value)


def _notes(
    reports: Mapping[str, Report],
    names: Sequence[str],
    level: float,
    comparisons: Sequence[Comparison] | None,
    reference: str | None,
    lower: Collection[str] | None,
    bold: str,
    trainings: Mapping[str, int] | None,
) -> list[str]:
    several = any(report.runs > 1 for report in reports.values())
    if comparisons is None and not several:
        return []
    of_all = [name for name in names if any(name in report.overall for report in reports.values())]
    notes = []
    pairs = [(report, name) for name in names for report in reports.values() if name in report.per_user]
    even = {_symmetric(*one, level) for one in pairs if not math.isnan(one[0].interval(one[1], level)[0])}
    if True in even:
        notes.append(f"±: half of the {100 * level:g}% interval over users, for these trained models.")
    if False in even:
        notes.append(
            f"[]: the {100 * level:g}% interval over users, for these trained models, uneven at the metric's bounds."
        )
    if several:
        notes.append("(): standard deviation over seeds, that is between trainings of one model; the mean is theirs.")
    if comparisons is not None:
        down = [name for name in names if _goes_down(name, reports, lower)]
        lowest = f" (the lowest of {', '.join(down)})" if down else ""
        notes.append(f"{bold}: the best mean of its column{lowest}; alone it claims no difference.")
    if comparisons is not None and len(of_all) < len(names):
        models = {label for row in comparisons for label in (row.a, row.b)}
        tested = {row.metric for row in comparisons}
        notes.append(
            f"†: differs from {'the best other model of its column' if reference is None else reference}, p at most "
            f"{1 - level:.2g} after Holm's correction over {_count(len(comparisons), 'comparison')} (every pair of "
            f"{_count(len(models), 'model')} in {_count(len(tested), 'value')}; paired bootstrap over users). It is "
            "about users, for these trained models."
        )
    if comparisons is not None and of_all:
        notes.append(f"Of all lists together, not tested over users: {', '.join(of_all)}.")
    numbers = {label: report.runs for label, report in reports.items()} | dict(trainings or {})
    trained = ", ".join(f"{label} {numbers[label]}" for label in reports)
    few = any(numbers[label] < ENOUGH_SEEDS for label in reports)
    claim = (
        f" A claim about methods needs at least {ENOUGH_SEEDS} seeds of each model that a seed changes." if few else ""
    )
    return [*notes, f"Trainings: {trained}.{claim}"]


def _p_values(
    reports: Mapping[str, Report], names: Sequence[str], comparisons: Sequence[Comparison]
) -> dict[tuple[str, frozenset[str | None]], float]:
    """Of each value and pair that the table shows, p after Holm's correction."""
    remedy = "pass all rows of one call of compare_reports with these reports"
    corrected = holm([row.p_value for row in comparisons])
    wrong = np.flatnonzero(~np.isclose(corrected, [row.p_holm for row in comparisons], rtol=1e-9, atol=0))
    if wrong.size:
        row = comparisons[int(wrong[0])]
        raise MismatchError(
            f"comparisons has {len(comparisons)} row(s), and p_holm is not that of so many ({row.a!r} and {row.b!r} in "
            f"{row.metric!r}: {row.p_holm:.6f}, not {corrected[wrong[0]]:.6f}), so they are not all that was tested; "
            f"{remedy}"
        )
    rows = {(row.metric, frozenset((row.a, row.b))): row for row in comparisons}
    out = {}
    for name in names:
        if any(name in report.overall for report in reports.values()):
            continue
        for a, b in itertools.combinations(reports, 2):
            pair = (name, frozenset((a, b)))
            if pair not in rows and shared_users(reports.values(), name) < 2:  # there was nothing to compare
                continue
            if pair not in rows:
                raise MismatchError(f"comparisons has no row of {a!r} and {b!r} in {name!r}; {remedy}")
            row = rows[pair]
            for label, mean in ((row.a, row.mean_a), (row.b, row.mean_b)):
                values = reports[label].per_user.get(name, np.zeros(0))
                own = reports[label].mean(name)
                if row.users == np.sum(~np.isnan(values)) and not math.isclose(mean, own, rel_tol=1e-5, abs_tol=1e-9):
                    raise MismatchError(
                        f"comparisons has {mean:.6f} as {name!r} of {label!r}, and its report {own:.6f}; {remedy}"
                    )
            out[pair] = row.p_holm
    return out


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
