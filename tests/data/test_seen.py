"""Which items each user has: against a slow twin with sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_from_pairs, seen_items
from jaxrec.errors import DataError, MismatchError

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=40)


@given(pairs)
def test_rows_are_the_sorted_items_of_each_user(given_pairs):
    user, item = ([pair[at] for pair in given_pairs] for at in (0, 1))
    seen = seen_from_pairs(user, item, 7, 9)
    for one in range(7):
        expected = sorted({pair[1] for pair in given_pairs if pair[0] == one})
        assert seen.of(one).tolist() == expected
    assert seen.num_users == 7
    assert (seen.indptr.dtype, seen.items.dtype) == (np.int32, np.int32)
    assert seen.indptr[-1] == len(set(given_pairs)) == len(seen.items)


@given(pairs.filter(bool), st.data())
def test_parts_are_seen_together(given_pairs, draw):
    data = Interactions.from_arrays([pair[0] for pair in given_pairs], [pair[1] for pair in given_pairs])
    chosen = draw.draw(st.lists(st.booleans(), min_size=len(data), max_size=len(data)))
    mask = np.array(chosen)
    whole, halves = seen_items(data), seen_items(data.select(mask), data.select(~mask))
    np.testing.assert_array_equal(whole.indptr, halves.indptr)
    np.testing.assert_array_equal(whole.items, halves.items)


def test_catalogs_beyond_32_bits_of_pairs():
    users, items = 2**20, 2**20  # 2**40 pairs
    seen = seen_from_pairs([users - 1, 0], [items - 1, items - 1], users, items)
    assert seen.of(users - 1).tolist() == [items - 1]
    assert seen.of(0).tolist() == [items - 1]
    assert seen.of(1).tolist() == []


def test_what_does_not_fit_is_refused():
    one, other = Interactions.from_arrays([1], [2]), Interactions.from_arrays([1], [3])
    with pytest.raises(MismatchError, match="different catalogs; take them from one split"):
        seen_items(one, other)
    with pytest.raises(MismatchError, match="needs at least one part"):
        seen_items()
    with pytest.raises(MismatchError, match="user has 2 entries and item has 1"):
        seen_from_pairs([0, 1], [0], 2, 1)
    with pytest.raises(DataError, match=r"item index 1 at position 0 is outside 0\.\.0"):
        seen_from_pairs([0], [1], 1, 1)
    for user in (-1, 1):
        with pytest.raises(DataError, match=rf"user index {user} is outside 0\.\.0"):
            seen_items(one).of(user)
