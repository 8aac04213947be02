"""Rating filter, de-duplication and k-core: against slow twins, by arithmetic, and the messages of bad input."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data import _filters as filters
from jaxrec.data._interactions import TEST, TRAIN, Interactions
from jaxrec.errors import DataError, JaxrecError

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(10, 14), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=40
)


def make(rows, columns=4):
    user, item, rating, time = zip(*rows, strict=True)
    return Interactions.from_arrays(user, item, rating if columns > 2 else None, time if columns > 3 else None)


def rows_of(data):
    columns = [data.users.ids[data.user], data.items.ids[data.item], data.rating, data.timestamp]
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def slow_core(rows, user_k, item_k):
    while True:
        users, items = [row[0] for row in rows], [row[1] for row in rows]
        left = [row for row in rows if users.count(row[0]) >= user_k and items.count(row[1]) >= item_k]
        if left == rows:
            return rows
        rows = left


def slow_duplicates(rows, better):
    best = {}
    for row in rows:
        kept = best.setdefault(row[:2], row)
        if better(row) > better(kept):
            best[row[:2]] = row
    return sorted(best.values())


@given(ROWS, st.integers(1, 4), st.integers(1, 4))
def test_k_core_agrees_with_removing_one_by_one(rows, user_k, item_k):
    expected = slow_core(rows, user_k, item_k)
    if not expected:
        with pytest.raises(DataError, match="no interaction left"):
            filters.k_core(make(rows), user_k=user_k, item_k=item_k)
        return
    core = filters.k_core(make(rows), user_k=user_k, item_k=item_k)
    assert rows_of(core) == expected
    assert core.num_users == len({row[0] for row in expected})
    assert core.num_items == len({row[1] for row in expected})


@given(ROWS, st.integers(1, 6))
def test_the_largest_k_that_the_error_names_is_right(rows, k):
    data = make(rows)
    try:
        filters.k_core(data, k)
    except DataError as error:
        most = int(str(error).rsplit(" ", 1)[1])
        assert most < k
        assert len(filters.k_core(data, most))
        with pytest.raises(DataError, match="no interaction left"):
            filters.k_core(data, most + 1)


@pytest.mark.parametrize(
    ("keep", "better"),
    [
        ("last", lambda row: (row[3], row[2])),
        ("first", lambda row: (-row[3], row[2])),
        ("max", lambda row: (row[2], row[3])),
    ],
)
@given(rows=ROWS)
def test_deduplicate_agrees_with_its_rule_in_any_row_order(keep, better, rows):
    expected = slow_duplicates(rows, better)
    assert sorted(rows_of(filters.deduplicate(make(rows), keep))) == expected
    assert sorted(rows_of(filters.deduplicate(make(rows[::-1]), keep))) == expected


@given(ROWS)
def test_deduplicate_without_times_keeps_the_highest_rating(rows):
    data = filters.deduplicate(make(rows, columns=3))
    pairs = zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True)
    expected = {}
    for user, item, rating, _ in rows:
        expected[user, item] = max(rating, expected.get((user, item), 0))
    assert dict(zip(pairs, data.rating.tolist(), strict=True)) == expected


def test_deduplicate_of_rows_that_differ_in_part_only_keeps_the_training_row():
    data = Interactions.from_arrays([1, 1], [5, 5])
    for part in ([TRAIN, TEST], [TEST, TRAIN]):
        assert filters.deduplicate(dataclasses.replace(data, part=np.array(part))).part.tolist() == [TRAIN]


def test_min_rating_keeps_equal_ratings_that_float32_cannot_hold():
    data = Interactions.from_arrays([1, 1, 2], [5, 6, 6], [3.3, 3.2, 5.0])
    for threshold in (3.3, np.float64(3.3)):
        kept = filters.min_rating(data, threshold)
        assert kept.rating.tolist() == [np.float32(3.3), 5.0]
    assert kept.notes == ("minimum rating 3.3: kept 2 of 3 interactions, 2 of 2 users, 2 of 2 items",)


def test_filters_carry_titles_and_columns_along_and_drop_who_has_nothing_left():
    data = Interactions.from_arrays(
        ["a", "a", "b"],
        [5, 6, 7],
        [4, 4, 1],
        titles={5: "five", 6: "six", 7: "seven"},
        item_columns={"y": {5: 1, 6: 2, 7: 3}},
    )
    kept = filters.min_rating(data, 2)
    assert kept.users.ids.tolist() == ["a"]
    assert kept.titles.tolist() == ["five", "six"]
    assert kept.item_columns["y"].tolist() == [1, 2]


def test_prepare_filters_ratings_before_duplicates_and_duplicates_before_the_core():
    # (1, 5) has a later rating of 1: were duplicates removed first, the pair would be lost to the rating filter.
    # (2, 6) three times: were the core taken first, the repeats would keep user 2 and item 6 in a 2-core.
    user, item = [1, 1, 1, 3, 3, 2, 2, 2], [5, 5, 7, 5, 7, 6, 6, 6]
    data = Interactions.from_arrays(user, item, [4, 1, 5, 5, 5, 5, 5, 5], [1, 2, 1, 1, 1, 1, 2, 3])
    kept = filters.prepare(data, min_rating=4, k_core=2)
    assert sorted(rows_of(kept)) == [(1, 5, 4, 1), (1, 7, 5, 1), (3, 5, 5, 1), (3, 7, 5, 1)]
    assert [note.split(":")[0] for note in kept.notes] == [
        "minimum rating 4",
        "one interaction a pair (last)",
        "2-core",
    ]
    assert filters.prepare(data, deduplicate=False) is data


def test_preparation_says_what_it_does():
    assert str(filters.Preparation(deduplicate=False)) == "as it is"


ONE = Interactions.from_arrays([1, 1, 2], [5, 6, 6], [1, 2, 3])
BARE = Interactions.from_arrays([1], [5])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: filters.min_rating(BARE, 4), DataError, "needs ratings and the data have none"),
        (lambda: filters.min_rating(ONE, 4), DataError, "after min_rating 4: the highest rating is 3; lower"),
        (lambda: filters.min_rating(ONE, float("nan")), JaxrecError, "threshold is nan; pass a finite"),
        (
            lambda: filters.deduplicate(ONE, "oldest"),
            JaxrecError,
            "keep is 'oldest'; pass 'last', 'first', 'highest' or 'lowest'",
        ),
        (lambda: filters.deduplicate(BARE, "max"), JaxrecError, "'max' and the data have no ratings"),
        (lambda: filters.k_core(ONE), JaxrecError, "needs k, user_k or item_k"),
        (lambda: filters.k_core(ONE, 0), JaxrecError, "user_k is 0; pass a whole number"),
        (lambda: filters.k_core(ONE, item_k=2.5), JaxrecError, "item_k is 2.5; pass a whole number"),
        (lambda: filters.k_core(ONE, 2), DataError, "2-core: 3 at the start, then 1, 0 after each round; .* is 1$"),
        (lambda: filters.k_core(ONE.select([]), 2), DataError, "0 at the start, then 0 .* there was none before it"),
        (lambda: filters.k_core(ONE, 10**9), DataError, "the largest k that leaves something is 1$"),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
