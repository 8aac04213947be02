"""A step of training on one device with the nodes in the order of the data and by clusters, by turns."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxrec
from experiments.bench.step import BATCH, L2, LAYERS, RATE
from experiments.bench.timing import by_turns
from jaxrec import graph
from jaxrec.losses import BPR, SquaredL2
from jaxrec.parallel import Layout, PlacedModel, PlacedStep, Placement, placed_operator, placement_for
from jaxrec.sampling import Uniform
from jaxrec.spectral import coclusters
from jaxrec.training import DenseStep, Objective, OptaxOptimizer, TrainData, init_state, train_data, train_epoch

DIMS = {64: 20, 256: 5}
"""Columns, and how many steps are one program."""
CLUSTERS = 64


def clustered(part: jaxrec.Interactions) -> np.ndarray:
    """The cluster of each node, as `jaxrec.fit` finds it."""
    found = coclusters(graph.normalized_biadjacency(graph.biadjacency(part)), CLUSTERS, jax.random.key(0))
    return np.concatenate([np.asarray(found.rows), np.asarray(found.columns)])


def measure(part: jaxrec.Interactions, dims: Sequence[int], rounds: int, tell: Callable[..., None]) -> None:
    """Time the clusters, and then a step with and without them, for each width.

    Args:
      part: the interactions that are trained on.
      dims: the widths.
      rounds: how many blocks of steps of each are counted.
      tell: takes the figures of one result by name.
    """
    for call in ("first", "again"):  # the first compiles
        wall, cpu = time.perf_counter(), time.process_time()
        ranks = clustered(part)
        tell(call=call, clusters_seconds=time.perf_counter() - wall, clusters_cpu_seconds=time.process_time() - cpu)
    data = train_data(part)
    placement = placement_for(data.adjacency, part.num_users, Layout(), ranks)
    for dim in dims:
        steps = DIMS.get(dim, 5)
        blocks = {"data": block(part, data, dim, steps, None), "clusters": block(part, data, dim, steps, placement)}
        taken = by_turns({name: work for name, (work, _) in blocks.items()}, rounds)
        for name, (_, program) in blocks.items():
            memory: Any = program.memory_analysis()
            own, first = taken[name], taken["data"]
            tell(
                columns=dim,
                order=name,
                step_seconds=float(np.median(own.wall)) / steps,
                step_cpu_seconds=float(np.median(own.cpu)) / steps,
                faster=float(np.median(np.divide(first.wall, own.wall))),
                faster_cpu=float(np.median(np.divide(first.cpu, own.cpu))),
                arguments=memory.argument_size_in_bytes,
                temporaries=memory.temp_size_in_bytes,
                rounds=rounds,
            )


def block(
    part: jaxrec.Interactions, data: TrainData, dim: int, steps: int, placement: Placement | None
) -> tuple[Callable[[], Any], Any]:
    """(some steps as a call that waits for them, and their program); placed as `jaxrec.fit` does it, or plain."""
    own = jaxrec.LightGCN(dim=dim, layers=LAYERS, num_users=part.num_users, num_items=part.num_items)
    params = own.lazy_init(jax.random.key(0), jax.eval_shape(lambda: data.adjacency))["params"]
    optimizer = OptaxOptimizer(optax.adam(RATE))
    cut = dataclasses.replace(data, user=data.user[: steps * BATCH], item=data.item[: steps * BATCH], rating=None)
    model: Any = own
    step: Any = DenseStep(Objective(model, BPR(), SquaredL2(L2)), optimizer)
    state = init_state(params, step, jax.random.key(1))
    if placement is not None:
        mesh = Layout().mesh()
        cut = dataclasses.replace(cut, adjacency=placed_operator(data.adjacency, placement, mesh))  # pyright: ignore[reportArgumentType]
        params = {
            "user_embedding": placement.placed(np.asarray(params["user_embedding"]), "users"),
            "item_embedding": placement.placed(np.asarray(params["item_embedding"]), "items"),
        }
        step = DenseStep(Objective(PlacedModel(own, mesh, False), BPR(), SquaredL2(L2)), optimizer)
        state = init_state(params, step, jax.random.key(1))
        leaves = jax.tree.leaves((state.params, state.opt_state))
        step = PlacedStep(step, (NamedSharding(mesh, P()),) * len(leaves))
    once = functools.partial(train_epoch, step=step, negatives=Uniform(1), batch_size=BATCH)
    program = jax.jit(once, donate_argnums=0).lower(state, data=cut).compile()
    held = [state]

    def work() -> None:
        held[0], _ = jax.block_until_ready(program(held[0], data=cut))

    return work, program
