"""What every model must do. A new model gets these tests in three lines:

class TestMine(ModelConformance):
    model = Mine(dim=8)
    options = FitOptions(epochs=50)

Every test runs on the checkerboard: every even user has every even item, every odd user every odd item, but user u does
not have item u. So the best recommendation for user u is item u. One more user and one more item have no interaction.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError, MismatchError, UnknownIdError

SIZE = 16  # users and items with interactions
USERS = list(range(SIZE))
ALL = SIZE + 1  # and those without


def checkerboard():
    """The interactions; the ids are u and 100 + i, and 16 and 999 of those without interactions."""
    user, item = np.divmod(np.arange(SIZE * SIZE), SIZE)
    kept = (user % 2 == item % 2) & (user != item)
    user, item = [*user[kept], SIZE], [*(100 + item[kept]), 999]
    return jaxrec.from_arrays(user, item).select(np.arange(len(user) - 1))


def adjacency_of(data):
    return sparse.operator(graph.normalized_adjacency(graph.biadjacency(data)), symmetric=True)


def bits(*trees):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trees)]


def strict():
    """Fixtures of a class are made before the settings of each test; the same settings compile nothing twice."""
    return jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise")


class ModelConformance:
    """The tests. A subclass sets `model`, without sizes, and `options` where it is trained.

    Attributes:
      model: the Flax module.
      options: how it is trained.
      personal: False for a model whose lists do not depend on what a user has.
      traced: False for a model that reads a size of its scorer on the host, and so cannot be made under jit.
    """

    model = None
    options = None
    personal = True
    traced = True

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return checkerboard()

    @pytest.fixture(scope="class")
    @classmethod
    def adjacency(cls, data):
        return adjacency_of(data)

    @pytest.fixture(scope="class")
    @classmethod
    def sized(cls):
        return cls.model.clone(num_users=ALL, num_items=ALL)

    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls, sized, adjacency):
        promotion, rank = strict()
        with promotion, rank:
            return sized.init(jax.random.key(1), adjacency)

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, sized, variables, adjacency):
        promotion, rank = strict()
        with promotion, rank:
            return sized.apply(variables, adjacency, method="scorer")

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data):
        promotion, rank = strict()
        with promotion, rank:
            return jaxrec.fit(cls.model, data, cls.options, key=jax.random.key(2))

    @pytest.fixture(scope="class")
    @classmethod
    def lists(cls, fitted):
        promotion, rank = strict()
        with promotion, rank:
            # What nobody has keeps the place where it began: negatives in the batch never push it down.
            return jaxrec.recommend(fitted, USERS, k=5, exclude=[999])

    def test_variables_are_float32_and_depend_on_the_key_alone(self, sized, variables, adjacency):
        init = jax.jit(sized.init) if self.traced else sized.init
        again, other = init(jax.random.key(1), adjacency), init(jax.random.key(3), adjacency)
        for leaf, same, different in zip(bits(variables), bits(again), bits(other), strict=True):
            assert leaf.dtype in (np.float32, np.uint32)  # uint32 is the data of a key
            np.testing.assert_allclose(leaf, same, rtol=1e-6)  # jit may round otherwise
            assert not np.any(leaf) or np.any(leaf != different)

    def test_it_is_hashable_and_can_be_cloned(self, sized):
        again = self.model.clone(num_users=ALL, num_items=ALL)
        assert again == sized
        assert hash(again) == hash(sized)
        assert self.model.clone(num_users=ALL + 1, num_items=ALL) != sized

    def test_it_fits_the_protocol_of_scorers(self, scorer):
        assert isinstance(scorer, jaxrec.types.Scorer)
        assert (scorer.num_users, scorer.num_items) == (ALL, ALL)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(scorer))

    def test_scores_are_finite_float32_and_the_same_for_pairs(self, scorer):
        users = jnp.array([3, 0, SIZE, 3], jnp.int32)
        scores = jax.jit(lambda scorer, users: scorer.scores(users))(scorer, users)
        assert scores.shape == (4, ALL)
        assert scores.dtype == jnp.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[3])
        pair_scores = jax.jit(lambda scorer, users, items: scorer.pair_scores(users, items))
        for item in (0, 5, SIZE):
            pairs = pair_scores(scorer, users, jnp.full(4, item, jnp.int32))
            assert pairs.dtype == jnp.float32
            np.testing.assert_allclose(pairs, scores[:, item], rtol=1e-5, atol=1e-6)

    def test_jit_does_not_change_the_scores(self, sized, variables, adjacency, scorer):
        if not self.traced:
            pytest.skip("the scorer of this model has a size that is read on the host")
        jitted = jax.jit(lambda variables, adjacency: sized.apply(variables, adjacency, method="scorer"))
        for one, other in zip(bits(jitted(variables, adjacency)), bits(scorer), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def test_sizes_that_do_not_fit_raise(self, sized, variables, data):
        smaller = adjacency_of(data.select(data.user > 0).compact())
        with pytest.raises(MismatchError, match=f"{2 * SIZE - 1}.*{2 * ALL}|{2 * ALL}.*{2 * SIZE - 1}"):
            sized.apply(variables, smaller, method="scorer")
        with pytest.raises(JaxrecError, match="num_users"):
            self.model.init(jax.random.key(0), smaller)
        wrong = self.model.clone(num_users=ALL + 1, num_items=ALL)
        with pytest.raises(MismatchError, match=f"{ALL + 1}"):
            jaxrec.fit(wrong, data, self.options, key=jax.random.key(0))

    def test_the_withheld_item_comes_first(self, lists):
        if not self.personal:
            pytest.skip("the lists of this model do not depend on what a user has")
        assert {user: shown[0].item for user, shown in lists} == {user: 100 + user for user in USERS}

    def test_seen_items_are_left_out_unless_asked_for(self, fitted, lists, data):
        for user, shown in lists:
            own = set(data.items.ids[data.item[data.user == user]].tolist())
            items = [one.item for one in shown]
            assert len(set(items)) == 5
            assert not set(items) & own
            scores = [one.score for one in shown]
            assert scores == sorted(scores, reverse=True)
        everything = jaxrec.recommend(fitted, [0], k=ALL, filter_seen=False)[0]
        assert {one.item for one in everything} == set(data.items.ids.tolist())

    def test_predictions_are_the_scores_of_the_lists(self, fitted, lists):
        users, _, items, _, scores = zip(*lists.rows(), strict=True)
        predicted = jaxrec.predict(fitted, users, items)
        assert predicted.dtype == np.float32
        np.testing.assert_allclose(predicted, scores, rtol=1e-5, atol=1e-6)

    def test_the_same_key_gives_the_same_bits(self, fitted, data):
        again = jaxrec.fit(self.model, data, self.options, key=jax.random.key(2))
        first, second = bits(fitted.variables, fitted.scorer), bits(again.variables, again.scorer)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_restored_model_recommends_the_same(self, fitted, lists, tmp_path):
        restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"))
        assert restored.model == fitted.model
        assert restored.name == fitted.name
        assert restored.info == fitted.info
        assert restored.options == fitted.options
        first, second = bits(fitted.variables, fitted.scorer), bits(restored.variables, restored.scorer)
        for one, other in zip(first, second, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert jaxrec.recommend(restored, USERS, k=5, exclude=[999]).to_dict() == lists.to_dict()
        with pytest.raises(UnknownIdError, match="unknown user 777"):
            jaxrec.recommend(restored, [777])

    def test_similar_items_are_those_of_the_same_colour(self, fitted):
        if not self.personal:
            with pytest.raises(JaxrecError, match=fitted.name):
                jaxrec.similar_items(fitted, [100])
            return
        for item, shown in jaxrec.similar_items(fitted, [100, 105], k=3):
            assert {one.item for one in shown} <= {100 + other for other in USERS if other % 2 == item % 2} - {item}

    def test_users_and_items_without_interactions_get_finite_scores(self, fitted):
        scores = fitted.scorer.scores(jnp.array([0, SIZE], jnp.int32))
        assert np.isfinite(scores).all()
        assert all(np.isfinite(leaf).all() for leaf in bits(fitted.variables))
