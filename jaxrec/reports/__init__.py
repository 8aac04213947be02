"""Reports of evaluations: their tables, averages over runs, comparisons and groups."""

from jaxrec.reports._averages import average_reports, paired_difference
from jaxrec.reports._comparisons import compare_reports
from jaxrec.reports._group_tables import by_item_group, group_markdown, group_table
from jaxrec.reports._groups import Groups, activity_groups, popularity_groups
from jaxrec.reports._report import Report
from jaxrec.reports._tables import comparison_latex, comparison_markdown, comparison_table
from jaxrec.reports._values import ValueName, higher_is_better, split_value_name

__all__ = [
    "Groups",
    "Report",
    "ValueName",
    "activity_groups",
    "average_reports",
    "by_item_group",
    "compare_reports",
    "comparison_latex",
    "comparison_markdown",
    "comparison_table",
    "group_markdown",
    "group_table",
    "higher_is_better",
    "paired_difference",
    "popularity_groups",
    "split_value_name",
]
