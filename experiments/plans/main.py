"""Print plans as tables: bytes from the compiled programs, and bytes and seconds from arithmetic."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import tyro

import jaxrec
from experiments.plans.arithmetic import (
    flags_of,
    held,
    layout_of,
    on_a_device,
    ranking_seconds,
    seconds_of_step,
)
from experiments.plans.config import BLOCKS, DATA, MACHINES, Data, Machine
from jaxrec.data import SeenItems
from jaxrec.files import write_whole
from jaxrec.fitting import DataSizes, StepPlan, TrainingOptions, step_plan, versions
from jaxrec.losses import BPR
from jaxrec.parallel import Layout
from jaxrec.sampling import Uniform, shuffled_batches
from jaxrec.sparse import SparseOperator, reads_rows
from jaxrec.training import Adam, Objective, TrainData, init_state, step_for, train_epoch


@dataclasses.dataclass(frozen=True)
class Options:
    """Plan trainings of data that is not there.

    Attributes:
      data: sizes of config.py.
      compile: compile the epoch for this machine and ask it for its bytes, without any data.
      devices: compile a step for so many fake devices too, in each layout; 1 leaves that out.
      out: a JSON file.
    """

    data: tuple[str, ...] = tuple(DATA)
    compile: bool = True
    devices: int = 1
    out: pathlib.Path = pathlib.Path("runs/plans.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the plans."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.plans")
    if options.devices > 1 and "device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # JAX has started
            jax.config.update("jax_num_cpu_devices", options.devices)
    rows = []
    for name in options.data:
        rows.append(planned(name, DATA[name], compiled=options.compile))
        if options.devices > 1:
            layouts = layouts_of(options.devices)
            made = [step_of(DATA[name], layout, compiled=options.compile).to_dict() for layout in layouts]
            rows[-1]["steps_of_layouts"] = made
        print(json.dumps(rows[-1]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"versions": versions(), "rows": rows}
    write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def planned(name: str, data: Data, *, compiled: bool) -> dict[str, Any]:
    """The plan of one size on all machines."""
    of_kind = {"held": held(data, native=False), "held_cpu": held(data, native=True)}
    row: dict[str, Any] = {"data": name, **dataclasses.asdict(data), "steps": steps_of(data), **of_kind}
    if compiled:
        row["compiled"] = compiled_bytes(data)
    machines = {}
    for label, machine in MACHINES.items():
        machines[label] = plan_on(data, machine)
        if machine.devices == 1 and machine.native and compiled:  # this program was compiled
            whole = row["compiled"]["argument_mb"] + row["compiled"]["temporary_mb"]
            machines[label]["gb_a_device"] = round(whole / 1e3 + row["held"]["state"] / 1e9, 2)  # and that before
        if not machine.native:
            machines[label]["where_rows_are_stored"] = plan_on(data, machine, stores=True)
        # Several devices and the kernel of CPUs multiply float32.
        if machines[label]["fits"] and machine.devices == 1 and not machine.native:
            half = seconds_of_step(data, machine, Layout(), width=2)
            machines[label]["epoch_bfloat16_s"] = round(row["steps"] * sum(half.values()), 1)
    return row | {"machines": machines}


def plan_on(data: Data, machine: Machine, *, stores: bool = False) -> dict[str, Any]:
    """The plan of one size on a machine: a layout, and the bytes and seconds of the program that it makes."""
    layout = layout_of(data, machine, stores=stores)
    if layout is None:
        return {"fits": False}
    bytes_of = on_a_device(data, machine, layout, stores=stores)
    parts = seconds_of_step(data, machine, layout, stores=stores)
    return {
        "fits": True,
        "flags": flags_of(layout),
        "gb_a_device": round(bytes_of["total"] / 1e9, 2),
        **{f"{part}_ms": round(1e3 * seconds, 2) for part, seconds in parts.items()},
        "epoch_s": round(steps_of(data) * sum(parts.values()), 1),
        "ranking_s": round(ranking_seconds(data, machine), 1),
    }


def steps_of(data: Data) -> int:
    """The steps of an epoch."""
    return -(-data.pairs // data.batch)


def layouts_of(devices: int) -> tuple[Layout, ...]:
    """Those that are planned."""
    return Layout(columns=devices), Layout(rows=devices), Layout(rows=devices, blocks=BLOCKS)


def step_of(data: Data, layout: Layout, *, compiled: bool, devices: Sequence[Any] | None = None) -> StepPlan:
    """What the library counts of a step on devices of this machine, as `jaxrec plan` does."""
    model = jaxrec.LightGCN(dim=data.dim, layers=data.layers, num_users=data.users, num_items=data.items)
    options = TrainingOptions(loss=BPR(), optimizer=Adam(5e-3), batch_size=data.batch)
    sizes = DataSizes(data.users, data.items, data.pairs, 2 * data.pairs)
    return step_plan(model, sizes, options, layout, layout.mesh(devices), compiled=compiled)


def shapes(data: Data) -> tuple[Any, Any, Any, TrainData]:
    """State, step, sampler and data of an epoch, as shapes without numbers; the operator as this platform has it."""

    def whole(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    def real(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    nodes, both = data.nodes, 2 * data.pairs
    matrix: Any = (real(both), whole(both) if reads_rows() else None, whole(both), whole(nodes + 1))
    adjacency = SparseOperator(matrix[0], matrix[1], matrix[2], matrix[3], None, (nodes, nodes))
    seen: Any = SeenItems(whole(data.users + 1), whole(data.pairs))  # pyright: ignore[reportArgumentType]
    pairs: Any = whole(data.pairs)
    tables = TrainData(adjacency, pairs, pairs, None, seen, real(data.items))  # pyright: ignore[reportArgumentType]
    model = jaxrec.LightGCN(dim=data.dim, layers=data.layers, num_users=data.users, num_items=data.items)
    step = step_for(Objective(model, BPR()), Adam(5e-3))

    def begin(key: jax.Array) -> Any:
        return init_state(model.lazy_init(key, adjacency)["params"], step, key)

    return jax.eval_shape(begin, jax.random.key(0)), step, Uniform(), tables


def compiled_bytes(data: Data) -> dict[str, Any]:
    """What the compiled epoch says of its memory; the state is donated, so the output takes its place."""
    state, step, sampler, tables = shapes(data)

    def epoch(state: Any, tables: TrainData) -> Any:
        return train_epoch(state, step, sampler, tables, batch_size=data.batch)

    def order(key: jax.Array) -> Any:
        return shuffled_batches(data.pairs, data.batch, key)

    begin = time.process_time()
    program = jax.jit(epoch, donate_argnums=0).lower(state, tables).compile()
    seconds = time.process_time() - begin
    found: Any = program.memory_analysis()
    drawn: Any = jax.jit(order).lower(jax.random.key(0)).compile().memory_analysis()
    return {
        "argument_mb": round(found.argument_size_in_bytes / 1e6, 1),
        "temporary_mb": round(found.temp_size_in_bytes / 1e6, 1),
        "order_mb": round(drawn.output_size_in_bytes / 1e6, 1),
        "shuffling_mb": round(drawn.temp_size_in_bytes / 1e6, 1),
        "compile_cpu_s": round(seconds, 1),
    }
