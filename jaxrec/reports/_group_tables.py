"""Reports of groups: of items, cut from one report, and tables with a row a group."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.reports._report import Report
from jaxrec.reports._tables import comparison_markdown, comparison_table
from jaxrec.reports._values import split_value_name


def by_item_group(report: Report) -> dict[str, Report]:
    """The part of a report that is about each group of items, under the names without the group.

    Args:
      report: of an evaluation with `item_groups`.

    Returns:
      Label, as text, to a report with "recall@k", "ndcg@k", "hits@k", and of all lists "exposure@k",
      "catalogue_share" and "training_share".

    Raises:
      JaxrecError: the report has no groups of items.

    >>> by_item_group(Report(np.arange(1), {"recall@5 [head]": np.array([0.5])}))["head"].mean("recall@5")
    0.5
    """
    groups: dict[str, dict[str, str]] = {}
    for value in report.names:
        name = split_value_name(value)
        if name.group is not None:
            groups.setdefault(name.group, {})[value] = str(name._replace(group=None))
    if not groups:
        raise JaxrecError("the report has no groups of items; evaluate with item_groups")
    return {label: _renamed(report, names) for label, names in groups.items()}


def _renamed(report: Report, names: Mapping[str, str]) -> Report:
    """The values of some names, under other names."""
    return dataclasses.replace(
        report,
        per_user={names[name]: values for name, values in report.per_user.items() if name in names},
        overall={names[name]: value for name, value in report.overall.items() if name in names},
        seeds={names[name]: values for name, values in report.seeds.items() if name in names},
        members=tuple(_renamed(member, names) for member in report.members),
    )


def group_table(groups: Mapping[Any, Report], names: Sequence[str] | None = None, *, level: float = 0.95) -> str:
    """Groups as rows and values as columns, aligned, each mean with the half width of its interval.

    The first column after the label is how many users the first value with users is a mean of. Values of one group
    have other users than those of another, so two groups are not compared in pairs.

    Args:
      groups: label to report, from `Report.by_group` or `by_item_group`.
      names: the columns; by default all that the first report has.
      level: the probability of the intervals.

    Raises:
      JaxrecError: no group, or a report without one of the values.

    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])})
    >>> print(group_table(report.by_group(["new", "new", "old", "old"])))
         recall@10              users
    new  0.2500 [.0238, .8198]  2
    old  0.7500 [.1802, .9762]  2
    """
    return comparison_table(**_shown(groups, names), level=level)


def group_markdown(groups: Mapping[Any, Report], names: Sequence[str] | None = None, *, level: float = 0.95) -> str:
    """`group_table` as a Markdown table.

    >>> report = Report(np.arange(2), {"recall@10": np.array([0.5, 1.0])})
    >>> print(group_markdown(report.by_group(["new", "old"])))
    | | recall@10 | users |
    |---|---|---|
    | new | 0.5000 | 1 |
    | old | 1.0000 | 1 |
    """
    return comparison_markdown(**_shown(groups, names), level=level)


def _shown(groups: Mapping[Any, Report], names: Sequence[str] | None) -> dict[str, Any]:
    """What a table of groups shows: reports, the names of their values, and the sizes as one more column."""
    if not groups:
        raise JaxrecError("groups is empty; pass what Report.by_group or by_item_group gave")
    reports = {str(label): report for label, report in groups.items()}
    names = next(iter(reports.values())).names if names is None else names
    sizes = {}
    for label, report in reports.items():
        counted = [name for name in names if name in report.per_user]
        size = int((~np.isnan(report.per_user[counted[0]])).sum()) if counted else len(report.users)
        sizes[label] = f"{size:,}"
    return {"reports": reports, "names": names, "extra": {"users": sizes}}
