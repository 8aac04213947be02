"""Tall tables of a decomposition: on one device as they are, and on several as their matrix shares them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jaxrec.sparse import Multiplies, SparseMatrix, SparseOperator, operator


class Rows(Protocol):
    """How tables [P', d] with a row for each row of a matrix are made and worked on; P' is P where nothing is shared.

    >>> rows: Rows = OneDevice()
    >>> rows.rolled(jnp.array([[1.0], [2.0], [3.0]]), 1).tolist()
    [[3.0], [1.0], [2.0]]
    """

    def spread(self, x: jax.Array) -> jax.Array:
        """From a table [P, d] in the order of the data to one [P', d]."""
        ...

    def held(self, x: jax.Array) -> jax.Array:
        """The same table, where it is to lie."""
        ...

    def collected(self, x: jax.Array) -> jax.Array:
        """From [P', d] to [P, d], as a whole on every device; for small tables."""
        ...

    def rolled(self, x: jax.Array, by: int) -> jax.Array:
        """Rows in another order, for fresh random numbers of old ones."""
        ...

    def factored(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Q [P', d] with orthonormal columns, and R [d, d], of x = Q R."""
        ...


@runtime_checkable
class SharedMatrix(Multiplies, Rows, Protocol):
    """A matrix whose rows several devices share, such as `jaxrec.parallel.ShardedOperator` and `ShardedMatrix`.

    >>> from jaxrec.sparse import from_dense
    >>> isinstance(operator(from_dense(jnp.eye(2))), SharedMatrix)
    False
    """

    @property
    def sizes(self) -> tuple[int, int]:
        """(P, Q), without the padding that its shape has."""
        ...

    @property
    def T(self) -> Any:
        """The transpose, whose rows are shared likewise."""
        ...


class OneDevice:
    """Tables on one device.

    >>> OneDevice().spread(jnp.ones((2, 1))).shape
    (2, 1)
    """

    def spread(self, x: jax.Array) -> jax.Array:
        """As it is."""
        return x

    held = collected = spread

    def rolled(self, x: jax.Array, by: int) -> jax.Array:
        """Each row some places further down."""
        return jnp.roll(x, by, axis=0)

    def factored(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The QR decomposition."""
        return jnp.linalg.qr(x)


Decomposable = SparseOperator | SharedMatrix


def laid(matrix: SparseMatrix | SharedMatrix) -> Any:
    """The matrix laid out for products: an operator, or one that several devices share as it is.

    >>> from jaxrec.sparse import from_dense
    >>> laid(from_dense(jnp.eye(2))).shape
    (2, 2)
    """
    return matrix if isinstance(matrix, SharedMatrix) else operator(matrix)


def rows_of(matrix: Decomposable) -> Rows:
    """How tables with the rows of a matrix are worked on.

    >>> from jaxrec.sparse import from_dense
    >>> type(rows_of(operator(from_dense(jnp.eye(2))))).__name__
    'OneDevice'
    """
    return matrix if isinstance(matrix, SharedMatrix) else OneDevice()


def sizes_of(matrix: SparseMatrix | SharedMatrix) -> tuple[int, int]:
    """(P, Q), without padding.

    >>> from jaxrec.sparse import from_dense
    >>> sizes_of(from_dense(jnp.ones((2, 3))))
    (2, 3)
    """
    if isinstance(matrix, SharedMatrix):
        return matrix.sizes
    return matrix.shape[0], matrix.shape[1]


def dtype_of(matrix: Decomposable) -> Any:
    """The dtype of the entries.

    >>> from jaxrec.sparse import from_dense
    >>> dtype_of(operator(from_dense(jnp.eye(2)))).name
    'float32'
    """
    return matrix.dtype if isinstance(matrix, SharedMatrix) else matrix.data.dtype
