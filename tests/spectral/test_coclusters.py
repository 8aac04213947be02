"""Clusters of rows and columns together: planted blocks are found, and what a number means."""

import jax
import numpy as np
import pytest

from jaxrec.errors import JaxrecError
from jaxrec.sparse import from_dense
from jaxrec.spectral import coclusters

KEY = jax.random.key(0)
ROWS, COLUMNS, BLOCKS = 30, 40, 4


def planted(rng, within=0.6, between=0.02):
    """A matrix with dense blocks of rows and columns that are drawn at random, and the block of each."""
    rows, columns = rng.integers(0, BLOCKS, ROWS), rng.integers(0, BLOCKS, COLUMNS)
    likely = np.where(rows[:, None] == columns[None, :], within, between)
    return (rng.random((ROWS, COLUMNS)) < likely).astype(np.float32), rows, columns


def test_planted_blocks_are_found_with_their_rows_and_columns():
    dense, rows, columns = planted(np.random.default_rng(0))
    found = coclusters(from_dense(dense), BLOCKS, KEY, rank=BLOCKS)
    numbers = np.concatenate([found.rows, found.columns])
    blocks = np.concatenate([rows, columns])
    together = [np.bincount(numbers[blocks == block], minlength=BLOCKS) for block in range(BLOCKS)]
    assert sorted(int(np.argmax(counts)) for counts in together) == list(range(BLOCKS))
    assert sum(counts.max() for counts in together) >= 0.95 * len(blocks)


def test_clusters_that_are_alike_have_numbers_near_one_another():
    # A band: rows and columns near one another share entries, so a walk from center to center goes along it.
    places = np.arange(120)
    band = (np.abs(places[:, None] - places[None, :]) <= 15).astype(np.float32)
    found = coclusters(from_dense(band), 12, KEY, rank=8)
    middles = [places[np.asarray(found.rows) == number].mean() for number in np.unique(found.rows)]
    assert len(middles) > 6
    assert np.median(np.abs(np.diff(middles))) < 20


def test_one_key_gives_the_same_clusters_and_every_number_is_in_range():
    dense, _, _ = planted(np.random.default_rng(1))
    dense[3], dense[:, 5] = 0, 0  # without entries
    first, again = (coclusters(from_dense(dense), 7, KEY) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.int32
        assert (one.min() >= 0) & (one.max() < 7)
    assert (first.rows.shape, first.columns.shape) == ((ROWS,), (COLUMNS,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters must be a whole number"),
        ({"clusters": 6}, "clusters must be at most 5, got 6"),
        ({"rank": 0}, "rank must be a whole number of at least 1, got 0"),
        ({"rounds": 0}, "rounds must be a whole number of at least 1, got 0"),
        ({"iterations": 0}, "iterations"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(JaxrecError, match=message):
        coclusters(from_dense(np.ones((2, 3), np.float32)), **{"clusters": 2, **options}, key=KEY)
