"""Two small worlds that tests share. Equal shapes reuse compiled programs, so take these before sizes of your own.

The tiny one is `jaxrec.testing.checkerboard`, made by arithmetic: 17 users, 17 items, and a first recommendation that
is known. The middle one is here: random, with two groups of users, for splits and validated fits.
"""

import functools

import jax
import numpy as np

import jaxrec

USERS, ITEMS = 30, 24


@functools.cache
def middle(*, rated=False, timed=False):
    """Random interactions of two groups of users who prefer different halves of the catalog: 243 pairs.

    Args:
      rated: with whole ratings from 1 to 5 at random.
      timed: with a time of its own for each pair, in random order.
    """
    rng = np.random.default_rng(0)
    likes = np.where(np.arange(USERS)[:, None] % 2 == np.arange(ITEMS)[None] * 2 // ITEMS, 0.6, 0.1)
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < likes)
    rating, time = rng.integers(1, 6, len(user)), rng.permutation(len(user))
    return jaxrec.from_arrays(user, item, rating if rated else None, time if timed else None)


@functools.cache
def middle_split(*, rated=False):
    """The middle world in three parts: of each user a fifth for the test and a fifth for validation."""
    return jaxrec.split(middle(rated=rated), "user_random", test=0.2, valid=0.2, key=jax.random.key(0))
