"""The result of an evaluation: values per user, means with intervals, counts, and tables that compare models."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation.labels import Groups, as_groups


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What was measured for one model (or for the mean of several runs of one model).

    Attributes:
      users: int32 [n], indices of the users that were evaluated, each once.
      per_user: name to float32 [n]; names are like "recall@20", "ndcg@10", "ild@10". NaN marks a user for whom the
        value is not defined, and means leave it out.
      overall: name to a number of all lists together, like "coverage@10".
      counts: name to how many users, items or lists a statement is about; see `evaluate_scorer`.
      seconds: wall time of ranking and measuring, compilation included.
      masked: what was left out of the lists, in words.
      fitted: what the model was fitted on, in words.
      catalogue: what could be recommended, in words.
      space: the item space of the distances, in words; "" where none was used.
      runs: how many trained models the values are means of.
      user_ids: array [n], the caller's ids of `users`, or None where they are not known here.

    Raises:
      MismatchError: a per-user array of another length than `users`, or a user that is there twice.

    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])}, {"coverage@10": 0.25})
    >>> report.mean("recall@10")
    0.5
    """

    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    overall: Mapping[str, float] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int | float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    masked: str = ""
    fitted: str = ""
    catalogue: str = ""
    space: str = ""
    runs: int = 1
    user_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        users = np.asarray(self.users, np.int32)
        if len(np.unique(users)) != len(users):
            raise MismatchError("users names a user twice; every evaluated user has one value")
        per_user = {name: np.asarray(values, np.float32) for name, values in self.per_user.items()}
        for name, values in per_user.items():
            if values.shape != users.shape:
                raise MismatchError(f"per_user {name!r} has shape {values.shape}, expected {users.shape}")
        if self.user_ids is not None and len(self.user_ids) != len(users):
            raise MismatchError(f"user_ids has {len(self.user_ids)} ids, expected {len(users)}: one for each user")
        object.__setattr__(self, "users", users)
        object.__setattr__(self, "per_user", per_user)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all values, those per user first."""
        return (*self.per_user, *self.overall)

    def mean(self, name: str) -> float:
        """The mean over users of a per-user value, or the value itself of one over all lists; NaN without a user.

        Raises:
          JaxrecError: the report has no value of this name.
        """
        if name in self.overall:
            return float(self.overall[name])
        values = self._defined(name)
        return float(values.mean()) if values.size else math.nan

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        r"""Interval of a mean over users, by the normal approximation.

        .. math:: \bar{x} \pm z \, s / \sqrt{n}

        with s the standard deviation over the n users (divisor n - 1) and z the normal quantile of the level. It says
        how the mean would vary with other users of the same kind, for these trained models; it says nothing about other
        seeds, and is too narrow for values that few users have. Values over all lists, like coverage, are no mean over
        users and have no such interval.

        Args:
          name: a per-user value.
          level: the probability, between 0 and 1.

        Returns:
          (low, high); NaN with fewer than two users.

        Raises:
          JaxrecError: no per-user value of this name, or a level outside (0, 1).

        >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])})
        >>> [round(end, 3) for end in report.interval("recall@10")]
        [0.1, 0.9]
        """
        return _interval(self._defined(name), level)

    def by_group(self, labels: Groups | Mapping[Any, Any] | Sequence[Any] | np.ndarray) -> dict[Any, Report]:
        """A report for each group of users, from the values of each user that are there already.

        Values of all lists together, like coverage or the Gini index, do not follow from values of users: the groups
        have none. They have one count, `users_evaluated`; masks, catalogue and seconds are those of the whole report.

        Args:
          labels: `Groups` of users, for example from `jaxrec.evaluation.activity_groups`; a mapping from a user's id
            (the index where the report knows no ids) to a label; or an array [n] with the label of each of `users`.

        Returns:
          Label to report, in the order of `Groups`, otherwise sorted. A group without an evaluated user is not there.

        Raises:
          MismatchError: an evaluated user without a label, or another number of labels.
          JaxrecError: a label that is missing or cannot name a group.

        >>> report = Report(np.arange(3), {"recall@10": np.array([0.0, 0.5, 1.0])})
        >>> {label: group.mean("recall@10") for label, group in report.by_group(["new", "old", "old"]).items()}
        {'new': 0.0, 'old': 0.75}
        """
        if isinstance(labels, Groups):
            groups = Groups(labels.names, labels.at(self.users, self.user_ids, "user"))
        elif isinstance(labels, Mapping):
            groups = as_groups(labels, self.users if self.user_ids is None else self.user_ids, len(self.users), "user")
        else:
            groups = as_groups(labels, self.user_ids, len(self.users), "user")
        out = {}
        for at, name in enumerate(groups.names):
            rows = np.flatnonzero(groups.of == at)
            if len(rows):
                out[name] = dataclasses.replace(
                    self,
                    users=self.users[rows],
                    per_user={key: values[rows] for key, values in self.per_user.items()},
                    overall={},
                    counts={"users_evaluated": len(rows)},
                    user_ids=None if self.user_ids is None else self.user_ids[rows],
                )
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings for JSON: means, 95% intervals, counts; None where a number is not defined.

        >>> Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}).to_dict()["mean"]
        {'recall@10': 0.5}
        """
        return {
            "mean": {name: _plain(self.mean(name)) for name in self.names},
            "interval": {name: [_plain(end) for end in self.interval(name)] for name in self.per_user},
            "counts": {name: _plain(count) for name, count in self.counts.items()},
            "seconds": _plain(self.seconds),
            "masked": self.masked,
            "fitted": self.fitted,
            "catalogue": self.catalogue,
            "space": self.space,
            "runs": self.runs,
        }

    def to_frame(self) -> Any:
        """The values of each user as a pandas frame: a column `user` (the id, or the index where ids are not known).

        Raises:
          JaxrecError: pandas is not installed.

        >>> Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}).to_frame().columns.tolist()
        ['user', 'recall@10']
        """
        try:
            import pandas
        except ImportError:
            raise JaxrecError('to_frame needs pandas: pip install "jaxrec[data]"') from None
        users = self.users if self.user_ids is None else self.user_ids
        return pandas.DataFrame({"user": users, **self.per_user})

    def __str__(self) -> str:
        rows = [["", "mean", "95% interval"]]
        for name in self.names:
            low, high = self.interval(name) if name in self.per_user else (math.nan, math.nan)
            between = "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"
            rows.append([name, _number(self.mean(name)), between])
        lines = [_aligned(rows), f"{len(self.users):,} users, {self.seconds:.1f} s"]
        if self.runs > 1:
            lines[-1] += f", mean of {self.runs} runs"
        shown = {name: count for name, count in self.counts.items() if count and name != "users_evaluated"}
        lines += [f"{name.replace('_', ' ')}: {round(count, 1):,}" for name, count in shown.items()]
        told = {"masked": self.masked, "fitted": self.fitted, "catalogue": self.catalogue, "item space": self.space}
        lines += [f"{name}: {text}" for name, text in told.items() if text]
        return "\n".join(lines)

    def _defined(self, name: str) -> np.ndarray:
        if name not in self.per_user:
            why = " (it is one number of all lists, not a mean over users)" if name in self.overall else ""
            raise JaxrecError(f"the report has no per-user value {name!r}{why}; it has {', '.join(self.per_user)}")
        # Means of many small float32 numbers are taken in float64.
        values = self.per_user[name].astype(np.float64)
        return values[~np.isnan(values)]


def paired_difference(a: Report, b: Report, name: str, level: float = 0.95) -> tuple[float, float, float]:
    """The mean over users of a minus b, with its interval by the normal approximation.

    Each user is compared with themselves, so the large spread between users cancels. The interval is over users, for
    these trained models; for a claim about methods average several seeds first (`average_reports`).

    Args:
      a: a report.
      b: a report on the same users, in any order.
      name: a per-user value of both.
      level: the probability of the interval.

    Returns:
      (mean, low, high). An interval without 0 says that the difference is more than chance between users.

    Raises:
      MismatchError: the reports are on different users.
      JaxrecError: a report has no such value, or a level outside (0, 1).

    >>> a = Report(np.arange(3), {"recall@10": np.array([0.5, 0.75, 1.0])})
    >>> b = Report(np.arange(3), {"recall@10": np.array([0.25, 0.5, 0.75])})
    >>> paired_difference(a, b, "recall@10")
    (0.25, 0.25, 0.25)
    """
    for report in (a, b):
        report._defined(name)
    first, second = _aligned_values([a, b], name)
    difference = first - second
    difference = difference[~np.isnan(difference)]
    low, high = _interval(difference, level)
    return (float(difference.mean()) if difference.size else math.nan), low, high


def average_reports(reports: Sequence[Report]) -> Report:
    """One report whose values are the means over several runs, user by user.

    With it the intervals over users are those of the mean of the runs. They do not show the spread between runs: keep
    the single reports for that.

    Args:
      reports: at least one, on the same users, with the same names and the same mask, fitted part and catalogue.

    Returns:
      Users in the order of the first report; counts that differ between runs are averaged too, and so are seconds.

    Raises:
      MismatchError: the reports differ in users, names, mask, fitted part, catalogue or item space.
      JaxrecError: no report.

    >>> runs = [Report(np.arange(2), {"recall@10": np.array(values)}) for values in ([0.0, 1.0], [0.5, 1.0])]
    >>> average_reports(runs).per_user["recall@10"]
    array([0.25, 1.  ], dtype=float32)
    """
    if not reports:
        raise JaxrecError("reports is empty; pass at least one")
    first = reports[0]
    for other in reports[1:]:
        for field in ("masked", "fitted", "catalogue", "space"):
            if getattr(first, field) != getattr(other, field):
                raise MismatchError(
                    f"the reports differ in {field}: {getattr(first, field)!r} and {getattr(other, field)!r}; "
                    "average runs of one setting only"
                )
        if set(first.names) != set(other.names) or set(first.counts) != set(other.counts):
            differ = sorted((set(first.names) ^ set(other.names)) | (set(first.counts) ^ set(other.counts)))
            raise MismatchError(f"the reports differ in what they hold ({', '.join(differ)}); evaluate all runs alike")
    counts = {}
    for name, count in first.counts.items():
        values = [report.counts[name] for report in reports]
        counts[name] = count if len(set(values)) == 1 else sum(values) / len(values)
    return dataclasses.replace(
        first,
        per_user={name: np.mean(_aligned_values(reports, name), axis=0) for name in first.per_user},
        overall={name: sum(report.overall[name] for report in reports) / len(reports) for name in first.overall},
        counts=counts,
        seconds=sum(report.seconds for report in reports) / len(reports),
        runs=sum(report.runs for report in reports),
    )


def comparison_table(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
) -> str:
    """Models as rows and values as columns, aligned, each mean with the half width of its interval.

    The half width is of one model's mean over users. Whether two models differ is seen in `paired_difference`, not in
    two intervals that overlap or do not.

    Args:
      reports: label of the model to its report.
      names: the columns, in order.
      extra: further columns, title to (label to text), for example seconds of training.
      level: the probability of the intervals.

    Raises:
      JaxrecError: no report, or a report without one of the values.

    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])}, {"coverage@10": 0.25})
    >>> print(comparison_table({"random": report}, ["recall@10", "coverage@10"], extra={"s": {"random": "0.1"}}))
            recall@10      coverage@10  s
    random  0.5000 ±.4001  0.2500       0.1
    """
    return _aligned(_comparison_rows(reports, names, extra, level))


def comparison_markdown(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
) -> str:
    """`comparison_table` as a Markdown table.

    >>> report = Report(np.arange(2), {"recall@10": np.array([0.5, 0.5])})
    >>> print(comparison_markdown({"random": report}, ["recall@10"]))
    | | recall@10 |
    |---|---|
    | random | 0.5000 ±.0000 |
    """
    head, *rows = _comparison_rows(reports, names, extra, level)
    lines = ["| " + " | ".join(head).lstrip(), "|" + "---|" * len(head)]
    lines[0] += " |"
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def comparison_latex(
    reports: Mapping[str, Report],
    names: Sequence[str],
    *,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
) -> str:
    r"""`comparison_table` as a LaTeX tabular with the rules of the package booktabs.

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
    head, *rows = (
        [re.sub(r"([&%$#_{}])", r"\\\1", cell).replace("±", r"$\pm$ ") for cell in row]
        for row in _comparison_rows(reports, names, extra, level)
    )
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _comparison_rows(
    reports: Mapping[str, Report],
    names: Sequence[str],
    extra: Mapping[str, Mapping[str, str]] | None,
    level: float,
) -> list[list[str]]:
    if not reports:
        raise JaxrecError("reports is empty; pass at least one")
    rows = [["", *names, *(extra or {})]]
    for label, report in reports.items():
        row = [label]
        for name in names:
            cell = _number(report.mean(name))
            if name in report.per_user:
                low, high = report.interval(name, level)
                cell += "" if math.isnan(low) else f" ±{(high - low) / 2:.4f}".replace("±0.", "±.")
            row.append(cell)
        rows.append(row + [column.get(label, "") for column in (extra or {}).values()])
    return rows


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _aligned_values(reports: Sequence[Report], name: str) -> list[np.ndarray]:
    """The per-user values of each report, float64, in the order of the users of the first."""
    order = np.argsort(reports[0].users)
    back = np.argsort(order)
    values = []
    for report in reports:
        mine = np.argsort(report.users)
        if not np.array_equal(report.users[mine], reports[0].users[order]):
            differ = len(np.setxor1d(report.users, reports[0].users))
            raise MismatchError(
                f"the reports are on different users ({differ:,} are in one of them only); evaluate on one test part"
            )
        values.append(report.per_user[name][mine][back].astype(np.float64))
    return values


def _interval(values: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise JaxrecError(f"level is {level}; pass a probability between 0 and 1, such as 0.95")
    if values.size < 2:
        return math.nan, math.nan
    half = statistics.NormalDist().inv_cdf((1 + level) / 2) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return float(values.mean()) - half, float(values.mean()) + half


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _plain(value: float) -> float | int | None:
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value) if math.isfinite(value) else None
