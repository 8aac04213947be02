"""Members of a ranker: what they are fitted on, their scores as features, what they add, new users, and bad options."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import ITEMS, USERS, middle

import jaxrec
from jaxrec import GCN, MF, LightGCN, TrainingOptions
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import InBatchSoftmax
from jaxrec.models import EASE, LearntFilter, LearntNetwork, Member, SolvedModel, SpectralRanker
from jaxrec.models._base import initial_params
from jaxrec.models._filter_graph import InteractionGraph
from jaxrec.models._learning_set import held_pairs, learning_set
from jaxrec.models._members import describe_with_members, fitted_members, without
from jaxrec.models._node_order import ParameterOrder
from jaxrec.models._ranking_heads import describe, graph_features
from jaxrec.parallel import Layout
from jaxrec.protocols import Solution
from jaxrec.pytrees import structure_of
from jaxrec.scorers import NetworkScorer, StackedScorer, TableScorer
from jaxrec.training import Adam, train_data

DATA = middle()
SHAPE = (USERS, ITEMS)
KEY = jax.random.key(0)
NETWORK = LearntNetwork(ends=(2, 4), hidden=(8, 4), epochs=3, batch_users=4)
SOFTMAX = TrainingOptions(
    loss=InBatchSoftmax(0.2, logit_adjustment=0.5), regularizer=None, optimizer=Adam(0.02), batch_size=64, epochs=3
)
MEMBERS = (Member(LightGCN(dim=4, layers=1), SOFTMAX), Member(EASE(l2=2.0)))
RANKER = SpectralRanker(head=NETWORK, share=0.2, candidates=8, members=MEMBERS)
SCORES = jax.jit(lambda scorer, users, *, structure: scorer.scores(users), static_argnames="structure")


def scores_of(scorer):
    return np.asarray(SCORES(scorer, np.arange(scorer.num_users, dtype=np.int32), structure=structure_of(scorer)))


@pytest.fixture(scope="module")
def fitted():
    return jaxrec.fit(RANKER, DATA, key=KEY)


@dataclasses.dataclass(frozen=True)
class Known(SolvedModel):
    """A model that knows a random tenth of all pairs, whatever it is fitted on, and keeps what it is given."""

    num_users: int | None = None
    num_items: int | None = None

    given: ClassVar[list] = []

    def solve(self, data, key):
        self.given.append((np.asarray(data.user), np.asarray(data.item)))
        return Solution(TableScorer(jnp.asarray(liked(self.num_users, self.num_items), jnp.float32)))


def liked(num_users, num_items):
    return np.random.default_rng(7).random((num_users, num_items)) < 0.1


def hidden_world(users=80, items=60):
    """Users with 8 items by chance, and then two of their tenth of `liked`, which no other pair tells of."""
    rng, table = np.random.default_rng(1), liked(users, items)
    rows = []
    for user in range(users):
        last = rng.permutation(np.flatnonzero(table[user]))[:2]
        first = rng.permutation(np.flatnonzero(~table[user]))[:8]
        rows += [(user, item) for item in (*first, *last)]
    return jaxrec.from_arrays(*map(np.array, zip(*rows, strict=True))), table


@pytest.mark.parametrize("model", [LightGCN(dim=4, layers=1), LightGCN(dim=3, layers=2), GCN(dim=4)], ids=str)
def test_a_member_in_the_order_of_clusters_has_the_numbers_of_the_order_of_the_data(model):
    data, found = train_data(DATA), []
    for order in ("data", "clusters"):
        member = Member(model, dataclasses.replace(SOFTMAX, epochs=4), order)
        found.append(member.fitted(DATA, data, KEY))
    (plain, scorer), (ordered, other) = found
    for one, two in zip(*map(jax.tree.leaves, ((plain, scorer), (ordered, other))), strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(two, one, rtol=0, atol=2e-5)
    # And it did learn, in another order.
    start = initial_params(model.clone(num_users=USERS, num_items=ITEMS), data, jax.random.split(KEY)[0])
    assert any(np.abs(a - b).max() > 0.01 for a, b in zip(*map(jax.tree.leaves, (start, plain["params"])), strict=True))
    places = ParameterOrder.of(member.sized(DATA), data.adjacency, Layout(order="clusters")).placement
    assert sorted(places.nodes) == list(range(USERS + ITEMS))
    assert (np.diff(places.nodes) != 1).any()


@pytest.mark.parametrize(
    ("model", "options", "order", "message"),
    [
        (MF(dim=4), SOFTMAX, "clusters", "MF multiplies by no adjacency here"),
        (EASE(), None, "clusters", "EASE is solved, and only trained models have an order of nodes"),
        (LightGCN(dim=4), SOFTMAX, "degree", 'order must be "data" or "clusters", got \'degree\''),
    ],
)
def test_an_order_without_use_is_refused(model, options, order, message):
    with pytest.raises(JaxrecError, match=message):
        Member(model, options, order)


def test_without_members_it_is_what_the_graph_gives():
    plain = jaxrec.fit(RANKER.clone(members=()), DATA, key=KEY)
    assert type(plain.scorer) is NetworkScorer
    assert set(plain.variables) == {"draw"}
    # The steps of the learning, one after another, with the keys that `fit` and `solve` make.
    key_held, key_users, key_head = jax.random.split(jax.random.split(KEY)[0], 3)
    user, item, held = held_pairs(train_data(DATA), SHAPE, 0.2, "random", key_held)
    graph = InteractionGraph.of_pairs(user[~held], item[~held], SHAPE).with_vectors(4, RANKER.tolerance)

    def describing(*given):
        return describe(*given, head=NETWORK, candidates=8)

    source, pairs = graph_features(NETWORK, graph, 0.2), (user[held], item[held])
    learning = learning_set(describing, source, graph.history, pairs, ITEMS, 25_000, key_users)
    network, _ = NETWORK.learn(learning, key_head)
    for one, other in zip(jax.tree.leaves(network), jax.tree.leaves(plain.scorer.network), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_member_is_what_fit_gives_of_all_pairs(fitted):
    assert type(fitted.scorer) is StackedScorer
    _, key_users, _ = jax.random.split(jax.random.split(KEY)[0], 3)
    keys = jax.random.split(jax.random.split(key_users)[1], 2)
    for member, key, scorer in zip(MEMBERS, keys, fitted.scorer.members, strict=True):
        alone = jaxrec.fit(member.model, DATA, member.options, key=key).scorer
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(scorer), strict=True):
            np.testing.assert_array_equal(one, other)


def test_members_learn_without_the_pairs_that_the_network_learns_from():
    Known.given.clear()
    jaxrec.fit(SpectralRanker(head=NETWORK, share=0.3, members=(Member(Known()),)), DATA, key=KEY)
    (user, item), (all_users, all_items) = Known.given
    assert set(zip(all_users, all_items, strict=True)) == set(zip(DATA.user, DATA.item, strict=True))
    key_held = jax.random.split(jax.random.split(KEY)[0], 3)[0]
    users, items, held = held_pairs(train_data(DATA), SHAPE, 0.3, "random", key_held)
    assert 0.2 < held.mean() < 0.4
    assert set(zip(user, item, strict=True)) == set(zip(users[~held], items[~held], strict=True))


def test_pairs_that_repeat_are_held_out_wherever_they_stand_and_ratings_stay():
    data = train_data(jaxrec.from_arrays([0, 0, 0, 1], [0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0]))
    rest = without(data, (np.array([0]), np.array([0])), (2, 2))
    assert (rest.user.tolist(), rest.item.tolist(), rest.rating.tolist()) == ([0, 1], [1, 1], [2.0, 4.0])


@pytest.mark.parametrize("candidates", [5, None])
def test_scores_of_members_are_the_last_features(fitted, candidates):
    graph = dataclasses.replace(fitted.scorer.graph, candidates=candidates)
    scorer = dataclasses.replace(fitted.scorer, graph=graph)
    users = np.arange(USERS, dtype=np.int32)
    source = (graph.features, scorer.members)
    how = {"candidates": candidates or ITEMS, "structure": structure_of(scorer.members)}
    found, inputs = describe_with_members(source, graph.history, users, head=NETWORK, **how)
    for member, row in zip(scorer.members, inputs[-2:], strict=True):
        np.testing.assert_allclose(
            row, np.take_along_axis(scores_of(member), np.asarray(found), axis=1), rtol=1e-5, atol=1e-5
        )
    made = np.take_along_axis(scores_of(scorer), np.asarray(found), axis=1)
    np.testing.assert_allclose(made, graph.network(jnp.moveaxis(inputs, 0, 0)), rtol=1e-4, atol=1e-4)


def test_what_a_member_alone_knows_is_learnt():
    data, table = hidden_world()
    split = jaxrec.split(data, "user_order", test=0.1, valid=0.0)
    head = dataclasses.replace(NETWORK, epochs=30, learning_rate=0.02)
    ranker = SpectralRanker(head=head, held_out="last", candidates=60)

    def share(model):
        lists = jaxrec.recommend(jaxrec.fit(model, split, key=KEY), data.users.ids.tolist(), k=3)
        return np.mean([table[user, one.item] for user, shown in lists for one in shown])

    assert share(ranker.clone(members=(Member(Known()),))) > 0.9
    assert share(ranker) < 0.4  # about a tenth is chance


def test_an_item_that_a_member_rules_out_has_finite_scores(fitted):
    table = TableScorer(jnp.full(SHAPE, -jnp.inf))
    scorer = dataclasses.replace(fitted.scorer, members=(table, table))
    assert np.isfinite(scores_of(scorer)).all()


def test_held_out_users_of_a_split_get_what_new_users_with_their_items_get():
    split = jaxrec.split(DATA, jaxrec.data.splitting.UserKFold(folds=3), key=KEY)
    fitted = jaxrec.fit(RANKER, split, validation=None, key=KEY)
    shown = split.fold_in
    user = int(shown.user[0])
    known = jaxrec.recommend(fitted, [shown.users.ids[user]], k=5)[shown.users.ids[user]]
    history = shown.items.ids[shown.item[shown.user == user]].tolist()
    new = jaxrec.recommend(fitted, history=history, k=5)["new"]
    assert [one.item for one in known] == [one.item for one in new]
    np.testing.assert_allclose([one.score for one in known], [one.score for one in new], rtol=1e-3, atol=1e-4)


def test_a_member_that_serves_no_new_users_is_named():
    ranker = SpectralRanker(head=NETWORK, share=0.2, members=(MEMBERS[1], Member(Known())))
    assert not ranker.serves_new_users
    assert RANKER.serves_new_users
    fitted = jaxrec.fit(ranker, DATA, key=KEY)
    with pytest.raises(JaxrecError, match="cannot serve new users, since member 2 cannot: Known cannot serve"):
        jaxrec.recommend(fitted, history=[int(DATA.items.ids[0])])
    split = jaxrec.split(DATA, jaxrec.data.splitting.UserKFold(folds=3), key=KEY)
    with pytest.raises(JaxrecError, match="holds users out of training"):
        jaxrec.fit(ranker, split, key=KEY)


def test_members_start_alike_in_both_fits():
    data = train_data(DATA)
    made = [fitted_members(MEMBERS, data, SHAPE, jax.random.key(3)) for _ in range(2)]
    for one, other in zip(*(jax.tree.leaves(each.scorers) for each in made), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(made[0].seconds) == 2


def test_it_cannot_be_exported(fitted, tmp_path):
    with pytest.raises(JaxrecError, match="cannot be exported"):
        jaxrec.serving.sides(fitted.scorer)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Member(MF()), r"MF is trained, so pass its options too: Member\(MF\(...\), TrainingOptions"),
        (lambda: Member(EASE(), TrainingOptions()), "EASE is solved, not trained, and has no use for options"),
        (lambda: Member(MF), "Member: model is MF; pass a model"),
        (lambda: Member("mf"), "Member: model is 'mf'; pass a model"),
        (lambda: Member(MF(), 5), "Member: options is 5; pass jaxrec.TrainingOptions"),
        (
            lambda: Member(MF(), TrainingOptions(loss="mse")),
            "MF would predict ratings, and a Member must rank",
        ),
        (
            lambda: Member(MF(), TrainingOptions(weights=jaxrec.training.TimeDecay(half_life=9))),
            "options has weights, and members weigh all interactions alike",
        ),
        (lambda: SpectralRanker(members=(EASE(),)), r"pass a tuple, as in members=\(Member\(IALS\(\)\),\)"),
        (lambda: SpectralRanker(members=MEMBERS[0]), "pass a tuple"),
        (lambda: SpectralRanker(head=LearntFilter(), members=MEMBERS), "LearntFilter takes no members"),
    ],
)
def test_bad_options_are_told(make, match):
    with pytest.raises(JaxrecError, match=match):
        make()


def test_a_member_of_other_sizes_is_told():
    with pytest.raises(MismatchError, match="a member has num_items=99 and the data have 24"):
        jaxrec.fit(SpectralRanker(members=(Member(EASE(num_items=99)),), share=0.2), DATA, key=KEY)
