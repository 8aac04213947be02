"""Diversity metrics: values as arithmetic, slow twins, invariances of the distance, masks and gradients."""

import dataclasses
import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics import catalog_coverage, intra_list_distance, mean_pair_distance, pair_distances
from jaxrec.metrics._diversity import distance_name

SLOW_DISTANCE = {"euclidean": slow.euclidean, "cosine": slow.cosine}


# Compiled once for each distance; the examples are all of one shape, and the mask makes the lists short.
fast_distance = jax.jit(intra_list_distance, static_argnames="distance")
fast_pairs = jax.jit(pair_distances, static_argnames="distance")
fast_coverage = jax.jit(catalog_coverage, static_argnums=1)


@st.composite
def vectors_with_mask(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = rng.normal(size=(8, 4)).astype(np.float32)
    vectors[rng.random(8) < 0.2] = 0
    vectors[1] = vectors[0]
    return vectors, rng.random(8) < draw(st.floats(0, 1))


def test_euclidean_distance_is_the_mean_over_pairs():
    corners = jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])  # a triangle with sides 3, 4 and 5
    np.testing.assert_allclose(fast_distance(corners), (3 + 4 + 5) / 3, rtol=1e-6)
    assert fast_distance(corners, jnp.array([False, True, True])) == 5.0


def test_cosine_distance_is_one_minus_the_cosine():
    vectors = jnp.array([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]])  # at 0, 90 and 180 degrees
    np.testing.assert_allclose(fast_distance(vectors, distance="cosine"), (1 + 2 + 1) / 3, rtol=1e-6)


def test_a_zero_vector_has_cosine_distance_1_to_every_other():
    table = fast_pairs(jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), distance="cosine")
    np.testing.assert_allclose(table, [[0, 1, 1], [1, 0, 1], [1, 1, 0]], rtol=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_fewer_than_two_items_give_zero(distance):
    assert fast_distance(jnp.ones((1, 3)), distance=distance) == 0.0
    for where in ([False, False], [True, False]):
        assert fast_distance(jnp.array([[1.0], [5.0]]), jnp.array(where), distance=distance) == 0.0


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@hypothesis.given(vectors_with_mask())
def test_agrees_with_the_slow_twin(distance, example):
    vectors, where = example
    expected = slow.intra_list_distance(vectors, where, SLOW_DISTANCE[distance])
    np.testing.assert_allclose(fast_distance(vectors, where, distance=distance), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@hypothesis.given(vectors_with_mask(), st.integers(0, 1000))
def test_the_order_of_the_list_does_not_matter(distance, example, seed):
    vectors, where = example
    order = np.random.default_rng(seed).permutation(len(vectors))
    np.testing.assert_allclose(
        fast_distance(vectors[order], where[order], distance=distance),
        fast_distance(vectors, where, distance=distance),
        rtol=1e-5,
        atol=1e-6,
    )


def test_vectors_that_are_close_together_and_far_from_0_keep_their_distance():
    # With |x|^2 + |y|^2 - 2 x.y in float32 the answer would be lost: 1000^2 has no digit left for 0.01^2.
    vectors = jnp.array([[1000.0, 0.0], [1000.0, 0.0078125]])
    assert fast_distance(vectors) == 0.0078125


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_masked_vectors_reach_neither_value_nor_gradient(distance):
    vectors = jnp.array([[1.0, 0.0], [jnp.nan, jnp.inf], [0.0, 1.0], [0.0, 1.0]])
    where = jnp.array([True, False, True, True])
    value, slope = jax.jit(jax.value_and_grad(lambda x: intra_list_distance(x, where, distance=distance)))(vectors)
    side = {"euclidean": math.sqrt(2), "cosine": 1.0}[distance]
    np.testing.assert_allclose(value, (side + side + 0) / 3, rtol=1e-6)
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[1], [0.0, 0.0])


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_all_masked_is_finite(distance):
    function = lambda x: intra_list_distance(x, jnp.zeros(3, bool), distance=distance)  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(function))(jnp.full((3, 2), jnp.nan))
    assert value == 0.0
    np.testing.assert_array_equal(slope, np.zeros((3, 2)))


def test_the_corner_of_the_table_is_the_shorter_list():
    vectors = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    table = fast_pairs(vectors)
    np.testing.assert_allclose(mean_pair_distance(table[:4, :4]), fast_distance(vectors[:4]), rtol=1e-6)


def test_coverage_counts_each_item_once_and_padding_never():
    lists = jnp.array([[0, 1, 2], [2, 1, -1], [-1, -1, -1]])
    assert fast_coverage(lists, 4) == 3 / 4
    assert fast_coverage(jnp.full((2, 3), -1), 4) == 0.0  # -1 is not the last item


def test_coverage_agrees_with_the_slow_twin():
    lists = np.random.default_rng(0).integers(-1, 40, (12, 5)).astype(np.int32)
    np.testing.assert_allclose(fast_coverage(lists, 40), slow.catalog_coverage(lists, 40), rtol=1e-6)


def test_bad_input_is_refused():
    with pytest.raises(JaxrecError, match="distance is 'manhattan'; choose 'euclidean' or 'cosine'"):
        fast_distance(jnp.ones((2, 2)), distance="manhattan")  # type: ignore[arg-type]
    with pytest.raises(JaxrecError, match=r"distance is 2\.0; choose 'euclidean' or 'cosine', or pass a function"):
        pair_distances(jnp.ones((2, 2)), distance=2.0)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match=r"vectors must be those of one list, \[k, d\], got shape \(3,\)"):
        fast_distance(jnp.ones(3))
    with pytest.raises(MismatchError, match=r"where has shape \(3,\), expected \(2,\)"):
        fast_distance(jnp.ones((2, 2)), jnp.ones(3, bool))
    with pytest.raises(MismatchError, match=r"distances must be \[k, k\], got shape \(2, 3\)"):
        mean_pair_distance(jnp.ones((2, 3)))
    with pytest.raises(MismatchError, match=r"lists must be \[U, k\], got shape \(3,\)"):
        catalog_coverage(jnp.ones(3, jnp.int32), 4)
    with pytest.raises(JaxrecError, match="num_items is 0; pass the size of the catalog"):
        catalog_coverage(jnp.ones((1, 3), jnp.int32), 0)


@dataclasses.dataclass
class Weighted:  # not frozen, hence not hashable
    weights: tuple[float, ...]

    def __call__(self, x, y):
        raise AssertionError("it is refused before it is asked")


@dataclasses.dataclass(frozen=True)
class FrozenWeighted:
    weights: tuple[float, ...]

    def __call__(self, x, y):
        return jnp.sum(jnp.asarray(self.weights) * jnp.abs(x - y))


def test_a_distance_with_options_is_a_frozen_object():
    vectors = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    assert fast_distance(vectors, distance=FrozenWeighted((10.0, 1.0))) == 10 * 1 + 1 * 2
    with pytest.raises(JaxrecError, match=r"distance Weighted is not hashable \(.*\), which jax.jit needs"):
        pair_distances(vectors, distance=Weighted((10.0, 1.0)))


def test_a_distance_of_the_caller_is_asked_once_for_each_pair():
    calls = []

    def asked(x, y):
        jax.debug.callback(lambda a, b: calls.append((float(a), float(b))), x[0], y[0])
        return jnp.abs(x[0] - y[0])

    table = pair_distances(jnp.array([[1.0], [2.0], [4.0]]), distance=asked)
    jax.effects_barrier()
    assert sorted(calls) == [(1, 2), (1, 4), (2, 4)]
    np.testing.assert_array_equal(table, [[0, 1, 3], [1, 0, 2], [3, 2, 0]])


def test_numbers_of_any_kind_are_read_as_float_and_others_are_refused():
    vectors = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    for count in (lambda x, y: jnp.sum(x != y), lambda x, y: jnp.sum(x != y).astype(jnp.bfloat16)):
        value = intra_list_distance(vectors, distance=count)
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, (1 + 2 + 1) / 3, rtol=1e-6)
    assert pair_distances(vectors[:1], distance=lambda x, y: jnp.sum(x)).tolist() == [[0.0]]
    for distance, told in (
        (lambda x, y: x - y, r"float32\[2\] for two vectors \[2\], expected one real number"),
        (lambda x, y: (x[0], y[0]), r"tuple for two vectors"),
        (lambda x, y: jax.lax.complex(x[0], y[0]), r"complex64\[\] for two vectors"),
    ):
        with pytest.raises(MismatchError, match=f"distance <lambda> gives {told}"):
            pair_distances(vectors, distance=distance)


def test_the_gradient_of_a_distance_of_the_caller_is_not_taken_between_an_item_and_itself():
    def euclidean(x, y):  # without a slope at 0, where the named distance has one
        return jnp.sqrt(jnp.sum(jnp.square(x - y)))

    vectors = jnp.array([[0.0, 0.0], [3.0, 4.0], [1.0, -2.0]])
    own, named = (
        jax.grad(functools.partial(intra_list_distance, distance=distance))(vectors)
        for distance in (euclidean, "euclidean")
    )
    np.testing.assert_allclose(own, named, rtol=1e-6)


def test_the_name_of_a_distance():
    partial = functools.partial(functools.partial(jnp.vdot), precision=None)
    assert [distance_name(one) for one in ("cosine", jnp.vdot, partial, FrozenWeighted((1.0,)))] == [
        *("cosine", "vdot", "vdot", "FrozenWeighted")
    ]
