"""What must hold for any list: bounds, relations between metrics, longer lists, and what a distance does not see.

The properties of one metric alone stand beside its values, in the file of its module.
"""

import functools
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.metric_cases import DISTANCES, city_block

from jaxrec import metrics

LENGTH, ITEMS, CATEGORIES, WIDTH = 12, 30, 5, 4
CUTS = tuple(range(1, LENGTH + 1))
SHARES = (*metrics.RANKING_METRICS, "precision_of_length", "category_coverage")


@jax.jit
def every_value(hits, num_relevant, items, table):
    """Every accuracy at every cut, [cuts] by name: one program and one shape for all examples."""
    made = {
        name: jnp.stack([metric(hits, num_relevant, k=k) for k in CUTS])
        for name, metric in metrics.RANKING_METRICS.items()
    }
    length = jnp.sum(items >= 0, dtype=jnp.int32)
    made["precision_of_length"] = jnp.stack(
        [metrics.precision(hits, num_relevant, k=k, over="length", length=length) for k in CUTS]
    )
    made["category_coverage"] = jnp.stack([metrics.category_coverage(items[:k], table) for k in CUTS])
    made["coverage"] = jnp.stack([metrics.catalog_coverage(items[None, :k], ITEMS) for k in CUTS])
    made["r_precision"] = metrics.r_precision(hits, num_relevant)
    return made


@st.composite
def lists(draw):
    """One list with padding at its end, its hits, the number of relevant items (0 too), and a table of categories."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = rng.permutation(ITEMS)[:LENGTH].astype(np.int32)
    items[draw(st.integers(0, LENGTH)) :] = -1
    relevant = rng.permutation(ITEMS)[: draw(st.integers(0, ITEMS))]
    table = rng.random((ITEMS, CATEGORIES)) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    return np.isin(items, relevant), np.int32(len(relevant)), items, table


def values_of(example):
    return jax.device_get(every_value(*example))


@hypothesis.given(lists())
def test_bounds(example):
    values = values_of(example)
    for name in SHARES:
        assert (values[name] >= 0).all(), name
        assert (values[name] <= 1 + 1e-6).all(), name
    assert 0 <= values["r_precision"] <= 1
    places = np.minimum(CUTS, (example[2] >= 0).sum())
    np.testing.assert_allclose(values["coverage"], places / ITEMS, rtol=1e-6)  # a list covers its own items


RISING = ("recall", "hit_rate", "average_precision", "reciprocal_rank", "category_coverage", "coverage")


@pytest.mark.parametrize("name", RISING)
@hypothesis.given(lists())
def test_one_more_place_never_lowers(name, example):
    values = values_of(example)[name]
    assert (np.diff(values) >= -1e-6).all()


@hypothesis.given(lists())
def test_what_is_summed_never_falls(example):
    """Precision and nDCG may fall with k; the hits and the gain that they divide do not."""
    values = values_of(example)
    hits = values["precision"] * np.array(CUTS)
    np.testing.assert_allclose(hits, np.cumsum(example[0]), atol=1e-5)
    gain = values["ndcg_k"] * np.cumsum(1 / np.log2(np.array(CUTS) + 1))
    assert (np.diff(gain) >= -1e-5).all()


@hypothesis.given(lists())
def test_metrics_of_one_list_do_not_contradict_each_other(example):
    num_relevant = example[1]
    values, cuts = values_of(example), np.array(CUTS)
    np.testing.assert_allclose(values["recall"] * num_relevant, values["precision"] * cuts, atol=1e-5)
    np.testing.assert_array_equal(values["hit_rate"], values["reciprocal_rank"] > 0)
    for smaller, larger in [
        ("reciprocal_rank", "hit_rate"),
        ("average_precision", "recall"),
        ("recall", "capped_recall"),
        ("precision", "capped_recall"),
        ("precision", "precision_of_length"),
        ("average_precision", "average_precision_min"),
        ("ndcg_k", "ndcg"),
    ]:
        assert (values[smaller] <= values[larger] + 1e-6).all(), (smaller, larger)
    if 1 <= num_relevant <= LENGTH:  # at its own cut, precision and recall are R-precision
        for name in ("precision", "recall"):
            assert abs(values[name][num_relevant - 1] - values["r_precision"]) < 1e-6


@pytest.mark.parametrize("name", ["ndcg", "ndcg_k", "average_precision", "average_precision_min", "reciprocal_rank"])
@hypothesis.given(lists(), st.data())
def test_a_hit_that_changes_places_with_any_miss_above_it_never_lowers(name, example, data):
    hits, *rest = example
    pairs = [(i, j) for i, j in itertools.combinations(range(LENGTH), 2) if hits[j] and not hits[i]]
    hypothesis.assume(pairs)
    i, j = data.draw(st.sampled_from(pairs))
    moved = hits.copy()
    moved[[i, j]] = True, False
    before, after = values_of((hits, *rest))[name], values_of((moved, *rest))[name]
    assert (after >= before - 1e-6).all()


@hypothesis.given(lists())
def test_what_lies_below_the_cut_does_not_matter(example):
    hits, num_relevant, items, table = example
    turned = np.concatenate([hits[:6], ~hits[6:]])
    before, after = values_of(example), values_of((turned, num_relevant, items, table))
    for name in metrics.RANKING_METRICS:
        np.testing.assert_array_equal(before[name][:6], after[name][:6])


# Distances.

fast_distance = jax.jit(metrics.intra_list_distance, static_argnames="distance")
fast_pairs = jax.jit(metrics.pair_distances, static_argnames="distance")


@st.composite
def vectors(draw):
    """Twelve vectors, some of zeros and two equal; a mask; and a generator for what is done to them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = rng.normal(size=(LENGTH, WIDTH)).astype(np.float32)
    made[rng.random(LENGTH) < 0.2] = 0
    made[1] = made[0]
    return made, rng.random(LENGTH) < draw(st.floats(0, 1)), rng


def rotation(rng):
    return np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)


@pytest.mark.parametrize("name", DISTANCES)
@hypothesis.given(vectors())
def test_bounds_of_a_distance(name, example):
    given, where, _ = example
    if name == "jaccard":
        given = (given > 0).astype(np.float32)
    distance = DISTANCES[name][0]
    table = np.asarray(fast_pairs(given, distance=distance))
    np.testing.assert_allclose(table, table.T, rtol=1e-6)
    np.testing.assert_array_equal(np.diag(table), 0)
    assert table.min() >= 0
    longest = np.linalg.norm(given, axis=1).max()
    most = {"euclidean": 2 * longest, "cosine": 2, "jaccard": 1, "city_block": 2 * longest * np.sqrt(WIDTH)}[name]
    value = fast_distance(given, where, distance=distance)
    among = table[where][:, where]
    assert 0 <= value <= most + 1e-5
    assert value <= (among.max() if among.size else 0) + 1e-5


@hypothesis.given(vectors())
def test_euclidean_distance_sees_neither_rotation_nor_translation(example):
    given, where, rng = example
    moved = given @ rotation(rng) + rng.normal(size=(1, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(fast_distance(moved, where), fast_distance(given, where), rtol=1e-4, atol=1e-5)


@hypothesis.given(vectors())
def test_cosine_distance_sees_neither_rotation_nor_the_length_of_any_vector(example):
    given, where, rng = example
    moved = (given @ rotation(rng)) * rng.uniform(0.1, 10, (LENGTH, 1)).astype(np.float32)
    before, after = (fast_distance(own, where, distance="cosine") for own in (given, moved))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distance", ["euclidean", city_block], ids=["euclidean", "city_block"])
@hypothesis.given(vectors(), st.floats(0.0625, 16, width=32))
def test_distances_that_are_linear_in_scale(distance, example, scale):
    given, where, _ = example
    before, after = (fast_distance(own, where, distance=distance) for own in (given, np.float32(scale) * given))
    np.testing.assert_allclose(after, scale * before, rtol=1e-5, atol=1e-6)


def own_euclidean(x, y):
    return jnp.sqrt(jnp.sum(jnp.square(x - y)))


def own_cosine(x, y):
    length = jnp.sqrt(jnp.sum(jnp.square(x)) * jnp.sum(jnp.square(y)))
    return 1 - jnp.sum(x * y) / jnp.where(length > 0, length, 1)


@pytest.mark.parametrize(("name", "function"), [("euclidean", own_euclidean), ("cosine", own_cosine)])
@hypothesis.given(vectors())
def test_the_same_formula_as_a_function_gives_the_same_distance(name, function, example):
    given, where, _ = example
    named, own = (fast_distance(given, where, distance=distance) for distance in (name, function))
    np.testing.assert_allclose(own, named, rtol=1e-5, atol=1e-5)


# All lists together.

every_exposure = jax.jit(
    lambda counts: (metrics.gini(counts), metrics.shannon_entropy(counts)),
)
fast_personalization = jax.jit(functools.partial(metrics.personalization, num_users=7, k=3))


@hypothesis.given(st.lists(st.integers(0, 7), min_size=ITEMS, max_size=ITEMS), st.randoms(), st.integers(1, 1000))
def test_exposure_sees_neither_names_nor_scale_and_is_bounded(counts, random, times):
    moved = [times * count for count in random.sample(counts, ITEMS)]
    (gini, entropy), (other_gini, other_entropy) = (every_exposure(np.array(own, np.int32)) for own in (counts, moved))
    np.testing.assert_allclose(other_gini, gini, atol=1e-6)
    np.testing.assert_allclose(other_entropy, entropy, atol=5e-6)
    listed = sum(count > 0 for count in counts)
    assert 0 <= gini <= 1 - 1 / ITEMS + 1e-6
    # With as many items as are listed, entropy cannot be higher, and Gini not be lower.
    assert -1e-6 <= entropy <= np.log(max(listed, 1)) + 5e-6
    assert not listed or gini >= 1 - listed / ITEMS - 1e-6


@hypothesis.given(st.integers(0, 2**32 - 1), st.integers(3, ITEMS))
def test_personalization_is_bounded_and_0_for_equal_lists(seed, width):
    rng = np.random.default_rng(seed)
    own = np.array([rng.permutation(width)[:3] for _ in range(7)], np.int32)
    value = fast_personalization(metrics.exposure(own, ITEMS))
    assert 0 <= value <= 1
    assert width > 3 or value <= 1e-6  # the same three items for all
