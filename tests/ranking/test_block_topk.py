"""Top-k in two stages against a stable sort: sizes around a block, ties, empty blocks, k up to the number of blocks."""

import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.data._seen import seen_from_pairs
from jaxrec.ranking import recommend_lists
from jaxrec.ranking._block_topk import BLOCK, goes_by_blocks, top_k_by_item
from jaxrec.ranking._tiles import mask_seen
from jaxrec.scorers import TableScorer

USERS = 8
_by_item = jax.jit(top_k_by_item, static_argnums=1)


def check(table, k):
    """Compare with NumPy's lexsort: by score descending, then by item ascending."""
    values, items, bad = _by_item(jnp.asarray(table.T), k)
    index = np.broadcast_to(np.arange(table.shape[1]), table.shape)
    order = np.lexsort((index, -table), axis=1)[:, :k]
    np.testing.assert_array_equal(values, np.take_along_axis(table, order, axis=1))
    # Two scores of -inf are no choice between items: such places are padding to the caller.
    np.testing.assert_array_equal(np.where(np.isneginf(values), -1, items), np.where(np.isneginf(values), -1, order))
    assert not np.asarray(bad).any()


# One block, one item less or more, several, and k up to their number, where the first stage chooses every block.
SIZES = [
    (BLOCK - 1, 1),
    (BLOCK, 1),
    (BLOCK + 1, 2),
    (4 * BLOCK - 1, 4),
    (4 * BLOCK, 3),
    (4 * BLOCK + 1, 5),
    (40 * BLOCK + 7, 20),
]


@pytest.mark.parametrize(("num_items", "k"), SIZES)
@hypothesis.settings(max_examples=25)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 6))
def test_the_order_is_that_of_a_sort(num_items, k, seed, levels):
    rng = np.random.default_rng(seed)
    table = rng.integers(-levels, levels, (USERS, num_items)).astype(np.float32)
    table[:, ::2] *= -1  # makes -0.0 of 0.0
    empty = rng.random((USERS, -(-num_items // BLOCK))) < 0.5  # whole blocks, as few candidates leave them
    table[np.repeat(empty, BLOCK, axis=1)[:, :num_items]] = -np.inf
    check(table, k)


@pytest.mark.parametrize("num_items", [44 * BLOCK, 44 * BLOCK + 3])
def test_the_maxima_are_written_in_the_order_of_the_scores(num_items):
    if jax.default_backend() != "cpu":
        pytest.skip("other platforms lay arrays out as they like")
    program = jax.jit(lambda scores: top_k_by_item(scores + 1, 3)).lower(jnp.zeros((num_items, USERS)))
    # A loop of its own, users last; one that writes [users, blocks] at once strides through the scores.
    assert re.search(rf"= f32\[44,{USERS}\]\{{1,0\}} fusion\(", program.compile().as_text())


def test_equal_maxima_are_blocks_in_the_order_of_items():
    table = np.full((1, 5 * BLOCK), -1, np.float32)
    table[0, BLOCK - 1 :: BLOCK] = 3  # the last item of each block, so a block is chosen for its last item
    table[0, 4 * BLOCK] = 3  # the fifth block has two
    items = _by_item(jnp.asarray(table.T), 5)[1]
    assert items.tolist() == [[BLOCK - 1, 2 * BLOCK - 1, 3 * BLOCK - 1, 4 * BLOCK - 1, 4 * BLOCK]]


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_a_score_that_cannot_be_ranked_is_found_in_every_place(value):
    num_items = 2 * BLOCK + 3  # two full blocks, and one that is not
    table = -np.ones((num_items, num_items + 1), np.float32)  # by item; the last user is sound
    np.fill_diagonal(table, value)
    bad = np.asarray(_by_item(jnp.asarray(table), 2)[2])
    np.testing.assert_array_equal(bad, [True] * num_items + [False])


def test_seen_items_are_marked_in_either_layout():
    rng = np.random.default_rng(0)
    known = rng.random((USERS, 50)) < 0.3
    seen = seen_from_pairs(*np.nonzero(known), USERS, 50)
    seen = type(seen)(*map(jnp.asarray, seen))
    users, real = jnp.array([3, 0, 3, 7, 5]), jnp.array([True, True, True, True, False])
    expected = np.where(known[np.asarray(users)] & np.asarray(real)[:, None], -np.inf, 0)
    np.testing.assert_array_equal(mask_seen(jnp.zeros((5, 50)), users, real, seen), expected)
    np.testing.assert_array_equal(mask_seen(jnp.zeros((50, 5)), users, real, seen, item_axis=0), expected.T)


def test_candidates_and_seen_items_empty_whole_blocks():
    num_items, k = 700, 3
    assert goes_by_blocks(num_items, k)
    table = np.tile(np.arange(num_items, dtype=np.float32), (2, 1))  # the higher the index, the better
    candidates = np.r_[5, BLOCK : 2 * BLOCK, 600]  # three blocks of all hold a candidate
    seen = seen_from_pairs(np.ones(1 + BLOCK, int), np.r_[600, BLOCK : 2 * BLOCK], 2, num_items)  # user 1 has one left
    lists, _ = recommend_lists(TableScorer(table), [0, 1], k, seen=seen, candidates=candidates)
    np.testing.assert_array_equal(lists, [[600, 2 * BLOCK - 1, 2 * BLOCK - 2], [5, -1, -1]])
