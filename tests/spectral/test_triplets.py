"""Singular triplets by filtered iteration against NumPy's decomposition, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import from_dense, operator
from jaxrec.spectral import singular_triplets


def sparse_matrix(shape, seed=0):
    rng = np.random.default_rng(seed)
    return ((rng.random(shape) < 0.1) * rng.random(shape)).astype(np.float32)


@pytest.mark.parametrize(("shape", "rank"), [((90, 140), 5), ((140, 90), 5), ((30, 40), 30)])
def test_the_triplets_are_those_of_the_dense_decomposition(shape, rank):
    dense = sparse_matrix(shape)
    u, s, vt = np.linalg.svd(dense.astype(np.float64))
    found = singular_triplets(from_dense(dense), rank, jax.random.key(1), tolerance=1e-5, oversampling=10, rounds=60)
    assert (found.residuals <= 1e-5).all()
    np.testing.assert_allclose(found.values, s[:rank], rtol=1e-4, atol=1e-3)
    # The vectors of the larger side are products divided by the values, so rounding counts the more, the smaller these.
    rounding = 8 * np.finfo(np.float32).eps * (s[0] / s[:rank, None]) * (s[0] / s[None, :rank])
    for side in (found.left, found.right):
        assert (np.abs(side.T @ side - np.eye(rank)) <= np.maximum(rounding, 2e-6)).all()
    left, right = np.asarray(found.left), np.asarray(found.right)
    signs = np.sign(np.sum(right * vt[:rank].T, axis=0))
    gaps = s[:rank] - np.append(s, 0)[1 : rank + 1] > 0.02
    close = {"atol": 2e-2, "rtol": 0}
    np.testing.assert_allclose((right * signs)[:, gaps], vt[:rank].T[:, gaps], **close)
    np.testing.assert_allclose((left * signs)[:, gaps], u[:, :rank][:, gaps], **close)


def test_a_looser_tolerance_takes_fewer_rounds_and_a_start_fewer_still():
    matrix = operator(from_dense(sparse_matrix((300, 400), 2)))
    tight = singular_triplets(matrix, 40, jax.random.key(0), tolerance=1e-4, oversampling=10, rounds=50)
    loose = singular_triplets(matrix, 40, jax.random.key(0), tolerance=1e-2, oversampling=10, rounds=50)
    again = singular_triplets(
        matrix, 40, jax.random.key(0), tolerance=1e-4, oversampling=10, rounds=50, start=tight.left
    )
    assert again.rounds < loose.rounds + 2 < tight.rounds
    np.testing.assert_allclose(again.values, tight.values, rtol=1e-4)
    assert (loose.residuals <= 1e-2).all()


def test_a_start_from_a_similar_matrix_takes_no_more_rounds_than_none():
    dense = sparse_matrix((300, 400), 2)
    kept = np.random.default_rng(0).random(dense.shape) < 0.9
    similar = singular_triplets(from_dense(dense * kept), 40, jax.random.key(0), tolerance=1e-3).left
    matrix = operator(from_dense(dense))
    plain, started = (
        singular_triplets(matrix, 40, jax.random.key(0), tolerance=1e-3, start=start) for start in (None, similar)
    )
    assert started.rounds <= plain.rounds
    np.testing.assert_allclose(started.values, plain.values, rtol=1e-3)


def test_values_of_0_are_found_too():
    dense = np.zeros((60, 80), np.float32)
    dense[:3, :3] = np.diag([3.0, 2.0, 1.0])
    found = singular_triplets(from_dense(dense), 5, jax.random.key(0), oversampling=2)
    np.testing.assert_allclose(found.values, [3, 2, 1, 0, 0], atol=1e-3)
    assert np.isfinite(found.right).all()


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"rank": 0}, JaxrecError, r"rank must lie in 1\.\.3"),
        ({"rank": 4}, JaxrecError, r"rank must lie in 1\.\.3"),
        ({"tolerance": 0.0}, JaxrecError, "tolerance must be positive, got 0.0"),
        ({"oversampling": -1}, JaxrecError, "got -1 and 20"),
        ({"rounds": 0}, JaxrecError, "got 64 and 0"),
        ({"start": jnp.ones((4, 1))}, MismatchError, r"start has shape \(4, 1\), expected \[3, up to 3\]"),
    ],
)
def test_bad_options_are_told(words, error, match):
    with pytest.raises(error, match=match):
        singular_triplets(from_dense(np.ones((3, 4), np.float32)), **{"rank": 1, **words}, key=jax.random.key(0))
