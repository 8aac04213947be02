"""Seconds and peak memory of a LightGCN step against the number of interactions, each size in a separate process."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

import jaxrec
from experiments.bench.config import UNIT_STEP, Options
from experiments.bench.generator import power_law
from experiments.bench.machine import caches
from experiments.bench.process import run_measured
from experiments.bench.timing import Row, by_turns, exponent, spread
from jaxrec.losses import BPR, SquaredL2
from jaxrec.sampling import Uniform
from jaxrec.training import Objective, init_state, make_batch, make_step, train_data

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
FULL_SIZES = (*SIZES, 20_000_000, 40_000_000, 80_000_000)
LONG = 10_000_000  # from here on a step takes seconds, and a block is one step
QUICK_SIZES = (8_000, 16_000, 32_000)
PER_NODE = 20  # interactions for each node: 2e7 with 1e6 nodes
USER_SHARE = 0.6  # of the nodes


@dataclasses.dataclass(frozen=True)
class Size:
    """One size, measured by `python -m experiments.bench.scaling`, which prints JSON.

    Attributes:
      interactions: E; there are E / 20 nodes, three fifths of them users.
      dim: d.
      batch_size: B.
      repeats: number of measured blocks.
      steps: steps per block.
      seed: seed of data and start.
    """

    interactions: int
    dim: int = 64
    batch_size: int = 2048
    repeats: int = 5
    steps: int = 4
    seed: int = 0


def run(options: Options) -> list[Row]:
    """Measure seconds and memory of each size, and the exponents over all sizes and beyond the caches."""
    sizes = QUICK_SIZES if options.quick else FULL_SIZES if options.full else SIZES
    rows, found = [], []
    for interactions in sizes:
        size = Size(
            interactions,
            dim=options.dims[0],
            batch_size=256 if options.quick else 2048,
            repeats=options.repeats,
            steps=1 if interactions >= LONG else options.peer_steps,
            seed=options.seed,
        )
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in dataclasses.asdict(size).items()]
        told, peak, _ = run_measured([sys.executable, "-m", "experiments.bench.scaling", *flags])
        one: dict[str, Any] = {**json.loads(told.splitlines()[-1]), "peak_bytes": peak}
        found.append(one)
        setting = f"{interactions:.0e} interactions, {one['nodes']:,} nodes, d {size.dim}"
        note = f"one table of embeddings has {one['table_bytes'] / 2**20:.3g} MiB"
        rows.append(
            Row(
                "scaling",
                setting,
                "jaxrec",
                UNIT_STEP,
                tuple(one["wall"]),
                tuple(one["cpu"]),
                one["compile_seconds"],
                note,
                one,
            )
        )
        rows.append(Row("scaling", setting, "jaxrec", "GiB, peak", (peak / 2**30,), note="making the data included"))
    return rows + exponent_rows(found, caches())


def exponent_rows(found: Sequence[dict[str, Any]], levels: Mapping[str, int]) -> list[Row]:
    """Fit the exponent of the time against the interactions: over all sizes, and on each side of each cache.

    A product reads the embedding table [N, d] in random places. While the table fits a cache, a constant part of the
    step makes time grow slower than the interactions. As the table outgrows the cache, each interaction costs an access
    to slower memory, and time grows faster. Beyond, it is linear again. Hence the separate fits. On a virtual machine
    the largest cache is shared with others on the host, so the smaller cache may be more informative.

    Args:
      found: `interactions`, `wall` and `table_bytes` of each size, ascending.
      levels: sizes of the caches in bytes; the first level is skipped, since no table fits it.
    """

    def fitted(part: Sequence[dict[str, Any]], name: str, note: str) -> Row:
        times = [spread(one["wall"])["median"] for one in part]
        value = exponent([one["interactions"] for one in part], times)
        return Row("scaling", f"{len(part)} sizes", name, "exponent", (value,), note=note)

    rows = [fitted(found, "all sizes", "least squares of log seconds on log interactions")]
    for level, cache in levels.items():
        if level == "L1":
            continue
        size = f"{level}, {cache / 2**20:.3g} MiB"
        inside = [one for one in found if one["table_bytes"] <= cache]
        outside = [one for one in found if one["table_bytes"] > cache]
        for part, name in ((inside, f"table within {size}"), (outside, f"table over {size}")):
            if len(part) > 1:
                rows.append(fitted(part, name, "one table of embeddings against this cache"))
    for one, following in itertools.pairwise(found):
        name = f"{one['interactions']:.0e} to {following['interactions']:.0e}"
        rows.append(fitted([one, following], name, "between neighboring sizes"))
    return rows


def measure(size: Size) -> dict[str, Any]:
    """Generate the data, then time blocks of steps on one batch.

    >>> sorted(measure(Size(4000, dim=4, batch_size=8, repeats=1, steps=1)))
    ['compile_seconds', 'cpu', 'interactions', 'nodes', 'table_bytes', 'users', 'wall']
    """
    nodes = max(size.interactions // PER_NODE, 2)
    users = max(round(nodes * USER_SHARE), 1)
    data = train_data(power_law(size.interactions, users, nodes - users, jax.random.key(size.seed)))
    model = jaxrec.LightGCN(dim=size.dim, layers=3, num_users=users, num_items=nodes - users)
    objective, optimizer = Objective(model, BPR(), SquaredL2(1e-4)), optax.adam(1e-3)
    start, order, draws = jax.random.split(jax.random.key(size.seed), 3)
    params = model.lazy_init(start, jax.eval_shape(lambda: data.adjacency))["params"]
    held = [init_state(params, optimizer, draws)]
    del params
    at = jax.random.randint(order, (size.batch_size,), 0, size.interactions, jnp.int32)
    batch, _ = make_batch(data, at, jnp.ones(size.batch_size, bool), draws, negatives=Uniform(1))
    step = make_step(objective, optimizer)

    def block() -> None:
        for _ in range(size.steps):
            held[0], info = step(held[0], batch, data)
            info["loss"].item()

    samples = by_turns({"steps": block}, size.repeats)["steps"]
    wall = tuple(seconds / size.steps for seconds in samples.wall)
    return {
        "interactions": size.interactions,
        "nodes": nodes,
        "users": users,
        "table_bytes": nodes * size.dim * 4,
        "wall": wall,
        "cpu": tuple(seconds / size.steps for seconds in samples.cpu),
        "compile_seconds": max(samples.first - float(np.median(samples.wall)), 0.0),
    }


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(Size))))
