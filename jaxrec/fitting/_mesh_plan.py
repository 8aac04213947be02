"""What a training takes on each device and sends in each step, before it runs, and the layout that is chosen by it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._mesh import MeshTraining, check_mesh
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import FitPlan, is_trained, make_plan
from jaxrec.models._base import shapes_of
from jaxrec.parallel import (
    DataOrder,
    Gathered,
    Layout,
    PlacedOperator,
    ShardedOperator,
    as_mesh,
    communicated_bytes,
    contiguous,
    gathered_bytes,
)
from jaxrec.parallel._mesh import replicated
from jaxrec.protocols import Batch
from jaxrec.sparse import SparseOperator, reads_rows
from jaxrec.training import TrainData, TrainState, init_state, step_for

_LITTLE_MORE = 1.25  # so many times the bytes of a device are worth sending fewer


@dataclasses.dataclass(frozen=True)
class DataSizes:
    """The numbers of the data that decide what a training takes.

    Attributes:
      users: U.
      items: I.
      pairs: E, the interactions.
      entries: of the adjacency, two for each pair.
      rated: whether the pairs have ratings.
      weighed: whether they have weights.

    >>> import jaxrec
    >>> DataSizes.of(jaxrec.from_arrays([0, 0, 1], [0, 1, 1])).entries
    6
    """

    users: int
    items: int
    pairs: int
    entries: int
    rated: bool = False
    weighed: bool = False

    @staticmethod
    def of(part: Interactions, *, weighed: bool = False) -> DataSizes:
        """Those of interactions.

        >>> import jaxrec
        >>> DataSizes.of(jaxrec.from_arrays([0, 1], [0, 1]), weighed=True).weighed
        True
        """
        return DataSizes(part.num_users, part.num_items, len(part), 2 * len(part), part.rating is not None, weighed)


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """What one step takes on each device, in bytes.

    Attributes:
      layout: of the devices.
      state: parameters, and what the optimizer keeps of them.
      operator: the adjacency.
      pairs: the pairs and each user's items, which every device has as a whole.
      gathered: what the products gather, as the program says before it is compiled.
      arguments: of the compiled step: state, adjacency and batch; None where it was not compiled.
      temporaries: of the compiled step.
      communicated: the results of the collectives in the compiled step, by kind.
      step: what a step is, where it is not one of a training.

    >>> StepPlan(Layout(rows=2), state=6, operator=3, pairs=1, gathered=Gathered(total=40, largest=4)).estimate
    14
    """

    layout: Layout
    state: int
    operator: int
    pairs: int
    gathered: Gathered
    arguments: int | None = None
    temporaries: int | None = None
    communicated: Mapping[str, int] | None = None
    step: str = ""

    @property
    def estimate(self) -> int:
        """What a device needs at the least: state, adjacency, pairs, and the largest table that is gathered."""
        return self.state + self.operator + self.pairs + self.gathered.largest

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {**dataclasses.asdict(self), "gathered": self.gathered.total, "devices": self.layout.devices}


def step_plan(
    model: Any, sizes: DataSizes, options: TrainingOptions, layout: Layout, mesh: Mesh, *, compiled: bool = False
) -> StepPlan:
    """Find what a step of a training takes on each device. Only shapes are needed, so there is no array of the data.

    Of a model that is solved it is what it repeats on a mesh, see `jaxrec.models.SolvedModel.mesh_step`.

    Args:
      model: with its sizes set.
      sizes: of the data.
      options: of the training.
      layout: of the devices.
      mesh: the same.
      compiled: whether to compile the step too, which takes seconds, and read its memory and its collectives.

    Raises:
      JaxrecError: parameters that cannot be split so, or a model that is solved and does not say what it repeats.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    >>> model = jaxrec.MF(dim=8, num_users=2, num_items=2)
    >>> plan = step_plan(model, DataSizes.of(data), TrainingOptions(), Layout(), Layout().mesh())
    >>> plan.state  # 4 rows of 8 numbers, three times for Adam, and its count
    388
    """
    if not is_trained(model):
        return _solved_plan(model, sizes, layout, mesh, compiled)
    placement = contiguous(sizes.users, sizes.items, devices=layout.rows, parts=layout.parts)
    options = options.settled(sizes.pairs)
    training = MeshTraining(mesh, layout, model, placement, options)
    data = _data_shapes(sizes, layout, mesh, placement.size_of("nodes"), training)
    step = step_for(options.objective(training.model), options.optimizer)
    shapes = shapes_of(model, placement.num_users, placement.num_items)
    # Keys are made in the trace, so that no program is compiled for them.
    state = jax.eval_shape(lambda params: init_state(params, step, jax.random.key(0)), shapes)
    state = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=training.sharding(path, leaf.shape)),
        state,
    )
    placed = training.step(step, state)
    batch = _batch_shapes(sizes, options, replicated(mesh))

    def one(state: TrainState, batch: Batch, data: TrainData) -> Any:
        return placed(state, batch, data)

    plan = StepPlan(
        layout,
        _bytes((state.params, state.opt_state)),
        _bytes(data.adjacency.arrays),  # pyright: ignore[reportAttributeAccessIssue]
        _bytes(dataclasses.replace(data, adjacency=None)),  # pyright: ignore[reportArgumentType]
        gathered_bytes(one, state, batch, data),
    )
    return _compiled(plan, jax.jit(one, donate_argnums=0), state, batch, data) if compiled else plan


def _solved_plan(model: Any, sizes: DataSizes, layout: Layout, mesh: Mesh, compiled: bool) -> StepPlan:
    """The plan of what a model that is solved repeats on a mesh."""
    repeats = getattr(model, "mesh_step", None)
    step = None if repeats is None else repeats(sizes.pairs, mesh)
    if step is None:
        raise JaxrecError(
            f"{type(model).__name__} is solved, and says nothing that it repeats on a mesh (`mesh_step`), so no bytes "
            "can be stated; plan a model that is trained, or filter"
        )
    matrix, *tables = step.arguments
    gathered = gathered_bytes(step.program, *step.arguments)
    plan = StepPlan(layout, _bytes(tables), _bytes(matrix), 0, gathered, step=step.what)
    return _compiled(plan, jax.jit(step.program), *step.arguments) if compiled else plan


def _compiled(plan: StepPlan, program: Any, *arguments: Any) -> StepPlan:
    """The plan with what its program takes once it is compiled."""
    made = program.lower(*arguments).compile()
    memory: Any = made.memory_analysis()
    return dataclasses.replace(
        plan,
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        communicated=communicated_bytes(made.as_text() or ""),
    )


def mesh_for(
    mesh: int | Layout | Mesh, plan: FitPlan, options: Sequence[TrainingOptions]
) -> tuple[tuple[Mesh, Layout], str]:
    """The mesh of a fit, checked, with its layout, and why it is this one; a number of devices is laid out by bytes.

    Raises:
      JaxrecError: too few devices, or what cannot be fitted so.
    """
    if isinstance(mesh, (Layout, Mesh)):
        made, layout = as_mesh(mesh)
        check_mesh(plan.model, layout, options)
        return (made, layout), "as asked"
    number = as_mesh(mesh)[1].devices
    check_mesh(plan.model, Layout(), options)
    layout, why = choose_layout(plan.model, _sizes(plan), options[0], number, members=len(options))
    return (layout.mesh(), layout), why


def layout_for(
    model: Any,
    data: Split | Interactions,
    options: TrainingOptions | None = None,
    *,
    devices: int,
    members: int = 1,
) -> tuple[Layout, str]:
    """Choose how a fit lies on several devices, by the bytes that it takes; `jaxrec.fit(..., mesh=devices)` does so.

    Args:
      model: as for `jaxrec.fit`.
      data: likewise.
      options: likewise.
      devices: how many there are.
      members: how many `jaxrec.fit_many` trains together.

    Returns:
      (the layout, in words why it is this one).

    Raises:
      JaxrecError: too few devices, or a model that cannot be split.

    >>> import jaxrec
    >>> layout_for(jaxrec.MF(dim=8), jaxrec.from_arrays([0, 1], [0, 1]), devices=1)
    (Layout(rows=1, columns=1, blocks=1, item_parts=1, order='data'), 'one device')
    """
    options = TrainingOptions() if options is None else options
    plan = make_plan(model, data, options)
    check_mesh(plan.model, Layout(), [options])
    number = as_mesh(devices)[1].devices
    return choose_layout(plan.model, _sizes(plan), options, number, members=members)


def _sizes(plan: FitPlan) -> DataSizes:
    return DataSizes.of(plan.part, weighed=plan.weights is not None or plan.options.weights is not None)


def choose_layout(
    model: Any, sizes: DataSizes, options: TrainingOptions, devices: int, *, members: int = 1
) -> tuple[Layout, str]:
    """Choose between rows and columns by the bytes that they take: the fewer on a device, if they differ by a quarter.

    Where they differ by less, the layout is taken that gathers less in a step.

    Args:
      model: with its sizes set.
      sizes: of the data.
      options: of the training.
      devices: how many there are.
      members: how many are trained together, each with a state and work of its own.

    Returns:
      (the layout, in words why it is this one).

    Raises:
      JaxrecError: a model that can be split in neither way.

    >>> import jaxrec
    >>> model = jaxrec.MF(dim=8, num_users=2, num_items=2)
    >>> choose_layout(model, DataSizes(2, 2, 3, 6), TrainingOptions(), 1)
    (Layout(rows=1, columns=1, blocks=1, item_parts=1, order='data'), 'one device')
    """
    if devices == 1:
        return Layout(), "one device"
    if not is_trained(model):
        return dataclasses.replace(Layout(), **{model.mesh_axes[0]: devices}), f"{type(model).__name__} is solved so"
    plans, reasons = [], []
    for axis in ("columns", "rows"):
        layout = dataclasses.replace(Layout(), **{axis: devices})
        try:
            check_mesh(model, layout, [options])
            plans.append(_of_members(step_plan(model, sizes, options, layout, layout.mesh()), members))
        except JaxrecError as error:
            reasons.append(f"not {axis}: {error}")
    if not plans:
        raise JaxrecError(f"{type(model).__name__} on {devices} devices: {'; '.join(reasons)}")
    least = min(plan.estimate for plan in plans)
    near = [plan for plan in plans if plan.estimate <= _LITTLE_MORE * least]
    best = min(near, key=lambda plan: (plan.gathered.total, plan.estimate))
    told = [
        f"{_way(plan)} {_mb(plan.estimate)} a device and {_mb(plan.gathered.total)} gathered a step" for plan in plans
    ]
    told.sort(key=lambda text: not text.startswith(_way(best)))
    return best.layout, "; ".join([*told, *reasons])


def told_of(mesh: Mesh, layout: Layout, why: str) -> dict[str, Any]:
    """What `info` says of the mesh, as plain JSON values.

    >>> told_of(Layout().mesh(), Layout(), "as asked")["devices"]
    1
    """
    kinds = sorted({str(device.device_kind) for device in np.ravel(mesh.devices)})
    return {"devices": layout.devices, **dataclasses.asdict(layout), "kind": ", ".join(kinds), "why": why}


def _of_members(plan: StepPlan, members: int) -> StepPlan:
    """The plan of a step of members together: the adjacency and the pairs are there once."""
    gathered = Gathered(plan.gathered.total * members, plan.gathered.largest * members)
    return dataclasses.replace(plan, state=plan.state * members, gathered=gathered)


def _way(plan: StepPlan) -> str:
    return " and ".join(plan.layout.axes()) or "one device"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _bytes(tree: Any) -> int:
    """What a device has of arrays of these shapes and shardings."""

    def own(leaf: Any) -> int:
        size = 8 if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.dtype.itemsize
        return math.prod(leaf.sharding.shard_shape(leaf.shape)) * size

    return sum(map(own, jax.tree.leaves(tree)))


def _data_shapes(sizes: DataSizes, layout: Layout, mesh: Mesh, nodes: int, training: MeshTraining) -> TrainData:
    everywhere, rows = replicated(mesh), NamedSharding(mesh, P("rows"))

    def shape(dims: tuple[int, ...], dtype: Any, sharding: NamedSharding = everywhere) -> Any:
        return jax.ShapeDtypeStruct(dims, dtype, sharding=sharding)

    pairs, own = (sizes.pairs,), -(-sizes.entries // layout.rows)
    entries = (layout.rows, own)
    places = {"users": shape((sizes.users,), jnp.int32), "items": shape((sizes.items,), jnp.int32)}
    sharded = ShardedOperator(
        entries=shape(entries, jnp.float32, rows),
        entry_rows=shape(entries, jnp.int32, rows) if reads_rows() else None,
        entry_columns=shape(entries, jnp.int32, rows),
        pointers=shape((layout.rows, nodes // layout.rows + 1), jnp.int32, rows),
        **places,
        shape=(nodes, nodes),
        parts=(training.placement.parts, training.placement.user_rows, training.placement.item_rows),
        mesh=mesh,
        blocks=layout.blocks,
    )
    adjacency: Any = DataOrder(sharded)
    if training.plain:
        entry = (sizes.entries,)
        stored: Any = shape(entry, jnp.int32) if reads_rows() else None
        operand = SparseOperator(
            shape(entry, jnp.float32),
            stored,
            shape(entry, jnp.int32),
            shape((nodes + 1,), jnp.int32),
            None,
            (nodes, nodes),
        )
        adjacency = PlacedOperator(operand, **places)
    return TrainData(
        adjacency=adjacency,
        user=shape(pairs, jnp.int32),
        item=shape(pairs, jnp.int32),
        rating=shape(pairs, jnp.float32) if sizes.rated else None,
        seen=SeenItems(shape((sizes.users + 1,), jnp.int32), shape((sizes.entries // 2,), jnp.int32)),
        log_probability=shape((sizes.items,), jnp.float32),
        weight=shape(pairs, jnp.float32) if sizes.weighed else None,
    )


def _batch_shapes(sizes: DataSizes, options: TrainingOptions, sharding: NamedSharding) -> Batch:
    assert options.batch_size is not None  # settled
    rows = options.loss.batch_for(options.batch_size, sizes.pairs)
    sampler = options.sampler
    drawn = 0 if sampler is None else getattr(sampler, "drawn", sampler.num)

    def shape(dims: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct(dims, dtype, sharding=sharding)

    knows = getattr(sampler, "knows_probability", False)
    return Batch(
        user=shape((rows,), jnp.int32),
        item=shape((rows,), jnp.int32),
        rating=shape((rows,), jnp.float32) if sizes.rated else None,
        negatives=shape((rows, drawn), jnp.int32),
        where=shape((rows,), jnp.bool_),
        weight=shape((rows,), jnp.float32) if sizes.weighed else None,
        log_q=shape((rows, drawn), jnp.float32) if knows else None,
    )
