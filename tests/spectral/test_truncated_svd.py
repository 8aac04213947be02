"""The truncated SVD against scipy's, on random sparse matrices and on a real one."""

import os
import pathlib

import jax
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError
from jaxrec.spectral import truncated_svd


def random_sparse(rows, columns, seed=0):
    made = scipy.sparse.random_array((rows, columns), density=0.1, rng=seed, dtype=np.float32)
    return made, graph.from_scipy(made)


def exact(matrix, rank):
    """The leading singular triplets in float64, largest first."""
    u, s, vt = scipy.sparse.linalg.svds(matrix.astype(np.float64), rank, v0=np.ones(min(matrix.shape)), tol=1e-12)
    order = np.argsort(-s)
    return u[:, order], s[order], vt[order]


def sine(first, second):
    """The sine of the largest angle between the spaces that the columns of two orthonormal tables span."""
    first, second = np.float64(first), np.float64(second)
    return np.linalg.norm(second - first @ (first.T @ second), 2)  # what is left of one outside of the other


@pytest.mark.parametrize(("rows", "columns", "rank"), [(60, 40, 5), (40, 60, 5), (60, 40, 40)])
def test_it_agrees_with_scipy(rows, columns, rank, key):
    made, matrix = random_sparse(rows, columns)
    u, s, vt = (np.asarray(part) for part in truncated_svd(matrix, rank, key))
    assert (u.shape, s.shape, vt.shape) == ((rows, rank), (rank,), (rank, columns))
    assert u.dtype == s.dtype == vt.dtype == np.float32
    dense = made.toarray().astype(np.float64)
    expected = np.linalg.svd(dense, compute_uv=False)[:rank]
    np.testing.assert_allclose(s, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(u.T @ u, np.eye(rank), atol=1e-5)
    np.testing.assert_allclose(vt @ vt.T, np.eye(rank), atol=1e-5)
    # No matrix of this rank comes closer than the square root of what the other singular values leave.
    error = np.linalg.norm(dense - (u * s) @ vt)
    best = np.linalg.norm(np.linalg.svd(dense, compute_uv=False)[rank:])
    assert error <= best * 1.001 + 1e-4


def test_the_leading_spaces_are_those_of_scipy_and_iterations_help(key):
    # Two heavy columns, so that the first two singular vectors span a space of their own.
    made = random_sparse(60, 40)[0] @ scipy.sparse.diags_array([8.0, 6.0] + [1.0] * 38)
    matrix = graph.from_scipy(made)
    u, s, vt = exact(made, 5)
    assert s[1] > 2 * s[2]
    sines = []
    for iterations in (1, 30):
        got_u, got_s, got_vt = truncated_svd(matrix, 5, key, oversampling=2, iterations=iterations)
        sines.append((sine(got_vt[:2].T, vt[:2].T), sine(got_u[:, :2], u[:, :2])))
    assert max(sines[1]) < 1e-4 < min(sines[0])
    np.testing.assert_allclose(got_s[:2], s[:2], rtol=1e-5)


def test_signs_are_fixed_and_keys_count(key):
    matrix = sparse.from_dense(np.diag(np.arange(1.0, 9.0, dtype=np.float32)))
    one, again, other = (truncated_svd(matrix, 3, k, iterations=30) for k in (key, key, jax.random.key(1)))
    for first, second, third in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, third, atol=1e-3)
    np.testing.assert_allclose(one[2], np.eye(8)[[7, 6, 5]], atol=1e-3)  # the largest entry of each is positive
    operator = truncated_svd(sparse.operator(matrix), 3, key, iterations=30)
    np.testing.assert_array_equal(operator[1], one[1])


@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
def test_matrices_of_low_rank_and_of_nothing_are_finite(shape, key):
    ones = np.ones(shape, np.float32)  # one singular value, sqrt(12)
    u, s, vt = (np.asarray(part) for part in truncated_svd(sparse.from_dense(ones), 3, key))
    np.testing.assert_allclose(s, [np.sqrt(12), 0, 0], atol=1e-5)
    np.testing.assert_allclose((u * s) @ vt, ones, atol=1e-5)
    for part in truncated_svd(sparse.from_dense(0 * ones), 3, key):
        assert np.isfinite(part).all()


@pytest.mark.parametrize("rank", [0, -1, 4])
def test_a_rank_out_of_range_raises(rank, key):
    with pytest.raises(JaxrecError, match=f"rank must lie in 1..3 .* got {rank}"):
        truncated_svd(sparse.from_dense(np.ones((5, 3), np.float32)), rank, key)


def movielens():
    """The ratings of MovieLens 100K as a binary matrix, from a folder on this machine."""
    default = pathlib.Path(__file__).parents[3] / "shared" / "data"
    path = pathlib.Path(os.environ.get("JAXREC_DATA", default)) / "ml-100k" / "u.data"
    if not path.exists():
        pytest.skip("needs ml-100k/u.data in the folder that JAXREC_DATA names")
    user, item = np.loadtxt(path, dtype=np.int64, usecols=(0, 1)).T - 1
    return scipy.sparse.csr_array((np.ones(len(user), np.float32), (user, item)), shape=(943, 1682))


def test_rank_64_of_real_interactions_agrees_with_scipy(key):
    made = movielens()
    u, s, vt = (np.asarray(part) for part in truncated_svd(graph.from_scipy(made), 64, key))
    _, expected, right = exact(made, 64)
    # Close singular values converge slowly, and the last of 64 lie 0.1% apart. What matters is that no other table
    # of this rank holds noticeably more of the matrix.
    error = np.abs(s / expected - 1)
    assert error[:16].max() < 1e-5
    assert error[:32].max() < 1e-3
    assert error.max() < 2e-2
    assert sine(vt[:16].T, right[:16].T) < 1e-3
    dense = made.toarray().astype(np.float64)
    left, best = np.linalg.norm(dense - (u * s) @ vt), np.sqrt(np.sum(dense**2) - np.sum(expected**2))
    assert left < best * 1.001
