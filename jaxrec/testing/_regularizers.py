"""The tests of a regularizer."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.testing._options import OptionsConformance


class RegularizerConformance(OptionsConformance):
    """The tests of a regularizer. A subclass sets `regularizer`.

    Attributes:
      regularizer: the regularizer.
      options: how a model is trained with it.

    >>> from jaxrec.losses import SquaredL2
    >>> class TestSquaredL2(RegularizerConformance):
    ...     regularizer = SquaredL2(0.1)
    """

    regularizer: ClassVar[Any]
    field = "regularizer"

    where = np.array([True, True, False])

    @staticmethod
    def embeddings() -> tuple[jax.Array, ...]:
        """Of users [3, 4], items [3, 4] and negatives [3, 2, 4]."""
        keys = jax.random.split(jax.random.key(1), 3)
        return tuple(
            jax.random.normal(key, shape) for key, shape in zip(keys, ((3, 4), (3, 4), (3, 2, 4)), strict=True)
        )

    def given(self) -> tuple[Any, ...]:
        return self.embeddings(), jnp.asarray(self.where)

    def slope(self, embeddings: tuple[jax.Array, ...], where: np.ndarray) -> tuple[np.ndarray, Any]:
        """The penalty and its gradient."""
        value, gradient = jax.value_and_grad(self.regularizer)(embeddings, jnp.asarray(where))
        return np.asarray(value), jax.tree.map(np.asarray, gradient)

    @pytest.mark.parametrize("tables", [2, 3])
    def test_the_penalty_is_a_finite_scalar_and_not_negative(self, tables):
        value, gradient = self.slope(self.embeddings()[:tables], self.where)
        assert value.shape == ()
        assert value.dtype == np.float32
        assert 0 <= value < np.inf
        assert all(np.isfinite(part).all() for part in gradient)

    def test_masked_rows_have_no_influence_and_no_gradient(self):
        embeddings = self.embeddings()
        value, gradient = self.slope(embeddings, self.where)
        changed = tuple(part.at[2].multiply(50) for part in embeddings)
        other, slopes = self.slope(changed, self.where)
        np.testing.assert_allclose(other, value, rtol=1e-6)
        for one, two in zip(gradient, slopes, strict=True):
            assert not one[2].any()
            np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-7)

    def test_all_masked_gives_zero_with_a_gradient_of_zero(self):
        value, gradient = self.slope(self.embeddings(), np.zeros(3, bool))
        assert value == 0
        assert not any(part.any() for part in gradient)

    @pytest.mark.parametrize("scale", [0.0, 1e6])
    def test_extreme_embeddings_stay_finite(self, scale):
        value, gradient = self.slope(tuple(scale * part for part in self.embeddings()), self.where)
        assert np.isfinite(value)
        assert all(np.isfinite(part).all() for part in gradient)

    def test_it_changes_what_is_learnt(self, fitted):
        record = fitted.info["records"][-1]
        assert 0 < record["penalty"] < np.inf
