"""What a reader should know before any figure: each alert is a function from data to a sentence, or to None."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import pair_codes, repeated
from jaxrec.pages._evidence import Evidence
from jaxrec.pages._parts import counted, number, percent
from jaxrec.pages._published import Published, published_of
from jaxrec.reports._report import Report

TIED = 0.05
"""The share of interactions with a tied time from which on it is told."""
HEAD = 0.01
"""The share of the items that counts as the most popular ones."""
MOSTLY = 0.5
"""The share of the places from which on lists count as lists of popular items."""


class Alert(NamedTuple):
    """Something to know before the figures are read.

    Attributes:
      check: the name of the check that found it.
      severity: "warning" where a figure may mislead, "note" where it needs a word.
      text: one sentence, or two.

    >>> Alert("short lists", "note", "...").severity
    'note'
    """

    check: str
    severity: Literal["warning", "note"]
    text: str


def repeated_pairs(parts: Mapping[str, Interactions]) -> str | None:
    """Pairs of a user and an item that occur more than once within a part, or that the user had before.

    >>> twice = Interactions.from_arrays([1, 1, 2], [5, 5, 6])
    >>> repeated_pairs({"train": twice})
    '2 interactions of train repeat a pair of user and item; each counts in training, and once in the lists.'
    >>> repeated_pairs({"train": twice.select([0, 2])}) is None
    True
    """
    told = []
    for name, part in parts.items():
        twice = int(repeated(pair_codes(part)).sum())
        if twice:
            told.append(
                f"{counted(twice, 'interaction')} of {name} repeat{'s' if twice == 1 else ''} a pair of user and item; "
                "each counts in training, and once in the lists."
            )
        before = 0 if part.seen_before is None or name == "train" else int(part.seen_before.sum())
        if before:
            told.append(
                f"{counted(before, 'pair')} of {name} had occurred earlier too, in an interaction that de-duplication "
                "dropped: the user meets these items again."
            )
    return " ".join(told) or None


def lone_users(data: Interactions) -> str | None:
    """Users with a single interaction over all parts, who cannot be both trained on and tested.

    >>> lone_users(Interactions.from_arrays([1, 2, 2], [5, 5, 6]))
    '1 of 2 users (50%) has one interaction only, so nothing of theirs can be both learnt and tested.'
    >>> lone_users(Interactions.from_arrays([1, 1], [5, 6])) is None
    True
    """
    return _lone(data.user, "user", "so nothing of theirs can be both learnt and tested.")


def lone_items(data: Interactions) -> str | None:
    """Items with a single interaction over all parts.

    >>> lone_items(Interactions.from_arrays([1, 2, 2], [5, 5, 6]))
    '1 of 2 items (50%) has one interaction only, which in training says little, and in the test cannot be found.'
    >>> lone_items(Interactions.from_arrays([1, 2], [5, 5])) is None
    True
    """
    return _lone(data.item, "item", "which in training says little, and in the test cannot be found.")


def unknown_test_users(fitted: Interactions, test: Interactions) -> str | None:
    """Test users without an interaction that the models were fitted on.

    >>> data = Interactions.from_arrays([1, 2, 2], [5, 5, 6])
    >>> unknown_test_users(data.select([1]), data.select([0, 2]))
    '1 of 2 test users (50%) is unknown in training; the means include them, and their lists are a guess.'
    >>> unknown_test_users(data, data.select([0])) is None
    True
    """
    users = np.unique(test.user)
    unknown = int((np.bincount(fitted.user, minlength=fitted.num_users)[users] == 0).sum())
    if not unknown:
        return None
    return (
        f"{unknown:,} of {counted(len(users), 'test user')} ({percent(unknown / len(users))}) "
        f"{'is' if unknown == 1 else 'are'} unknown in training; the means include them, and their lists are a guess."
    )


def tied_times(data: Interactions) -> str | None:
    """Interactions that share their time with another one of the same user, from 5% on.

    >>> tied_times(Interactions.from_arrays([1, 1, 2], [5, 6, 5], timestamp=[9, 9, 9]))
    '67% of the interactions share their time with another of the same user: their order is not known, and a split...'
    >>> tied_times(Interactions.from_arrays([1, 1, 2], [5, 6, 5], timestamp=[8, 9, 9])) is None
    True
    """
    if data.timestamp is None or not len(data):
        return None
    _, group = np.unique(data.timestamp, return_inverse=True)
    share = float(repeated(data.user.astype(np.int64) * (int(group.max()) + 1) + group).mean())
    if share < TIED:
        return None
    return (
        f"{percent(share)} of the interactions share their time with another of the same user: their order is not "
        "known, and a split by time cuts through such ties by chance."
    )


def constant_scores(label: str, scores: np.ndarray) -> str | None:
    """Lists whose places all have one score, so that the order of the items in the data decides who is in them.

    Args:
      label: of the run.
      scores: float [n, k], of the places of lists, -inf for padding.

    >>> constant_scores("mf", np.zeros((2, 3)))
    '2 of 2 lists of mf (100%) have one score from first to last: the order of the items decides who is in them.'
    >>> constant_scores("mf", np.array([[0.5, 0.25]])) is None
    True
    """
    last = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, initial=np.inf)
    several = np.isfinite(scores).sum(axis=1) > 1
    constant = int((several & (scores[:, 0] == last)).sum())
    if not constant:
        return None
    return (
        f"{constant:,} of {counted(len(scores), 'list')} of {label} ({percent(constant / len(scores))}) "
        f"{'has' if constant == 1 else 'have'} one score from first to last: the order of the items decides who is in "
        "them."
    )


def short_lists(label: str, lists: np.ndarray) -> str | None:
    """Lists with fewer than k items, whose missing places count as misses.

    >>> short_lists("knn", np.array([[3, -1], [1, 2]]))
    '1 of 2 lists of knn (50%) has fewer than 2 items; the places that are missing count as misses.'
    >>> short_lists("knn", np.array([[3, 4]])) is None
    True
    """
    short = int((lists < 0).any(axis=1).sum())
    if not short:
        return None
    return (
        f"{short:,} of {counted(len(lists), 'list')} of {label} ({percent(short / len(lists))}) "
        f"{'has' if short == 1 else 'have'} fewer than {lists.shape[1]} items; the places that are missing count as "
        "misses."
    )


def popular_places(label: str, lists: np.ndarray, popularity: np.ndarray) -> str | None:
    """Lists of which most places go to the most popular items, 1% of the catalog but at least as many as a list has.

    >>> popular_places("mf", np.array([[0], [0]]), np.array([8, 1, 1]))
    '100% of the places of mf go to the 1 most popular item, which has 80% of the interactions that it learnt from.'
    >>> popular_places("mf", np.array([[1], [2]]), np.array([8, 1, 1])) is None
    True
    """
    size = min(max(math.ceil(HEAD * len(popularity)), lists.shape[1]), len(popularity))
    head = np.argsort(-popularity, kind="stable")[:size]
    places = lists[lists >= 0]
    share = float(np.isin(places, head).mean()) if places.size else 0.0
    if share < MOSTLY or size == len(popularity):
        return None
    consumed = popularity[head].sum() / max(popularity.sum(), 1)
    return (
        f"{percent(share)} of the places of {label} go to the {counted(size, 'most popular item')}, which "
        f"{'has' if size == 1 else 'have'} {percent(consumed)} of the interactions that it learnt from."
    )


def unlike_published(label: str, report: Report, published: Published) -> str | None:
    """Figures further from published ones than their interval over users and 1%.

    >>> report = Report(np.arange(2), {"recall@20": np.array([0.25, 0.25])})
    >>> unlike_published("ease", report, Published({"recall@20": 0.5}, "a paper"))
    'ease has recall@20 .2500 and the published figure is .5000 (a paper).'
    >>> unlike_published("ease", report, Published({"recall@20": 0.25}, "a paper")) is None
    True
    """
    told = []
    for name, figure in published.values.items():
        if name not in report.per_user:
            continue
        mean, (low, high) = report.mean(name), report.interval(name)
        if not low <= figure <= high and abs(mean - figure) > 0.01 * figure:
            told.append(f"{label} has {name} {number(mean)} and the published figure is {number(figure)}")
    return f"{'; '.join(told)} ({published.source})." if told else None


def alerts_of(evidence: Evidence) -> list[Alert]:
    """All alerts of a page, warnings first."""
    found = [
        Alert(check.name, check.severity, text) for check in CHECKS for text in check.run(evidence) if text is not None
    ]
    return sorted(found, key=lambda alert: alert.severity == "note")


class Check(NamedTuple):
    """A check of a page.

    Attributes:
      name: what is looked for.
      severity: of its alerts.
      run: from the evidence to a sentence, or None, for each thing that it looks at.

    >>> CHECKS[0].name
    'repeated pairs'
    """

    name: str
    severity: Literal["warning", "note"]
    run: Callable[[Evidence], Iterator[str | None]]


def _of_parts(evidence: Evidence) -> Iterator[str | None]:
    if evidence.split is not None:
        yield repeated_pairs(evidence.split.parts())


def _of_users(evidence: Evidence) -> Iterator[str | None]:
    yield lone_users(evidence.fitted if evidence.split is None else evidence.split.whole)


def _of_items(evidence: Evidence) -> Iterator[str | None]:
    yield lone_items(evidence.fitted if evidence.split is None else evidence.split.whole)


def _of_test_users(evidence: Evidence) -> Iterator[str | None]:
    if evidence.split is not None and len(evidence.split.test):
        yield unknown_test_users(evidence.split.fitted, evidence.split.test)


def _of_times(evidence: Evidence) -> Iterator[str | None]:
    if evidence.split is not None:
        yield tied_times(evidence.split.whole)


def _of_scores(evidence: Evidence) -> Iterator[str | None]:
    for label, scores in evidence.scores.items():
        yield constant_scores(label, scores)


def _of_lists(evidence: Evidence) -> Iterator[str | None]:
    for label, lists in evidence.lists.items():
        yield short_lists(label, lists)


def _of_popularity(evidence: Evidence) -> Iterator[str | None]:
    for label, lists in evidence.lists.items():
        yield popular_places(label, lists, evidence.popularity)


def _of_published(evidence: Evidence) -> Iterator[str | None]:
    for label, entry in evidence.entries.items():
        published = published_of(entry.model)
        if published is not None and entry.report is not None:
            yield unlike_published(label, entry.report, published)


CHECKS = (
    Check("repeated pairs", "warning", _of_parts),
    Check("users with one interaction", "note", _of_users),
    Check("items with one interaction", "note", _of_items),
    Check("test users unknown in training", "warning", _of_test_users),
    Check("tied times", "note", _of_times),
    Check("constant scores", "warning", _of_scores),
    Check("lists shorter than k", "warning", _of_lists),
    Check("share of popular items", "note", _of_popularity),
    Check("figures unlike published ones", "warning", _of_published),
)
"""What is looked at, in order."""


def _lone(index: np.ndarray, what: str, why: str) -> str | None:
    counts = np.bincount(index)
    lone, there = int((counts == 1).sum()), int((counts > 0).sum())
    if not lone:
        return None
    has = "has" if lone == 1 else "have"
    return f"{lone:,} of {counted(there, what)} ({percent(lone / there)}) {has} one interaction only, {why}"
