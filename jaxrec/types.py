"""The glossary of shapes, and the scorer protocol, which connects rooms that do not import each other.

Letters in shapes have one meaning in every docstring:

======  ====================================================================================
U       users
I       items of the whole catalog
N       nodes of a graph; of the bipartite graph N = U + I, users first
E       interactions, or stored entries of a sparse matrix
F       given features of a node or an item
P, Q    rows and columns of a matrix that need not belong to a graph
R       rows taken from a table
d       width of an embedding, or columns of any dense table
w       width of score vectors: d, and further columns for biases
r       rank of a decomposition, or width of an item space
k       number of results asked for: length of a list, or number of neighbors or eigenpairs
K       length of the longest list, from which shorter ones are cut
n       length of any other list: chosen users, candidates of a user, a sample
B       batch: users or (user, item) pairs processed together
M       negatives of one positive
S       models trained together, or repeated trainings of one model
C       classes or categories
G       groups of items
======  ====================================================================================

[] is a scalar, and ... stands for any number of axes. The letters of formulas are explained where they occur.
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
    """A frozen pytree with a score for every item: all that evaluation and recommendation need of a model.

    `jaxrec.pytrees.register` makes a class a pytree. The arrays are its data; `num_users` and
    `num_items` are Python integers and belong to its static part.

    >>> import dataclasses
    >>> from jaxrec.pytrees import register
    >>> @register
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
        """Score every item for the given users; higher is better.

        The method is traced under `jax.jit`, so its control flow must not depend on the values of `users`.

        Args:
          users: int32 [B].

        Returns:
          float32 [B, I]. An item of score -inf is never recommended; NaN and +inf are refused.
        """
        ...
