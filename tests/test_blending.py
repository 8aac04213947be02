"""Calibrations and the scorer of a blend against their twins, and at the edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import blending as reference

from jaxrec.blending import BlendScorer, LogShare, LogSoftmax, ZScore
from jaxrec.data import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.scorers import FactorScorer, PopularityScorer, TableScorer

CASES = {
    "softmax": (LogSoftmax(0.5), functools.partial(reference.log_softmax, temperature=0.5)),
    "share": (LogShare(1.5, 0.2), functools.partial(reference.log_share, power=1.5, smoothing=0.2)),
    "zscore": (ZScore(), reference.z_score),
}


def drawn(users=4, items=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(users, items)).astype(np.float32), rng.random((users, items)) < 0.6


@pytest.mark.parametrize("name", CASES)
def test_calibrations_are_those_of_the_twin(name):
    calibration, twin = CASES[name]
    scores, where = drawn()
    where[:, 0] = True
    found = calibration(jnp.asarray(scores), jnp.asarray(where))
    assert found.dtype == jnp.float32
    wanted = np.stack([twin(*pair) for pair in zip(scores.astype(np.float64), where, strict=True)])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_what_one_more_of_a_score_adds(name):
    calibration, (scores, where) = CASES[name][0], drawn()
    where[:, 0] = True
    slope = calibration.slope(jnp.asarray(scores), jnp.asarray(where))
    if name == "share":
        assert slope is None
        return
    found = np.asarray(calibration(jnp.asarray(scores), jnp.asarray(where)))
    np.testing.assert_allclose(
        found[:, 1:] - found[:, :1], slope * (scores[:, 1:] - scores[:, :1]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["softmax", "share"])
def test_log_probabilities_of_what_counts_sum_to_one(name):
    scores, where = drawn(seed=1)
    where[:, 0] = True
    logs = np.asarray(CASES[name][0](jnp.asarray(scores), jnp.asarray(where)))
    np.testing.assert_allclose(np.where(where, np.exp(logs), 0).sum(axis=1), 1, rtol=1e-5)


HUGE = [1e30, -1e30, 0.0]  # their squares leave float32
SMALL = [[0.0, 0.0, 0.0], [3.0, 1e-30, -5.0]]


@pytest.mark.parametrize(
    ("name", "scores"), [*((name, scores) for name in CASES for scores in SMALL), ("softmax", HUGE), ("share", HUGE)]
)
@pytest.mark.parametrize("where", [[True, True, True], [False, True, False], [False, False, False]])
def test_values_and_gradients_are_finite_at_the_edges(name, scores, where):
    calibration, scores, where = CASES[name][0], jnp.array([scores]), jnp.array([where])
    assert np.isfinite(calibration(scores, where)).all()

    def total(calibration, scores):
        return jnp.sum(jnp.where(where, calibration(jnp.maximum(scores, -50), where), 0))

    gradients = jax.grad(total, argnums=(0, 1))(calibration, jnp.minimum(scores, 50))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize(("name", "kind"), [("temperature", LogSoftmax), ("power", LogShare)])
def test_numbers_that_are_not_positive_are_refused(name, kind):
    with pytest.raises(JaxrecError, match=f"{name} must be above 0, got 0.0"):
        kind(**{name: 0.0})
    with pytest.raises(JaxrecError, match="smoothing must be at least 0"):
        LogShare(smoothing=-0.1)


def seen_of(rows):
    ends = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return SeenItems(jnp.asarray(ends), jnp.asarray([item for row in rows for item in row], jnp.int32))


def a_blend(weights, seen, tables):
    calibrations = tuple(CASES[name][0] for name in ("softmax", "share", "zscore"))
    longest = max(1, *map(len, seen))
    members = tuple(TableScorer(jnp.asarray(table)) for table in tables)
    return BlendScorer(members, calibrations, jnp.asarray(weights, jnp.float32), seen_of(seen), longest)


@pytest.mark.parametrize("seen", [[[1, 3], [], [0, 1, 2, 6], [5]], [[], [], [], []]])
def test_a_blend_is_that_of_the_twin(seen):
    tables = [drawn(seed=seed)[0] for seed in (2, 3, 4)]
    weights = [0.5, 2.0, -1.0]
    blend = a_blend(weights, seen, tables)
    twins = [CASES[name][1] for name in ("softmax", "share", "zscore")]
    wanted = reference.blended(tables, twins, weights, list(map(set, seen)))
    users = jnp.array([3, 0, 1, 2], jnp.int32)
    np.testing.assert_allclose(jax.jit(blend.scores)(users), wanted[[3, 0, 1, 2]], rtol=1e-4, atol=1e-4)
    pairs = blend.pair_scores(users, jnp.array([6, 0, 2, 3], jnp.int32))
    np.testing.assert_allclose(pairs, wanted[[3, 0, 1, 2], [6, 0, 2, 3]], rtol=1e-4, atol=1e-4)


def test_an_item_that_a_member_rules_out_is_never_recommended_even_at_weight_0():
    tables = [drawn(seed=seed)[0] for seed in (2, 3, 4)]
    tables[1][0, 2] = -np.inf
    scores = np.asarray(a_blend([1.0, 0.0, 0.0], [[], [], [], []], tables).scores(jnp.array([0, 1], jnp.int32)))
    assert scores[0, 2] == -np.inf
    assert np.isfinite(scores).sum() == scores.size - 1
    assert not np.isnan(scores).any()


def test_popularity_as_a_share_is_the_log_of_its_share():
    counts = jnp.array([1.0, 3.0, 0.0, 4.0])
    blend = BlendScorer(
        (PopularityScorer(counts, num_users=1),), (LogShare(smoothing=0.0),), jnp.ones(1), seen_of([[3]]), 1
    )
    np.testing.assert_allclose(np.exp(blend.scores(jnp.array([0]))[0, :2]), [0.25, 0.75], rtol=1e-6)


def test_similar_items_are_those_that_the_members_agree_on():
    vectors = jnp.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.7, 0.7]])
    factors = FactorScorer(jnp.ones((1, 2)), vectors, dim=2)
    popular = PopularityScorer(jnp.arange(4.0), num_users=1)
    both = BlendScorer((factors, popular), (LogSoftmax(), LogShare()), jnp.array([0.5, 2.0]), seen_of([[0]]), 1)
    likeness = np.array(both.similarities(jnp.array([0])))
    likeness[0, 0] = -np.inf
    alone = np.array(factors.similarities(jnp.array([0])))
    assert np.argsort(-likeness[0]).tolist() == [1, 3, 2, 0]
    assert alone[0, 1] > alone[0, 3] > alone[0, 2]
    alone = BlendScorer((popular,), (LogShare(),), jnp.ones(1), seen_of([[0]]), 1)
    with pytest.raises(JaxrecError, match="no member of the blend"):
        alone.similarities(jnp.array([0]))
