"""Every pair of several reports, tested on the same users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.reports._report import Report
from jaxrec.statistics._comparison import Comparison, compare_models
from jaxrec.statistics._resampling import IntervalMethod


def compare_reports(
    reports: Mapping[str, Report],
    key: jax.Array,
    *,
    names: Sequence[str] | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> list[Comparison]:
    """`compare_models` for reports: every pair of models in every per-user value, with Holm's correction over all rows.

    Args:
      reports: label of the model to its report, on the same users in any order; means of several runs too.
      key: from `jax.random.key`; consumed.
      names: the values to compare, by default all that the first report has per user. Values over all lists together,
        like coverage, are no means over users, and values that fewer than two users have from every model, like the
        distance in lists of one item, show no difference: they take no part.
      resamples, level, method, memory_mb: as in `compare_models`.

    Returns:
      The rows, which the comparison tables take to mark what differs.

    Raises:
      MismatchError: the reports are on different users.
      JaxrecError: fewer than two reports, a report without one of the values, no value per user, or as in
        `compare_models`.

    >>> import numpy as np
    >>> from jaxrec.reports import Report
    >>> a = Report(np.arange(3), {"recall@10": np.array([0.5, 0.75, 1.0])}, {"coverage@10": 0.5})
    >>> b = Report(np.array([2, 1, 0]), {"recall@10": np.array([0.75, 0.5, 0.25])}, {"coverage@10": 0.25})
    >>> [(row.a, row.b, row.metric, row.difference) for row in compare_reports({"a": a, "b": b}, jax.random.key(0))]
    [('a', 'b', 'recall@10', 0.25)]
    """
    if len(reports) < 2:
        raise JaxrecError(f"reports has {len(reports)} model(s); pass at least two to compare")
    first = next(iter(reports.values()))
    tested = list(first.per_user) if names is None else [name for name in names if name not in first.overall]
    tested = [name for name in tested if shared_users(reports.values(), name) > 1]
    if not tested:
        raise JaxrecError(
            f"names is {', '.join(first.names if names is None else names)}, nothing that users have a value of; add "
            "one, such as recall, for a test over users"
        )
    per_user = {label: {name: report.values(name, first.users) for name in tested} for label, report in reports.items()}
    return compare_models(per_user, key, resamples=resamples, level=level, method=method, memory_mb=memory_mb)


def shared_users(reports: Iterable[Report], name: str) -> int:
    """How many users have a value of this name in every report.

    Raises:
      MismatchError: the reports are on different users.
      JaxrecError: a report has no per-user value of this name.

    >>> import numpy as np
    >>> one, two = (Report(np.arange(2), {"ild@1": np.array(values)}) for values in ([0.5, np.nan], [np.nan, 0.5]))
    >>> shared_users([one, two], "ild@1"), shared_users([one, one], "ild@1")
    (0, 1)
    """
    reports = list(reports)
    values = [report.values(name, reports[0].users) for report in reports]
    return int((~np.isnan(values)).all(axis=0).sum())
