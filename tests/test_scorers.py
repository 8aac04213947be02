"""`with_popularity`: the scores by arithmetic, what its theory says, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec import losses
from jaxrec.errors import MismatchError
from jaxrec.scorers import FactorScorer, with_popularity


def test_scores_are_similarity_over_temperature_plus_weighted_log_share():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    share = np.array([0.5, 0.2, 0.2, 0.1, 0.0])
    with np.errstate(divide="ignore"):
        log_share = jnp.asarray(np.log(share), jnp.float32)
    scorer = FactorScorer(jnp.asarray(users, jnp.float32), jnp.asarray(items, jnp.float32), dim=3)
    prior = 0.7 * np.log([0.5, 0.2, 0.2, 0.1, 0.1])  # the item without interactions is as rare as the rarest
    cosines = users @ items.T / np.linalg.norm(users, axis=1)[:, None] / np.linalg.norm(items, axis=1)
    everyone = jnp.arange(4, dtype=jnp.int32)
    for cosine, similarity in ((True, cosines), (False, users @ items.T)):
        adjusted = with_popularity(scorer, log_share, weight=0.7, temperature=0.2, cosine=cosine)
        np.testing.assert_allclose(adjusted.scores(everyone), similarity / 0.2 + prior, rtol=1e-4, atol=1e-4)
        pair = adjusted.pair_scores(everyone[:2], everyone[2:])
        np.testing.assert_allclose(pair, (similarity / 0.2 + prior)[[0, 1], [2, 3]], rtol=1e-4, atol=1e-4)


def test_similar_items_do_not_depend_on_popularity():
    scorer = FactorScorer(jnp.ones((1, 2)), jnp.array([[1.0, 0.0], [0.9, 0.1], [0.0, 2.0]]), dim=2)
    log_share = jnp.log(jnp.array([0.001, 0.001, 0.998]))
    adjusted = with_popularity(scorer, log_share, weight=5.0, temperature=0.1)
    chosen = jnp.arange(3, dtype=jnp.int32)
    np.testing.assert_allclose(adjusted.similarities(chosen), scorer.similarities(chosen), atol=1e-6)


def test_the_softmax_in_the_batch_learns_probability_over_popularity_so_weight_1_ranks_by_probability():
    """At z_ui = log p(i | u) - log p_i the gradient of the loss is 0, and the prior turns z into log p(i | u).

    The batch holds every pair as often as it occurs. Row (u, i) wants z_ui, and each row of u counts item i as often as
    i is in the batch: B p_i exp(z_ui) / sum over the batch of exp(z_u.) = B p(i | u) / B.
    """
    pairs = np.array([[6, 1, 1], [2, 5, 3]])  # how often user u took item i
    user, item = (np.repeat(at.ravel(), pairs.ravel()) for at in np.indices(pairs.shape))
    conditional, share = pairs / pairs.sum(1, keepdims=True), pairs.sum(0) / pairs.sum()
    learned = jnp.asarray(np.log(conditional / share), jnp.float32).T  # the vectors of items, users being one-hot

    def loss(vectors):
        return losses.in_batch_softmax(jnp.eye(2)[user], vectors[item], temperature=1.0, cosine=False)

    np.testing.assert_allclose(jax.grad(loss)(learned), np.zeros((3, 2)), atol=1e-6)
    assert not np.allclose(jax.grad(loss)(jnp.asarray(np.log(conditional), jnp.float32).T), 0, atol=1e-3)
    scorer = FactorScorer(jnp.eye(2), learned, dim=2)
    log_share = jnp.asarray(np.log(share), jnp.float32)
    adjusted = with_popularity(scorer, log_share, weight=1.0, temperature=1.0, cosine=False)
    np.testing.assert_allclose(adjusted.scores(jnp.array([0, 1])), np.log(conditional), rtol=1e-5)


def test_shares_of_another_catalogue_raise():
    scorer = FactorScorer(jnp.ones((1, 2)), jnp.ones((3, 2)), dim=2)
    with pytest.raises(MismatchError, match=r"log_probability has shape \(2,\), expected \(3,\)"):
        with_popularity(scorer, jnp.zeros(2), weight=1.0)
