"""IALS: new users by its own equation, weights of confidence, the exponent of the degree, and bad options."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import IALS
from jaxrec.errors import JaxrecError
from jaxrec.factorization import implicit_als
from jaxrec.models import LinearConfidence, LogConfidence
from jaxrec.sparse import from_dense
from jaxrec.testing import checkerboard

USERS, ITEMS = 20, 12


def counts(seed=0):
    rng = np.random.default_rng(seed)
    r = (rng.random((USERS, ITEMS)) < 0.4) * rng.integers(1, 9, (USERS, ITEMS))
    r[0], r[:, 0] = 2, 3  # so that rows and columns have the order of the ids
    r[:, 1] = rng.integers(0, 2, USERS)
    r[0, 1] = 1
    return r


def data_of(r):
    user, item = np.nonzero(r)
    return jaxrec.from_arrays(user, item, r[user, item].astype(np.float64))


MODELS = {
    "dual": IALS(dim=70, iterations=2),
    "primal": IALS(dim=3, iterations=3, frequency=0.5),
    "degree": IALS(dim=4, iterations=2, degree_exponent=0.3),
    "confidence": IALS(dim=4, iterations=2, confidence=LinearConfidence(slope=0.7, base=0.2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_new_user_gets_the_vector_of_a_fitted_one_with_the_same_items(name):
    r = counts()
    fitted = jaxrec.fit(MODELS[name], data_of(r), key=jax.random.key(0))
    histories = {f"new {u}": {int(i): float(r[u, i]) for i in np.flatnonzero(r[u])} for u in range(USERS)}
    if MODELS[name].confidence is None:
        histories = {user: list(items) for user, items in histories.items()}
    known = jaxrec.recommend(fitted, list(range(USERS)), k=3)
    found = jaxrec.recommend(fitted, interactions=histories, k=3)
    for u in range(USERS):
        one, other = known[u], found[f"new {u}"]
        assert [each.item for each in one] == [each.item for each in other]
        np.testing.assert_allclose([each.score for each in one], [each.score for each in other], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("confidence", [LinearConfidence(slope=2.0), LogConfidence(slope=3.0, unit=2.0, base=0.5)])
def test_confidence_is_the_weight_of_a_pair(confidence):
    r = counts()
    fitted = jaxrec.fit(
        IALS(dim=3, unobserved=0.1, iterations=2, confidence=confidence), data_of(r), key=jax.random.key(0)
    )
    if isinstance(confidence, LinearConfidence):
        c = np.where(r > 0, 1 + 2 * r, 0)
    else:
        c = np.where(r > 0, 0.5 + 3 * np.log(1 + r / 2), 0)
    key = jax.random.wrap_key_data(fitted.variables["draw"]["key"])
    made = implicit_als(from_dense(c.astype(np.float32)), 3, key, iterations=2, l2=0.01)
    np.testing.assert_allclose(fitted.scorer.users, made.users, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.scorer.items, made.items, rtol=1e-4, atol=1e-5)


def test_scores_are_multiplied_by_a_power_of_the_degree():
    data = data_of(counts())
    plain, raised = (
        jaxrec.fit(IALS(dim=4, iterations=2, degree_exponent=e), data, key=jax.random.key(0)) for e in (0.0, 0.5)
    )
    degrees = np.bincount(data.item, minlength=ITEMS)
    users = jnp.arange(USERS, dtype=jnp.int32)
    expected = np.asarray(plain.scorer.scores(users)) * np.sqrt(degrees)[None, :]
    np.testing.assert_allclose(raised.scorer.scores(users), expected, rtol=1e-5, atol=1e-6)


def test_several_seeds_are_those_of_one_at_a_time():
    keys = list(jax.random.split(jax.random.key(0), 2))
    model = IALS(dim=3, iterations=1)
    together = jaxrec.fit_many(model, checkerboard(), keys=keys)
    alone = [jaxrec.fit(model, checkerboard(), key=key) for key in keys]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.scorer.users, other.scorer.users)
    assert np.any(together[0].scorer.users != together[1].scorer.users)


def test_confidence_without_ratings_raises():
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    with pytest.raises(JaxrecError, match="confidence needs ratings or counts, and the data has none"):
        jaxrec.fit(IALS(dim=2, confidence=LogConfidence()), data, key=jax.random.key(0))


def test_new_users_of_a_model_with_confidence_need_ratings():
    fitted = jaxrec.fit(IALS(dim=2, confidence=LogConfidence()), data_of(counts()), key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="ratings"):
        jaxrec.recommend(fitted, history=[0, 1], k=2)


def test_weights_that_are_negative_raise():
    model = IALS(dim=2, confidence=LinearConfidence(slope=-1.0, base=0.0))
    with pytest.raises(JaxrecError, match="weights must be finite and not negative"):
        jaxrec.fit(model, data_of(counts()), key=jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"l2": 0.0}, "l2 must be a finite number above 0, got 0.0"),
        ({"unobserved": -0.1}, "unobserved must be a finite number of at least 0"),
        ({"degree_exponent": float("nan")}, "degree_exponent must be a finite number, got nan"),
        ({"confidence": 3.0}, "confidence must be None or a frozen dataclass object .* got 3.0"),
        ({"confidence": lambda rating: rating}, "confidence must be None or a frozen dataclass object"),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(JaxrecError, match=message):
        IALS(**options)


def test_a_unit_that_is_not_positive_raises():
    with pytest.raises(JaxrecError, match="unit must be positive, got 0"):
        dataclasses.replace(LogConfidence(), unit=0.0)


def test_the_weight_of_a_pair_falls_with_the_size_of_the_data():
    # By hand: 300 / sqrt(200 x 800) = .75 is above .3; 300 / sqrt(2,000 x 8,000) = .075.
    assert IALS().unobserved is None
    assert IALS(num_users=200, num_items=800).unobserved == 0.3
    assert IALS(num_users=2_000, num_items=8_000).unobserved == 0.075
    assert IALS(unobserved=0.1, num_users=2_000, num_items=8_000).unobserved == 0.1
