"""The spectral ranker: what it learns from, the filter that it contains, candidates and all items, and bad options."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import ITEMS, USERS, middle

import jaxrec
from jaxrec.data import seen_items
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._array_checks import check_arrays
from jaxrec.models import Bands, GraphFilter, Hop, LearntFilter, LearntNetwork, OneHop, SpectralRanker
from jaxrec.models._filter_graph import InteractionGraph
from jaxrec.models._learning_set import LearningSet, held_pairs, learning_set, learnt, softmax_loss
from jaxrec.models._ranking_heads import describe, graph_features
from jaxrec.scorers import FeatureNetwork, NetworkScorer
from jaxrec.serving import sides
from jaxrec.training import train_data

DATA = middle()
SHAPE = (USERS, ITEMS)
R = np.zeros(SHAPE)
R[DATA.user, DATA.item] = 1
DU, DI = np.maximum(R.sum(axis=1), 1), np.maximum(R.sum(axis=0), 1)
KEY = jax.random.key(0)
SCORES = jax.jit(lambda scorer, users: scorer.scores(users))
NETWORK = LearntNetwork(ends=(2, 4), hidden=(8, 4), epochs=3, batch_users=4)


def scores_of(scorer):
    return np.asarray(SCORES(scorer, np.arange(scorer.num_users, dtype=np.int32)))


def graph_of(r=R, rank=4):
    return InteractionGraph.of_pairs(*map(np.int32, np.nonzero(r)), SHAPE).with_vectors(rank, 1e-6)


@dataclasses.dataclass(frozen=True)
class ByHand(LearntFilter):
    """A head that learns nothing: the numbers are given."""

    def learn(self, learning, key):
        gains = (1.0, 0.5, 0.25)
        hops = (OneHop(0.7, 1.0, 0.5, 0.3), OneHop(0.2, 0.5, 0.0, 0.3, 2.0))
        return (*hops, Bands(gains, self.ends, scored=-0.1)), {}


def test_with_numbers_by_hand_it_is_the_graph_filter_bit_for_bit():
    head = ByHand(hops=(Hop(1.0), Hop(0.5, 0.0, 2.0)), ends=(1, 2, 4))
    ranker = jaxrec.fit(SpectralRanker(head=head, share=0.2, tolerance=1e-6, candidates=None), DATA, key=KEY)
    terms, _ = head.learn(None, None)
    given = jaxrec.fit(GraphFilter(terms=terms, tolerance=1e-6), DATA, key=KEY)
    # The vectors start elsewhere, from those without the held-out pairs, and so may differ in the last digits.
    same = dataclasses.replace(ranker.scorer, tables=given.scorer.tables)
    np.testing.assert_array_equal(scores_of(same), scores_of(given.scorer))
    np.testing.assert_allclose(scores_of(ranker.scorer), scores_of(given.scorer), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("one_exponent", [True, False])
def test_a_learnt_filter_is_the_graph_filter_of_its_terms(one_exponent):
    head = LearntFilter(
        hops=(Hop(1.0), Hop(0.5, 0.0)), ends=(1, 2, 4), one_exponent=one_exponent, epochs=2, batch_users=4
    )
    ranker = jaxrec.fit(SpectralRanker(head=head, share=0.2, candidates=None), DATA, key=KEY)
    terms = tuple(eval(term, {"OneHop": OneHop, "Bands": Bands}) for term in ranker.info["terms"])
    given = jaxrec.fit(GraphFilter(terms=terms), DATA, key=KEY)
    same = dataclasses.replace(ranker.scorer, tables=given.scorer.tables)
    np.testing.assert_array_equal(scores_of(same), scores_of(given.scorer))
    assert ranker.info["numbers"] == 2 + 3 + 3 + (1 if one_exponent else 2)
    assert len(ranker.scorer.scoreds) == (2 if one_exponent else 3)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_filter_among_candidates_ranks_the_best_of_the_linear_score_and_then_all_others(power):
    head = ByHand(hops=(Hop(1.0, power=power), Hop(0.5, 0.0, 2.0)), ends=(1, 2, 4))
    how = {"head": head, "share": 0.2, "tolerance": 1e-6}
    whole = jaxrec.fit(SpectralRanker(**how, candidates=None), DATA, key=KEY)
    ranker = jaxrec.fit(SpectralRanker(**how, candidates=3), DATA, key=KEY)
    # Written out: D^-.2 R^T D_U^-1 (R D^-.5 h)^power, h of length 1.
    unit = R / np.sqrt(DU)[:, None]
    linear = ((((unit * DI**-0.5) @ R.T) ** power / DU) @ R) * DI**-0.2
    found, full = scores_of(ranker.scorer), scores_of(whole.scorer)
    for user in range(SHAPE[0]):
        best = np.argsort(-np.where(R[user] > 0, -1, linear[user]), kind="stable")[:3]
        np.testing.assert_allclose(found[user, best], full[user, best], rtol=1e-5)
        others = np.setdiff1d(np.arange(ITEMS), best)
        assert found[user, others].max() < found[user, best].min()
        order = others[np.argsort(-linear[user, others], kind="stable")]
        assert (np.diff(found[user, order]) <= 1e-6).all()
    with pytest.raises(JaxrecError, match="fit with candidates=None"):
        sides(ranker.scorer)


def test_a_filter_among_candidates_serves_new_users_and_is_saved(tmp_path):
    head = ByHand(hops=(Hop(1.0), Hop(0.5, 0.0, 2.0)), ends=(1, 2, 4))
    ranker = jaxrec.fit(SpectralRanker(head=head, share=0.2, candidates=4), DATA, key=KEY)
    history = [int(item) for item in np.flatnonzero(R[2])]
    old = jaxrec.recommend(ranker, [2], k=4)[2]
    new = jaxrec.recommend(ranker, history=history, k=4)["new"]
    assert [one.item for one in new] == [one.item for one in old]
    jaxrec.save(ranker, tmp_path / "model")
    again = jaxrec.restore(tmp_path / "model", kinds=[ByHand])
    np.testing.assert_array_equal(scores_of(again.scorer), scores_of(ranker.scorer))
    pairs = np.int32([2, 0]), np.int32([1, 3])
    np.testing.assert_array_equal(ranker.scorer.pair_scores(*pairs), scores_of(ranker.scorer)[pairs])


def test_the_features_are_computed_without_the_pairs_that_are_learnt_from():
    user, item, held = held_pairs(train_data(DATA), SHAPE, 0.3, "random", KEY)
    assert 0.2 < held.mean() < 0.4
    rest = R.copy()
    rest[user[held], item[held]] = 0
    seen = []

    def spy(features, history, users):
        seen.append((features, history))
        return describe(features, history, users, head=NETWORK, candidates=5)

    graph = graph_of(rest)
    pairs = (user[held], item[held])
    learning = learning_set(spy, graph_features(NETWORK, graph, 0.2), graph.history, pairs, ITEMS, 99, KEY)
    features, history = seen[0]
    dense = np.zeros(SHAPE)
    dense[np.asarray(features.interactions.rows), np.asarray(features.interactions.columns)] = 1
    np.testing.assert_array_equal(dense, rest)
    np.testing.assert_array_equal(np.diff(history.indptr), rest.sum(axis=1))
    # The marks are those of the held-out pairs among the candidates, and no candidate is an item of the history.
    users = np.unique(user[held])
    found, _ = describe(features, history, users.astype(np.int32), head=NETWORK, candidates=5)
    among = np.zeros(SHAPE, bool)
    among[pairs] = True
    marks = among[users[:, None], np.asarray(found)]
    np.testing.assert_array_equal(learning.relevant, marks[marks.any(axis=1)])
    assert not rest[users[:, None], np.asarray(found)].any()
    shares = marks.sum(axis=1) / among[users].sum(axis=1)
    assert learning.ceiling == pytest.approx(shares.mean())


def test_the_features_are_the_logarithms_and_sums_written_out():
    head = LearntNetwork(hops=(Hop(0.5, 1.0), Hop(1.0, 0.0, 2.0)), ends=(2, 4), hidden=(4,))
    graph = graph_of()
    users = np.array([3, 0], np.int32)
    found, features = describe(graph_features(head, graph, 0.1), graph.history, users, head=head, candidates=4)
    unit = R / np.sqrt(DU)[:, None]
    first = ((unit / DI) @ R.T * DU**-0.5) @ R
    second = ((unit @ R.T) ** 2 / DU) @ R
    linear = np.where(R > 0, -1, first * DI**-0.1)
    expected = np.argsort(-linear[users], axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))
    at = (users[:, None], np.asarray(found))
    v = np.linalg.svd(R / np.sqrt(DU[:, None] * DI))[2].T
    low = [(unit * DI**-0.5) @ v[:, :end] @ v[:, :end].T for end in (2, 4)]
    rows = [np.log(np.maximum(first, 1e-9)), np.log(np.maximum(second, 1e-9)), *(np.arcsinh(100 * one) for one in low)]
    rows += [np.broadcast_to(np.log(DI), SHAPE), np.broadcast_to(np.log(DU)[:, None], SHAPE)]
    np.testing.assert_allclose(features, np.stack([row[at] for row in rows]), rtol=1e-3, atol=2e-3)


def network_scorer(candidates, network=None):
    graph = graph_of()
    features = graph_features(NETWORK, graph, 0.2)
    sizes = (features.size, 8, 4, 1)
    keys = jax.random.split(jax.random.key(5), 4)
    weights = tuple(jax.random.normal(key, (b, a)) for key, a, b in zip(keys[:3], sizes[:-1], sizes[1:], strict=True))
    made = FeatureNetwork(
        jnp.full(features.size, 0.1),
        jnp.full(features.size, 0.3),
        weights,
        (jnp.ones(8), jnp.ones(4)),
        jax.random.normal(keys[3], (1, features.size)),
    )
    return NetworkScorer(graph.history, features, network or made, candidates)


def test_candidates_have_the_scores_of_all_items_and_come_first():
    some, everything = scores_of(network_scorer(5)), scores_of(network_scorer(None))
    scorer = network_scorer(5)
    found, *_, linear = scorer.features.of_candidates(scorer.history, np.arange(USERS, dtype=np.int32), 5)
    rows = np.arange(USERS)[:, None]
    np.testing.assert_allclose(some[rows, found], everything[rows, found], rtol=1e-4, atol=1e-4)
    others = np.ones(SHAPE, bool)
    others[rows, found] = False
    linear = np.asarray(linear).T
    for user in range(USERS):
        rest = np.flatnonzero(others[user])
        assert some[user, rest].max() < some[user, np.asarray(found)[user]].min()
        by_linear = rest[np.argsort(-linear[user, rest], kind="stable")]
        assert (np.diff(some[user, by_linear]) <= 1e-6).all()


def test_more_candidates_than_items_are_all_items():
    np.testing.assert_allclose(scores_of(network_scorer(10_000)), scores_of(network_scorer(None)), rtol=1e-4, atol=1e-4)


def test_new_users_with_the_items_of_known_ones_get_their_scores():
    scorer = network_scorer(6)
    again = scorer.with_history(seen_items(DATA))
    np.testing.assert_allclose(scores_of(again), scores_of(scorer), rtol=1e-5, atol=1e-5)


def test_a_network_of_numpy():
    network = network_scorer(5).network
    x = np.random.default_rng(0).normal(size=(network.shift.size, 3, 2)).astype(np.float32)
    hidden = plain = (x.reshape(len(x), -1) - 0.1) * 0.3
    for weight, bias in zip(network.weights[:2], network.biases, strict=True):
        hidden = np.asarray(weight) @ hidden + np.asarray(bias)[:, None]
        hidden = hidden / (1 + np.exp(-hidden))
    expected = (np.asarray(network.weights[2]) @ hidden + np.asarray(network.skip) @ plain).reshape(3, 2)
    np.testing.assert_allclose(network(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-5)


def test_the_last_pairs_are_those_at_the_end_of_the_data():
    data = jaxrec.from_arrays([0] * 5 + [1] * 5, [4, 2, 0, 3, 1, 1, 0, 4, 2, 3])
    split = jaxrec.split(data, "user_order", test=0.2, valid=0.0)
    both = train_data(split.train)
    user, item, held = held_pairs(both, (2, 5), 0.25, "last", KEY)
    assert list(zip(user[held].tolist(), item[held].tolist(), strict=True)) == [(0, 3), (1, 2)]


def test_the_softmax_loss_by_hand_and_its_minimum():
    logits = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    relevant = jnp.array([[True, False, True], [False, True, False]])
    first = -(np.log(np.e / (np.e + 2)) + np.log(1 / (np.e + 2))) / 2
    assert float(softmax_loss(logits, relevant)) == pytest.approx((first + np.log(3)) / 2, rel=1e-6)
    assert float(softmax_loss(logits, relevant, "pairs")) == pytest.approx((2 * first + np.log(3)) / 3, rel=1e-6)


@pytest.mark.parametrize(("mean_over", "odds"), [("users", 3.0), ("pairs", 6 / 4)])
def test_what_is_learnt_is_the_minimum_by_hand(mean_over, odds):
    # One number: the log-odds of the first candidate against two others. Of eight users six have it, two both others:
    # 3 of 4 users take it, and 6 of 10 pairs are of it.
    inputs = np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (8, 1, 1))
    marks = np.zeros((8, 3), bool)
    marks[:6, 0] = marks[6:, 1:] = True
    found, losses = learnt(
        lambda one, x, _: one * x[0],
        jnp.float32(0.0),
        LearningSet(inputs, marks, 1.0, 8),
        KEY,
        epochs=400,
        batch=8,
        learning_rate=0.1,
        mean_over=mean_over,
    )
    assert float(found) == pytest.approx(np.log(2 * odds), abs=1e-3)
    assert losses[-1] < losses[0]


def test_the_info_tells_of_the_learning_whose_loss_falls():
    fitted = jaxrec.fit(
        SpectralRanker(head=dataclasses.replace(NETWORK, epochs=40), share=0.3, candidates=8), DATA, key=KEY
    )
    assert fitted.info["losses"][-1] < fitted.info["losses"][0]
    assert fitted.info["candidates"] == 8
    assert 0 < fitted.info["ceiling"] <= 1
    assert fitted.info["learning_users"] <= USERS


def test_several_networks_are_the_mean_of_the_logits_of_each():
    ranker = jaxrec.fit(
        SpectralRanker(head=dataclasses.replace(NETWORK, networks=3), share=0.3, candidates=8), DATA, key=KEY
    )
    together = ranker.scorer.network
    assert together.skip.shape[:2] == (3, 1)
    x = np.random.default_rng(0).normal(size=(together.shift.size, 2, 5)).astype(np.float32)
    shift, scale = (np.asarray(array)[:, None, None] for array in (together.shift, together.scale))
    logits = []
    for at in range(3):
        hidden = standardized = (x - shift) * scale
        for weight, bias in zip(together.weights[:-1], together.biases, strict=True):
            hidden = np.tensordot(np.asarray(weight[at]), hidden, 1) + np.asarray(bias[at])[:, None, None]
            hidden = hidden / (1 + np.exp(-hidden))
        both = np.tensordot(np.asarray(together.weights[-1][at]), hidden, 1)
        logits.append((both + np.tensordot(np.asarray(together.skip[at]), standardized, 1))[0])
    np.testing.assert_allclose(together(jnp.asarray(x)), np.mean(logits, axis=0), rtol=1e-5, atol=1e-5)
    assert not np.allclose(logits[0], logits[1])


def test_each_of_several_networks_is_what_its_key_learns_alone():
    inputs = np.random.default_rng(1).normal(size=(12, NETWORK.features, 6)).astype(np.float32)
    learning = LearningSet(inputs, inputs[:, 0] > 0.5, 1.0, 12)
    keep = np.flatnonzero(learning.relevant.any(axis=1))
    learning = dataclasses.replace(learning, inputs=inputs[keep], relevant=learning.relevant[keep])
    together, told = dataclasses.replace(NETWORK, networks=2).learn(learning, KEY)
    alone = [NETWORK.learn(learning, one) for one in jax.random.split(KEY, 2)]
    for at, (network, _) in enumerate(alone):
        np.testing.assert_array_equal(together.skip[at], network.skip)
        for several, one in zip(together.weights, network.weights, strict=True):
            np.testing.assert_array_equal(several[at], one)
    np.testing.assert_allclose(told["losses"], np.mean([info["losses"] for _, info in alone], axis=0), rtol=1e-6)


def test_arrays_of_networks_that_do_not_fit_each_other_are_told():
    scorer = network_scorer(4)
    one = scorer.network
    twice = jax.tree.map(lambda array: jnp.stack([array] * 2), (one.weights, one.biases, one.skip))
    two = FeatureNetwork(one.shift, one.scale, *twice)
    check_arrays(scorer)
    check_arrays(dataclasses.replace(scorer, network=two))
    np.testing.assert_allclose(scores_of(network_scorer(4, two)), scores_of(scorer), rtol=1e-5, atol=1e-5)
    wrong = [
        dataclasses.replace(two, skip=one.skip),
        dataclasses.replace(two, weights=one.weights),
        dataclasses.replace(two, biases=one.biases),
        dataclasses.replace(two, biases=(two.biases[0], two.biases[1][:1])),
        jax.tree.map(lambda array: array[:0], two),
        dataclasses.replace(two, skip=two.skip[None], weights=tuple(weight[None] for weight in two.weights)),
    ]
    for network in wrong:
        network = dataclasses.replace(network, shift=one.shift, scale=one.scale)
        with pytest.raises(MismatchError, match="the weights of a network have the shapes"):
            check_arrays(dataclasses.replace(scorer, network=network))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SpectralRanker(head=LearntFilter), "pass LearntNetwork.. or LearntFilter"),
        (lambda: SpectralRanker(head="network"), "head is 'network'; pass LearntNetwork"),
        (lambda: SpectralRanker(candidates=0), "candidates must be at least 1, or None for all items, got 0"),
        (lambda: SpectralRanker(share=1.0), "share must lie between 0 and 1, got 1.0"),
        (lambda: SpectralRanker(held_out="first"), 'held_out must be "random" or "last", got \'first\''),
        (lambda: SpectralRanker(tolerance=0.0), "tolerance must be positive"),
        (lambda: LearntNetwork(hops=()), r"LearntNetwork: hops is \(\)"),
        (lambda: LearntNetwork(ends=(4, 2)), r"LearntNetwork: ends is \(4, 2\)"),
        (lambda: LearntNetwork(hidden=()), r"hidden is \(\); pass at least one width"),
        (lambda: LearntNetwork(networks=0), "networks must be at least 1, got 0"),
        (lambda: LearntNetwork(epochs=0), "LearntNetwork: epochs must be at least 1, got 0"),
        (lambda: LearntFilter(mean_over="items"), "LearntFilter: mean_over is 'items'; pass 'users' or 'pairs'"),
        (lambda: LearntFilter(learning_rate=0.0), "LearntFilter: learning_rate must be positive"),
        (lambda: Hop(power=-1.0), "power must be above 0, got -1.0"),
        (lambda: Hop(users=float("inf")), "Hop: users must be finite, got inf"),
    ],
)
def test_bad_options_are_told(make, match):
    with pytest.raises(JaxrecError, match=match):
        make()


def test_an_order_that_was_lost_and_too_few_pairs_are_told():
    data = jaxrec.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 1, 2, 3])
    with pytest.raises(JaxrecError, match="the items of every user ascend in the data"):
        jaxrec.fit(SpectralRanker(held_out="last"), data, key=KEY)
    with pytest.raises(JaxrecError, match=r"no user has enough interactions for a share of 0\.1"):
        jaxrec.fit(SpectralRanker(), data, key=KEY)
