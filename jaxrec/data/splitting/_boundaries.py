"""What a split by time says of its boundaries: those that cut through a tie, and repeats that move into the test."""

from __future__ import annotations

import warnings

import numpy as np

from jaxrec.data._interactions import TEST, Interactions


class RepeatsWarning(UserWarning):
    """The test part has pairs of a user and item that the user had before; a note of the split says so too."""


def tied_boundaries(group: np.ndarray, time: np.ndarray, place: np.ndarray) -> tuple[int, int]:
    """Count the boundaries between neighboring parts in time, and those with equal times on both sides.

    Args:
      group: [E], whole numbers; each group has boundaries of its own.
      time: [E].
      place: [E], the place of each row's part in time, 0 for the earliest; a negative place counts nowhere.

    Returns:
      How many boundaries cut through a tie, and how many there are.

    >>> tied_boundaries(np.zeros(4, int), np.array([1, 2, 2, 3]), np.array([0, 0, 1, 2]))
    (1, 2)
    """
    inside = place >= 0
    group, time, place = group[inside], time[inside], place[inside]
    if not len(group):
        return 0, 0
    order = np.lexsort((time, place, group))
    group, time, place = group[order], time[order], place[order]
    boundary = (group[1:] == group[:-1]) & (place[1:] != place[:-1])
    return int((boundary & (time[1:] == time[:-1])).sum()), int(boundary.sum())


def time_notes(data: Interactions, group: np.ndarray, place: np.ndarray, codes: np.ndarray, method: str) -> list[str]:
    """Give the notes of a split by time, and warn where repeats move into the test part.

    After `deduplicate` with keep="last", an interaction stands at the time of its last repeat. A test interaction
    whose pair the user had before is no new one, and what a model finds there is not what its figures are taken for.

    Args:
      data: E interactions in canonical order.
      group: see `tied_boundaries`; likewise place.
      place: see `tied_boundaries`.
      codes: the part of each row.
      method: the name of the splitter.
    """
    assert data.timestamp is not None
    notes = []
    cut, total = tied_boundaries(group, data.timestamp, place)
    if cut:
        notes.append(
            f"{cut:,} of {total:,} boundaries in time cut through a tie: which of the equal times is held out there is "
            "random (ties='together' keeps a tie in one part)"
        )
    told = repeats_note(None if data.seen_before is None else data.seen_before[codes == TEST])
    if told:
        notes.append(told)
        count, _, remedy = told.partition("; ")
        warnings.warn(
            f"{method}: {count}, so the test part holds items that the user had; {remedy}", RepeatsWarning, stacklevel=4
        )
    return notes


def repeats_note(before: np.ndarray | None) -> str:
    """The note that a test part has pairs that the user had before; "" where it has none.

    Args:
      before: bool [E] of the test part, see `Interactions.seen_before`.

    >>> repeats_note(np.array([True, False]))[:56]
    '1 of 2 test interactions are of a user and item with an '
    """
    if before is None or not before.any():
        return ""
    return (
        f"{int(before.sum()):,} of {len(before):,} test interactions are of a user and item with an earlier repeat, "
        "which was left out; keep='first' leaves them where they were first"
    )
