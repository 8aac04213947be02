"""Graph convolution in two layers: a classifier of nodes, and a recommender on the bipartite graph.

The classifier on Zachary's karate club, with one labeled member for each of the two clubs:

>>> import networkx as nx
>>> import numpy as np
>>> import optax
>>> from jaxrec import graph, losses, sparse
>>> club = nx.karate_club_graph()
>>> labels = jnp.array([int(club.nodes[node]["club"] == "Officer") for node in club], jnp.int32)
>>> edges = sparse.from_dense(nx.to_numpy_array(club, weight=None, dtype=np.float32))  # the edges, without weights
>>> adjacency = sparse.operator(graph.renormalized_adjacency(edges), symmetric=True)
>>> features = jnp.eye(34)  # nothing is known of a member but who it is
>>> leaders = jnp.array([0, 33], jnp.int32)  # the instructor and the president, the only labels that are shown
>>> model = GCNClassifier(hidden=8, classes=2, dropout=0.0)
>>> params = model.init(jax.random.key(0), features, adjacency)["params"]
>>> def loss(params):
...     log_probabilities = model.apply({"params": params}, features, adjacency)
...     return losses.nll(log_probabilities[leaders], labels[leaders])
>>> optimizer = optax.adam(0.01)
>>> def step(carry, _):
...     params, state = carry
...     updates, state = optimizer.update(jax.grad(loss)(params), state)
...     return (optax.apply_updates(params, updates), state), None
>>> (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), length=200)
>>> predicted = jnp.argmax(model.apply({"params": params}, features, adjacency), axis=1)
>>> int((predicted == labels).sum()) >= 31  # of 34 members
True
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.models._base import EmbeddingModel
from jaxrec.models._fold_in import PropagatedUsers
from jaxrec.models._sizes import bound_sizes
from jaxrec.protocols import FoldIn, Task
from jaxrec.sparse import SparseMatrix, SparseOperator, bcoo, degrees_of, part_nodes, spmm

if TYPE_CHECKING:
    from jaxrec.training import TrainData

WeightInitializer = Literal["glorot", "uniform"]


class GCNClassifier(nn.Module):
    """A two-layer graph convolutional network: log_softmax(A^ drop(relu(A^ drop(X) W0)) W1), without biases.

    `model.apply(variables, features, adjacency)` gives the log probabilities [N, C] of the classes of every node.

    Attributes:
      hidden: the width of the hidden layer.
      classes: C.
      dropout: the share of the entries of X and of the hidden layer that are left out in training; the others are
        divided by 1 - dropout. Of sparse features the stored entries are dropped.
      initializer: "glorot" (uniform, bound sqrt(6 / (rows + columns)); the paper's) or "uniform" (bound
        1 / sqrt(columns)).

    Raises:
      JaxrecError: options out of range; training with dropout but without a key for it.
      MismatchError: features and adjacency that differ in their number of nodes.

    Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017, equation 9.

    >>> from jaxrec.sparse import from_dense, operator
    >>> features, adjacency = jnp.eye(3), operator(from_dense(jnp.eye(3)), symmetric=True)
    >>> model = GCNClassifier(hidden=4, classes=2)
    >>> variables = model.init(jax.random.key(0), features, adjacency)
    >>> log_probabilities = model.apply(variables, features, adjacency)
    >>> jnp.exp(log_probabilities).sum(axis=1).round(4).tolist()
    [1.0, 1.0, 1.0]
    >>> rngs = {"dropout": jax.random.key(1)}
    >>> model.apply(variables, features, adjacency, deterministic=False, rngs=rngs).shape
    (3, 2)
    """

    hidden: int = 16
    classes: int = 7
    dropout: float = 0.5
    initializer: WeightInitializer = "glorot"

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        _check_layer_options(self)
        if self.classes < 2:
            raise JaxrecError(f"classes must be at least 2, got {self.classes}")
        _check_rate(self.dropout)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        features: jax.Array | SparseMatrix,
        adjacency: SparseMatrix,
        *,
        deterministic: bool = True,
        order: jax.Array | None = None,
    ) -> jax.Array:
        """The log probabilities of the classes, [N, C].

        Args:
          features: X, dense [N, F], or sparse (a bag of words) as an operator or a BCOO.
          adjacency: A^ [N, N] of `graph.renormalized_adjacency`, or better the operator that
            `sparse.operator(..., symmetric=True)` makes of it.
          deterministic: True leaves dropout out. False takes its key from `rngs={"dropout": key}`.
          order: `transposed_order(features)` for dropout on a sparse operator. Without it the order is found anew in
            every call, which costs more than the rest of a step.
        """
        if tuple(adjacency.shape) != (features.shape[0],) * 2:
            raise MismatchError(
                f"features has {features.shape[0]} nodes and the adjacency has shape {tuple(adjacency.shape)}; "
                "they must be of the same nodes, in the same order"
            )
        drops = not deterministic and self.dropout > 0
        if drops and not self.has_rng("dropout"):
            raise JaxrecError('dropout needs a key: pass rngs={"dropout": key} to apply, or deterministic=True')
        w0 = _weight(self, "w0", features.shape[1], self.hidden)
        w1 = _weight(self, "w1", self.hidden, self.classes)
        if drops:
            features = drop(features, self.dropout, self.make_rng("dropout"), order=order)
        hidden = jax.nn.relu(graph_convolution(adjacency, features, w0))
        if drops:
            hidden = drop(hidden, self.dropout, self.make_rng("dropout"))
        return jax.nn.log_softmax(graph_convolution(adjacency, hidden, w1), axis=1)


class GCN(EmbeddingModel):
    """A two-layer graph convolutional network as a recommender: (users, items) = split(A^ relu(A^ W0) W1).

    The features of a node are who it is, so X is the identity and W0 has a row for each user and item. The inner
    product of a user and an item is the score. `model.apply(variables, adjacency)` gives (users [U, d], items [I, d]).

    Attributes:
      dim: d, the width of the final embeddings.
      hidden: the width of the hidden layer.
      self_loops: False takes the adjacency as it is, A^ = A~. True adds self-loops to the unweighted graph whose A~ is
        given: A^ = (D + I)^(-1/2) (A + I) (D + I)^(-1/2), the renormalization trick of the paper.
      initializer: "glorot" (uniform, bound sqrt(6 / (rows + columns)); the paper's) or "uniform" (bound
        1 / sqrt(columns)).
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: sizes that are not set, a width below 1, an unknown initializer.
      MismatchError: an adjacency of another size.

    Source: Kipf and Welling, ICLR 2017, equations 2 and 9; without a softmax, and on the bipartite graph.

    >>> from jaxrec import graph
    >>> from jaxrec.data._interactions import Interactions
    >>> data = Interactions.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> adjacency = graph.normalized_adjacency(graph.biadjacency(data))
    >>> model = GCN(dim=4, hidden=8, num_users=2, num_items=2)
    >>> users, items = model.apply(model.init(jax.random.key(0), adjacency), adjacency)
    >>> users.shape, items.shape
    ((2, 4), (2, 4))
    """

    dim: int = 64
    hidden: int = 64
    self_loops: bool = False
    initializer: WeightInitializer = "glorot"
    num_users: int | None = None
    num_items: int | None = None

    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        if self.dim < 1:
            raise JaxrecError(f"dim must be at least 1, got {self.dim}")
        _check_layer_options(self)
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.w0 = _weight(self, "w0", num_users + num_items, self.hidden)
        self.w1 = _weight(self, "w1", self.hidden, self.dim)

    def __call__(self, adjacency: SparseMatrix) -> tuple[jax.Array, jax.Array]:
        """The final embeddings (users [U, d], items [I, d]).

        Args:
          adjacency: A~ [N, N] with N = U + I, users first: a BCOO of `graph.normalized_adjacency`, or better the
            operator that `sparse.operator(..., symmetric=True)` makes of it.
        """
        num_users, _ = bound_sizes(self, adjacency)
        handed = jax.nn.relu(_convolved(adjacency, self.w0, loops=self.self_loops)) @ self.w1
        return part_nodes(adjacency, _convolved(adjacency, handed, loops=self.self_loops), num_users)

    def embeddings(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The rows of W0: (users [U, hidden], items [I, hidden])."""
        num_users, _ = bound_sizes(self)
        if adjacency is None:
            return self.w0[:num_users], self.w0[num_users:]
        return part_nodes(adjacency, self.w0, num_users)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The vector of a new user by both convolutions, from the hidden layer of the items as it was trained.

        The row of W0 of the user is 0. With n items of degrees d_i, H the hidden layer and D_i = d_i, or d_i + 1 with
        self-loops, x_u = sum over i of (n D_i)^(-1/2) H_i W1, with n + 1 for n where there are self-loops; then the
        user's own hidden layer is handed on too.
        """
        num_users, _ = bound_sizes(self, data.adjacency)
        params = variables["params"]
        sums, own = _handed_on(data.adjacency, params["w0"], params["w1"], num_users, loops=self.self_loops)
        if not self.self_loops:
            return PropagatedUsers(scorer.items, sums, None, None, loops=0, dim=self.dim)
        return PropagatedUsers(scorer.items, sums, own, params["w1"], loops=1, dim=self.dim)


def _convolved(adjacency: SparseMatrix, x: jax.Array, *, loops: bool) -> jax.Array:
    """A~ x, or with self-loops (D + I)^(-1/2) (A + I) (D + I)^(-1/2) x."""
    if not loops:
        return spmm(adjacency, x)
    degrees = degrees_of(adjacency).astype(x.dtype)[:, None]
    # A~ holds 1 / sqrt(d_m d_n); scaled on both sides by sqrt(d / (d + 1)) it holds the roots of d + 1.
    scale = jnp.sqrt(degrees / (degrees + 1))
    return scale * spmm(adjacency, scale * x) + x / (degrees + 1)


@functools.partial(jax.jit, static_argnums=3, static_argnames="loops")
def _handed_on(
    adjacency: SparseOperator, w0: jax.Array, w1: jax.Array, num_users: int, *, loops: bool
) -> tuple[jax.Array, jax.Array]:
    """What each item hands on to a user [I, d], and to the hidden layer of a user [I, hidden]."""
    handed = jax.nn.relu(_convolved(adjacency, w0, loops=loops)) @ w1
    degrees = jnp.diff(adjacency.indptr)[num_users:, None].astype(w0.dtype)
    scale = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.maximum(degrees + int(loops), 1)), 0)
    return scale * handed[num_users:], scale * w0[num_users:]


def graph_convolution(adjacency: SparseMatrix, x: jax.Array | SparseMatrix, weight: jax.Array) -> jax.Array:
    """One layer of a graph convolutional network before its activation: A^ (X W).

    Args:
      adjacency: A^ [N, N].
      x: X [N, F], dense or sparse.
      weight: W [F, d].

    Returns:
      [N, d].

    Source: Kipf and Welling, ICLR 2017, equation 2.

    >>> from jaxrec.sparse import from_dense
    >>> swap = from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> graph_convolution(swap, jnp.array([[1.0], [2.0]]), jnp.array([[10.0]])).tolist()
    [[20.0], [10.0]]
    """
    # X W first: the product with A^ then has d columns and not F.
    return spmm(adjacency, x @ weight if isinstance(x, (jax.Array, np.ndarray)) else spmm(x, weight))


def drop(
    x: jax.Array | SparseMatrix, rate: float, key: jax.Array, *, order: jax.Array | None = None
) -> jax.Array | SparseMatrix:
    """Dropout: every entry is 0 with probability `rate`, and divided by 1 - rate otherwise.

    Args:
      x: any dense shape, or a sparse matrix, whose stored entries are dropped.
      rate: in [0, 1), rounded to a multiple of 1 / 65536.
      key: consumed.
      order: `transposed_order(x)`, for an operator; it is found here if need be.

    Returns:
      The same kind as `x`. An operator comes with its transpose, whose entries are dropped at the same places.

    Raises:
      JaxrecError: a rate outside [0, 1).

    >>> sorted(set(drop(jnp.ones(100), 0.5, jax.random.key(0)).tolist()))
    [0.0, 2.0]
    """
    _check_rate(rate)
    if isinstance(x, SparseOperator):
        order = transposed_order(x) if order is None else order
        # A symmetric matrix is not symmetric any more when entries are gone, so it gets a transpose of its own.
        data, *places = x.transposed or (x.data, x.stored_rows, x.columns, x.indptr)
        dropped = _drop_entries(data, rate, key)
        return x.with_data(dropped[order], (dropped, *places))
    if isinstance(x, (jax.Array, np.ndarray)):
        return _drop_entries(x, rate, key)
    flags = {"indices_sorted": x.indices_sorted, "unique_indices": x.unique_indices}
    return bcoo(_drop_entries(x.data, rate, key), x.indices, x.shape, **flags)


def transposed_order(matrix: SparseOperator) -> jax.Array:
    """Where each entry of an operator is among the entries of its transpose.

    Returns:
      int32 [E]; `matrix.transposed[0][order]` is `matrix.data`.

    >>> from jaxrec.sparse import from_dense, operator
    >>> matrix = operator(from_dense(jnp.array([[0.0, 2.0], [3.0, 4.0]])))
    >>> matrix.data.tolist(), matrix.transposed[0].tolist(), transposed_order(matrix).tolist()
    ([2.0, 3.0, 4.0], [3.0, 2.0, 4.0], [1, 0, 2])
    """
    # The transpose is sorted by column and then by row; a stable sort by row brings the order of the matrix.
    columns = matrix.columns if matrix.transposed is None else matrix.transposed[2]
    return jnp.argsort(columns, stable=True).astype(jnp.int32)


def _drop_entries(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    # Drawing a word for every entry would take half the time of a step. A rate of 1/2 needs one bit of it, any other
    # at most 16.
    bits = next((bits for bits in (1, 2, 4, 8) if (rate * 2**bits).is_integer()), 16)
    size, each = math.prod(x.shape), 32 // bits
    words = jax.random.bits(key, (-(-size // each), 1))
    shifts = jnp.arange(0, 32, bits, dtype=jnp.uint32)[None, :]
    drawn = (words >> shifts) & jnp.uint32(2**bits - 1)
    kept = (drawn >= round(rate * 2**bits)).reshape(-1)[:size].reshape(x.shape)
    return jnp.where(kept, x / (1 - rate), 0)


def _weight(module: nn.Module, name: str, rows: int, columns: int) -> jax.Array:
    if module.initializer == "glorot":
        return module.param(name, nn.initializers.glorot_uniform(), (rows, columns), jnp.float32)
    bound = columns**-0.5
    uniform = lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)  # noqa: E731
    return module.param(name, uniform, (rows, columns), jnp.float32)


def _check_layer_options(module: nn.Module) -> None:
    if module.hidden < 1:
        raise JaxrecError(f"hidden must be at least 1, got {module.hidden}")
    if module.initializer not in ("glorot", "uniform"):
        raise JaxrecError(f'initializer must be "glorot" or "uniform", got {module.initializer!r}')


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise JaxrecError(f"dropout must lie in [0, 1), got {rate}")
