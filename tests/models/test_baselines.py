"""Popularity counts users, random scores are uniform and fixed by their key, and neither knows similar items."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxrec
from jaxrec import Popularity, Random
from jaxrec.errors import JaxrecError
from jaxrec.training import train_data


def test_popularity_is_the_number_of_users_that_have_the_item():
    data = jaxrec.from_arrays([0, 1, 2, 0, 0, 1, 3], [10, 10, 10, 11, 12, 12, 13])
    scorer = Popularity(num_users=4, num_items=4).apply({}, train_data(data).adjacency)
    np.testing.assert_array_equal(scorer.counts, [3, 1, 2, 1])
    np.testing.assert_array_equal(scorer.scores(jnp.array([3, 0], jnp.int32)), [[3, 1, 2, 1]] * 2)
    np.testing.assert_array_equal(
        scorer.pair_scores(jnp.array([3, 0], jnp.int32), jnp.array([0, 2], jnp.int32)), [3, 2]
    )


def test_a_pair_that_occurs_twice_counts_once():
    data = jaxrec.from_arrays([0, 0, 1], [10, 10, 11])
    fitted = jaxrec.fit(Popularity(), data, key=jax.random.key(0))
    np.testing.assert_array_equal(fitted.scorer.counts, [1, 1])


def test_ties_in_popularity_go_to_the_item_with_the_lower_index():
    data = jaxrec.from_arrays(["u", "v", "w"], ["c", "a", "b"])
    fitted = jaxrec.fit(Popularity(), data, key=jax.random.key(0))
    assert [one.item for one in jaxrec.recommend(fitted, ["u"], k=2)["u"]] == ["a", "b"]


def random_scorer(seed, users=200, items=150):
    model = Random(num_users=users, num_items=items)
    return model.apply(model.init(jax.random.key(seed)))


def test_random_scores_are_uniform_and_differ_between_users_items_and_keys():
    scorer = random_scorer(0)
    scores = np.asarray(scorer.scores(jnp.arange(200, dtype=jnp.int32)))
    assert scores.min() >= 0
    assert scores.max() < 1
    assert scipy.stats.kstest(scores.ravel(), "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(scores[:-1].ravel(), scores[1:].ravel())[0, 1]) < 0.03
    assert len(np.unique(scores[0])) == 150
    assert np.any(scores != random_scorer(1).scores(jnp.arange(200, dtype=jnp.int32)))


def test_random_scores_do_not_depend_on_who_is_asked_together():
    scorer = random_scorer(0)
    alone = np.asarray(scorer.scores(jnp.array([7], jnp.int32)))
    together = np.asarray(scorer.scores(jnp.array([3, 7, 9], jnp.int32)))
    np.testing.assert_array_equal(alone[0], together[1])


@pytest.mark.parametrize("model", [Popularity(), Random()])
def test_neither_knows_similar_items(model):
    fitted = jaxrec.fit(model, jaxrec.from_arrays([0, 1], [0, 1]), key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="no similarity between items; use itemknn"):
        fitted.scorer.similarities(jnp.array([0], jnp.int32))
