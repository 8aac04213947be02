"""Initial embeddings from the data: leading singular vectors of the normalized adjacency, scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxrec.models._sizes import user_item_block
from jaxrec.spectral import truncated_svd

if TYPE_CHECKING:
    from jaxrec.training import TrainData


def from_singular_vectors(
    params: Mapping[str, Any], data: TrainData, key: jax.Array, *, scale: float
) -> Mapping[str, Any]:
    """Parameters whose embeddings are the leading singular vectors of R~ = D_U^(-1/2) R D_I^(-1/2), scaled.

    With R~ ~ U diag(s) V^T, column k of the users is c s_k^(1/2) u_k and of the items c s_k^(1/2) v_k, so that their
    inner products are c^2 times the best approximation of R~ of this rank. c makes the root of the mean square of all
    entries `scale`. Columns past the rank of R~, min(U, I), stay as they were drawn.

    Args:
      params: with "user_embedding" [U, d] and "item_embedding" [I, d].
      data: what is trained on.
      key: consumed.
      scale: as for embeddings drawn from a normal distribution.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays([0, 1, 1], [0, 0, 1]))
    >>> drawn = {"user_embedding": jnp.ones((2, 1)), "item_embedding": jnp.ones((2, 1))}
    >>> start = from_singular_vectors(drawn, data, jax.random.key(0), scale=0.1)
    >>> [f"{x:.4f}" for x in start["user_embedding"][:, 0].tolist()]  # .1 (2/3)^(1/2) and .1 (4/3)^(1/2)
    ['0.0816', '0.1155']
    """
    users, items = params["user_embedding"], params["item_embedding"]
    rank = min(users.shape[1], users.shape[0], items.shape[0])
    block = user_item_block(data.adjacency, users.shape[0], binary=False)
    u, s, vt = truncated_svd(block, rank, key)
    root = jnp.sqrt(jnp.maximum(s, 0))[None, :]
    left, right = u * root, vt.T * root
    square = (jnp.sum(jnp.square(left)) + jnp.sum(jnp.square(right))) / (left.size + right.size)
    factor = scale * jax.lax.rsqrt(jnp.maximum(square, 1e-30))
    return {
        **params,
        "user_embedding": users.at[:, :rank].set(factor * left),
        "item_embedding": items.at[:, :rank].set(factor * right),
    }
