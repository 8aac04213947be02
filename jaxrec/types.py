"""The glossary of shapes, and the protocols that connect rooms which do not import each other.

Letters in shapes, the same in every docstring:

======  ==============================================================
U       users
I       items: the whole catalogue
N       nodes of the bipartite graph, N = U + I, users first
E       interactions
d       width of an embedding
r       rank: width of a vector in an item space
k       length of a list that is scored or shown
K       length of the longest list, from which several k are cut
B       users (or pairs) that are worked on at a time
======  ==============================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import jax
import numpy as np

if TYPE_CHECKING:
    Array = jax.Array
else:
    Array = jax.Array | np.ndarray  # functions on arrays of JAX take those of NumPy too, which it converts


@runtime_checkable
class Scorer(Protocol):
    """What ranks a catalogue: any frozen pytree that gives a score for every item.

    A class becomes a pytree with `jax.tree_util.register_dataclass`. The arrays are its data; `num_users` and
    `num_items` are Python integers and belong to its static part.

    >>> import dataclasses
    >>> import functools
    >>> @functools.partial(jax.tree_util.register_dataclass, data_fields=["users", "items"], meta_fields=[])
    ... @dataclasses.dataclass(frozen=True)
    ... class Dot:
    ...     users: jax.Array
    ...     items: jax.Array
    ...     num_users = property(lambda self: self.users.shape[0])
    ...     num_items = property(lambda self: self.items.shape[0])
    ...
    ...     def scores(self, users):
    ...         return self.users[users] @ self.items.T
    >>> isinstance(Dot(jax.numpy.ones((2, 3)), jax.numpy.ones((5, 3))), Scorer)
    True
    """

    @property
    def num_users(self) -> int:
        """U."""
        ...

    @property
    def num_items(self) -> int:
        """I."""
        ...

    def scores(self, users: jax.Array) -> jax.Array:
        """The score of every item for the given users; more is better.

        It is traced under `jax.jit`, so it may not depend on the values of `users`.

        Args:
          users: int32 [B].

        Returns:
          float32 [B, I]. An item of score -inf is never recommended; NaN and +inf are refused.
        """
        ...
