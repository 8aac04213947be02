"""What splits by time say of ties at their boundaries, and of repeats that move into the test part."""

import dataclasses
import itertools
import warnings

import numpy as np
import pytest

import jaxrec
from jaxrec.data import deduplicate
from jaxrec.data.splitting import GlobalTemporal, LeaveOneOut, TimeWindows, UserKFold, UserTemporal
from jaxrec.data.splitting._boundaries import tied_boundaries
from jaxrec.errors import JaxrecError


def timed(times):
    """Interactions of as many users as there are rows of times, each with an item a time."""
    times = np.asarray(times)
    users, items = np.indices(times.shape)
    return jaxrec.from_arrays(users.ravel(), items.ravel(), timestamp=times.ravel())


def told(splitter, data):
    with warnings.catch_warnings(action="ignore"):  # few test users
        notes = jaxrec.split(data, splitter).notes
    return [note.partition(":")[0] for note in notes if "cut through a tie" in note]


TIED = timed([[1, 2, 3, 3], [1, 2, 3, 4], [5, 5, 5, 5]])


@pytest.mark.parametrize(
    ("splitter", "expected"),
    [
        (UserTemporal(test=0.25, valid=0), "2 of 3 boundaries in time cut through a tie"),
        (UserTemporal(test=0.25, valid=0.25), "3 of 6 boundaries in time cut through a tie"),
        (LeaveOneOut(valid=0), "2 of 3 boundaries in time cut through a tie"),
        (GlobalTemporal(test=0.25, valid=0), "1 of 1 boundaries in time cut through a tie"),
        (UserKFold(folds=3, test=0.25, valid=0, order="time"), None),  # of the one test user
        # 1 1 2 2 3 3 | 3 4 5 | 5 5 5
        (TimeWindows(windows=2, test=0.25, valid=0), "2 of 2 boundaries in time cut through a tie"),
    ],
)
def test_boundaries_through_ties_are_counted(splitter, expected):
    if expected is None:
        counts = [told(one, TIED) for one in splitter.rounds()]
        assert sorted(counts) == [[], *[["1 of 1 boundaries in time cut through a tie"]] * 2]
        return
    assert told(splitter, TIED) == [expected]


@pytest.mark.parametrize("splitter", [UserTemporal(test=0.25), LeaveOneOut(), GlobalTemporal(test=0.25)])
def test_nothing_is_said_without_a_tie_or_where_ties_stay_together(splitter):
    assert told(splitter, timed([[1, 2, 3, 4], [11, 12, 13, 14]])) == []
    assert told(dataclasses.replace(splitter, ties="together"), timed([[1, 2, 3, 3], [1, 2, 3, 4]])) == []
    assert jaxrec.split(timed([[1, 1, 1, 1]]), "user_random").notes[0].startswith("user_random")


def test_the_count_is_that_of_the_slow_way():
    rng = np.random.default_rng(0)
    group, time, place = rng.integers(0, 9, 200), rng.integers(0, 5, 200), rng.integers(-1, 3, 200)
    order = np.lexsort((time, group))  # parts in order of time, as splits have them
    group, time = group[order], time[order]
    for one in range(9):
        mine = np.flatnonzero(group == one)
        place[mine] = np.sort(place[mine])
    cut, total = 0, 0
    for one in range(9):
        sides = [time[(group == one) & (place == at)] for at in range(3)]
        sides = [side for side in sides if len(side)]
        for before, after in itertools.pairwise(sides):
            total += 1
            cut += before.max() == after.min()
    assert tied_boundaries(group, time, place) == (cut, total)
    assert tied_boundaries(group[:0], time[:0], place[:0]) == (0, 0)


LOG = jaxrec.from_arrays([1] * 6, [5, 6, 7, 8, 5, 9], [3, 3, 3, 3, 1, 3], [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("keep", "items", "rating", "again"),
    [("last", [5, 9], 1, 1), ("lowest", [5, 9], 1, 1), ("first", [8, 9], 3, 0), ("highest", [8, 9], 3, 0)],
)
def test_repeats_that_move_into_the_test_are_told(keep, items, rating, again):
    data = deduplicate(LOG, keep)
    assert data.rating[data.item == 0].tolist() == [rating]
    assert data.seen_before.tolist() == [bool(again) and item == 0 for item in data.item.tolist()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = jaxrec.split(data, "user_temporal", test=0.4, valid=0)
    assert sorted(parts.test.items.ids[parts.test.item].tolist()) == items
    message = "1 of 2 test interactions are of a user and item with an earlier repeat, which was left out"
    assert [str(one.message).partition(", so")[0] for one in caught] == [f"user_temporal: {message}"] * again
    assert [one.filename for one in caught] == [__file__] * again
    assert (f"{message}; keep='first' leaves them where they were first" in parts.notes) == bool(again)
    assert parts.fitted.seen_before.sum() == 0


def test_the_rule_is_an_option_of_prepare_and_read(tmp_path):
    assert jaxrec.data.prepare(LOG, keep="first").timestamp.tolist() == [1, 2, 3, 4, 6]
    with pytest.raises(JaxrecError, match="keep is 'first' and deduplicate is False; pass keep alone"):
        jaxrec.data.prepare(LOG, deduplicate=False, keep="first")
    (tmp_path / "log.csv").write_text("user,item,time\n1,5,1\n1,6,2\n1,5,3\n")
    assert jaxrec.read(tmp_path / "log.csv").timestamp.tolist() == [1, 2, 3]
    assert jaxrec.read(tmp_path / "log.csv", keep="first").timestamp.tolist() == [1, 2]
    assert jaxrec.read(tmp_path / "log.csv", keep="last").timestamp.tolist() == [2, 3]
