"""SimGCL and XSimGCL: LightGCN with a second task, to tell nodes apart by two noisy views of their embeddings."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.losses._segments import first_places, sizes
from jaxrec.models._lightgcn import LightGCN, Roles, propagated_rows
from jaxrec.models._sizes import bound_sizes
from jaxrec.protocols import Encoded
from jaxrec.sparse import (
    SparseMatrix,
    count_nodes,
    item_nodes,
    join_nodes,
    spmm,
    spread_nodes,
    user_nodes,
)
from jaxrec.vectors import unit


class SimGCL(LightGCN):
    """SimGCL: the loss on LightGCN's embeddings, plus an InfoNCE between two passes with noise in every layer.

    In a noisy pass each row of each layer is moved by `noise` in a random direction of its own orthant: Delta = noise
    sign(e) w / |w| with w uniform in [0, 1]^d. For each distinct user and item of the batch, with views z' and z'' of
    length 1, -log(e^(<z'_b, z''_b> / t) / sum over the distinct c of e^(<z'_b, z''_c> / t)) is added to the loss,
    `contrast_weight` times the mean of users and that of items. The embeddings before propagation are not summed, as in
    the authors' code. Ranking, folding in and regularizers are as for LightGCN, without noise.

    A step has three passes for all nodes, LightGCN's one. Places that fill up the last batch of an epoch are one more
    distinct user and item in it.

    Attributes:
      dim, layers, layer_weights, initializer, scale, num_users, num_items, fold_in_noise, fold_in_unobserved, moved:
        see `LightGCN`; by default layers 1 to L have the weight 1 / L, and the embeddings themselves 0.
      noise: epsilon, the length of the noise.
      contrast_weight: lambda; .2 to 2 in the source, on graphs of 30,000 and more nodes. Small graphs need less: on
        movielens-small (2,700 nodes) .5 and .1 gave an nDCG@10 of .015 and .016 on the validation part, .02 gave .073.
      contrast_temperature: t.

    Raises:
      JaxrecError: as LightGCN; no layer, noise or a weight that is negative, a temperature that is not positive.

    Source: Yu et al., Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for Recommendation, SIGIR
    2022.

    >>> SimGCL(layers=2).weights_of_layers
    (0.0, 0.5, 0.5)
    """

    draws_in_training: ClassVar[bool] = True
    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    noise: float = 0.1
    contrast_weight: float = 0.5
    contrast_temperature: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise JaxrecError(f"layers must be at least 1, since noise is added in each, got {self.layers}")
        for name in ("noise", "contrast_weight"):
            if not getattr(self, name) >= 0:
                raise JaxrecError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.contrast_temperature > 0:
            raise JaxrecError(f"contrast_temperature must be positive, got {self.contrast_temperature}")

    @property
    def weights_of_layers(self) -> tuple[float, ...]:
        """(a_0, ..., a_L)."""
        return self.layer_weights or (0.0, *(1 / self.layers,) * self.layers)

    def encode(
        self,
        adjacency: SparseMatrix,
        user: jax.Array,
        item: jax.Array,
        negatives: jax.Array,
        key: jax.Array | None = None,
    ) -> Encoded:
        """The rows of a batch as LightGCN has them, with the contrast as their penalty where there is a key."""
        if key is None:
            return super().encode(adjacency, user, item, negatives)
        num_users, _ = bound_sizes(self, adjacency)
        compared = nodes_of(self, adjacency, user, item)
        nodes = Roles(*compared, item_nodes(adjacency, negatives, num_users))
        x = join_nodes(adjacency, self.user_embedding, self.item_embedding)
        # The first product is that of all three passes.
        once = spmm(adjacency, x, moved=self.moved)
        weights = self.weights_of_layers
        further, _ = propagated_rows(adjacency, once, nodes, weights=weights[1:], moved=self.moved)
        ego = nodes.split(x[nodes.joined])
        first, second = (noisy_layers(self, adjacency, one, x, once)[0] for one in jax.random.split(key))
        penalty = contrast_of(self, first, second, compared)
        user, item, negative = (weights[0] * own + more for own, more in zip(ego, further, strict=True))
        return Encoded(user, item, negative, tuple(ego), penalty)


class XSimGCL(SimGCL):
    """XSimGCL: the loss on LightGCN's embeddings with noise in every layer, contrasted with one layer of the same pass.

    One noisy pass serves both: its weighted sum of the layers has the loss, and is told apart by an InfoNCE against
    layer `contrast_layer`, as in `SimGCL`. Ranking, folding in and regularizers are without noise.

    Attributes:
      dim, layers, layer_weights, initializer, scale, num_users, num_items, fold_in_noise, fold_in_unobserved, moved:
        see `SimGCL`.
      noise: epsilon, the length of the noise.
      contrast_weight: lambda.
      contrast_temperature: t.
      contrast_layer: l*, in 1..L.

    Raises:
      JaxrecError: as `SimGCL`; a layer that is not there.

    Source: Yu et al., XSimGCL: Towards Extremely Simple Graph Contrastive Learning for Recommendation, TKDE 2023.

    >>> XSimGCL(layers=2, contrast_layer=1).weights_of_layers
    (0.0, 0.5, 0.5)
    """

    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    noise: float = 0.2
    contrast_weight: float = 0.2
    contrast_temperature: float = 0.2
    contrast_layer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.contrast_layer <= self.layers:
            raise JaxrecError(f"contrast_layer must lie in 1..{self.layers}, the layers, got {self.contrast_layer}")

    def encode(
        self,
        adjacency: SparseMatrix,
        user: jax.Array,
        item: jax.Array,
        negatives: jax.Array,
        key: jax.Array | None = None,
    ) -> Encoded:
        """The rows of a batch: with a key from a noisy pass and with the contrast as penalty, else as LightGCN's."""
        if key is None:
            return super().encode(adjacency, user, item, negatives)
        num_users, _ = bound_sizes(self, adjacency)
        x = join_nodes(adjacency, self.user_embedding, self.item_embedding)
        total, layers = noisy_layers(self, adjacency, key, x, spmm(adjacency, x, moved=self.moved))
        own = self.user_embedding, self.item_embedding
        users, items = nodes = nodes_of(self, adjacency, user, item)
        return Encoded(
            total[users],
            total[items],
            total[item_nodes(adjacency, negatives, num_users)],
            (own[0][user], own[1][item], own[1][negatives]),
            contrast_of(self, total, layers[self.contrast_layer - 1], nodes),
        )


def noisy_layers(
    model: Any, adjacency: SparseMatrix, key: jax.Array, x: jax.Array, product: jax.Array
) -> tuple[jax.Array, list[jax.Array]]:
    """A pass with noise in every layer.

    Args:
      model: SimGCL.
      adjacency: A~ [N, N].
      key: consumed.
      x: X [N, d], the embeddings.
      product: A~ X.

    Returns:
      The weighted sum of the layers [N, d], and layers 1 to L.
    """
    weights = model.weights_of_layers
    total, layers = weights[0] * x, []
    for weight, layer_key in zip(weights[1:], jax.random.split(key, model.layers), strict=True):
        product = spmm(adjacency, x, moved=model.moved) if layers else product
        x = with_noise(adjacency, product, model.noise, layer_key)
        total = total + weight * x
        layers.append(x)
    return total, layers


def with_noise(adjacency: SparseMatrix, x: jax.Array, noise: float, key: jax.Array) -> jax.Array:
    """Rows moved by `noise` in a random direction of their own orthant, drawn by node in the order of the data.

    Args:
      adjacency: A~ [N, N], which says where each node is.
      x: [N, d].
      noise: the length.
      key: consumed.

    >>> from jaxrec.sparse import from_dense
    >>> moved = with_noise(from_dense(jnp.ones((1, 1))), jnp.array([[1.0, -1.0, 0.0]]), 0.5, jax.random.key(0))
    >>> bool(moved[0, 0] > 1), bool(moved[0, 1] < -1), moved[0, 2].item()
    (True, True, 0.0)
    """
    drawn = unit(jax.random.uniform(key, (count_nodes(adjacency), x.shape[1]), x.dtype))
    return x + noise * jnp.sign(x) * spread_nodes(adjacency, drawn)


def nodes_of(model: Any, adjacency: SparseMatrix, user: jax.Array, item: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows of the users and items of a batch in a table of nodes."""
    num_users, _ = bound_sizes(model, adjacency)
    return user_nodes(adjacency, user), item_nodes(adjacency, item, num_users)


def contrast_of(model: Any, first: jax.Array, second: jax.Array, nodes: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The contrast of the batch's users and items, shared out to its rows, [B]: its mean is that of distinct nodes."""
    users, items = (info_nce(first[rows], second[rows], rows, model.contrast_temperature) for rows in nodes)
    return model.contrast_weight * (users + items)


def info_nce(first: jax.Array, second: jax.Array, nodes: jax.Array, temperature: float) -> jax.Array:
    """InfoNCE between two views of the distinct nodes of a batch, as shares of its rows.

    Args:
      first: [B, d], one view of the node of each row.
      second: [B, d], the other one.
      nodes: int32 [B]; a node may occur often, and counts once.
      temperature: t.

    Returns:
      [B]; the mean over all rows is the mean over distinct nodes.

    >>> views = jnp.eye(2)[jnp.array([0, 1, 1])]
    >>> print(f"{info_nce(views, views, jnp.array([4, 7, 7]), 1.0).mean():.4f}")  # log(1 + 1/e)
    0.3133
    """
    size = nodes.shape[0]
    where = jnp.ones(size, bool)
    often = sizes(first_places(nodes, where), where)
    logits = unit(first) @ unit(second).T / temperature
    own = jnp.sum(unit(first) * unit(second), axis=1) / temperature
    # A node that occurs m times has m columns of 1/m each.
    each = jax.nn.logsumexp(logits - jnp.log(often)[None, :], axis=1) - own
    return each / often * (size / jnp.sum(1 / often))
