"""The common item space: geometry of the vectors, what is left out, and popularity against random lists."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation import evaluate_scorer
from jaxrec.ranking import ItemSpace, feature_space, item_space
from jaxrec.scorers import TableScorer


def dense(matrix):
    """Interactions of a 0-1 matrix [U, I], every user and item in the catalog."""
    whole = Interactions.from_arrays(*(axis.ravel() for axis in np.indices(matrix.shape)))
    return whole.select(np.asarray(matrix, bool).ravel())


def random_data(num_users=40, num_items=30, density=0.3):
    return dense(np.random.default_rng(0).random((num_users, num_items)) < density)


def test_vectors_are_scaled_rows_of_v_s(key):
    data = random_data()
    space = item_space(data, key, rank=6)
    matrix = np.zeros((data.num_users, data.num_items))
    matrix[data.user, data.item] = 1
    _, s, vt = np.linalg.svd(matrix, full_matrices=False)
    rows = (vt[:6] * s[:6, None]).T
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # The axes of an SVD have no fixed sign, but the angles between the vectors have.
    np.testing.assert_allclose(space.vectors @ space.vectors.T, rows @ rows.T, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(space.vectors, axis=1), 1, rtol=1e-5)
    assert space.vectors.dtype == np.float32
    assert space.known.all()


def test_rank_and_seed_are_recorded(key):
    space = item_space(random_data(), key, rank=6)
    assert space.rank == 6
    assert space.seed == tuple(jax.random.key_data(key).tolist())
    assert space.description == "rows of V S of a rank-6 SVD of the training matrix, scaled to length 1"
    np.testing.assert_array_equal(space.vectors, item_space(random_data(), key, rank=6).vectors)


def test_a_rank_too_large_is_cut_and_told(key):
    data = random_data(5, 30, 0.5)
    space = item_space(data, key, rank=64)
    assert space.rank == 5 - 1
    expected = f"rank 64 cut to 4, for 5 users and {len(np.unique(data.item))} items with training data"
    assert space.notes[0] == expected


def test_what_has_no_direction_is_left_out_and_told(key):
    matrix = np.zeros((9, 8), bool)
    matrix[:4, :2] = matrix[4:8, 2:4] = True  # two blocks of four users and two items: singular values sqrt(8)
    matrix[8, 4:6] = True  # an island of one user with two items: singular value sqrt(2), the third
    space = item_space(dense(matrix), key, rank=2)
    np.testing.assert_array_equal(space.known, [True] * 4 + [False] * 4)
    np.testing.assert_array_equal(space.vectors[4:], 0)
    assert space.notes == (
        "2 items without training data have no vector",
        "2 items outside the first 2 directions have no vector",
    )
    corner = space.vectors[:4] @ space.vectors[:4].T
    np.testing.assert_allclose(corner, np.kron(np.eye(2), np.ones((2, 2))), atol=1e-5)


def test_features_of_the_caller_keep_their_scale():
    features = np.array([[1.0, 0.0], [0.0, 5.0], [np.nan, 0.0]])
    space = feature_space(features, known=np.array([True, True, False]), description="two genres")
    np.testing.assert_array_equal(space.vectors, [[1, 0], [0, 5], [0, 0]])
    assert (space.rank, space.num_items, space.description, space.seed) == (2, 3, "two genres", None)
    np.testing.assert_array_equal(feature_space(jnp.eye(3)).vectors, np.eye(3))


def test_a_space_does_not_change():
    features = np.eye(3, dtype=np.float32)
    space = feature_space(features)
    features[:] = 9
    np.testing.assert_array_equal(space.vectors, np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        space.vectors[0] = 1


def test_bad_input_is_refused(key):
    with pytest.raises(JaxrecError, match="rank is 0; pass a width of at least 1"):
        item_space(random_data(), key, rank=0)
    with pytest.raises(JaxrecError, match="train has 1 users and 30 items with data; an item space needs at least two"):
        item_space(dense(np.ones((1, 30))), key)
    with pytest.raises(DataError, match=r"the vector of item 1 is not finite \(1 such items\); set known to False"):
        feature_space(np.array([[1.0], [np.inf]]))
    with pytest.raises(MismatchError, match=r"features has shape \(3,\) and dtype float64; pass numbers \[I, f\]"):
        feature_space(np.ones(3))
    with pytest.raises(MismatchError, match=r"vectors has shape \(3, 2\) and known bool\[2\]"):
        ItemSpace(np.ones((3, 2)), np.ones(2, bool))


@pytest.fixture(scope="module")
def movielens():
    """The ratings of ML-100K as interactions, a random fifth of them held out."""
    root = pathlib.Path(__file__).parents[2]
    folder = pathlib.Path(os.environ.get("JAXREC_DATA", root.parent / "shared" / "data"))
    file = folder / "ml-100k" / "u.data"
    if not file.exists():
        pytest.skip("needs ml-100k/u.data in the folder that JAXREC_DATA names")
    user, item = np.loadtxt(file, dtype=np.int64, usecols=(0, 1), unpack=True)
    data = Interactions.from_arrays(user, item)
    held_out = np.random.default_rng(0).random(len(data)) < 0.2
    return data.select(~held_out), data.select(held_out)


def test_random_lists_are_more_diverse_than_those_of_popularity(movielens, key):
    train, test = movielens
    space, seen = item_space(train, key, rank=16), seen_items(train)
    popularity = np.bincount(train.item, minlength=train.num_items).astype(np.float32)
    shape = (train.num_users, train.num_items)
    by_popularity = TableScorer(jnp.asarray(np.broadcast_to(popularity, shape)))
    at_random = TableScorer(jax.random.uniform(key, shape))
    distance = {
        name: evaluate_scorer(scorer, test, seen=seen, k=10, space=space)
        for name, scorer in {"popularity": by_popularity, "random": at_random}.items()
    }
    low, _ = distance["random"].interval("ild@10")
    _, high = distance["popularity"].interval("ild@10")
    assert low > high
    assert distance["popularity"].mean("recall@10") > distance["random"].mean("recall@10")
