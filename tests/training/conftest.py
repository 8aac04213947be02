"""Data that several tests of training share."""

import numpy as np
import pytest

import jaxrec


@pytest.fixture
def data():
    """150 distinct pairs of 20 users with 30 items, with ratings from 1 to 5."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(20 * 30, size=150, replace=False)
    return jaxrec.from_arrays(pairs // 30, pairs % 30, rng.integers(1, 6, 150))
