"""The check of shapes itself, and that no public function of its rooms is left out."""

from __future__ import annotations

import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, Int
from shapes import checked

from jaxrec.errors import MismatchError
from jaxrec.types import Array


@checked
def first(scores: Float[Array, " I"], items: Int[Array, " n"], k: int) -> Int[Array, " k"]:
    if items.ndim != 1:
        raise MismatchError("items must be [n]")
    return items[: min(k, 3)]


SCORES, ITEMS = np.ones(4, np.float32), np.arange(5)


def test_arrays_of_both_libraries_and_traced_ones_fit():
    assert first(SCORES, ITEMS, 2).tolist() == [0, 1]
    assert jax.jit(first, static_argnums=2)(jnp.array(SCORES), jnp.array(ITEMS), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ITEMS, ITEMS, 2), r"first: scores is int\d+\[5\], not Float\[Array, ' I'\]"),
        ((SCORES[None], ITEMS, 2), r"first: scores is float32\[1,4\]"),
        ((SCORES, ITEMS.tolist(), 2), "'list' object has no attribute 'ndim'"),
        ((SCORES, ITEMS, 4), r"first: return is int\d+\[3\], not Int\[Array, ' k'\]"),
    ],
)
def test_what_does_not_fit_fails_after_the_call(arguments, message):
    with pytest.raises((AssertionError, AttributeError), match=message):
        first(*arguments)


def test_what_a_function_says_itself_comes_first():
    with pytest.raises(MismatchError, match=r"items must be \[n\]"):
        first(ITEMS, ITEMS[None], 2)


@pytest.mark.parametrize(
    "room", ["losses", "metrics", "sparse", "spectral", "ranking", "sampling", "factorization", "evaluation"]
)
def test_every_public_function_on_arrays_says_its_shapes(room):
    face = importlib.import_module(f"jaxrec.{room}")
    functions = {name: getattr(face, name) for name in face.__all__ if inspect.isfunction(getattr(face, name))}
    texts = {name: [str(text) for text in function.__annotations__.values()] for name, function in functions.items()}
    assert [name for name, own in texts.items() if any("jax.Array" in text for text in own)] == []
    told = [name for name, own in texts.items() if any("Array, " in text for text in own)]
    assert told
    assert [name for name in told if not hasattr(functions[name], "__wrapped__")] == []
