"""The tests of a sampler of negatives."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.fitting import TrainingOptions
from jaxrec.losses import BPR
from jaxrec.protocols import Batch, Encoded
from jaxrec.pytrees import structure_of
from jaxrec.sampling import contains
from jaxrec.testing._options import OptionsConformance
from jaxrec.testing._worlds import SIZE, checkerboard
from jaxrec.training import train_data


@functools.partial(jax.jit, static_argnames="structure")
def _draw(negatives: Any, given: tuple[Any, ...], *, structure: int) -> tuple[jax.Array, jax.Array]:
    return negatives(*given)


class NegativesConformance(OptionsConformance):
    """The tests of a sampler. A subclass sets `negatives`.

    Attributes:
      negatives: the sampler.
      options: how a model is trained with it; its loss must take drawn negatives.

    >>> from jaxrec.sampling import Uniform
    >>> class TestUniform(NegativesConformance):
    ...     negatives = Uniform(2)
    """

    negatives: ClassVar[Any]
    field = "negatives"
    options: ClassVar[TrainingOptions] = dataclasses.replace(OptionsConformance.options, loss=BPR())

    @staticmethod
    @functools.cache
    def _data() -> Any:
        """The checkerboard, on the device, with a user who has every item."""
        return train_data(checkerboard(full=True))

    def given(self, seed: int = 0) -> tuple[Any, ...]:
        data = self._data()
        return data, data.user, data.item, jax.random.key(seed)

    def draw(self, seed: int) -> tuple[jax.Array, jax.Array]:
        """The draw for all interactions as one batch."""
        return _draw(self.negatives, self.given(seed), structure=structure_of(self.negatives))

    def test_shapes_and_dtypes(self):
        items, possible = self.draw(0)
        size = len(self._data().user)
        assert isinstance(self.negatives.num, int)
        drawn = getattr(self.negatives, "drawn", self.negatives.num)
        assert drawn >= self.negatives.num >= 1
        assert items.shape == (size, drawn)
        assert possible.shape == (size,)
        assert items.dtype == jnp.int32
        assert possible.dtype == bool

    def test_it_never_draws_an_item_that_the_user_has(self):
        data = self._data()
        own = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
        for seed in range(5):
            items, possible = (np.asarray(part) for part in self.draw(seed))
            assert ((items >= 0) & (items < data.num_items)).all()
            for user, drawn, counts in zip(data.user.tolist(), items.tolist(), possible.tolist(), strict=True):
                assert not counts or not own & {(user, item) for item in drawn}

    def test_only_the_user_who_has_every_item_has_no_negative(self):
        _, possible = self.draw(0)
        np.testing.assert_array_equal(possible, self._data().user != SIZE)

    def test_what_it_prepares_draws_the_same(self):
        if not hasattr(self.negatives, "prepared"):
            pytest.skip("this sampler computes nothing once for all batches")
        prepared = self.negatives.prepared(self._data())
        for one, other in zip(self.draw(0), prepared(*self.given()), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_beside_rows_that_do_not_count_it_never_draws_what_the_user_has(self):
        data, user, item, key = self.given()
        where = jnp.arange(len(user)) % 3 > 0
        batch = Batch(user, item, None, jnp.zeros((len(user), 0), jnp.int32), where)
        draw = getattr(self.negatives, "draw", None)
        drawn, _ = self.negatives(*self.given()) if draw is None else draw(data, batch, key)
        own = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
        for row in np.flatnonzero(where & (user != SIZE)):
            assert not own & {(int(user[row]), one) for one in drawn[row].tolist()}

    def test_its_log_probabilities_are_of_a_distribution(self):
        if not getattr(self.negatives, "knows_probability", False):
            pytest.skip("this sampler does not know its probabilities")
        data = self._data()
        users = jnp.arange(SIZE, dtype=jnp.int32)  # of the user who has everything there is none
        every = jnp.broadcast_to(jnp.arange(data.num_items, dtype=jnp.int32)[None], (SIZE, data.num_items))
        lacking = np.asarray(~contains(data.seen, users[:, None], every))
        chances = np.exp(np.asarray(self.negatives.log_probability(data, users, every)))
        assert chances.dtype == np.float32
        np.testing.assert_allclose(np.sum(chances, axis=1, where=lacking), 1, rtol=1e-4)

    def test_it_keeps_as_many_as_it_says(self):
        data, user, item, key = self.given()
        batch = Batch(user, item, None, self.draw(0)[0], jnp.ones(len(user), bool))
        vectors = jax.random.normal(key, (data.num_items, 3))
        own = jax.random.normal(key, (len(user), 3))
        rows = Encoded(own, own, vectors[batch.negatives], (own, own, vectors[batch.negatives]))
        if hasattr(self.negatives, "chosen"):
            rows, batch = self.negatives.chosen(rows, batch)
        kept = self.negatives.num if getattr(self.negatives, "chooses", False) else self.draw(0)[0].shape[1]
        assert batch.negatives.shape == (len(user), kept)
        np.testing.assert_array_equal(rows.negative, vectors[batch.negatives])
        np.testing.assert_array_equal(rows.embeddings[2], vectors[batch.negatives])

    def test_the_same_key_gives_the_same_draw_and_another_key_another(self):
        first, again, other = (self.draw(seed)[0] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert np.any(first != other)

    def test_jit_does_not_change_the_draw(self):
        for one, other in zip(self.draw(0), self.negatives(*self.given()), strict=True):
            np.testing.assert_array_equal(one, other)
