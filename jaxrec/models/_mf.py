"""Matrix factorization: one vector for each user and each item, scored by their inner product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import EmbeddingModel
from jaxrec.models._initial import from_singular_vectors
from jaxrec.models._least_squares import NOISE, UNOBSERVED, least_squares
from jaxrec.models._sizes import WITHOUT_GRAPH, bound_sizes, set_width, width_of
from jaxrec.protocols import FoldIn, Task
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseMatrix, part_nodes, spmm

if TYPE_CHECKING:
    from jaxrec.data import Interactions
    from jaxrec.training import TrainData

Initializer = Literal["normal", "xavier", "svd"]


class MF(EmbeddingModel):
    """Matrix factorization, score(u, i) = mu + b_u + b_i + <p_u, q_i>.

    `model.apply(variables)` gives (users [U, w], items [I, w]) whose inner products are the scores. Without biases w is
    d. With them w is d + 2: the users' further columns are (mu + b_u, 1), the items' (1, b_i).

    Attributes:
      dim: d, the width of the embeddings. None takes 256 for up to 8,192 users and items together, 128 for up to
        131,072 and 64 for more, and 64 with biases; `experiments/defaults` has the figures. `jaxrec.fit` sets it.
      bias: whether users and items have biases b.
      mean: mu, the global mean of the ratings, which needs `bias`. None counts as 0, and `jaxrec.fit` with loss "mse"
        sets it to the mean of the ratings that it trains on.
      initializer: "normal" (mean 0, standard deviation `scale`), "xavier" (uniform, bound sqrt(6 / (rows + d))), or
        "svd": `jaxrec.fit` starts from the leading singular vectors of the normalized adjacency, see `initial`.
      scale: the standard deviation of "normal", and the root of the mean square of "svd".
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.
      fold_in_noise: of the scores of a new user, as a share of the difference that one item makes; more of it holds the
        user nearer to the mean of the fitted ones.
      fold_in_unobserved: the weight of an item that a new user does not have, beside 1 for one that they have.

    Raises:
      JaxrecError: sizes that are not set, a width below 1, a mean without biases.

    Source: Koren, Bell and Volinsky, Computer 42(8), 2009; Rendle et al., BPR, UAI 2009.

    >>> model = MF(dim=4, num_users=2, num_items=3)
    >>> variables = model.init(jax.random.key(0))
    >>> users, items = model.apply(variables)
    >>> users.shape, items.shape
    ((2, 4), (3, 4))
    """

    dim: int | None = None
    bias: bool = False
    mean: float | None = None
    initializer: Initializer = "normal"
    scale: float = 0.1
    num_users: int | None = None
    num_items: int | None = None
    fold_in_noise: float = NOISE
    fold_in_unobserved: float = UNOBSERVED

    mesh_axes: ClassVar[tuple[str, ...]] = ("rows", "columns")

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        check_embedding_options(self, ("normal", "xavier", "svd"))
        if self.mean and not self.bias:
            raise JaxrecError(f"mean={self.mean} is only used with bias=True")
        if self.bias and self.dim is None:
            object.__setattr__(self, "dim", 64)
        set_width(self, WITHOUT_GRAPH)
        super().__post_init__()

    def setup(self) -> None:
        num_users, num_items = bound_sizes(self)
        self.user_embedding = embedding(self, "user_embedding", num_users)
        self.item_embedding = embedding(self, "item_embedding", num_items)
        if self.bias:
            self.user_bias = self.param("user_bias", nn.initializers.zeros, (num_users,), jnp.float32)
            self.item_bias = self.param("item_bias", nn.initializers.zeros, (num_items,), jnp.float32)

    def __call__(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The vectors whose inner products are the scores: (users [U, w], items [I, w]). The adjacency is not used."""
        if adjacency is not None:
            bound_sizes(self, adjacency)
        users, items = self.user_embedding, self.item_embedding
        if not self.bias:
            return users, items
        return with_bias_columns(users, items, self.user_bias + (self.mean or 0.0), self.item_bias)

    def prepared(self, part: Interactions, task: Task) -> Any:
        """The model with the mean of the ratings, where it has biases and is to predict ratings."""
        return with_mean(self, part) if self.bias and task == "rating" else self

    def embeddings(self, adjacency: SparseMatrix | None = None) -> tuple[jax.Array, jax.Array]:
        """The embeddings as they are learnt: (users [U, d], items [I, d]), biases as the last column."""
        if not self.bias:
            return self.user_embedding, self.item_embedding
        return (
            jnp.concatenate([self.user_embedding, self.user_bias[:, None]], axis=1),
            jnp.concatenate([self.item_embedding, self.item_bias[:, None]], axis=1),
        )

    @property
    def user_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each user."""
        return ("user_embedding", "user_bias") if self.bias else ("user_embedding",)

    @property
    def item_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each item."""
        return ("item_embedding", "item_bias") if self.bias else ("item_embedding",)

    def user_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """From rows of the user tables: (vectors [..., w], embeddings [..., d] or, with biases, [..., d + 1])."""
        if not self.bias:
            return rows["user_embedding"], rows["user_embedding"]
        vectors, bias = rows["user_embedding"], rows["user_bias"][..., None]
        mean = self.mean or 0.0
        return _columns(vectors, bias + mean, jnp.ones_like(bias)), _columns(vectors, bias)

    def item_vectors(self, rows: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """From rows of the item tables: (vectors [..., w], embeddings [..., d] or, with biases, [..., d + 1])."""
        if not self.bias:
            return rows["item_embedding"], rows["item_embedding"]
        vectors, bias = rows["item_embedding"], rows["item_bias"][..., None]
        return _columns(vectors, jnp.ones_like(bias), bias), _columns(vectors, bias)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The vector and the bias of a new user, by least squares; see `EmbeddingModel.fold_in`."""
        how: dict[str, Any] = {"noise": self.fold_in_noise, "unobserved": self.fold_in_unobserved}
        return least_squares(type(self).__name__, scorer, data.adjacency, task, fixed=int(self.bias), **how)

    def initial(self, params: Any, data: TrainData, key: jax.Array) -> Any:
        """The parameters before the first step, from the data where `initializer` is "svd"."""
        return initial_embeddings(self, params, data, key)

    def scorer(self, adjacency: SparseMatrix | None = None) -> FactorScorer:
        """What ranking and prediction need of the model.

        With biases, users and items without an edge get zero embeddings: what is left is the mean and the other
        side's bias.
        """
        users, items = self(adjacency)
        if self.bias and adjacency is not None:
            users, items = without_cold(users, items, adjacency, width_of(self))
        return FactorScorer(users, items, dim=width_of(self))


def with_mean(model: Any, part: Interactions) -> Any:
    """A copy of a model whose `mean` is that of the ratings; a mean that is set stays.

    >>> import jaxrec
    >>> with_mean(MF(bias=True), jaxrec.from_arrays([0, 1], [0, 1], [2.0, 5.0])).mean
    3.5
    """
    if model.mean is not None or part.rating is None:
        return model
    return model.clone(mean=float(part.rating.mean(dtype=np.float64)))


def with_bias_columns(
    users: jax.Array, items: jax.Array, user_bias: jax.Array, item_bias: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Fold biases into two further columns: <users, items> gains user_bias + item_bias.

    Args:
      users: [U, d].
      items: [I, d].
      user_bias: [U], the global mean included.
      item_bias: [I].

    Returns:
      (users [U, d + 2] = (p, b_u, 1), items [I, d + 2] = (q, 1, b_i)).

    >>> users, items = with_bias_columns(jnp.ones((1, 1)), jnp.ones((1, 1)), jnp.array([2.0]), jnp.array([3.0]))
    >>> (users @ items.T).item()
    6.0
    """
    user_column, item_column = user_bias[:, None], item_bias[:, None]
    return (
        jnp.concatenate([users, user_column, jnp.ones_like(user_column)], axis=1),
        jnp.concatenate([items, jnp.ones_like(item_column), item_column], axis=1),
    )


def _columns(*parts: jax.Array) -> jax.Array:
    return jnp.concatenate(parts, axis=-1)


def without_cold(users: jax.Array, items: jax.Array, adjacency: SparseMatrix, dim: int) -> tuple[jax.Array, jax.Array]:
    """Vectors whose first d columns are 0 for users and items without an edge: their start was never trained.

    Args:
      users: [U, w].
      items: [I, w].
      adjacency: [N, N].
      dim: d.

    >>> from jaxrec.sparse import from_dense
    >>> edges = from_dense(jnp.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]]))
    >>> without_cold(jnp.ones((1, 2)), jnp.ones((2, 2)), edges, 1)[1].tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    nodes = spmm(adjacency, jnp.ones((adjacency.shape[1],), users.dtype)) > 0
    embedded = jnp.arange(users.shape[1], dtype=jnp.int32) < dim
    keep = part_nodes(adjacency, nodes[:, None] | ~embedded[None, :], users.shape[0])
    return jnp.where(keep[0], users, 0), jnp.where(keep[1], items, 0)


def embedding(module: nn.Module, name: str, rows: int) -> jax.Array:
    """A table of embeddings [rows, d], float32, initialized as the module's `initializer`, `scale` and `dim` say.

    It is a parameter of the module that calls it in its `setup`.

    >>> MF(num_users=3, num_items=1, dim=2).init(jax.random.key(0))["params"]["user_embedding"].shape
    (3, 2)
    """
    # Singular vectors need the data: `initial_embeddings` puts them in place of what is drawn here.
    normal = module.initializer in ("normal", "svd")
    initial = nn.initializers.normal(module.scale) if normal else nn.initializers.xavier_uniform()
    return module.param(name, initial, (rows, width_of(module)), jnp.float32)


def initial_embeddings(model: Any, params: Any, data: TrainData, key: jax.Array) -> Any:
    """The parameters of a model with embeddings before the first step; see `from_singular_vectors`.

    Args:
      model: with `initializer` and `scale`.
      params: as they were drawn; they stay so unless `initializer` is "svd".
      data: what is trained on.
      key: consumed.

    >>> initial_embeddings(MF(), {}, None, None)
    {}
    """
    if model.initializer != "svd":
        return params
    return from_singular_vectors(params, data, key, scale=model.scale)


def check_embedding_options(module: nn.Module, initializers: tuple[str, ...] = ("normal", "xavier")) -> None:
    """Check the options `dim`, `scale` and `initializer` of a model with embeddings.

    Args:
      module: the model.
      initializers: the words that it takes.

    Raises:
      JaxrecError: a width below 1, a negative scale, an unknown initializer.

    >>> MF(dim=0)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: dim must be at least 1, got 0
    """
    if module.dim is not None and module.dim < 1:
        raise JaxrecError(f"dim must be at least 1, got {module.dim}")
    if not module.scale >= 0:
        raise JaxrecError(f"scale must not be negative, got {module.scale}")
    if module.initializer not in initializers:
        words = " or ".join(f'"{word}"' for word in initializers)
        raise JaxrecError(f"initializer must be {words}, got {module.initializer!r}")
