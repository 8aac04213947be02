"""Reports of several runs: their mean as one report, and the difference of two, user by user."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.reports._report import Report
from jaxrec.statistics._intervals import normal_interval


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
    difference = a.values(name, a.users) - b.values(name, a.users)
    difference = difference[~np.isnan(difference)]
    bounds = a.bounds_of(name)
    if bounds is not None:
        width = bounds[1] - bounds[0]
        bounds = (-width, width)
    low, high = normal_interval(difference, level, bounds)
    return (float(difference.mean()) if difference.size else math.nan), low, high


@overload
def average_reports(reports: Sequence[Report]) -> Report: ...
@overload
def average_reports(reports: Sequence[Mapping[Any, Report]]) -> dict[Any, Report]: ...
def average_reports(reports: Sequence[Any]) -> Any:
    """One report whose values are the means over several runs, user by user, and which keeps the value of each run.

    With it `interval` over users is that of the mean of the runs, and `spread` is that over seeds. A report that is a
    mean itself counts as often as it has runs. Where users lack a value in some runs, the mean over the users who have
    it in all of them can differ from the mean of the values of the runs.

    Args:
      reports: at least one, on the same users, with the same names and of one setting; or as many mappings from the
        same labels to reports, as `Report.by_group` gives.

    Returns:
      A report with the users in the order of the first; counts that differ between runs are averaged too, and so are
      seconds. Of mappings, a dictionary from label to such a report.

    Raises:
      MismatchError: the reports differ in users, names or setting (test part, mask, fitted part, catalog, item space),
        or the mappings in labels.
      JaxrecError: no report.

    >>> runs = [Report(np.arange(2), {"recall@10": np.array(values)}) for values in ([0.0, 1.0], [0.5, 1.0])]
    >>> mean = average_reports(runs)
    >>> mean.per_user["recall@10"], mean.seeds["recall@10"]
    (array([0.25, 1.  ], dtype=float32), array([0.5 , 0.75]))
    >>> average_reports([run.by_group(["new", "old"]) for run in runs])["new"].mean("recall@10")
    0.25
    """
    if not len(reports):
        raise JaxrecError("reports is empty; pass at least one")
    if isinstance(reports[0], Mapping):
        for other in reports:
            if not isinstance(other, Mapping) or set(other) != set(reports[0]):
                raise MismatchError(
                    f"the reports differ in their groups: {', '.join(map(str, reports[0]))} and "
                    f"{', '.join(map(str, other)) if isinstance(other, Mapping) else 'none'}; group all runs alike"
                )
        return {label: average_reports([one[label] for one in reports]) for label in reports[0]}
    first = reports[0]
    for other in reports[1:]:
        _check_alike(first, other)
    runs = [report.runs for report in reports]

    def mean(values: Sequence[float]) -> float:
        return sum(times * value for times, value in zip(runs, values, strict=True)) / sum(runs)

    counts = {}
    for name, count in first.counts.items():
        values = [report.counts[name] for report in reports]
        counts[name] = count if len(set(values)) == 1 else mean(values)
    seeds = {}
    for name in first.names if sum(runs) > 1 else ():
        each = [report.seeds[name] if report.runs > 1 else np.array([report.mean(name)]) for report in reports]
        seeds[name] = np.concatenate(each)
    members = [report.members or (report,) for report in reports]
    whole = all(sum(member.runs for member in some) == times for some, times in zip(members, runs, strict=True))
    return dataclasses.replace(
        first,
        per_user={
            name: np.average([report.values(name, first.users) for report in reports], axis=0, weights=runs)
            for name in first.per_user
        },
        overall={name: mean([report.overall[name] for report in reports]) for name in first.overall},
        counts=counts,
        seconds=mean([report.seconds for report in reports]),
        runs=sum(runs),
        seeds=seeds,
        members=tuple(one for some in members for one in some) if whole and sum(runs) > 1 else (),
    )


# What a setting says in words, for messages.
_WORDS = {"masked": "masked", "fitted": "fitted", "catalog": "catalogue", "space": "space"}


def _check_alike(first: Report, other: Report) -> None:
    for field in sorted({*first.setting, *other.setting}):
        if first.setting.get(field) != other.setting.get(field):
            told = [repr(getattr(report, _WORDS[field])) for report in (first, other)] if field in _WORDS else []
            raise MismatchError(
                f"the reports differ in {_WORDS.get(field, field)}"
                + (f": {' and '.join(told)}" if told and told[0] != told[1] else "")
                + "; average runs of one setting only"
            )
    if set(first.names) != set(other.names) or set(first.counts) != set(other.counts):
        differ = sorted((set(first.names) ^ set(other.names)) | (set(first.counts) ^ set(other.counts)))
        raise MismatchError(f"the reports differ in what they hold ({', '.join(differ)}); evaluate all runs alike")
