"""Re-ranking: the definition tried out on small sets, what the trade-off does, padding, repeats, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import metrics as slow_metrics
from reference import rerank as slow
from reference.metric_cases import city_block, slow_city_block

from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.metrics import intra_list_distance
from jaxrec.protocols import Reranker
from jaxrec.pytrees import options
from jaxrec.ranking import MMR, GreedyDPP, ItemSpace
from jaxrec.ranking._greedy import greedy_dpp, mmr
from jaxrec.ranking._reranking import _rerank_tile, rerank

METHODS = ("mmr", "dpp")
RULES = {"mmr": MMR, "dpp": GreedyDPP}


def candidates(seed, n=9, d=12):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_greedy_mode_is_that_of_brute_force(theta, seed):
    scores, vectors = candidates(seed)
    assert greedy_dpp(scores, vectors, 6, theta).tolist() == slow.greedy_dpp(scores, vectors, 6, theta)


@pytest.mark.parametrize("theta", [0.0, 0.2, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_the_greedy_mode_of_a_singular_kernel_is_that_of_its_definition(theta, seed):
    scores, vectors = candidates(seed, n=12, d=4)
    vectors[8:] = vectors[:4] * 2  # four copies, and more candidates than directions
    expected = slow.greedy_dpp_of_any_rank(scores, vectors, 12, theta)
    assert greedy_dpp(scores, vectors, 12, theta).tolist() == expected


@pytest.mark.parametrize("theta", [0.01, 0.5, 0.9])
def test_once_no_direction_is_left_the_scores_decide(theta):
    # Places 1 and 2 span the plane. The others are copies of them, and their scores differ by so little that the sum
    # with a logarithm would round it away.
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1]], np.float32)
    scores = np.array([0, 1, 1, 1e-7, 2e-7, 3e-7], np.float32)
    assert greedy_dpp(scores, vectors, 6, theta).tolist() == [1, 2, 5, 4, 3, 0]


def test_a_small_angle_is_a_direction_and_a_copy_is_none():
    # The second is away from the first by the sine of 0.03, 9e-4 when squared; the third not at all.
    vectors = np.array([[1, 0], [np.cos(0.03), np.sin(0.03)], [1, 0]], np.float32)
    assert greedy_dpp(np.array([2.0, 0.0, 1.0], np.float32), vectors, 3, 0.1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_scores_whose_difference_overflows_keep_their_order_among_copies(function):
    scores = np.array([-1e38, 1, 3e38, -3e38], np.float32)
    assert function(scores, np.ones((4, 2), np.float32), 4, 0.5).tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize(
    ("distance", "twin"),
    [("euclidean", slow_metrics.euclidean), ("cosine", slow_metrics.cosine), (city_block, slow_city_block)],
    ids=["euclidean", "cosine", "of the caller"],
)
@pytest.mark.parametrize("theta", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_maximal_marginal_relevance_is_that_of_brute_force(distance, twin, theta, seed):
    scores, vectors = candidates(seed)
    expected = slow.mmr(scores, vectors, 6, theta, twin)
    assert mmr(scores, vectors, 6, theta, distance=distance).tolist() == expected
    lists = np.arange(len(scores), dtype=np.int32)[None, :]
    made, _ = rerank(lists, scores[None, :], vectors, 6, MMR(theta, distance))
    assert made[0].tolist() == expected


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_a_trade_off_of_1_is_the_order_of_the_scores(function):
    scores, vectors = candidates(1, n=30, d=3)
    assert function(scores, vectors, 30, 1.0).tolist() == np.argsort(-scores).tolist()


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.3, -1e8], [1.0, 3e38, -3e38, 2.0]])
def test_a_trade_off_of_1_is_that_order_where_scaling_would_round_or_overflow(function, scores):
    vectors = np.ones((4, 2), np.float32)
    assert function(np.float32(scores), vectors, 4, 1.0).tolist() == np.argsort(-np.float32(scores)).tolist()


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_more_candidates_than_directions_and_repeated_vectors_stay_finite(function):
    scores, vectors = candidates(2, n=40, d=3)
    vectors[20:] = vectors[:20]
    vectors[7] = 0
    chosen = function(scores, vectors, 40, 0.4).tolist()
    assert sorted(chosen) == list(range(40))


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_what_does_not_count_is_never_chosen_whatever_it_holds(function):
    scores, vectors = candidates(3)
    where = np.array([True, False] * 4 + [True])
    few = function(scores[where], vectors[where], 5, 0.5)
    scores[~where], vectors[~where] = np.nan, np.inf
    masked = function(scores, vectors, 9, 0.5, where=where)
    assert masked.tolist() == np.flatnonzero(where)[few].tolist() + [-1] * 4
    assert function(scores, vectors, 2, 0.5, where=np.zeros(9, bool)).tolist() == [-1, -1]


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_equal_candidates_come_in_the_order_of_their_places(function):
    assert function(jnp.ones(4), jnp.ones((4, 2)), 4, 0.5).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tile", [1, 3, 100])
def test_all_users_are_each_user(method, tile):
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    lists = np.stack([rng.permutation(50)[:12] for _ in range(7)]).astype(np.int32)
    scores = rng.normal(size=lists.shape).astype(np.float32)
    lists[2, 5:], scores[2, 5:] = -1, np.nan
    function = {"mmr": mmr, "dpp": greedy_dpp}[method]
    made, values = rerank(lists, scores, vectors, 6, RULES[method](0.5), users_per_tile=tile)
    for user in range(7):
        own = lists[user] >= 0
        places = function(scores[user][own], vectors[lists[user][own]], min(6, own.sum()), 0.5)
        assert made[user].tolist() == [*lists[user][places], *[-1] * (6 - len(places))]
        np.testing.assert_array_equal(values[user][: len(places)], scores[user][places])
    assert values[2, 5] == -np.inf


@pytest.mark.parametrize("method", METHODS)
def test_less_of_the_trade_off_gives_more_distance(method):
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(200, 16)).astype(np.float32)
    lists = np.stack([rng.permutation(200)[:60] for _ in range(20)]).astype(np.int32)
    scores = -np.sort(-rng.normal(size=lists.shape).astype(np.float32), axis=1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = []
    for theta in (1.0, 0.7, 0.3):
        made, _ = rerank(lists, scores, unit, 10, RULES[method](theta))
        distances.append(float(np.mean(jax.vmap(intra_list_distance)(jnp.asarray(unit[made])))))
    assert distances[0] < distances[1] < distances[2]


def test_items_without_a_vector_in_a_space_count_as_zeros():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    space = ItemSpace(vectors, np.array([True, True, False]), "by hand")
    lists, scores = np.array([[0, 1, 2]], np.int32), np.array([[3, 2, 1]], np.float32)
    zeros = np.where(space.known[:, None], vectors, 0)
    expected = rerank(lists, scores, zeros, 3, MMR(0.2))
    np.testing.assert_array_equal(rerank(lists, scores, space, 3, MMR(0.2))[0], expected[0])


@st.composite
def problems(draw):
    """Lists of distinct items of a catalog of 30, with padding anywhere, equal scores, and equal vectors."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users = draw(st.integers(1, 5))
    lists = np.stack([rng.permutation(30)[:8] for _ in range(users)]).astype(np.int32)
    lists[rng.random(lists.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = -1
    scores = rng.integers(0, draw(st.sampled_from([1, 3, 1000])) + 1, lists.shape).astype(np.float32)
    vectors = rng.integers(-1, draw(st.sampled_from([0, 1, 9])) + 1, (30, 3)).astype(np.float32)
    return lists, scores, vectors, draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))


@settings(max_examples=40)
@given(problems(), st.sampled_from(METHODS), st.sampled_from([1, 2, 3]))
def test_lists_are_candidates_without_repeats_whatever_the_tile(problem, method, tile):
    lists, scores, vectors, theta = problem
    made, values = rerank(lists, scores, vectors, 5, RULES[method](theta))
    for user, listed in enumerate(lists):
        mine, score = made[user], dict(zip(listed.tolist(), scores[user].tolist(), strict=True))
        count = min(5, int((listed >= 0).sum()))
        assert len(set(mine[:count].tolist()) & set(listed[listed >= 0].tolist())) == count
        assert mine[count:].tolist() == [-1] * (5 - count)
        assert values[user].tolist() == [score[item] for item in mine[:count].tolist()] + [-np.inf] * (5 - count)
    tiled = rerank(lists, scores, vectors, 5, RULES[method](theta), users_per_tile=tile)
    np.testing.assert_array_equal(tiled[0], made)
    np.testing.assert_array_equal(tiled[1], values)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5, 0.8, 1.0]), st.sampled_from([mmr, greedy_dpp]))
def test_distinct_candidates_are_chosen_in_whatever_order_they_come(seed, theta, function):
    rng = np.random.default_rng(seed)
    scores, vectors = rng.permutation(10).astype(np.float32), rng.normal(size=(10, 12)).astype(np.float32)
    order = rng.permutation(10)
    chosen = function(scores, vectors, 4, theta)
    assert order[function(scores[order], vectors[order], 4, theta)].tolist() == chosen.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_arrays_of_jax_and_plain_lists_do_as_well(method):
    arrays = LISTS, SCORES, VECTORS
    expected = rerank(*arrays, 2, RULES[method](0.5))
    for kind in (jnp.asarray, np.ndarray.tolist):
        made = rerank(*(kind(array) for array in arrays), 2, RULES[method](0.5))
        np.testing.assert_array_equal(made[0], expected[0])
        np.testing.assert_array_equal(made[1], expected[1])


@pytest.mark.parametrize("method", METHODS)
def test_no_users_give_no_lists(method):
    made = rerank(np.zeros((0, 3), np.int32), np.zeros((0, 3)), VECTORS, 2, RULES[method](0.5))
    assert made[0].shape == made[1].shape == (0, 2)


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_it_can_be_jitted_and_lifted_with_a_traced_trade_off(function):
    pairs = [candidates(seed) for seed in range(3)]
    scores, vectors = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    lifted = jax.jit(jax.vmap(lambda s, v, theta: function(s, v, 4, theta)))
    made = lifted(scores, vectors, np.array([0.2, 0.5, 1], np.float32))
    for user, theta in enumerate((0.2, 0.5, 1.0)):
        assert made[user].tolist() == function(scores[user], vectors[user], 4, theta).tolist()


LISTS, SCORES = np.array([[0, 1, -1], [2, 1, 0]], np.int32), np.array([[2, 1, 0], [3, 2, 1]], np.float32)
VECTORS = np.eye(3, dtype=np.float32)


def below_zero(x, y):
    return jnp.sum(x * y) - 1


def half_defined(x, y):
    return jnp.where(x[0] == y[0], jnp.sum(jnp.abs(x - y)), jnp.nan)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"k": -1}, JaxrecError, r"k must lie in 1\.\.3.* got -1"),
        ({"distance": below_zero}, DataError, "distance below_zero is negative or not finite .*; give a .* of list 0"),
        ({"distance": half_defined}, DataError, "distance half_defined is negative or not finite between two cand"),
        ({"trade_off": 1.1}, JaxrecError, r"trade_off must lie in 0\.\.1 and be one number, got 1\.1"),
        ({"trade_off": float("nan")}, JaxrecError, "trade_off must lie in"),
        ({"k": 4}, JaxrecError, r"k must lie in 1\.\.3.* got 4"),
        ({"k": 0}, JaxrecError, r"k must lie in 1\.\.3.* got 0"),
        ({"k": 2.0}, JaxrecError, r"k must lie in 1\.\.3.*be whole, got 2\.0"),
        ({"trade_off": "half"}, JaxrecError, r"trade_off must lie in 0\.\.1 and be one number, got half"),
        ({"distance": "manhattan"}, JaxrecError, "distance is 'manhattan'; choose 'euclidean' or 'cosine', or pass"),
        ({"users_per_tile": 1.5}, JaxrecError, r"users_per_tile must be a whole number of at least 1, got 1\.5"),
        ({"item_vectors": VECTORS * np.float32(1e19)}, DataError, r"vector longer than 1e\+18, at item 0; scale them"),
        ({"scores": SCORES.astype(np.float64) * 1e300}, DataError, "scores has inf in list 0"),
        ({"reranker": "xquad"}, JaxrecError, "no reranker is named 'xquad'; the names are mmr, dpp"),
        ({"users_per_tile": 0}, JaxrecError, "users_per_tile must be a whole number of at least 1, got 0"),
        ({"lists": LISTS + 1}, MismatchError, r"items 0\.\.3, and item_vectors has 3 items"),
        ({"lists": LISTS.astype(np.float32)}, MismatchError, "lists must be whole numbers"),
        ({"scores": SCORES[:, :2]}, MismatchError, r"scores \[U, n\]"),
        ({"item_vectors": np.ones(3)}, MismatchError, r"item_vectors must be \[I, d\]"),
        ({"scores": SCORES * np.float32(np.nan)}, DataError, "scores has nan in list 0"),
        ({"item_vectors": VECTORS + np.float32(np.inf)}, DataError, "item_vectors has a value that is not finite"),
        ({"lists": np.array([[0, 1, 2], [2, 1, 2]])}, DataError, "lists has item 2 twice in list 1"),
    ],
)
def test_bad_input_is_told(changes, kind, message):
    arguments = {"lists": LISTS, "scores": SCORES, "item_vectors": VECTORS, "k": 2, **changes}
    how = {name: arguments.pop(name) for name in ("trade_off", "distance") if name in arguments}
    with pytest.raises(kind, match=message):
        rerank(**{"reranker": (how and MMR(**how)) or "mmr", **arguments})


def test_arguments_of_0_1_warn_and_give_the_same():
    for method, rule in RULES.items():
        expected = rerank(LISTS, SCORES, VECTORS, 2, rule(0.5))
        with pytest.warns(DeprecationWarning, match="method is an argument of 0.1 .* pass reranker=MMR"):
            made = rerank(LISTS, SCORES, VECTORS, 2, trade_off=0.5, method=method, distance="cosine")
        if method == "dpp":  # which has no distance of its own
            np.testing.assert_array_equal(made[0], expected[0])
    with (
        pytest.warns(DeprecationWarning, match="is an argument of 0.1"),
        pytest.raises(JaxrecError, match="distance is 'manhattan'"),
    ):
        rerank(LISTS, SCORES, VECTORS, 2, trade_off=0.5, method="dpp", distance="manhattan")
    with pytest.raises(JaxrecError, match="reranker and trade_off are given; pass the reranker alone"):
        rerank(LISTS, SCORES, VECTORS, 2, MMR(0.5), trade_off=0.5)
    np.testing.assert_array_equal(
        rerank(LISTS, SCORES, VECTORS, 2, "dpp")[0], rerank(LISTS, SCORES, VECTORS, 2, GreedyDPP())[0]
    )


@options
class Backwards(Reranker):
    """A re-ranker from outside: the worst first, and nothing that is farther than a bound from the origin."""

    bound: float = 10.0

    def __call__(self, scores, vectors, k, *, where):
        return jnp.argsort(jnp.where(where, scores, jnp.inf))[:k].astype(jnp.int32)

    def refuses(self, vectors, where):
        return jnp.any(jnp.abs(vectors) > self.bound)

    @property
    def fault(self):
        return f"a vector is beyond {self.bound}, in a candidate"


def test_a_re_ranker_from_outside_and_other_numbers_compile_nothing():
    _rerank_tile.clear_cache()  # a full cache of the process would drop an entry for each that it takes
    made, values = rerank(LISTS, SCORES, VECTORS, 2, Backwards())
    assert made.tolist() == [[1, 0], [0, 1]]
    assert values.tolist() == [[1, 2], [1, 2]]
    with pytest.raises(DataError, match=r"a vector is beyond 0.5, in a candidate of list 0"):
        rerank(LISTS, SCORES, VECTORS, 2, Backwards(0.5))
    rerank(LISTS, SCORES, VECTORS, 2, Backwards(np.float64(3)))
    assert _rerank_tile._cache_size() == 1


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_shapes_that_do_not_fit_are_told(function):
    with pytest.raises(MismatchError, match=r"scores must be \[n\] and vectors \[n, d\]"):
        function(jnp.ones(3), jnp.ones((4, 2)), 2, 0.5)
    with pytest.raises(JaxrecError, match=r"k must lie in 1\.\.3"):
        function(jnp.ones(3), jnp.ones((3, 2)), 4, 0.5)
    with pytest.raises(MismatchError, match="where has shape"):
        function(jnp.ones(3), jnp.ones((3, 2)), 2, 0.5, where=jnp.ones(2, bool))
    with pytest.raises(JaxrecError, match=r"trade_off must lie in 0\.\.1 and be one number, got 2"):
        function(jnp.ones(3), jnp.ones((3, 2)), 2, 2)
