"""Option objects as pytrees: numbers are leaves, and classes with equal fields are never taken for each other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.data import SeenItems
from jaxrec.errors import MismatchError
from jaxrec.pytrees import options, register, stack, static, structure_of
from jaxrec.ranking import recommend_lists

MANY = 30  # jax.tree_util.register_dataclass of jax 0.10 confuses about one class in eight


def classes(decorate):
    """Classes with the same field that differ in what they compute."""
    made = []
    for number in range(MANY):
        body = {"__annotations__": {"by": float}, "by": 1.0, "times": number}
        made.append(decorate(type(f"Kind{number}", (), body)))
    return made


def test_a_jitted_function_has_a_program_for_each_class_of_options():
    times = jax.jit(lambda thing: thing.by * thing.times)
    assert [float(times(kind(2.0))) for kind in classes(options)] == [2.0 * number for number in range(MANY)]


def test_structures_of_classes_of_any_registration_have_numbers_of_their_own():
    kinds = classes(lambda kind: jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(kind)))
    assert len({structure_of(kind()) for kind in kinds}) == MANY


def test_scorers_from_outside_with_equal_fields_are_ranked_by_their_own_programs():
    """Scorer n likes item n best; each has one table, and is registered as JAX's own documentation says."""

    def scores(self, users):
        shifted = jnp.roll(self.table, self.best)
        return jnp.broadcast_to(shifted, (users.shape[0], MANY))

    table = jnp.arange(MANY, 0, -1, dtype=jnp.float32)
    seen = SeenItems(np.zeros(2, np.int32), np.zeros(0, np.int32))
    for number in range(MANY):
        body = {"__annotations__": {"table": jax.Array}, "scores": scores, "best": number, "num_users": 1,
                "num_items": MANY}  # fmt: skip
        kind = jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(type(f"Own{number}", (), body)))
        lists, _ = recommend_lists(kind(table), np.zeros(1, np.int32), 1, seen=seen)
        assert lists.tolist() == [[number]]


def test_numbers_of_any_kind_are_one_kind_of_leaf():
    traces = []

    @jax.jit
    def doubled(thing):
        traces.append(1)
        return 2 * thing.by

    made = options(type("Made", (), {"__annotations__": {"by": float}, "by": 1.0}))
    assert [float(doubled(made(by))) for by in (1, 2.5, np.float64(3), np.int32(4))] == [2, 5, 6, 8]
    assert len(traces) == 1


def test_static_fields_are_structure_and_checks_run_for_numbers():
    @options
    class Sized:
        by: float = 1.0
        size: int = static(default=3)

        def __post_init__(self):
            if self.size < 1:
                raise MismatchError("size")

    assert jax.tree.leaves(Sized(0.5)) == [0.5]
    assert jax.tree.structure(Sized(0.5)) == jax.tree.structure(Sized(0.7))
    assert jax.tree.structure(Sized(0.5, 4)) != jax.tree.structure(Sized(0.5))
    assert hash(Sized(1)) == hash(Sized(1.0))
    with pytest.raises(MismatchError):
        Sized(size=0)
    with pytest.raises(MismatchError, match="sizes must differ in numbers only"):
        stack([Sized(), Sized(size=4)], "sizes")


def test_a_registered_class_comes_back_from_a_program_as_itself():
    @register
    @dataclasses.dataclass(frozen=True)
    class Pair:
        one: jax.Array
        other: jax.Array

    pair = jax.jit(lambda pair: Pair(pair.other, pair.one))(Pair(jnp.float32(1), jnp.float32(2)))
    assert (type(pair), float(pair.one), float(pair.other)) == (Pair, 2, 1)
