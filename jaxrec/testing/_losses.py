"""The tests of a loss."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.protocols import Batch, Encoded
from jaxrec.pytrees import structure_of
from jaxrec.scorers import FactorScorer
from jaxrec.testing._options import OptionsConformance
from jaxrec.testing._worlds import SIZE, checkerboard, strict
from jaxrec.training import make_batch, train_data

ROWS, WIDTH = 8, 4


@functools.partial(jax.jit, static_argnames="structure")
def _slope(loss: Any, vectors: Any, batch: Batch, data: Any, key: jax.Array, *, structure: int) -> Any:
    """The value of a loss and its gradient by the vectors: one program for all tests of a loss."""
    return jax.value_and_grad(lambda vectors: loss(Encoded(*vectors), batch, data, key))(vectors)


class LossConformance(OptionsConformance):
    """The tests of a loss. A subclass sets `loss`.

    Masked rows have no influence, all masked gives 0, extreme scores stay finite, other numbers compile nothing, and a
    model that is trained with it finds the withheld items of the checkerboard, or predicts the withheld ratings.

    Attributes:
      loss: the loss.
      options: how a model is trained with it, on the checkerboard.

    >>> from jaxrec.losses import BPR
    >>> class TestBPR(LossConformance):
    ...     loss = BPR()
    """

    loss: ClassVar[Any]
    field = "loss"

    @pytest.fixture(scope="class")
    @classmethod
    def setting(cls) -> tuple[Any, Batch, Encoded]:
        with strict():
            return cls._setting()

    @classmethod
    @functools.cache
    def _setting(cls) -> tuple[Any, Batch, Encoded]:
        """(data, batch, rows): 8 rows of which the last two do not count."""
        data = train_data(checkerboard(rated=cls.loss.task == "rating"))
        where = jnp.arange(ROWS, dtype=jnp.int32) < ROWS - 2
        index = jnp.arange(ROWS, dtype=jnp.int32) * 13
        batch, _ = make_batch(data, index, where, jax.random.key(0), negatives=cls.training().sampler)
        keys = jax.random.split(jax.random.key(1), 3)
        shapes = (ROWS, WIDTH), (ROWS, WIDTH), (*batch.negatives.shape, WIDTH)
        user, positive, negative = (jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))
        return data, batch, Encoded(user, positive, negative)

    def given(self) -> tuple[Any, ...]:
        data, batch, rows = self._setting()
        return rows, batch, data, jax.random.key(3)

    def slope(self, setting: Any, **changes: Any) -> tuple[np.ndarray, Encoded]:
        """The value and its gradient by the rows."""
        data, batch, rows = setting
        where, weight = changes.pop("where", batch.where), changes.pop("weight", None)
        rows = rows._replace(**changes)

        given = (
            (rows.user, rows.positive, rows.negative),
            batch._replace(where=where, weight=weight),
            data,
            jax.random.key(3),
        )
        loss, gradient = jax.device_get(_slope(self.loss, *given, structure=structure_of(self.loss)))
        return loss, Encoded(*gradient)

    def test_the_value_and_its_gradient_are_finite_float32(self, setting):
        loss, gradient = self.slope(setting)
        assert loss.shape == ()
        assert loss.dtype == np.float32
        assert np.isfinite(loss)
        assert all(np.isfinite(part).all() for part in gradient[:3])
        assert any(np.any(part) for part in gradient[:3])

    def test_masked_rows_have_no_influence_and_no_gradient(self, setting):
        _, batch, rows = setting
        loss, gradient = self.slope(setting)
        hidden = ~np.asarray(batch.where)
        for part in gradient[:3]:
            assert not np.any(part[hidden])
        changed = {
            name: np.where(hidden.reshape(-1, *[1] * (part.ndim - 1)), 50 * part + 1, part)
            for name, part in zip(("user", "positive", "negative"), jax.device_get(rows[:3]), strict=True)
        }
        other, slopes = self.slope(setting, **changed)
        np.testing.assert_allclose(other, loss, rtol=1e-6)
        for one, two in zip(gradient[:3], slopes[:3], strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-7)

    def test_it_is_a_mean_by_weight_if_it_takes_weights(self, setting):
        if not getattr(self.loss, "takes_weights", False):
            pytest.skip("this loss does not take weights, so a fit with weights refuses it")
        plain, slopes = self.slope(setting)
        ones = np.ones(ROWS, np.float32)
        for scale in (1, 3):
            same, others = self.slope(setting, weight=np.float32(scale) * ones)
            np.testing.assert_allclose(same, plain, rtol=1e-5)
            np.testing.assert_allclose(others.user, slopes.user, rtol=1e-4, atol=1e-6)
        uneven = np.arange(1, ROWS + 1, dtype=np.float32)
        other, slopes = self.slope(setting, weight=uneven)
        assert abs(other - plain) > 1e-6 * abs(plain)
        # The weights of rows that do not count have no influence.
        odd = np.where(np.asarray(setting[1].where), uneven, np.float32(1e6))
        np.testing.assert_allclose(self.slope(setting, weight=odd)[0], other, rtol=1e-6)
        assert self.slope(setting, weight=0 * ones)[0] == 0

    def test_all_masked_gives_zero_with_a_gradient_of_zero(self, setting):
        loss, gradient = self.slope(setting, where=np.zeros(ROWS, bool))
        assert loss == 0
        assert not any(np.any(part) for part in gradient[:3])

    @pytest.mark.parametrize("scale", [0.0, 1e3])
    def test_extreme_vectors_stay_finite(self, setting, scale):
        rows = {
            name: np.float32(scale) * np.asarray(getattr(setting[2], name)) for name in ("user", "positive", "negative")
        }
        for user in (rows["user"], -rows["user"]):
            loss, gradient = self.slope(setting, **{**rows, "user": user})
            assert np.isfinite(loss)
            assert all(np.isfinite(part).all() for part in gradient[:3])

    def test_jit_does_not_change_the_value(self, setting):
        data, batch, rows = setting
        key = jax.random.key(3)
        jitted = jax.jit(lambda loss, *given: loss(*given))(self.loss, rows, batch, data, key)
        np.testing.assert_allclose(jitted, self.loss(rows, batch, data, key), rtol=1e-5, atol=1e-6)

    def test_its_sampler_says_how_many_it_draws(self):
        sampler = self.loss.default_negatives()
        assert sampler is None or (isinstance(sampler.num, int) and sampler.num >= 1)

    def test_its_adjustment_keeps_the_sizes(self, setting):
        data = setting[0]
        keys = jax.random.split(jax.random.key(4))
        vectors = [
            jax.random.normal(key, (size, WIDTH)) for key, size in zip(keys, (SIZE, data.num_items), strict=True)
        ]
        scorer = self.loss.adjust(FactorScorer(*vectors, dim=WIDTH), data)
        assert (scorer.num_users, scorer.num_items) == (SIZE, data.num_items)
        assert np.isfinite(scorer.scores(jnp.arange(SIZE, dtype=jnp.int32))).all()

    def test_a_model_learns_the_checkerboard(self, fitted):
        users = list(range(SIZE))
        if self.loss.task == "rating":
            own = jaxrec.predict(fitted, users, [100 + user for user in users])
            unlike = jaxrec.predict(fitted, users, [100 + (user + 1) % SIZE for user in users])
            assert (own > 3).all()
            assert (unlike < 3).all()
            return
        # Of item 999 nobody has an interaction, so it keeps the place where it began.
        lists = jaxrec.recommend(fitted, users, k=1, exclude=[999])
        assert {user: shown[0].item for user, shown in lists} == {user: 100 + user for user in users}
