"""Regularizers as frozen objects: penalties on the embeddings of a batch, with their coefficient as a leaf."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from jaxrec.errors import JaxrecError
from jaxrec.losses import _functions as functions
from jaxrec.protocols import Regularizer
from jaxrec.pytrees import is_number, options


@options
class SquaredL2(Regularizer):
    """LightGCN's L2 term: weight / 2 times the squared embeddings of the batch, over its size.

    Attributes:
      weight: the coefficient.

    References:
      He et al., LightGCN, SIGIR 2020, equation 15, in the form of the authors' code.

    >>> import jax.numpy as jnp
    >>> SquaredL2(0.5)((jnp.array([[2.0, 0.0]]),), jnp.array([True])).item()
    1.0
    """

    weight: float = dataclasses.field(default=1e-2, metadata={"flag": "l2"})

    def __post_init__(self) -> None:
        _check_weight(self)

    def __call__(self, embeddings: tuple[jax.Array, ...], where: jax.Array) -> jax.Array:
        """The penalty; see `jaxrec.losses.l2`."""
        return self.weight * functions.l2(*embeddings, where=where)


@options
class NormL2(Regularizer):
    """RecBole's L2 term: weight times the norms, not squared, of each table's rows in the batch, over its size.

    Attributes:
      weight: the coefficient.

    References:
      RecBole 1.2, `EmbLoss`.

    >>> import jax.numpy as jnp
    >>> NormL2(0.5)((jnp.array([[3.0, 4.0]]),), jnp.array([True])).item()
    2.5
    """

    weight: float = dataclasses.field(default=1e-2, metadata={"flag": "l2"})

    def __post_init__(self) -> None:
        _check_weight(self)

    def __call__(self, embeddings: tuple[jax.Array, ...], where: jax.Array) -> jax.Array:
        """The penalty; see `jaxrec.losses.l2_norms`."""
        return self.weight * functions.l2_norms(*embeddings, where=where)


def _check_weight(regularizer: Any) -> None:
    if is_number(regularizer.weight) and not regularizer.weight >= 0:
        raise JaxrecError(f"weight must not be negative, got {regularizer.weight}")
