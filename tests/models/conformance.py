"""What every model must do. A new model gets these tests in three lines:

class TestMine(ModelConformance):
    model = Mine(dim=8)
    options = FitOptions(epochs=50)

Every test runs on the checkerboard: every even user has every even item, every odd user every odd item, but user u does
not have item u. So the best recommendation for user u is item u.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError, MismatchError, UnknownIdError

SIZE = 16


def checkerboard(size=SIZE):
    """Interactions of `size` users and as many items, the diagonal withheld; the ids are u and 100 + i."""
    user, item = np.divmod(np.arange(size * size), size)
    kept = (user % 2 == item % 2) & (user != item)
    return jaxrec.from_arrays(user[kept], 100 + item[kept])


def adjacency_of(data):
    return sparse.operator(graph.normalized_adjacency(graph.biadjacency(data)), symmetric=True)


def bits(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


class ModelConformance:
    """The tests; `model` and `options` are set by the subclass, and `personal` where all users get the same list."""

    model = None
    options = None
    personal = True

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
        return cls.model.clone(num_users=SIZE, num_items=SIZE)

    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls, sized, adjacency):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            return sized.init(jax.random.key(1), adjacency)

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, sized, variables, adjacency):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            return sized.apply(variables, adjacency, method="scorer")

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            return jaxrec.fit(cls.model, data, cls.options, key=jax.random.key(2))

    def test_variables_are_float32_and_depend_on_the_key_alone(self, sized, variables, adjacency):
        again, other = sized.init(jax.random.key(1), adjacency), sized.init(jax.random.key(3), adjacency)
        leaves = bits(variables)
        for leaf, same, different in zip(leaves, bits(again), bits(other), strict=True):
            assert leaf.dtype in (np.float32, np.uint32)  # uint32 is the data of a key
            np.testing.assert_array_equal(leaf, same)
            assert leaf.std() == 0 or np.any(leaf != different)

    def test_it_is_hashable_and_can_be_cloned(self, sized):
        again = self.model.clone(num_users=SIZE, num_items=SIZE)
        assert again == sized
        assert hash(again) == hash(sized)
        assert self.model.clone(num_users=SIZE + 1, num_items=SIZE) != sized
        assert sized.num_users == SIZE

    def test_it_fits_the_protocol_of_scorers(self, scorer):
        assert isinstance(scorer, jaxrec.types.Scorer)
        assert (scorer.num_users, scorer.num_items) == (SIZE, SIZE)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(scorer))

    def test_scores_are_finite_float32_and_the_same_for_pairs(self, scorer):
        users = jnp.array([3, 0, SIZE - 1, 3], jnp.int32)
        scores = jax.jit(lambda scorer, users: scorer.scores(users))(scorer, users)
        assert scores.shape == (4, SIZE)
        assert scores.dtype == jnp.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[3])
        for item in (0, 5, SIZE - 1):
            items = jnp.full(4, item, jnp.int32)
            pairs = jax.jit(lambda scorer, users, items: scorer.pair_scores(users, items))(scorer, users, items)
            assert pairs.dtype == jnp.float32
            np.testing.assert_allclose(pairs, scores[:, item], rtol=1e-5, atol=1e-6)

    def test_jit_does_not_change_the_scores(self, sized, variables, adjacency, scorer):
        jitted = jax.jit(lambda variables, adjacency: sized.apply(variables, adjacency))
        plain = sized.apply(variables, adjacency)
        try:
            made = jitted(variables, adjacency)
        except jax.errors.ConcretizationTypeError:
            pytest.skip("the scorer of this model has a size that is read on the host")
        for one, other in zip(bits(made), bits(plain), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def test_sizes_that_do_not_fit_raise(self, sized, variables, data):
        smaller = adjacency_of(data.select(data.user > 0).compact())
        with pytest.raises(MismatchError, match=str(2 * SIZE - 1)):
            sized.apply(variables, smaller, method="scorer")
        with pytest.raises(JaxrecError, match="num_users"):
            self.model.init(jax.random.key(0), smaller)
        wrong = self.model.clone(num_users=SIZE + 1, num_items=SIZE)
        with pytest.raises(MismatchError, match=str(SIZE + 1)):
            jaxrec.fit(wrong, data, self.options, key=jax.random.key(0))

    def test_the_withheld_item_comes_first(self, fitted):
        if not self.personal:
            pytest.skip("the list is the same for all users, or random")
        lists = jaxrec.recommend(fitted, k=1)
        assert {user: shown[0].item for user, shown in lists} == {user: 100 + user for user in range(SIZE)}

    def test_seen_items_are_left_out_unless_asked_for(self, fitted, data):
        for user, shown in jaxrec.recommend(fitted, [0, 1, 7], k=5):
            own = set(data.items.ids[data.item[data.user == user]].tolist())
            items = [one.item for one in shown]
            assert len(set(items)) == 5
            assert not set(items) & own
            scores = [one.score for one in shown]
            assert scores == sorted(scores, reverse=True)
        everything = jaxrec.recommend(fitted, [0], k=SIZE, seen=True)[0]
        assert {one.item for one in everything} == set(data.items.ids.tolist())

    def test_predictions_are_the_scores_of_the_lists(self, fitted):
        shown = jaxrec.recommend(fitted, [4], k=SIZE, seen=True)[4]
        predicted = jaxrec.predict(fitted, [4] * SIZE, [one.item for one in shown])
        assert predicted.dtype == np.float32
        np.testing.assert_allclose(predicted, [one.score for one in shown], rtol=1e-5, atol=1e-6)

    def test_the_same_key_gives_the_same_bits(self, fitted, data):
        again = jaxrec.fit(self.model, data, self.options, key=jax.random.key(2))
        for first, second in zip(
            bits((fitted.variables, fitted.scorer)), bits((again.variables, again.scorer)), strict=True
        ):
            np.testing.assert_array_equal(first, second)

    def test_a_restored_model_recommends_the_same(self, fitted, tmp_path):
        restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"))
        assert restored.model == fitted.model
        assert restored.name == fitted.name
        assert restored.info == fitted.info
        assert restored.options == fitted.options
        for first, second in zip(
            bits((fitted.variables, fitted.scorer)), bits((restored.variables, restored.scorer)), strict=True
        ):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
        assert jaxrec.recommend(restored, k=4).to_dict() == jaxrec.recommend(fitted, k=4).to_dict()
        with pytest.raises(UnknownIdError, match="unknown user 999"):
            jaxrec.recommend(restored, [999])

    def test_similar_items_are_those_of_the_same_colour(self, fitted):
        if not self.personal:
            with pytest.raises(JaxrecError, match=fitted.name):
                jaxrec.similar_items(fitted, [100])
            return
        for item, shown in jaxrec.similar_items(fitted, [100, 105], k=3):
            items = [one.item for one in shown]
            assert item not in items
            assert all(other % 2 == item % 2 for other in items)

    def test_users_and_items_without_interactions_get_finite_scores(self, data):
        rows = data.select((data.user != 2) & (data.item != 5))
        fitted = jaxrec.fit(self.model, rows, self.options, key=jax.random.key(4))
        scores = fitted.scorer.scores(jnp.arange(SIZE, dtype=jnp.int32))
        assert np.isfinite(scores).all()
        for leaf in bits(fitted.variables):
            assert np.isfinite(leaf).all()
