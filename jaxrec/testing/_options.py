"""What every frozen object of options must do: be a pytree with its numbers as leaves, train, and be saved."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import chex
import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.fitting import TrainingOptions
from jaxrec.pytrees import is_number
from jaxrec.testing._worlds import checkerboard, leaves_of, strict
from jaxrec.training import Adam


class OptionsConformance:
    """The tests that losses, regularizers and samplers share.

    Attributes:
      field: the field of `TrainingOptions` that takes the object, and the attribute of the suite that has it.
      others: other valid values of the numbers, for those that do not allow nine tenths of what they are.
      options: how a model is trained with the object.
      model: which is trained.
    """

    field: ClassVar[str]
    others: ClassVar[Mapping[str, float]] = {}
    options: ClassVar[TrainingOptions] = TrainingOptions(epochs=40, batch_size=32, optimizer=Adam(0.05))
    model: ClassVar[Any] = jaxrec.MF(dim=4)

    @classmethod
    def thing(cls) -> Any:
        """The object that is tested."""
        return getattr(cls, cls.field)

    @classmethod
    def training(cls, thing: Any = None, **changes: Any) -> TrainingOptions:
        """The options of a training with the object, or with another one of its class."""
        return dataclasses.replace(cls.options, **{cls.field: cls.thing() if thing is None else thing, **changes})

    @classmethod
    def numbers(cls) -> dict[str, float]:
        """Another valid value for each number of the object."""
        thing = cls.thing()
        found = {}
        for field in dataclasses.fields(thing):
            value = getattr(thing, field.name)
            if not field.metadata.get("static") and is_number(value):
                found[field.name] = cls.others.get(field.name, 0.9 * value if value else 0.1)
        return found

    @classmethod
    def data(cls) -> Any:
        """What is trained on."""
        return checkerboard(rated=cls.training().loss.task == "rating")

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls) -> Any:
        with strict():
            return jaxrec.fit(cls.model, cls.data(), cls.training(), key=jax.random.key(2))

    def test_it_is_frozen_and_equal_to_a_copy(self):
        thing = self.thing()
        assert dataclasses.is_dataclass(thing)
        copy = dataclasses.replace(self.thing())
        assert copy == thing
        assert hash(copy) == hash(thing)
        for field in dataclasses.fields(thing):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, field.name, None)

    def test_its_numbers_are_leaves_and_all_else_is_structure(self):
        thing, numbers = self.thing(), self.numbers()
        leaves = jax.tree.leaves(thing)
        assert all(is_number(leaf) for leaf in leaves)
        assert len(leaves) >= len(numbers)
        for name, value in numbers.items():
            other = dataclasses.replace(thing, **{name: value})
            assert other != thing
            assert jax.tree.structure(other) == jax.tree.structure(thing)

    def test_other_numbers_are_traced_once(self):
        chex.clear_trace_counter()
        thing, given = self.thing(), self.given()
        call = jax.jit(chex.assert_max_traces(lambda thing, given: thing(*given), 1))
        call(thing, given)
        for name, value in self.numbers().items():
            call(dataclasses.replace(thing, **{name: value}), given)

    def given(self) -> tuple[Any, ...]:
        """The arguments that the object is called with; a suite of one kind of object says them."""
        raise NotImplementedError("return the arguments that the object is called with, as a tuple")

    def test_several_train_in_one_program_as_they_do_alone(self):
        things = [self.thing(), dataclasses.replace(self.thing(), **self.numbers())]
        options = self.training(epochs=2)
        given: dict[str, Any] = {self.field: things}
        keys = list(jax.random.split(jax.random.key(0)))
        together = jaxrec.fit_many(self.model, self.data(), options, keys=keys, **given)
        for thing, key, member in zip(things, keys, together, strict=True):
            alone = jaxrec.fit(self.model, self.data(), self.training(thing, epochs=2), key=key)
            assert getattr(member.options, self.field) == thing
            for one, other in zip(alone.info["records"], member.info["records"], strict=True):
                np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)

    def test_the_same_key_gives_the_same_bits(self, fitted):
        again = jaxrec.fit(self.model, self.data(), self.training(), key=jax.random.key(2))
        for one, other in zip(leaves_of(fitted.variables), leaves_of(again.variables), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_fit_is_saved_and_restored_with_it(self, fitted, tmp_path: pathlib.Path):
        kinds = [type(self.thing()), *(kind for kind in type(self.model).__mro__[:1] if inspect.isclass(kind))]
        restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"), kinds=kinds)
        assert getattr(restored.options, self.field) == self.thing()
        assert restored.options == fitted.options
        for one, other in zip(leaves_of(fitted.scorer), leaves_of(restored.scorer), strict=True):
            np.testing.assert_array_equal(one, other)
