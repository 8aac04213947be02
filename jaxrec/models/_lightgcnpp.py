"""LightGCN++: LightGCN with rows of length 1 in each layer, two exponents of the degrees, and a weight of the ego."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import EmbeddingModel
from jaxrec.models._fold_in import PropagatedUsers
from jaxrec.models._mf import Initializer, check_embedding_options, embedding, initial_embeddings
from jaxrec.models._sizes import bound_sizes, set_width, width_of
from jaxrec.protocols import FoldIn, Task
from jaxrec.sparse import SparseMatrix, SparseOperator, degrees_of, join_nodes, part_nodes, spmm
from jaxrec.vectors import unit

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class LightGCNPP(EmbeddingModel):
    r"""LightGCN++: e_v^(l+1) = sum over w in N(v) of d_v^(-alpha) d_w^(-beta) e_w^(l) / |e_w^(l)|.

    The final embeddings are gamma E^(0) + (1 - gamma) / L times the sum of E^(1) to E^(L). With unit rows a neighbor
    counts by its degree alone: alpha scales the length of what a node gathers, beta weighs its neighbors.

    Attributes:
      dim: d, the width of the embeddings; None takes it as LightGCN does.
      layers: L, at least 1.
      alpha: the exponent of the node's own degree.
      beta: the exponent of its neighbors' degrees; below 0 popular neighbors count more.
      gamma: the weight of the embeddings before propagation.
      initializer: "normal" (mean 0, standard deviation `scale`), "xavier" or "svd"; see `LightGCN`.
      scale: the standard deviation of "normal", and the root of the mean square of "svd".
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: sizes that are not set, a width or layers below 1, a gamma outside [0, 1].
      MismatchError: an adjacency of another size.

    Source: Lee, Kim and Shin, Revisiting LightGCN: Unexpected Inflexibility, Inconsistency, and A Remedy Towards
    Improved Recommendation, RecSys 2024.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]])), symmetric=True)
    >>> model = LightGCNPP(dim=4, layers=1, gamma=0.0, num_users=1, num_items=1)
    >>> users, items = model.apply(model.init(jax.random.key(0), adjacency), adjacency)
    >>> jnp.linalg.norm(users).round(4).item()  # its one neighbor, at length 1
    1.0
    """

    dim: int | None = None
    layers: int = 2
    alpha: float = 0.6
    beta: float = -0.1
    gamma: float = 0.2
    initializer: Initializer = "normal"
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None

    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    def __post_init__(self) -> None:
        check_kinds(self)
        check_embedding_options(self, ("normal", "xavier", "svd"))
        if self.layers < 1:
            raise JaxrecError(f"layers must be at least 1, got {self.layers}; MF is the model without")
        if not 0 <= self.gamma <= 1:
            raise JaxrecError(f"gamma must lie in [0, 1], got {self.gamma}")
        set_width(self)
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.user_embedding = embedding(self, "user_embedding", num_users)
        self.item_embedding = embedding(self, "item_embedding", num_items)

    def __call__(self, adjacency: SparseMatrix) -> tuple[jax.Array, jax.Array]:
        """The propagated embeddings (users [U, d], items [I, d]).

        Args:
          adjacency: A~ [N, N], see `LightGCN`; the exponents are put in place of its roots.
        """
        num_users, _ = bound_sizes(self, adjacency)
        ego = join_nodes(adjacency, self.user_embedding, self.item_embedding)
        own, theirs = _scales(adjacency, self.alpha, self.beta)
        x, total = ego, jnp.zeros_like(ego)
        for _ in range(self.layers):
            x = own * spmm(adjacency, theirs * unit(x))
            total = total + x
        return part_nodes(adjacency, self.gamma * ego + (1 - self.gamma) / self.layers * total, num_users)

    def embeddings(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The embeddings before propagation: (users [U, d], items [I, d])."""
        return self.user_embedding, self.item_embedding

    def initial(self, params: Any, data: TrainData, key: jax.Array) -> Any:
        """The parameters before the first step, from the data where `initializer` is "svd"."""
        return initial_embeddings(self, params, data, key)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The vector of a new user by propagation from the items' layers as they were trained.

        With N the n items of the user and e_u^(0) = 0, it is (1 - gamma) / L n^(-alpha) times the sum over i in N of
        d_i^(-beta) (e_i^(0) / |e_i^(0)| + ... + e_i^(L-1) / |e_i^(L-1)|).
        """
        num_users, _ = bound_sizes(self, data.adjacency)
        params = variables["params"]
        tables = jnp.concatenate([params["user_embedding"], params["item_embedding"]])
        how: dict[str, Any] = {"alpha": self.alpha, "beta": self.beta, "layers": self.layers}
        sums = (1 - self.gamma) / self.layers * _handed_on(data.adjacency, tables, **how)[num_users:]
        return PropagatedUsers(scorer.items, sums, None, None, loops=0, dim=width_of(self), exponent=self.alpha)


def _scales(adjacency: SparseMatrix, alpha: float, beta: float) -> tuple[jax.Array, jax.Array]:
    """What turns A~ into D^(-alpha) A D^(-beta) from both sides, [N, 1] each; 0 for a node without an edge."""
    degrees = degrees_of(adjacency).astype(jnp.float32)[:, None]
    safe = jnp.maximum(degrees, 1)
    own, theirs = (jnp.where(degrees > 0, safe ** (0.5 - exponent), 0) for exponent in (alpha, beta))
    return own, theirs


@functools.partial(jax.jit, static_argnames=("alpha", "beta", "layers"))
def _handed_on(adjacency: SparseOperator, x: jax.Array, *, alpha: float, beta: float, layers: int) -> jax.Array:
    """d_w^(-beta) times the sum over layers of e_w / |e_w|, what each node hands on, [N, d]."""
    own, theirs = _scales(adjacency, alpha, beta)
    degrees = jnp.diff(adjacency.indptr).astype(x.dtype)[:, None]
    total = jnp.zeros_like(x)
    for _ in range(layers):
        handed = theirs * unit(x)
        total = total + handed
        x = own * spmm(adjacency, handed)
    # `theirs` has d^(1/2 - beta), for a product with A~.
    return jnp.where(degrees > 0, jax.lax.rsqrt(jnp.maximum(degrees, 1)), 0) * total
