"""Every public function that takes a key refuses a seed in its place, and says what to pass."""

import functools
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import (
    api,
    data,
    evaluation,
    factorization,
    fitting,
    ranking,
    reports,
    sampling,
    spectral,
    statistics,
    training,
)
from jaxrec._keys import one_key
from jaxrec.data import splitting
from jaxrec.errors import JaxrecError
from jaxrec.sparse import from_dense

DATA = data.Interactions.from_arrays([0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 2, 2, 3, 3, 0])
SPLIT = splitting.split(DATA, "user_random", test=0.5)
"""Two items a user, one of them held out."""

SQUARE = np.eye(4, dtype=np.float32)
VALUES = np.arange(4) / 4
SEEN = data.SeenItems(jnp.array([0, 1, 2, 3, 4], jnp.int32), jnp.array([0, 1, 2, 3], jnp.int32))
USERS = jnp.arange(4, dtype=jnp.int32)


def matrix():
    return from_dense(SQUARE)


@functools.cache
def popular():
    return fitting.fit(jaxrec.Popularity(), SPLIT, key=jax.random.key(0))


def batch(key):
    return training.make_batch(
        training.train_data(SPLIT.train), USERS, jnp.ones(4, bool), key, negatives=sampling.Uniform()
    )


CALLS = {
    "jaxrec.api.cross_validate": lambda key: api.cross_validate(
        jaxrec.Popularity(), DATA, splitting.UserRandom(), key=key
    ),
    "jaxrec.api.evaluate_sampled": lambda key: api.evaluate_sampled(popular(), SPLIT, key, sampled=1),
    "jaxrec.data.generate": lambda key: data.generate(4, 4, 6, key),
    "jaxrec.data.splitting.split": lambda key: splitting.split(DATA, "user_random", key=key),
    "jaxrec.evaluation.evaluate_scorer_sampled": lambda key: evaluation.evaluate_scorer_sampled(
        SQUARE, SPLIT.test, key, seen=SEEN, sampled=1
    ),
    "jaxrec.factorization.implicit_als": lambda key: factorization.implicit_als(matrix(), 2, key),
    "jaxrec.factorization.masked_nmf": lambda key: factorization.masked_nmf(matrix(), 2, key),
    "jaxrec.factorization.nmf": lambda key: factorization.nmf(matrix(), 2, key),
    "jaxrec.fitting.auto": lambda key: fitting.auto(SPLIT, key=key),
    "jaxrec.fitting.blend": lambda key: fitting.blend([popular(), popular()], SPLIT, key=key),
    "jaxrec.fitting.fit": lambda key: fitting.fit(jaxrec.Popularity(), SPLIT, key=key),
    "jaxrec.fitting.fit_many": lambda key: fitting.fit_many(jaxrec.MF(), SPLIT, keys=[key]),
    "jaxrec.fitting.tune": lambda key: fitting.tune(jaxrec.EASE(), SPLIT, space={"model.l2": [1.0, 2.0]}, key=key),
    "jaxrec.ranking.item_space": lambda key: ranking.item_space(DATA, key),
    "jaxrec.reports.compare_reports": lambda key: reports.compare_reports(
        {"a": jaxrec.evaluate(popular(), SPLIT, k=1), "b": jaxrec.evaluate(popular(), SPLIT, k=1)}, key
    ),
    "jaxrec.sampling.other_rows": lambda key: sampling.other_rows(SEEN, USERS, USERS, jnp.ones(4, bool), 1, key),
    "jaxrec.sampling.shuffled_batches": lambda key: sampling.shuffled_batches(4, 2, key),
    "jaxrec.sampling.uniform_negatives": lambda key: sampling.uniform_negatives(SEEN, USERS, 1, 4, key),
    "jaxrec.sampling.weighted_negatives": lambda key: sampling.weighted_negatives(
        sampling.mass_of(jnp.ones(4), SEEN, 4), SEEN, USERS, 1, key
    ),
    "jaxrec.spectral.coclusters": lambda key: spectral.coclusters(matrix(), 1, key),
    "jaxrec.spectral.estimate_largest_eigenvalue": lambda key: spectral.estimate_largest_eigenvalue(matrix(), key),
    "jaxrec.spectral.leading_eigenpairs": lambda key: spectral.leading_eigenpairs(matrix(), 1, key),
    "jaxrec.spectral.singular_triplets": lambda key: spectral.singular_triplets(matrix(), 1, key),
    "jaxrec.spectral.truncated_svd": lambda key: spectral.truncated_svd(matrix(), 1, key),
    "jaxrec.statistics.bootstrap_interval": lambda key: statistics.bootstrap_interval(VALUES, key),
    "jaxrec.statistics.compare_models": lambda key: statistics.compare_models(
        {"a": {"x": VALUES}, "b": {"x": VALUES}}, key
    ),
    "jaxrec.statistics.paired_bootstrap": lambda key: statistics.paired_bootstrap(VALUES, VALUES, key),
    "jaxrec.statistics.permutation_test": lambda key: statistics.permutation_test(VALUES, VALUES, key),
    "jaxrec.training.init_state": lambda key: training.init_state(jnp.ones(2), training.Adam(), key),
    "jaxrec.training.make_batch": batch,
}
"""A call of each with a key alone to be given."""


def public_functions_with_a_key():
    found = {}
    for module in pkgutil.walk_packages(jaxrec.__path__, "jaxrec."):
        if any(part.startswith("_") for part in module.name.split(".")) or module.name.startswith("jaxrec.testing"):
            continue
        room = importlib.import_module(module.name)
        for name in getattr(room, "__all__", ()):
            each = getattr(room, name)
            if callable(each) and not inspect.isclass(each) and {"key", "keys"} & set(_parameters(each)):
                found.setdefault(id(each), f"{module.name}.{name}")
    return set(found.values())


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()


def test_every_public_function_that_takes_a_key_is_in_the_table():
    assert public_functions_with_a_key() == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_seed_is_refused_with_the_key_to_pass(name):
    with pytest.raises(JaxrecError, match=r"key must be one key of jax.random, got 7; pass jax.random.key\(7\)"):
        CALLS[name](7)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, r"got True; pass jax.random.key\(0\)"),
        (-1, r"got -1; pass jax.random.key\(0\)"),
        ("0", r"got '0'; pass jax.random.key\(0\)"),
        (np.int64(3), r"got np.int64\(3\); pass jax.random.key\(3\)"),
        (np.random.default_rng(0), "got Generator"),
        (jnp.zeros(3), "got Array"),
        (jnp.zeros(2, jnp.int32), "got Array"),
        (jax.random.split(jax.random.key(0), 3), r"got an array of shape \(3,\); pass one of them"),
    ],
)
def test_other_kinds_are_refused_by_what_they_are(value, message):
    with pytest.raises(JaxrecError, match=message):
        one_key(value)


def test_the_name_of_the_argument_is_in_the_message():
    with pytest.raises(JaxrecError, match="seed must be one key"):
        one_key(1, "seed")


def test_a_raw_key_draws_what_the_key_of_the_same_seed_draws():
    raw, typed = jax.random.PRNGKey(3), jax.random.key(3)
    assert one_key(raw) == typed
    assert np.array_equal(jax.jit(lambda key: jax.random.bits(one_key(key)))(raw), jax.random.bits(typed))
