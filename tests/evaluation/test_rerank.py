"""Re-ranking: the definition tried out on small sets, what the trade-off does, padding, repeats, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow_metrics
from reference import rerank as slow

from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation import ItemSpace
from jaxrec.evaluation.rerank import greedy_dpp, mmr, rerank
from jaxrec.metrics import intra_list_distance

METHODS = ("mmr", "dpp")


def candidates(seed, n=9, d=12):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_greedy_mode_is_that_of_brute_force(theta, seed):
    scores, vectors = candidates(seed)
    assert greedy_dpp(scores, vectors, 6, theta).tolist() == slow.greedy_dpp(scores, vectors, 6, theta)


@pytest.mark.parametrize("name", ["euclidean", "cosine"])
@pytest.mark.parametrize("theta", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_maximal_marginal_relevance_is_that_of_brute_force(name, theta, seed):
    scores, vectors = candidates(seed)
    expected = slow.mmr(scores, vectors, 6, theta, getattr(slow_metrics, name))
    assert mmr(scores, vectors, 6, theta, distance=name).tolist() == expected


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_a_trade_off_of_1_is_the_order_of_the_scores(function):
    scores, vectors = candidates(1, n=30, d=3)
    assert function(scores, vectors, 30, 1.0).tolist() == np.argsort(-scores).tolist()


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
    made, values = rerank(lists, scores, vectors, 6, trade_off=0.5, method=method, users_per_tile=tile)
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
        made, _ = rerank(lists, scores, unit, 10, trade_off=theta, method=method)
        distances.append(float(np.mean(jax.vmap(intra_list_distance)(jnp.asarray(unit[made])))))
    assert distances[0] < distances[1] < distances[2]


def test_items_without_a_vector_in_a_space_count_as_zeros():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    space = ItemSpace(vectors, np.array([True, True, False]), "by hand")
    lists, scores = np.array([[0, 1, 2]], np.int32), np.array([[3, 2, 1]], np.float32)
    zeros = np.where(space.known[:, None], vectors, 0)
    expected = rerank(lists, scores, zeros, 3, trade_off=0.2)
    np.testing.assert_array_equal(rerank(lists, scores, space, 3, trade_off=0.2)[0], expected[0])


LISTS, SCORES = np.array([[0, 1, -1], [2, 1, 0]], np.int32), np.array([[2, 1, 0], [3, 2, 1]], np.float32)
VECTORS = np.eye(3, dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"trade_off": 1.1}, JaxrecError, r"trade_off must lie in 0\.\.1, got 1\.1"),
        ({"trade_off": float("nan")}, JaxrecError, "trade_off must lie in"),
        ({"k": 4}, JaxrecError, r"k must lie in 1\.\.3.* got 4"),
        ({"k": 0}, JaxrecError, r"k must lie in 1\.\.3.* got 0"),
        ({"method": "xquad"}, JaxrecError, "method must be"),
        ({"users_per_tile": 0}, JaxrecError, "users_per_tile must be at least 1"),
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
    given = {"lists": LISTS, "scores": SCORES, "item_vectors": VECTORS, "k": 2, "trade_off": 0.5, **changes}
    with pytest.raises(kind, match=message):
        rerank(**given)


@pytest.mark.parametrize("function", [mmr, greedy_dpp])
def test_shapes_that_do_not_fit_are_told(function):
    with pytest.raises(MismatchError, match=r"scores must be \[n\] and vectors \[n, d\]"):
        function(jnp.ones(3), jnp.ones((4, 2)), 2, 0.5)
    with pytest.raises(JaxrecError, match=r"k must lie in 1\.\.3"):
        function(jnp.ones(3), jnp.ones((3, 2)), 4, 0.5)
    with pytest.raises(MismatchError, match="where has shape"):
        function(jnp.ones(3), jnp.ones((3, 2)), 2, 0.5, where=jnp.ones(2, bool))
