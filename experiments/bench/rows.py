"""Step time of row-sparse training against table size: SGD, Adagrad and lazy Adam with 1e5, 1e6 and 1e7 items.

A step is `jaxrec.training.RowStep`: MF with BPR, 2,048 positives with one negative each, 100,000 users, width 16,
float32, L2. Tables and slots are donated, and many steps form one scan, as in training. Batches are drawn before the
clock starts, from the same numbers for every size:

- near: positives and negatives are the same ids in every table, all below the smallest size. Growth here depends on
  the table itself.
- power: the popularity ranks of positives follow a power law (the share of rank r falls as 1 / r), and popular items
  lie anywhere in the table; negatives are uniform.
- uniform: positives and negatives are uniform over the catalog. Hardly any row is in a cache.

Figures are milliseconds per step over blocks of steps. The last rows time the sampling of uniform negatives by binary
search in the items of a user: the number of halvings is the bit length of the smaller of the number of interactions
and the number of items.

Expected growth: the compiled loop has no operation on a whole table except scatters into it (a test in
tests/training/test_row_rules.py checks this), so the arithmetic is the same for every size. Distant rows cost cache
and TLB misses: a table of 1e5 rows of 64 bytes has 6 MB, one of 1e7 rows 640 MB, and with pages of 4 KiB each of its
rows lies on a different page. `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` before the command requests pages of 2 MiB. On
two cores shared with other work, without that setting, the ratio of CPU times at 1e7 and 1e5 items was 1.25 to 1.35
for SGD, 0.98 (near) to 1.39 for Adagrad, and 0.93 (near) to 1.46 for lazy Adam, which touches the most rows; the SGD
steps of 0.5 ms are the least certain. Sampling negatives took 1.06 times as long. So the growth is that of the
misses. Unlike a step, an epoch also checks once that all parameters are finite, and the loop around it copies the
state.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrec
from experiments.bench.config import Options
from experiments.bench.timing import Row
from jaxrec.data import SeenItems
from jaxrec.losses import BPR, SquaredL2
from jaxrec.sampling import uniform_negatives
from jaxrec.training import SGD, Adagrad, Adam, Batch, Objective, RowStep, TrainState

RULES = {
    "sgd": SGD(0.01, sparse=True),
    "adagrad": Adagrad(0.01, sparse=True),
    "adam": Adam(0.01, sparse=True),
}
DRAWS = ("near", "power", "uniform")
UNIT = "ms per step"
Blocks = tuple[tuple[float, ...], tuple[float, ...]]  # wall and CPU milliseconds per step, of each block


@dataclasses.dataclass(frozen=True)
class Config:
    """The sizes of the measurement."""

    sizes: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    num_users: int = 100_000
    dim: int = 16
    batch_size: int = 2_048
    steps: int = 20
    blocks: int = 30
    seed: int = 0


def draw_batches(config: Config, num_items: int, draw: str) -> Batch:
    """Draw batches [steps, B] from numbers that depend on the seed only, so that sizes differ in nothing else."""
    rng = np.random.default_rng(config.seed)
    shape = (config.steps, config.batch_size)
    user, first, second = rng.random(shape), rng.random(shape), rng.random(shape)
    spread = min(config.sizes) if draw == "near" else num_items
    if draw == "power":
        rank = np.minimum(np.exp(first * np.log(num_items)).astype(np.int64) - 1, num_items - 1)
        item = np.random.default_rng(config.seed).permutation(num_items)[rank]
    else:
        item = (first * spread).astype(np.int64)
    return Batch(
        jnp.asarray((user * config.num_users).astype(np.int32)),
        jnp.asarray(item.astype(np.int32)),
        None,
        jnp.asarray((second * spread).astype(np.int32)[..., None]),
        jnp.ones(shape, bool),
    )


def time_blocks(call: Callable[[Any], Any], state: Any, config: Config) -> tuple[Blocks, Any]:
    """Time blocks of steps after one block of warm-up: (milliseconds per step of each block, final state)."""
    state = jax.block_until_ready(call(state))
    wall, cpu = [], []
    for _ in range(config.blocks):
        before = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(call(state))
        wall.append((time.perf_counter() - before[0]) / config.steps * 1e3)
        cpu.append((time.process_time() - before[1]) / config.steps * 1e3)
    return (tuple(wall), tuple(cpu)), state


def time_steps(config: Config, num_items: int, name: str) -> dict[str, Blocks]:
    """Time one rule with one table size, in milliseconds per step for each kind of batches."""
    model = jaxrec.MF(dim=config.dim, num_users=config.num_users, num_items=num_items)
    step = RowStep(Objective(model, BPR(), SquaredL2(1e-3)), RULES[name])

    @functools.partial(jax.jit, donate_argnums=0)
    def block(state: TrainState, batches: Batch) -> TrainState:
        data: Any = None  # not read by this loss
        return jax.lax.scan(lambda state, batch: (step(state, batch, data)[0], None), state, batches)[0]

    # The time of a step does not depend on the values, and drawing normal ones for 1e7 rows is slow.
    shapes = jax.eval_shape(model.init, jax.random.key(0))["params"]
    params = {name: jnp.full(table.shape, 0.1, table.dtype) for name, table in shapes.items()}
    state = TrainState(params, step.init(params), jax.random.key(0), jnp.zeros((), jnp.int32))
    del params  # donated with the state
    result = {}
    for draw in DRAWS:
        batches = draw_batches(config, num_items, draw)
        result[draw], state = time_blocks(lambda state, batches=batches: block(state, batches), state, config)
    return result


def time_negatives(config: Config, num_items: int) -> Blocks:
    """Time the sampling of negatives for one batch, in milliseconds, for users with 20 items each."""
    rng = np.random.default_rng(config.seed)
    each = 20
    items = np.sort(rng.integers(0, num_items - each, (config.num_users, each)), axis=1) + np.arange(each)  # distinct
    indptr = np.arange(config.num_users + 1) * each
    seen = SeenItems(jnp.asarray(indptr.astype(np.int32)), jnp.asarray(items.astype(np.int32).ravel()))
    users = draw_batches(config, num_items, "uniform").user

    @jax.jit
    def block(key: jax.Array, seen: SeenItems, users: jax.Array) -> tuple[jax.Array, jax.Array]:
        def draw(key: jax.Array, users: jax.Array) -> tuple[jax.Array, jax.Array]:
            key, own = jax.random.split(key)
            return key, uniform_negatives(seen, users, 1, num_items, own)[0]

        return jax.lax.scan(draw, key, users)

    return time_blocks(lambda state: block(state[0], seen, users), (jax.random.key(0), None), config)[0]


def run(options: Options) -> list[Row]:
    """Measure each rule, kind of batches and size; the ratio is to the smallest size."""
    config = Config(seed=options.seed)
    if options.quick:
        config = dataclasses.replace(config, sizes=(1_000, 4_000), num_users=500, batch_size=64, steps=2, blocks=2)
    found: dict[tuple[str, str, int], Blocks] = {}
    for num_items in config.sizes:
        for rule in RULES:
            for draw, blocks in time_steps(config, num_items, rule).items():
                found[rule, draw, num_items] = blocks
        found["negatives", "uniform", num_items] = time_negatives(config, num_items)
    rows = []
    for (rule, draw, num_items), (wall, cpu) in sorted(found.items()):
        ratio = float(np.median(wall) / np.median(found[rule, draw, config.sizes[0]][0]))
        note = f"{ratio:.2f} times {config.sizes[0]:,} items" if num_items != config.sizes[0] else ""
        setting = f"{rule}, items drawn: {draw}"
        rows.append(
            Row("rows", setting, f"jaxrec MF, {num_items:,} items", UNIT, wall, cpu, note=note, extra={"ratio": ratio})
        )
    return rows
