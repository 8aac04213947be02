"""Print plans as tables: bytes from the compiled programs, and bytes and seconds from arithmetic."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import tyro

import jaxrec
from experiments.plans.arithmetic import held, on_a_device, ranking_seconds, seconds_of_step, way_of
from experiments.plans.config import DATA, MACHINES, Data
from jaxrec.data import SeenItems
from jaxrec.files import write_whole
from jaxrec.fitting import versions
from jaxrec.losses import BPR
from jaxrec.sampling import Uniform
from jaxrec.sparse import SparseOperator
from jaxrec.training import Adam, Objective, TrainData, init_state, step_for, train_epoch


@dataclasses.dataclass(frozen=True)
class Options:
    """Plan trainings of data that is not there.

    Attributes:
      data: sizes of config.py.
      compile: compile the epoch for this machine and ask it for its bytes, without any data.
      out: a JSON file.
    """

    data: tuple[str, ...] = tuple(DATA)
    compile: bool = True
    out: pathlib.Path = pathlib.Path("runs/plans.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the plans."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.plans")
    rows = []
    for name in options.data:
        rows.append(planned(name, DATA[name], compiled=options.compile))
        print(json.dumps(rows[-1]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"versions": versions(), "rows": rows}
    write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def planned(name: str, data: Data, *, compiled: bool) -> dict[str, Any]:
    """The plan of one size on all machines."""
    row: dict[str, Any] = {"data": name, **dataclasses.asdict(data), "held": held(data)}
    if compiled:
        row["compiled"] = compiled_bytes(data)
    steps, machines = -(-data.pairs // data.batch), {}
    for label, machine in MACHINES.items():
        way = way_of(data, machine)
        machines[label] = {"way": way}
        if way == "none":
            continue
        parts = seconds_of_step(data, machine, way)
        half = seconds_of_step(data, machine, way, width=2)
        machines[label] |= {
            "gb_a_device": round(on_a_device(data, machine, way) / 1e9, 2),
            **{f"{part}_ms": round(1e3 * seconds, 2) for part, seconds in parts.items()},
            "epoch_s": round(steps * sum(parts.values()), 1),
            "epoch_bfloat16_s": round(steps * sum(half.values()), 1),
            "ranking_s": round(ranking_seconds(data, machine), 1),
        }
    return row | {"steps": steps, "machines": machines}


def shapes(data: Data) -> tuple[Any, Any, Any, TrainData]:
    """State, step, sampler and data of an epoch, as shapes without numbers."""

    def whole(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    def real(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    nodes, both = data.nodes, 2 * data.pairs
    matrix: Any = (real(both), whole(both), whole(both), whole(nodes + 1))
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

    begin = time.process_time()
    program = jax.jit(epoch, donate_argnums=0).lower(state, tables).compile()
    found: Any = program.memory_analysis()
    return {
        "argument_mb": round(found.argument_size_in_bytes / 1e6, 1),
        "temporary_mb": round(found.temp_size_in_bytes / 1e6, 1),
        "compile_cpu_s": round(time.process_time() - begin, 1),
    }
