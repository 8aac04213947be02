"""The checkerboard on which every suite runs, and small helpers of the suites."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.graph import biadjacency, normalized_adjacency
from jaxrec.sparse import SparseOperator, operator

SIZE = 16
"""Users and items of the checkerboard that have interactions."""

ALL = SIZE + 1
"""Users, and items, of the checkerboard, with the one that has none."""


def checkerboard(*, rated: bool = False, full: bool = False) -> Interactions:
    """Make data whose right first recommendation is known: user u likes the items of its parity, and item u most.

    Users 0 to 15 have the items 100 to 115 of their own parity, but user u lacks item 100 + u, which must be
    recommended first. User 16 and item 999 have no interaction.

    Args:
      rated: add the pairs of unlike parity too, all with a rating: 5 for like and 1 for unlike parity.
      full: give user 16 every item, so that it has no possible negative.

    >>> data = checkerboard()
    >>> data.num_users, data.num_items, len(data), data.items.ids[data.item[data.user == 2]].tolist()
    (17, 17, 112, [100, 104, 106, 108, 110, 112, 114])
    """
    user, item = np.divmod(np.arange(SIZE * SIZE), SIZE)
    alike = user % 2 == item % 2
    kept = (rated | alike) & (user != item)
    user, item, alike = user[kept], 100 + item[kept], alike[kept]
    rest = [*range(100, 100 + SIZE), 999] if full else [999]
    users, items = [*user, *[SIZE] * len(rest)], [*item, *rest]
    ratings = [*np.where(alike, 5.0, 1.0), *[3.0] * len(rest)] if rated else None
    data = Interactions.from_arrays(users, items, ratings)
    return data if full else data.select(np.arange(len(users) - 1))


def adjacency_of(data: Interactions) -> SparseOperator:
    """Make the normalized adjacency A~ [N, N] of interactions, as models take it.

    >>> adjacency_of(checkerboard()).shape
    (34, 34)
    """
    return operator(normalized_adjacency(biadjacency(data)), symmetric=True)


def leaves_of(*trees: Any) -> list[np.ndarray]:
    """Return the leaves of pytrees as NumPy arrays, to compare bits.

    >>> leaves_of({"w": jax.numpy.zeros(2)})[0].tolist()
    [0.0, 0.0]
    """
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trees)]


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Refuse implicit promotion of dtypes and ranks.

    Fixtures of a class are made before the settings of each test; the same settings compile nothing twice.

    >>> with strict():
    ...     try:
    ...         jax.numpy.ones(2) + jax.numpy.ones((2, 2))
    ...     except ValueError as error:
    ...         print(error)
    Operands could not be broadcast together for add on shapes (2,) (2, 2) and with the config option ...
    """
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@contextlib.contextmanager
def compiled() -> Iterator[list[str]]:
    """Collect the names of the programs that are compiled within the block.

    A program that comes out of a cache on disk counts; one that is in memory does not.

    >>> with compiled() as programs:
    ...     _ = jax.jit(lambda x: x * 3)(jax.numpy.ones(5))
    >>> "jit(<lambda>)" in programs
    True
    """
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words = record.getMessage().split()
            if words[:3] == ["Finished", "XLA", "compilation"]:
                found.append(words[4])

    logger, collector = logging.getLogger("jax"), Collector()
    propagate, logger.propagate = logger.propagate, False
    handlers: list[logging.Handler] = [collector]
    others, logger.handlers = logger.handlers, handlers
    try:
        with jax.log_compiles():
            yield found
    finally:
        logger.propagate, logger.handlers = propagate, others
