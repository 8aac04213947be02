"""LightGCN: embeddings smoothed over the graph by a few products with the normalized adjacency."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import EmbeddingModel
from jaxrec.models._fold_in import PropagatedUsers
from jaxrec.models._least_squares import least_squares
from jaxrec.models._mf import Initializer, check_embedding_options, embedding, initial_embeddings
from jaxrec.models._sizes import bound_sizes, set_width, width_of
from jaxrec.protocols import Encoded, FoldIn, Task
from jaxrec.sparse import (
    Moved,
    NodeOperator,
    SparseMatrix,
    SparseOperator,
    item_nodes,
    join_nodes,
    part_nodes,
    spmm,
    spmm_rows,
    user_nodes,
)
from jaxrec.sparse._nodes import Adjacency
from jaxrec.sparse._products import check_moved

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class LightGCN(EmbeddingModel):
    """LightGCN: E^(l+1) = A~ E^(l), and the final embeddings are sum over l of a_l E^(l).

    `model.apply(variables, adjacency)` gives (users [U, d], items [I, d]); score(u, i) is their inner product. With 0
    layers it is matrix factorization.

    Attributes:
      dim: d, the width of the embeddings; None takes 256 for up to 8,192 users and items together, 128 for up
        to 32,768 and 64 for more.
      layers: L, the number of products with the adjacency.
      layer_weights: (a_0, ..., a_L), or None for the mean, 1 / (L + 1) each.
      initializer: "normal" (mean 0, standard deviation `scale`), "xavier" (uniform, bound sqrt(6 / (rows + d))), or
        "svd": `jaxrec.fit` starts from the leading singular vectors of the normalized adjacency, see `initial`.
      scale: the standard deviation of "normal", and the root of the mean square of "svd".
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.
      fold_in_noise: of the scores of a new user, see `MF`; infinite for propagation alone.
      fold_in_unobserved: the weight of an item that a new user does not have, beside 1 for one that they have.
      moved: the dtype in which products with the adjacency read their table, "float32" or "bfloat16"; see
        `jaxrec.sparse.spmm`. Parameters, sums, gradients and what the optimizer keeps are float32 in both. "bfloat16"
        is for accelerators: a CPU rounds as they do, and takes longer.

    Raises:
      JaxrecError: sizes that are not set, a width below 1, negative layers, layer weights of another number, another
        word for `moved`.
      MismatchError: an adjacency of another size.

    Source: He et al., LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, SIGIR 2020,
    equations 3 to 8.

    >>> from jaxrec import graph
    >>> from jaxrec.data._interactions import Interactions
    >>> data = Interactions.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> adjacency = graph.normalized_adjacency(graph.biadjacency(data))
    >>> model = LightGCN(dim=4, layers=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), adjacency)
    >>> users, items = model.apply(variables, adjacency)
    >>> users.shape
    (2, 4)
    """

    dim: int | None = None
    layers: int = 3
    layer_weights: tuple[float, ...] | None = None
    initializer: Initializer = "normal"
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None
    fold_in_noise: float = 0.1
    fold_in_unobserved: float = 0.1
    moved: Moved = "float32"

    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        if self.moved not in ("float32", "bfloat16"):
            raise JaxrecError(f'moved must be "float32" or "bfloat16", got {self.moved!r}')
        check_embedding_options(self, ("normal", "xavier", "svd"))
        if self.layers < 0:
            raise JaxrecError(f"layers must not be negative, got {self.layers}")
        if self.layer_weights is not None:  # a list would make the module unhashable, and so unfit for jit
            if not isinstance(self.layer_weights, Iterable) or isinstance(self.layer_weights, str):
                raise JaxrecError(f"layer_weights must be {self.layers + 1} numbers, got {self.layer_weights!r}")
            object.__setattr__(self, "layer_weights", tuple(self.layer_weights))
        if self.layer_weights is not None and len(self.layer_weights) != self.layers + 1:
            raise JaxrecError(
                f"layer_weights has {len(self.layer_weights)} values, but {self.layers} layers need "
                f"{self.layers + 1}: one for the embeddings themselves and one for each layer"
            )
        set_width(self)
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.user_embedding = embedding(self, "user_embedding", num_users)
        self.item_embedding = embedding(self, "item_embedding", num_items)

    def __call__(self, adjacency: SparseMatrix) -> tuple[jax.Array, jax.Array]:
        """The propagated embeddings (users [U, d], items [I, d]).

        Args:
          adjacency: A~ [N, N] with N = U + I, users first: a BCOO of `graph.normalized_adjacency`, or better the
            operator that `sparse.operator(..., symmetric=True)` makes of it.
        """
        num_users, _ = bound_sizes(self, adjacency)
        weights = self.weights_of_layers
        x = join_nodes(adjacency, self.user_embedding, self.item_embedding)
        total = weights[0] * x
        for weight in weights[1:]:
            x = spmm(adjacency, x, moved=self.moved)
            total = total + weight * x
        return part_nodes(adjacency, total, num_users)

    @property
    def weights_of_layers(self) -> tuple[float, ...]:
        """(a_0, ..., a_L)."""
        return self.layer_weights or (1 / (self.layers + 1),) * (self.layers + 1)

    def response(self, eigenvalues: jax.Array) -> jax.Array:
        """The gain of each frequency: a_0 + a_1 x + ... + a_L x^L for eigenvalues x of A~, [n].

        >>> LightGCN(layers=1).response(jnp.array([1.0, 0.0, -1.0])).tolist()  # (1 + x) / 2
        [1.0, 0.5, 0.0]
        """
        gains = jnp.zeros_like(eigenvalues)
        for weight in reversed(self.weights_of_layers):
            gains = gains * eigenvalues + weight
        return gains

    def encode(self, adjacency: SparseMatrix, user: jax.Array, item: jax.Array, negatives: jax.Array) -> Encoded:
        """The rows of a batch, as taken from `self(adjacency)`, without the tables of all nodes.

        A loss reads the rows of a batch only. So the layers are not summed for all nodes, unless the batch has more
        than half as many rows as there are nodes, as with many negatives: each layer's rows are gathered and summed,
        and the gradient adds to those rows of the running product. Of the last layer no other row is computed, where
        that saves anything (`sparse.spmm_rows`).

        Args:
          adjacency: A~ [N, N], as in a call.
          user: int32 [B].
          item: int32 [B].
          negatives: int32 [B, M].

        Returns:
          The vectors of users and items [B, d] and of negatives [B, M, d], and the same rows before propagation.
        """
        num_users, _ = bound_sizes(self, adjacency)
        drawn = item_nodes(adjacency, negatives, num_users)
        nodes = Roles(user_nodes(adjacency, user), item_nodes(adjacency, item, num_users), drawn)
        tables = join_nodes(adjacency, self.user_embedding, self.item_embedding)
        total, ego = propagated_rows(adjacency, tables, nodes, weights=self.weights_of_layers, moved=self.moved)
        return Encoded(total.users, total.items, total.negatives, tuple(ego))

    def embeddings(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The embeddings before propagation: (users [U, d], items [I, d])."""
        return self.user_embedding, self.item_embedding

    def initial(self, params: Any, data: TrainData, key: jax.Array) -> Any:
        """The parameters before the first step, from the data where `initializer` is "svd"."""
        return initial_embeddings(self, params, data, key)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The vector of a new user: by propagation from the items' layers as they were trained, and a row of its own.

        With N the n items of the user, d_i the degree of item i and e_u^(0) = 0, each further layer is e_u^(l+1) = sum
        over i in N of (n d_i)^(-1/2) e_i^(l). So propagation gives n^(-1/2) times the sum over N of d_i^(-1/2) (a_1
        e_i^(0) + ... + a_L e_i^(L-1)); an item that was not trained on hands on nothing. The own row, a_0 e_u^(0), is
        then solved by regularized least squares around 0, with the covariance of the fitted users' rows.
        `fold_in_noise` of infinity leaves it at 0. With 0 layers all is least squares, as for `MF`.
        """
        how: dict[str, Any] = {"noise": self.fold_in_noise, "unobserved": self.fold_in_unobserved}
        if not self.layers:
            return least_squares(type(self).__name__, scorer, data.adjacency, task, **how)
        params = variables["params"]
        tables = (params["user_embedding"], params["item_embedding"])
        sums = handed_on(data.adjacency, *tables, weights=self.weights_of_layers, moved=self.moved)
        if self.fold_in_noise == math.inf:
            return PropagatedUsers(scorer.items, sums, None, None, loops=0, dim=width_of(self))
        return least_squares(type(self).__name__, scorer, data.adjacency, task, implicit=sums, centered=False, **how)


class Roles(NamedTuple):
    """The nodes of a batch, or the rows of a table at them.

    Attributes:
      users: [B], or [B, d].
      items: [B], or [B, d].
      negatives: [B, M], or [B, M, d].

    >>> Roles(jnp.arange(2), jnp.arange(2), jnp.zeros((2, 3), jnp.int32)).size
    10
    """

    users: jax.Array
    items: jax.Array
    negatives: jax.Array

    @property
    def size(self) -> int:
        """R, how many nodes there are, a node that stands twice counted twice."""
        return sum(nodes.size for nodes in self)

    @property
    def joined(self) -> jax.Array:
        """The nodes, int32 [R]."""
        return jnp.concatenate([nodes.reshape(-1) for nodes in self])

    def split(self, taken: jax.Array) -> Roles:
        """The rows of the `joined` nodes, [R, d], by their roles."""
        size = self.users.shape[0]
        negatives = taken[2 * size :].reshape(*self.negatives.shape, taken.shape[1])
        return Roles(taken[:size], taken[size : 2 * size], negatives)

    def rows_of(self, table: jax.Array) -> Roles:
        """The rows of a table [N, d]."""
        return Roles(*(table[nodes] for nodes in self))


def propagated_rows(
    adjacency: Adjacency, x: jax.Array, nodes: Roles, *, weights: tuple[float, ...], moved: Moved = "float32"
) -> tuple[Roles, Roles]:
    """Some rows of a_0 X + a_1 A~ X + ... + a_L A~^L X, and the same rows of X.

    Args:
      adjacency: A~ [N, N].
      x: X [N, d].
      nodes: R nodes.
      weights: (a_0, ..., a_L).
      moved: see `jaxrec.sparse.spmm`.

    Returns:
      The rows of the sum, and those of X.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]])), symmetric=True)
    >>> nodes = Roles(jnp.array([0]), jnp.array([1]), jnp.zeros((1, 0), jnp.int32))
    >>> found = propagated_rows(edge, jnp.array([[3.0], [5.0]]), nodes, weights=(1.0, 10.0))
    >>> [each.users.tolist() for each in found]  # 3 + 10 * 5
    [[[53.0]], [[3.0]]]
    """
    layers = len(weights) - 1
    if isinstance(adjacency, NodeOperator) and adjacency.splits_rows and layers:
        check_moved(adjacency, moved)
        # The rows of each layer would be summed over the devices, while tables of a device are small.
        own, total = x, weights[0] * x
        for weight in weights[1:-1]:
            x = spmm(adjacency, x, moved=moved)
            total = total + weight * x
        rows = nodes.joined
        return nodes.split(adjacency.product_rows(weights[-1] * x, rows, total)), nodes.split(own[rows])
    if 2 * nodes.size > x.shape[0]:
        # Rows of each layer would take longer than the whole sum, of which every row is then taken once.
        own, total = x, weights[0] * x
        for weight in weights[1:]:
            x = spmm(adjacency, x, moved=moved)
            total = total + weight * x
        return nodes.rows_of(total), nodes.rows_of(own)
    rows = nodes.joined
    x, ego = with_rows(x, rows)
    total = weights[0] * ego
    for weight in weights[1:-1]:
        x, taken = with_rows(spmm(adjacency, x, moved=moved), rows)
        total = total + weight * taken
    if layers:
        total = total + weights[-1] * spmm_rows(adjacency, x, rows, moved=moved)
    return nodes.split(total), nodes.split(ego)


@functools.partial(jax.jit, static_argnames=("weights", "moved"))
def handed_on(
    adjacency: SparseOperator,
    users: jax.Array,
    items: jax.Array,
    *,
    weights: tuple[float, ...],
    moved: Moved = "float32",
) -> jax.Array:
    """What each item hands on to a user, d_i^(-1/2) (a_1 e_i^(0) + ... + a_L e_i^(L-1)), [I, d].

    Args:
      adjacency: A~ [N, N].
      users: [U, d], e^(0).
      items: [I, d], e^(0).
      weights: (a_0, ..., a_L), L >= 1.
      moved: see `jaxrec.sparse.spmm`.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]])), symmetric=True)
    >>> handed_on(edge, jnp.array([[3.0]]), jnp.array([[5.0]]), weights=(0.0, 1.0, 10.0)).tolist()  # 5 + 10 * 3
    [[35.0]]
    """
    num_users = users.shape[0]
    x = jnp.concatenate([users, items])
    total = weights[1] * x
    for weight in weights[2:]:
        x = spmm(adjacency, x, moved=moved)
        total = total + weight * x
    degrees = jnp.diff(adjacency.indptr)[num_users:, None].astype(x.dtype)
    return jnp.where(degrees > 0, jax.lax.rsqrt(jnp.maximum(degrees, 1)), 0) * total[num_users:]


@jax.custom_vjp
def with_rows(x: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A table and some of its rows, (x, x[rows]), for programs that go on with the table and need the rows too.

    It is what `(x, x[rows])` is, but for the way of the gradient: that of the rows is added to that of the table in
    place, while plain indexing would make a table of zeros, fill it, and add the two.

    Args:
      x: [N, d].
      rows: int32 [R], in 0..N-1; a row may occur often.

    Returns:
      (x, x[rows] [R, d]).

    >>> table, taken = with_rows(jnp.array([[1.0], [2.0]]), jnp.array([1, 1]))
    >>> taken.tolist()
    [[2.0], [2.0]]
    """
    return x, x[rows]


def _with_rows_forward(x: jax.Array, rows: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    return with_rows(x, rows), rows


def _with_rows_backward(rows: jax.Array, gradients: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, np.ndarray]:
    of_table, of_rows = gradients
    return of_table.at[rows].add(of_rows), np.zeros(rows.shape, jax.dtypes.float0)


with_rows.defvjp(_with_rows_forward, _with_rows_backward)
