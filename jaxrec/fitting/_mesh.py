"""A training with placed tables: what goes onto the mesh before it, and comes back in the order of the data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import is_trained
from jaxrec.models import with_sizes
from jaxrec.models._base import model_scorer, shapes_of
from jaxrec.models._node_order import check_order, multiplies
from jaxrec.parallel import DataOrder, Layout, PlacedModel, PlacedStep, Placement, placed_operator, sharded_operator
from jaxrec.parallel._mesh import put, replicated
from jaxrec.parallel._placed import Sides, original_array, placed_array, sharding_of, sides_of
from jaxrec.parallel._processes import writes
from jaxrec.protocols import StageInfo
from jaxrec.training import TrainData, TrainState
from jaxrec.training._progress import Keeper, MemberProgress, Progress


class MeshTraining:
    """One training of a model on the devices of a mesh, or of several members of one together.

    Members share the adjacency and the placement, and each of their tables lies as that of one would: of S stacked
    tables [S, rows, d] every device has its rows of all members.

    Args:
      mesh: of the devices.
      layout: the same in numbers.
      model: with its sizes set.
      placement: of users and items.
      options: of the training.

    Raises:
      JaxrecError: parameters that cannot be split so.
    """

    def __init__(self, mesh: Mesh, layout: Layout, model: Any, placement: Placement, options: TrainingOptions) -> None:
        self._mesh, self._layout, self._own = mesh, layout, model
        self._sizes = model.num_users, model.num_items
        self.placement = placement
        self._sized = with_sizes(model, self.placement.num_users, self.placement.num_items)
        self._sides = sides_of(functools.partial(shapes_of, model), *self._sizes)
        compares = getattr(options.loss, "compares_rows", False)
        self.model = PlacedModel(self._sized, mesh, compares)
        """What takes the place of the model in the objective."""
        self._parameters: dict[tuple[Any, ...], tuple[Sides, tuple[int, ...]]] = {}
        paths = jax.tree_util.tree_flatten_with_path(shapes_of(model, *self._sizes))[0]
        for (path, leaf), sides in zip(paths, self._sides, strict=True):
            self._parameters[path] = sides, leaf.shape
            sharding_of(mesh, jax.tree_util.keystr(path, simple=True), sides, leaf.shape)

    @property
    def plain(self) -> bool:
        """Whether a step multiplies by a plain operator, as without a mesh.

        A model that draws for every node asks the adjacency where each of them lies, which a plain one does not know.
        """
        ordered = self._layout.order != "data" and getattr(self._own, "draws_in_training", False)
        return self._layout.devices == 1 and not ordered

    def data(self, tables: TrainData) -> TrainData:
        """What is trained on, on the mesh: users and items are numbered as in the data, and the adjacency is placed."""
        everywhere = functools.partial(put, sharding=replicated(self._mesh))
        rest = jax.tree.map(everywhere, dataclasses.replace(tables, adjacency=None))  # pyright: ignore[reportArgumentType]
        if self.plain:
            self._adjacency: Any = placed_operator(tables.adjacency, self.placement, self._mesh)
        else:
            given = tables.adjacency, self._own.num_users, self._layout
            self._adjacency = DataOrder(sharded_operator(*given, placement=self.placement, mesh=self._mesh))
        return dataclasses.replace(rest, adjacency=self._adjacency)

    def step(self, step: Any, state: TrainState) -> PlacedStep:
        """The step of a training that starts with this state, in the order of the data or placed."""
        leaves = jax.tree_util.tree_flatten_with_path((state.params, state.opt_state))[0]
        return PlacedStep(step, tuple(self.sharding(path, leaf.shape) for path, leaf in leaves))

    def placed(self, tree: Any) -> Any:
        """A state, parameters or the like, onto the mesh."""

        def one(path: Any, leaf: Any) -> jax.Array:
            sides = self._sides_at(path, leaf.shape)
            return placed_array(leaf, self.placement, sides, self.sharding(path, leaf.shape))

        return jax.tree_util.tree_map_with_path(one, tree)

    def stacked(self, states: Sequence[Any]) -> Any:
        """One state of members from the placed states of each: [S, ...], every array where those of one lie."""

        def one(path: Any, *leaves: Any) -> jax.Array:
            own = self.sharding(path, leaves[0].shape)
            return jax.lax.with_sharding_constraint(jnp.stack(leaves), NamedSharding(self._mesh, P(None, *own.spec)))

        return jax.tree_util.tree_map_with_path(one, *states)

    def original(self, tree: Any) -> Any:
        """A state, parameters or the like, from the mesh, in the order of the data; arrays of the host."""

        def one(path: Any, leaf: Any) -> Any:
            return original_array(leaf, self.placement, self._sides_at(path, leaf.shape))

        return jax.tree_util.tree_map_with_path(one, tree)

    def to_write(self, tree: Any) -> Any:
        """`original`, for the process that writes; others take part in it, and keep an empty array of each."""
        if writes():
            return self.original(tree)
        # Array by array, so that they have one of them at a time.
        return jax.tree_util.tree_map_with_path(lambda path, leaf: self._emptied(path, leaf), tree)

    def _emptied(self, path: Any, leaf: Any) -> Any:
        original = original_array(leaf, self.placement, self._sides_at(path, leaf.shape))
        return original if isinstance(original, jax.Array) else np.zeros(0, original.dtype)

    def scorer(self, params: Any) -> Any:
        """The scorer of the model, computed on the mesh, in the order of the data."""

        def shapes(users: int, items: int) -> Any:
            variables, adjacency = (
                shapes_of(self._own, users, items),
                shapes_of(self._own, users, items, adjacency=True),
            )
            sized = with_sizes(self._own, users, items)
            return jax.eval_shape(lambda *given: model_scorer(*given, sized), {"params": variables}, adjacency)

        found = model_scorer({"params": params}, self._adjacency.operand, self._sized)
        structure = jax.tree.structure(shapes(*self._sizes))
        sides = sides_of(shapes, *self._sizes)
        leaves = [
            original_array(*pair)
            for pair in zip(jax.tree.leaves(found), (self.placement,) * len(sides), sides, strict=True)
        ]
        return jax.tree.unflatten(structure, leaves)

    def keeper(self, keeper: Keeper | None, several: bool) -> Keeper | None:
        """A keeper that keeps everything in the order of the data, whatever the mesh is; `several` for members."""
        return None if keeper is None else _OriginalOrder(keeper, self, several)

    def _sides_at(self, path: tuple[Any, ...], shape: tuple[int, ...]) -> Sides:
        """The sides of an array that belongs to a parameter: the parameter itself, or what an optimizer keeps of it."""
        for start in range(len(path)):
            for end in range(len(path), start, -1):
                known = self._parameters.get(path[start:end])
                if known is not None and shape and known[0] and known[0][0]:
                    rows = {known[1][0], self.placement.size_of(known[0][0])}  # pyright: ignore[reportArgumentType]
                    return (known[0][0], *("",) * (len(shape) - 1)) if shape[0] in rows else ()
        return ()

    def sharding(self, path: tuple[Any, ...], shape: tuple[int, ...]) -> NamedSharding:
        """Where an array of a state lies."""
        return sharding_of(self._mesh, jax.tree_util.keystr(path, simple=True), self._sides_at(path, shape), shape)


class _OriginalOrder:
    """A keeper between a training on a mesh and the folder: what is kept is of no mesh."""

    def __init__(self, keeper: Keeper, training: MeshTraining, several: bool) -> None:
        self._keeper, self._training, self._several = keeper, training, several

    def begun(self, stage: StageInfo, state: Any) -> Progress | None:
        """See `Keeper`."""
        reached = self._keeper.begun(stage, self._of_state(state, self._training.original, _stacked_on_host))
        if reached is None:
            return None
        return self._mapped(reached, self._training.placed, self._training.stacked)

    def step(self, progress: Progress) -> int:
        """See `Keeper`."""
        return self._keeper.step(progress)

    def due(self, progress: Progress, *, now: bool = False) -> bool:
        """See `Keeper`."""
        return self._keeper.due(progress, now=now)

    def take(self, progress: Progress, *, now: bool = False) -> None:
        """See `Keeper`."""
        if self._keeper.due(progress, now=now):
            self._keeper.take(self._mapped(progress, self._training.to_write, _stacked_on_host), now=now)

    def _of_state(self, state: Any, way: Callable[[Any], Any], stacked: Callable[[Sequence[Any]], Any]) -> Any:
        """A state, or each of the members in a stacked one, the way between the mesh and the order of the data."""
        if not self._several:
            return way(state)
        members = jax.tree.leaves(state)[0].shape[0]
        return stacked([way(jax.tree.map(lambda leaf: leaf[at], state)) for at in range(members)])  # noqa: B023

    def _mapped(self, progress: Progress, way: Any, stacked: Any) -> Progress:
        def member(own: MemberProgress) -> MemberProgress:
            return own if own.best is None else dataclasses.replace(own, best=way(own.best))

        state = self._of_state(progress.state, way, stacked)
        return dataclasses.replace(progress, state=state, members=tuple(map(member, progress.members)))


def _stacked_on_host(states: Sequence[Any]) -> Any:
    """One state from those of members, whose arrays are of the host, but for random keys."""

    def one(*leaves: Any) -> Any:
        keys = jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
        return jnp.stack(leaves) if keys else np.stack(leaves)

    return jax.tree.map(one, *states)


def check_mesh(model: Any, layout: Layout, options: Sequence[TrainingOptions]) -> None:
    """Refuse what cannot be fitted on several devices, in a sentence that says why.

    Args:
      model: that is to be fitted.
      layout: of the devices.
      options: of the members, which differ in numbers alone.

    Raises:
      JaxrecError: a model that does not say it can be split so, or has no use for the order of nodes or for blocks,
        parts of the items, a sparse optimizer, or one that does not treat every number of a table alike.

    >>> import jaxrec
    >>> check_mesh(jaxrec.EASE(), Layout(rows=2), [TrainingOptions()])
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: EASE is solved on one device: its class names no axis of a mesh in `mesh_axes`; ...
    """
    name, can = type(model).__name__, tuple(getattr(model, "mesh_axes", ()))
    trained = is_trained(model)
    check_order(model, layout)
    if not can:
        how = "trained" if trained else "solved"
        raise JaxrecError(
            f"{name} is {how} on one device: its class names no axis of a mesh in `mesh_axes`; leave mesh out"
        )
    if layout.item_parts > 1:
        raise JaxrecError(
            f"item_parts is for ranking, and a fit has no use for it, got {layout.item_parts}; leave it at 1"
        )
    missing = [axis for axis in layout.axes() if axis not in can]
    if missing:
        raise JaxrecError(
            f"{name} can be split by {' and '.join(can)} only, and the mesh splits {' and '.join(missing)}; pass "
            f"mesh=jaxrec.parallel.Layout({can[0]}={layout.devices})"
        )
    if not trained:
        if layout.blocks > 1:
            raise JaxrecError(
                f"blocks of columns are for models that are trained, and {name} is solved; leave blocks out"
            )
        return
    if layout.blocks > 1 and layout.rows == 1:
        raise JaxrecError(
            "blocks are of columns that devices with some of the rows gather, and no rows are split, got "
            f"{layout.blocks}; leave blocks out"
        )
    if layout.blocks > 1 and not multiplies(model):
        raise JaxrecError(
            f"{name} multiplies by no adjacency here, so no table is gathered in blocks, got {layout.blocks}; leave "
            "blocks out"
        )
    if options[0].optimizer.sparse:
        raise JaxrecError("steps on the rows of a batch (sparse=True) are for one device; leave sparse or mesh out")
    placed = layout.rows > 1 or layout.order != "data"
    if placed and not _leaves_padding_alone(options[0].optimizer):
        raise JaxrecError(
            f"the optimizer {type(options[0].optimizer).__name__} moves a table otherwise where its rows lie elsewhere "
            "or rows of zeros lie among them, as one does that draws noise or takes means over a table; split the "
            "columns, or leave mesh out"
        )


def _leaves_padding_alone(optimizer: Any) -> bool:
    """Whether rows move as they do without rows of padding among them, found by moving a small table twice."""
    rows = np.array([0, 2, 3])
    table = np.array([[0.3, -1.0], [2.0, 0.1], [-0.7, 0.4]], np.float32)
    padded = np.zeros((5, 2), np.float32)
    padded[rows] = table

    def moved(table: jax.Array) -> jax.Array:
        chain = optimizer.transformation(1)
        params = {"table": table}
        state = chain.init(params)
        for _ in range(2):
            updates, state = chain.update({"table": 2 * params["table"]}, state, params)
            params = {"table": params["table"] + updates["table"]}
        return params["table"]

    # Optax mixes an integer count with floats, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        plain, among = jax.device_get(jax.jit(lambda *tables: tuple(map(moved, tables)))(table, padded))
    return bool(np.allclose(plain, among[rows], rtol=1e-5, atol=1e-7) and not np.delete(among, rows, axis=0).any())
