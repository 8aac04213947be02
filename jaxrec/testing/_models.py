"""The tests of a model."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError, MismatchError, UnknownIdError
from jaxrec.fitting import TrainingOptions
from jaxrec.models import with_sizes
from jaxrec.pytrees import structure_of
from jaxrec.testing._new_users import FoldInChecks
from jaxrec.testing._worlds import ALL, SIZE, adjacency_of, checkerboard, leaves_of, strict
from jaxrec.training import train_data
from jaxrec.types import Scorer

USERS = list(range(SIZE))


# Jitted here, so that what is drawn, solved, fitted and restored of one class goes through one program. Always with
# four users, for the same reason.
_scores = jax.jit(lambda scorer, users, *, structure: scorer.scores(users), static_argnames="structure")
_pair_scores = jax.jit(
    lambda scorer, users, items, *, structure: scorer.pair_scores(users, items), static_argnames="structure"
)


def scores_of(scorer: Scorer, users: Any) -> jax.Array:
    """Score all items for users int32 [B], in one program for each class: float32 [B, I]."""
    return _scores(scorer, users, structure=structure_of(scorer))


def pair_scores_of(scorer: Scorer, users: Any, items: Any) -> jax.Array:
    """Score pairs of users and items, int32 [n] each, in one program for each class: float32 [n]."""
    return _pair_scores(scorer, users, items, structure=structure_of(scorer))


class _Conformance(FoldInChecks):
    """The tests of a model, however it comes to its scorer."""

    model: ClassVar[Any]
    options: ClassVar[TrainingOptions | None] = None
    personal: ClassVar[bool] = True
    kinds: ClassVar[tuple[type, ...]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls) -> Any:
        return checkerboard()

    @pytest.fixture(scope="class")
    @classmethod
    def sized(cls) -> Any:
        return with_sizes(cls.model, ALL, ALL)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data: Any) -> Any:
        with strict():
            return jaxrec.fit(cls.model, data, cls.options, key=jax.random.key(2))

    @pytest.fixture(scope="class")
    @classmethod
    def lists(cls, fitted: Any) -> Any:
        with strict():
            # What nobody has keeps the place where it began: negatives in the batch never push it down.
            return jaxrec.recommend(fitted, USERS, k=5, exclude=[999])

    def test_it_is_hashable_and_can_be_cloned(self, sized):
        again = with_sizes(self.model, ALL, ALL)
        assert again == sized
        assert hash(again) == hash(sized)
        assert with_sizes(self.model, ALL + 1, ALL) != sized

    def test_it_fits_the_protocol_of_scorers(self, scorer):
        assert isinstance(scorer, Scorer)
        assert (scorer.num_users, scorer.num_items) == (ALL, ALL)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(scorer))

    def test_scores_are_finite_float32_and_the_same_for_pairs(self, scorer):
        users = jnp.array([3, 0, SIZE, 3], jnp.int32)
        scores = scores_of(scorer, users)
        assert scores.shape == (4, ALL)
        assert scores.dtype == jnp.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[3])
        for item in (0, 5, SIZE):
            pairs = pair_scores_of(scorer, users, jnp.full(4, item, jnp.int32))
            assert pairs.dtype == jnp.float32
            np.testing.assert_allclose(pairs, scores[:, item], rtol=1e-5, atol=1e-6)

    def test_sizes_other_than_those_of_the_data_are_refused(self, data):
        wrong = with_sizes(self.model, ALL + 1, ALL)
        with pytest.raises(MismatchError, match=f"{ALL + 1}"):
            jaxrec.fit(wrong, data, self.options, key=jax.random.key(0))

    def test_the_withheld_item_comes_first(self, lists):
        if not self.personal:
            pytest.skip("the lists of this model do not depend on what a user has")
        assert {user: shown[0].item for user, shown in lists} == {user: 100 + user for user in USERS}

    def test_seen_items_are_there_if_asked_for(self, fitted, data):
        everything = jaxrec.recommend(fitted, [0], k=ALL, filter_seen=False)[0]
        assert {one.item for one in everything} == set(data.items.ids.tolist())

    def test_seen_items_are_left_out(self, lists, data):
        for user, shown in lists:
            own = set(data.items.ids[data.item[data.user == user]].tolist())
            items = [one.item for one in shown]
            assert len(set(items)) == 5
            assert not set(items) & own
            scores = [one.score for one in shown]
            assert scores == sorted(scores, reverse=True)

    def test_predictions_are_the_scores_of_the_lists(self, fitted, lists):
        users, _, items, _, scores = zip(*lists.rows(), strict=True)
        predicted = jaxrec.predict(fitted, users, items)
        assert predicted.dtype == np.float32
        np.testing.assert_allclose(predicted, scores, rtol=1e-5, atol=1e-6)

    def test_the_same_key_gives_the_same_bits(self, fitted, data):
        again = jaxrec.fit(self.model, data, self.options, key=jax.random.key(2))
        first, second = leaves_of(fitted.variables, fitted.scorer), leaves_of(again.variables, again.scorer)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_restored_model_recommends_the_same(self, fitted, lists, tmp_path):
        kinds = (type(self.model), *self.kinds)
        restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"), kinds=kinds)
        assert restored.model == fitted.model
        assert restored.name == fitted.name
        assert restored.info == fitted.info
        assert restored.options == fitted.options
        first, second = leaves_of(fitted.variables, fitted.scorer), leaves_of(restored.variables, restored.scorer)
        for one, other in zip(first, second, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert jaxrec.recommend(restored, USERS, k=5, exclude=[999]).to_dict() == lists.to_dict()
        with pytest.raises(UnknownIdError, match="unknown user 777"):
            jaxrec.recommend(restored, [777])

    def test_similar_items_are_those_of_the_same_parity(self, fitted):
        if not self.personal:
            with pytest.raises(JaxrecError, match=fitted.name):
                jaxrec.similar_items(fitted, [100])
            return
        for item, shown in jaxrec.similar_items(fitted, [100, 105], k=3):
            assert {one.item for one in shown} <= {100 + other for other in USERS if other % 2 == item % 2} - {item}

    def test_users_and_items_without_interactions_get_finite_scores(self, fitted):
        scores = scores_of(fitted.scorer, jnp.array([0, SIZE, SIZE, 0], jnp.int32))
        assert np.isfinite(scores).all()
        assert all(np.isfinite(leaf).all() for leaf in leaves_of(fitted.variables))


class ModelConformance(_Conformance):
    """The tests of a model that is a Flax module. A subclass sets `model`, and `options` where it is trained.

    Attributes:
      model: without sizes.
      options: how it is trained on the checkerboard, so that the withheld item comes first; None where it is solved.
      personal: False for a model whose lists do not depend on what a user has.
      traced: False for a model that reads a size of its scorer on the host, and so cannot be made under jit.
      kinds: classes of your own that a saved run of it has beside the model, such as a scorer.

    >>> class TestMF(ModelConformance):
    ...     model = jaxrec.MF(dim=4)
    ...     options = TrainingOptions(epochs=40, batch_size=32, optimizer=jaxrec.training.Adam(0.05))
    """

    traced: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def adjacency(cls, data: Any) -> Any:
        return adjacency_of(data)

    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls, sized: Any, adjacency: Any) -> Any:
        with strict():
            return sized.init(jax.random.key(1), adjacency)

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, sized: Any, variables: Any, adjacency: Any) -> Any:
        with strict():
            return sized.apply(variables, adjacency, method="scorer")

    def test_variables_are_float32_and_depend_on_the_key_alone(self, sized, variables, adjacency):
        init = jax.jit(sized.init) if self.traced else sized.init
        again, other = init(jax.random.key(1), adjacency), init(jax.random.key(3), adjacency)
        for leaf, same, different in zip(leaves_of(variables), leaves_of(again), leaves_of(other), strict=True):
            assert leaf.dtype in (np.float32, np.uint32)  # uint32 is the data of a key
            np.testing.assert_allclose(leaf, same, rtol=1e-6)  # jit may round otherwise
            assert not np.any(leaf) or np.any(leaf != different)

    def test_jit_does_not_change_the_scores(self, sized, variables, adjacency, scorer):
        if not self.traced:
            pytest.skip("the scorer of this model has a size that is read on the host")
        jitted = jax.jit(lambda variables, adjacency: sized.apply(variables, adjacency, method="scorer"))
        for one, other in zip(leaves_of(jitted(variables, adjacency)), leaves_of(scorer), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def test_encoded_rows_are_those_of_the_scorer(self, sized, variables, adjacency, scorer):
        if not hasattr(sized, "encode"):
            pytest.skip("this model is solved, not trained")
        # Users and items with edges: of others a scorer may leave out what was never trained.
        user, item = np.array([0, 3, 3, 1], np.int32), np.array([5, 0, 5, 7], np.int32)
        negatives = np.array([[1, 2], [3, 4], [6, 7], [0, 8]], np.int32)
        encode = jax.jit(lambda *given: sized.apply(*given, method="encode"))
        rows = jax.tree.map(np.asarray, encode(variables, adjacency, user, item, negatives))
        assert rows.negative.shape == (4, 2, rows.user.shape[1])
        close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
        positive = np.sum(rows.user * rows.positive, axis=1)
        np.testing.assert_allclose(positive, pair_scores_of(scorer, user, item), **close)
        for at in range(2):
            drawn = np.sum(rows.user * rows.negative[:, at], axis=1)
            np.testing.assert_allclose(drawn, pair_scores_of(scorer, user, negatives[:, at]), **close)


class SolverConformance(_Conformance):
    """The tests of a model that is solved: any frozen dataclass with `solve(data, key)`. A subclass sets `model`.

    Attributes:
      model: without sizes.
      personal: False for a model whose lists do not depend on what a user has.
      kinds: classes of your own that a saved run of it has beside the model, such as a scorer.

    >>> class TestEASE(SolverConformance):
    ...     model = jaxrec.EASE(l2=2.0)
    """

    @pytest.fixture(scope="class")
    @classmethod
    def solution(cls, sized: Any, data: Any) -> Any:
        with strict():
            return sized.solve(train_data(data), jax.random.key(1))

    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls, solution: Any) -> Any:
        return solution.variables

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, solution: Any) -> Any:
        return solution.scorer

    def test_variables_are_float32_and_depend_on_the_key_alone(self, sized, variables, scorer, data):
        again, other = (sized.solve(train_data(data), jax.random.key(seed)) for seed in (1, 3))
        first, second = leaves_of(variables, scorer), leaves_of(again.variables, again.scorer)
        for leaf, same in zip(first, second, strict=True):
            assert leaf.dtype != np.float64
            np.testing.assert_array_equal(leaf, same)
        different = leaves_of(other.variables, other.scorer)
        changed = any(np.any(leaf != others) for leaf, others in zip(first, different, strict=True))
        assert changed == self.model.draws, "`draws` says whether another key gives another model"

    def test_jit_does_not_change_the_scores(self, scorer):
        users = jnp.arange(ALL, dtype=jnp.int32)
        jitted = jax.jit(lambda scorer, users: scorer.scores(users))(scorer, users)
        np.testing.assert_allclose(jitted, scorer.scores(users), rtol=1e-5, atol=1e-6)
