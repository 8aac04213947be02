"""What models share: the bases of trained and of solved models, with the capabilities that a class declares."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.models._fold_in import OfHistory
from jaxrec.models._least_squares import least_squares
from jaxrec.protocols import Encoded, FoldIn, HistoryScorer, Loss, Solution, Task
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseOperator

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from jaxrec.data import Interactions
    from jaxrec.parallel import MeshStep
    from jaxrec.training import TrainData

Vectors = tuple[jax.Array, jax.Array]
_SAYS = ("__call__", "embeddings", "encode", "penalty")  # how rows become vectors


class EmbeddingModel(nn.Module):
    """The base of models that are trained by gradients: users and items have vectors, with inner products as scores.

    A subclass has the fields `num_users` and `num_items` (None, and set by `jaxrec.fit`) and `__call__(adjacency)`,
    which gives (users [U, w], items [I, w]). All else has a default that is made from these vectors. So a subclass of a
    model that overrides `__call__` or `embeddings` also drops the faster `encode` and the tables of its parent, which
    are of the parent's vectors, unless it has its own.

    >>> from jaxrec.models import LightGCN
    >>> class Doubled(LightGCN):
    ...     def __call__(self, adjacency):
    ...         users, items = super().__call__(adjacency)
    ...         return 2 * users, 2 * items
    >>> Doubled.encode is LightGCN.encode, Doubled.encode is EmbeddingModel.encode
    (False, True)
    """

    serves_new_users: ClassVar[bool] = True
    """Whether lists can be made for users who were not trained on, from what they have shown since; see `fold_in`."""

    draws: ClassVar[bool] = True
    """Whether another key gives another model."""

    draws_in_training: ClassVar[bool] = False
    """Whether `encode` takes a key as its last argument, for what it draws in every step, such as noise."""

    mesh_axes: ClassVar[tuple[str, ...]] = ()
    """Along which axes of a mesh of devices the tables may be split: "rows", "columns", or both.

    "rows": users and items may stand in another order, with rows of zeros among them. Vectors are made of rows by
    products with the adjacency, `sparse.join_nodes` and `sparse.part_nodes`, and nothing is drawn by the place of
    a row.
    "columns": of the adjacency nothing is used but products and `degrees_of`. A subclass with another `__call__`,
    `embeddings`, `encode` or `penalty` has to say it again.
    """

    @property
    def user_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each user, where vectors are rows of tables; see `EmbeddingTables`."""
        return ()

    @property
    def item_tables(self) -> tuple[str, ...]:
        """The parameters that have a row for each item."""
        return ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if _depth(cls, "mesh_axes") > min(_depth(cls, name) for name in _SAYS):
            cls.mesh_axes = ()
        vectors = min(_depth(cls, "__call__"), _depth(cls, "embeddings"))
        # Flax wraps the methods of the class, so what is taken from here is put in before.
        for name in ("encode", "user_tables", "item_tables", "fold_in"):
            if _depth(cls, name) > vectors:
                setattr(cls, name, getattr(EmbeddingModel, name))
        super().__init_subclass__(**kwargs)

    def task(self, loss: Loss) -> Task:
        """What the model predicts when it is trained with a loss."""
        return loss.task

    def prepared(self, part: Interactions, task: Task) -> Any:
        """The model with what it takes from the data before training, such as the mean of the ratings."""
        return self

    def initial(self, params: Any, data: TrainData, key: jax.Array) -> Any:
        """The parameters before the first step: by default as they were drawn.

        Args:
          params: as they were drawn.
          data: what is trained on.
          key: consumed.
        """
        return params

    def embeddings(self, adjacency: Any) -> Vectors:
        """The embeddings that a regularizer acts on: (users [U, ...], items [I, ...]); by default the vectors."""
        return self(adjacency)

    def ego(self, adjacency: Any = None) -> Vectors:
        """The name of 0.1 for `embeddings`."""
        warnings.warn("ego is a name of 0.1 and goes in 0.3; use embeddings", DeprecationWarning, stacklevel=2)
        return self.embeddings(adjacency)  # pyright: ignore[reportArgumentType]

    def penalty(self, adjacency: Any) -> jax.Array | None:
        """What the model adds to the loss of each row of a user, [U]; by default None, for nothing."""
        return None

    def encode(self, adjacency: Any, user: jax.Array, item: jax.Array, negatives: jax.Array) -> Encoded:
        """The rows of a batch, see `jaxrec.protocols.Trained`: by default rows of the vectors of all nodes."""
        users, items = vectors = self(adjacency)
        # Asked for once: a model may draw.
        default = type(self).embeddings is EmbeddingModel.embeddings
        own_users, own_items = vectors if default else self.embeddings(adjacency)
        penalty = self.penalty(adjacency)
        return Encoded(
            users[user],
            items[item],
            items[negatives],
            (own_users[user], own_items[item], own_items[negatives]),
            None if penalty is None else penalty[user],
        )

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """What makes lists for users who were not trained on.

        By default their vectors are solved by least squares for the vectors of the items, which stay as they are.

        Args:
          variables: of the fitted model.
          scorer: of the fitted model, before the loss adjusts it.
          data: what it was trained on; `rating` is None after a run was restored.
          task: what it predicts.

        Raises:
          JaxrecError: a model whose scores are no inner products, and that does not say otherwise.
        """
        return least_squares(type(self).__name__, scorer, data.adjacency, task)

    def scorer(self, adjacency: Any) -> Any:
        """What ranking and prediction need of the model: the inner products of the vectors."""
        users, items = self(adjacency)
        return FactorScorer(users, items, dim=items.shape[1])


class SolvedModel:
    """The base of models that are solved from data and a key: a Flax module, or any other frozen dataclass.

    A subclass has the fields `num_users` and `num_items` (None, and set by `jaxrec.fit`) and `solve(data, key)`.

    >>> SolvedModel.serves_new_users, SolvedModel.draws
    (False, False)
    """

    serves_new_users: ClassVar[bool] = False
    """Whether lists can be made for users who were not fitted on, from what they have shown since; see `fold_in`."""

    draws: ClassVar[bool] = False
    """Whether another key gives another model."""

    mesh_axes: ClassVar[tuple[str, ...]] = ()
    """Along which axes of a mesh of devices `solve` splits its work; then it takes the mesh as `mesh=`."""

    def mesh_step(self, entries: int, mesh: Mesh) -> MeshStep | None:
        """What `solve` repeats on a mesh, from which `jaxrec plan` states bytes; by default None, for unknown.

        Args:
          entries: E, the interactions.
          mesh: of the devices.
        """
        return None

    takes_weights: ClassVar[bool] = False
    """Whether `solve` weighs interactions by `TrainData.weight`; a fit with weights refuses a model that does not."""

    num_users: int | None
    num_items: int | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if _depth(cls, "mesh_axes") > min(_depth(cls, name) for name in ("solve", "scorer", "__call__")):
            cls.mesh_axes = ()
        super().__init_subclass__(**kwargs)

    def task(self, loss: Loss | None) -> Task:
        """What the model predicts; `loss` is the one that the fit names, or None."""
        return "ranking"

    def prepared(self, part: Interactions, task: Task) -> Any:
        """The model with what it takes from the data beforehand."""
        return self

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """What makes lists for users who were not fitted on: by default the scorer, where it asks for items alone.

        Args and errors: see `EmbeddingModel.fold_in`.
        """
        if isinstance(scorer, HistoryScorer):
            return OfHistory(scorer)
        raise JaxrecError(
            f"{type(self).__name__} cannot serve new users: its scorer has no with_history, and it has no fold_in of "
            "its own; fit it again with these users, or use lightgcn, mf, ease or itemknn"
        )

    def scorer(self, adjacency: Any = None) -> Any:
        """What ranking and prediction need of the model; for a Flax module what its call gives."""
        module: Any = self
        return module(adjacency)

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """The solution, see `jaxrec.protocols.Solved`; for a Flax module its scorer, from its initial variables."""
        module: Any = self
        variables = module.init(key) if self.draws else {}
        return Solution(module.apply(variables, data.adjacency, method="scorer"), variables)


def _depth(cls: type, name: str) -> int:
    """How far up the class that says what `name` is stands; a mixin stands before the bases after it."""
    return next((at for at, kind in enumerate(cls.__mro__) if name in vars(kind)), len(cls.__mro__))


def solved_anew(model: Any, data: TrainData) -> Any:
    """The scorer of a model without parameters for other data, with as many users and items as these have.

    >>> import jax.numpy as jnp, jaxrec
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays([0, 1, 1], [0, 0, 1]))
    >>> solved_anew(jaxrec.Popularity(num_users=2, num_items=1), data).counts.tolist()
    [2.0, 1.0]
    """
    users = model.num_users
    grown = with_sizes(model, users, data.adjacency.shape[0] - users)
    return grown.apply({}, data.adjacency, method="scorer")


def initial_params(model: Any, data: TrainData, key: jax.Array) -> Any:
    """The parameters of a trained model before the first step: drawn, or made of the data where the model says so.

    Args:
      model: with its sizes set.
      data: what is trained on.
      key: consumed.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> initial_params(jaxrec.MF(dim=2, num_users=2, num_items=2), data, jax.random.key(0))["user_embedding"].shape
    (2, 2)
    """
    # No product is computed to learn the shapes of the parameters.
    params = model.lazy_init(key, jax.eval_shape(lambda: data.adjacency))["params"]
    return model.initial(params, data, jax.random.fold_in(key, 1)) if hasattr(model, "initial") else params


@functools.partial(jax.jit, static_argnums=2)
def model_scorer(variables: Any, adjacency: Any, model: Any) -> Any:
    """The scorer of a trained model, in one jitted program.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> tables = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.LightGCN(dim=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), tables.adjacency)
    >>> model_scorer(variables, tables.adjacency, model).items.shape
    (2, 2)
    """
    return model.apply(variables, adjacency, method="scorer")


def with_sizes(model: Any, num_users: int, num_items: int) -> Any:
    """A copy of a model with its sizes set.

    >>> from jaxrec.models import MF
    >>> with_sizes(MF(), 2, 3).num_items
    3
    """
    sizes: dict[str, Any] = {"num_users": num_users, "num_items": num_items}
    return model.clone(**sizes) if isinstance(model, nn.Module) else dataclasses.replace(model, **sizes)


def shapes_of(model: Any, num_users: int, num_items: int, *, adjacency: bool = False) -> Any:
    """The shapes of the parameters of a model of other sizes, or of its adjacency, without any array.

    >>> import jaxrec
    >>> shapes_of(jaxrec.MF(dim=2), 3, 4)["item_embedding"].shape
    (4, 2)
    """
    nodes, entry = num_users + num_items, jax.ShapeDtypeStruct((2,), jnp.int32)
    indptr, value = jax.ShapeDtypeStruct((nodes + 1,), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.float32)
    made: Any = SparseOperator(value, entry, entry, indptr, None, (nodes, nodes))  # pyright: ignore[reportArgumentType]
    if adjacency:
        return made
    return jax.eval_shape(with_sizes(model, num_users, num_items).lazy_init, jax.random.key(0), made)["params"]
