"""Top-k over the whole catalog: exact order and ties, masks, padding, tiles, memory, and refusals."""

import dataclasses
import functools
import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec.data._seen import SeenItems, seen_from_pairs
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.ranking import _tiles as tiles
from jaxrec.ranking import _topk as topk
from jaxrec.ranking import recommend_lists, top_k, users_per_tile
from jaxrec.scorers import TableScorer
from jaxrec.types import Scorer


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factors:
    users: jax.Array
    items: jax.Array

    @property
    def num_users(self):
        return self.users.shape[0]

    @property
    def num_items(self):
        return self.items.shape[0]

    def scores(self, users):
        return self.users[users] @ self.items.T


USERS = 64  # of all tables, and few other sizes, so that the tests share compiled programs


@functools.cache
def tied_table(num_items, seed=0, users=USERS):
    """Scores from a handful of levels, zeros of both signs among them; in every other row the higher, the rarer."""
    rng = np.random.default_rng(seed)
    table = rng.integers(-2, 3, (users, num_items)).astype(np.float32)
    table[:, ::2] *= -1  # makes -0.0 of 0.0
    table[::2] = np.floor(-np.log2(rng.random((len(table[::2]), num_items))))
    return table


@functools.cache
def random_seen(num_items, users=USERS):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(num_items)[: rng.integers(0, num_items + 1)] for _ in range(users)]
    owner = np.repeat(np.arange(users), [len(row) for row in rows])
    return seen_from_pairs(owner, np.concatenate(rows), users, num_items)


def expected_lists(table, seen, users, k, left_out=frozenset()):
    of = lambda user: set(seen.of(user).tolist()) if seen is not None else set()  # noqa: E731
    return np.array([slow.ranked(table[user].tolist(), of(user) | left_out, k) for user in users])


@pytest.mark.parametrize(("num_items", "k"), [(7, 7), (50, 3), (700, 3)])  # 700 is ranked by block maxima
def test_order_and_ties_are_those_of_the_slow_twin(num_items, k):
    table, seen = tied_table(num_items), random_seen(num_items)
    items, scores = recommend_lists(TableScorer(table), np.arange(USERS), k, seen=seen)
    expected = expected_lists(table, seen, range(USERS), k)
    np.testing.assert_array_equal(items, expected)
    assert items.dtype == np.int32
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.where(expected < 0, -np.inf, np.take_along_axis(table, expected, axis=1)))


_top = jax.jit(top_k, static_argnums=1)


# From 192 columns on, k = 1 goes by block maxima; 640 fills its blocks, 600 leaves one that is not full.
@pytest.mark.parametrize(("num_items", "k"), [(1, 1), (191, 1), (192, 1), (600, 3), (640, 3)])
def test_the_first_stage_is_exact_at_its_limits(num_items, k):
    table = tied_table(num_items)
    values, indices, bad = _top(table, k)
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(table, order, axis=1))
    assert not bad.any()


@hypothesis.given(st.integers(0, 2**32 - 1))
def test_block_maxima_are_exact(seed):
    table = tied_table(700, seed, users=8).copy()
    rng = np.random.default_rng(seed)
    table[rng.random(table.shape) < rng.random((8, 1))] = -np.inf
    table[0] = -np.inf
    table[1] = 1e-42 * rng.integers(0, 3, 700)  # below the smallest normal number: all equal
    values, indices, _ = _top(table, 3)
    flat = np.where(np.abs(table) < 1e-38, 0, table)
    order = np.argsort(-flat, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(flat, order, axis=1))


def test_constant_scores_give_the_first_items():
    _, indices, _ = _top(np.zeros((USERS, 600), np.float32), 3)
    np.testing.assert_array_equal(indices, np.tile(np.arange(3), (USERS, 1)))


@pytest.mark.parametrize(("num_items", "fit"), [(50, 19), (700, 2)])
def test_the_tile_changes_nothing(num_items, fit, monkeypatch):
    table, seen, users = tied_table(num_items), random_seen(num_items), np.arange(USERS)
    whole = recommend_lists(TableScorer(table), users, 3, seen=seen)
    memory = (fit + 0.5) * 4 / 3 * (12 * num_items + 1024 * 3) / 2**20
    assert users_per_tile(num_items, 3, memory) == (fit if fit <= 8 else fit // 8 * 8)
    monkeypatch.setattr(topk, "_MOST_USERS", 32)  # several calls of the program, of several tiles each
    tiled = recommend_lists(TableScorer(table), users, 3, seen=seen, memory_mb=memory)
    np.testing.assert_array_equal(tiled, whole)


def test_the_tile_changes_lists_of_a_product_only_where_scores_all_but_tie():
    rng = np.random.default_rng(0)
    factors = Factors(*(jnp.asarray(rng.normal(size=(size, 16)), jnp.float32) for size in (100, 700)))
    whole, scores = recommend_lists(factors, np.arange(100), 3, seen=None)
    items, tiled = recommend_lists(factors, np.arange(100), 3, seen=None, memory_mb=0.1)
    np.testing.assert_allclose(tiled, scores, rtol=1e-6)
    assert (np.abs(tiled - scores)[items != whole] < 1e-6).all()


def test_the_order_of_users_and_their_number_change_nothing():
    table, seen = tied_table(700), random_seen(700)
    whole, _ = recommend_lists(TableScorer(table), np.arange(USERS), 3, seen=seen)
    users = np.random.default_rng(0).integers(0, USERS, USERS)  # any order, with repeats
    np.testing.assert_array_equal(recommend_lists(TableScorer(table), users, 3, seen=seen)[0], whole[users])
    for user in (0, USERS - 1):
        np.testing.assert_array_equal(recommend_lists(TableScorer(table), [user], 3, seen=seen)[0][0], whole[user])
    assert recommend_lists(TableScorer(table), [], 3, seen=seen)[0].shape == (0, 3)


def test_users_who_have_seen_nearly_everything_or_everything_get_padded_lists():
    num_items = 5000  # longer than one step of masking
    owner = np.repeat([0, 1, 2], [num_items, num_items - 1, num_items - 2])
    items = np.concatenate([np.arange(num_items), np.arange(1, num_items), np.arange(1, num_items - 1)])
    seen = seen_from_pairs(owner, items, 4, num_items)
    table = np.tile(np.arange(num_items, dtype=np.float32), (4, 1))
    lists, scores = recommend_lists(TableScorer(table), np.arange(4), 3, seen=seen)
    np.testing.assert_array_equal(lists, [[-1, -1, -1], [0, -1, -1], [4999, 0, -1], [4999, 4998, 4997]])
    np.testing.assert_array_equal(np.isneginf(scores), lists == -1)


def test_a_score_of_minus_infinity_is_never_recommended():
    table = np.array([[1.0, -np.inf, 0.5]], np.float32)
    np.testing.assert_array_equal(recommend_lists(TableScorer(table), [0], 3, seen=None)[0], [[0, 2, -1]])


def test_excluded_items_and_candidates():
    table, seen, users = tied_table(50), random_seen(50), np.arange(USERS)
    exclude, candidates, everything = [3, 4, 4, 40], list(range(2, 50, 3)), frozenset(range(50))
    run = functools.partial(recommend_lists, TableScorer(table), users, 3, seen=seen)
    for given, allowed in (
        ({"exclude": exclude}, everything - set(exclude)),
        ({"candidates": candidates}, frozenset(candidates)),
        ({"candidates": candidates, "exclude": exclude}, frozenset(candidates) - set(exclude)),
    ):
        np.testing.assert_array_equal(run(**given)[0], expected_lists(table, seen, users, 3, everything - allowed))
    with pytest.raises(JaxrecError, match="candidates and exclude leave no item that could be recommended"):
        run(candidates=[3], exclude=[3])
    with pytest.raises(DataError, match=r"item index 50 at position 0 is outside 0\.\.49"):
        run(exclude=[50])


def test_one_program_serves_all_tiles_calls_and_parameters(monkeypatch):
    monkeypatch.setattr(topk, "_MOST_USERS", 1024)
    seen = random_seen(70, users=2500)
    tiles.rank.clear_cache()  # a full cache of the process would drop an entry for each that it takes
    for seed in (0, 1):
        table = tied_table(70, seed, users=2500)
        # The scorer is an argument: other values of one shape are ranked by the same program, and rightly so.
        lists, _ = recommend_lists(TableScorer(table), np.arange(2500), 4, seen=seen)
        np.testing.assert_array_equal(lists[-20:], expected_lists(table, seen, range(2480, 2500), 4))
        recommend_lists(TableScorer(table), np.arange(600), 4, seen=seen)
    assert tiles.rank._cache_size() == 1


def test_the_memory_of_the_program_stays_within_the_statement():
    num_items, k, memory = 20_000, 20, 24
    rng = np.random.default_rng(0)
    factors = Factors(*(jnp.asarray(rng.normal(size=(size, 8)), jnp.float32) for size in (500, num_items)))
    seen = SeenItems(jnp.arange(501, dtype=jnp.int32), jnp.zeros(500, jnp.int32))
    tile, calls = topk.tile_plan(num_items, k, memory, 10**6)
    assert tile == 24 * 2**20 * 3 / 4 // (12 * num_items + 1024 * k) // 8 * 8  # the formula of the docstring
    program = tiles.rank.lower(
        factors, np.zeros(tile * calls, np.int32), np.int32(1), seen, None, k=k, tile=tile, structure=0
    ).compile()
    needed = program.memory_analysis()
    assert needed.temp_size_in_bytes + needed.output_size_in_bytes <= memory * 2**20
    assert needed.temp_size_in_bytes >= 4 * tile * num_items  # the scores are really in there


@pytest.mark.parametrize("num_items", [100, 700])  # ranked at once, and by block maxima
def test_no_row_is_sorted_as_a_whole(num_items):
    if jax.default_backend() != "cpu":
        pytest.skip("the kernels of other platforms sort where they like")
    program = tiles.rank.lower(
        TableScorer(jnp.zeros((16, num_items))),
        np.zeros(16, np.int32),
        np.int32(1),
        None,
        None,
        k=3,
        tile=8,
        structure=0,
    )
    sorted_columns = re.findall(r"\[8,(\d+)\]\S* (?:\S+ )*sort\(", program.compile().as_text())
    assert all(int(columns) == 3 for columns in sorted_columns), sorted_columns


def test_the_tile_grows_with_the_memory_and_never_with_the_users():
    sizes = [users_per_tile(40_981, 20, memory) for memory in (1.5, 8, 64)]
    assert sizes == sorted(set(sizes))
    for memory, size in zip((1.5, 8, 64), sizes, strict=True):
        assert size * (12 * 40_981 + 1024 * 20) <= memory * 2**20 * 3 / 4
    assert topk.tile_plan(40_981, 20, 64, 10**5)[0] == topk.tile_plan(40_981, 20, 64, 10**8)[0]


def test_too_little_memory_is_refused():
    with pytest.raises(
        JaxrecError, match=r"memory_mb is 1, but two users of 1,000,000 items at k=10 need 30\.\d; raise"
    ):
        users_per_tile(1_000_000, 10, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("num_items", [50, 700])  # ranked at once, and by block maxima
def test_scores_that_cannot_be_ranked_are_refused(value, num_items):
    table, users = tied_table(num_items).copy(), np.arange(USERS)
    table[5, num_items // 3] = value
    with pytest.raises(JaxrecError, match=r"the scores of user 5 hold NaN or \+inf, which cannot be ranked"):
        recommend_lists(TableScorer(table), users, 3, seen=None)
    table[7, 0] = value
    with pytest.raises(JaxrecError, match="the scores of user 5 and 1 more hold NaN"):
        recommend_lists(TableScorer(table), users, 3, seen=None)
    hidden = seen_from_pairs(np.array([5, 7]), np.array([num_items // 3, 0]), USERS, num_items)
    lists, _ = recommend_lists(TableScorer(table), users, 3, seen=hidden)  # masked, they harm nobody
    np.testing.assert_array_equal(lists, expected_lists(np.nan_to_num(table), hidden, users, 3))


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "k is 0; pass a whole number of at least 1"),
        (-1, "k is -1; pass a whole number of at least 1"),
        (2.5, "k is 2.5; pass a whole number"),
        (31, "k is 31, but the catalog has only 30 items; pass k <= 30"),
    ],
)
def test_bad_lengths_are_refused(k, message):
    with pytest.raises(JaxrecError, match=message):
        recommend_lists(TableScorer(np.zeros((2, 30), np.float32)), [0], k, seen=None)


def test_what_does_not_fit_is_refused():
    table = TableScorer(np.zeros((2, 30), np.float32))
    with pytest.raises(DataError, match=r"user index 2 at position 0 is outside 0\.\.1"):
        recommend_lists(table, [2], 3, seen=None)
    with pytest.raises(MismatchError, match="seen has 3 users and the scorer 2; take both from one split"):
        recommend_lists(table, [0], 3, seen=random_seen(30, users=3))
    with pytest.raises(MismatchError, match="seen names item 30, but the scorer has 30 items"):
        recommend_lists(table, [0], 3, seen=SeenItems(np.array([0, 1, 1], np.int32), np.array([30], np.int32)))


class NoPytree:
    num_users, num_items = 2, 5

    def scores(self, users):
        return jnp.zeros((users.shape[0], 5), jnp.float32)


def test_scorers_that_break_the_protocol_are_refused():
    assert isinstance(TableScorer(np.zeros((2, 3), np.float32)), Scorer)
    with pytest.raises(MismatchError, match=r"scorer NoPytree is no pytree, .* register its class with"):
        recommend_lists(NoPytree(), [0], 3, seen=None)
    with pytest.raises(MismatchError, match=r"scorer gives int32\[8, 5\] for 8 users, expected float32\[8, 5\]"):
        recommend_lists(TableScorer(np.zeros((2, 5), np.int32)), [0], 3, seen=None)
