"""The report: one page over several runs of one data set, from alerts to the model's view."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.evaluation._training_statistics import Categories
from jaxrec.files import write_whole
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._versions import versions
from jaxrec.pages._alerts import CHECKS, Alert, alerts_of
from jaxrec.pages._data_card import data_card
from jaxrec.pages._document import Section, document
from jaxrec.pages._evidence import Entry, Evidence, gather, labels_of
from jaxrec.pages._item_map import map_data
from jaxrec.pages._lists import lists_data, recommendations, shown
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._model_view import popularity_view, spectral_view
from jaxrec.pages._own import OwnSection
from jaxrec.pages._parts import counted, listed, number, paragraph
from jaxrec.pages._results import compared, results
from jaxrec.pages._training import training
from jaxrec.progress import work
from jaxrec.statistics._comparison import Comparison

MOST_USERS, MOST_ITEMS = 1000, 3000
"""How many users and items a page shows; of more it shows a sample, and says so."""

WITHOUT_DATA = (
    "Data card: activity over time, sizes of the parts, steps of the split",
    "Results: means on one test part, paired differences, trade-offs, groups of users and items",
    "What it recommends: hits, the most and the least served users",
)
"""What a page lacks where the data of the runs are not found."""

_OF_SEEDS = (
    "Results of {} are means over seeds. Lists, hits and the popularity of what is shown are those of one training, "
    "the model that is kept."
)


@dataclasses.dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
      html: the whole page, self-contained: it opens from a disk, and no request leaves it.
      alerts: what fired, warnings first.
      left_out: the sections or parts that are not there.

    >>> Page("<!doctype html>", (), ()).alerts
    ()
    """

    html: str
    alerts: tuple[Alert, ...]
    left_out: tuple[str, ...]

    def write(self, path: str | os.PathLike[str]) -> int:
        """Write the page to a file, whole or not at all, and return its size in bytes.

        Raises:
          OutputError: it cannot be written.
        """
        content = self.html.encode()
        write_whole(path, content)
        return len(content)

    def _repr_html_(self) -> str:
        return f"<p>A report of {len(self.html.encode()):,} bytes; <code>.write(path)</code> puts it into a file.</p>"


def report(
    entries: Mapping[str, Entry | FittedModel],
    split: Split | None = None,
    *,
    name: str = "",
    title: str = "",
    k: int = 10,
    main: str | None = None,
    item_categories: Categories | None = None,
    comparisons: Sequence[Comparison] | None = None,
    left_out: Sequence[str] = (),
    sections: Sequence[OwnSection] = (),
    most_users: int = MOST_USERS,
    most_items: int = MOST_ITEMS,
    seed: int = 0,
    memory_mb: int = 256,
) -> Page:
    """Make the report of one or several runs that were fitted on the same data.

    Args:
      entries: label to run. `measured` makes entries of models; a model alone has no results.
      split: of the data; without it the sections that need the data are left out, and named.
      name: of the data, as people call them; terms of use are looked up by it.
      title: of the page; by default the name of the data.
      k: length of the lists.
      main: the value that runs are ordered by, such as "recall@20"; by default nDCG at the shortest length.
      item_categories: what the map of the items is colored by, see `jaxrec.evaluation.category_table`; by default the
        column of the items with the fewest labels, or popularity.
      comparisons: all rows of one call of `jaxrec.reports.compare_reports` over the same reports; by default they are
        made here, with 2,000 resamples or as many as the correction needs.
      left_out: further things that the page lacks, in words.
      sections: of your own, behind those that every report has.
      most_users, most_items: how many are shown; of more a sample.
      seed: of the samples and of the bootstrap.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.

    Returns:
      The page. The same arguments give the same bytes.

    Raises:
      JaxrecError: no run, or a model that predicts ratings.
      MismatchError: runs, or a split, of other users or items.

    >>> import jax, jaxrec
    >>> from jaxrec.pages import measured, report
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> models = {"knn": jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))}
    >>> page = report(measured(models, split, k=3), split, k=3)
    >>> [alert.check for alert in page.alerts], "https://" in page.html
    (['constant scores', 'items with one interaction'], False)
    """
    made = {label: one if isinstance(one, Entry) else Entry(one) for label, one in entries.items()}
    with work("the page", 4):
        with work("lists", share=1):
            evidence = gather(
                made,
                split,
                k=k,
                main=main,
                item_categories=item_categories,
                most_users=most_users,
                most_items=most_items,
                seed=seed,
                memory_mb=memory_mb,
            )
        for label, one in evidence.reports.items():
            if main is not None and main not in one.per_user:
                raise JaxrecError(f"main is {main!r}, and {label!r} has {', '.join(one.per_user)}; name one of them")
        with work("", share=1):
            rows = compared(evidence.reports, seed) if comparisons is None else list(comparisons)
        alerts = alerts_of(evidence)
        missing = (*(WITHOUT_DATA if split is None else ()), *left_out)
        with work("map of the items", share=1):
            found = shown(evidence)
            drawn, of_map = map_data(evidence, found)
            data: dict[str, Any] = {**lists_data(evidence, found), "map": drawn}
        with work("the model's view", share=1):
            view = joined(tag("h3", "Map of the items"), of_map, spectral_view(evidence), popularity_view(evidence))
    own = [one.section(f"own-{at}", list(evidence.labels)) for at, one in enumerate(sections, start=1)]
    parts = [
        Section("alerts", "Alerts", _alerts(alerts, missing)),
        Section("data", "Data card", data_card(evidence, name)),
        Section("results", "Results", results(evidence, rows)),
        Section("training", "Training", training(evidence)),
        Section("recommends", "What it recommends", recommendations(evidence, found)),
        Section("view", "The model's view", view),
        *own,
        Section("about", "How to read this page", _about(evidence)),
    ]
    heading = title or (f"Report on {name}" if name else "Report")
    page = document(heading, parts, lead=_lead(evidence, rows), data=data, script="_script.js")
    return Page(page, tuple(alerts), tuple(missing))


def _lead(evidence: Evidence, comparisons: Sequence[Comparison]) -> Html:
    """What a hurried reader takes along: the runs, the best one, and whether it is more than chance."""
    runs = f"{counted(len(evidence.labels), 'run')}: {labels_of(evidence.labels)}."
    main, reports = evidence.main, evidence.reports
    means = {label: report.mean(main) for label, report in reports.items() if main in report.per_user}
    means = {label: mean for label, mean in means.items() if mean == mean}
    if not means:
        return paragraph(runs)
    best = max(means, key=means.__getitem__)
    low, high = reports[best].interval(main)
    what = f"{best} has the highest {main}:" if len(means) > 1 else f"Its {main} is"
    told = f" {what} {number(means[best])}, 95% interval {number(low)} to {number(high)}."
    pairs = {frozenset((row.a, row.b)): row for row in comparisons if row.metric == main}
    own = {label: pairs[frozenset((best, label))] for label in means if frozenset((best, label)) in pairs}
    alike = [label for label, row in own.items() if not row.significant]
    if own and alike:
        told += f" It is not significantly better than {labels_of(alike)}."
    elif own:
        told += " It is significantly better than every other run."
    return paragraph(tag("strong", runs), told)


def _alerts(alerts: Sequence[Alert], missing: Sequence[str]) -> Html:
    items = [
        tag(
            "li",
            tag("strong", f"{alert.severity.capitalize()}: {alert.check}. "),
            alert.text,
            class_=f"is-{alert.severity}",
        )
        for alert in alerts
    ]
    fired = {alert.check for alert in alerts}
    quiet = [check.name for check in CHECKS if check.name not in fired]
    told = paragraph(f"Nothing found: {labels_of(quiet)}." if quiet else "Every check found something.", note=True)
    parts = [tag("ul", items, class_="alerts") if items else paragraph("No alert."), told]
    if missing:
        parts.append(joined(tag("h3", "Left out"), listed(missing)))
    return joined(parts)


def _about(evidence: Evidence) -> Html:
    several = [label for label, report in evidence.reports.items() if report.runs > 1]
    return joined(
        listed(
            [
                *(_OF_SEEDS.format(labels_of(each)) for each in [several] if each),
                "Means are over the users with a test item. An interval, or ±, says how a mean would vary with other "
                "users of the same kind, for these trained models. The spread over seeds says how it varies with "
                "another training. Neither says anything about the other.",
                "A dagger or a filled mark is a paired bootstrap test over users with Holm's correction over all "
                "comparisons of this page. Intervals that overlap say nothing about a difference.",
                "Distances are Euclidean, between vectors of items by who has them, the same for all runs. The map is "
                "a projection of such vectors by principal components.",
                "Every chart has its figures as a table below it. A run keeps its color, mark and dash everywhere.",
            ]
        ),
        paragraph(f"Made by jaxrec {versions()['jaxrec']}. No part of this page is loaded from elsewhere.", note=True),
    )
